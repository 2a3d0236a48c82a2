//! `trunks`: carriers and other exchanges.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::decode::{Fault, Form, TextForm, section};
use crate::form::address::is_host_name;
use crate::form::network::Network;
use crate::form::time::{DAY, HOUR, MILLISECOND, MINUTE, SECOND};
use crate::form::{
    choice, choices, count, duration, host, list, map_of, network, or_word, path, section_form, switch, text,
    token, variable,
};
use crate::secret::Secret;
use crate::shape::Shape;

use super::routes::{Pattern, PatternForm};
use super::trunk_headers::TrunkHeaders;
use super::users::{Credentials, Ha1, HexForm, codec};

/// A carrier or another exchange, ready for use: the secret is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trunk {
    /// Its name in routes, lists and metrics.
    pub name: String,
    /// The keys of the file.
    pub keys: TrunkKeys,
    /// Who the gateway is to the trunk, if the trunk asks.
    pub account: Option<Account>,
}

/// Who the gateway is to a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user part of the gateway's address at the trunk.
    pub user: String,
    /// The name in credentials.
    pub auth_user: String,
    /// The realm that gets the password; `None` for any that the trunk names.
    pub realm: Option<String>,
    /// The password, or hashes of it, for which there is a realm.
    pub credentials: Credentials,
    /// How long a registration is asked for; `None` for an account that is for calls only.
    pub register: Option<Duration>,
    /// How long the trunk may take to end the registration at a stop; `None` leaves it to run out.
    pub unregister: Option<Duration>,
}

section! {
    /// A carrier, or another exchange. Calls come in from `trust_from`, and only for users and services of the gateway:
    /// never back out. They go out where a route says `trunk:NAME`.
    pub struct TrunkKeys {
        /// Where requests go. Without a port, NAPTR and SRV records are followed.
        proxy: ProxyUri = required(ProxyForm, ProxyUri::nothing());
        /// The transport.
        transport: Option<TrunkTransport> = absent(choice::<TrunkTransport>(), "what DNS says, else udp");
        /// The domain in addresses at the trunk.
        domain: Option<String> = absent(host(), "the host of `proxy`");
        /// Registers with the trunk, and answers when the trunk asks for a password.
        register: Option<RegisterKeys> = absent(section_form::<RegisterKeys>(), "does not register");
        /// Answers when the trunk asks for a password, without registering.
        login: Option<LoginKeys> = absent(section_form::<LoginKeys>(), "no password for the trunk");
        /// Networks that the trunk's calls come from. They need no password.
        trust_from: Vec<Network> = default(list(network()), "[]");
        /// Names that the trunk proves to have with a certificate, wherever it calls from: `tls.client_certificates` asks
        /// for it. Its calls need no password.
        trust_names: Vec<String> = default(list(host()), "[]");
        /// Numbers that may arrive on the trunk and that callers may show on it, such as `+4930123*`; `[]` for any.
        numbers: Vec<Pattern> = default(list(PatternForm), "[]");
        /// The number that callers without one of `numbers` show.
        caller_id: Option<String> = absent(phone_number(), "the user of `register` or `login`");
        /// How the trunk reads numbers.
        number_format: NumberFormat = default(choice::<NumberFormat>(), "e164");
        /// What goes before every number that is called through the trunk.
        prefix: Option<String> = absent(phone_number(), "nothing");
        /// Whether the trunk is told who calls (P-Asserted-Identity), also when the callee may not know.
        assert_identity: bool = default(switch(), "true");
        /// Whether the trunk sees the gateway alone: no Via, Record-Route or Contact of anybody inside, and no private
        /// address in To, Refer-To, Referred-By, Diversion and History-Info. Call-ID and tags stay, because transfers need them.
        hide_topology: bool = default(switch(), "false");
        /// Whether User-Agent, Server and Organization are taken out of what the trunk reads.
        hide_software: bool = default(switch(), "false");
        /// What becomes of Diversion and History-Info, which say over whom a call was diverted.
        diversion: TrunkDiversion = default(choice::<TrunkDiversion>(), "pass");
        /// What else is different in the headers of requests to the trunk.
        headers: TrunkHeaders = default(section_form::<TrunkHeaders>(), "{}");
        /// Codecs that the trunk is offered, best first; `[]` for those of a phone.
        codecs: Vec<String> = default(list(codec()), "[]");
        /// How media to the trunk is encrypted.
        media_encryption: MediaEncryption = default(choice::<MediaEncryption>(), "none");
        /// Calls at a time, in both directions; counted as `over_limit` beyond. Emergency calls are not held up.
        max_calls: Option<u32> = default(or_word("none", count(1..=100_000)), "none");
        /// Calls at a time that one user may have out through the trunk; counted as `over_user_limit` beyond, and refused
        /// with 486 if there is no other trunk. Emergency calls are not held up.
        max_calls_per_user: Option<u32> = default(or_word("none", count(1..=10_000)), "none");
        /// Calls that may begin in one second; counted as `over_limit` beyond.
        max_calls_per_second: Option<u32> = default(or_word("none", count(1..=10_000)), "none");
        /// What becomes of a redirection (3xx) of the trunk. The caller never gets it.
        redirects: TrunkRedirects = default(choice::<TrunkRedirects>(), "refuse");
        /// Redirections of one call that are followed, one after the other; counted as `redirects_refused` beyond.
        max_redirects: u32 = default(count(1..=10), "3");
        /// Among the trunks of a route those with the lowest are tried first.
        priority: u32 = default(count(0..=65_535), "0");
        /// Share of the calls among trunks of one priority; 0 takes them in the order of the route.
        weight: u32 = default(count(0..=65_535), "0");
        /// How often the trunk is asked whether it is there. Three misses mark it as down, one answer as up.
        options_ping: Option<Duration> = default(or_word("never", duration(5 * SECOND, HOUR)), "30s");
    }
}

section! {
    /// A registration with a trunk.
    pub struct RegisterKeys {
        /// The user part of the address that is registered.
        user: String = required(account_user(), String::new());
        /// The name in credentials.
        auth_user: Option<String> = absent(account_user(), "`user`");
        /// The realm that gets the password. Hashes are for one, so that it has to be known with `ha1`.
        realm: Option<String> = absent(text("a realm", 256), "any that the trunk names");
        /// File with the password on one line.
        secret_file: Option<String> = absent(path(), "one of the secrets is needed");
        /// Environment variable with the password.
        secret_env: Option<String> = absent(variable(), "one of the secrets is needed");
        /// Hashes of `auth_user:realm:password` instead of it. A trunk that challenges with another algorithm is not answered.
        ha1: Option<TrunkHashes> = absent(section_form::<TrunkHashes>(), "one of the secrets is needed");
        /// How long a registration is asked for. It is refreshed when 80 % are over.
        expires: Duration = default(duration(MINUTE, DAY), "10m");
        /// How long the trunk may take to end the registration when the gateway stops in order, or a reload takes the
        /// trunk or its registration away; `never` leaves it to run out.
        /// Without a registration the trunk sends calls elsewhere at once; with one that is left, calls wait through a
        /// short restart.
        unregister: Option<Duration> = default(or_word("never", duration(100 * MILLISECOND, 10 * SECOND)), "2s");
    }
}

section! {
    /// A password for calls through a trunk.
    pub struct LoginKeys {
        /// The user part of the gateway's address at the trunk.
        user: String = required(account_user(), String::new());
        /// The name in credentials.
        auth_user: Option<String> = absent(account_user(), "`user`");
        /// The realm that gets the password. Hashes are for one, so that it has to be known with `ha1`.
        realm: Option<String> = absent(text("a realm", 256), "any that the trunk names");
        /// File with the password on one line.
        secret_file: Option<String> = absent(path(), "one of the secrets is needed");
        /// Environment variable with the password.
        secret_env: Option<String> = absent(variable(), "one of the secrets is needed");
        /// Hashes of `auth_user:realm:password` instead of it. A trunk that challenges with another algorithm is not answered.
        ha1: Option<TrunkHashes> = absent(section_form::<TrunkHashes>(), "one of the secrets is needed");
    }
}

section! {
    /// HA1 hashes: of `auth_user:realm:password`. Only the algorithms listed here can be answered.
    pub struct TrunkHashes {
        /// 32 hex digits.
        md5["MD5"]: Option<Secret> = absent(HexForm(32), "MD5 is not answered");
        /// 64 hex digits.
        sha256["SHA-256"]: Option<Secret> = absent(HexForm(64), "SHA-256 is not answered");
        /// 64 hex digits.
        sha512_256["SHA-512-256"]: Option<Secret> = absent(HexForm(64), "SHA-512-256 is not answered");
    }
}

impl From<&TrunkHashes> for Ha1 {
    fn from(keys: &TrunkHashes) -> Self {
        Self {
            md5: keys.md5.clone(),
            sha256: keys.sha256.clone(),
            sha512_256: keys.sha512_256.clone(),
        }
    }
}

choices! {
    /// A transport to a trunk.
    pub enum TrunkTransport {
        /// Datagrams.
        Udp = "udp",
        /// Plain connections.
        Tcp = "tcp",
        /// Encrypted connections.
        Tls = "tls",
    }
}

choices! {
    /// How a trunk reads numbers.
    pub enum NumberFormat {
        /// `+4930123456`.
        E164 = "e164",
        /// `4930123456`.
        Digits = "digits",
        /// `004930123456`.
        International = "international",
        /// `030123456` inside the country, as `international` for others.
        National = "national",
        /// As it was dialled.
        AsDialled = "as_dialled",
    }
}

choices! {
    /// What a trunk reads about how a call was diverted (RFC 5806, RFC 7044).
    pub enum TrunkDiversion {
        /// What the caller wrote; with `hide_topology` without private addresses.
        Pass = "pass",
        /// Nothing, in requests and in answers.
        Remove = "remove",
    }
}

choices! {
    /// What becomes of a redirection of a trunk.
    pub enum TrunkRedirects {
        /// The trunk has failed: the next one of the route is tried.
        Refuse = "refuse",
        /// It is followed to the host, domain or networks of the trunks of the route, and refused if it leads elsewhere.
        Follow = "follow",
    }
}

choices! {
    /// How media to a trunk is encrypted.
    pub enum MediaEncryption {
        /// RTP/AVP.
        None = "none",
        /// RTP/SAVP with keys in the SDP (SDES); use it over TLS only.
        Sdes = "sdes",
        /// UDP/TLS/RTP/SAVP with keys from a DTLS handshake (RFC 5763), without ICE; the fingerprint in the SDP is worth what
        /// protects the signalling.
        Dtls = "dtls",
    }
}

/// A SIP URI without a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProxyUri {
    /// A host name in lower case, or an address without brackets.
    pub host: String,
    /// The port, if one is given.
    pub port: Option<u16>,
}

impl ProxyUri {
    /// Stands in for a wrong one.
    fn nothing() -> Self {
        Self {
            host: "invalid".to_owned(),
            port: None,
        }
    }
}

impl fmt::Display for ProxyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(v6)) => write!(f, "sip:[{v6}]")?,
            _ => write!(f, "sip:{}", self.host)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// `sip:host` or `sip:host:port`.
pub(crate) struct ProxyForm;

impl TextForm for ProxyForm {
    type Value = ProxyUri;

    fn parse(&self, text: &str) -> Result<ProxyUri, Fault> {
        let Some(rest) = text.strip_prefix("sip:") else {
            let help = if text.starts_with("sips:") {
                "write `sip:…` and `transport: tls`".to_owned()
            } else {
                format!("write `sip:{text}`")
            };
            return Err(Fault::bad().help(help));
        };
        if rest.contains(';') {
            return Err(
                Fault::bad().help("without parameters; the transport has a key of its own".to_owned())
            );
        }
        if rest.contains('@') {
            return Err(Fault::bad().help("without a user; `register` and `login` have one".to_owned()));
        }
        let (host, port) = match rest.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((v6, "")) => (v6, None),
            Some((v6, port)) => (v6, Some(port.strip_prefix(':').ok_or_else(Fault::bad)?)),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if !is_host_name(host) && host.parse::<IpAddr>().is_err() {
            return Err(Fault::bad());
        }
        Ok(ProxyUri {
            host: host.to_ascii_lowercase(),
            port: port.map(|port| crate::form::port().parse(port)).transpose()?,
        })
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "`sip:HOST` or `sip:HOST:PORT`, such as `sip:sbc.carrier.example`".to_owned(),
            pattern: Some(r"^sip:[^@;\s]+$"),
        }
    }
}

/// Trunks in one file. Each call that comes in is compared with the networks of all.
const NAME_LENGTH_MAX: usize = 32;

/// The form of `trunks`: name to keys.
pub(crate) fn trunks() -> impl Form<Value = Vec<(String, TrunkKeys)>> {
    map_of("name of the trunk", trunk_name(), section_form::<TrunkKeys>())
}

/// A trunk's name: short, and fit for metrics and addresses.
pub(crate) fn trunk_name() -> crate::form::text::Text {
    token(
        "a trunk's name of letters, digits, `-` and `_`",
        NAME_LENGTH_MAX,
        |text| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        },
        "letters, digits, `-` and `_` only",
    )
}

fn account_user() -> crate::form::text::Text {
    token(
        "the part of an address before the `@`",
        128,
        |text| !text.contains(|c: char| c.is_whitespace() || "@:\"<>".contains(c)),
        "only the part before the `@`, without `sip:`",
    )
}

/// A number as it is dialled.
pub(crate) fn phone_number() -> crate::form::text::Text {
    token(
        "a number of digits, `+`, `*` and `#`, in quotes",
        32,
        |text| text.bytes().all(|b| b.is_ascii_digit() || b"+*#".contains(&b)),
        "digits, `+`, `*` and `#` only",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_trunk_is_a_sip_uri_without_a_user() {
        for (text, host, port) in [
            ("sip:SBC.Carrier.example", "sbc.carrier.example", None),
            ("sip:192.0.2.1:5070", "192.0.2.1", Some(5070)),
            ("sip:[2001:db8::1]:5061", "2001:db8::1", Some(5061)),
            ("sip:[2001:db8::1]", "2001:db8::1", None),
        ] {
            let read = ProxyForm.parse(text).unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, port));
            assert_eq!(read.to_string(), text.to_ascii_lowercase());
        }
        for text in [
            "carrier.example",
            "sips:h",
            "sip:a@h",
            "sip:h;lr",
            "sip:",
            "sip:h:0",
            "sip:[::1]5",
            "sip:a b",
        ] {
            assert!(ProxyForm.parse(text).is_err(), "{text}");
        }
    }
}
