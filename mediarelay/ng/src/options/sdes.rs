//! The `SDES` list.

use crate::words::{WordSet, words};

words! {
    /// The members of `SDES` that are plain words
    SdesWord {
        /// Do not offer SDES
        Off = "off" ["no", "disable", "disabled"];
        /// Add the session parameter
        UnencryptedSrtp = "unencrypted_srtp";
        /// Add the session parameter
        UnencryptedSrtcp = "unencrypted_srtcp";
        /// Add the session parameter
        UnauthenticatedSrtp = "unauthenticated_srtp";
        /// Strip the session parameter
        EncryptedSrtp = "encrypted_srtp";
        /// Strip the session parameter
        EncryptedSrtcp = "encrypted_srtcp";
        /// Strip the session parameter
        AuthenticatedSrtp = "authenticated_srtp";
        /// Offer just what came in
        NoNew = "nonew";
        /// Keep the padding of keys; also flag `pad-crypto`
        Pad = "pad";
        /// Append `|2^31` to keys
        Lifetime = "lifetime";
        /// In re-answers keep the suite in use
        Static = "static";
        /// Prefer SDES to DTLS
        Prefer = "prefer" ["priority"];
    }
}

/// `SDES`. Crypto suites are kept as written; compare them without case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Sdes {
    /// Plain words.
    pub words: WordSet<SdesWord>,
    /// `no-SUITE`: leave these out.
    pub no: Vec<String>,
    /// `only-SUITE`: keep only these. Beats `no`.
    pub only: Vec<String>,
    /// `order:A;B`: these first in our offer.
    pub order: Vec<String>,
    /// `offerer_pref:A;B`: preference for what is accepted toward the offerer.
    pub offerer_pref: Vec<String>,
}

impl Sdes {
    /// True when nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// True when SDES is not to be offered.
    pub fn is_off(&self) -> bool {
        self.words.contains(SdesWord::Off)
    }

    /// The members as strings, in a fixed order.
    pub fn members(&self) -> Vec<String> {
        use crate::words::Word;
        let words = self.words.iter().map(|word| word.name().to_owned());
        let no = self.no.iter().map(|suite| format!("no-{suite}"));
        let only = self.only.iter().map(|suite| format!("only-{suite}"));
        let lists = [("order", &self.order), ("offerer_pref", &self.offerer_pref)];
        let lists = lists.into_iter().filter(|(_, suites)| !suites.is_empty());
        let lists = lists.map(|(name, suites)| format!("{name}:{}", suites.join(";")));
        words.chain(no).chain(only).chain(lists).collect()
    }

    /// Reads one member. False when it is none.
    pub(crate) fn take(&mut self, member: &str) -> bool {
        use crate::words::{Word, fold};
        if let Some(word) = SdesWord::from_text(member) {
            self.words.insert(word);
            return true;
        }
        let folded = fold(member);
        let rest = |prefix: &str| folded.starts_with(prefix).then(|| &member[prefix.len()..]);
        let suites = |rest: &str| {
            rest.split(';')
                .filter(|suite| !suite.is_empty())
                .map(str::to_owned)
                .collect()
        };
        if let Some(suite) = rest("no-").filter(|suite| !suite.is_empty()) {
            self.no.push(suite.to_owned());
        } else if let Some(suite) = rest("only-").filter(|suite| !suite.is_empty()) {
            self.only.push(suite.to_owned());
        } else if let Some(list) = rest("order:") {
            self.order = suites(list);
        } else if let Some(list) = rest("offerer-pref:") {
            self.offerer_pref = suites(list);
        } else {
            return false;
        }
        true
    }
}
