//! Offer and answer about one audio stream (RFC 3264): what the caller's SDP means, and what ours says.

mod local;
mod remote;

use viaduct_sdp::{Direction, Media, Session};

pub(crate) use self::local::Local;
use crate::media::{Codec, ReceiveTypes, SendTypes};
use crate::refusal::Mismatch;
use crate::{Family, MediaParams};

/// The payload type of telephone-event in an offer of ours, the usual one.
const EVENT_TYPE: u8 = 101;

/// The m-lines of a session. Their number and order never change while it lives (RFC 3264 section 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    sections: Vec<Section>,
    /// Which one is our audio.
    audio: usize,
    /// False while it is switched off with port 0.
    is_on: bool,
}

/// What must be said about an m-line, ours or rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    kind: String,
    protocol: String,
    /// The first of its formats: a rejected m-line needs one, whichever (RFC 3264 section 6).
    format: String,
    mid: Option<String>,
}

/// What becomes of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) layout: Layout,
    pub(crate) params: MediaParams,
    /// Of the caller's media address.
    pub(crate) family: Family,
}

/// An offer of ours that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) layout: Layout,
    pub(crate) params: MediaParams,
}

impl Plan {
    /// What an offer that begins a session becomes.
    pub(crate) fn of_first(offer: &Session) -> Result<Self, Mismatch> {
        let found = remote::find(offer, None, None)?;
        Ok(Self::accepting(offer, found))
    }

    /// What a further offer becomes. `family` is that of our sockets. Audio that is switched off stays part of the
    /// session.
    pub(crate) fn of_next(
        offer: &Session,
        layout: &Layout,
        params: &MediaParams,
        family: Family,
    ) -> Result<Self, Mismatch> {
        match remote::find(offer, Some(layout.audio), Some(family)) {
            Ok(found) => Ok(Self::accepting(offer, found)),
            Err(_) if remote::is_switched_off(offer, layout.audio) => {
                let layout = Layout {
                    sections: sections(offer),
                    audio: layout.audio,
                    is_on: false,
                };
                let params = MediaParams {
                    direction: Direction::Inactive,
                    remote: None,
                    remote_rtcp: None,
                    ..*params
                };
                Ok(Self {
                    layout,
                    params,
                    family,
                })
            }
            Err(mismatch) => Err(mismatch),
        }
    }

    fn accepting(offer: &Session, (audio, found): (usize, remote::Audio)) -> Self {
        // The answer uses the offer's numbers (RFC 3264 section 6.1).
        let mut receive = ReceiveTypes {
            event: found.send.event,
            ..ReceiveTypes::default()
        };
        receive.set(found.codec, found.send.audio);
        let layout = Layout {
            sections: sections(offer),
            audio,
            is_on: true,
        };
        Self {
            params: found.params(receive, true),
            layout,
            family: found.family,
        }
    }
}

impl Pending {
    /// The offer in the answer to an INVITE that brought none.
    pub(crate) fn first() -> Self {
        let mut receive = ReceiveTypes::default();
        complete(&mut receive);
        let codec = Codec::Pcmu;
        let section = Section {
            kind: "audio".to_owned(),
            protocol: "RTP/AVP".to_owned(),
            format: codec.static_type().to_string(),
            mid: None,
        };
        Self {
            layout: Layout {
                sections: vec![section],
                audio: 0,
                is_on: true,
            },
            params: MediaParams {
                codec,
                send: SendTypes {
                    audio: codec.static_type(),
                    event: None,
                },
                receive,
                // Whatever comes may be media already (RFC 3264 section 5.1); where ours goes is not known.
                direction: Direction::RecvOnly,
                remote: None,
                remote_rtcp: None,
                rtcp_mux: false,
            },
        }
    }

    /// The offer in the answer to a re-INVITE that brought none: all that we can do, under the numbers in use.
    pub(crate) fn next(layout: &Layout, params: &MediaParams) -> Self {
        let mut pending = Self {
            layout: layout.clone(),
            params: *params,
        };
        pending.layout.is_on = true;
        complete(&mut pending.params.receive);
        pending
    }

    /// What the answer makes of it.
    pub(crate) fn answered(self, answer: &Session, family: Family) -> Result<Plan, Mismatch> {
        let found = remote::at(answer, self.layout.audio, Some(family))?;
        let params = found.params(self.params.receive, self.params.rtcp_mux);
        Ok(Plan {
            layout: self.layout,
            params,
            family,
        })
    }
}

/// Adds what we can receive and have no number for yet. Numbers in use keep their meaning (RFC 3264 section 8.3.2).
fn complete(receive: &mut ReceiveTypes) {
    for codec in Codec::ALL {
        if receive.of(codec).is_none() && !receive.has(codec.static_type()) {
            receive.set(codec, codec.static_type());
        }
    }
    if receive.event.is_none() {
        receive.event = std::iter::once(EVENT_TYPE)
            .chain(96..=127)
            .find(|number| !receive.has(*number));
    }
}

fn sections(session: &Session) -> Vec<Section> {
    let section = |media: Media<'_>| Section {
        kind: media.kind_text().to_owned(),
        protocol: media.protocol_text().to_owned(),
        format: media.formats().next().unwrap_or("0").to_owned(),
        mid: media.mid(),
    };
    session.medias().map(section).collect()
}

#[cfg(test)]
mod tests;
