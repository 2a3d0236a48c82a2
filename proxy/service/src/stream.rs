//! The media of one call: RTP and RTCP in, the service's audio out, on a schedule of 20 ms.

mod chime;
mod digits;
mod melody;
mod playout;
mod program;
mod receiver;
mod reports;
mod source;
mod stats;
mod wave;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use viaduct_rtp::{Epoch, Kind, RTP_HEADER_LEN, RtpFields, classify};

pub use self::chime::{CHIME_HZ, CHIME_PAUSE_SAMPLES, CHIME_SAMPLES, CHIME_TONE_SAMPLES};
pub use self::melody::{MUSIC_BASE_HZ, MUSIC_FIFTH_HZ};
pub use self::playout::{ECHO_DELAY_SAMPLES, PAYLOAD_SAMPLES_MAX};
use self::program::{Block, Program};
use self::receiver::Receiver;
use self::reports::{Reports, Sent};
use self::source::Source;
pub use self::stats::{Drops, StreamStats};
use crate::media::CLOCK_HZ;
use crate::{Component, MediaParams, Service};

/// Samples of one packet that we send: 20 ms.
pub const BLOCK_SAMPLES: usize = 160;

/// The time of one packet.
const BLOCK: Duration = Duration::from_millis(20);

/// Packets that are sent in a row when the shell comes late; beyond, their time is skipped.
const CATCH_UP_MAX: u64 = 5;

/// Events that wait for [`Stream::poll_event`]; one beyond is counted and not told.
const EVENTS_MAX: usize = 32;

/// Room for our longest datagram: an RTP packet of 172 octets; reports are shorter.
const BUFFER_OCTETS: usize = 256;

const _: () = assert!(BUFFER_OCTETS >= RTP_HEADER_LEN + BLOCK_SAMPLES);
const _: () = assert!((CHIME_SAMPLES as usize).is_multiple_of(BLOCK_SAMPLES));

/// How a stream behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamConfig {
    /// How long the caller may send no RTP before [`StreamEvent::Silent`], while both directions are agreed: on hold
    /// phones often send nothing. 30 s.
    pub silence_max: Duration,
    /// How long the echo's chime waits for the first packet of the caller, which shows that the way is open. A browser
    /// needs this time for its handshake. 1 s.
    pub chime_wait: Duration,
    /// The mean time between RTCP reports. 5 s (RFC 3550 section 6.2).
    pub report_interval: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            silence_max: Duration::from_secs(30),
            chime_wait: Duration::from_secs(1),
            report_interval: Duration::from_secs(5),
        }
    }
}

/// What a stream is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSetup {
    /// What shall be heard: from [`Output::OpenMedia`](crate::Output::OpenMedia).
    pub service: Service,
    /// What was agreed: from [`Output::OpenMedia`](crate::Output::OpenMedia).
    pub params: MediaParams,
    /// How it behaves.
    pub config: StreamConfig,
    /// The time since 1970, for RTCP.
    pub unix_time: Duration,
    /// Seeds SSRC, first sequence number, first timestamp and the times of reports.
    pub seed: [u8; 32],
}

/// A datagram to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit<'s> {
    /// From which of the two sockets.
    pub from: Component,
    /// Where to.
    pub to: SocketAddr,
    /// One RTP packet or one RTCP compound.
    pub octets: &'s [u8],
}

/// What a stream has to tell. For [`Agent::handle_stream_event`](crate::Agent::handle_stream_event).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEvent {
    /// The caller's first RTP came.
    Heard,
    /// The caller pressed a key.
    Digit(char),
    /// No RTP came for [`StreamConfig::silence_max`]. Told once until RTP comes again.
    Silent,
}

/// The media of one call, without sockets.
///
/// **The contract: give it every datagram of both sockets; call [`poll_transmit`](Self::poll_transmit) until it returns
/// `None`, and then [`poll_event`](Self::poll_event) until it does, after every call that takes `now` and no later than
/// [`poll_timeout`](Self::poll_timeout) says.** `now` never goes back. Nothing is allocated after it was made.
///
/// While it was agreed that we send, a packet leaves every 20 ms, with silence in it when there is nothing to say: the
/// relay and every NAT on the way see a stream that lives, whatever the caller does.
#[derive(Debug)]
pub struct Stream {
    params: MediaParams,
    config: StreamConfig,
    epoch: Epoch,
    start: Instant,
    unix_start: Duration,
    program: Program,
    receiver: Receiver,
    reports: Reports,
    rtp_source: Source,
    rtcp_source: Source,
    ssrc: u32,
    sequence: u16,
    /// The timestamp of block 0.
    timestamp_base: u32,
    /// The next block, counted from the start.
    block: u64,
    /// The next packet begins a talkspurt: the first of all, or the first after a gap.
    marker: bool,
    /// When the caller was last heard, or began to be expected.
    heard_at: Instant,
    silence_told: bool,
    events: VecDeque<StreamEvent>,
    stats: StreamStats,
    buffer: Box<[u8; BUFFER_OCTETS]>,
}

impl Stream {
    /// A stream that begins to sound.
    pub fn new(now: Instant, setup: StreamSetup) -> Self {
        let StreamSetup {
            service,
            params,
            config,
            unix_time,
            seed,
        } = setup;
        let mut rng = StdRng::from_seed(seed);
        // Random beginnings (RFC 3550 section 5.1).
        let (ssrc, sequence, timestamp_base) = (rng.next_u32(), rng.next_u32() as u16, rng.next_u32());
        let mut program = Program::new(service, params.codec, now + config.chime_wait);
        program.agree(params.codec, returns_digits(&params));
        Self {
            params,
            config,
            epoch: Epoch::new(now),
            start: now,
            unix_start: unix_time,
            program,
            receiver: Receiver::default(),
            reports: Reports::new(now, config.report_interval, rng),
            rtp_source: Source::default(),
            rtcp_source: Source::default(),
            ssrc,
            sequence,
            timestamp_base,
            block: 0,
            marker: true,
            heard_at: now,
            silence_told: false,
            events: VecDeque::with_capacity(EVENTS_MAX),
            stats: StreamStats::default(),
            buffer: Box::new([0; BUFFER_OCTETS]),
        }
    }

    /// Something else was agreed. What the caller hears goes on where it was, after a hold with a gap in time.
    pub fn update(&mut self, now: Instant, params: MediaParams) {
        let before = std::mem::replace(&mut self.params, params);
        self.program.agree(params.codec, returns_digits(&params));
        if before.remote != params.remote {
            self.rtp_source.reset();
        }
        if before.remote_rtcp != params.remote_rtcp {
            self.rtcp_source.reset();
        }
        if params.expects_media() && (!before.expects_media() || before.remote != params.remote) {
            self.heard_at = now;
            self.silence_told = false;
        }
    }

    /// A datagram came from `from` on one of the sockets.
    pub fn handle_packet(&mut self, now: Instant, on: Component, from: SocketAddr, octets: &[u8]) {
        match (classify(octets), on) {
            (Kind::Rtp, Component::Rtp) => self.rtp_received(now, from, octets),
            (Kind::Rtcp, _) => self.rtcp_received(now, on, from, octets),
            (Kind::Rtp, Component::Rtcp) => self.stats.drops.unexpected += 1,
            (Kind::Stun | Kind::Zrtp | Kind::Dtls | Kind::Turn | Kind::Unknown, _) => {
                self.stats.drops.malformed += 1;
            }
        }
    }

    /// The next datagram to send at this time.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        let (from, to, length) = self.next_datagram(now)?;
        Some(Transmit {
            from,
            to,
            octets: &self.buffer[..length],
        })
    }

    /// What there is to tell.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    /// When to call [`poll_transmit`](Self::poll_transmit).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let block = self.params.destination().map(|_| self.block_due());
        let report = self.params.remote_rtcp.map(|_| self.reports.due());
        [block, report, self.silence_due()].into_iter().flatten().min()
    }

    /// The last datagram: a report and an RTCP BYE (RFC 3550 section 6.6). `None` when nobody waits for one.
    pub fn goodbye(&mut self, now: Instant) -> Option<Transmit<'_>> {
        let to = self.params.remote_rtcp?;
        let length = self.write_report(now, true);
        Some(Transmit {
            from: self.rtcp_component(),
            to,
            octets: &self.buffer[..length],
        })
    }

    /// What was agreed last.
    pub fn params(&self) -> &MediaParams {
        &self.params
    }

    /// What was counted.
    pub fn stats(&self) -> StreamStats {
        StreamStats {
            received: self.receiver.snapshot(),
            round_trip: self.reports.round_trip(),
            resyncs: self.program.resyncs(),
            ..self.stats
        }
    }

    fn rtp_received(&mut self, now: Instant, from: SocketAddr, octets: &[u8]) {
        let drops = &mut self.stats.drops;
        if !self.rtp_source.admits(from, self.params.remote) {
            drops.foreign += 1;
            return;
        }
        if !self.params.direction.receives() {
            drops.unexpected += 1;
            return;
        }
        let tick = self.epoch.tick(now);
        let Some(packet) = self
            .receiver
            .take(tick, self.ssrc, &self.params.receive, octets, drops)
        else {
            return;
        };
        self.rtp_source.settle(from);
        if packet.is_new_source {
            self.program.source_changed();
            self.reports.forget_source();
        }
        if packet.is_first {
            self.tell(StreamEvent::Heard);
        }
        self.heard_at = now;
        self.silence_told = false;
        if let Some(key) = self.program.take(now, &packet.content, &mut self.stats) {
            self.tell(StreamEvent::Digit(key));
        }
    }

    fn rtcp_received(&mut self, now: Instant, on: Component, from: SocketAddr, octets: &[u8]) {
        let drops = &mut self.stats.drops;
        if on != self.params.rtcp_component() {
            drops.unexpected += 1;
            return;
        }
        let source = match on {
            Component::Rtp => &mut self.rtp_source,
            Component::Rtcp => &mut self.rtcp_source,
        };
        if !source.admits(from, self.params.remote_rtcp) {
            drops.foreign += 1;
            return;
        }
        let times = (now, self.epoch.tick(now));
        if !self.reports.take(times, self.ssrc, self.receiver.ssrc(), octets) {
            drops.malformed += 1;
            return;
        }
        source.settle(from);
        self.stats.reports_received += 1;
    }

    /// Writes the next datagram into the buffer: from where, where to, and how long it is.
    fn next_datagram(&mut self, now: Instant) -> Option<(Component, SocketAddr, usize)> {
        if let Some(to) = self.params.remote_rtcp
            && now >= self.reports.due()
        {
            let length = self.write_report(now, false);
            self.reports.plan(now);
            return Some((self.rtcp_component(), to, length));
        }
        if let Some(to) = self.params.destination()
            && now >= self.block_due()
        {
            let length = self.write_block(now);
            return Some((Component::Rtp, to, length));
        }
        if self.silence_due().is_some_and(|due| now >= due) {
            self.silence_told = true;
            self.tell(StreamEvent::Silent);
        }
        None
    }

    fn write_block(&mut self, now: Instant) -> usize {
        self.skip_missed(now);
        let timestamp = self.block_timestamp();
        let (header, payload) = self.buffer.split_at_mut(RTP_HEADER_LEN);
        let block = &mut payload[..BLOCK_SAMPLES];
        let made = self.program.next(now, timestamp, block);
        let (marker, payload_type, timestamp, length) = match (made, self.params.send.event) {
            (Block::Event(event), Some(payload_type)) => {
                let octets = event.event.encode();
                block[..octets.len()].copy_from_slice(&octets);
                (event.first, payload_type, event.timestamp, octets.len())
            }
            // Audio after an event begins a talkspurt.
            (Block::Audio { resumes }, _) => {
                let marker = std::mem::take(&mut self.marker) || resumes;
                (marker, self.params.send.audio, timestamp, BLOCK_SAMPLES)
            }
            // The program makes events only where they were agreed.
            (Block::Event(_), None) => {
                block.fill(self.params.codec.silence());
                (false, self.params.send.audio, timestamp, BLOCK_SAMPLES)
            }
        };
        let fields = RtpFields {
            marker,
            payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        };
        header.copy_from_slice(&fields.encode());
        self.sequence = self.sequence.wrapping_add(1);
        self.block += 1;
        self.stats.packets_sent += 1;
        self.stats.octets_sent += length as u64;
        RTP_HEADER_LEN + length
    }

    /// Leaves out the blocks whose time is long over: after a hold, or when the shell was held up.
    fn skip_missed(&mut self, now: Instant) {
        let current = now.saturating_duration_since(self.start).as_millis() / BLOCK.as_millis();
        let missed = u64::try_from(current)
            .unwrap_or(u64::MAX)
            .saturating_sub(self.block);
        if missed >= CATCH_UP_MAX {
            self.block += missed;
            self.program.skip(missed * BLOCK_SAMPLES as u64);
            self.stats.blocks_skipped += missed;
            self.marker = true;
        }
    }

    fn write_report(&mut self, now: Instant, is_last: bool) -> usize {
        let elapsed = now.saturating_duration_since(self.start);
        let samples = elapsed.as_micros() * u128::from(CLOCK_HZ) / 1_000_000;
        let sent = Sent {
            ssrc: self.ssrc,
            packets: self.stats.packets_sent,
            octets: self.stats.octets_sent,
            timestamp: self.timestamp_base.wrapping_add(samples as u32),
        };
        let times = (now, self.epoch.tick(now), self.unix_start + elapsed);
        let heard = self.receiver.report_block();
        self.stats.reports_sent += 1;
        self.reports
            .write(times, sent, heard, is_last, &mut self.buffer[..])
    }

    fn block_due(&self) -> Instant {
        self.start + Duration::from_millis(self.block * BLOCK.as_millis() as u64)
    }

    fn block_timestamp(&self) -> u32 {
        self.timestamp_base
            .wrapping_add((self.block as u32).wrapping_mul(BLOCK_SAMPLES as u32))
    }

    fn silence_due(&self) -> Option<Instant> {
        let is_awaited = self.params.expects_media() && !self.silence_told;
        is_awaited.then(|| self.heard_at + self.config.silence_max)
    }

    fn rtcp_component(&self) -> Component {
        self.params.rtcp_component()
    }

    fn tell(&mut self, event: StreamEvent) {
        // Room that digits do not take: the two other events are never lost to them.
        let room = match event {
            StreamEvent::Digit(_) => EVENTS_MAX - 2,
            StreamEvent::Heard | StreamEvent::Silent => EVENTS_MAX,
        };
        if self.events.len() < room {
            self.events.push_back(event);
        } else {
            self.stats.events_over_limit += 1;
        }
    }
}

/// Key presses go back to a caller that takes them and hears us.
fn returns_digits(params: &MediaParams) -> bool {
    params.send.event.is_some() && params.direction.sends()
}
