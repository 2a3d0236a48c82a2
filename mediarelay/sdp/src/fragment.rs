//! `application/trickle-ice-sdpfrag` bodies: candidates that come after the offer (RFC 8840).

use std::fmt;

use crate::attribute::{Attributes, Candidate, IceCredentials, IceOptions, IcePwd, IceUfrag, Mid};
use crate::error::{LineError, ParseError};
use crate::limits::Limits;
use crate::session::Session;

/// A trickle ICE fragment. A whole SDP document is read as well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SdpFragment {
    /// What stands before the first `m=` line: credentials as a rule, and all of it for senders that leave
    /// `m=` lines out.
    pub session: FragmentMedia,
    /// One for each `m=` line.
    pub medias: Vec<FragmentMedia>,
    /// Lines that could not be read; they are left out above.
    pub unreadable: Vec<LineError>,
}

/// What a fragment says of one media.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FragmentMedia {
    /// What follows `m=`; `None` for the part before the first `m=` line. Says nothing beyond the place.
    pub m_line: Option<String>,
    /// Which media of the session this is.
    pub mid: Option<String>,
    /// User fragment: tells to which ICE generation the candidates belong.
    pub ufrag: Option<IceUfrag>,
    /// Password.
    pub pwd: Option<IcePwd>,
    /// ICE options.
    pub options: IceOptions,
    /// New candidates in their order.
    pub candidates: Vec<Candidate>,
    /// No more candidates follow.
    pub end_of_candidates: bool,
}

impl SdpFragment {
    /// Reads a fragment within the default [`Limits`].
    pub fn parse(source: &[u8]) -> Result<Self, ParseError> {
        Self::parse_within(source, &Limits::default())
    }

    /// Reads a fragment within `limits`.
    pub fn parse_within(source: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        let lines = Session::parse_fragment(source, limits)?;
        let mut fragment = Self::default();
        fragment.session = fragment.read_part(lines.attributes(), None);
        for media in lines.medias() {
            let m_line = media
                .lines()
                .next()
                .and_then(|line| str::from_utf8(line.value()).ok());
            let part = fragment.read_part(media.attributes(), m_line.map(str::to_owned));
            fragment.medias.push(part);
        }
        Ok(fragment)
    }

    /// The credentials that hold for `part`: its own, or else those of the session part. `None` when
    /// either half is absent.
    pub fn credentials(&self, part: &FragmentMedia) -> Option<IceCredentials> {
        let ufrag = part.ufrag.as_ref().or(self.session.ufrag.as_ref())?;
        let pwd = part.pwd.as_ref().or(self.session.pwd.as_ref())?;
        Some(IceCredentials {
            ufrag: ufrag.0.clone(),
            pwd: pwd.0.clone(),
        })
    }

    fn read_part(&mut self, attributes: Attributes<'_>, m_line: Option<String>) -> FragmentMedia {
        let mut part = FragmentMedia {
            m_line,
            ..FragmentMedia::default()
        };
        for attribute in attributes.iter() {
            let read = match attribute.name {
                "mid" => attribute.read::<Mid>().map(|mid| part.mid = Some(mid.0)),
                "ice-ufrag" => attribute.read().map(|ufrag| part.ufrag = Some(ufrag)),
                "ice-pwd" => attribute.read().map(|pwd| part.pwd = Some(pwd)),
                "ice-options" => attribute.read().map(|options| part.options = options),
                "candidate" => attribute.read().map(|candidate| part.candidates.push(candidate)),
                "end-of-candidates" => {
                    part.end_of_candidates = true;
                    Ok(())
                }
                _ => Ok(()),
            };
            self.unreadable.extend(read.err());
        }
        part
    }
}

impl fmt::Display for SdpFragment {
    /// The body, with CRLF line ends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.fmt(f)?;
        self.medias.iter().try_for_each(|media| media.fmt(f))
    }
}

impl fmt::Display for FragmentMedia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(m_line) = &self.m_line {
            write!(f, "m={m_line}\r\n")?;
        }
        if let Some(mid) = &self.mid {
            write!(f, "a=mid:{mid}\r\n")?;
        }
        if let Some(ufrag) = &self.ufrag {
            write!(f, "a=ice-ufrag:{ufrag}\r\n")?;
        }
        if let Some(pwd) = &self.pwd {
            write!(f, "a=ice-pwd:{pwd}\r\n")?;
        }
        if !self.options.0.is_empty() {
            write!(f, "a=ice-options:{}\r\n", self.options)?;
        }
        for candidate in &self.candidates {
            write!(f, "a=candidate:{candidate}\r\n")?;
        }
        if self.end_of_candidates {
            f.write_str("a=end-of-candidates\r\n")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = include_bytes!("../tests/data/trickle.sdpfrag");

    #[test]
    fn candidates_come_with_their_mid_and_credentials() {
        let fragment = SdpFragment::parse(BODY).unwrap();
        assert_eq!(fragment.medias.len(), 2);
        let [first, second] = &fragment.medias[..] else {
            panic!("two medias")
        };
        assert_eq!(
            (
                first.mid.as_deref(),
                first.candidates.len(),
                first.end_of_candidates
            ),
            (Some("1"), 2, true)
        );
        assert_eq!((second.mid.as_deref(), second.candidates.len()), (Some("2"), 1));
        assert!(!second.end_of_candidates);
        let credentials = fragment.credentials(first).unwrap();
        assert_eq!(
            (credentials.ufrag.as_str(), credentials.pwd.as_str()),
            ("8hhY", "asd88fgpdd777uzjYhagZg")
        );
    }

    #[test]
    fn unreadable_candidate_is_reported_and_left_out() {
        let fragment = SdpFragment::parse(BODY).unwrap();
        let [error] = &fragment.unreadable[..] else {
            panic!("one error")
        };
        assert_eq!((error.line, error.name), (11, "candidate"));
    }

    #[test]
    fn credentials_of_the_media_come_first() {
        let body = b"a=ice-ufrag:aaaa\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\nm=audio 9 RTP/AVP 0\r\n\
            a=ice-ufrag:bbbb\r\na=ice-pwd:bbbbbbbbbbbbbbbbbbbbbb\r\n";
        let fragment = SdpFragment::parse(body).unwrap();
        assert_eq!(fragment.credentials(&fragment.medias[0]).unwrap().ufrag, "bbbb");
    }

    #[test]
    fn sender_without_m_lines_is_understood() {
        let body = b"a=mid:0\r\na=candidate:1 1 UDP 1 192.0.2.1 5000 typ host\r\n";
        let fragment = SdpFragment::parse(body).unwrap();
        assert_eq!(
            (fragment.session.mid.as_deref(), fragment.session.candidates.len()),
            (Some("0"), 1)
        );
        assert!(fragment.credentials(&fragment.session).is_none());
    }

    #[test]
    fn whole_document_is_read_as_well() {
        let fragment = SdpFragment::parse(include_bytes!("../tests/data/chromium-offer.sdp")).unwrap();
        assert_eq!(fragment.medias.len(), 2);
        assert_eq!(fragment.medias[0].candidates.len(), 3);
        assert!(fragment.medias[0].options.trickle());
    }

    #[test]
    fn printed_fragment_reads_the_same() {
        let mut fragment = SdpFragment::parse(BODY).unwrap();
        let printed = fragment.to_string();
        fragment.unreadable.clear();
        assert_eq!(SdpFragment::parse(printed.as_bytes()).unwrap(), fragment);
    }

    #[test]
    fn password_does_not_show_in_debug() {
        let fragment = SdpFragment::parse(BODY).unwrap();
        assert!(!format!("{fragment:?}").contains("asd88fgpdd777uzjYhagZg"));
    }
}
