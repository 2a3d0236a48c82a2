use proptest::prelude::*;

use super::*;

type Heard = Vec<(u16, Vec<u8>)>;

/// Packets of different lengths, as machines send them.
fn ifps(count: usize) -> Vec<Vec<u8>> {
    let ifp = |at: usize| {
        (0..1 + at * 37 % 200)
            .map(|octet| (octet * 7 + at) as u8)
            .collect()
    };
    (0..count).map(ifp).collect()
}

fn wrapped(sender: &mut Sender, ifps: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let wrap = |ifp: &Vec<u8>| {
        let mut datagram = vec![0xff; 3];
        sender.wrap(ifp, &mut datagram).unwrap();
        datagram
    };
    ifps.iter().map(wrap).collect()
}

fn take(receiver: &mut Receiver, datagram: &[u8]) -> Heard {
    let mut heard = Vec::new();
    receiver
        .take(datagram, |sequence, ifp| heard.push((sequence, ifp.to_vec())))
        .unwrap();
    heard
}

/// What is heard when some datagrams do not come.
fn heard(datagrams: &[Vec<u8>], is_lost: impl Fn(usize) -> bool) -> (Heard, Counters) {
    let mut receiver = Receiver::new(Limits::default());
    let come = datagrams.iter().enumerate().filter(|(at, _)| !is_lost(*at));
    let heard = come
        .flat_map(|(_, datagram)| take(&mut receiver, datagram))
        .collect();
    (heard, receiver.counters())
}

fn numbered(ifps: &[Vec<u8>]) -> Heard {
    (0..).zip(ifps.iter().cloned()).collect()
}

/// Zeros behind the end of what came back from parities do not count.
fn trimmed(heard: Heard) -> Heard {
    let trim = |ifp: Vec<u8>| match ifp.iter().rposition(|octet| *octet != 0) {
        Some(last) => ifp[..=last].to_vec(),
        None => ifp,
    };
    heard
        .into_iter()
        .map(|(sequence, ifp)| (sequence, trim(ifp)))
        .collect()
}

/// A datagram with a number, a packet, and no correction.
fn plain(sequence: u16, ifp: &[u8]) -> Vec<u8> {
    [&sequence.to_be_bytes()[..], &[ifp.len() as u8], ifp, &[0, 0]].concat()
}

#[test]
fn packets_look_as_the_standard_has_them() {
    let mut sender = Sender::new(ErrorCorrection::Redundancy, 2, 512);
    let datagrams = wrapped(&mut sender, &[vec![6], vec![1, 2], vec![3]]);
    assert_eq!(datagrams[0], [0, 0, 1, 6, 0, 0]);
    assert_eq!(datagrams[1], [0, 1, 2, 1, 2, 0, 1, 1, 6]);
    assert_eq!(datagrams[2], [0, 2, 1, 3, 0, 2, 2, 1, 2, 1, 6]);
    let mut sender = Sender::new(ErrorCorrection::Fec, 1, 512).with_span(2);
    let datagrams = wrapped(&mut sender, &[vec![6], vec![1, 2], vec![3]]);
    assert_eq!(datagrams[0], [0, 0, 1, 6, 0x80, 1, 1, 0]);
    assert_eq!(datagrams[1], [0, 1, 2, 1, 2, 0x80, 1, 1, 1, 1, 6]);
    assert_eq!(datagrams[2], [0, 2, 1, 3, 0x80, 1, 2, 1, 2, 6 ^ 1, 2]);
    let mut sender = Sender::new(ErrorCorrection::None, 2, 512);
    let datagrams = wrapped(&mut sender, &[vec![6], vec![7; 0x80]]);
    assert_eq!(datagrams[1][..6], [0, 1, 0x80, 0x80, 7, 7]);
    assert_eq!(datagrams[1][4 + 0x80..], [0, 0]);
}

#[test]
fn as_much_goes_along_as_fits() {
    for correction in [ErrorCorrection::Redundancy, ErrorCorrection::Fec] {
        for max in [0, 10, 100, 203, 204, 205, 300, 512] {
            let mut sender = Sender::new(correction, 5, max);
            let ifps = ifps(100);
            for ifp in &ifps {
                let mut datagram = Vec::new();
                sender.wrap(ifp, &mut datagram).unwrap();
                // The packet itself always goes.
                assert!(
                    datagram.len() <= max.max(ifp.len() + 6),
                    "{max} {}",
                    datagram.len()
                );
            }
        }
    }
}

#[test]
fn redundancy_mends_as_many_losses_as_it_is_deep() {
    let ifps = ifps(40);
    let datagrams = wrapped(&mut Sender::new(ErrorCorrection::Redundancy, 3, 1_400), &ifps);
    let (all, counters) = heard(&datagrams, |at| at % 4 != 3);
    assert_eq!(all, numbered(&ifps));
    assert_eq!(
        (counters.received, counters.recovered, counters.lost),
        (10, 30, 0)
    );
    let (some, counters) = heard(&datagrams, |at| (4..8).contains(&at));
    assert_eq!(some.len(), 39);
    assert_eq!((counters.recovered, counters.lost), (3, 1));
}

#[test]
fn parities_mend_as_many_losses_in_a_row_as_there_are() {
    let ifps = ifps(60);
    let mut sender = Sender::new(ErrorCorrection::Fec, 3, 1_400).with_span(3);
    let datagrams = wrapped(&mut sender, &ifps);
    let (all, counters) = heard(&datagrams, |at| at % 15 >= 12 && at < 57);
    assert_eq!(trimmed(all), trimmed(numbered(&ifps)));
    assert_eq!((counters.recovered, counters.lost), (9, 0));
    let (some, counters) = heard(&datagrams, |at| (20..24).contains(&at));
    assert_eq!(counters.recovered + counters.lost, 4);
    assert_eq!(some.len() as u64, 60 - counters.lost);
    assert!(counters.lost > 0);
}

#[test]
fn every_packet_is_delivered_once() {
    let datagrams = wrapped(&mut Sender::new(ErrorCorrection::Redundancy, 3, 512), &ifps(6));
    let mut receiver = Receiver::new(Limits::default());
    assert_eq!(take(&mut receiver, &datagrams[0]).len(), 1);
    assert_eq!(take(&mut receiver, &datagrams[0]).len(), 0);
    // It carries 1 and 2, which come after it.
    assert_eq!(take(&mut receiver, &datagrams[3]).len(), 3);
    assert_eq!(take(&mut receiver, &datagrams[2]).len(), 0);
    assert_eq!(take(&mut receiver, &datagrams[1]).len(), 0);
    assert_eq!(receiver.counters().late, 3);
}

#[test]
fn numbers_wrap_around() {
    let mut receiver = Receiver::new(Limits::default());
    for sequence in [65_534, 65_535, 0, 1] {
        assert_eq!(take(&mut receiver, &plain(sequence, b"x"))[0].0, sequence);
    }
    assert_eq!(receiver.counters().lost, 0);
    take(&mut receiver, &plain(65_535, b"x"));
    assert_eq!(receiver.counters().late, 1);
}

#[test]
fn a_peer_that_begins_anew_is_followed() {
    let mut receiver = Receiver::new(Limits::default());
    for sequence in 0..500 {
        take(&mut receiver, &plain(sequence, b"x"));
    }
    let again = wrapped(&mut Sender::new(ErrorCorrection::Redundancy, 3, 512), &ifps(5));
    assert!(take(&mut receiver, &again[0]).is_empty());
    // Copies do not count.
    for _ in 0..5 {
        assert!(take(&mut receiver, &again[1]).is_empty());
    }
    // What was held back comes with the first that counts.
    assert_eq!(take(&mut receiver, &again[2]), numbered(&ifps(3)));
    assert_eq!(take(&mut receiver, &again[3]), [(3, ifps(4)[3].clone())]);
    assert_eq!((receiver.counters().restarts, receiver.counters().lost), (1, 0));
}

#[test]
fn one_packet_from_elsewhere_changes_nothing() {
    let mut receiver = Receiver::new(Limits::default());
    for sequence in 0..100 {
        assert_eq!(take(&mut receiver, &plain(sequence, b"x")).len(), 1);
        assert!(take(&mut receiver, &plain(sequence.wrapping_add(30_000), b"no")).is_empty());
    }
    assert_eq!(
        (receiver.counters().stray, receiver.counters().restarts),
        (100, 0)
    );
}

#[test]
fn what_is_no_packet_is_refused() {
    use UdptlError as E;
    let cases: [(&[u8], E); 11] = [
        (&[], E::Truncated("number")),
        (&[0], E::Truncated("number")),
        (&[0, 0], E::Truncated("primary packet")),
        (&[0, 0, 2, 1], E::Truncated("primary packet")),
        (&[0, 0, 0x80], E::Truncated("primary packet")),
        (&[0, 0, 0xc1, 0], E::Fragmented("primary packet")),
        (&[0, 0, 1, 6], E::Truncated("error recovery")),
        (&[0, 0, 1, 6, 0, 1], E::Truncated("entries")),
        (&[0, 0, 1, 6, 0, 17, 0], E::Entries(17)),
        (&[0, 0, 1, 6, 0x80, 1, 0x80, 0], E::Span),
        (&[0, 0, 1, 6, 0x80, 5, 0, 0, 0, 0, 1, 0], E::Span),
    ];
    let mut receiver = Receiver::new(Limits::default());
    for (datagram, error) in &cases {
        assert_eq!(
            receiver.take(datagram, |_, _| unreachable!()),
            Err(*error),
            "{datagram:?}"
        );
    }
    let long = [&[0, 0, 0x85, 0x79][..], &[0; IFP_MAX + 1], &[0, 0]].concat();
    assert_eq!(
        receiver.take(&long, |_, _| unreachable!()),
        Err(E::Length(IFP_MAX + 1))
    );
    assert_eq!(receiver.counters().malformed, 12);
    let mut sender = Sender::new(ErrorCorrection::None, 0, 512);
    for length in [0, IFP_MAX + 1] {
        assert_eq!(
            sender.wrap(&vec![0; length], &mut Vec::new()),
            Err(E::Length(length))
        );
    }
    assert_eq!(sender.sequence(), 0);
}

/// Parities over more than is kept, or over nothing, mend nothing and harm nothing.
#[test]
fn parities_of_nothing_known_are_left() {
    let mut receiver = Receiver::new(Limits::default());
    take(&mut receiver, &plain(0, b"x"));
    for (at, span) in [(2_u8, [0x7f, 0xff]), (4, [0, 0]), (6, [0, 60])] {
        let datagram = [&[0, at, 1, 6, 0x80, 2][..], &span, &[2, 1, 1, 1, 1]].concat();
        assert_eq!(take(&mut receiver, &datagram).len(), 1);
    }
    assert_eq!((receiver.counters().lost, receiver.counters().recovered), (3, 0));
}

proptest! {
    /// Whatever is lost, what is delivered was sent, once and in order, and nothing that came is missing.
    #[test]
    fn what_is_delivered_was_sent(
        fec in any::<bool>(),
        depth in 0_usize..6,
        span in 1_u8..5,
        first in any::<u16>(),
        lost in proptest::collection::vec(any::<bool>(), 1..80),
    ) {
        let correction = if fec { ErrorCorrection::Fec } else { ErrorCorrection::Redundancy };
        let mut sender = Sender::new(correction, depth, 512).with_span(span);
        // The number of the first packet.
        for _ in 0..first % 7 {
            sender.wrap(b"before", &mut Vec::new()).unwrap();
        }
        let begin = sender.sequence();
        let ifps = ifps(lost.len());
        let datagrams = wrapped(&mut sender, &ifps);
        let (heard, counters) = heard(&datagrams, |at| lost[at]);
        let heard: Vec<_> = trimmed(heard).into_iter().filter(|(sequence, _)| *sequence >= begin).collect();
        prop_assert!(heard.is_sorted_by(|one, next| one.0 < next.0));
        for (sequence, ifp) in &heard {
            let sent = trimmed(vec![(*sequence, ifps[usize::from(sequence - begin)].clone())]);
            prop_assert_eq!(ifp, &sent[0].1);
        }
        let came = lost.iter().filter(|is| !**is).count();
        prop_assert!(heard.len() >= came);
        prop_assert_eq!(counters.received, came as u64);
    }

    /// Any octets at all: nothing panics, nothing is delivered twice within one datagram.
    #[test]
    fn any_octets_are_read(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let mut receiver = Receiver::new(Limits::default());
        for datagram in &datagrams {
            let _ = receiver.take(datagram, |_, ifp| assert!(!ifp.is_empty() && ifp.len() <= IFP_MAX));
        }
    }
}
