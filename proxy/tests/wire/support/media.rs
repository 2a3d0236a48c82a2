//! Speech as a desk phone sends it: G.711 in RTP.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// The time of one packet.
const PACKET: Duration = Duration::from_millis(20);

/// Samples of one packet.
const SAMPLES: usize = 160;

/// Octets of an RTP header without extras.
const HEADER: usize = 12;

/// Where a phone sends from and receives.
pub(crate) struct Media {
    socket: UdpSocket,
    /// When its clock began.
    begun: Instant,
    /// Packets that should have been sent since then.
    ticks: u32,
    sequence: u16,
    /// The octet that is spoken, another one each time.
    sound: u8,
}

impl Media {
    pub(crate) fn at(address: IpAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(PACKET)).unwrap();
        Self {
            socket,
            begun: Instant::now(),
            ticks: 0,
            sequence: 0,
            sound: 0x10,
        }
    }

    /// An offer or answer of G.711.
    pub(crate) fn sdp(&self) -> String {
        sdp(self.socket.local_addr().unwrap(), "8", "a=rtpmap:8 PCMA/8000\r\n")
    }

    /// Speaks to an address until it is heard from there what is said.
    pub(crate) fn hear_echo(&mut self, from: SocketAddr) {
        /// Packets that are no accident.
        const ENOUGH: u32 = 3;
        // Neither silence, nor what was said before, nor likely in a tone.
        self.sound = self.sound % 0x30 + 0x10;
        let (mut heard, deadline) = (0, Instant::now() + PATIENCE);
        let mut buffer = [0; 2_048];
        while heard < ENOUGH {
            assert!(Instant::now() < deadline, "no echo");
            self.say(from);
            // No longer than until the next packet is due.
            let Ok((length, source)) = self.socket.recv_from(&mut buffer) else {
                continue;
            };
            assert_eq!(source, from, "media of a stranger");
            let spoken = buffer[HEADER..length]
                .iter()
                .filter(|octet| **octet == self.sound);
            heard += u32::from(spoken.count() > SAMPLES / 2);
        }
    }

    /// Sends the packet of this moment, if it is due. Those of a time without a call are left out, as after silence.
    fn say(&mut self, to: SocketAddr) {
        let ticks = self.begun.elapsed().as_millis() / PACKET.as_millis();
        let ticks = u32::try_from(ticks).unwrap();
        if ticks == self.ticks {
            return;
        }
        self.ticks = ticks;
        self.sequence += 1;
        let mut packet = vec![0x80, 8];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend((ticks * SAMPLES as u32).to_be_bytes());
        packet.extend(0x7e57_0001_u32.to_be_bytes());
        packet.extend([self.sound; SAMPLES]);
        self.socket.send_to(&packet, to).unwrap();
    }
}

/// An SDP with one audio line.
pub(crate) fn sdp(address: SocketAddr, formats: &str, attributes: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP \
         {formats}\r\n{attributes}"
    )
}

/// Where an SDP wants its audio.
pub(crate) fn destination(sdp: &[u8]) -> SocketAddr {
    let sdp = str::from_utf8(sdp).unwrap();
    let word = |line: &str, at: usize| -> String {
        let found = sdp.lines().find_map(|text| text.strip_prefix(line)).unwrap();
        found.split(' ').nth(at).unwrap().to_owned()
    };
    SocketAddr::new(
        word("c=IN ", 1).parse().unwrap(),
        word("m=audio ", 0).parse().unwrap(),
    )
}
