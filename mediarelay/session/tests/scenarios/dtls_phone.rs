//! DTLS-SRTP without ICE (RFC 5763, RFC 5764), as carriers and some phones have it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dimpl::{Dtls, DtlsCertificate, Output};
use sha2::{Digest, Sha256};
use viaduct_forward::{DropReason, Tick, Verdict};
use viaduct_rtp::srtp::{DtlsRole, ReceiveContext, SendContext, SrtpKeyPair, SrtpLimits, SrtpProfile};
use viaduct_rtp::{Kind, classify};
use viaduct_session::{DtlsFailure, What};

use crate::browser::Browser;
use crate::browser_and_phone::{PHONE_ANSWERS_WEB, browser, phone};
use crate::hostile::DTLS;
use crate::phone::{Phone, rtp};
use crate::world::*;

const TO_CARRIER: &str = "UDP/TLS/RTP/SAVP ICE=remove SDES-off rtcp-mux-offer replace-origin";
const CARRIER_TO_WEB: &str =
    "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer rtcp-mux-require SDES-off generate-mid no-rtcp-attribute";

/// A carrier's end of a call.
struct Carrier {
    phone: Phone,
    /// Where its datagrams come from.
    from: SocketAddr,
    certificate: DtlsCertificate,
    /// Answers rtcp-mux.
    muxes: bool,
    /// Shows another certificate than its SDP names.
    lies: bool,
    ends: Vec<End>,
}

/// One handshake, and what comes of it.
struct End {
    from: SocketAddr,
    to: SocketAddr,
    role: DtlsRole,
    dtls: Dtls,
    srtp: Option<(SendContext, ReceiveContext)>,
    inbox: Vec<Vec<u8>>,
}

impl Carrier {
    fn new() -> Self {
        let phone = phone();
        Self {
            from: phone.rtp,
            phone,
            certificate: dimpl::certificate::generate_self_signed_certificate().unwrap(),
            muxes: true,
            lies: false,
            ends: Vec::new(),
        }
    }

    fn sdp(&mut self, setup: &str) -> String {
        let mut digest = Sha256::digest(&self.certificate.certificate);
        digest[0] ^= u8::from(self.lies);
        let hex: Vec<String> = digest.iter().map(|octet| format!("{octet:02X}")).collect();
        let fingerprint = format!("a=fingerprint:sha-256 {}", hex.join(":"));
        let setup = format!("a=setup:{setup}");
        let mut attributes = vec![&*fingerprint, &setup];
        attributes.extend(self.muxes.then_some("a=rtcp-mux"));
        self.phone.sdp_with("UDP/TLS/RTP/SAVP", &attributes)
    }

    /// Reads the relay's SDP, and begins or awaits a handshake for each port.
    fn begin(&mut self, world: &World, sdp: &Sdp, role: DtlsRole) {
        self.phone.read(sdp);
        let relay = sdp.address(0);
        let ports = if self.muxes { 1 } else { 2 };
        self.ends = (0..ports)
            .map(|offset| {
                let config = Arc::new(dimpl::Config::builder().use_server_cookie(false).build().unwrap());
                let mut dtls = Dtls::new_12(config, self.certificate.clone(), world.now);
                dtls.set_active(role == DtlsRole::Client);
                End {
                    from: SocketAddr::new(self.from.ip(), self.from.port() + offset),
                    to: SocketAddr::new(relay.ip(), relay.port() + offset),
                    role,
                    dtls,
                    srtp: None,
                    inbox: Vec::new(),
                }
            })
            .collect();
    }

    fn run(&mut self, world: &mut World) {
        for _ in 0..100 {
            self.ends.iter_mut().for_each(|end| end.turn(world));
            world.wait_millis(10);
        }
    }

    fn has_keys(&self) -> bool {
        self.ends.iter().all(|end| end.srtp.is_some())
    }

    fn send(&mut self, world: &mut World, sequence: u16) -> (Verdict, Vec<u8>) {
        let packet = rtp(self.phone.ssrc, sequence, 8);
        let mut buffer = packet.clone();
        buffer.resize(packet.len() + 16, 0);
        let end = &mut self.ends[0];
        let (send, _) = end.srtp.as_mut().unwrap();
        let len = send.protect_rtp(Tick::ZERO, &mut buffer, packet.len()).unwrap();
        (world.receive(end.from, end.to, &buffer[..len]), packet)
    }

    fn received(&mut self, world: &mut World) -> Vec<Vec<u8>> {
        self.ends[0].turn(world);
        std::mem::take(&mut self.ends[0].inbox)
    }
}

impl End {
    fn turn(&mut self, world: &mut World) {
        for datagram in world.take(self.from) {
            if classify(&datagram.data) == Kind::Dtls {
                let _ = self.dtls.handle_timeout(world.now);
                let _ = self.dtls.handle_packet(&datagram.data);
            } else {
                let (_, receive) = self.srtp.as_mut().expect("media before keys");
                let mut packet = datagram.data;
                let len = receive.unprotect_rtp(Tick::ZERO, &mut packet).unwrap();
                packet.truncate(len);
                self.inbox.push(packet);
            }
        }
        let _ = self.dtls.handle_timeout(world.now);
        let mut buffer = vec![0; 4096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Timeout(_) => return,
                Output::Packet(data) => drop(world.receive(self.from, self.to, data)),
                Output::KeyingMaterial(material, profile) => {
                    let profile = match profile {
                        dimpl::SrtpProfile::AES128_CM_SHA1_80 => SrtpProfile::Aes128CmSha1_80,
                        dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
                        _ => SrtpProfile::AeadAes256Gcm,
                    };
                    let keys = SrtpKeyPair::from_dtls_exporter(profile, self.role, &material).unwrap();
                    self.srtp = Some((
                        SendContext::new(&keys.send, SrtpLimits::default()),
                        ReceiveContext::new(&keys.receive, SrtpLimits::default()),
                    ));
                }
                _ => {}
            }
        }
    }
}

#[track_caller]
fn hear_each_other(world: &mut World, carrier: &mut Carrier, plain: &mut Phone) {
    let (verdict, packet) = carrier.send(world, 1);
    assert_eq!(plain.received(world), [packet], "{verdict:?}");
    let (verdict, packet) = plain.send(world);
    assert_eq!(carrier.received(world), [packet], "{verdict:?}");
}

fn plain() -> Phone {
    Phone::new("203.0.113.44:6000", 0x0f00_0002)
}

/// A phone calls the carrier, which answers with this role.
fn called(world: &mut World, plain: &mut Phone, carrier: &mut Carrier, setup: &str) {
    let to_carrier = world.sdp(&offer(&plain.sdp(), "p", None, TO_CARRIER));
    assert!(to_carrier.m_lines()[0].contains(" UDP/TLS/RTP/SAVP "));
    assert_eq!(to_carrier.value("setup"), "actpass");
    assert!(to_carrier.has_attribute("fingerprint") && to_carrier.has_attribute("rtcp-mux"));
    for absent in ["crypto", "candidate", "ice-ufrag", "ice-lite"] {
        assert!(!to_carrier.has_attribute(absent), "{absent}");
    }
    let role = match setup {
        "active" => DtlsRole::Client,
        _ => DtlsRole::Server,
    };
    carrier.begin(world, &to_carrier, role);
    let answered = carrier.sdp(setup);
    let to_plain = world.sdp(&answer(&answered, "p", "c", "RTP/AVP ICE=remove replace-origin"));
    assert!(to_plain.m_lines()[0].contains(" RTP/AVP "));
    assert!(!to_plain.has_attribute("fingerprint"));
    plain.read(&to_plain);
}

/// RFC 5763 section 5: the answerer chooses who begins.
#[test]
fn a_carrier_that_is_called_begins_the_handshake_or_waits_for_it() {
    for setup in ["active", "passive"] {
        let (mut world, mut plain, mut carrier) = (World::new(), plain(), Carrier::new());
        called(&mut world, &mut plain, &mut carrier, setup);
        carrier.run(&mut world);
        assert!(carrier.has_keys(), "{setup}: {:?}", world.take_events());
        hear_each_other(&mut world, &mut carrier, &mut plain);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// RFC 5763 section 5, RFC 4145 section 4.1: what is offered decides which roles are left.
#[test]
fn a_carrier_that_calls_is_answered_with_the_other_role() {
    for (offered, wish, answered) in [
        ("actpass", "", "active"),
        ("actpass", "DTLS=passive", "passive"),
        ("active", "", "passive"),
        ("passive", "", "active"),
    ] {
        let (mut world, mut plain, mut carrier) = (World::new(), plain(), Carrier::new());
        let text = carrier.sdp(offered);
        let to_plain = world.sdp(&offer(&text, "c", None, "RTP/AVP ICE=remove rtcp-mux-demux"));
        plain.read(&to_plain);
        let flags = format!("ICE=remove SDES-off {wish}");
        let to_carrier = world.sdp(&answer(&plain.sdp(), "c", "p", &flags));
        assert!(to_carrier.m_lines()[0].contains(" UDP/TLS/RTP/SAVP "));
        assert_eq!(to_carrier.value("setup"), answered);
        assert!(to_carrier.has_attribute("fingerprint") && to_carrier.has_attribute("rtcp-mux"));
        let role = match answered {
            "active" => DtlsRole::Server,
            _ => DtlsRole::Client,
        };
        carrier.begin(&world, &to_carrier, role);
        carrier.run(&mut world);
        assert!(carrier.has_keys(), "{offered}: {:?}", world.take_events());
        hear_each_other(&mut world, &mut carrier, &mut plain);
    }
}

/// RFC 5764 section 5.1.1: without rtcp-mux there is a handshake for each port.
#[test]
fn a_carrier_without_rtcp_mux_shakes_hands_twice() {
    for setup in ["active", "passive"] {
        let (mut world, mut plain, mut carrier) = (World::new(), plain(), Carrier::new());
        carrier.muxes = false;
        called(&mut world, &mut plain, &mut carrier, setup);
        carrier.run(&mut world);
        assert!(carrier.has_keys(), "{setup}: {:?}", world.take_events());
        assert_eq!(world.relay.counters().dtls_connected, 2);
        hear_each_other(&mut world, &mut carrier, &mut plain);
    }
}

#[test]
fn a_browser_and_a_carrier_hear_each_other() {
    let (mut world, mut browser, mut carrier) = (World::new(), browser(), Carrier::new());
    let to_carrier =
        format!("{TO_CARRIER} DTLS-reverse=passive bundle=[accept] ICE-lite=backward strip-extmap");
    let to_carrier = world.sdp(&offer(&browser.offer(), "b", None, &to_carrier));
    assert!(!to_carrier.has_attribute("candidate") && !to_carrier.has_attribute("ice-lite"));
    carrier.begin(&world, &to_carrier, DtlsRole::Client);
    let answered = carrier.sdp("active");
    let to_browser = world.sdp(&answer(&answered, "b", "c", PHONE_ANSWERS_WEB));
    browser.read(&to_browser);
    carrier.run(&mut world);
    Browser::connect(&mut world, &mut [&mut browser]);
    assert!(carrier.has_keys());
    let (verdict, packet) = browser.send(&mut world);
    assert_eq!(carrier.received(&mut world), [packet], "{verdict:?}");
    let (verdict, packet) = carrier.send(&mut world, 1);
    assert_eq!(browser.received(&mut world), [packet], "{verdict:?}");
}

#[test]
fn a_carrier_calls_a_browser() {
    let (mut world, mut browser, mut carrier) = (World::new(), browser(), Carrier::new());
    let text = carrier.sdp("actpass");
    let to_browser = world.sdp(&offer(&text, "c", None, CARRIER_TO_WEB));
    let answered = browser.answer(&to_browser);
    let to_carrier = world.sdp(&answer(
        &answered,
        "c",
        "b",
        "ICE=remove SDES-off bundle=[accept]",
    ));
    assert!(to_carrier.m_lines()[0].contains(" UDP/TLS/RTP/SAVP "));
    carrier.begin(&world, &to_carrier, DtlsRole::Server);
    carrier.run(&mut world);
    assert!(carrier.has_keys(), "{:?}", world.take_events());
    Browser::connect(&mut world, &mut [&mut browser]);
    let (verdict, packet) = carrier.send(&mut world, 1);
    assert_eq!(browser.received(&mut world), [packet], "{verdict:?}");
}

/// Its SDP names the address behind the NAT. The handshake comes from before it, and media goes there.
#[test]
fn a_carrier_behind_a_nat_is_found_by_its_handshake() {
    let (mut world, mut plain, mut carrier) = (World::new(), plain(), Carrier::new());
    carrier.from = addr("198.51.100.200:31000");
    called(&mut world, &mut plain, &mut carrier, "active");
    carrier.run(&mut world);
    assert!(carrier.has_keys(), "{:?}", world.take_events());
    hear_each_other(&mut world, &mut carrier, &mut plain);
    // Nobody else begins another one.
    let relay = carrier.phone.relay.unwrap();
    let verdict = world.receive(addr("198.51.100.66:1000"), relay, DTLS);
    assert_eq!(verdict, Verdict::Drop(DropReason::DtlsNotAllowed));
}

/// RFC 5763 section 6.7.1: the SDP says which certificate is the right one.
#[test]
fn a_carrier_with_another_certificate_gets_no_media() {
    let (mut world, mut plain, mut carrier) = (World::new(), plain(), Carrier::new());
    carrier.lies = true;
    called(&mut world, &mut plain, &mut carrier, "passive");
    carrier.run(&mut world);
    let is_told = |what: &What| {
        let reason = DtlsFailure::WrongFingerprint;
        matches!(what, What::DtlsFailed { reason: found, .. } if *found == reason)
    };
    assert!(world.take_events().iter().any(is_told));
    plain.send(&mut world);
    let media = world.take(carrier.phone.rtp);
    assert!(
        media
            .iter()
            .all(|datagram| classify(&datagram.data) == Kind::Dtls)
    );
    world.wait(Duration::from_secs(1));
}

/// RFC 6347 section 4.1.2.7: what cannot be right is left out, and the handshake goes on. What is over a limit is counted.
#[test]
fn forged_fragments_over_a_limit_are_counted_and_spoil_nothing() {
    let (mut world, mut plain, mut carrier) = (World::new(), plain(), Carrier::new());
    called(&mut world, &mut plain, &mut carrier, "active");
    let relay = carrier.phone.relay.unwrap();
    // Handshake record of epoch 0 with a fragment of one octet: type, length, number, offset, length of the part.
    let fragment = |sequence: u8, len: u16| {
        let [high, low] = len.to_be_bytes();
        let mut datagram = vec![22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13];
        datagram.extend([11, 0, high, low, 0, sequence, 0, 0, 0, 0, 0, 1, 0]);
        datagram
    };
    world.receive(carrier.from, relay, &fragment(1, 30_000));
    world.receive(carrier.from, relay, &fragment(40, 1));
    // An encrypted record, for which there is no key yet, more often than any is kept.
    for sequence in 0..7 {
        let record = [23, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, sequence, 0, 1, 0];
        world.receive(carrier.from, relay, &record);
    }
    let limits = world.relay.counters().limits;
    assert_eq!(
        (
            limits.dtls_message_octets,
            limits.dtls_messages_ahead,
            limits.dtls_early_records
        ),
        (1, 1, 3)
    );
    carrier.run(&mut world);
    assert!(carrier.has_keys(), "{:?}", world.take_events());
    hear_each_other(&mut world, &mut carrier, &mut plain);
}

/// RFC 6347 section 4.2.1: hellos under the carrier's address, from somebody who does not see what it is sent, before the
/// carrier's own.
#[test]
fn forged_first_hellos_do_not_keep_the_carrier_out() {
    let (mut world, mut plain, mut carrier) = (World::new(), plain(), Carrier::new());
    called(&mut world, &mut plain, &mut carrier, "active");
    let relay = carrier.phone.relay.unwrap();
    for _ in 0..20 {
        let config = Arc::new(dimpl::Config::builder().build().unwrap());
        let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let mut forger = Dtls::new_12(config, certificate, world.now);
        forger.set_active(true);
        forger.handle_timeout(world.now).unwrap();
        let mut buffer = vec![0; 4096];
        let Output::Packet(hello) = forger.poll_output(&mut buffer) else {
            panic!("no hello")
        };
        world.receive(carrier.from, relay, hello);
        // Seen by the carrier, who has not asked.
        world.take(carrier.from);
    }
    carrier.run(&mut world);
    assert!(carrier.has_keys(), "{:?}", world.take_events());
    hear_each_other(&mut world, &mut carrier, &mut plain);
}
