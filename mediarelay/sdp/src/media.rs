//! One media description: an `m=` line and what belongs to it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use crate::attribute::{
    Attribute, Attributes, Candidate, Crypto, Direction, Fingerprint, IceCredentials, IceOptions, IcePwd,
    IceUfrag, Mid, Rtcp, Setup, TlsId, TypedAttribute, number, read_value,
};
use crate::codecs::CodecList;
use crate::connection::{Bandwidth, Connection};
use crate::error::{LineError, Reason};
use crate::session::{Line, Session};

/// One media description of a [`Session`] (RFC 8866 section 5.14). A view: cheap to copy.
///
/// Methods called `effective_…` answer what holds for this media: its own line, or else that of the
/// session part. All others read this media's lines only.
#[derive(Clone, Copy)]
pub struct Media<'a> {
    session: &'a Session,
    section: usize,
}

/// What an `m=` line says, read while the document is divided. Its words are places in the line's value, which is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaHead {
    port: u16,
    port_count: u16,
    kind: MediaKind,
    kind_text: Range<usize>,
    protocol: Protocol,
    protocol_text: Range<usize>,
    pub(crate) formats: usize,
}

impl MediaHead {
    pub(crate) fn parse(value: &[u8]) -> Result<Self, Reason> {
        let text = str::from_utf8(value).map_err(|_| Reason::NotText)?;
        let kind = next_word(text, 0).ok_or(Reason::Missing("media"))?;
        let ports = next_word(text, kind.end).ok_or(Reason::Missing("port"))?;
        let protocol = next_word(text, ports.end).ok_or(Reason::Missing("proto"))?;
        let ports = &text[ports];
        let (port, port_count) = match ports.split_once('/') {
            Some((port, count)) => (port, number(count, "number of ports")?),
            None => (ports, 1),
        };
        Ok(Self {
            port: number(port, "port")?,
            port_count,
            kind: MediaKind::from_text(&text[kind.clone()]),
            kind_text: kind,
            protocol: Protocol::from_text(&text[protocol.clone()]),
            formats: text[protocol.end..].split_ascii_whitespace().count(),
            protocol_text: protocol,
        })
    }
}

/// Where the first word at or behind a place stands.
fn next_word(text: &str, at: usize) -> Option<Range<usize>> {
    let is_space = |octet: &u8| octet.is_ascii_whitespace();
    let rest = &text.as_bytes()[at..];
    let start = at + rest.iter().position(|octet| !is_space(octet))?;
    let length = text.as_bytes()[start..].iter().position(is_space);
    Some(start..length.map_or(text.len(), |length| start + length))
}

impl<'a> Media<'a> {
    pub(crate) fn new(session: &'a Session, section: usize) -> Self {
        Self { session, section }
    }

    /// The document this is a part of.
    pub fn session(&self) -> &'a Session {
        self.session
    }

    /// Position among the media descriptions, counted from 0.
    pub fn index(&self) -> usize {
        self.section - 1
    }

    /// The lines of this media, the `m=` line first.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        self.session.section_lines(self.section)
    }

    /// The first field as a known kind.
    pub fn kind(&self) -> MediaKind {
        self.head().map_or(MediaKind::Other, |head| head.kind)
    }

    /// The first field as written: `audio`, `video`, …
    pub fn kind_text(&self) -> &'a str {
        self.head().map_or("", |head| self.words(head.kind_text.clone()))
    }

    /// The port. 0 means rejected, or bundle-only.
    pub fn port(&self) -> u16 {
        self.head().map_or(0, |head| head.port)
    }

    /// The number after the port's slash; 1 when there is none.
    pub fn port_count(&self) -> u16 {
        self.head().map_or(1, |head| head.port_count)
    }

    /// The transport protocol as a known one.
    pub fn protocol(&self) -> Protocol {
        self.head().map_or(Protocol::Other, |head| head.protocol)
    }

    /// The transport protocol as written: `RTP/AVP`, `udptl`, …
    pub fn protocol_text(&self) -> &'a str {
        self.head()
            .map_or("", |head| self.words(head.protocol_text.clone()))
    }

    /// The format list in its order: payload types for RTP, other words for other protocols.
    pub fn formats(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let list = self
            .head()
            .map_or("", |head| self.words(head.protocol_text.end..usize::MAX));
        list.split_ascii_whitespace()
    }

    /// True for port 0 without `a=bundle-only` (RFC 3264 section 6, RFC 9143 section 6).
    pub fn is_rejected(&self) -> bool {
        self.port() == 0 && !self.is_bundle_only()
    }

    /// True when `a=bundle-only` stands here.
    pub fn is_bundle_only(&self) -> bool {
        self.attributes().has("bundle-only")
    }

    /// The attributes of this media.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.session, self.section)
    }

    /// The value of the first line with this letter, such as `i`, as octets.
    pub fn value(&self, letter: u8) -> Option<&'a [u8]> {
        self.session
            .section_values(self.section, letter)
            .next()
            .map(|line| line.value())
    }

    /// The first `c=` of this media. There may be several, for layered multicast; we use the first.
    pub fn connection(&self) -> Result<Option<Connection>, LineError> {
        read_value(
            self.session.section_values(self.section, b'c').next(),
            "c=",
            Connection::parse,
        )
    }

    /// `c=` of this media, else that of the session.
    pub fn effective_connection(&self) -> Result<Option<Connection>, LineError> {
        match self.connection()? {
            Some(connection) => Ok(Some(connection)),
            None => self.session.connection(),
        }
    }

    /// `b=` lines of this media.
    pub fn bandwidths(&self) -> impl Iterator<Item = Result<Bandwidth, LineError>> + use<'a> {
        self.session.section_bandwidths(self.section)
    }

    /// Direction of this media, else that of the session, else `sendrecv` (RFC 8866 section 6.7).
    pub fn effective_direction(&self) -> Direction {
        self.attributes()
            .direction()
            .or_else(|| self.session.attributes().direction())
            .unwrap_or_default()
    }

    /// `a=mid`; unreadable counts as absent.
    pub fn mid(&self) -> Option<String> {
        self.attributes().one::<Mid>().ok().flatten().map(|mid| mid.0)
    }

    /// `a=rtcp` (RFC 3605).
    pub fn rtcp(&self) -> Result<Option<Rtcp>, LineError> {
        self.attributes().one()
    }

    /// True when `a=rtcp-mux` stands here (RFC 5761).
    pub fn rtcp_mux(&self) -> bool {
        self.attributes().has("rtcp-mux")
    }

    /// True when packets may mix headers of one octet and of two: `a=extmap-allow-mixed` of this media or of the session
    /// (RFC 8285 section 6).
    pub fn effective_extmap_allow_mixed(&self) -> bool {
        let levels = [self.attributes(), self.session.attributes()];
        levels.iter().any(|level| level.has("extmap-allow-mixed"))
    }

    /// `a=setup` of this media, else that of the session.
    pub fn effective_setup(&self) -> Result<Option<Setup>, LineError> {
        self.effective_one()
    }

    /// `a=tls-id` of this media, else that of the session.
    pub fn effective_tls_id(&self) -> Result<Option<TlsId>, LineError> {
        self.effective_one()
    }

    /// The fingerprints of this media, or else those of the session. A level's fingerprints are
    /// alternatives with different hashes (RFC 8122 section 5); unreadable and unknown ones are left out.
    pub fn effective_fingerprints(&self) -> Vec<Fingerprint> {
        let own = self.attributes();
        let level = if own.has("fingerprint") {
            own
        } else {
            self.session.attributes()
        };
        level.all().flatten().collect()
    }

    /// ICE user fragment and password of this media, or else those of the session. `Ok(None)` when either
    /// is absent.
    pub fn effective_ice(&self) -> Result<Option<IceCredentials>, LineError> {
        let ufrag = self.effective_one::<IceUfrag>()?;
        let pwd = self.effective_one::<IcePwd>()?;
        Ok(ufrag.zip(pwd).map(|(ufrag, pwd)| IceCredentials {
            ufrag: ufrag.0,
            pwd: pwd.0,
        }))
    }

    /// ICE options of this media and of the session together (RFC 8839 section 5.6 allows both levels),
    /// each once.
    pub fn effective_ice_options(&self) -> IceOptions {
        let levels = [self.attributes(), self.session.attributes()];
        let found = levels
            .into_iter()
            .flat_map(|level| level.all::<IceOptions>().flatten())
            .flat_map(|line| line.0);
        let mut seen = BTreeSet::new();
        IceOptions(found.filter(|option| seen.insert(option.clone())).collect())
    }

    /// `a=candidate` lines in their order.
    pub fn candidates(&self) -> impl Iterator<Item = Result<Candidate, LineError>> + use<'a> {
        self.attributes().all()
    }

    /// `a=crypto` lines in their order (RFC 4568).
    pub fn cryptos(&self) -> impl Iterator<Item = Result<Crypto, LineError>> + use<'a> {
        self.attributes().all()
    }

    /// The attributes a relay passes on as they are, see [`is_consumed`](crate::is_consumed). Protocols
    /// other than RTP keep their `fmtp` and `rtpmap` lines, which no format list is rebuilt from.
    pub fn passed_attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let is_rtp = self.protocol().is_rtp();
        self.attributes().iter().filter(move |attribute| {
            attribute.is_passed() || (!is_rtp && matches!(attribute.name, "fmtp" | "rtpmap"))
        })
    }

    /// The formats with what their `rtpmap`, `fmtp` and `rtcp-fb` lines say.
    pub fn codecs(&self) -> CodecList {
        CodecList::from_media(*self)
    }

    /// The attribute of this media, else that of the session.
    pub fn effective_one<T: TypedAttribute>(&self) -> Result<Option<T>, LineError> {
        match self.attributes().one()? {
            Some(value) => Ok(Some(value)),
            None => self.session.attributes().one(),
        }
    }

    fn head(&self) -> Option<&'a MediaHead> {
        self.session.head(self.section)
    }

    /// A part of the value of the `m=` line; `MediaHead::parse` has seen that it is text.
    fn words(&self, part: Range<usize>) -> &'a str {
        let value = self.lines().next().map_or(&[][..], |line| line.value());
        let part = value
            .get(part.start..part.end.min(value.len()))
            .unwrap_or_default();
        str::from_utf8(part).unwrap_or_default()
    }
}

impl fmt::Debug for Media<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Media({} of {:?})", self.index(), self.session)
    }
}

/// The kinds of media NG and we tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `text`
    Text,
    /// `application`: data channels, BFCP
    Application,
    /// `message`: MSRP
    Message,
    /// `image`: T.38
    Image,
    /// Anything else
    Other,
}

impl MediaKind {
    /// The kind a word of the `m=` line means; case does not count.
    pub fn from_text(text: &str) -> Self {
        let known = [
            Self::Audio,
            Self::Video,
            Self::Text,
            Self::Application,
            Self::Message,
            Self::Image,
        ];
        known
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(text))
            .unwrap_or(Self::Other)
    }

    /// The word of the `m=` line; `other` for [`MediaKind::Other`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Text => "text",
            Self::Application => "application",
            Self::Message => "message",
            Self::Image => "image",
            Self::Other => "other",
        }
    }
}

/// Transport protocols of the `m=` line that a relay must tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `RTP/AVP` (RFC 3551)
    RtpAvp,
    /// `RTP/AVPF` (RFC 4585)
    RtpAvpf,
    /// `RTP/SAVP` (RFC 3711)
    RtpSavp,
    /// `RTP/SAVPF` (RFC 5124)
    RtpSavpf,
    /// `UDP/TLS/RTP/SAVP` (RFC 5764)
    UdpTlsRtpSavp,
    /// `UDP/TLS/RTP/SAVPF` (RFC 5764)
    UdpTlsRtpSavpf,
    /// `udptl` (T.38)
    Udptl,
    /// Anything else: MSRP, BFCP, data channels
    Other,
}

impl Protocol {
    const KNOWN: [Self; 7] = [
        Self::RtpAvp,
        Self::RtpAvpf,
        Self::RtpSavp,
        Self::RtpSavpf,
        Self::UdpTlsRtpSavp,
        Self::UdpTlsRtpSavpf,
        Self::Udptl,
    ];

    /// The protocol a word of the `m=` line means; case does not count.
    pub fn from_text(text: &str) -> Self {
        Self::KNOWN
            .into_iter()
            .find(|protocol| {
                protocol
                    .name()
                    .is_some_and(|name| name.eq_ignore_ascii_case(text))
            })
            .unwrap_or(Self::Other)
    }

    /// The word of the `m=` line; `None` for [`Protocol::Other`].
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::RtpAvp => Some("RTP/AVP"),
            Self::RtpAvpf => Some("RTP/AVPF"),
            Self::RtpSavp => Some("RTP/SAVP"),
            Self::RtpSavpf => Some("RTP/SAVPF"),
            Self::UdpTlsRtpSavp => Some("UDP/TLS/RTP/SAVP"),
            Self::UdpTlsRtpSavpf => Some("UDP/TLS/RTP/SAVPF"),
            Self::Udptl => Some("udptl"),
            Self::Other => None,
        }
    }

    /// True for the six RTP profiles.
    pub fn is_rtp(self) -> bool {
        !matches!(self, Self::Udptl | Self::Other)
    }

    /// True when the media is encrypted: the SAVP profiles.
    pub fn is_secure(self) -> bool {
        matches!(
            self,
            Self::RtpSavp | Self::RtpSavpf | Self::UdpTlsRtpSavp | Self::UdpTlsRtpSavpf
        )
    }

    /// True when the profile has early RTCP feedback: the …F profiles.
    pub fn has_feedback(self) -> bool {
        matches!(self, Self::RtpAvpf | Self::RtpSavpf | Self::UdpTlsRtpSavpf)
    }

    /// True when the profile itself names DTLS.
    pub fn names_dtls(self) -> bool {
        matches!(self, Self::UdpTlsRtpSavp | Self::UdpTlsRtpSavpf)
    }
}
