//! A desk phone: plain RTP, RTCP on the next port.

use std::net::SocketAddr;

use viaduct_forward::Verdict;
use viaduct_rtp::RtpFields;
use viaduct_rtp::rtcp::RtcpWriter;

use crate::world::{Sdp, World, addr};

/// 20 ms of G.711.
pub(crate) fn rtp(ssrc: u32, sequence: u16, payload_type: u8) -> Vec<u8> {
    let fields = RtpFields {
        marker: false,
        payload_type,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc,
    };
    let mut packet = fields.encode().to_vec();
    packet.extend((0..160).map(|n| n ^ sequence as u8));
    packet
}

pub(crate) fn receiver_report(ssrc: u32) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    writer.receiver_report(ssrc, &[]).unwrap();
    writer.finish().to_vec()
}

pub(crate) struct Phone {
    pub(crate) rtp: SocketAddr,
    pub(crate) ssrc: u32,
    /// Where the relay hears it.
    pub(crate) relay: Option<SocketAddr>,
    pub(crate) sequence: u16,
    /// Version of its SDP.
    pub(crate) version: u32,
}

impl Phone {
    pub(crate) fn new(rtp: &str, ssrc: u32) -> Self {
        Self {
            rtp: addr(rtp),
            ssrc,
            relay: None,
            sequence: 100,
            version: 0,
        }
    }

    pub(crate) fn rtcp(&self) -> SocketAddr {
        SocketAddr::new(self.rtp.ip(), self.rtp.port() + 1)
    }

    /// G.711 and DTMF.
    pub(crate) fn sdp(&mut self) -> String {
        self.sdp_with("RTP/AVP", &["a=sendrecv"])
    }

    pub(crate) fn sdp_with(&mut self, protocol: &str, attributes: &[&str]) -> String {
        self.version += 1;
        let (ip, port) = (self.rtp.ip(), self.rtp.port());
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let attributes: String = attributes
            .iter()
            .map(|attribute| format!("{attribute}\r\n"))
            .collect();
        format!(
            "v=0\r\no=desk 77 {} IN {family} {ip}\r\ns=call\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {port} {protocol} 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n{attributes}",
            self.version
        )
    }

    /// Reads where the relay hears it.
    pub(crate) fn read(&mut self, sdp: &Sdp) {
        self.relay = Some(sdp.address(0));
    }

    /// Sends a packet; what it was.
    pub(crate) fn send(&mut self, world: &mut World) -> (Verdict, Vec<u8>) {
        let from = self.rtp;
        self.send_from(world, from)
    }

    pub(crate) fn send_from(&mut self, world: &mut World, from: SocketAddr) -> (Verdict, Vec<u8>) {
        self.sequence += 1;
        let packet = rtp(self.ssrc, self.sequence, 8);
        let verdict = world.receive(from, self.relay.expect("an SDP of the relay"), &packet);
        (verdict, packet)
    }

    /// Sends a report to the relay's RTCP port.
    pub(crate) fn send_report(&mut self, world: &mut World) -> (Verdict, Vec<u8>) {
        let relay = self.relay.expect("an SDP of the relay");
        let packet = receiver_report(self.ssrc);
        let verdict = world.receive(
            self.rtcp(),
            SocketAddr::new(relay.ip(), relay.port() + 1),
            &packet,
        );
        (verdict, packet)
    }

    /// What has come in on the RTP port, each with the relay's port.
    pub(crate) fn received(&self, world: &mut World) -> Vec<Vec<u8>> {
        world
            .take(self.rtp)
            .into_iter()
            .map(|datagram| datagram.data)
            .collect()
    }

    pub(crate) fn received_reports(&self, world: &mut World) -> Vec<Vec<u8>> {
        world
            .take(self.rtcp())
            .into_iter()
            .map(|datagram| datagram.data)
            .collect()
    }
}
