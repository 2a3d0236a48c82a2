/// A datagram or WebSocket message that only keeps a path open. Neither is a SIP message, and neither is a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// No octets at all.
    Empty,
    /// CRLF: an answer to a ping, or a half-hearted ping of a UDP phone.
    Pong,
    /// CRLFCRLF: on WebSocket and streams to be answered by CRLF (RFC 5626 section 3.5.1).
    Ping,
    /// NULs only, as some NAT helpers send them.
    Nul,
}

impl KeepAlive {
    /// The octets of a ping.
    pub const PING: &'static [u8] = b"\r\n\r\n";
    /// The octets that answer a ping.
    pub const PONG: &'static [u8] = b"\r\n";
    /// The most NULs that count as a keep-alive.
    const NULS_MAX: usize = 4;

    /// Says which keep-alive `octets` are, `None` for anything else: more than two line ends too, so that nothing large
    /// passes uncounted.
    pub fn recognize(octets: &[u8]) -> Option<Self> {
        match octets {
            b"" => Some(Self::Empty),
            b"\r\n" => Some(Self::Pong),
            b"\r\n\r\n" => Some(Self::Ping),
            nuls if nuls.len() <= Self::NULS_MAX && nuls.iter().all(|&byte| byte == 0) => Some(Self::Nul),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alives_are_told_from_messages() {
        assert_eq!(KeepAlive::recognize(b""), Some(KeepAlive::Empty));
        assert_eq!(KeepAlive::recognize(KeepAlive::PING), Some(KeepAlive::Ping));
        assert_eq!(KeepAlive::recognize(KeepAlive::PONG), Some(KeepAlive::Pong));
        assert_eq!(KeepAlive::recognize(b"\0"), Some(KeepAlive::Nul));
        assert_eq!(KeepAlive::recognize(b"\0\0\0\0"), Some(KeepAlive::Nul));
        assert_eq!(KeepAlive::recognize(b"\0\0\0\0\0"), None);
        assert_eq!(KeepAlive::recognize(b"\r\n\r\n\r\n"), None);
        assert_eq!(KeepAlive::recognize(b"INVITE"), None);
    }
}
