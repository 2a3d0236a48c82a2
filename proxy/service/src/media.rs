//! What two endpoints agree on about one audio stream.

use std::net::{IpAddr, SocketAddr};

use viaduct_rtp::g711::{a_law, mu_law};
use viaduct_sdp::Direction;

/// The sampling rate and RTP clock of everything here, in Hz.
pub const CLOCK_HZ: u32 = 8_000;

/// A codec of ours: one octet a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl Codec {
    /// Every codec, in the order in which we offer them.
    pub const ALL: [Self; 2] = [Self::Pcmu, Self::Pcma];

    /// The encoding name (RFC 3551 section 6).
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The static payload type (RFC 3551 section 6).
    pub fn static_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The octet nearest to a sample.
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Pcmu => mu_law::encode(sample),
            Self::Pcma => a_law::encode(sample),
        }
    }

    /// The sample of an octet.
    pub fn decode(self, octet: u8) -> i16 {
        match self {
            Self::Pcmu => mu_law::decode(octet),
            Self::Pcma => a_law::decode(octet),
        }
    }

    /// The octet of silence.
    pub fn silence(self) -> u8 {
        match self {
            Self::Pcmu => mu_law::SILENCE,
            Self::Pcma => a_law::SILENCE,
        }
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Which of a stream's two sockets. RFC 3550 section 11: RTP on an even port, RTCP on the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// The socket of [`MediaAddress::rtp`]; RTCP as well where both sides multiplex (RFC 5761).
    Rtp,
    /// The socket of [`MediaAddress::rtcp`].
    Rtcp,
}

/// The two sockets of a stream, as the peer reaches them. Both of one family, neither unspecified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaAddress {
    /// Where we receive RTP.
    pub rtp: SocketAddr,
    /// Where we receive RTCP, unless it is multiplexed. At the same IP address.
    pub rtcp: SocketAddr,
}

impl MediaAddress {
    /// RTP at this address, RTCP at the port after it. `None` for port 65535.
    pub fn pair(rtp: SocketAddr) -> Option<Self> {
        let mut rtcp = rtp;
        rtcp.set_port(rtp.port().checked_add(1)?);
        Some(Self { rtp, rtcp })
    }

    /// True when a peer that was told this address could send to it.
    pub(crate) fn is_usable(&self, family: Family) -> bool {
        let ip = self.rtp.ip();
        Family::of(ip) == family
            && self.rtcp.ip() == ip
            && !ip.is_unspecified()
            && self.rtp.port() != 0
            && self.rtcp.port() != 0
    }
}

/// Payload types that the peer expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SendTypes {
    /// Of [`MediaParams::codec`].
    pub audio: u8,
    /// Of `telephone-event/8000` (RFC 4733), if the peer takes it.
    pub event: Option<u8>,
}

/// Payload types that the peer was told to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ReceiveTypes {
    /// Of PCMU.
    pub pcmu: Option<u8>,
    /// Of PCMA.
    pub pcma: Option<u8>,
    /// Of `telephone-event/8000`.
    pub event: Option<u8>,
}

impl ReceiveTypes {
    /// The payload type of a codec.
    pub fn of(&self, codec: Codec) -> Option<u8> {
        match codec {
            Codec::Pcmu => self.pcmu,
            Codec::Pcma => self.pcma,
        }
    }

    /// The codec of a payload type.
    pub fn codec(&self, payload_type: u8) -> Option<Codec> {
        Codec::ALL
            .into_iter()
            .find(|codec| self.of(*codec) == Some(payload_type))
    }

    pub(crate) fn set(&mut self, codec: Codec, payload_type: u8) {
        match codec {
            Codec::Pcmu => self.pcmu = Some(payload_type),
            Codec::Pcma => self.pcma = Some(payload_type),
        }
    }

    pub(crate) fn has(&self, payload_type: u8) -> bool {
        self.codec(payload_type).is_some() || self.event == Some(payload_type)
    }
}

/// What was agreed about one audio stream, seen from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaParams {
    /// What we send. What comes in another codec is converted.
    pub codec: Codec,
    /// Payload types of what we send.
    pub send: SendTypes,
    /// Payload types of what we receive.
    pub receive: ReceiveTypes,
    /// What we do: `RecvOnly` and `Inactive` send no RTP, `SendOnly` and `Inactive` expect none.
    pub direction: Direction,
    /// Where RTP goes. `None` while the peer named no address, or named none that receives.
    pub remote: Option<SocketAddr>,
    /// Where RTCP goes; the address of RTP when it is multiplexed.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTP and RTCP share the RTP sockets of both sides (RFC 5761).
    pub rtcp_mux: bool,
}

impl MediaParams {
    /// Where RTP goes at this moment, if any goes anywhere.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        self.remote.filter(|_| self.direction.sends())
    }

    /// True when the caller's RTP must come. On hold it need not: many phones that say `sendonly` send nothing.
    pub(crate) fn expects_media(&self) -> bool {
        self.direction == Direction::SendRecv && self.remote.is_some()
    }

    /// The socket of ours that RTCP uses.
    pub(crate) fn rtcp_component(&self) -> Component {
        if self.rtcp_mux {
            Component::Rtp
        } else {
            Component::Rtcp
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtcp_is_one_port_above_rtp() {
        let pair = MediaAddress::pair("192.0.2.1:4000".parse().unwrap()).unwrap();
        assert_eq!(pair.rtcp, "192.0.2.1:4001".parse().unwrap());
        assert_eq!(MediaAddress::pair("192.0.2.1:65535".parse().unwrap()), None);
    }

    #[test]
    fn an_address_that_nobody_reaches_is_not_usable() {
        let usable = |text: &str, family| {
            MediaAddress::pair(text.parse().unwrap())
                .unwrap()
                .is_usable(family)
        };
        assert!(usable("192.0.2.1:4000", Family::V4));
        assert!(usable("[2001:db8::1]:4000", Family::V6));
        assert!(!usable("192.0.2.1:4000", Family::V6));
        assert!(!usable("0.0.0.0:4000", Family::V4));
        assert!(!usable("192.0.2.1:0", Family::V4));
    }
}
