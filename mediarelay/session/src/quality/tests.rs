use viaduct_forward::Tick;
use viaduct_rtp::stats::ReceptionSnapshot;

use super::*;

#[expect(clippy::disallowed_methods, reason = "a test's base instant")]
fn base() -> Instant {
    Instant::now()
}

fn source(ssrc: u32, expected: u64, lost: u64, round_trip: Option<u64>) -> SsrcSnapshot {
    SsrcSnapshot {
        ssrc,
        payload_type: 0,
        packets: expected - lost,
        octets: 172 * (expected - lost),
        reception: ReceptionSnapshot {
            expected,
            received: expected - lost,
            ..ReceptionSnapshot::default()
        },
        last_packet: Tick::from_micros(expected),
        round_trip: round_trip.map(Duration::from_millis),
        sender_report: None,
    }
}

fn clock(now: Instant) -> WallClock {
    WallClock::new(now, Duration::from_secs(1_000))
}

#[test]
fn there_is_no_score_without_a_round_trip() {
    let now = base();
    let mut quality = Quality::default();
    quality.measure(now, &[source(7, 250, 0, None)], 8, false);
    let report = quality.report(&[source(7, 250, 0, None)], &clock(now));
    assert_eq!(
        (report[0].0, report[0].1.packets, &report[0].1.average_mos),
        (7, 250, &None)
    );
}

#[test]
fn a_lossy_moment_is_the_lowest_and_counts_since_the_last_one_only() {
    let now = base();
    let second = Duration::from_secs(1);
    let mut quality = Quality::default();
    quality.measure(now, &[source(7, 100, 0, Some(40))], 8, false);
    quality.measure(now + 5 * second, &[source(7, 200, 10, Some(40))], 8, false);
    quality.measure(now + 10 * second, &[source(7, 300, 10, Some(40))], 8, false);
    let live = [source(7, 300, 10, Some(40))];
    let report = &quality.report(&live, &clock(now))[0].1;
    let (lowest, highest) = (
        report.lowest_mos.as_ref().unwrap(),
        report.highest_mos.as_ref().unwrap(),
    );
    assert_eq!((lowest.packet_loss, lowest.reported_at), (10, Some(1_005)));
    assert_eq!(
        (highest.packet_loss, highest.mos, highest.reported_at),
        (0, 44, Some(1_000))
    );
    assert_eq!(report.average_mos.as_ref().unwrap().samples, Some(3));
    assert_eq!(report.cumulative_loss, Some(10));
    assert_eq!(report.mos_progression.as_ref().unwrap().entries.len(), 2);
}

#[test]
fn figures_of_ended_flows_are_kept() {
    let now = base();
    let mut quality = Quality::default();
    assert!(quality.keep(&source(7, 100, 1, None), 8));
    let report = &quality.report(&[source(7, 50, 2, None)], &clock(now))[0].1;
    assert_eq!((report.packets, report.cumulative_loss), (147, Some(3)));
    assert_eq!(quality.report(&[], &clock(now))[0].1.packets, 99);
}

#[test]
fn sources_and_history_are_bounded() {
    let now = base();
    let mut quality = Quality::default();
    let live: Vec<_> = (0..10).map(|ssrc| source(ssrc, 10, 0, Some(1))).collect();
    assert_eq!(quality.measure(now, &live, 8, false), 2);
    assert!(!quality.keep(&source(9, 10, 0, None), 8));
    for n in 1..5_000_u32 {
        quality.measure(
            now + n * Duration::from_secs(5),
            &[source(1, 10 + u64::from(n), 0, Some(1))],
            8,
            false,
        );
    }
    let report = quality.report(&[], &clock(now));
    let progression = report[1].1.mos_progression.as_ref().unwrap();
    assert!(
        (10..20).contains(&progression.entries.len()),
        "{}",
        progression.entries.len()
    );
}

#[test]
fn rates_are_per_second() {
    let now = base();
    let mut rates = Rates::default();
    let counters = |packets| Counters {
        packets,
        octets: packets * 172,
        errors: 0,
    };
    let sums = |all, kernel| Forwarded {
        all: counters(all),
        kernel: counters(kernel),
    };
    rates.measure(now, sums(100, 40));
    assert_eq!(rates.per_second, Forwarded::default());
    rates.measure(now + Duration::from_secs(5), sums(350, 50));
    assert_eq!(rates.per_second, sums(50, 2));
}

#[test]
fn calls_that_become_one_have_the_sources_and_the_rates_of_both() {
    let now = base();
    let later = now + Duration::from_secs(5);
    let sums = |packets| Forwarded {
        all: Counters {
            packets,
            ..Counters::default()
        },
        ..Forwarded::default()
    };
    let [mut one, mut other] = [100, 200].map(|packets| {
        let mut rates = Rates::default();
        rates.measure(now, sums(packets));
        rates
    });
    one.merge(&other);
    one.measure(later, sums(100 + 200 + 500));
    assert_eq!(one.per_second, sums(100));
    other.merge(&Rates::default());
    other.measure(later, sums(9_000));
    assert_eq!(other.per_second, Forwarded::default(), "not known of one of them");
}
