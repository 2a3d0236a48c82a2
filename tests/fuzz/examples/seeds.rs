//! Writes the seeds that are no text: `cargo run -p viaduct-fuzz --example seeds`. What it writes is committed; it is
//! here so that a seed can be changed, and to say what each one is.

use std::fs;
use std::path::Path;

use viaduct_fax::udptl::{ErrorCorrection, Sender};
use viaduct_kmod_helper::{IpHeader, NextHop};
use viaduct_rtp::rtcp::{ReportBlock, RtcpWriter, SenderInfo};
use viaduct_rtp::srtp::{SendContext, SrtpKeyMaterial, SrtpLimits, SrtpProfile};
use viaduct_rtp::telephone_event::TelephoneEvent;
use viaduct_rtp::{RtpFields, Tick};
use viaduct_stun::{AttributeType, Class, IntegrityKey, MessageWriter, Method, TransactionId, WriteError};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    stun()?;
    rtp()?;
    srtp()?;
    worker()?;
    dns()?;
    ws_frames()?;
    clip()?;
    udptl()?;
    frames()?;
    proxies()
}

fn write(target: &str, name: &str, octets: &[u8]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), octets)?)
}

/// The agent of the `stun` and `worker` targets, as its peer knows it.
const USERNAME: &str = "evtj:h6vY";
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

type Attributes<'f> = &'f dyn Fn(&mut MessageWriter<'_>) -> std::result::Result<(), WriteError>;

fn message(class: Class, attributes: Attributes<'_>) -> Result<Vec<u8>> {
    let mut buffer = [0; 512];
    let mut writer = MessageWriter::new(
        &mut buffer,
        class,
        Method::BINDING,
        TransactionId(*b"seed of stun"),
    )?;
    attributes(&mut writer)?;
    Ok(writer.finish().to_vec())
}

/// A check as Chromium sends it.
fn check(nominates: bool) -> Result<Vec<u8>> {
    message(Class::Request, &|writer| {
        writer
            .username(USERNAME)?
            .attribute(AttributeType(0xc057), &[0, 1, 0, 10])?
            .ice_controlling(0x1122_3344_5566)?;
        if nominates {
            writer.use_candidate()?;
        }
        writer
            .priority(0x6e00_01ff)?
            .integrity(&IntegrityKey::short_term(PASSWORD))?
            .fingerprint()?;
        Ok(())
    })
}

fn stun() -> Result<()> {
    let key = IntegrityKey::short_term(PASSWORD);
    write("stun", "check", &check(false)?)?;
    write("stun", "check-nominating", &check(true)?)?;
    let wrong = message(Class::Request, &|writer| {
        writer
            .username(USERNAME)?
            .priority(1)?
            .integrity(&IntegrityKey::short_term("another"))?
            .fingerprint()?;
        Ok(())
    });
    write("stun", "check-wrong-password", &wrong?)?;
    let controlled = message(Class::Request, &|writer| {
        writer
            .username(USERNAME)?
            .ice_controlled(7)?
            .priority(1)?
            .integrity(&key)?
            .fingerprint()?;
        Ok(())
    });
    write("stun", "check-role-conflict", &controlled?)?;
    let unknown = message(Class::Request, &|writer| {
        for kind in 0x7000..0x700c {
            writer.attribute(AttributeType(kind), &[kind as u8])?;
        }
        writer.username(USERNAME)?.integrity(&key)?.fingerprint()?;
        Ok(())
    });
    write("stun", "check-unknown-attributes", &unknown?)?;
    let bare = message(Class::Request, &|writer| writer.fingerprint().map(drop));
    write("stun", "request-bare", &bare?)?;
    let success = message(Class::Success, &|writer| {
        writer.xor_mapped_address(
            "[2001:db8::7]:50000"
                .parse()
                .unwrap_or_else(|_| ([0, 0, 0, 0], 0).into()),
        )?;
        writer.integrity(&key)?.fingerprint()?;
        Ok(())
    });
    write("stun", "success-ipv6", &success?)?;
    let error = message(Class::Error, &|writer| {
        writer
            .error_code(420, "Unknown Attribute")?
            .unknown_attributes(&[AttributeType(0x7001)])?
            .fingerprint()?;
        Ok(())
    });
    write("stun", "error-420", &error?)?;
    let padded = message(Class::Indication, &|writer| {
        writer.software("odd length.").map(drop)
    });
    write("stun", "indication-software", &padded?)
}

fn packet(payload_type: u8, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let fields = RtpFields {
        marker: sequence == 1,
        payload_type,
        sequence,
        timestamp: 160 * u32::from(sequence),
        ssrc: 0xcafe_0001,
    };
    [&fields.encode()[..], payload].concat()
}

/// With the bits `set` in its first octet and `extra` behind the fixed header.
fn packet_with(set: u8, extra: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut packet = packet(111, 2, &[extra, payload].concat());
    packet[0] |= set;
    packet
}

fn block(ssrc: u32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 12,
        cumulative_lost: -3,
        highest_sequence: 0x0001_0203,
        jitter: 40,
        last_sr: 0x8000_0000,
        delay_since_last_sr: 0x1000,
    }
}

fn compound() -> Result<Vec<u8>> {
    let mut buffer = [0; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    let info = SenderInfo {
        ntp: 0xe5f1_8000_8000_0000,
        rtp_timestamp: 320,
        packets: 2,
        octets: 320,
    };
    writer
        .sender_report(0xcafe_0001, &info, &[block(0xcafe_0002)])?
        .sdes(&[(0xcafe_0001, "seed@example.com")])?;
    writer.bye(&[0xcafe_0001], "gone")?;
    Ok(writer.finish().to_vec())
}

fn rtp() -> Result<()> {
    write("rtp", "pcmu", &packet(0, 1, &[0xff; 40]))?;
    let event = TelephoneEvent {
        event: 5,
        end: true,
        volume: 10,
        duration: 1_600,
    };
    write("rtp", "telephone-event", &packet(101, 9, &event.encode()))?;
    write("rtp", "csrcs", &packet_with(0x02, b"csrcCSRC", b"payload"))?;
    let one_byte = b"\xbe\xde\x00\x02\x30\x30\x00\x10\xff\x22abc\x00";
    write(
        "rtp",
        "extension-one-byte",
        &packet_with(0x10, &one_byte[..12], b"opus"),
    )?;
    write(
        "rtp",
        "extension-two-byte",
        &packet_with(0x10, b"\x10\x00\x00\x02\x03\x01\x30\x00\x04\x00\x00\x00", b"opus"),
    )?;
    write("rtp", "padding", &packet_with(0x20, b"", b"data\x00\x00\x00\x04"))?;
    write("rtp", "rtcp-compound", &compound()?)?;
    let mut buffer = [0; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    writer.receiver_report(1, &[block(2), block(3)])?;
    write("rtp", "rtcp-receiver-report", writer.finish())?;
    write(
        "rtp",
        "rtcp-nack",
        b"\x81\xcd\x00\x03\xca\xfe\x00\x01\xca\xfe\x00\x02\x00\x10\x80\x01",
    )?;
    write("rtp", "rtcp-pli-and-remb", b"\x81\xce\x00\x02\0\0\0\x01\0\0\0\x02\x8f\xce\x00\x05\0\0\0\x01\0\0\0\0REMB\x01\x0b\xff\xff\0\0\0\x02")?;
    write(
        "rtp",
        "rtcp-xr",
        b"\x80\xcf\x00\x04\0\0\0\x01\x04\x00\x00\x02\xe5\xf1\x80\x00\x80\x00\x00\x00",
    )?;
    write(
        "rtp",
        "rtcp-app-padded",
        b"\xa1\xcc\x00\x04\0\0\0\x01seeddata\0\0\0\x04",
    )?;
    let arrivals: Vec<u8> = [1_u16, 2, 4, 3, 4, 9_000, 9_001, 9_002, 65_535, 0, 1]
        .iter()
        .flat_map(|sequence| [&sequence.to_be_bytes()[..], &[0, 1, 0x4e, 0x20, 1, 0x80]].concat())
        .collect();
    write("rtp", "arrivals", &arrivals)
}

fn keys(profile: SrtpProfile, first: u8) -> Result<SrtpKeyMaterial> {
    let octets: Vec<u8> = (first..).take(profile.key_len() + profile.salt_len()).collect();
    Ok(SrtpKeyMaterial::from_sdes(profile, &octets)?)
}

fn protected(sender: &mut SendContext, plain: &[u8], is_rtcp: bool) -> Result<Vec<u8>> {
    let mut buffer = [plain, &[0; 20]].concat();
    let len = if is_rtcp {
        sender.protect_rtcp(Tick::ZERO, &mut buffer, plain.len())?
    } else {
        sender.protect_rtp(Tick::ZERO, &mut buffer, plain.len())?
    };
    buffer.truncate(len);
    Ok(buffer)
}

fn srtp() -> Result<()> {
    for (number, profile) in (0_u8..).zip(SrtpProfile::ALL) {
        let mut sender = SendContext::new(&keys(profile, 1)?, SrtpLimits::default());
        let rtp = protected(&mut sender, &packet(0, 1, b"twenty milliseconds!"), false)?;
        let rtcp = protected(&mut sender, &compound()?, true)?;
        let name = profile.sdes_name().to_ascii_lowercase().replace('_', "-");
        write(
            "srtp",
            &format!("{name}-rtp"),
            &[&[8 | number][..], &rtp].concat(),
        )?;
        write(
            "srtp",
            &format!("{name}-rtcp"),
            &[&[12 | number][..], &rtcp].concat(),
        )?;
    }
    // Sent and delivered, delivered again, damaged, across a wrap, by three sources that take turns.
    let steps: [[u8; 3]; 14] = [
        [0x80, 0xff, 0xfe],
        [0x80, 0xff, 0xff],
        [0x00, 0x00, 0x00],
        [0x80, 0x00, 0x01],
        [1, 2, 0],
        [1, 2, 0],
        [2, 1, 9],
        [0x84, 0x00, 0x05],
        [3, 0, 20],
        [0x88, 0x00, 0x05],
        [0x84, 0x00, 0x06],
        [3, 0, 20],
        [0x80, 0x00, 0x02],
        [1, 0, 0],
    ];
    for (name, choice) in [
        ("story-rtp", 1_u8),
        ("story-rtp-cm", 2),
        ("story-rtcp", 5),
        ("story-rtcp-cm", 6),
    ] {
        write("srtp", name, &[&[choice][..], steps.as_flattened()].concat())?;
    }
    Ok(())
}

fn worker() -> Result<()> {
    // Who and where, as the target reads them.
    const BROWSER: u8 = 0;
    const PHONE: u8 = 0b0101;
    const STRANGER_AT_LEARNING: u8 = 0b1010;
    const STRANGER_AT_PHONE: u8 = 0b0110;
    const LATER: u8 = 0xf0;
    let story = |datagrams: &[(u8, &[u8])]| {
        let mut octets = Vec::new();
        for (head, datagram) in datagrams {
            octets.push(*head);
            octets.extend((datagram.len() as u16).to_be_bytes());
            octets.extend(*datagram);
        }
        octets
    };
    let mut browser = SendContext::new(&keys(SrtpProfile::Aes128CmSha1_80, 1)?, SrtpLimits::default());
    let plain = [packet(0, 1, &[7; 40]), packet(0, 2, &[8; 40])];
    let first = protected(&mut browser, &plain[0], false)?;
    let second = protected(&mut browser, &plain[1], false)?;
    let reports = protected(&mut browser, &compound()?, true)?;
    let dtls = b"\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04hell";
    write(
        "worker",
        "call",
        &story(&[
            (BROWSER, &check(true)?),
            (BROWSER, dtls),
            (BROWSER, &first),
            (PHONE, &plain[0]),
            (BROWSER | LATER, &second),
            (PHONE, &plain[1]),
            (BROWSER, &reports),
            (PHONE, &compound()?),
        ]),
    )?;
    write(
        "worker",
        "replayed-and-damaged",
        &story(&[
            (BROWSER, &first),
            (BROWSER, &first),
            (BROWSER, &plain[1]),
            (PHONE, &first),
            (PHONE, &plain[0]),
            (PHONE, &plain[0]),
        ]),
    )?;
    write(
        "worker",
        "strangers",
        &story(&[
            (STRANGER_AT_LEARNING, &plain[0]),
            (STRANGER_AT_LEARNING, &plain[1]),
            (STRANGER_AT_LEARNING, &plain[1]),
            (STRANGER_AT_PHONE, &plain[0]),
            (STRANGER_AT_PHONE, &check(true)?),
            (STRANGER_AT_PHONE, dtls),
            (STRANGER_AT_LEARNING | LATER, &compound()?),
        ]),
    )
}

/// A name as DNS writes it.
fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut octets: Vec<u8> = labels
        .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat())
        .collect();
    octets.push(0);
    octets
}

/// A record of this name, good for five minutes.
fn record(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u16).to_be_bytes();
    let head = [kind.to_be_bytes(), [0, 1], [0, 0], [1, 44], len].concat();
    [name, &head, data].concat()
}

/// An answer to a question about example.com: the records of its sections.
fn answer(kind: u16, flags: u16, answers: &[Vec<u8>], authority: &[Vec<u8>]) -> Vec<u8> {
    let counts = [1, answers.len() as u16, authority.len() as u16, 0];
    let mut octets = [0x1234, flags].map(u16::to_be_bytes).concat();
    octets.extend(counts.map(u16::to_be_bytes).concat());
    octets.extend(name("example.com"));
    octets.extend([kind, 1].map(u16::to_be_bytes).concat());
    octets.extend(answers.concat());
    octets.extend(authority.concat());
    octets
}

/// Where the name of the question is.
const ASKED: [u8; 2] = [0xc0, 12];

fn dns() -> Result<()> {
    const GOOD: u16 = 0x8180;
    let a = |last| record(&ASKED, 1, &[192, 0, 2, last]);
    write("dns", "a", &answer(1, GOOD, &[a(1), a(2)], &[]))?;
    let aaaa = record(
        &ASKED,
        28,
        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    );
    write("dns", "aaaa", &answer(28, GOOD, &[aaaa], &[]))?;
    let srv = |target: &str, priority: u8| {
        let data = [&[0, priority, 0, 10, 0x13, 0xc4][..], &name(target)].concat();
        record(&ASKED, 33, &data)
    };
    let servers = [srv("one.example.com", 1), srv("two.example.com", 1), srv("", 2)];
    write("dns", "srv", &answer(33, GOOD, &servers, &[]))?;
    let naptr = |service: &str, replacement: &str| {
        let service = [&[service.len() as u8], service.as_bytes()].concat();
        let data = [&[0, 10, 0, 10, 1, b's'][..], &service, &[0], &name(replacement)].concat();
        record(&ASKED, 35, &data)
    };
    let services = [
        naptr("SIP+D2U", "_sip._udp.example.com"),
        naptr("SIPS+D2T", "_sips._tcp.example.com"),
    ];
    write("dns", "naptr", &answer(35, GOOD, &services, &[]))?;
    let alias = record(&ASKED, 5, &name("other.example.com"));
    let behind = record(&name("other.example.com"), 1, &[192, 0, 2, 3]);
    write("dns", "alias", &answer(1, GOOD, &[alias, behind], &[]))?;
    let itself = record(&ASKED, 5, &ASKED);
    write("dns", "alias-of-itself", &answer(1, GOOD, &[itself], &[]))?;
    let soa = [
        name("ns.example.com"),
        name("admin.example.com"),
        vec![0; 18],
        vec![0, 60],
    ]
    .concat();
    let soa = record(&ASKED, 6, &soa);
    write("dns", "no-such-name", &answer(1, GOOD | 3, &[], &[soa]))?;
    write("dns", "server-failure", &answer(35, GOOD | 2, &[], &[]))?;
    write("dns", "truncated", &answer(33, GOOD | 0x0200, &[], &[]))?;
    // A name that is a pointer to itself, one that leads forward and back, and a record that is longer than the message.
    let here = 12 + name("example.com").len() as u8 + 4;
    let circle = record(&[0xc0, here], 1, &[192, 0, 2, 1]);
    write("dns", "fault-pointer-to-itself", &answer(1, GOOD, &[circle], &[]))?;
    let loops = record(&ASKED, 33, &[0, 1, 0, 1, 0x13, 0xc4, 1, b'a', 0xc0, here + 18]);
    write(
        "dns",
        "fault-pointer-behind-a-label",
        &answer(33, GOOD, &[loops], &[]),
    )?;
    let mut long = a(1);
    long[10] = 0xff;
    write("dns", "fault-long-record", &answer(1, GOOD, &[long], &[]))
}

/// A frame of a client whose payload is as long as it says.
fn frame(first: u8, length: u16) -> Vec<u8> {
    let mut octets = vec![first];
    match length {
        0..=125 => octets.push(0x80 | length as u8),
        _ => {
            octets.push(0x80 | 126);
            octets.extend(length.to_be_bytes());
        }
    }
    octets.extend(vec![b'x'; 4 + usize::from(length)]);
    octets
}

fn ws_frames() -> Result<()> {
    const FIN: u8 = 0x80;
    let whole = [frame(FIN | 1, 400), frame(FIN | 9, 4), frame(FIN | 8, 2)];
    write("ws_frames", "whole", &whole.concat())?;
    let pieces = [
        frame(1, 3),
        frame(FIN | 9, 0),
        frame(0, 0),
        frame(FIN | 10, 125),
        frame(FIN, 126),
    ];
    write("ws_frames", "pieces-and-pings", &pieces.concat())?;
    write("ws_frames", "cut-off", &frame(FIN | 2, 300)[..100])?;
    let huge = [&[FIN | 2, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 20]].concat();
    write("ws_frames", "huge", &huge)
}

/// Version 2 of the PROXY protocol.
fn proxies() -> Result<()> {
    let header = |version: u8, family: u8, rest: &[u8]| {
        let len = (rest.len() as u16).to_be_bytes();
        [
            &b"\r\n\r\n\0\r\nQUIT\n"[..],
            &[version, family],
            &len,
            rest,
            b"INVITE",
        ]
        .concat()
    };
    let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x13, 0xc4, 0x13, 0xc5, 4, 0, 1, 0];
    write("proxies", "v2", &header(0x21, 0x11, &v4))?;
    write("proxies", "v2-ipv6", &header(0x21, 0x21, &[0x20; 36]))?;
    write("proxies", "v2-local", &header(0x20, 0, &[]))?;
    write("proxies", "fault-v2-short", &header(0x21, 0x11, &v4[..8]))
}

/// WAV files of 10 ms: as clips are, and as they are not.
fn clip() -> Result<()> {
    let wav = |format: u16, channels: u16, rate: u32, bits: u16| {
        let frame = channels * bits / 8;
        let samples: Vec<u8> = (0..u32::from(frame) * rate / 100)
            .map(|at| (at * 7) as u8)
            .collect();
        [
            &b"RIFF"[..],
            &(36 + samples.len() as u32).to_le_bytes(),
            b"WAVEfmt ",
            &16_u32.to_le_bytes(),
            &format.to_le_bytes(),
            &channels.to_le_bytes(),
            &rate.to_le_bytes(),
            &(rate * u32::from(frame)).to_le_bytes(),
            &frame.to_le_bytes(),
            &bits.to_le_bytes(),
            b"data",
            &(samples.len() as u32).to_le_bytes(),
            &samples,
        ]
        .concat()
    };
    let (pcm, float, mu_law) = (1, 3, 7);
    write("clip", "plain", &wav(pcm, 1, 8_000, 16))?;
    write("clip", "stereo-48000", &wav(pcm, 2, 48_000, 16))?;
    write("clip", "8-bits-11025", &wav(pcm, 1, 11_025, 8))?;
    write("clip", "24-bits-44100", &wav(pcm, 1, 44_100, 24))?;
    write("clip", "floating-16000", &wav(float, 1, 16_000, 32))?;
    write("clip", "fault-odd-rate", &wav(pcm, 1, 7_919, 16))?;
    write("clip", "fault-mu-law", &wav(mu_law, 1, 8_000, 8))
}

/// T.38: the beginning of a page with losses, and what nobody should send.
fn udptl() -> Result<()> {
    let story = |datagrams: &[Vec<u8>]| {
        let datagram = |octets: &Vec<u8>| [&(octets.len() as u16).to_be_bytes()[..], octets].concat();
        datagrams.iter().flat_map(datagram).collect::<Vec<u8>>()
    };
    // CED, preamble, a frame of V.21 in pieces, training, and an image without ECM.
    let mut ifps = vec![vec![4], vec![6], vec![0xc0, 1, 0x80, 0, 2, 0xff, 0x13, 0x80]];
    ifps.extend([vec![0xc0, 1, 0x40], vec![0], vec![0x1e]]);
    ifps.extend((0..6).map(|at| [&[0xd0, 1, 0xe0, 0, 23][..], &[at; 24]].concat()));
    for (name, correction) in [
        ("plain", ErrorCorrection::None),
        ("redundancy", ErrorCorrection::Redundancy),
        ("fec", ErrorCorrection::Fec),
    ] {
        let mut sender = Sender::new(correction, 3, 512).with_span(2);
        let mut datagrams = Vec::new();
        for ifp in &ifps {
            let mut datagram = Vec::new();
            sender.wrap(ifp, &mut datagram)?;
            datagrams.push(datagram);
        }
        // The eighth and ninth are lost, the second comes twice.
        let come: Vec<Vec<u8>> = [0, 1, 1, 2, 3, 4, 5, 6, 9, 10, 11]
            .map(|at: usize| datagrams[at].clone())
            .into();
        write("udptl", name, &story(&come))?;
    }
    // It begins anew far behind, with packets that may already be had back.
    let far = |number: u8| vec![0x80, number, 1, 6, 0, 1, 1, 4];
    let near = |number: u8| vec![0, number, 1, 6, 0, 1, 1, 4];
    write(
        "udptl",
        "begins-anew",
        &story(&[far(1), far(2), near(0), near(1), near(2), near(3)]),
    )?;
    let wrong = [
        vec![0, 1, 0xc1, 0],
        vec![0, 2, 1, 6, 0, 99],
        vec![0, 3, 1, 6, 0x80, 4, 0x7f, 0xff, 0xff, 0xff, 2, 1, 1, 1, 1],
        vec![0, 9, 1, 6, 0x80, 1, 0xff, 1, 1, 1],
    ];
    write("udptl", "fault-lengths", &story(&wrong))?;
    // As packets to be sent, with parities: how, the size of a datagram, what is lost, and packets.
    let packets = ifps.iter().flat_map(|ifp| [&[ifp.len() as u8][..], ifp].concat());
    let packets: Vec<u8> = [0x4e, 0x80, 0x02, 0x48].into_iter().chain(packets).collect();
    write("udptl", "sent-with-parities", &packets)
}

/// Frames: of both families, padded, without a sum, with the sum left to hardware, and what nobody should send.
fn frames() -> Result<()> {
    let hop = NextHop {
        ifindex: 1,
        from: [2, 0, 0, 0, 0, 1],
        to: [2, 0, 0, 0, 0, 2],
        mtu: 1_500,
    };
    let of = |from: &str, to: &str| -> Result<Vec<u8>> {
        let header = IpHeader::new(from.parse()?, to.parse()?, 0xb8, 64, b"media").ok_or("no header")?;
        let mut frame = vec![0; 256];
        let len = viaduct_kmod_helper::frame::write(&mut frame, &hop, &header, b"media");
        frame.truncate(len);
        Ok(frame)
    };
    let (v4, v6) = (
        of("192.0.2.7:4000", "198.51.100.1:30000")?,
        of("[2001:db8::7]:4000", "[2001:db8::1]:30000")?,
    );
    write("frame", "ipv4", &v4)?;
    write("frame", "ipv6", &v6)?;
    write("frame", "padded", &[&v4[..], &[0; 13]].concat())?;
    let changed = |frame: &[u8], changes: &[(usize, u8)]| {
        let mut frame = frame.to_vec();
        for (at, octet) in changes {
            frame[*at] = *octet;
        }
        frame
    };
    write("frame", "without-sum", &changed(&v4, &[(40, 0), (41, 0)]))?;
    write("frame", "fault-without-sum", &changed(&v6, &[(60, 0), (61, 0)]))?;
    write("frame", "fault-length", &changed(&v6, &[(58, 0xff)]))?;
    write("frame", "fault-short-length", &changed(&v6, &[(59, 7)]))?;
    write("frame", "fault-cut", &v4[..40])
}
