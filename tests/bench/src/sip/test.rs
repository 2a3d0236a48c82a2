//! What the tests of the phones share.

use viaduct_sip::{Limits, Message};

use super::{Directory, Outbox, Side};

/// So many callers, and as many to be called.
pub(super) fn directory(pairs: usize) -> Directory {
    let address = |port: u16| ([127, 0, 0, 1], port).into();
    Directory::new(pairs, address(5_061), address(5_062))
}

/// Everything that is to be sent, read.
pub(super) fn taken(out: &mut Outbox) -> Vec<(Side, Message)> {
    let read = |octets| Message::parse_datagram(octets, &Limits::default()).unwrap();
    out.drain().map(|(side, octets)| (side, read(octets))).collect()
}
