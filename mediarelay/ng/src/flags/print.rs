//! Options as a flag string in OpenSIPS' dialect.

use std::fmt::Display;

use super::{ModuleFlags, ViaBranch};
use crate::options::{Flag, Options, SdpAttr, Tos, escape};
use crate::words::{Word, WordSet};

/// Writes a flag string that [`parse_opensips`](super::parse_opensips) reads as `flags`: transport first, then
/// ICE and encryption, then the rest. In codecs, header extensions and SDP attributes `=` and space are written
/// `--` and `..`. Other texts are written as they are: one with a space or a bracket in it, or a list whose first text
/// has `-=` in it, cannot be said in a flag string.
pub fn print(flags: &ModuleFlags) -> String {
    let mut out = Words(Vec::new());
    let options = &flags.options;
    out.transport(options);
    out.encryption(options);
    out.twins("rtcp-mux", options.rtcp_mux);
    out.twins("BUNDLE", options.bundle);
    out.twins("replace", options.replace);
    out.codecs(options);
    out.addresses(options);
    out.rewriting(options);
    for flag in options.flags.iter() {
        match flag {
            // As a word of its own it is an order to the module: send the to-tag.
            Flag::ToTag => out.word("flags=to-tag"),
            other => out.word(other),
        }
    }
    out.orders(flags);
    out.0.join(" ")
}

struct Words(Vec<String>);

impl Words {
    fn word(&mut self, word: impl Display) {
        self.0.push(word.to_string());
    }

    fn pair(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.word(format!("{key}={value}"));
        }
    }

    fn twins<W: Word + Display>(&mut self, key: &str, words: WordSet<W>) {
        words.iter().for_each(|word| self.word(format!("{key}-{word}")));
    }

    fn list(&mut self, key: &str, members: &[String]) {
        if !members.is_empty() {
            self.word(format!("{key}={}", bracketed(members)));
        }
    }

    fn transport(&mut self, options: &Options) {
        use crate::options::TransportProtocol::{Accept, Udptl};
        match options.transport_protocol {
            Some(protocol @ (Accept | Udptl)) => self.pair("transport-protocol", Some(protocol)),
            Some(protocol) => self.word(protocol),
            None => {}
        }
        let ice = &options.ice;
        match (ice.mode, ice.ice2) {
            (Some(mode), true) => self.word(format!("ICE=[{mode} ice2]")),
            (None, true) => self.word("ICE=ice2"),
            (mode, false) => self.pair("ICE", mode),
        }
        if ice.trickle {
            self.word("trickle-ICE");
        }
        self.pair("ICE-lite", ice.lite);
    }

    fn encryption(&mut self, options: &Options) {
        self.pair("DTLS", options.dtls);
        self.pair("DTLS-reverse", options.dtls_reverse);
        self.pair("DTLS-fingerprint", options.dtls_fingerprint);
        options
            .sdes
            .members()
            .into_iter()
            .for_each(|member| self.word(format!("SDES-{member}")));
        self.twins("OSRTP", options.osrtp);
        self.twins("T.38", options.t38);
        self.pair("T.38-version", options.t38_version);
    }

    /// Each codec is a word, but in lists where one has an `=` that only a bracket protects.
    fn codecs(&mut self, options: &Options) {
        for (name, list) in options.codec.lists() {
            if list.iter().any(|codec| codec.contains("-=")) {
                self.word(format!("codec=[{name}={}]", bracketed(list)));
            } else {
                list.iter()
                    .for_each(|codec| self.word(format!("codec-{name}-{}", escape(codec))));
            }
        }
    }

    fn addresses(&mut self, options: &Options) {
        match (&options.from_interface, &options.to_interface) {
            (Some(from), Some(to)) => self.word(format!("in-iface={from} out-iface={to}")),
            (from, to) => {
                self.pair("from-interface", from.as_ref());
                self.pair("to-interface", to.as_ref());
            }
        }
        self.pair("address-family", options.address_family);
        self.pair("received-from", options.received_from);
        self.pair("media-address", options.media_address);
        self.pair(
            "TOS",
            options.tos.map(|tos| match tos {
                Tos::Keep => -1,
                Tos::Set(octet) => i32::from(octet),
            }),
        );
        self.pair("alias-key", options.alias_key);
        self.pair("media-echo", options.media_echo);
        self.pair("label", options.label.as_ref());
        self.pair("set-label", options.set_label.as_ref());
        self.pair("metadata", options.metadata.as_ref());
        // Brackets would begin a list.
        let dtmf_log = options.dtmf_log_dest;
        self.pair(
            "DTMF-log-dest",
            dtmf_log.map(|to| format!("{}:{}", to.ip(), to.port())),
        );
        let kind = options.sip_message_type.map(|kind| kind.name().replace(' ', "-"));
        self.pair("sip-message-type", kind);
        self.pair("sip-code", options.sip_code);
    }

    fn rewriting(&mut self, options: &Options) {
        let sections: Vec<String> = options
            .sdp_attr
            .iter()
            .filter(|attr| !attr.is_empty())
            .map(sdp_attr)
            .collect();
        self.pair(
            "sdp-attr",
            (!sections.is_empty()).then(|| format!("[{}]", sections.join(" "))),
        );
        let kinds: Vec<String> = options
            .sdp_media_remove
            .iter()
            .map(|kind| kind.to_string())
            .collect();
        self.list("sdp-media-remove", &kinds);
        let extmap = [("strip", &options.extmap_strip), ("mask", &options.extmap_mask)];
        let extmap = members(&extmap);
        self.pair("extmap", (!extmap.is_empty()).then(|| format!("[{extmap}]")));
        self.pair("ptime", options.ptime);
        self.pair("ptime-reverse", options.ptime_reverse);
        if let Some(mode) = options.endpoint_learning {
            self.word(format!("endpoint-learning-{mode}"));
        }
        self.pair("delete-delay", options.delete_delay.map(|delay| delay.as_secs()));
        self.pair("supports", options.supports_load_limit.then_some("load-limit"));
    }

    fn orders(&mut self, flags: &ModuleFlags) {
        self.pair("call-id", flags.call_id.as_ref());
        self.pair("from-tag", flags.from_tag.as_ref());
        match &flags.to_tag {
            Some(tag) => self.pair("to-tag", Some(tag)),
            None if flags.send_to_tag => self.word("to-tag"),
            None => {}
        }
        match &flags.via_branch {
            None => {}
            Some(ViaBranch::Text(text)) => self.pair("via-branch-param", Some(text)),
            Some(ViaBranch::First) => self.word("via-branch=1"),
            Some(ViaBranch::Second) => self.word("via-branch=2"),
            Some(ViaBranch::Auto) => self.word("via-branch=auto"),
            Some(ViaBranch::Extra) => self.word("via-branch=extra"),
            Some(ViaBranch::Next) => self.word("via-branch=next"),
            Some(ViaBranch::AutoNext) => self.word("via-branch=auto-next"),
            Some(ViaBranch::AutoExtra) => self.word("via-branch=auto-extra"),
        }
        if flags.force_answer {
            self.word("force-answer");
        }
    }
}

fn bracketed(members: &[String]) -> String {
    let members: Vec<String> = members.iter().map(|member| escape(member)).collect();
    format!("[{}]", members.join(" "))
}

/// `k=[a b] l=[c]`, without the empty ones.
fn members(lists: &[(&str, &Vec<String>)]) -> String {
    let lists = lists.iter().filter(|(_, list)| !list.is_empty());
    let lists: Vec<String> = lists
        .map(|(name, list)| format!("{name}={}", bracketed(list)))
        .collect();
    lists.join(" ")
}

fn sdp_attr(attr: &SdpAttr) -> String {
    let mut edits = members(&[("add", &attr.add), ("remove", &attr.remove)]);
    if !attr.substitute.is_empty() {
        let pairs = attr
            .substitute
            .iter()
            .map(|(from, to)| format!("[{} {}]", escape(from), escape(to)));
        let pairs: Vec<String> = pairs.collect();
        let space = if edits.is_empty() { "" } else { " " };
        edits.push_str(&format!("{space}substitute=[{}]", pairs.join(" ")));
    }
    format!("{}=[{edits}]", attr.section)
}
