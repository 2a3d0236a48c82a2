//! Does an answer fit its offer? (RFC 3264 section 6, RFC 9143 section 7.3.)

use std::collections::BTreeSet;
use std::fmt;

use crate::media::Media;
use crate::session::Session;

/// Something about an answer that its offer does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerProblem {
    /// Not as many `m=` lines as offered. The lines that both have are checked all the same.
    MediaCount {
        /// In the offer.
        offered: usize,
        /// In the answer.
        answered: usize,
    },
    /// Another kind of media at this place.
    Kind {
        /// Which `m=` line, counted from 0.
        media: usize,
        /// As written in the offer.
        offered: String,
        /// As written in the answer.
        answered: String,
    },
    /// Another protocol at this place.
    Protocol {
        /// Which `m=` line, counted from 0.
        media: usize,
        /// As written in the offer.
        offered: String,
        /// As written in the answer.
        answered: String,
    },
    /// The offer had this media rejected; the answer takes it.
    AcceptedRejected {
        /// Which `m=` line, counted from 0.
        media: usize,
    },
    /// A format that was not offered.
    ExtraFormat {
        /// Which `m=` line, counted from 0.
        media: usize,
        /// As written in the answer.
        format: String,
    },
    /// Accepted, but with no format at all.
    NoFormat {
        /// Which `m=` line, counted from 0.
        media: usize,
    },
    /// `a=mid` is not the offer's.
    Mid {
        /// Which `m=` line, counted from 0.
        media: usize,
        /// In the offer.
        offered: Option<String>,
        /// In the answer.
        answered: Option<String>,
    },
    /// Sends where the offer does not receive, or the reverse.
    Direction {
        /// Which `m=` line, counted from 0.
        media: usize,
    },
    /// Muxes RTCP without being offered it (RFC 5761 section 5.1.1).
    UnofferedRtcpMux {
        /// Which `m=` line, counted from 0.
        media: usize,
    },
    /// A BUNDLE group holds a `mid` that no offered group holds.
    UnofferedBundle {
        /// The `mid`.
        mid: String,
    },
}

impl fmt::Display for AnswerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |mid: &Option<String>| mid.clone().unwrap_or_else(|| "none".to_owned());
        match self {
            Self::MediaCount { offered, answered } => {
                write!(f, "{offered} m= lines were offered, {answered} answered")
            }
            Self::Kind {
                media,
                offered,
                answered,
            } => {
                write!(f, "m= line {media}: {offered} was offered, {answered} answered")
            }
            Self::Protocol {
                media,
                offered,
                answered,
            } => {
                write!(
                    f,
                    "m= line {media}: protocol {offered} was offered, {answered} answered"
                )
            }
            Self::AcceptedRejected { media } => {
                write!(
                    f,
                    "m= line {media}: rejected in the offer, accepted in the answer"
                )
            }
            Self::ExtraFormat { media, format } => {
                write!(f, "m= line {media}: format {format} was not offered")
            }
            Self::NoFormat { media } => write!(f, "m= line {media}: accepted without any format"),
            Self::Mid {
                media,
                offered,
                answered,
            } => {
                write!(
                    f,
                    "m= line {media}: mid {} was offered, {} answered",
                    shown(offered),
                    shown(answered)
                )
            }
            Self::Direction { media } => write!(f, "m= line {media}: direction does not fit the offer"),
            Self::UnofferedRtcpMux { media } => write!(f, "m= line {media}: rtcp-mux was not offered"),
            Self::UnofferedBundle { mid } => write!(f, "mid {mid} is bundled, but was not offered so"),
        }
    }
}

/// Every way in which `answer` does not fit `offer`, in the order of the document. Empty means it fits.
pub fn check_answer(offer: &Session, answer: &Session) -> Vec<AnswerProblem> {
    let mut problems = Vec::new();
    let (offered, answered) = (offer.medias().len(), answer.medias().len());
    if offered != answered {
        problems.push(AnswerProblem::MediaCount { offered, answered });
    }
    for (offered, answered) in offer.medias().zip(answer.medias()) {
        check_media(offered, answered, &mut problems);
    }
    let mids = |session: &Session| session.bundle_groups().into_iter().flat_map(|group| group.mids);
    let bundled: BTreeSet<String> = mids(offer).collect();
    let unoffered = mids(answer).filter(|mid| !bundled.contains(mid));
    problems.extend(unoffered.map(|mid| AnswerProblem::UnofferedBundle { mid }));
    problems
}

fn check_media(offered: Media<'_>, answered: Media<'_>, problems: &mut Vec<AnswerProblem>) {
    let media = offered.index();
    if !offered.kind_text().eq_ignore_ascii_case(answered.kind_text()) {
        problems.push(AnswerProblem::Kind {
            media,
            offered: offered.kind_text().to_owned(),
            answered: answered.kind_text().to_owned(),
        });
    }
    let (offered_mid, answered_mid) = (offered.mid(), answered.mid());
    // An answer may leave `mid` out: it then does not use grouping. It may not change or invent one.
    if answered_mid.is_some() && offered_mid != answered_mid {
        problems.push(AnswerProblem::Mid {
            media,
            offered: offered_mid,
            answered: answered_mid,
        });
    }
    if answered.is_rejected() {
        return;
    }
    if offered.is_rejected() {
        problems.push(AnswerProblem::AcceptedRejected { media });
        return;
    }
    if !offered
        .protocol_text()
        .eq_ignore_ascii_case(answered.protocol_text())
    {
        problems.push(AnswerProblem::Protocol {
            media,
            offered: offered.protocol_text().to_owned(),
            answered: answered.protocol_text().to_owned(),
        });
    }
    check_formats(offered, answered, problems);
    let (offered_flow, answered_flow) = (offered.effective_direction(), answered.effective_direction());
    if answered_flow.and(offered_flow.reversed()) != answered_flow {
        problems.push(AnswerProblem::Direction { media });
    }
    if answered.rtcp_mux() && !offered.rtcp_mux() {
        problems.push(AnswerProblem::UnofferedRtcpMux { media });
    }
}

/// RTP formats are compared as codecs, because an answer may number a codec anew (RFC 3264 section 6.1);
/// those of other protocols as words.
fn check_formats(offered: Media<'_>, answered: Media<'_>, problems: &mut Vec<AnswerProblem>) {
    let media = offered.index();
    let is_rtp = offered.protocol().is_rtp();
    let (offered_list, answered_list) = (offered.codecs(), answered.codecs());
    if answered_list.is_empty() {
        problems.push(AnswerProblem::NoFormat { media });
    }
    for codec in answered_list.iter() {
        let known = offered_list
            .iter()
            .any(|candidate| candidate.format == codec.format || (is_rtp && candidate.is_same(codec)));
        if !known {
            problems.push(AnswerProblem::ExtraFormat {
                media,
                format: codec.format.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
