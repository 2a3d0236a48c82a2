//! Keys and flags into typed fields, in every spelling that clients of rtpengine use.

mod flag;
pub(crate) mod known;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::{Ignored, Received, RequestError, Why};
use crate::byte_string::ByteString;
use crate::flags;
use crate::options::{Flag, IceLite, IceMode, Options, SdpAttr, SdpSection, Tos, unescape};
use crate::templates::Templates;
use crate::value::{Dict, Value};
use crate::words::{Word, WordSet, fold, names};

/// Longest delay that is told apart from a longer one, in seconds.
const DELAY_MAX_S: i64 = u32::MAX as i64;

/// Collects what a message says, key by key.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) sdp: Option<ByteString>,
    pub(crate) call_id: Option<ByteString>,
    pub(crate) from_tag: Option<ByteString>,
    pub(crate) from_tags: Vec<ByteString>,
    pub(crate) to_tag: Option<ByteString>,
    pub(crate) via_branch: Option<ByteString>,
    pub(crate) limit: Option<u32>,
    pub(crate) options: Options,
    pub(crate) ignored: Vec<Ignored>,
    /// What the key `template` may name.
    pub(crate) templates: Arc<Templates>,
}

impl Reader {
    /// `sdp`, which must not be empty.
    pub(crate) fn take_sdp(&mut self) -> Result<ByteString, RequestError> {
        self.sdp
            .take()
            .filter(|sdp| !sdp.is_empty())
            .ok_or(RequestError::NoSdp)
    }

    /// `call-id`, which must not be empty.
    pub(crate) fn take_call_id(&mut self) -> Result<ByteString, RequestError> {
        self.call_id
            .take()
            .filter(|call_id| !call_id.is_empty())
            .ok_or(RequestError::NoCallId)
    }

    /// `from-tag`, which may be empty: RFC 2543 peers have none.
    pub(crate) fn take_from_tag(&mut self) -> Result<ByteString, RequestError> {
        self.from_tag.take().ok_or(RequestError::NoFromTag)
    }

    /// `to-tag`; an empty one counts as absent.
    pub(crate) fn take_to_tag(&mut self) -> Option<ByteString> {
        self.to_tag.take().filter(|tag| !tag.is_empty())
    }

    /// Takes one key. What cannot be used is noted in `ignored`.
    pub(crate) fn key(&mut self, key: &ByteString, value: &Value) {
        let name = key.to_text();
        let name = &*name;
        match &*fold(name) {
            "command" => {}
            "sdp" => self.sdp = self.bytes(name, value),
            "call-id" => self.call_id = self.bytes(name, value),
            "from-tag" => self.from_tag = self.bytes(name, value),
            "from-tags" => self.from_tags = self.list(name, value),
            "all" if value.to_bytes().is_some_and(|all| all == "all") => {
                self.options.flags.insert(Flag::All);
            }
            "all" => self.switch(name, value, Flag::All),
            "dtmf-log-dest" | "dtmf-log-destination" => self.dtmf_log(name, value),
            "to-tag" => self.to_tag = self.bytes(name, value),
            "via-branch" => self.via_branch = self.bytes(name, value),
            "limit" => self.limit = self.number(name, value),
            "flags" => self.each(name, value, |reader, flag| {
                reader.flag(flag);
                true
            }),
            "rtpp-flags" => {
                if let Some(text) = self.text(name, value) {
                    flags::read_rtpp_flags(&text, self);
                }
            }
            "direction" => self.direction(name, value),
            // Of who publishes or subscribes, whichever side of an offer that is.
            "interface" => {
                let interface = self.text(name, value);
                self.options.from_interface.clone_from(&interface);
                self.options.to_interface = interface;
            }
            "from-interface" => self.options.from_interface = self.text(name, value),
            "to-interface" => self.options.to_interface = self.text(name, value),
            "address-family" => self.options.address_family = self.word(name, value),
            "received-from" => self.received_from(name, value),
            "media-address" => {
                self.options.media_address =
                    self.text(name, value).and_then(|text| self.address(name, &text));
            }
            "tos" => {
                let octet = |number| u8::try_from(number).ok().map(Tos::Set);
                let tos = self.number::<i64>(name, value);
                self.options.tos = tos.and_then(|number| {
                    if number < 0 {
                        Some(Tos::Keep)
                    } else {
                        octet(number)
                    }
                });
            }
            "template" => self.template(name, value),
            "alias-key" => self.alias_key(name, value),
            "media-echo" => self.options.media_echo = self.word(name, value),
            "label" | "from-label" => self.options.label = self.bytes(name, value),
            "set-label" => self.options.set_label = self.bytes(name, value),
            "metadata" => self.options.metadata = self.bytes(name, value),
            "sip-message-type" => self.options.sip_message_type = self.word(name, value),
            "sip-code" | "sip-response-code" => self.options.sip_code = self.number(name, value),
            "transport-protocol" => self.options.transport_protocol = self.word(name, value),
            "dtls" => self.options.dtls = self.word(name, value),
            "dtls-reverse" => self.options.dtls_reverse = self.word(name, value),
            "dtls-fingerprint" => self.options.dtls_fingerprint = self.word(name, value),
            "sdes" => self.each(name, value, |reader, member| reader.options.sdes.take(member)),
            "osrtp" => self.set(name, value, |options| &mut options.osrtp),
            "ice" => self.each(name, value, Self::ice),
            "ice-lite" => self.options.ice.lite = self.word(name, value),
            "rtcp-mux" => self.set(name, value, |options| &mut options.rtcp_mux),
            "bundle" => self.set(name, value, |options| &mut options.bundle),
            "replace" => self.set(name, value, |options| &mut options.replace),
            "sdp-attr" => self.sdp_attr(name, value),
            "sdp-media-remove" => self.set(name, value, |options| &mut options.sdp_media_remove),
            "extmap" => self.extmap(name, value),
            "codec" | "codecs" => self.codec(name, value),
            "ptime" => self.options.ptime = self.number(name, value),
            "ptime-reverse" | "reverse-ptime" => self.options.ptime_reverse = self.number(name, value),
            "t.38" | "t38" => self.set(name, value, |options| &mut options.t38),
            "t.38-version" | "t38-version" => self.options.t38_version = self.number(name, value),
            "endpoint-learning" => self.each(name, value, |reader, member| {
                reader.options.endpoint_learning = Word::from_text(member);
                reader.options.endpoint_learning.is_some()
            }),
            "generate-rtcp" => self.switch(name, value, Flag::GenerateRtcp),
            "supports" => self.each(name, value, |reader, member| {
                let load_limit = fold(member) == "load-limit";
                reader.options.supports_load_limit |= load_limit;
                load_limit
            }),
            "delete-delay" => {
                let seconds = self.number::<i64>(name, value);
                let seconds = seconds.and_then(|seconds| u64::try_from(seconds.min(DELAY_MAX_S)).ok());
                self.options.delete_delay = seconds.map(Duration::from_secs);
            }
            folded if known::is_known_key(folded) => self.ignore(name, None, Why::NotServed),
            _ => self.ignore(name, None, Why::Unknown),
        }
    }

    /// Notes something without effect.
    pub(crate) fn ignore(&mut self, key: &str, member: Option<&str>, why: Why) {
        if self.ignored.len() < Received::IGNORED_MAX {
            self.ignored.push(Ignored {
                key: key.to_owned(),
                member: member.map(str::to_owned),
                why,
            });
        }
    }

    fn unusable(&mut self, key: &str, member: Option<&str>, expected: impl Into<String>) {
        self.ignore(
            key,
            member,
            Why::Unusable {
                expected: expected.into(),
            },
        );
    }

    fn bytes(&mut self, name: &str, value: &Value) -> Option<ByteString> {
        let bytes = value.to_bytes();
        if bytes.is_none() {
            self.unusable(name, None, "a string");
        }
        bytes
    }

    /// A list of strings, or one.
    fn list(&mut self, name: &str, value: &Value) -> Vec<ByteString> {
        let members = match value {
            Value::List(members) => members.as_slice(),
            single => std::slice::from_ref(single),
        };
        members
            .iter()
            .filter_map(|member| self.bytes(name, member))
            .collect()
    }

    fn text(&mut self, name: &str, value: &Value) -> Option<String> {
        let Value::Bytes(octets) = value else {
            // Digits are text.
            return self.bytes(name, value).map(|digits| digits.to_string());
        };
        let text = octets.as_text();
        if text.is_none() {
            self.unusable(name, None, "text");
        }
        text.map(str::to_owned)
    }

    fn number<T: TryFrom<i64>>(&mut self, name: &str, value: &Value) -> Option<T> {
        let number = value.to_integer().and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.unusable(name, None, "a number in range");
        }
        number
    }

    fn word<W: Word>(&mut self, name: &str, value: &Value) -> Option<W> {
        let text = self.text(name, value)?;
        let word = W::from_text(&text);
        if word.is_none() {
            self.unusable(name, Some(&text), names::<W>());
        }
        word
    }

    /// Hands over each text of a list, or of a string with commas. `take` says whether it was of use.
    fn each(&mut self, name: &str, value: &Value, mut take: impl FnMut(&mut Self, &str) -> bool) {
        let mut one = |reader: &mut Self, text: &str| {
            if !take(reader, text) {
                reader.unusable(name, Some(text), "a known member");
            }
        };
        match value {
            Value::List(members) => {
                for member in members {
                    match self.text(name, member) {
                        Some(text) => one(self, &text),
                        None => continue,
                    }
                }
            }
            Value::Bytes(_) | Value::Integer(_) => {
                let Some(text) = self.text(name, value) else {
                    return;
                };
                text.split(',')
                    .filter(|text| !text.is_empty())
                    .for_each(|text| one(self, text));
            }
            Value::Dict(_) => self.unusable(name, None, "a list"),
        }
    }

    fn set<W: Word>(&mut self, name: &str, value: &Value, set: fn(&mut Options) -> &mut WordSet<W>) {
        self.each(name, value, |reader, member| {
            let word = W::from_text(member);
            set(&mut reader.options).extend(word);
            word.is_some()
        });
    }

    fn switch(&mut self, name: &str, value: &Value, flag: Flag) {
        let Some(text) = self.text(name, value) else {
            return;
        };
        match &*fold(&text) {
            "on" | "yes" | "true" | "1" | "enable" | "enabled" => self.options.flags.insert(flag),
            "off" | "no" | "false" | "0" | "disable" | "disabled" => self.options.flags.remove(flag),
            _ => self.unusable(name, Some(&text), "on or off"),
        }
    }

    fn address(&mut self, name: &str, text: &str) -> Option<IpAddr> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .unwrap_or(text);
        let address = bare.parse().ok();
        if address.is_none() {
            self.unusable(name, Some(text), "an IP address");
        }
        address
    }

    /// Where digits are told, `address:port`. IPv6 may stand without brackets, which mean something else in flag strings.
    fn dtmf_log(&mut self, name: &str, value: &Value) {
        let Some(text) = self.text(name, value) else {
            return;
        };
        let bare = || {
            let (address, port) = text.rsplit_once(':')?;
            Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
        };
        self.options.dtmf_log_dest = text.parse().ok().or_else(bare);
        if self.options.dtmf_log_dest.is_none() {
            self.unusable(name, Some(&text), "an IP address and a port");
        }
    }

    fn direction(&mut self, name: &str, value: &Value) {
        let mut interfaces = Vec::new();
        self.each(name, value, |_, member| {
            interfaces.push(member.to_owned());
            interfaces.len() <= 2
        });
        let mut interfaces = interfaces.into_iter();
        let options = &mut self.options;
        options.from_interface = interfaces.next().or(options.from_interface.take());
        options.to_interface = interfaces.next().or(options.to_interface.take());
    }

    fn template(&mut self, name: &str, value: &Value) {
        let Some(wanted) = self.text(name, value) else {
            return;
        };
        // One that refers to another one finds none: there is no end to that otherwise.
        let templates = std::mem::take(&mut self.templates);
        match templates.get(&wanted) {
            Some(text) => flags::read_rtpp_flags(text, self),
            None => self.unusable(name, Some(&wanted), "the name of a template"),
        }
        self.templates = templates;
    }

    fn alias_key(&mut self, name: &str, value: &Value) {
        let is_off = self.text(name, value).is_some_and(|text| fold(&text) == "off");
        self.options.alias_key = if is_off { None } else { self.word(name, value) };
    }

    /// The family says nothing beyond the address.
    fn received_from(&mut self, name: &str, value: &Value) {
        let address = match value {
            Value::List(members) => members.get(1),
            Value::Bytes(_) | Value::Integer(_) | Value::Dict(_) => Some(value),
        };
        let Some(address) = address else {
            return self.unusable(name, None, "family and address");
        };
        self.options.received_from = self
            .text(name, address)
            .and_then(|text| self.address(name, &text));
    }

    fn ice(&mut self, member: &str) -> bool {
        let folded = fold(member);
        let ice = &mut self.options.ice;
        match &*folded {
            "trickle" => ice.trickle = true,
            "ice2" => ice.ice2 = true,
            "lite" => ice.lite = Some(IceLite::Forward),
            "no-lite" => ice.lite = Some(IceLite::Off),
            other => {
                let lite = other.strip_prefix("lite-").and_then(IceLite::from_text);
                let mode = IceMode::from_text(other);
                ice.lite = lite.or(ice.lite);
                ice.mode = mode.or(ice.mode);
                return lite.is_some() || mode.is_some();
            }
        }
        true
    }

    fn codec(&mut self, name: &str, value: &Value) {
        let Some(dict) = self.dict(name, value) else {
            return;
        };
        for (member, value) in dict.iter() {
            let member = member.to_text();
            let list = fold(&member);
            self.each(name, value, |reader, text| reader.codec_member(&list, text));
        }
    }

    /// Adds a codec string to a member of `codec`.
    fn codec_member(&mut self, list: &str, text: &str) -> bool {
        let list = self.options.codec.list_mut(list);
        list.map(|list| list.push(unescape(text))).is_some()
    }

    fn extmap(&mut self, name: &str, value: &Value) {
        let Some(dict) = self.dict(name, value) else {
            return;
        };
        for (member, value) in dict.iter() {
            let member = member.to_text();
            let member = fold(&member);
            self.each(name, value, |reader, uri| {
                match &*member {
                    "strip" if uri.eq_ignore_ascii_case("all") => {
                        reader.options.flags.insert(Flag::StripExtmap);
                    }
                    "strip" => reader.options.extmap_strip.push(unescape(uri)),
                    "mask" => reader.options.extmap_mask.push(unescape(uri)),
                    _ => return false,
                }
                true
            });
        }
    }

    fn sdp_attr(&mut self, name: &str, value: &Value) {
        let Some(sections) = self.dict(name, value) else {
            return;
        };
        for (section, edits) in sections.iter() {
            let text = section.to_text();
            let Some(section) = SdpSection::from_text(&text) else {
                self.unusable(name, Some(&text), "a section: global, audio, video, …");
                continue;
            };
            let Some(edits) = self.dict(name, edits) else {
                continue;
            };
            for (edit, value) in edits.iter() {
                match &*fold(&edit.to_text()) {
                    "substitute" => self.substitutes(name, section, value),
                    edit => self.each(name, value, |reader, text| reader.sdp_edit(section, edit, text)),
                }
            }
        }
    }

    /// `[[from, to], …]`; also `from>to` as one text.
    fn substitutes(&mut self, name: &str, section: SdpSection, value: &Value) {
        let members = match value {
            Value::List(members) => members.as_slice(),
            single => std::slice::from_ref(single),
        };
        for member in members {
            if !self.substitute(section, member) {
                self.unusable(name, Some("substitute"), "pairs of texts");
            }
        }
    }

    fn substitute(&mut self, section: SdpSection, member: &Value) -> bool {
        let text = |value: &Value| value.to_bytes()?.as_text().map(unescape);
        match member {
            Value::List(pair) => {
                let [from, to] = pair.as_slice() else { return false };
                let Some(pair) = text(from).zip(text(to)) else {
                    return false;
                };
                self.section(section).substitute.push(pair);
                true
            }
            other => {
                let Some(text) = text(other) else { return false };
                self.sdp_edit(section, "substitute", &text)
            }
        }
    }

    /// One edit written as a text. For `substitute` it is `from>to`.
    fn sdp_edit(&mut self, section: SdpSection, edit: &str, text: &str) -> bool {
        let text = unescape(text);
        match edit {
            "add" => self.section(section).add.push(text),
            "remove" => self.section(section).remove.push(text),
            "substitute" => {
                let Some((from, to)) = text.split_once('>') else {
                    return false;
                };
                self.section(section)
                    .substitute
                    .push((from.to_owned(), to.to_owned()));
            }
            _ => return false,
        }
        true
    }

    fn section(&mut self, section: SdpSection) -> &mut SdpAttr {
        let list = &mut self.options.sdp_attr;
        let at = list
            .iter()
            .position(|attr| attr.section == section)
            .unwrap_or_else(|| {
                list.push(SdpAttr::new(section));
                list.len() - 1
            });
        &mut list[at]
    }

    fn dict<'v>(&mut self, name: &str, value: &'v Value) -> Option<&'v Dict> {
        let dict = value.as_dict();
        if dict.is_none() {
            self.unusable(name, None, "a dictionary");
        }
        dict
    }
}
