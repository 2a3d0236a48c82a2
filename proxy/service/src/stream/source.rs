//! Whom a socket listens to.

use std::net::SocketAddr;

/// The peer of one socket. The address from the SDP has the last word; until it speaks, the first that sends something
/// valid is heard, because a host with several addresses may send from another than it names.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Source {
    heard: Option<SocketAddr>,
}

impl Source {
    /// True when a packet from there may be heard.
    pub(super) fn admits(&self, from: SocketAddr, named: Option<SocketAddr>) -> bool {
        named == Some(from) || self.heard.is_none_or(|heard| heard == from)
    }

    /// A valid packet came from there.
    pub(super) fn settle(&mut self, from: SocketAddr) {
        self.heard = Some(from);
    }

    /// Another address was named.
    pub(super) fn reset(&mut self) {
        self.heard = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_address_ends_the_say_of_any_other() {
        let (named, other, third) = (addr("192.0.2.1:1"), addr("192.0.2.2:2"), addr("192.0.2.3:3"));
        let mut source = Source::default();
        assert!(source.admits(other, Some(named)));
        source.settle(other);
        assert!(source.admits(other, Some(named)) && !source.admits(third, Some(named)));
        assert!(source.admits(named, Some(named)));
        source.settle(named);
        assert!(!source.admits(other, Some(named)));
        source.reset();
        assert!(source.admits(third, Some(named)));
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}
