//! T.38 over UDP: datagrams of a stranger, and our own on a network that loses some.

use viaduct_fax::ifp::whole;
use viaduct_fax::udptl::{Counters, ErrorCorrection, IFP_MAX, Limits, Receiver, Sender};

/// Reads a story: for each datagram its length in two octets, and the datagram. Then takes the same octets as packets to be
/// sent, each behind an octet with its length.
///
/// Laws: what is no packet delivers nothing; numbers that are delivered go up, the datagram's own last; what was delivered is
/// what was received and had back; an IFP packet begins with what is whole of it. What is sent and not lost is delivered, and
/// nothing else is.
pub fn udptl(data: &[u8]) {
    receive(data);
    send(data);
}

fn receive(data: &[u8]) {
    let mut receiver = Receiver::new(Limits::default());
    let mut rest = data;
    while let Some((&[high, low], after)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (datagram, after) = after.split_at(len);
        rest = after;
        let before = receiver.counters();
        let mut delivered = Vec::new();
        let taken = receiver.take(datagram, |sequence, ifp| {
            assert!((1..=IFP_MAX).contains(&ifp.len()));
            for version in [0, 3] {
                if let Ok(packet) = whole(ifp, version) {
                    assert!(ifp.starts_with(packet) && whole(packet, version) == Ok(packet));
                }
            }
            delivered.push(sequence);
        });
        let after = receiver.counters();
        if taken.is_err() {
            let malformed = before.malformed + 1;
            assert_eq!(after, Counters { malformed, ..before });
            assert!(delivered.is_empty());
            continue;
        }
        let own = u16::from_be_bytes([datagram[0], datagram[1]]);
        let behind = |sequence: &u16| own.wrapping_sub(*sequence);
        assert!(delivered.is_sorted_by(|one, next| behind(one) > behind(next)));
        let recovered = delivered.iter().filter(|sequence| behind(sequence) != 0).count() as u64;
        assert_eq!(
            (after.received, after.recovered),
            (before.received + 1, before.recovered + recovered)
        );
    }
}

fn send(data: &[u8]) {
    let Some((&[how, max, losses, more_losses], mut rest)) = data.split_first_chunk() else {
        return;
    };
    let correction = match how & 3 {
        0 => ErrorCorrection::None,
        1 => ErrorCorrection::Redundancy,
        _ => ErrorCorrection::Fec,
    };
    let max = 4 * usize::from(max);
    let mut sender = Sender::new(correction, usize::from(how >> 2 & 7), max).with_span(how >> 5);
    let mut receiver = Receiver::new(Limits::default());
    let losses = u16::from_be_bytes([losses, more_losses]);
    let (mut sent, mut datagram, mut lowest) = (Vec::new(), Vec::new(), 0);
    while let Some((&len, after)) = rest.split_first() {
        let (ifp, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        let Ok(sequence) = sender.wrap(ifp, &mut datagram) else {
            assert!(ifp.is_empty());
            continue;
        };
        assert_eq!(usize::from(sequence), sent.len());
        assert!(datagram.len() <= max.max(ifp.len() + 6));
        sent.push(ifp);
        if losses >> (sequence % 16) & 1 != 0 {
            continue;
        }
        let deliver = |delivered: u16, octets: &[u8]| {
            assert!((lowest..=sequence).contains(&delivered));
            lowest = delivered + 1;
            // What came back from parities may have zeros behind it.
            let (begin, zeros) = octets.split_at(sent[usize::from(delivered)].len());
            assert_eq!(begin, sent[usize::from(delivered)]);
            assert!(zeros.iter().all(|octet| *octet == 0));
        };
        receiver.take(&datagram, deliver).unwrap();
        assert_eq!(lowest, sequence + 1);
    }
}
