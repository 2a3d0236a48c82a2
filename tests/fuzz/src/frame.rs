//! Frames of an interface, as workers read them.

use viaduct_kmod_helper::frame::{Heard, fits, write};
use viaduct_kmod_helper::{IpHeader, NextHop};

const HOP: NextHop = NextHop {
    ifindex: 1,
    from: [2, 0, 0, 0, 0, 1],
    to: [2, 0, 0, 0, 0, 2],
    mtu: 1_500,
};

/// Reads one frame.
///
/// Laws: what is heard lies within the frame, and, sent on by the same ports to an address that packets can have, is heard again as
/// it was.
pub fn frame(data: &[u8]) {
    let Some(heard) = Heard::read(data) else { return };
    assert!(heard.payload.len() + 28 <= data.len());
    assert_eq!(heard.from.is_ipv4(), heard.to.is_ipv4());
    let Some(header) = IpHeader::new(heard.from, heard.to, 0xb8, 64, heard.payload) else {
        // Nobody sends to port 0, or to an address of IPv4 in one of IPv6.
        return;
    };
    if !fits(&HOP, &header, heard.payload.len()) {
        return;
    }
    let mut sent = [0xee; 1_514];
    let len = write(&mut sent, &HOP, &header, heard.payload);
    let again = Heard::read(&sent[..len]);
    assert_eq!(again, Some(heard), "{data:x?}");
}
