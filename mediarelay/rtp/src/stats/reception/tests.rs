use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const RATE: u32 = 8000;

/// A telephone's stream: a packet of 160 samples every 20 ms, arriving with these delays in microseconds.
fn stream(start: u16, delays: &[u64]) -> Reception {
    let packet = |n: usize| {
        let at = Tick::from_micros(1_000_000 + 20_000 * n as u64 + delays[n]);
        (at, start.wrapping_add(n as u16), 160 * n as u32)
    };
    let (at, sequence, timestamp) = packet(0);
    let mut reception = Reception::new(at, sequence, timestamp, RATE);
    for n in 1..delays.len() {
        let (at, sequence, timestamp) = packet(n);
        assert_eq!(
            reception.on_packet(at, sequence, timestamp, RATE),
            Arrival::InOrder
        );
    }
    reception
}

fn sequences(list: &[u16]) -> (Reception, Vec<Arrival>) {
    let mut reception = Reception::new(Tick::ZERO, list[0], 0, 0);
    let arrivals = list[1..]
        .iter()
        .map(|s| reception.on_packet(Tick::ZERO, *s, 0, 0))
        .collect();
    (reception, arrivals)
}

#[test]
fn an_even_stream_has_neither_loss_nor_jitter() {
    let mut reception = stream(65_500, &[0; 100]);
    let snapshot = reception.snapshot();
    assert_eq!(
        (snapshot.expected, snapshot.received, snapshot.lost()),
        (100, 100, 0)
    );
    assert_eq!(snapshot.highest_sequence, 0x1_0000 + 63);
    assert_eq!(snapshot.jitter, 0);
    assert_eq!(snapshot.last_timestamp, 99 * 160);
    let block = reception.report_block(7);
    assert_eq!(
        (block.ssrc, block.fraction_lost, block.cumulative_lost),
        (7, 0, 0)
    );
}

#[test]
fn jitter_settles_at_the_mean_difference() {
    // Every other packet is 5 ms late: the difference between neighbours is always 40 units.
    let delays: Vec<_> = (0..400).map(|n| if n % 2 == 0 { 0 } else { 5_000 }).collect();
    let snapshot = stream(0, &delays).snapshot();
    assert!((39..=40).contains(&snapshot.jitter), "{}", snapshot.jitter);
    assert!(snapshot.jitter_time() >= Duration::from_micros(4_875));
}

#[test]
fn a_telephone_event_makes_no_jitter() {
    let mut reception = stream(0, &[0; 50]);
    // Ten packets with one timestamp, then speech goes on where its clock stands.
    for n in 50..60_u16 {
        let at = Tick::from_micros(1_000_000 + 20_000 * u64::from(n));
        reception.on_packet(at, n, 50 * 160, RATE);
    }
    reception.on_packet(Tick::from_micros(1_000_000 + 20_000 * 60), 60, 60 * 160, RATE);
    assert_eq!(reception.snapshot().jitter, 0);
}

#[test]
fn another_clock_begins_a_new_measurement() {
    let mut reception = stream(0, &[0; 50]);
    reception.on_packet(Tick::from_micros(2_000_000), 50, 12_345_678, 48_000);
    assert_eq!(
        (reception.snapshot().jitter, reception.snapshot().clock_rate),
        (0, 48_000)
    );
}

#[test]
fn gaps_late_packets_and_duplicates_are_told_apart() {
    let (mut reception, arrivals) = sequences(&[10, 11, 14, 13, 14, 13, 15]);
    assert_eq!(
        arrivals,
        [
            Arrival::InOrder,
            Arrival::Gap { missing: 2 },
            Arrival::Late,
            Arrival::Duplicate,
            Arrival::Duplicate,
            Arrival::InOrder
        ]
    );
    let snapshot = reception.snapshot();
    assert_eq!((snapshot.expected, snapshot.received), (6, 7));
    assert_eq!(
        (snapshot.duplicates, snapshot.reordered, snapshot.lost()),
        (2, 1, 1)
    );
    // RFC 3550 counts duplicates as received, so its loss is negative here.
    assert_eq!(reception.report_block(1).cumulative_lost, -1);
}

#[test]
fn the_fraction_lost_counts_from_the_last_report() {
    let (mut reception, _) = sequences(&[0, 1, 2, 3, 5, 6, 7]);
    assert_eq!(reception.report_block(1).fraction_lost, 32); // one in eight
    reception.on_packet(Tick::ZERO, 8, 0, 0);
    let block = reception.report_block(1);
    assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 1));
    assert_eq!(reception.report_block(1).fraction_lost, 0);
}

#[test]
fn a_single_stray_packet_changes_nothing() {
    let (reception, arrivals) = sequences(&[100, 101, 40_000, 102]);
    assert_eq!(arrivals, [Arrival::InOrder, Arrival::Stray, Arrival::InOrder]);
    assert_eq!(
        (reception.snapshot().expected, reception.snapshot().restarts),
        (3, 0)
    );
}

#[test]
fn strays_apart_from_each_other_do_not_begin_anew() {
    let (reception, arrivals) = sequences(&[100, 101, 40_000, 102, 40_001, 103]);
    assert_eq!(
        arrivals[1..],
        [Arrival::Stray, Arrival::InOrder, Arrival::Stray, Arrival::InOrder]
    );
    assert_eq!(reception.snapshot().highest_sequence, 103);
}

#[test]
fn a_new_beginning_makes_no_jitter() {
    let mut reception = stream(0, &[0; 50]);
    for n in 0..3_u16 {
        let at = Tick::from_micros(2_000_000 + 20_000 * u64::from(n));
        reception.on_packet(at, 30_000 + n, 0x8000_0000 + 160 * u32::from(n), RATE);
    }
    assert_eq!(
        (reception.snapshot().restarts, reception.snapshot().jitter),
        (1, 0)
    );
}

#[test]
fn two_in_a_row_after_a_jump_begin_anew() {
    let (reception, arrivals) = sequences(&[100, 101, 103, 40_000, 40_001, 40_002]);
    assert_eq!(
        arrivals[2..],
        [Arrival::Stray, Arrival::Restart, Arrival::InOrder]
    );
    let snapshot = reception.snapshot();
    assert_eq!((snapshot.expected, snapshot.received, snapshot.lost()), (7, 6, 1));
    assert_eq!((snapshot.restarts, snapshot.highest_sequence), (1, 40_002));
}

proptest! {
    /// Within the windows, counting is exact: against a model that remembers every packet.
    #[test]
    fn counts_as_the_model_does(start: u16, steps in proptest::collection::vec(-30_i64..60, 1..400)) {
        let mut reception = Reception::new(Tick::ZERO, start, 0, 0);
        let (mut seen, mut highest) = (HashSet::from([0_i64]), 0);
        let (mut received, mut duplicates) = (1, 0);
        for step in steps {
            let at = (highest + step).max(0);
            reception.on_packet(Tick::ZERO, start.wrapping_add(at as u16), 0, 0);
            received += 1;
            duplicates += u64::from(!seen.insert(at));
            highest = highest.max(at);
        }
        let snapshot = reception.snapshot();
        prop_assert_eq!(snapshot.received, received);
        prop_assert_eq!(snapshot.duplicates, duplicates);
        prop_assert_eq!(snapshot.expected, highest as u64 + 1);
        prop_assert_eq!(snapshot.lost(), highest as u64 + 1 - seen.len() as u64);
    }

    #[test]
    fn any_packets_can_be_counted(
        packets in proptest::collection::vec((any::<u64>(), any::<u16>(), any::<u32>(), any::<u32>()), 1..100),
    ) {
        let mut reception = Reception::new(Tick::ZERO, 0, 0, 8000);
        for (at, sequence, timestamp, rate) in packets {
            reception.on_packet(Tick::from_micros(at), sequence, timestamp, rate);
            let snapshot = reception.snapshot();
            prop_assert!((0.0..=1.0).contains(&snapshot.loss_fraction()));
            let _ = (snapshot.jitter_time(), reception.report_block(1));
        }
    }
}

#[test]
fn packets_that_others_received_are_neither_lost_nor_late() {
    let at = |packets: u64| Tick::from_micros(packets * 20_000);
    let mut reception = Reception::new(at(0), 10, 0, 8000);
    reception.on_packet(at(1), 11, 160, 8000);
    let before = reception.snapshot().jitter;
    reception.resume(at(700), 710, 700 * 160, 8000);
    reception.on_packet(at(701), 711, 701 * 160, 8000);
    let snapshot = reception.snapshot();
    assert_eq!(
        (snapshot.expected, snapshot.received, snapshot.restarts),
        (4, 4, 0)
    );
    assert_eq!((snapshot.highest_sequence, snapshot.jitter), (711, before));
    // The next one is measured as ever.
    reception.on_packet(at(703), 713, 703 * 160, 8000);
    assert_eq!(reception.snapshot().lost(), 1);
}
