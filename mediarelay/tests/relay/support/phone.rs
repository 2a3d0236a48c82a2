//! A phone: an RTP port, the RTCP port after it, and the SDP that names them.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::PATIENCE;
use super::undisturbed::undisturbed;

/// One phone.
pub(crate) struct Phone {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    ssrc: u32,
}

impl Phone {
    /// At an address, with a source number of its own.
    pub(crate) fn at(address: IpAddr, ssrc: u32) -> Self {
        let (rtp, rtcp) = std::iter::repeat_with(|| {
            let rtp = UdpSocket::bind((address, 0)).ok()?;
            let port = rtp.local_addr().ok()?.port();
            let rtcp = UdpSocket::bind((address, port.checked_add(1)?)).ok()?;
            (port % 2 == 0).then_some((rtp, rtcp))
        })
        .flatten()
        .next()
        .unwrap();
        for socket in [&rtp, &rtcp] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        Self { rtp, rtcp, ssrc }
    }

    /// What it says of itself.
    pub(crate) fn sdp(&self) -> String {
        let local = self.rtp.local_addr().unwrap();
        let family = if local.is_ipv4() { "IP4" } else { "IP6" };
        let (ip, port) = (local.ip(), local.port());
        format!(
            "v=0\r\no=- {0} 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP \
             8\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n",
            self.ssrc
        )
    }

    /// An RTP packet of this phone.
    pub(crate) fn packet(&self, sequence: u16) -> Vec<u8> {
        packet(self.ssrc, sequence)
    }

    /// An empty receiver report of this phone.
    pub(crate) fn report(&self) -> Vec<u8> {
        report(self.ssrc)
    }

    /// The next packet on the RTP port, and where it came from.
    pub(crate) fn hear(&self) -> (Vec<u8>, SocketAddr) {
        receive(&self.rtp)
    }

    /// The next packet on the RTCP port, and where it came from.
    pub(crate) fn hear_report(&self) -> (Vec<u8>, SocketAddr) {
        receive(&self.rtcp)
    }
}

/// An RTP packet with 20 ms of silence in G.711 A-law.
pub(super) fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

/// An empty receiver report.
pub(super) fn report(ssrc: u32) -> Vec<u8> {
    let mut report = vec![0x80, 201, 0, 1];
    report.extend(ssrc.to_be_bytes());
    report
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 2_048];
    let (len, from) = undisturbed(PATIENCE, || socket.recv_from(&mut buffer)).unwrap();
    buffer.truncate(len);
    (buffer, from)
}

/// Where an SDP says that RTP and RTCP of its first m-line go.
pub(crate) fn media_of(sdp: &[u8]) -> (SocketAddr, SocketAddr) {
    let sdp = str::from_utf8(sdp).unwrap();
    let after = |prefix: &str| sdp.lines().find_map(|line| line.strip_prefix(prefix));
    let word = |text: &str, at: usize| text.split(' ').nth(at).unwrap().to_owned();
    let ip: IpAddr = word(after("c=IN ").unwrap(), 1).parse().unwrap();
    let rtp: u16 = word(after("m=audio ").unwrap(), 0).parse().unwrap();
    let rtcp = after("a=rtcp:").map_or(rtp + 1, |text| word(text, 0).parse().unwrap());
    (SocketAddr::new(ip, rtp), SocketAddr::new(ip, rtcp))
}
