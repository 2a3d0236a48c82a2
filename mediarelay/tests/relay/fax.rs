//! Fax between T.38 and a phone line (NG `T.38`), over real sockets: what one side says is heard at the other. Whole pages pass
//! in the tests of `viaduct-fax`. Skipped, with the reason, where spandsp is not installed.

use std::f64::consts::TAU;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use viaduct_fax::spandsp::Library;
use viaduct_fax::udptl::{ErrorCorrection, Limits, Receiver, Sender};
use viaduct_ng::{Encoding, Request, T38};
use viaduct_rtp::g711::a_law;
use viaduct_rtp::{RtpFields, RtpPacket};

use crate::support::call::{answer, delete, offer, ok, sdp_of};
use crate::support::ng::Proxy;
use crate::support::own_address;
use crate::support::phone::media_of;
use crate::support::program::Program;
use crate::support::undisturbed::undisturbed;

/// IFP packets of T.38 section 7.3.1: nothing is said, the called machine's tone, and what precedes commands and answers.
const NO_SIGNAL: u8 = 0x00;
const CED: u8 = 0x04;
const PREAMBLE: u8 = 0x06;

/// Of the called machine's tone, in Hz (T.30 section 4.3.3.2).
const CED_HERTZ: f64 = 2_100.0;

/// How long a side may take to hear something.
const PATIENCE: Duration = Duration::from_secs(10);

/// The part of a packet's power that is at a frequency, by Goertzel.
fn share(octets: &[u8], hertz: f64) -> f64 {
    let samples: Vec<f64> = octets
        .iter()
        .map(|octet| f64::from(a_law::decode(*octet)))
        .collect();
    let power: f64 = samples.iter().map(|sample| sample * sample).sum();
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let angle = TAU * hertz * at as f64 / 8_000.0;
        re += sample * angle.cos();
        im += sample * angle.sin();
    }
    if power < 1e6 {
        // Silence has no frequency.
        return 0.0;
    }
    2.0 * (re * re + im * im) / (power * samples.len() as f64)
}

/// A machine that begins to say what it is: V.21 at 300 bits a second, with nothing but the flags of HDLC (T.30 section 5.3.1).
struct Preamble {
    /// Samples that were said.
    said: u32,
    /// Of the wave, in turns.
    phase: f64,
}

impl Preamble {
    /// The next 20 ms.
    fn packet(&mut self, sequence: u16) -> Vec<u8> {
        let header = RtpFields {
            marker: sequence == 0,
            payload_type: 8,
            sequence,
            timestamp: self.said,
            ssrc: 0xfa,
        };
        let mut packet = header.encode().to_vec();
        for _ in 0..160 {
            let bit = self.said * 300 / 8_000;
            let is_one = 0b0111_1110 >> (bit % 8) & 1 == 1;
            self.phase += if is_one { 1_650.0 } else { 1_850.0 } / 8_000.0;
            self.said += 1;
            packet.push(a_law::encode(((TAU * self.phase).sin() * 8_000.0) as i16));
        }
        packet
    }
}

#[test]
fn a_tone_passes_to_a_phone_and_a_preamble_to_t_38() {
    if let Err(error) = Library::load() {
        println!("skipped: {error}");
        return;
    }
    let address = own_address();
    let socket = || {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let (fax, phone) = (socket(), socket());
    let relay = Program::start(&[]);
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let session = format!("v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n");
    let fax_port = fax.local_addr().unwrap().port();
    let of_fax = format!(
        "{session}m=image {fax_port} udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n"
    );
    let phone_port = phone.local_addr().unwrap().port();
    let of_phone = format!("{session}m=audio {phone_port} RTP/AVP 8\r\n");
    let mut request = offer("fax", &of_fax);
    if let Request::Offer(offer) = &mut request {
        offer.options.t38.insert(T38::Decode);
    }
    let for_phone = media_of(&sdp_of(proxy.ask(&request))).0;
    let told = String::from_utf8(sdp_of(proxy.ask(&answer("fax", &of_phone)))).unwrap();
    let port = told
        .lines()
        .find_map(|line| line.strip_prefix("m=image ")?.split(' ').next());
    let for_fax = SocketAddr::new(for_phone.ip(), port.unwrap().parse().unwrap());

    // From T.38 to the phone.
    let mut sender = Sender::new(ErrorCorrection::Redundancy, 3, 512);
    let mut datagram = Vec::new();
    let mut say = |ifp: u8| {
        sender.wrap(&[ifp], &mut datagram).unwrap();
        fax.send_to(&datagram, for_fax).unwrap();
    };
    say(NO_SIGNAL);
    say(CED);
    let mut buffer = [0; 2_048];
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (len, from) = undisturbed(PATIENCE, || phone.recv_from(&mut buffer)).unwrap();
        assert_eq!(from, for_phone);
        let packet = RtpPacket::parse(&buffer[..len]).unwrap();
        assert_eq!((packet.header().payload_type(), packet.payload().len()), (8, 160));
        if share(packet.payload(), CED_HERTZ) > 0.9 {
            break;
        }
        assert!(Instant::now() < deadline, "the tone was not heard");
    }
    say(NO_SIGNAL);

    // From the phone to T.38: a packet for each that comes, so in their time.
    let mut receiver = Receiver::new(Limits::default());
    fax.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    let mut preamble = Preamble { said: 0, phase: 0.0 };
    for sequence in 0.. {
        phone.recv_from(&mut buffer).unwrap();
        phone.send_to(&preamble.packet(sequence), for_phone).unwrap();
        while let Ok((len, from)) = fax.recv_from(&mut buffer) {
            assert_eq!(from, for_fax);
            receiver
                .take(&buffer[..len], |_, ifp| heard.push(ifp.to_vec()))
                .unwrap();
        }
        if heard.contains(&vec![PREAMBLE]) {
            break;
        }
        assert!(Instant::now() < deadline, "no more than {heard:x?} was heard");
    }
    ok(proxy.ask(&delete("fax")));
}
