//! The formats of one media with all that hangs on them, and the editing NG's `codec` key asks for.

mod pattern;
mod static_types;

pub use pattern::{CodecPattern, CodecSelector};
pub use static_types::static_rtpmap;

use crate::attribute::{Attribute, RtpMap, number};
use crate::media::Media;

/// The parameters of Opus (RFC 7587 section 6.1).
const OPUS_PARAMETERS: [&str; 9] = [
    "stereo",
    "sprop-stereo",
    "useinbandfec",
    "usedtx",
    "cbr",
    "maxplaybackrate",
    "maxaveragebitrate",
    "sprop-maxcapturerate",
    "minptime",
];

/// One format of an `m=` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// The format as it stands in the `m=` line; a payload type without leading zeros.
    pub format: String,
    /// Its mapping: from the document, or the standard one of a static payload type (RFC 3551).
    pub rtpmap: Option<RtpMap>,
    /// What follows the payload type in its `fmtp` lines, as octets, in their order.
    pub fmtp: Vec<Vec<u8>>,
    /// What follows the payload type in its `rtcp-fb` lines, as octets, in their order.
    pub rtcp_fb: Vec<Vec<u8>>,
}

impl Codec {
    /// A codec without parameters.
    pub fn new(rtpmap: RtpMap) -> Self {
        let format = rtpmap.payload_type.to_string();
        Self {
            format,
            rtpmap: Some(rtpmap),
            fmtp: Vec::new(),
            rtcp_fb: Vec::new(),
        }
    }

    /// The format as a payload type.
    pub fn payload_type(&self) -> Option<u8> {
        payload_type(&self.format)
    }

    /// The encoding name; empty when the payload type has no mapping.
    pub fn encoding(&self) -> &str {
        self.rtpmap.as_ref().map_or("", |rtpmap| &rtpmap.encoding)
    }

    /// True for what accompanies a codec and cannot carry a call alone.
    pub fn is_supplemental(&self) -> bool {
        ["telephone-event", "CN"]
            .iter()
            .any(|name| self.encoding().eq_ignore_ascii_case(name))
    }

    /// Whether payloads are octet-aligned, for AMR and AMR-WB, whose two forms do not understand each other (RFC 4867
    /// section 8.1: four parameters say so). `None` for all other codecs.
    pub fn octet_aligned(&self) -> Option<bool> {
        let is_amr = ["AMR", "AMR-WB"]
            .iter()
            .any(|name| self.encoding().eq_ignore_ascii_case(name));
        let says_so = |parameter: &[u8]| {
            let (name, value) = match parameter.iter().position(|octet| *octet == b'=') {
                Some(at) => (&parameter[..at], parameter[at + 1..].trim_ascii()),
                None => (parameter, &b""[..]),
            };
            let name = name.trim_ascii();
            let switches: [&[u8]; 3] = [b"octet-align", b"crc", b"robust-sorting"];
            let switched = switches.iter().any(|of| name.eq_ignore_ascii_case(of)) && value == b"1";
            switched || name.eq_ignore_ascii_case(b"interleaving")
        };
        let mut parameters = self
            .fmtp
            .iter()
            .flat_map(|line| line.split(|octet| *octet == b';'));
        is_amr.then(|| parameters.any(says_so))
    }

    /// True for what carries other formats: redundancy, retransmission and error correction.
    fn is_carrier(&self) -> bool {
        ["red", "rtx", "ulpfec", "flexfec-03"]
            .iter()
            .any(|name| self.encoding().eq_ignore_ascii_case(name))
    }

    /// True for what goes with `codec` where it is chosen alone: events and comfort noise, which count its time (RFC 4733
    /// section 2.1, RFC 3389 section 4), and redundancy.
    pub fn accompanies(&self, codec: &Self) -> bool {
        let is_redundancy = self.encoding().eq_ignore_ascii_case("red");
        let clock_rate = |of: &Self| of.rtpmap.as_ref().map(|rtpmap| rtpmap.clock_rate);
        (self.is_supplemental() || is_redundancy) && clock_rate(self) == clock_rate(codec)
    }

    /// Writes the parameters of Opus in the order in which rtpengine has them, those that RFC 7587 does not name last. What they
    /// say is the same.
    pub fn order_parameters(&mut self) {
        if !self.encoding().eq_ignore_ascii_case("opus") || self.fmtp.is_empty() {
            return;
        }
        let place = |parameter: &[u8]| {
            let name = parameter.split(|octet| *octet == b'=').next().unwrap_or_default();
            let known = OPUS_PARAMETERS
                .iter()
                .position(|known| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes()));
            known.unwrap_or(OPUS_PARAMETERS.len())
        };
        let mut parameters: Vec<&[u8]> = self
            .fmtp
            .iter()
            .flat_map(|line| line.split(|octet| *octet == b';'))
            .map(<[u8]>::trim_ascii)
            .filter(|parameter| !parameter.is_empty())
            .collect();
        parameters.sort_by_key(|parameter| place(parameter));
        self.fmtp = vec![parameters.join(&b"; "[..])];
    }

    /// True when both are the same codec: by mapping, or by format where neither has one.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.rtpmap, &other.rtpmap) {
            (Some(ours), Some(theirs)) => ours.is_same_codec(theirs),
            (None, None) => self.format == other.format,
            _ => false,
        }
    }
}

/// The formats of one media in order of preference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodecList(pub Vec<Codec>);

/// NG's `codec` key as far as it is SDP editing: members `strip`, `mask`, `except`, `offer`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodecRules {
    /// Removed.
    pub strip: Vec<CodecSelector>,
    /// Removed, while the sender may go on using them.
    pub mask: Vec<CodecSelector>,
    /// What a `strip` or `mask` of everything leaves in place.
    pub except: Vec<CodecPattern>,
    /// Put back after removal, in this order.
    pub offer: Vec<CodecPattern>,
}

/// What [`CodecList::apply`] took out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// By `strip`.
    pub stripped: Vec<Codec>,
    /// By `mask`: the relay still accepts these from the sender.
    pub masked: Vec<Codec>,
}

impl CodecList {
    /// The formats of `media` with their attributes. For RTP, a malformed `rtpmap` counts as absent and
    /// `fmtp` and `rtcp-fb` lines of formats that the `m=` line does not list are left out. Formats that
    /// repeat an earlier one are left out: their attributes could not be told apart.
    pub fn from_media(media: Media<'_>) -> Self {
        let is_rtp = media.protocol().is_rtp();
        let mut list = Self::default();
        // Of each format in the list.
        let mut payload_types = Vec::new();
        for format in media.formats() {
            let payload_type = if is_rtp { payload_type(format) } else { None };
            if payload_type.is_some() && payload_types.contains(&payload_type) {
                continue;
            }
            payload_types.push(payload_type);
            let format = payload_type.map_or_else(|| format.to_owned(), |number| number.to_string());
            list.0.push(Codec {
                format,
                rtpmap: None,
                fmtp: Vec::new(),
                rtcp_fb: Vec::new(),
            });
        }
        let may_be_of_format = |content: &[u8]| matches!(content, [b'r' | b'f', ..]);
        for attribute in media.attributes().beginning_with(may_be_of_format) {
            list.take(&attribute, &payload_types);
        }
        for (codec, payload_type) in list.0.iter_mut().zip(payload_types) {
            if codec.rtpmap.is_none() {
                codec.rtpmap = payload_type.and_then(static_rtpmap);
            }
        }
        list
    }

    /// True when nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The codecs in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Codec> {
        self.0.iter()
    }

    /// Removes and puts back as `rules` say: `strip`, then `mask`, then `offer`. A named codec goes
    /// whatever `except` says; `except` only shields from `all` and `full`. An offered codec that was
    /// removed comes back at the end, but before telephone-event and comfort noise.
    ///
    /// May leave the list empty; whether that rejects the media or restores the list is the caller's
    /// decision (flag `allow-no-codec-media`).
    pub fn apply(&mut self, rules: &CodecRules) -> Removed {
        if rules.strip.is_empty() && rules.mask.is_empty() {
            return Removed::default();
        }
        let original = self.clone();
        let mut removed = Removed {
            stripped: self.remove(&rules.strip, &rules.except),
            masked: self.remove(&rules.mask, &rules.except),
        };
        for pattern in &rules.offer {
            if self.iter().any(|codec| pattern.matches(codec)) {
                continue;
            }
            for codec in original.iter().filter(|codec| pattern.matches(codec)) {
                let tail = self
                    .0
                    .iter()
                    .position(Codec::is_supplemental)
                    .unwrap_or(self.0.len());
                self.0.insert(tail, codec.clone());
                removed.stripped.retain(|gone| gone.format != codec.format);
                removed.masked.retain(|gone| gone.format != codec.format);
            }
        }
        removed
    }

    /// The codecs of this list that `other` has too, in this list's order. Supplemental formats and
    /// carriers (`red`, `rtx`, …) are left out: with only these in common there is no call, and the
    /// answer is 488.
    pub fn common<'l>(&'l self, other: &CodecList) -> Vec<&'l Codec> {
        let useful = |codec: &&Codec| !codec.is_supplemental() && !codec.is_carrier();
        self.iter()
            .filter(useful)
            .filter(|ours| other.iter().any(|theirs| ours.is_same(theirs)))
            .collect()
    }

    fn remove(&mut self, selectors: &[CodecSelector], except: &[CodecPattern]) -> Vec<Codec> {
        if selectors.is_empty() {
            return Vec::new();
        }
        let goes = |codec: &Codec| {
            selectors.iter().any(|selector| match selector {
                CodecSelector::All => !except.iter().any(|pattern| pattern.matches(codec)),
                CodecSelector::One(pattern) => pattern.matches(codec),
            })
        };
        let (gone, kept) = std::mem::take(&mut self.0).into_iter().partition(goes);
        self.0 = kept;
        gone
    }

    /// Hangs an attribute on the format it belongs to.
    fn take(&mut self, attribute: &Attribute<'_>, payload_types: &[Option<u8>]) {
        let slot = |payload_type: u8| payload_types.iter().position(|of| *of == Some(payload_type));
        match attribute.name {
            "rtpmap" => {
                if let Ok(rtpmap) = attribute.read::<RtpMap>()
                    && let Some(index) = slot(rtpmap.payload_type)
                {
                    self.0[index].rtpmap = Some(rtpmap);
                }
            }
            "fmtp" | "rtcp-fb" => {
                let Some((payload_type, rest)) = attribute.value.and_then(split_payload_type) else {
                    return;
                };
                let Some(index) = slot(payload_type) else { return };
                let codec = &mut self.0[index];
                let lines = if attribute.name == "fmtp" {
                    &mut codec.fmtp
                } else {
                    &mut codec.rtcp_fb
                };
                lines.push(rest.to_vec());
            }
            _ => {}
        }
    }
}

/// A payload type in its decimal form.
fn payload_type(format: &str) -> Option<u8> {
    number(format, "payload type")
        .ok()
        .filter(|number| *number <= 127)
}

/// `96 nack pli` as 96 and `nack pli`.
fn split_payload_type(value: &[u8]) -> Option<(u8, &[u8])> {
    let value = value.trim_ascii();
    let digits = value.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (number, rest) = value.split_at(digits);
    if !rest.first().is_none_or(u8::is_ascii_whitespace) {
        return None;
    }
    let payload_type = payload_type(str::from_utf8(number).ok()?)?;
    Some((payload_type, rest.trim_ascii_start()))
}

#[cfg(test)]
mod tests;
