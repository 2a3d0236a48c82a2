//! Options as keys of a request.
//!
//! Spelling and kind of each value are those that rtpengine 10.5 and the newest release both take, where both
//! know the key: lists as lists, `ICE` as one string, trickle as a flag.

use super::{Ice, Options, SdpAttr, Tos};
use crate::value::{Dict, Value};
use crate::words::{Word, WordSet};

impl Options {
    /// Adds the keys to `dict`. What is absent adds none.
    pub(crate) fn write(&self, dict: &mut Dict) {
        self.write_addresses(dict);
        self.write_transport(dict);
        self.write_rewriting(dict);
        self.write_codecs(dict);
        put(
            dict,
            "endpoint-learning",
            self.endpoint_learning.map(|mode| Value::texts([mode.name()])),
        );
        let seconds = self
            .delete_delay
            .map(|delay| i64::try_from(delay.as_secs()).unwrap_or(i64::MAX));
        put(dict, "delete-delay", seconds.map(Value::Integer));
        put(
            dict,
            "supports",
            self.supports_load_limit.then(|| Value::texts(["load limit"])),
        );
        let mut flags: Vec<&str> = self.flags.iter().map(Word::name).collect();
        if self.ice.trickle {
            flags.push("trickle-ICE");
        }
        put_list(dict, "flags", flags);
    }

    fn write_addresses(&self, dict: &mut Dict) {
        match (&self.from_interface, &self.to_interface) {
            (Some(from), Some(to)) => put_list(dict, "direction", [from.as_str(), to]),
            (from, to) => {
                put(dict, "from-interface", from.as_deref().map(Value::text));
                put(dict, "to-interface", to.as_deref().map(Value::text));
            }
        }
        put_word(dict, "address-family", self.address_family);
        if let Some(address) = self.received_from {
            let family = if address.is_ipv4() { "IP4" } else { "IP6" };
            put_list(dict, "received-from", [family.to_owned(), address.to_string()]);
        }
        put(
            dict,
            "media-address",
            self.media_address.map(|address| Value::text(address.to_string())),
        );
        put(
            dict,
            "TOS",
            self.tos.map(|tos| {
                Value::Integer(match tos {
                    Tos::Keep => -1,
                    Tos::Set(octet) => octet.into(),
                })
            }),
        );
        put_word(dict, "alias-key", self.alias_key);
        put_word(dict, "media-echo", self.media_echo);
        put(dict, "label", self.label.clone().map(Value::Bytes));
        put(dict, "set-label", self.set_label.clone().map(Value::Bytes));
        let dtmf_log = self.dtmf_log_dest.map(|to| Value::text(to.to_string()));
        put(dict, "DTMF-log-dest", dtmf_log);
        put(dict, "metadata", self.metadata.clone().map(Value::Bytes));
        put_word(dict, "sip-message-type", self.sip_message_type);
        put(
            dict,
            "sip-code",
            self.sip_code.map(|code| Value::Integer(code.into())),
        );
    }

    fn write_transport(&self, dict: &mut Dict) {
        put_word(dict, "transport-protocol", self.transport_protocol);
        put_word(dict, "DTLS", self.dtls);
        put_word(dict, "DTLS-reverse", self.dtls_reverse);
        put_word(dict, "DTLS-fingerprint", self.dtls_fingerprint);
        put_list(dict, "SDES", self.sdes.members());
        put_set(dict, "OSRTP", self.osrtp);
        write_ice(&self.ice, dict);
        put_set(dict, "rtcp-mux", self.rtcp_mux);
        put_set(dict, "bundle", self.bundle);
    }

    fn write_rewriting(&self, dict: &mut Dict) {
        put_set(dict, "replace", self.replace);
        let mut sections = Dict::new();
        for attr in self.sdp_attr.iter().filter(|attr| !attr.is_empty()) {
            sections.insert(attr.section.to_string(), sdp_attr(attr));
        }
        put_dict(dict, "sdp-attr", sections);
        put_set(dict, "sdp-media-remove", self.sdp_media_remove);
        let mut extmap = Dict::new();
        put_list(&mut extmap, "strip", self.extmap_strip.iter().map(String::as_str));
        put_list(&mut extmap, "mask", self.extmap_mask.iter().map(String::as_str));
        put_dict(dict, "extmap", extmap);
    }

    fn write_codecs(&self, dict: &mut Dict) {
        let mut codec = Dict::new();
        for (name, list) in self.codec.lists() {
            put_list(&mut codec, name, list.iter().map(String::as_str));
        }
        put_dict(dict, "codec", codec);
        put_set(dict, "T.38", self.t38);
        put(
            dict,
            "T.38-version",
            self.t38_version.map(|version| Value::Integer(version.into())),
        );
        put(dict, "ptime", self.ptime.map(|ms| Value::Integer(ms.into())));
        put(
            dict,
            "ptime-reverse",
            self.ptime_reverse.map(|ms| Value::Integer(ms.into())),
        );
    }
}

/// 10.5 takes `ICE` only as one string; the newest also as a list, which `ice2` needs.
fn write_ice(ice: &Ice, dict: &mut Dict) {
    let mode = ice.mode.map(Word::name);
    if ice.ice2 {
        put_list(dict, "ICE", mode.into_iter().chain(["ice2"]));
    } else {
        put(dict, "ICE", mode.map(Value::text));
    }
    put_word(dict, "ICE-lite", ice.lite);
}

fn sdp_attr(attr: &SdpAttr) -> Dict {
    let mut dict = Dict::new();
    put_list(&mut dict, "add", attr.add.iter().map(String::as_str));
    put_list(&mut dict, "remove", attr.remove.iter().map(String::as_str));
    let pairs: Vec<Value> = attr
        .substitute
        .iter()
        .map(|(from, to)| Value::texts([from.as_str(), to]))
        .collect();
    put(
        &mut dict,
        "substitute",
        (!pairs.is_empty()).then_some(Value::List(pairs)),
    );
    dict
}

pub(crate) fn put(dict: &mut Dict, key: &'static str, value: Option<Value>) {
    if let Some(value) = value {
        dict.insert(key, value);
    }
}

fn put_word<W: Word>(dict: &mut Dict, key: &'static str, word: Option<W>) {
    put(dict, key, word.map(|word| Value::text(word.name())));
}

fn put_set<W: Word>(dict: &mut Dict, key: &'static str, words: WordSet<W>) {
    put_list(dict, key, words.iter().map(Word::name));
}

fn put_list<T: Into<crate::ByteString>>(
    dict: &mut Dict,
    key: &'static str,
    texts: impl IntoIterator<Item = T>,
) {
    let list: Vec<Value> = texts.into_iter().map(Value::text).collect();
    put(dict, key, (!list.is_empty()).then_some(Value::List(list)));
}

fn put_dict(dict: &mut Dict, key: &'static str, inner: Dict) {
    put(dict, key, (!inner.is_empty()).then_some(Value::Dict(inner)));
}
