//! One carrier, as it is configured.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use viaduct_sip::{HeaderName, Host, Transport};

use crate::{Account, HeaderEdit, Network, NumberFormat, NumberPlan, Pattern, is_e164};

/// A carrier, or another exchange: who may call in from there, and how calls go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trunk {
    /// Its name in routes, lists and metrics.
    pub name: String,
    /// Where requests go: a host name, resolved by RFC 3263, or an address; IPv6 without brackets.
    pub host: String,
    /// The port. `None` leaves it to DNS and the transport.
    pub port: Option<u16>,
    /// The transport. `None` leaves it to DNS.
    pub transport: Option<Transport>,
    /// The host in Request-URI, From and identity headers. Most often [`host`](Self::host).
    pub domain: String,
    /// Calls from here need no password.
    pub trust_from: Vec<Network>,
    /// Nor do calls of a peer that has proven to have one of these names, in lower case (RFC 5922 section 7.1).
    pub trust_names: Vec<String>,
    /// Numbers that may arrive on, and leave from, this trunk, in E.164. Empty is any.
    pub numbers: Vec<Pattern>,
    /// The number that a caller without one of [`numbers`](Self::numbers) shows.
    pub caller_id: Option<String>,
    /// How it wants to read numbers.
    pub format: NumberFormat,
    /// What goes before every called number, in the trunk's format.
    pub prefix: String,
    /// Who calls is told in P-Asserted-Identity, also when the caller wants to stay unknown to the callee (RFC 3325).
    pub asserts_identity: bool,
    /// Audio codecs that it takes, best first, as RTP names (`PCMA`). `None` is those of a phone.
    pub codecs: Option<Vec<String>>,
    /// It sees nothing of the inside: no Via, Record-Route, Contact nor To of others than us.
    pub hides_topology: bool,
    /// Nor does it see which programs there are: User-Agent, Server and Organization.
    pub hides_software: bool,
    /// Nor does it see over whom a call was diverted: Diversion (RFC 5806) and History-Info (RFC 7044).
    pub hides_diversion: bool,
    /// What else is different in the headers of requests to it, in calls and outside them.
    pub headers: Vec<HeaderEdit>,
    /// How media is encrypted.
    pub encryption: MediaEncryption,
    /// How many redirections of one call are followed, one after the other, as far as they stay with the trunks of its
    /// rule. 0 follows none: a redirection is a failure of the trunk.
    pub redirects_max: u32,
    /// Calls at a time, both directions. `None` is any number.
    pub calls_max: Option<u32>,
    /// Calls at a time that one user may have out through the trunk. `None` is any number.
    pub calls_per_user_max: Option<u32>,
    /// Calls that may be begun in one second. `None` is any number.
    pub calls_per_second_max: Option<u32>,
    /// Among the trunks of a list those with the lowest go first. 0.
    pub priority: u16,
    /// Share of the calls among trunks of one priority. 0: the order of the list decides.
    pub weight: u16,
    /// Who we are to the trunk, should it ask.
    pub account: Option<Account>,
    /// How long a registration with the trunk is asked for. `None` does not register.
    pub register: Option<Duration>,
    /// How long the trunk may take to end the registration when we stop, or do not want it any more. `None` leaves it to run out. 2 s.
    pub unregister: Option<Duration>,
    /// How often the trunk is asked whether it is there. `None` never asks.
    pub probe: Option<Duration>,
}

/// How media to and from a trunk is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MediaEncryption {
    /// Not at all.
    #[default]
    None,
    /// With keys from the SDP (RFC 4568).
    Sdes,
    /// With keys from a DTLS handshake (RFC 5763, RFC 5764), without ICE.
    Dtls,
}

impl Trunk {
    /// A trunk with nothing but a name and a host.
    pub fn new(name: &str, host: &str) -> Self {
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            port: None,
            transport: None,
            domain: host.to_owned(),
            trust_from: Vec::new(),
            trust_names: Vec::new(),
            numbers: Vec::new(),
            caller_id: None,
            format: NumberFormat::default(),
            prefix: String::new(),
            asserts_identity: true,
            codecs: None,
            hides_topology: false,
            hides_software: false,
            hides_diversion: false,
            headers: Vec::new(),
            encryption: MediaEncryption::None,
            redirects_max: 0,
            calls_max: None,
            calls_per_user_max: None,
            calls_per_second_max: None,
            priority: 0,
            weight: 0,
            account: None,
            register: None,
            unregister: Some(Duration::from_secs(2)),
            probe: None,
        }
    }

    /// True when this number, in E.164, may arrive on the trunk and be shown by callers that leave from it.
    pub fn has_number(&self, number: &str) -> bool {
        self.numbers.is_empty() || self.numbers.iter().any(|pattern| pattern.matches(number))
    }

    /// What a number that arrives on the trunk is here, in E.164 where it is one. A trunk that writes digits only means
    /// a country code by the first of them.
    pub fn arriving(&self, plan: &NumberPlan, number: &str) -> String {
        let with_plus = format!("+{number}");
        if self.format == NumberFormat::Digits && is_e164(&with_plus) && self.has_number(&with_plus) {
            return with_plus;
        }
        plan.normalise(number)
    }

    /// The number in E.164 as the trunk is called for it: in its format, behind its prefix.
    pub fn dialling(&self, plan: &NumberPlan, number: &str) -> String {
        if plan.is_emergency(number) {
            return number.to_owned();
        }
        format!("{}{}", self.prefix, plan.format(number, self.format))
    }

    /// Headers that messages to the trunk go without, answers too.
    pub fn withheld(&self) -> impl Iterator<Item = HeaderEdit> + use<> {
        let software = [
            HeaderName::UserAgent,
            HeaderName::Server,
            HeaderName::Organization,
        ];
        let diversion = [HeaderName::Diversion, HeaderName::HistoryInfo];
        let software = software.into_iter().filter(|_| self.hides_software);
        let diversion = diversion.into_iter().filter(|_| self.hides_diversion);
        let names: Vec<HeaderName> = software.chain(diversion).collect();
        names.into_iter().map(HeaderEdit::remove)
    }

    /// What is different in every request to the trunk, whoever calls: what it is not to see goes, then comes what is
    /// configured for it, which may put a header back.
    pub fn request_edits(&self) -> impl Iterator<Item = HeaderEdit> + '_ {
        self.withheld().chain(self.headers.iter().cloned())
    }

    /// True when registering as this trunk says takes over the registration that was made as another one says: the same
    /// Contact of the same address of record, at the same place.
    pub fn registers_like(&self, other: &Self) -> bool {
        let place = |trunk: &Self| (trunk.host.clone(), trunk.port, trunk.transport);
        let account = |trunk: &Self| trunk.account.as_ref().map(|account| account.user.clone());
        self.register.is_some()
            && other.register.is_some()
            && (&self.name, &self.domain) == (&other.name, &other.domain)
            && place(self) == place(other)
            && account(self) == account(other)
    }

    /// True when this host is the trunk's: the name or address of its proxy, its domain, or an address that it calls from.
    pub fn is_at(&self, host: &Host<'_>) -> bool {
        match host.ip() {
            Some(ip) => {
                let is_own = |own: &str| own.parse::<IpAddr>().is_ok_and(|own| own == ip);
                is_own(&self.host)
                    || is_own(&self.domain)
                    || self.trust_from.iter().any(|network| network.contains(ip))
            }
            None => [&self.host, &self.domain]
                .iter()
                .any(|own| host.as_str().eq_ignore_ascii_case(own)),
        }
    }

    /// The URI of the trunk itself: whom OPTIONS and REGISTER are for.
    pub fn uri(&self) -> String {
        format!("sip:{}", host_text(&self.domain))
    }

    /// The URI of somebody at the trunk.
    pub fn uri_of(&self, user: &str) -> String {
        format!(
            "sip:{}@{}",
            viaduct_sip::uri::escape_user(user),
            host_text(&self.domain)
        )
    }
}

/// A host as URIs write it: IPv6 in brackets.
pub fn host_text(host: &str) -> Cow<'_, str> {
    match host.parse::<Ipv6Addr>() {
        Ok(v6) => Cow::Owned(format!("[{v6}]")),
        Err(_) => Cow::Borrowed(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_those_of_the_trunks_domain() {
        let trunk = Trunk::new("acme", "sbc.carrier.example");
        assert_eq!(trunk.uri(), "sip:sbc.carrier.example");
        assert_eq!(trunk.uri_of("+4930123"), "sip:+4930123@sbc.carrier.example");
        assert_eq!(
            Trunk::new("six", "2001:db8::1").uri_of("a b"),
            "sip:a%20b@[2001:db8::1]"
        );
    }

    #[test]
    fn a_trunk_reads_and_writes_numbers_in_its_own_form() {
        let mut trunk = Trunk::new("acme", "h");
        trunk.format = NumberFormat::Digits;
        trunk.prefix = "7001".to_owned();
        trunk.numbers.push(Pattern::new("+4930*"));
        let plan = NumberPlan {
            country: Some("49".to_owned()),
            ..NumberPlan::default()
        };
        assert_eq!(trunk.arriving(&plan, "493012345"), "+493012345");
        assert_eq!(trunk.arriving(&plan, "03012345"), "+493012345");
        assert_eq!(trunk.arriving(&plan, "201"), "201");
        assert_eq!(trunk.dialling(&plan, "+442071234567"), "7001442071234567");
        assert_eq!(
            trunk.dialling(&plan, "112"),
            "112",
            "help is called by its own number"
        );
    }

    #[test]
    fn a_trunk_is_at_its_own_hosts_only() {
        let mut trunk = Trunk::new("acme", "sbc.carrier.example");
        trunk.domain = "carrier.example".to_owned();
        trunk.trust_from.push(Network {
            address: "198.51.100.0".parse().unwrap(),
            prefix: 24,
        });
        let is_at = |host: &str| trunk.is_at(&Host::parse(host).unwrap());
        assert!(is_at("SBC.carrier.example") && is_at("carrier.example") && is_at("198.51.100.9"));
        assert!(!is_at("evil.example") && !is_at("203.0.113.1") && !is_at("x.carrier.example"));
    }

    #[test]
    fn what_is_configured_comes_after_what_is_withheld() {
        let mut trunk = Trunk::new("acme", "h");
        assert_eq!(trunk.request_edits().count(), 0);
        trunk.hides_diversion = true;
        trunk.headers = vec![HeaderEdit::set(HeaderName::Diversion, "<sip:+4930@h>")];
        let edits: Vec<HeaderEdit> = trunk.request_edits().collect();
        assert_eq!(
            edits,
            [
                HeaderEdit::remove(HeaderName::Diversion),
                HeaderEdit::remove(HeaderName::HistoryInfo),
                HeaderEdit::set(HeaderName::Diversion, "<sip:+4930@h>"),
            ]
        );
        assert_eq!(trunk.withheld().count(), 2, "answers have their own headers");
    }

    #[test]
    fn a_trunk_without_numbers_has_all() {
        let mut trunk = Trunk::new("acme", "h");
        assert!(trunk.has_number("+4930"));
        trunk.numbers.push(Pattern::new("+4930123*"));
        assert!(trunk.has_number("+49301234") && !trunk.has_number("+4930999"));
    }
}
