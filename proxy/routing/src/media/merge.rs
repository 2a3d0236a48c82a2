//! Completing a row of the table with what its reader needs.

use std::fmt;

use viaduct_ng::{CodecOptions, IceMode, Options, Word, WordSet};

/// One thing that was added to a row, or put in the place of what the row said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// The key, as in NG.
    pub key: &'static str,
    /// What the row said; empty when it said nothing.
    pub instead_of: String,
    /// What is asked.
    pub value: String,
    /// Why the reader needs it.
    pub why: &'static str,
}

impl fmt::Display for Addition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)?;
        if !self.instead_of.is_empty() {
            write!(f, " instead of {}", self.instead_of)?;
        }
        write!(f, ": {}", self.why)
    }
}

/// The row with everything in it that the reader's profile needs, and what was added. What the row says beyond the need
/// stays.
pub fn merge(row: &Options, needed: Options) -> (Options, Vec<Addition>) {
    let mut merged = row.clone();
    let mut log = Log(Vec::new());
    log.word(
        &mut merged.transport_protocol,
        needed.transport_protocol,
        "transport-protocol",
        "what the reader speaks",
    );
    log.word(
        &mut merged.ice.mode,
        needed.ice.mode,
        "ICE",
        why_ice(row.ice.mode, needed.ice.mode),
    );
    log.word(
        &mut merged.ice.lite,
        // A row that decides about ICE-lite itself is heard.
        needed.ice.lite.filter(|_| row.ice.lite.is_none()),
        "ICE-lite",
        "the relay only answers checks: the call is through sooner",
    );
    log.word(
        &mut merged.dtls,
        needed.dtls,
        "DTLS",
        "who begins the handshake, for relays that read it in the answer",
    );
    log.word(
        &mut merged.dtls_reverse,
        needed.dtls_reverse,
        "DTLS-reverse",
        "the browser begins the handshake: its packets open the way through its NAT",
    );
    log.words(
        &mut merged.rtcp_mux,
        needed.rtcp_mux,
        "rtcp-mux",
        "browsers refuse SDP without a=rtcp-mux, and phones want RTCP on a port of its own",
    );
    log.words(
        &mut merged.bundle,
        needed.bundle,
        "bundle",
        "browsers offer all media on one transport",
    );
    log.words(
        &mut merged.replace,
        needed.replace,
        "replace",
        "the SDP must name the relay, not the sender",
    );
    log.words(
        &mut merged.sdp_media_remove,
        needed.sdp_media_remove,
        "sdp-media-remove",
        "Firefox refuses a whole SDP over one m-line of T.38",
    );
    log.words(
        &mut merged.flags,
        needed.flags,
        "flags",
        "attributes that the reader needs, or must not see",
    );
    log.words(
        &mut merged.sdes.words,
        needed.sdes.words,
        "SDES",
        "whoever uses DTLS needs no keys in signalling besides",
    );
    if merged.codec.is_empty() && !needed.codec.is_empty() {
        log.add(
            "codec",
            String::new(),
            codec_text(&needed.codec),
            "codecs that the reader cannot take",
        );
        merged.codec = needed.codec;
    }
    for attr in needed.sdp_attr {
        if !merged.sdp_attr.iter().any(|have| have.section == attr.section) {
            let value = format!("{}: remove {}", attr.section, attr.remove.join(" "));
            log.add(
                "sdp-attr",
                String::new(),
                value,
                "attributes that only browsers understand",
            );
            merged.sdp_attr.push(attr);
        }
    }
    (merged, log.0)
}

fn why_ice(said: Option<IceMode>, needed: Option<IceMode>) -> &'static str {
    match (said, needed) {
        (Some(IceMode::ForceRelay), _) => {
            "force-relay leaves the sender's own candidates, keys and addresses in place: media would pass by the relay"
        }
        (_, Some(IceMode::Force)) => "a browser needs candidates, and they must be the relay's alone",
        _ => "a phone knows no ICE",
    }
}

fn codec_text(codec: &CodecOptions) -> String {
    let members = codec.lists().into_iter().filter(|(_, list)| !list.is_empty());
    members
        .map(|(name, list)| format!("{name} {}", list.join(" ")))
        .collect::<Vec<_>>()
        .join(", ")
}

struct Log(Vec<Addition>);

impl Log {
    fn add(&mut self, key: &'static str, instead_of: String, value: String, why: &'static str) {
        self.0.push(Addition {
            key,
            instead_of,
            value,
            why,
        });
    }

    /// A key with one word: the need wins.
    fn word<W: Word>(
        &mut self,
        said: &mut Option<W>,
        needed: Option<W>,
        key: &'static str,
        why: &'static str,
    ) {
        let Some(needed) = needed else { return };
        if *said != Some(needed) {
            let before = said.map_or_else(String::new, |word| word.name().to_owned());
            self.add(key, before, needed.name().to_owned(), why);
            *said = Some(needed);
        }
    }

    /// A key with a set of words: what is missing goes in.
    fn words<W: Word>(
        &mut self,
        said: &mut WordSet<W>,
        needed: WordSet<W>,
        key: &'static str,
        why: &'static str,
    ) {
        let missing = needed.difference(*said);
        if !missing.is_empty() {
            let names: Vec<&str> = missing.iter().map(Word::name).collect();
            self.add(key, String::new(), names.join(" "), why);
            *said = said.union(missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use viaduct_ng::{Flag, RtcpMux, TransportProtocol, flags};

    use super::*;
    use crate::media::{Endpoint, IceRole, Profile, profile};

    fn row(text: &str) -> Options {
        flags::parse_opensips(text).flags.options
    }

    /// The tutorial's third row, as written: no rtcp-mux, keys in the SDP.
    #[test]
    fn the_row_from_phone_to_browser_gets_what_browsers_demand() {
        let needed = profile::offer(
            &Endpoint::new(Profile::Phone),
            &Endpoint::new(Profile::Web),
            IceRole::Lite,
        );
        let (merged, added) = merge(&row("UDP/TLS/RTP/SAVPF ICE=force"), needed.clone());
        assert_eq!(merged, needed);
        let keys: Vec<&str> = added.iter().map(|addition| addition.key).collect();
        assert_eq!(
            keys,
            [
                "ICE-lite",
                "rtcp-mux",
                "replace",
                "sdp-media-remove",
                "flags",
                "SDES"
            ]
        );
        assert!(
            added
                .iter()
                .all(|addition| !addition.why.is_empty() && addition.instead_of.is_empty())
        );
    }

    /// The tutorial's first row leaves the sender's candidates in place.
    #[test]
    fn force_relay_between_browsers_becomes_our_own_candidates() {
        let web = Endpoint::new(Profile::Web);
        let (merged, added) = merge(
            &row("ICE=force-relay DTLS=passive"),
            profile::offer(&web, &web, IceRole::Lite),
        );
        assert_eq!(merged.ice.mode, Some(IceMode::Force));
        assert_eq!(merged.transport_protocol, Some(TransportProtocol::UdpTlsRtpSavpf));
        let ice = added.iter().find(|addition| addition.key == "ICE").unwrap();
        assert!(
            ice.to_string().starts_with("ICE=force instead of force-relay: "),
            "{ice}"
        );
    }

    #[test]
    fn what_a_row_says_beyond_the_need_stays() {
        let needed = profile::offer(
            &Endpoint::new(Profile::Web),
            &Endpoint::new(Profile::Phone),
            IceRole::Lite,
        );
        let said = row("RTP/AVP ICE=remove rtcp-mux-demux codec-strip-G722 loop-protect TOS=184");
        let (merged, added) = merge(&said, needed);
        assert!(merged.has(Flag::LoopProtect) && merged.rtcp_mux.contains(RtcpMux::Demux));
        assert_eq!((merged.tos, &merged.codec), (said.tos, &said.codec));
        assert!(
            added
                .iter()
                .all(|addition| !["codec", "transport-protocol", "ICE", "rtcp-mux"].contains(&addition.key))
        );
    }
}
