//! Our session description.

use viaduct_sdp::{
    Codec as Format, CodecList, Connection, Direction, MediaOut, Origin, Rtcp, RtpMap, SessionOut,
};

use super::{Layout, Section};
use crate::media::{CLOCK_HZ, Codec};
use crate::stream::BLOCK_SAMPLES;
use crate::{MediaAddress, MediaParams};

/// The keys of a telephone: what our side of telephone-event takes (RFC 4733 section 2.4.1).
const EVENTS: &[u8] = b"0-15";

/// The time of one packet of ours, in milliseconds.
const PTIME_MS: u32 = BLOCK_SAMPLES as u32 * 1_000 / CLOCK_HZ;

/// Our side of one session, and what it said last.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    address: MediaAddress,
    session_id: u64,
    version: u64,
    last: Option<SessionOut>,
}

impl Local {
    /// A side that has said nothing. `session_id` is any number.
    pub(crate) fn new(address: MediaAddress, session_id: u64) -> Self {
        Self {
            address,
            // Some endpoints read it as a signed number.
            session_id: session_id >> 2,
            version: 0,
            last: None,
        }
    }

    /// The description for these m-lines. The version in `o=` rises when, and only when, something differs from what
    /// was said last (RFC 3264 section 8).
    pub(crate) fn describe(
        &mut self,
        layout: &Layout,
        params: &MediaParams,
        direction: Direction,
    ) -> Vec<u8> {
        let media = |(index, section): (usize, &Section)| {
            if index == layout.audio && layout.is_on {
                self.audio(section, params, direction)
            } else {
                self.rejected(section)
            }
        };
        let mut session = SessionOut {
            name: b"-".to_vec(),
            medias: layout.sections.iter().enumerate().map(media).collect(),
            ..SessionOut::default()
        };
        if self.last.as_ref() != Some(&session) {
            self.version += 1;
            self.last = Some(session.clone());
        }
        session.origin = self.origin().to_string().into_bytes();
        session.to_bytes()
    }

    fn origin(&self) -> Origin {
        Origin {
            username: "-".to_owned(),
            session_id: self.session_id.to_string(),
            version: self.version.to_string(),
            address: self.address.rtp.ip().into(),
        }
    }

    fn audio(&self, section: &Section, params: &MediaParams, direction: Direction) -> MediaOut {
        let MediaAddress { rtp, rtcp } = self.address;
        let connection = Connection::unicast(rtp.ip());
        let mut media = MediaOut::new(&section.kind, rtp.port(), &section.protocol, connection);
        media.mid.clone_from(&section.mid);
        media.codecs = formats(params);
        media.direction = Some(direction);
        media.ptime = Some(PTIME_MS);
        media.rtcp_mux = params.rtcp_mux;
        let is_next = rtp.port().checked_add(1) == Some(rtcp.port());
        if !params.rtcp_mux && !is_next {
            media.rtcp = Some(Rtcp {
                port: rtcp.port(),
                address: None,
            });
        }
        media
    }

    fn rejected(&self, section: &Section) -> MediaOut {
        let connection = Connection::unicast(self.address.rtp.ip());
        let mut media = MediaOut::new(&section.kind, 0, &section.protocol, connection);
        media.rejected = true;
        media.mid.clone_from(&section.mid);
        media.formats = vec![section.format.clone()];
        media
    }
}

/// What we receive, the codec that we send first.
fn formats(params: &MediaParams) -> CodecList {
    let receive = &params.receive;
    let format = |name: &str, payload_type| {
        Format::new(RtpMap {
            payload_type,
            encoding: name.to_owned(),
            clock_rate: CLOCK_HZ,
            parameters: None,
        })
    };
    let others = Codec::ALL.into_iter().filter(|codec| *codec != params.codec);
    let codecs = std::iter::once(params.codec).chain(others);
    let audio = codecs.filter_map(|codec| Some(format(codec.name(), receive.of(codec)?)));
    let event = receive.event.map(|payload_type| {
        let mut event = format("telephone-event", payload_type);
        event.fmtp.push(EVENTS.to_vec());
        event
    });
    CodecList(audio.chain(event).collect())
}
