//! The caller's RTP: which packets count, and what is in them.

use viaduct_rtp::rtcp::ReportBlock;
use viaduct_rtp::stats::{Arrival, Reception, ReceptionSnapshot};
use viaduct_rtp::telephone_event::TelephoneEvent;
use viaduct_rtp::{RtpPacket, Tick};

use super::PAYLOAD_SAMPLES_MAX;
use super::stats::Drops;
use crate::media::CLOCK_HZ;
use crate::{Codec, ReceiveTypes};

/// The caller's stream.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    source: Option<(u32, Reception)>,
    /// Another SSRC and the sequence number that would confirm it.
    candidate: Option<(u32, u16)>,
}

/// A packet that counts.
#[derive(Debug)]
pub(super) struct Packet<'p> {
    pub(super) content: Content<'p>,
    /// The first of the call.
    pub(super) is_first: bool,
    /// The first of another SSRC, or of another run of sequence numbers.
    pub(super) is_new_source: bool,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'p> {
    Audio {
        timestamp: u32,
        codec: Codec,
        payload: &'p [u8],
    },
    Event {
        timestamp: u32,
        event: TelephoneEvent,
    },
}

impl Receiver {
    /// Judges a datagram. `ours` is the SSRC that we send with.
    pub(super) fn take<'p>(
        &mut self,
        tick: Tick,
        ours: u32,
        types: &ReceiveTypes,
        octets: &'p [u8],
        drops: &mut Drops,
    ) -> Option<Packet<'p>> {
        let Ok(packet) = RtpPacket::parse(octets) else {
            drops.malformed += 1;
            return None;
        };
        let header = packet.header();
        if header.ssrc() == ours {
            drops.looped += 1;
            return None;
        }
        let content = read(&packet, types, drops)?;
        let is_first = self.source.is_none();
        let (ssrc, sequence, timestamp) = (header.ssrc(), header.sequence(), header.timestamp());
        let is_new_source = match &mut self.source {
            Some((known, reception)) if *known == ssrc => {
                match reception.on_packet(tick, sequence, timestamp, CLOCK_HZ) {
                    Arrival::InOrder | Arrival::Gap { .. } | Arrival::Late => false,
                    Arrival::Restart => true,
                    Arrival::Duplicate => {
                        drops.duplicate += 1;
                        return None;
                    }
                    Arrival::Stray => {
                        drops.stray += 1;
                        return None;
                    }
                }
            }
            Some(_) if self.candidate != Some((ssrc, sequence)) => {
                self.candidate = Some((ssrc, sequence.wrapping_add(1)));
                drops.stray += 1;
                return None;
            }
            source @ (Some(_) | None) => {
                *source = Some((ssrc, Reception::new(tick, sequence, timestamp, CLOCK_HZ)));
                self.candidate = None;
                !is_first
            }
        };
        Some(Packet {
            content,
            is_first,
            is_new_source,
        })
    }

    /// The SSRC that counts.
    pub(super) fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|(ssrc, _)| *ssrc)
    }

    pub(super) fn snapshot(&self) -> Option<ReceptionSnapshot> {
        self.source.as_ref().map(|(_, reception)| reception.snapshot())
    }

    /// What a report says about the caller's stream.
    pub(super) fn report_block(&mut self) -> Option<ReportBlock> {
        self.source
            .as_mut()
            .map(|(ssrc, reception)| reception.report_block(*ssrc))
    }
}

fn read<'p>(packet: &RtpPacket<'p>, types: &ReceiveTypes, drops: &mut Drops) -> Option<Content<'p>> {
    let header = packet.header();
    let (payload_type, timestamp) = (header.payload_type(), header.timestamp());
    let payload = packet.payload();
    if let Some(codec) = types.codec(payload_type) {
        if payload.is_empty() || payload.len() > PAYLOAD_SAMPLES_MAX {
            drops.bad_payload += 1;
            return None;
        }
        return Some(Content::Audio {
            timestamp,
            codec,
            payload,
        });
    }
    if types.event != Some(payload_type) {
        drops.unknown_type += 1;
        return None;
    }
    let Some(event) = TelephoneEvent::parse(payload) else {
        drops.bad_payload += 1;
        return None;
    };
    Some(Content::Event { timestamp, event })
}
