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

/// The first set of a plan.
const FIRST: PortSetId = PortSetId(0);
const SECOND: PortSetId = PortSetId(1);

fn plan(range: RangeInclusive<u16>, stock: usize) -> (PortPlan, StdRng, Instant) {
    (
        PortPlan::new([(address(), range.into())], stock, REST),
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
        let empty = PortPlan::new([(address(), range.into())], 1, REST);
        assert_eq!(usage(&empty).total, 0);
    }
}

#[test]
fn a_used_pair_rests_before_it_is_opened_again() {
    let (mut plan, mut rng, now) = plan(30_000..=30_003, 1);
    open_all(&mut plan, now, &mut rng);
    let pair = plan.take(FIRST, &mut rng).unwrap();
    assert_eq!(plan.take(FIRST, &mut rng), None);
    plan.give_back(now, pair);
    let other = plan.poll_wanted(now, &mut rng).unwrap();
    assert_ne!(other, pair);
    assert!(plan.opened(other));
    assert_eq!(plan.take(FIRST, &mut rng), Some(other));
    assert_eq!(plan.poll_timeout(), Some(now + REST));
    plan.handle_timeout(now + REST - Duration::from_millis(1));
    assert_eq!(usage(&plan).resting, 1);
    plan.handle_timeout(now + REST);
    assert_eq!(plan.poll_wanted(now + REST, &mut rng), Some(pair));
    assert_eq!(plan.poll_timeout(), None);
}

#[test]
fn where_no_other_is_left_the_pair_that_has_rested_longest_is_opened() {
    let (mut plan, mut rng, now) = plan(30_000..=30_005, 3);
    open_all(&mut plan, now, &mut rng);
    let taken: Vec<_> = (0..3).map(|_| plan.take(FIRST, &mut rng).unwrap()).collect();
    let later = now + Duration::from_millis(10);
    plan.give_back(later, taken[1]);
    plan.give_back(now, taken[0]);
    for pair in &taken[..2] {
        assert_eq!(plan.poll_wanted(later, &mut rng), Some(*pair));
    }
    assert_eq!(plan.poll_wanted(later, &mut rng), None);
    assert!(plan.opened(taken[0]));
    plan.failed(later, taken[1]);
    assert_eq!(
        plan.poll_wanted(later, &mut rng),
        None,
        "another program has it: it stays alone"
    );
    assert_eq!(plan.take(FIRST, &mut rng), Some(taken[0]));
}

#[test]
fn no_more_pairs_are_kept_from_their_rest_than_the_next_call_needs() {
    let (mut plan, mut rng, now) = plan(30_000..=30_199, 100);
    open_all(&mut plan, now, &mut rng);
    while let Some(pair) = plan.take(FIRST, &mut rng) {
        plan.give_back(now, pair);
    }
    assert_eq!(open_all(&mut plan, now, &mut rng).len(), 8);
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
    assert_eq!(plan.take(SECOND, &mut rng), None);
}

/// Two interfaces with one address, whose ports overlap by two pairs of four.
fn overlapping(stock: usize) -> PortPlan {
    let sets = [3_000..=3_007, 3_004..=3_011].map(|range| (address(), range.into()));
    PortPlan::new(sets, stock, REST)
}

#[test]
fn ranges_at_one_address_share_what_they_have_in_common() {
    let (mut plan, mut rng, now) = (overlapping(64), StdRng::seed_from_u64(7), base());
    assert_eq!(open_all(&mut plan, now, &mut rng).len(), 6);
    let totals: Vec<_> = plan.usage().map(|usage| (usage.total, usage.stocked)).collect();
    assert_eq!(totals, [(4, 4), (4, 4)]);
    let of_first: Vec<_> = (0..4).filter_map(|_| plan.take(FIRST, &mut rng)).collect();
    assert_eq!(of_first.len(), 4);
    assert!(
        of_first
            .iter()
            .all(|pair| (3_000..3_007).contains(&pair.rtp_port))
    );
    assert_eq!(plan.take(FIRST, &mut rng), None);
    // The other one has what only it has.
    let mut of_second: Vec<_> = std::iter::from_fn(|| plan.take(SECOND, &mut rng)).collect();
    of_second.sort_unstable();
    let ports: Vec<_> = of_second.iter().map(|pair| pair.rtp_port).collect();
    assert_eq!(ports, [3_008, 3_010]);
    let shared = PortPair {
        address: address(),
        rtp_port: 3_004,
    };
    assert!(plan.has(FIRST, shared) && plan.has(SECOND, shared));
    plan.give_back(now, shared);
    let resting: Vec<_> = plan.usage().map(|usage| usage.resting).collect();
    assert_eq!(resting, [1, 1]);
}

#[test]
fn a_range_that_is_used_up_does_not_keep_another_from_its_stock() {
    let (mut plan, mut rng, now) = (overlapping(2), StdRng::seed_from_u64(7), base());
    for _ in 0..4 {
        open_all(&mut plan, now, &mut rng);
        assert!(plan.take(FIRST, &mut rng).is_some());
    }
    open_all(&mut plan, now, &mut rng);
    assert_eq!(plan.take(FIRST, &mut rng), None);
    assert!(plan.take(SECOND, &mut rng).is_some());
}

#[test]
fn the_same_ports_given_twice_are_one_set_and_addresses_keep_apart() {
    let other: IpAddr = [192, 0, 2, 9].into();
    let range = PortSet::from(3_000..=3_003);
    let sets = [address(), other, address()].map(|address| (address, range.clone()));
    let mut plan = PortPlan::new(sets, 4, REST);
    assert_eq!(plan.usage().count(), 2);
    let (first, second) = (plan.find(address(), &range), plan.find(other, &range));
    assert!(first.is_some() && second.is_some() && first != second);
    assert_eq!(plan.find(address(), &(3_000..=3_001).into()), None);
    let (mut rng, now) = (StdRng::seed_from_u64(7), base());
    assert_eq!(open_all(&mut plan, now, &mut rng).len(), 4);
    assert_eq!(
        plan.take(second.unwrap(), &mut rng).map(|pair| pair.address),
        Some(other)
    );
}

#[test]
fn a_port_that_is_left_out_takes_its_pair_with_it() {
    let ports = PortSet::new(3_000..=3_009, vec![3_003, 9, 3_006, 3_003]);
    let mut plan = PortPlan::new([(address(), ports)], 64, REST);
    let mut opened: Vec<_> = open_all(&mut plan, base(), &mut StdRng::seed_from_u64(7))
        .iter()
        .map(|pair| pair.rtp_port)
        .collect();
    opened.sort_unstable();
    assert_eq!(opened, [3_000, 3_004, 3_008]);
    assert_eq!(usage(&plan).total, 3);
    let left_out = PortPair {
        address: address(),
        rtp_port: 3_002,
    };
    assert!(!plan.claim(left_out), "nor may a call of old have it");
}

#[test]
fn what_lies_between_two_ranges_is_nobodys() {
    let sets = [3_000..=3_003, 3_010..=3_013].map(|range| (address(), range.into()));
    let mut plan = PortPlan::new(sets, 64, REST);
    let opened = open_all(&mut plan, base(), &mut StdRng::seed_from_u64(7));
    assert_eq!(opened.len(), 4);
    let between = PortPair {
        address: address(),
        rtp_port: 3_006,
    };
    assert!(!plan.claim(between));
}

proptest! {
    /// The same with two ranges that overlap: what is used is used for both.
    #[test]
    fn no_pair_of_two_ranges_is_given_twice(seed: u64, steps in proptest::collection::vec((0..5_u8, 0..2_u16), 1..300)) {
        let (mut plan, mut now) = (overlapping(2), base());
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut opening, mut used) = (Vec::new(), Vec::new());
        for (step, set) in steps {
            match step {
                0 => opening.extend(plan.poll_wanted(now, &mut rng)),
                1 => if let Some(pair) = opening.pop() { prop_assert!(plan.opened(pair)); },
                2 => if let Some(pair) = opening.pop() { plan.failed(now, pair); },
                3 => if let Some(pair) = plan.take(PortSetId(set), &mut rng) {
                    prop_assert!(!used.contains(&pair) && plan.has(PortSetId(set), pair));
                    used.push(pair);
                },
                _ => {
                    if let Some(pair) = used.pop() { plan.give_back(now, pair); }
                    now += Duration::from_secs(3);
                    plan.handle_timeout(now);
                }
            }
            for (at, usage) in plan.usage().enumerate() {
                let own = |pairs: &[PortPair]| {
                    pairs.iter().filter(|pair| plan.has(PortSetId(at as u16), **pair)).count()
                };
                prop_assert_eq!((usage.used, usage.opening), (own(&used), own(&opening)));
                prop_assert_eq!(
                    usage.total,
                    usage.used + usage.stocked + usage.opening + usage.resting + usage.free
                );
            }
        }
    }

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
                3 => if let Some(pair) = plan.take(FIRST, &mut rng) {
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
