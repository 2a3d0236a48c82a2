//! A stream with a clock, and the caller at its other end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use viaduct_rtp::rtcp::Compound;
use viaduct_rtp::{RtpFields, RtpPacket};
use viaduct_sdp::Direction;
use viaduct_service::{
    Codec, Component, MediaParams, ReceiveTypes, SendTypes, Service, Stream, StreamConfig, StreamEvent,
    StreamSetup,
};

use crate::caller::base;

pub(crate) const CALLER: &str = "192.0.2.7:4000";
pub(crate) const CALLER_RTCP: &str = "192.0.2.7:4001";
pub(crate) const CALLER_SSRC: u32 = 0x00c0_ffee;

/// The time of day at which a leg begins, since 1970.
pub(crate) const UNIX_START: Duration = Duration::from_secs(1_800_000_000);

pub(crate) fn params() -> MediaParams {
    MediaParams {
        codec: Codec::Pcmu,
        send: SendTypes {
            audio: 0,
            event: Some(101),
        },
        receive: ReceiveTypes {
            pcmu: Some(0),
            pcma: None,
            event: Some(101),
        },
        direction: Direction::SendRecv,
        remote: Some(CALLER.parse().unwrap()),
        remote_rtcp: Some(CALLER_RTCP.parse().unwrap()),
        rtcp_mux: false,
    }
}

/// An RTP packet that the stream sent.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    /// Since the leg began.
    pub(crate) at: Duration,
    pub(crate) to: SocketAddr,
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: Vec<u8>,
}

/// An RTCP compound that the stream sent.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) at: Duration,
    pub(crate) from: Component,
    pub(crate) to: SocketAddr,
    pub(crate) octets: Vec<u8>,
}

pub(crate) struct Leg {
    pub(crate) stream: Stream,
    pub(crate) now: Instant,
    start: Instant,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    /// What the caller hears.
    codec: Codec,
    packets: Vec<Packet>,
    reports: Vec<Report>,
    events: Vec<StreamEvent>,
}

impl Leg {
    pub(crate) fn new(service: Service) -> Self {
        Self::with(service, params())
    }

    pub(crate) fn with(service: Service, params: MediaParams) -> Self {
        let now = base();
        let setup = StreamSetup {
            service,
            params,
            config: StreamConfig::default(),
            unix_time: UNIX_START,
            seed: [3; 32],
        };
        Self {
            stream: Stream::new(now, setup),
            now,
            start: now,
            sequence: 65_530,
            timestamp: u32::MAX - 1_000,
            codec: params.codec,
            packets: Vec::new(),
            reports: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        self.drain();
        while let Some(next) = self.stream.poll_timeout().filter(|next| *next <= end) {
            assert!(next >= self.now || self.stream.params().remote.is_some());
            self.now = next.max(self.now);
            self.drain();
        }
        self.now = end;
        self.drain();
    }

    /// The caller sends so many packets of 20 ms of PCMU, one every 20 ms. `sample` gives the sample at a timestamp.
    pub(crate) fn talk(&mut self, blocks: u32, sample: impl Fn(u32) -> i16) {
        for _ in 0..blocks {
            let payload = self.block(&sample);
            self.send(0, self.timestamp, &payload);
            self.timestamp = self.timestamp.wrapping_add(160);
            self.pass(20);
        }
    }

    /// The audio of the next packet, in PCMU.
    pub(crate) fn block(&self, sample: impl Fn(u32) -> i16) -> Vec<u8> {
        (0..160)
            .map(|at| Codec::Pcmu.encode(sample(self.timestamp.wrapping_add(at))))
            .collect()
    }

    /// The caller sends one packet with the next sequence number.
    pub(crate) fn send(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) {
        let packet = self.packet(payload_type, timestamp, payload);
        self.receive(Component::Rtp, &packet);
    }

    /// The next packet.
    pub(crate) fn packet(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let fields = RtpFields {
            marker: false,
            payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: CALLER_SSRC,
        };
        self.sequence = self.sequence.wrapping_add(1);
        [&fields.encode()[..], payload].concat()
    }

    /// Octets come from the caller.
    pub(crate) fn receive(&mut self, on: Component, octets: &[u8]) {
        let from = match on {
            Component::Rtp => CALLER,
            Component::Rtcp => CALLER_RTCP,
        };
        self.receive_from(on, from, octets);
    }

    pub(crate) fn receive_from(&mut self, on: Component, from: &str, octets: &[u8]) {
        self.stream
            .handle_packet(self.now, on, from.parse().unwrap(), octets);
        self.drain();
    }

    pub(crate) fn update(&mut self, change: impl FnOnce(&mut MediaParams)) {
        let mut params = *self.stream.params();
        change(&mut params);
        self.codec = params.codec;
        self.stream.update(self.now, params);
        self.drain();
    }

    pub(crate) fn take_packets(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.packets)
    }

    pub(crate) fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    pub(crate) fn take_events(&mut self) -> Vec<StreamEvent> {
        std::mem::take(&mut self.events)
    }

    /// What the caller heard since the last question.
    pub(crate) fn heard(&mut self) -> Vec<i16> {
        samples(&self.take_packets(), self.codec)
    }

    fn drain(&mut self) {
        let at = self.now - self.start;
        while let Some(sent) = self.stream.poll_transmit(self.now) {
            if sent.octets[1] & 0x7f >= 72 && Compound::parse(sent.octets).is_ok() {
                self.reports.push(Report {
                    at,
                    from: sent.from,
                    to: sent.to,
                    octets: sent.octets.to_vec(),
                });
                continue;
            }
            let packet = RtpPacket::parse(sent.octets).unwrap();
            let header = packet.header();
            assert_eq!(sent.from, Component::Rtp);
            self.packets.push(Packet {
                at,
                to: sent.to,
                marker: header.marker(),
                payload_type: header.payload_type(),
                sequence: header.sequence(),
                timestamp: header.timestamp(),
                ssrc: header.ssrc(),
                payload: packet.payload().to_vec(),
            });
        }
        while let Some(event) = self.stream.poll_event() {
            self.events.push(event);
        }
    }
}

/// The audio of packets, decoded.
pub(crate) fn samples(packets: &[Packet], codec: Codec) -> Vec<i16> {
    packets
        .iter()
        .flat_map(|packet| &packet.payload)
        .map(|octet| codec.decode(*octet))
        .collect()
}

/// Checks that packets are one RTP stream without a gap: every 20 ms one of 20 ms.
pub(crate) fn assert_continuous(packets: &[Packet]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1), "{pair:?}");
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160), "{pair:?}");
        assert_eq!(pair[1].at - pair[0].at, Duration::from_millis(20), "{pair:?}");
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
        assert!(!pair[1].marker, "{pair:?}");
        assert_eq!((pair[0].payload.len(), pair[1].payload.len()), (160, 160));
    }
}
