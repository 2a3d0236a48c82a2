//! Writing a document for the other side, in the order of lines that rtpengine uses since mr13.1.

mod media;
mod writer;

pub use media::{MediaOut, PlainTwin};

use crate::attribute::{Attribute, Group};
use crate::connection::Bandwidth;
use crate::session::Session;
use writer::Writer;

/// A document to be written. Every class of line has its slot; [`to_bytes`](Self::to_bytes) puts them in
/// order. There is deliberately no slot for a session-level `c=`: each media carries its own.
///
/// Texts are octets, as they may have come from a sender that does not write UTF-8. CR, LF and NUL inside
/// them are left out when written, so no value can bring in a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionOut {
    /// After `o=`.
    pub origin: Vec<u8>,
    /// After `s=`.
    pub name: Vec<u8>,
    /// After `i=`.
    pub information: Option<Vec<u8>>,
    /// After `u=`.
    pub uri: Option<Vec<u8>>,
    /// After each `e=`.
    pub emails: Vec<Vec<u8>>,
    /// After each `p=`.
    pub phones: Vec<Vec<u8>>,
    /// `b=` lines.
    pub bandwidths: Vec<Bandwidth>,
    /// After each `t=`; `0 0` when empty.
    pub timings: Vec<Vec<u8>>,
    /// Our instance id, for `a=rtpengine:` (flag `loop-protect`).
    pub loop_marker: Option<String>,
    /// Further marks of our own, each a whole attribute without `a=`.
    pub markers: Vec<Vec<u8>>,
    /// `a=ice-lite`
    pub ice_lite: bool,
    /// `a=group:`
    pub groups: Vec<Group>,
    /// The sender's other attributes in their order, each without `a=`.
    pub passed: Vec<Vec<u8>>,
    /// NG `sdp-attr` for the session part.
    pub edits: AttributeEdits,
    /// The media descriptions.
    pub medias: Vec<MediaOut>,
}

/// NG's `sdp-attr` for one section: changes to attributes after everything else is decided.
///
/// `remove` and the left side of `substitute` match an attribute's name, its text up to the first space
/// (`fmtp:101`), or the whole of it, without case. Removal is tried first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttributeEdits {
    /// Attributes to leave out.
    pub remove: Vec<Vec<u8>>,
    /// Attributes to write in another form: what matches, and the whole attribute in its place.
    pub substitute: Vec<(Vec<u8>, Vec<u8>)>,
    /// Attributes to write at the end of the section, each without `a=`.
    pub add: Vec<Vec<u8>>,
}

impl SessionOut {
    /// What is copied from a sender's session part: `o=`, `s=`, `i=`, `u=`, `e=`, `p=`, `t=`, the `b=`
    /// types rtpengine carries over, and the attributes nobody but the endpoints understands. No media.
    pub fn from_sender(sender: &Session) -> Self {
        let owned = |letter| sender.value(letter).map(<[u8]>::to_vec);
        let all = |letter| sender.values(letter).map(<[u8]>::to_vec).collect();
        let passed = sender.attributes().iter().filter(Attribute::is_passed);
        Self {
            origin: owned(b'o').unwrap_or_default(),
            name: owned(b's').unwrap_or_default(),
            information: owned(b'i'),
            uri: owned(b'u'),
            emails: all(b'e'),
            phones: all(b'p'),
            bandwidths: carried_bandwidths(sender.bandwidths().flatten()),
            timings: all(b't'),
            passed: passed.map(|attribute| attribute.content.to_vec()).collect(),
            ..Self::default()
        }
    }

    /// The document, with CRLF line ends.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.line("v=", b"0");
        out.line("o=", &self.origin);
        out.line("s=", &self.name);
        out.lines("i=", &self.information);
        out.lines("u=", &self.uri);
        out.lines("e=", &self.emails);
        out.lines("p=", &self.phones);
        out.texts("b=", &self.bandwidths);
        if self.timings.is_empty() {
            out.line("t=", b"0 0");
        }
        out.lines("t=", &self.timings);
        self.write_attributes(&mut out);
        for media in &self.medias {
            media.write(&mut out);
        }
        out.finish()
    }

    fn write_attributes(&self, out: &mut Writer) {
        let mut attributes = out.attributes(&self.edits);
        attributes.optional("rtpengine", self.loop_marker.as_ref());
        attributes.raw(&self.markers);
        attributes.flag("ice-lite", self.ice_lite);
        attributes.each(&self.groups);
        attributes.raw(&self.passed);
        attributes.finish();
    }
}

/// The `b=` types rtpengine carries over, in its order; the last of each type counts.
fn carried_bandwidths(found: impl Iterator<Item = Bandwidth>) -> Vec<Bandwidth> {
    let found: Vec<Bandwidth> = found.collect();
    let last = |kind: &&str| {
        found
            .iter()
            .rev()
            .find(|bandwidth| bandwidth.kind == **kind)
            .cloned()
    };
    Bandwidth::PRINTED.iter().filter_map(last).collect()
}

#[cfg(test)]
mod tests;
