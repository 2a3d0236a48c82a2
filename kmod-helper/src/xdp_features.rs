//! What interfaces can do with frames (generic netlink, family `netdev`; Linux 6.3 and later).

use std::io;

use nix::sys::socket::SockProtocol;

use crate::netlink::{Attributes, Conversation};

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// `NETDEV_XDP_ACT_BASIC` and `_REDIRECT`: programs at the interface may hand its frames on.
const HANDS_ON: u64 = 1 | 2;
/// `NETDEV_XDP_ACT_NDO_XMIT`: sends frames that programs at other interfaces hand to it.
const SENDS_FRAMES: u64 = 4;

/// A conversation about it, in the network namespace where it was begun.
#[derive(Debug)]
pub(crate) struct XdpFeatures {
    conversation: Conversation,
    family: u16,
}

impl XdpFeatures {
    /// Begins it.
    ///
    /// # Errors
    /// The system's, and where the kernel knows nothing of this.
    pub(crate) fn open() -> io::Result<Self> {
        let mut conversation = Conversation::begin(SockProtocol::NetlinkGeneric)?;
        let mut family = None;
        let question = request(CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, b"netdev\0");
        conversation.ask(GENL_ID_CTRL, 0, &question, |_, body| {
            family = attribute(body, CTRL_ATTR_FAMILY_ID)
                .and_then(|id| Some(u16::from_ne_bytes(id.try_into().ok()?)));
        })??;
        let family =
            family.ok_or_else(|| io::Error::other("the kernel tells nothing of interfaces and frames"))?;
        Ok(Self { conversation, family })
    }

    /// Whether programs at an interface may hand its frames on.
    pub(crate) fn hands_frames_on(&mut self, ifindex: u32) -> bool {
        self.of(ifindex) & HANDS_ON == HANDS_ON
    }

    /// Whether an interface sends frames that come from others now. That may change: a veth does as long as its peer is ready.
    pub(crate) fn sends_frames(&mut self, ifindex: u32) -> bool {
        self.of(ifindex) & SENDS_FRAMES != 0
    }

    fn of(&mut self, ifindex: u32) -> u64 {
        let mut features = 0;
        let question = request(NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &ifindex.to_ne_bytes());
        let answer = self.conversation.ask(self.family, 0, &question, |_, body| {
            features = features_of(body).unwrap_or(0);
        });
        if matches!(answer, Ok(Ok(()))) { features } else { 0 }
    }
}

fn features_of(body: &[u8]) -> Option<u64> {
    let value = attribute(body, NETDEV_A_DEV_XDP_FEATURES)?;
    Some(u64::from_ne_bytes(value.try_into().ok()?))
}

/// A question with one attribute.
fn request(command: u8, attribute: u16, value: &[u8]) -> Vec<u8> {
    const VERSION: u8 = 1;
    let mut request = vec![command, VERSION, 0, 0];
    request.extend((4 + value.len() as u16).to_ne_bytes());
    request.extend(attribute.to_ne_bytes());
    request.extend(value);
    request.resize(request.len().next_multiple_of(4), 0);
    request
}

/// One attribute of an answer, behind the generic head.
fn attribute(body: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut attributes = Attributes(body.get(4..)?);
    attributes
        .find(|(kind, _)| *kind == wanted)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_sends_no_frames_of_others() {
        match XdpFeatures::open() {
            Ok(mut features) => {
                assert!(!features.sends_frames(1) && !features.hands_frames_on(1));
                assert!(!features.sends_frames(u32::MAX), "there is no such interface");
            }
            Err(error) => println!("skipped: {error}"),
        }
    }

    #[test]
    fn features_are_found_among_other_attributes() {
        let mut body = vec![1, 1, 0, 0];
        body.extend(request(0, NETDEV_A_DEV_IFINDEX, &7_u32.to_ne_bytes()).split_off(4));
        assert_eq!(features_of(&body), None);
        body.extend(request(0, NETDEV_A_DEV_XDP_FEATURES, &5_u64.to_ne_bytes()).split_off(4));
        assert_eq!(features_of(&body), Some(5));
        body.truncate(body.len() - 1);
        assert_eq!(features_of(&body), None);
    }
}
