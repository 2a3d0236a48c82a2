use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const REST: Duration = Duration::from_secs(10);

fn address() -> IpAddr {
    [192, 0, 2, 1].into()
}

#[expect(clippy::disallowed_methods, reason = "a test's base instant")]
fn base() -> Instant {
    Instant::now()
}

fn plan(range: RangeInclusive<u16>, stock: usize) -> (PortPlan, StdRng, Instant) {
    (
        PortPlan::new([(address(), range)], stock, REST),
        StdRng::seed_from_u64(7),
        base(),
    )
}

/// Opens all that is wanted.
fn open_all(plan: &mut PortPlan, now: Instant, rng: &mut StdRng) -> Vec<PortPair> {
    let mut opened = Vec::new();
    while let Some(pair) = plan.poll_wanted(now, rng) {
        assert!(plan.opened(pair));
        opened.push(pair);
    }
    opened
}

fn usage(plan: &PortPlan) -> PortUsage {
    plan.usage().next().unwrap()
}

#[test]
fn pairs_are_even_and_inside_the_range() {
    let (mut plan, mut rng, now) = plan(30_001..=30_010, 100);
    let mut ports: Vec<_> = open_all(&mut plan, now, &mut rng)
        .iter()
        .map(|pair| pair.rtp_port)
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [30_002, 30_004, 30_006, 30_008]);
    assert_eq!(usage(&plan).total, 4);
}

#[test]
fn the_last_port_can_be_used_and_odd_ends_are_left_out() {
    let (plan, ..) = plan(65_534..=65_535, 1);
    assert_eq!(usage(&plan).total, 1);
    for range in [65_535..=65_535, 0..=1, 7..=8] {
        let empty = PortPlan::new([(address(), range)], 1, REST);
        assert_eq!(usage(&empty).total, 0);
    }
}

#[test]
fn a_used_pair_rests_before_it_is_opened_again() {
    let (mut plan, mut rng, now) = plan(30_000..=30_001, 1);
    open_all(&mut plan, now, &mut rng);
    let pair = plan.take(address(), &mut rng).unwrap();
    assert_eq!(plan.take(address(), &mut rng), None);
    plan.give_back(now, pair);
    assert_eq!(plan.poll_wanted(now, &mut rng), None);
    assert_eq!(plan.poll_timeout(), Some(now + REST));
    plan.handle_timeout(now + REST - Duration::from_millis(1));
    assert_eq!(usage(&plan).resting, 1);
    plan.handle_timeout(now + REST);
    assert_eq!(plan.poll_wanted(now + REST, &mut rng), Some(pair));
    assert_eq!(plan.poll_timeout(), None);
}

#[test]
fn ports_are_chosen_at_random() {
    let (mut plan, mut rng, now) = plan(30_000..=40_000, 64);
    let opened = open_all(&mut plan, now, &mut rng);
    assert_eq!(opened.len(), 64);
    let steps = opened
        .windows(2)
        .filter(|pair| pair[0].rtp_port + 2 == pair[1].rtp_port)
        .count();
    assert!(steps < 4, "{steps} of 63 in a row");
}

#[test]
fn a_taken_port_is_left_alone_and_failures_pause_the_opening() {
    let (mut plan, mut rng, now) = plan(30_000..=30_199, 50);
    for _ in 0..16 {
        let pair = plan.poll_wanted(now, &mut rng).unwrap();
        plan.failed(now, pair);
    }
    assert_eq!(plan.poll_wanted(now, &mut rng), None);
    let later = plan.poll_timeout().unwrap();
    assert_eq!(later, now + Duration::from_secs(1));
    plan.handle_timeout(later);
    assert!(plan.poll_wanted(later, &mut rng).is_some());
    assert_eq!(usage(&plan).resting, 16);
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let (mut plan, mut rng, now) = plan(30_000..=30_009, 1);
    let before = usage(&plan);
    for port in [30_000, 30_001, 29_998, 30_010] {
        let pair = PortPair {
            address: address(),
            rtp_port: port,
        };
        assert!(!plan.opened(pair));
        plan.failed(now, pair);
        plan.give_back(now, pair);
    }
    assert_eq!(usage(&plan), before);
    assert_eq!(plan.take([192, 0, 2, 9].into(), &mut rng), None);
}

proptest! {
    /// Whatever happens in whatever order, every pair is in exactly one state and none is given out twice.
    #[test]
    fn no_pair_is_lost_or_given_twice(seed: u64, steps in proptest::collection::vec(0..5_u8, 1..300)) {
        let (mut plan, _, mut now) = plan(30_000..=30_021, 4);
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut opening, mut used) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                0 => opening.extend(plan.poll_wanted(now, &mut rng)),
                1 => if let Some(pair) = opening.pop() { prop_assert!(plan.opened(pair)); },
                2 => if let Some(pair) = opening.pop() { plan.failed(now, pair); },
                3 => if let Some(pair) = plan.take(address(), &mut rng) {
                    prop_assert!(!used.contains(&pair));
                    used.push(pair);
                },
                _ => {
                    if let Some(pair) = used.pop() { plan.give_back(now, pair); }
                    now += Duration::from_secs(3);
                    plan.handle_timeout(now);
                }
            }
            let usage = usage(&plan);
            prop_assert_eq!(usage.used, used.len());
            prop_assert_eq!(usage.opening, opening.len());
            prop_assert_eq!(
                usage.total,
                usage.used + usage.stocked + usage.opening + usage.resting + usage.free
            );
        }
    }
}
