//! How NG names codecs: `name/clock/channels/bitrate/ptime/fmtp/options`.

use std::fmt;

use super::Codec;
use crate::attribute::number;

/// A codec as NG names it (key `codec`). Trailing parts may be absent; an absent or empty
/// part matches anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CodecPattern {
    /// Encoding name; compared without case.
    pub name: String,
    /// Clock rate, Hz.
    pub clock_rate: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
    /// Format parameters; compared without case with each `fmtp` line of a codec.
    pub fmtp: Option<String>,
}

impl CodecPattern {
    /// Reads a codec string. Bit rate, packet time and encoder options say how to encode and match
    /// nothing, so they are left out. Parts that should be numbers and are not are treated as absent.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.splitn(7, '/');
        let name = parts.next().unwrap_or_default().to_owned();
        let clock_rate = parts.next().and_then(positive);
        let channels = parts.next().and_then(positive);
        let fmtp = parts.nth(2).filter(|text| !text.is_empty()).map(str::to_owned);
        Self {
            name,
            clock_rate,
            channels,
            fmtp,
        }
    }

    /// True when `codec` is meant. A static payload type matches by its standard name.
    pub fn matches(&self, codec: &Codec) -> bool {
        let Some(rtpmap) = &codec.rtpmap else { return false };
        self.name.eq_ignore_ascii_case(&rtpmap.encoding)
            && self.clock_rate.is_none_or(|rate| rate == rtpmap.clock_rate)
            && self.channels.is_none_or(|channels| channels == rtpmap.channels())
            && self.fmtp.as_ref().is_none_or(|fmtp| {
                codec
                    .fmtp
                    .iter()
                    .any(|line| line.eq_ignore_ascii_case(fmtp.as_bytes()))
            })
    }
}

impl fmt::Display for CodecPattern {
    /// The shortest string that parses to the same pattern.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let Self {
            clock_rate,
            channels,
            fmtp,
            ..
        } = self;
        let part = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
        match (clock_rate, channels, fmtp) {
            (None, None, None) => Ok(()),
            (Some(rate), None, None) => write!(f, "/{rate}"),
            (_, _, None) => write!(f, "/{}/{}", part(*clock_rate), part(*channels)),
            (_, _, Some(fmtp)) => write!(f, "/{}/{}///{fmtp}", part(*clock_rate), part(*channels)),
        }
    }
}

/// What `strip` and `mask` remove: one codec, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CodecSelector {
    /// `all` or `full`
    All,
    /// One codec, with every payload type it has.
    One(CodecPattern),
}

impl CodecSelector {
    /// Reads a member of `strip` or `mask`.
    pub fn parse(text: &str) -> Self {
        if text.eq_ignore_ascii_case("all") || text.eq_ignore_ascii_case("full") {
            Self::All
        } else {
            Self::One(CodecPattern::parse(text))
        }
    }
}

fn positive(text: &str) -> Option<u32> {
    number(text, "").ok().filter(|number| *number > 0)
}
