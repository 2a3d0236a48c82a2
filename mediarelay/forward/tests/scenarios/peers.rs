//! The relay's worker with its sockets, and the endpoints that talk to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use viaduct_forward::{
    Command, CommandError, CryptoCommand, CryptoDirection, CryptoId, DropReason, FlowId, FlowKey, FlowRule,
    FlowSnapshot, LegId, Limits, Out, PacketBuf, Report, Route, Shared, SocketId, Tick, Verdict, Worker,
};
use viaduct_rtp::RtpFields;
use viaduct_rtp::rtcp::{ReportBlock, RtcpWriter, SenderInfo};
use viaduct_rtp::srtp::{DtlsRole, ReceiveContext, SendContext, SrtpKeyPair, SrtpLimits, SrtpProfile};

/// The browsers' shared port.
pub(crate) const SHARED: &str = "192.0.2.1:3478";
/// The phone's ports at the relay: RTP and RTCP of its audio, RTP of its video.
pub(crate) const AUDIO: &str = "192.0.2.1:30000";
pub(crate) const AUDIO_RTCP: &str = "192.0.2.1:30001";
pub(crate) const VIDEO: &str = "192.0.2.1:30002";

pub(crate) const BROWSER: &str = "203.0.113.7:50000";
pub(crate) const PHONE: &str = "198.51.100.9:4000";
pub(crate) const PHONE_RTCP: &str = "198.51.100.9:4001";
pub(crate) const PHONE_VIDEO: &str = "198.51.100.9:4002";
pub(crate) const STRANGER: &str = "198.51.100.66:6666";

pub(crate) const BROWSER_LEG: LegId = LegId(1);
pub(crate) const PHONE_LEG: LegId = LegId(2);

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn key(local: &str, remote: &str) -> FlowKey {
    FlowKey {
        local: addr(local),
        remote: addr(remote),
    }
}

pub(crate) fn out(local: &str, remote: &str) -> Out {
    Out {
        local: addr(local),
        remote: addr(remote),
    }
}

/// A worker, the time, and the numbers of its sockets.
pub(crate) struct Relay {
    pub(crate) worker: Worker,
    pub(crate) shared: Shared,
    pub(crate) now: Tick,
    sockets: BTreeMap<SocketAddr, SocketId>,
}

impl Relay {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), Shared::default())
    }

    pub(crate) fn with(limits: Limits, shared: Shared) -> Self {
        let worker = Worker::new(limits, shared.clone(), [7, 11]);
        let mut relay = Self {
            worker,
            shared,
            now: Tick::from_micros(1_000_000),
            sockets: BTreeMap::new(),
        };
        for local in [SHARED, AUDIO, AUDIO_RTCP, VIDEO] {
            relay.bind(local);
        }
        relay
    }

    pub(crate) fn bind(&mut self, local: &str) {
        let socket = SocketId(self.sockets.len() as u32);
        self.command(Command::BindSocket {
            socket,
            local: addr(local),
        });
        self.sockets.insert(addr(local), socket);
    }

    pub(crate) fn socket(&self, local: &str) -> SocketId {
        self.sockets[&addr(local)]
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.worker.handle_command(self.now, command).unwrap();
    }

    pub(crate) fn refused(&mut self, command: Command) -> CommandError {
        self.worker.handle_command(self.now, command).unwrap_err()
    }

    pub(crate) fn install(&mut self, rule: FlowRule) {
        self.command(Command::InstallFlow(rule));
    }

    /// A plain flow with one route.
    pub(crate) fn install_plain(&mut self, flow: u64, key: FlowKey, out: Out) {
        self.install(FlowRule::new(FlowId(flow), key, PHONE_LEG, vec![Route::to(out)]));
    }

    pub(crate) fn crypto(&self, id: u64, direction: CryptoDirection, keys: &SrtpKeyPair) {
        let keys = match direction {
            CryptoDirection::Send => keys.send.clone(),
            CryptoDirection::Receive => keys.receive.clone(),
        };
        self.shared
            .crypto
            .apply(&CryptoCommand::Install {
                id: CryptoId(id),
                direction,
                keys,
            })
            .unwrap();
    }

    /// A datagram comes in; the verdict, and what is in the buffer then.
    pub(crate) fn receive(&mut self, from: &str, local: &str, datagram: &[u8]) -> (Verdict, Vec<u8>) {
        let mut buffer = PacketBuf::new();
        buffer.fill(datagram);
        let verdict =
            self.worker
                .handle_datagram(self.now, self.sockets[&addr(local)], addr(from), &mut buffer);
        (verdict, buffer.data().to_vec())
    }

    /// A datagram comes in and must be forwarded from this socket to this peer; what is sent.
    #[track_caller]
    pub(crate) fn forwards(&mut self, from: &str, local: &str, datagram: &[u8], to: Out) -> Vec<u8> {
        let (verdict, sent) = self.receive(from, local, datagram);
        let via = self.sockets[&to.local];
        assert_eq!(verdict, Verdict::Forward { out: to, via });
        sent
    }

    #[track_caller]
    pub(crate) fn drops(&mut self, from: &str, local: &str, datagram: &[u8], reason: DropReason) {
        assert_eq!(self.receive(from, local, datagram).0, Verdict::Drop(reason));
    }

    pub(crate) fn reports(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.worker.poll_report()).collect()
    }

    pub(crate) fn wait(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
    }

    pub(crate) fn flow(&self, flow: u64) -> FlowSnapshot {
        self.shared.stats.flow_snapshot(FlowId(flow)).unwrap()
    }

    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.worker.stats().snapshot().dropped(reason)
    }
}

/// The other end of a DTLS-SRTP leg.
pub(crate) struct SrtpPeer {
    pub(crate) send: SendContext,
    pub(crate) receive: ReceiveContext,
    /// What the relay's end has.
    pub(crate) relay_keys: SrtpKeyPair,
}

impl SrtpPeer {
    /// Both ends of one handshake: the relay is the server. Another `seed` is another handshake.
    pub(crate) fn new(profile: SrtpProfile, seed: u8) -> Self {
        let exported: Vec<u8> = (0..SrtpKeyPair::exporter_len(profile))
            .map(|n| (n as u8).wrapping_mul(17) ^ seed)
            .collect();
        let keys = |role| SrtpKeyPair::from_dtls_exporter(profile, role, &exported).unwrap();
        let browser_keys = keys(DtlsRole::Client);
        Self {
            send: SendContext::new(&browser_keys.send, SrtpLimits::default()),
            receive: ReceiveContext::new(&browser_keys.receive, SrtpLimits::default()),
            relay_keys: keys(DtlsRole::Server),
        }
    }

    pub(crate) fn protect_rtp(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + 16, 0);
        let len = self
            .send
            .protect_rtp(Tick::ZERO, &mut buffer, packet.len())
            .unwrap();
        buffer.truncate(len);
        buffer
    }

    pub(crate) fn protect_rtcp(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + 20, 0);
        let len = self
            .send
            .protect_rtcp(Tick::ZERO, &mut buffer, packet.len())
            .unwrap();
        buffer.truncate(len);
        buffer
    }

    pub(crate) fn unprotect_rtp(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        let len = self.receive.unprotect_rtp(Tick::ZERO, &mut buffer).unwrap();
        buffer.truncate(len);
        buffer
    }

    pub(crate) fn unprotect_rtcp(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        let len = self.receive.unprotect_rtcp(Tick::ZERO, &mut buffer).unwrap();
        buffer.truncate(len);
        buffer
    }
}

/// The crypto contexts of the browser's leg.
pub(crate) const BROWSER_RECEIVE: u64 = 1;
pub(crate) const BROWSER_SEND: u64 = 2;
/// The flows of a call.
pub(crate) const FROM_BROWSER: u64 = 10;
pub(crate) const FROM_PHONE: u64 = 20;
pub(crate) const FROM_PHONE_RTCP: u64 = 21;

/// A call between a browser (muxed, SRTP) and a phone with separate RTCP.
pub(crate) fn browser_calls_phone(relay: &mut Relay, profile: SrtpProfile) -> SrtpPeer {
    let browser = SrtpPeer::new(profile, 1);
    relay.crypto(BROWSER_RECEIVE, CryptoDirection::Receive, &browser.relay_keys);
    relay.crypto(BROWSER_SEND, CryptoDirection::Send, &browser.relay_keys);
    relay.install(from_browser());
    relay.install(from_phone());
    relay.install(from_phone_rtcp());
    browser
}

pub(crate) fn from_browser() -> FlowRule {
    let route = Route {
        rtp_out: Some(out(AUDIO, PHONE)),
        rtcp_out: Some(out(AUDIO_RTCP, PHONE_RTCP)),
        ..Route::to(out(AUDIO, PHONE))
    };
    let rule = FlowRule::new(
        FlowId(FROM_BROWSER),
        key(SHARED, BROWSER),
        BROWSER_LEG,
        vec![route],
    );
    FlowRule {
        unprotect: Some(CryptoId(BROWSER_RECEIVE)),
        confirm: true,
        ..rule
    }
}

pub(crate) fn from_phone() -> FlowRule {
    let route = Route {
        protect: Some(CryptoId(BROWSER_SEND)),
        ..Route::to(out(SHARED, BROWSER))
    };
    FlowRule::new(FlowId(FROM_PHONE), key(AUDIO, PHONE), PHONE_LEG, vec![route])
}

pub(crate) fn from_phone_rtcp() -> FlowRule {
    let route = Route {
        protect: Some(CryptoId(BROWSER_SEND)),
        ..Route::to(out(SHARED, BROWSER))
    };
    let rule = FlowRule::new(
        FlowId(FROM_PHONE_RTCP),
        key(AUDIO_RTCP, PHONE_RTCP),
        PHONE_LEG,
        vec![route],
    );
    FlowRule {
        accept: viaduct_forward::Accept::RTCP,
        rtp_flow: Some(FlowId(FROM_PHONE)),
        ..rule
    }
}

pub(crate) const BROWSER_SSRC: u32 = 0xb0b0_b0b0;
pub(crate) const PHONE_SSRC: u32 = 0x0f0f_0f0f;

/// 20 ms of G.711.
pub(crate) fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    rtp_of_type(ssrc, sequence, 0)
}

pub(crate) fn rtp_of_type(ssrc: u32, sequence: u16, payload_type: u8) -> Vec<u8> {
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

/// The same with a MID in a one-byte header extension.
pub(crate) fn rtp_with_mid(
    ssrc: u32,
    sequence: u16,
    payload_type: u8,
    extension_id: u8,
    mid: &str,
) -> Vec<u8> {
    let plain = rtp_of_type(ssrc, sequence, payload_type);
    let mut packet = plain[..12].to_vec();
    packet[0] |= 0x10;
    let mut data = vec![extension_id << 4 | (mid.len() as u8 - 1)];
    data.extend(mid.as_bytes());
    data.resize(data.len().next_multiple_of(4), 0);
    packet.extend([0xbe, 0xde, 0, (data.len() / 4) as u8]);
    packet.extend(data);
    packet.extend(&plain[12..]);
    packet
}

pub(crate) fn sender_report(ssrc: u32, ntp: u64, blocks: &[ReportBlock]) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    let info = SenderInfo {
        ntp,
        rtp_timestamp: 1,
        packets: 2,
        octets: 3,
    };
    writer
        .sender_report(ssrc, &info, blocks)
        .unwrap()
        .sdes(&[(ssrc, "cname")])
        .unwrap();
    writer.finish().to_vec()
}

pub(crate) fn receiver_report(ssrc: u32, blocks: &[ReportBlock]) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    writer.receiver_report(ssrc, blocks).unwrap();
    writer.finish().to_vec()
}

/// A report block that says nothing but who it is about.
pub(crate) fn about(ssrc: u32) -> ReportBlock {
    ReportBlock {
        ssrc,
        ..ReportBlock::default()
    }
}
