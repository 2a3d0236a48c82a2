//! A browser: a full ICE agent, DTLS-SRTP, RTCP on the port of RTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dimpl::{Dtls, DtlsCertificate, Output};
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol};
use sha2::{Digest, Sha256};
use viaduct_forward::{Tick, Verdict};
use viaduct_rtp::srtp::{DtlsRole, ReceiveContext, SendContext, SrtpKeyPair, SrtpLimits, SrtpProfile};
use viaduct_rtp::{Kind, classify};

use crate::phone::{receiver_report, rtp};
use crate::world::{Sdp, World, addr};

/// How long one step of the virtual network takes.
const STEP: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Hmac;

impl is::Sha1HmacProvider for Hmac {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        use sha1::Sha1;
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(key);
        let mut inner = Sha1::new_with_prefix(block.map(|octet| octet ^ 0x36));
        payloads.iter().for_each(|payload| inner.update(payload));
        let mut outer = Sha1::new_with_prefix(block.map(|octet| octet ^ 0x5c));
        outer.update(inner.finalize());
        outer.finalize().into()
    }
}

pub(crate) struct Browser {
    pub(crate) address: SocketAddr,
    pub(crate) ssrc: u32,
    pub(crate) credentials: IceCreds,
    agent: IceAgent,
    certificate: DtlsCertificate,
    dtls: Option<Dtls>,
    role: Option<DtlsRole>,
    setup: &'static str,
    srtp: Option<(SendContext, ReceiveContext)>,
    pub(crate) profile: Option<SrtpProfile>,
    /// Where it sends to: the pair that ICE has chosen.
    pub(crate) relay: Option<SocketAddr>,
    /// RTP and RTCP that came, in the clear.
    pub(crate) inbox: Vec<Vec<u8>>,
    pub(crate) nominated: usize,
    /// Says something else about its certificate than what it shows.
    pub(crate) lies: bool,
    /// Answers no handshake.
    pub(crate) deaf_to_dtls: bool,
    early_hello: Option<Vec<u8>>,
    sequence: u16,
    generation: u32,
    version: u32,
}

fn creds(seed: u32) -> IceCreds {
    IceCreds {
        ufrag: format!("uf{seed:04}"),
        pass: format!("password-of-the-browser-{seed:06}"),
    }
}

fn agent(credentials: &IceCreds, address: SocketAddr, controlling: bool) -> IceAgent {
    let mut agent = IceAgent::with_hmac(credentials.clone(), &Hmac);
    // As often as Chromium asks until it has an answer.
    agent.set_initial_stun_rto(Duration::from_millis(100));
    agent.set_max_stun_rto(Duration::from_millis(500));
    agent.set_max_stun_retransmits(60);
    agent.set_controlling(controlling);
    agent.set_control_tie_breaker(u64::from(address.port()));
    agent.add_local_candidate(Candidate::host(address, Protocol::Udp).unwrap());
    agent
}

impl Browser {
    pub(crate) fn new(address: &str, ssrc: u32) -> Self {
        let address = addr(address);
        let credentials = creds(ssrc % 1000);
        Self {
            address,
            ssrc,
            agent: agent(&credentials, address, true),
            credentials,
            certificate: dimpl::certificate::generate_self_signed_certificate().unwrap(),
            dtls: None,
            role: None,
            setup: "actpass",
            srtp: None,
            profile: None,
            relay: None,
            inbox: Vec::new(),
            nominated: 0,
            lies: false,
            deaf_to_dtls: false,
            early_hello: None,
            sequence: 500,
            generation: ssrc % 1000,
            version: 1,
        }
    }

    fn fingerprint(&self) -> String {
        let mut digest = Sha256::digest(&self.certificate.certificate);
        if self.lies {
            digest[0] ^= 1;
        }
        let hex: Vec<String> = digest.iter().map(|octet| format!("{octet:02X}")).collect();
        format!("sha-256 {}", hex.join(":"))
    }

    /// What Chromium offers for a call with audio.
    pub(crate) fn offer(&mut self) -> String {
        self.setup = if self.role.is_none() {
            "actpass"
        } else {
            self.setup
        };
        let setup = if self.dtls.is_some() {
            "actpass"
        } else {
            self.setup
        };
        self.document("BUNDLE 0", &[self.audio("0", setup, "sendrecv")])
    }

    pub(crate) fn offer_with(&mut self, direction: &str) -> String {
        self.document("BUNDLE 0", &[self.audio("0", "actpass", direction)])
    }

    /// What Chromium offers for a call with audio and video on one transport.
    pub(crate) fn offer_video(&mut self) -> String {
        let (audio, video) = (self.audio("0", "actpass", "sendrecv"), self.video("1", "actpass"));
        self.document("BUNDLE 0 1", &[audio, video])
    }

    /// What Chromium answers to an SDP of the relay.
    pub(crate) fn answer(&mut self, offer: &Sdp) -> String {
        self.setup = match self.role {
            Some(DtlsRole::Server) => "passive",
            Some(DtlsRole::Client) | None => "active",
        };
        self.agent.set_controlling(offer.has_attribute("ice-lite"));
        self.read(offer);
        let medias: Vec<(String, String)> = offer
            .session
            .medias()
            .map(|media| {
                (
                    media.kind_text().to_owned(),
                    media.mid().unwrap_or("0".to_owned()),
                )
            })
            .collect();
        let one = |(kind, mid): &(String, String)| match kind.as_str() {
            "audio" => self.audio(mid, self.setup, "sendrecv"),
            _ => self.video(mid, self.setup),
        };
        let answers: Vec<String> = medias.iter().map(one).collect();
        let mids: Vec<String> = medias.into_iter().map(|(_, mid)| mid).collect();
        self.document(&format!("BUNDLE {}", mids.join(" ")), &answers)
    }

    fn document(&mut self, group: &str, medias: &[String]) -> String {
        self.version += 1;
        format!(
            "v=0\r\no=- 4611731400430051336 {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:{group}\r\n\
             a=extmap-allow-mixed\r\na=msid-semantic: WMS stream\r\n{}",
            self.version,
            medias.concat()
        )
    }

    fn transport(&self, mid: &str, setup: &str) -> String {
        let IceCreds { ufrag, pass } = &self.credentials;
        let (ip, port) = (self.address.ip(), self.address.port());
        format!(
            "a=candidate:1 1 udp 2122260223 {ip} {port} typ host generation 0 ufrag {ufrag} network-id 1\r\n\
             a=candidate:2 1 tcp 1518280447 {ip} 9 typ host tcptype active generation 0\r\n\
             a=candidate:3 1 udp 2122194687 5f3b6f0a-1c7e-4d5c-9bb8-6f1c7a0d1e22.local 50001 typ host generation 0\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pass}\r\na=ice-options:trickle\r\na=fingerprint:{}\r\na=setup:{setup}\r\n\
             a=mid:{mid}\r\n",
            self.fingerprint()
        )
    }

    fn audio(&self, mid: &str, setup: &str, direction: &str) -> String {
        let (transport, ssrc, port) = (self.transport(mid, setup), self.ssrc, self.address.port());
        format!(
            "m=audio {port} UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 {}\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
             {transport}a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
             a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na={direction}\r\na=msid:stream audio0\r\na=rtcp-mux\r\n\
             a=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
             a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
             a=rtpmap:126 telephone-event/8000\r\na=ssrc:{ssrc} cname:abc\r\na=ssrc:{ssrc} msid:stream audio0\r\n",
            if self.address.is_ipv4() {
                self.address.ip().to_string()
            } else {
                "0.0.0.0".to_owned()
            },
        )
    }

    fn video(&self, mid: &str, setup: &str) -> String {
        let (transport, ssrc) = (self.transport(mid, setup), self.ssrc + 1);
        format!(
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n{transport}\
             a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendrecv\r\na=msid:stream video0\r\na=rtcp-mux\r\n\
             a=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
             a=ssrc:{ssrc} cname:abc\r\n"
        )
    }

    /// Other credentials: the next SDP restarts ICE.
    pub(crate) fn restart_ice(&mut self) {
        self.generation += 1000;
        self.credentials = creds(self.generation);
        self.agent.ice_restart(self.credentials.clone(), true);
        self.relay = None;
    }

    /// The relay shows another certificate than before: a browser begins DTLS anew.
    pub(crate) fn forget_dtls(&mut self) {
        (self.dtls, self.role, self.srtp) = (None, None, None);
    }

    /// It has moved to another network.
    pub(crate) fn move_to(&mut self, address: &str) {
        self.address = addr(address);
        self.agent
            .add_local_candidate(Candidate::host(self.address, Protocol::Udp).unwrap());
    }

    /// Reads what the relay says.
    #[track_caller]
    pub(crate) fn read(&mut self, sdp: &Sdp) {
        let relay = IceCreds {
            ufrag: sdp.values("ice-ufrag")[0].to_owned(),
            pass: sdp.values("ice-pwd")[0].to_owned(),
        };
        if self.agent.remote_credentials() != Some(&relay) {
            self.agent.set_remote_credentials(relay);
        }
        for candidate in sdp.session.media(0).unwrap().candidates() {
            let candidate = candidate.unwrap();
            if candidate.component == 1 {
                let address = SocketAddr::new(candidate.address.ip().unwrap(), candidate.port);
                self.agent
                    .add_remote_candidate(Candidate::host(address, Protocol::Udp).unwrap());
            }
        }
        let setup = sdp.values("setup")[0];
        let role = match setup {
            "active" => DtlsRole::Server,
            "passive" => DtlsRole::Client,
            _ => *self.role.get_or_insert(DtlsRole::Client),
        };
        assert!(
            self.role.is_none_or(|known| known == role),
            "the relay changes its role"
        );
        self.role = Some(role);
    }

    /// Lets everybody exchange datagrams for a while.
    pub(crate) fn run(world: &mut World, browsers: &mut [&mut Self], time: Duration) {
        let end = world.now + time;
        while world.now < end {
            for browser in browsers.iter_mut() {
                browser.turn(world);
            }
            world.wait(STEP);
        }
    }

    /// Until keys are there.
    #[track_caller]
    pub(crate) fn connect(world: &mut World, browsers: &mut [&mut Self]) {
        for _ in 0..300 {
            Self::run(world, browsers, STEP);
            if browsers
                .iter()
                .all(|browser| browser.srtp.is_some() && browser.relay.is_some())
            {
                return Self::run(world, browsers, 20 * STEP);
            }
        }
        panic!(
            "no connection: {:?} {:?}",
            world.take_events(),
            world.relay.counters()
        );
    }

    pub(crate) fn has_keys(&self) -> bool {
        self.srtp.is_some()
    }

    fn turn(&mut self, world: &mut World) {
        for datagram in world.take(self.address) {
            match classify(&datagram.data) {
                Kind::Stun => {
                    let packet = StunPacket {
                        proto: Protocol::Udp,
                        source: datagram.from,
                        destination: self.address,
                        message: StunMessage::parse(&datagram.data).unwrap(),
                    };
                    self.agent.handle_packet(world.now, packet);
                }
                Kind::Dtls if self.deaf_to_dtls => {}
                // Chromium keeps a ClientHello until ICE has a path.
                Kind::Dtls if self.relay.is_none() => self.early_hello = Some(datagram.data),
                Kind::Dtls => self.hear_dtls(world, &datagram.data),
                _ => self.hear(&datagram.data),
            }
        }
        self.agent.handle_timeout(world.now);
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                self.relay = Some(destination);
                self.nominated += 1;
            }
        }
        while let Some(transmit) = self.agent.poll_transmit() {
            let data: Vec<u8> = transmit.contents.to_vec();
            world.send(transmit.source, transmit.destination, &data);
        }
        if self.role == Some(DtlsRole::Client) && self.relay.is_some() {
            self.ensure_dtls(world);
        }
        if let Some(hello) = self.early_hello.take_if(|_| self.relay.is_some()) {
            self.hear_dtls(world, &hello);
        }
        self.drive_dtls(world);
    }

    fn hear_dtls(&mut self, world: &World, data: &[u8]) {
        self.ensure_dtls(world);
        let dtls = self.dtls.as_mut().unwrap();
        dtls.handle_timeout(world.now).unwrap();
        let _ = dtls.handle_packet(data);
    }

    fn ensure_dtls(&mut self, world: &World) {
        if self.dtls.is_none() {
            // As patient as Chromium, which does not count what it repeats because we did.
            let config = dimpl::Config::builder()
                .use_server_cookie(false)
                .flight_start_rto(Duration::from_millis(50))
                .flight_retries(30);
            let config = Arc::new(config.build().unwrap());
            let mut dtls = Dtls::new_12(config, self.certificate.clone(), world.now);
            dtls.set_active(self.role == Some(DtlsRole::Client));
            self.dtls = Some(dtls);
        }
    }

    fn drive_dtls(&mut self, world: &mut World) {
        let Some(dtls) = &mut self.dtls else { return };
        let _ = dtls.handle_timeout(world.now);
        let mut buffer = vec![0; 4096];
        let mut sends = Vec::new();
        loop {
            match dtls.poll_output(&mut buffer) {
                Output::Timeout(_) => break,
                Output::Packet(data) => sends.push(data.to_vec()),
                Output::KeyingMaterial(material, profile) => {
                    let profile = match profile {
                        dimpl::SrtpProfile::AES128_CM_SHA1_80 => SrtpProfile::Aes128CmSha1_80,
                        dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
                        _ => SrtpProfile::AeadAes256Gcm,
                    };
                    let keys =
                        SrtpKeyPair::from_dtls_exporter(profile, self.role.unwrap(), &material).unwrap();
                    self.profile = Some(profile);
                    self.srtp = Some((
                        SendContext::new(&keys.send, SrtpLimits::default()),
                        ReceiveContext::new(&keys.receive, SrtpLimits::default()),
                    ));
                }
                _ => {}
            }
        }
        if let Some(relay) = self.relay {
            for data in sends {
                world.send(self.address, relay, &data);
            }
        }
    }

    fn hear(&mut self, data: &[u8]) {
        // Media may overtake the end of the handshake.
        let Some((_, receive)) = &mut self.srtp else {
            return;
        };
        let mut buffer = data.to_vec();
        let opened = match classify(data) {
            Kind::Rtcp => receive.unprotect_rtcp(Tick::ZERO, &mut buffer),
            _ => receive.unprotect_rtp(Tick::ZERO, &mut buffer),
        };
        buffer.truncate(opened.expect("media that does not open"));
        self.inbox.push(buffer);
    }

    /// Takes what the relay has sent, and tells what of it is media.
    pub(crate) fn received(&mut self, world: &mut World) -> Vec<Vec<u8>> {
        self.turn(world);
        std::mem::take(&mut self.inbox)
    }

    /// Sends a packet; what it was.
    pub(crate) fn send(&mut self, world: &mut World) -> (Verdict, Vec<u8>) {
        self.send_type(world, 8)
    }

    pub(crate) fn send_type(&mut self, world: &mut World, payload_type: u8) -> (Verdict, Vec<u8>) {
        self.sequence += 1;
        let packet = rtp(self.ssrc, self.sequence, payload_type);
        let protected = self.protect_rtp(&packet);
        (
            world.receive(self.address, self.relay.unwrap(), &protected),
            packet,
        )
    }

    pub(crate) fn protect_rtp(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + 16, 0);
        let len = self
            .srtp
            .as_mut()
            .unwrap()
            .0
            .protect_rtp(Tick::ZERO, &mut buffer, packet.len())
            .unwrap();
        buffer.truncate(len);
        buffer
    }

    pub(crate) fn protect_rtcp(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + 20, 0);
        let len = self
            .srtp
            .as_mut()
            .unwrap()
            .0
            .protect_rtcp(Tick::ZERO, &mut buffer, packet.len())
            .unwrap();
        buffer.truncate(len);
        buffer
    }

    /// The next packet that it sends has the sequence number after this.
    pub(crate) fn skip_to(&mut self, sequence: u16) {
        self.sequence = sequence;
    }

    pub(crate) fn send_report(&mut self, world: &mut World) -> (Verdict, Vec<u8>) {
        let packet = receiver_report(self.ssrc);
        let protected = self.protect_rtcp(&packet);
        let verdict = world.receive(self.address, self.relay.unwrap(), &protected);
        (verdict, packet)
    }
}
