//! Elements of `flags`: flags proper, and the twins of keys.

use super::Reader;
use crate::options::{Flag, SdesWord, SdpSection};
use crate::request::Why;
use crate::words::{Word, fold};

use super::known;

impl Reader {
    /// Takes one flag.
    pub(crate) fn flag(&mut self, text: &str) {
        let folded = fold(text);
        if let Some(flag) = Flag::from_text(text) {
            self.options.flags.insert(flag);
            return;
        }
        match &*folded {
            "trickle-ice" => self.options.ice.trickle = true,
            "pad-crypto" => self.options.sdes.words.insert(SdesWord::Pad),
            _ if self.twin(&folded, text) => {}
            _ if known::is_known_flag(&folded) => self.ignore("flags", Some(text), Why::NotServed),
            _ => self.ignore("flags", Some(text), Why::Unknown),
        }
    }

    /// A flag that is another way to write a member of a key: `SDES-off`, `codec-strip-PCMU`.
    /// What follows the prefix is taken from `text`, whose case counts in names.
    fn twin(&mut self, folded: &str, text: &str) -> bool {
        // Folding changes no lengths, so what is a prefix there can be cut off here.
        let rest = |prefix: &str| {
            let rest = folded.strip_prefix(prefix)?;
            text.get(text.len() - rest.len()..)
                .filter(|rest| !rest.is_empty())
        };
        let options = &mut self.options;
        if let Some(member) = rest("sdes-") {
            return options.sdes.take(member);
        }
        if let Some(word) = rest("osrtp-") {
            return add(&mut options.osrtp, word);
        }
        if let Some(word) = rest("t.38-").or_else(|| rest("t38-")) {
            return add(&mut options.t38, word);
        }
        if let Some(word) = rest("rtcp-mux-") {
            return add(&mut options.rtcp_mux, word);
        }
        if let Some(word) = rest("bundle-") {
            return add(&mut options.bundle, word);
        }
        if let Some(word) = rest("replace-") {
            return add(&mut options.replace, word);
        }
        if let Some(word) = rest("endpoint-learning-") {
            let mode = Word::from_text(word);
            options.endpoint_learning = mode.or(options.endpoint_learning);
            return mode.is_some();
        }
        if let Some(tag) = rest("from-tags-") {
            self.from_tags.push(tag.into());
            return true;
        }
        if let Some(codec) = rest("transcode-") {
            return self.codec_member("transcode", codec);
        }
        if let Some(member) = rest("codec-") {
            let Some((list, codec)) = member.split_once(['-', '_', ' ']) else {
                return false;
            };
            return !codec.is_empty() && self.codec_member(&fold(list), codec);
        }
        if let Some(edit) = rest("sdp-attr-") {
            return self.sdp_attr_twin(edit);
        }
        false
    }

    /// `add-audio-ptime:20`
    fn sdp_attr_twin(&mut self, text: &str) -> bool {
        let mut parts = text.splitn(3, '-');
        let (Some(edit), Some(section), Some(attribute)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let Some(section) = SdpSection::from_text(section) else {
            return false;
        };
        self.sdp_edit(section, &fold(edit), attribute)
    }
}

fn add<W: Word>(set: &mut crate::words::WordSet<W>, text: &str) -> bool {
    let word = W::from_text(text);
    set.extend(word);
    word.is_some()
}
