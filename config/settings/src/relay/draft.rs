//! The relay's settings while rtpengine's options are applied to them, one after the other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::code::Code;
use crate::decode::{Fault, TextForm};
use crate::diagnostic::{Diagnostic, Place};
use crate::form::address::{PortRange, socket_help};
use crate::gateway::service::LogLevel;
use crate::gateway::tls::CertificateKeys;
use crate::media::{
    AdvertisedForm, BindForm, DtlsRole, Interface, InterfaceAddress, Learning, dtls_mtu as dtls_mtu_form,
    interface_name,
};
use crate::positions::Positions;
use crate::secret::Secret;
use crate::shape::Shape;
use crate::source::Reporter;

use super::{JanusSecret, RelayListener, RelayScheme, RelaySettings};

/// Settings that options change, and where each value comes from.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) settings: RelaySettings,
    pub(crate) positions: Positions,
    /// Prefix of the sections with interfaces.
    pub(crate) interface_sections: Option<String>,
    /// The section with templates.
    pub(crate) template_section: Option<String>,
    https_cert: Option<(String, Place)>,
    https_key: Option<(String, Place)>,
    port_min: Option<(u16, Place)>,
    port_max: Option<(u16, Place)>,
}

/// Why a value does not fit its option.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) fault: Fault,
    pub(crate) expected: String,
}

/// Takes the value of an option in.
pub(crate) type Setter = fn(&mut Draft, &str, &Place) -> Result<(), Problem>;

impl Draft {
    pub(crate) fn new(settings: RelaySettings, positions: Positions) -> Self {
        Self {
            settings,
            positions,
            interface_sections: None,
            template_section: None,
            https_cert: None,
            https_key: None,
            port_min: None,
            port_max: None,
        }
    }

    /// The settings, when all options are in.
    pub(crate) fn finish(mut self, reporter: &mut Reporter) -> (RelaySettings, Positions) {
        let PortRange { first, last } = self.rtp_ports();
        if let Some((_, place)) = self.port_min.as_ref().or(self.port_max.as_ref()) {
            self.positions.insert(&["rtp_ports"], place);
            if first >= last {
                let diagnostic =
                    Diagnostic::new(Code::Order, format!("the port range {first} to {last} is empty"))
                        .at(place.clone())
                        .expected("`port-min` below `port-max`")
                        .note("a call needs at least two ports");
                reporter.report_consequence(diagnostic);
            }
        }
        self.settings.media.rtp_ports = PortRange { first, last };
        self.take_certificate();
        if self.settings.listen.is_empty() {
            self.settings.listen.push(RelaySettings::default_listener());
        }
        (self.settings, self.positions)
    }

    /// The certificate for HTTPS. One file may hold both, as rtpengine allows it.
    fn take_certificate(&mut self) {
        let known = self.settings.tls.take();
        let place = self.https_cert.as_ref().or(self.https_key.as_ref());
        if let Some((_, place)) = place {
            self.positions.insert(&["tls"], place);
        }
        let cert = self.https_cert.take().map(|(file, _)| file);
        let key = self.https_key.take().map(|(file, _)| file);
        self.settings.tls = match (cert, key, known) {
            (Some(cert), key, _) => Some(CertificateKeys {
                key: key.unwrap_or_else(|| cert.clone()),
                cert,
            }),
            (None, Some(key), Some(known)) => Some(CertificateKeys { key, ..known }),
            (None, _, known) => known,
        };
    }

    /// The ports that hold where an interface has none of its own.
    pub(crate) fn rtp_ports(&self) -> PortRange {
        let range = self.settings.media.rtp_ports;
        PortRange {
            first: self.port_min.as_ref().map_or(range.first, |(port, _)| *port),
            last: self.port_max.as_ref().map_or(range.last, |(port, _)| *port),
        }
    }

    /// Forgets the values of a repeatable option, so that other ones take their place.
    pub(crate) fn clear_list(&mut self, option: &str) {
        let scheme = match option {
            "interface" => return self.settings.media.interfaces.clear(),
            "listen-ng" => RelayScheme::NgUdp,
            "listen-tcp-ng" => RelayScheme::NgTcp,
            "listen-cli" => RelayScheme::Cli,
            "listen-http" => RelayScheme::Http,
            "listen-https" => RelayScheme::Https,
            _ => return,
        };
        // Listeners keep their order, so that their places stay right.
        let mut kept = Vec::new();
        for (index, listener) in self.settings.listen.iter().enumerate() {
            if listener.scheme != scheme {
                kept.push((*listener, self.positions.nearest(&["listen", &index.to_string()])));
            }
        }
        self.settings.listen.clear();
        for (listener, place) in kept {
            self.push_listener(listener, &place);
        }
    }

    fn push_listener(&mut self, listener: RelayListener, place: &Place) {
        let index = self.settings.listen.len().to_string();
        self.positions.insert(&["listen", &index], place);
        self.settings.listen.push(listener);
    }

    fn listen(&mut self, scheme: RelayScheme, text: &str, place: &Place) -> Result<(), Problem> {
        let address = parse(&ListenForm, text)?;
        self.push_listener(RelayListener { scheme, address }, place);
        Ok(())
    }

    /// Adds an address to an interface, which is made if there is none of that name.
    pub(crate) fn add_address(&mut self, name: String, address: InterfaceAddress, place: &Place) {
        let interfaces = &mut self.settings.media.interfaces;
        let interface = match interfaces.iter().position(|interface| interface.name == name) {
            Some(index) => &mut interfaces[index],
            None => {
                interfaces.push(Interface {
                    name,
                    addresses: Vec::new(),
                });
                let last = interfaces.len() - 1;
                &mut interfaces[last]
            }
        };
        let index = interface.addresses.len().to_string();
        for key in ["address", "advertise", "rtp_ports"] {
            self.positions
                .insert(&["interfaces", &interface.name, &index, key], place);
        }
        interface.addresses.push(address);
    }

    /// Makes `name` another name for the interface `existing`.
    pub(crate) fn add_alias(&mut self, name: String, existing: &str) -> Result<(), Problem> {
        let interfaces = &mut self.settings.media.interfaces;
        let Some(interface) = interfaces.iter().find(|interface| interface.name == existing) else {
            return Err(Problem {
                fault: Fault::bad().help(crate::suggest::did_you_mean(
                    existing,
                    interfaces.iter().map(|interface| interface.name.as_str()),
                )),
                expected: "the name of an interface that is given before".to_owned(),
            });
        };
        let addresses = interface.addresses.clone();
        interfaces.push(Interface { name, addresses });
        Ok(())
    }
}

pub(crate) fn parse<F: TextForm>(form: &F, text: &str) -> Result<F::Value, Problem> {
    form.parse(text).map_err(|fault| Problem {
        fault,
        expected: form.shape().describe(),
    })
}

// One function for each option that has an effect; `options` names them.

pub(super) fn interface(draft: &mut Draft, text: &str, place: &Place) -> Result<(), Problem> {
    let expected = || "`[NAME/]ADDRESS[!ADVERTISED]` or `NAME=EXISTING`".to_owned();
    let with_expected = |problem: Problem| Problem {
        expected: expected(),
        ..problem
    };
    let named = |name: &str| parse(&interface_name(), name).map_err(with_expected);
    if let Some((name, existing)) = text.split_once('=') {
        let name = named(name.trim())?;
        return draft.add_alias(name, existing.trim());
    }
    let (name, rest) = text.split_once('/').unwrap_or(("default", text));
    let (address, advertise) = match rest.split_once('!') {
        Some((address, advertise)) => (address, Some(advertise)),
        None => (rest, None),
    };
    let name = named(name.trim())?;
    let address = InterfaceAddress {
        advertise: match advertise {
            Some(advertise) => Some(parse(&AdvertisedForm, advertise.trim()).map_err(with_expected)?),
            None => None,
        },
        ..InterfaceAddress::new(parse(&BindForm, address.trim()).map_err(with_expected)?)
    };
    draft.add_address(name, address, place);
    Ok(())
}

pub(super) fn interfaces_config(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.interface_sections = (!text.is_empty()).then(|| text.to_owned());
    Ok(())
}

pub(super) fn templates(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.template_section = (!text.is_empty()).then(|| text.to_owned());
    Ok(())
}

pub(super) fn listen_ng(draft: &mut Draft, text: &str, place: &Place) -> Result<(), Problem> {
    draft.listen(RelayScheme::NgUdp, text, place)
}

pub(super) fn listen_tcp_ng(draft: &mut Draft, text: &str, place: &Place) -> Result<(), Problem> {
    draft.listen(RelayScheme::NgTcp, text, place)
}

pub(super) fn listen_cli(draft: &mut Draft, text: &str, place: &Place) -> Result<(), Problem> {
    draft.listen(RelayScheme::Cli, text, place)
}

pub(super) fn listen_http(draft: &mut Draft, text: &str, place: &Place) -> Result<(), Problem> {
    draft.listen(RelayScheme::Http, text, place)
}

pub(super) fn listen_https(draft: &mut Draft, text: &str, place: &Place) -> Result<(), Problem> {
    draft.listen(RelayScheme::Https, text, place)
}

pub(super) fn https_cert(draft: &mut Draft, text: &str, place: &Place) -> Result<(), Problem> {
    draft.https_cert = Some((parse(&crate::form::path(), text)?, place.clone()));
    Ok(())
}

pub(super) fn https_key(draft: &mut Draft, text: &str, place: &Place) -> Result<(), Problem> {
    draft.https_key = Some((parse(&crate::form::path(), text)?, place.clone()));
    Ok(())
}

pub(super) fn control_tos(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.control_tos = parse(&crate::form::count(0..=255), text)?;
    Ok(())
}

pub(super) fn dtmf_log_ng_tcp(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.dtmf_log_ng_tcp = parse(&FlagForm, text)?;
    Ok(())
}

pub(super) fn reject_invalid_sdp(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.reject_invalid_sdp = parse(&FlagForm, text)?;
    Ok(())
}

pub(super) fn port_min(draft: &mut Draft, text: &str, place: &Place) -> Result<(), Problem> {
    draft.port_min = Some((parse(&crate::form::port(), text)?, place.clone()));
    Ok(())
}

pub(super) fn port_max(draft: &mut Draft, text: &str, place: &Place) -> Result<(), Problem> {
    draft.port_max = Some((parse(&crate::form::port(), text)?, place.clone()));
    Ok(())
}

/// Zero or less stands for the default, as in rtpengine.
fn seconds(text: &str, default: Duration) -> Result<Duration, Problem> {
    let seconds = parse(&IntForm { min: -1, max: YEAR }, text)?;
    Ok(match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => default,
    })
}

const YEAR: i64 = 31_536_000;

pub(super) fn timeout(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.media.idle_timeout = seconds(text, Duration::from_secs(60))?;
    Ok(())
}

pub(super) fn silent_timeout(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.media.silent_timeout = seconds(text, Duration::from_secs(3_600))?;
    Ok(())
}

pub(super) fn offer_timeout(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.media.offer_timeout = seconds(text, Duration::from_secs(3_600))?;
    Ok(())
}

pub(super) fn final_timeout(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    let limit = seconds(text, Duration::ZERO)?;
    draft.settings.media.final_timeout = (limit > Duration::ZERO).then_some(limit);
    Ok(())
}

pub(super) fn delete_delay(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.media.delete_delay = seconds(text, Duration::ZERO)?;
    Ok(())
}

pub(super) fn tos(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.media.tos = parse(&crate::form::count(0..=255), text)?;
    Ok(())
}

pub(super) fn num_threads(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    let threads = parse(&crate::form::count(0..=1_024), text)?;
    draft.settings.media.workers = (threads > 0).then_some(threads);
    Ok(())
}

pub(super) fn max_sessions(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    let limit = parse(
        &IntForm {
            min: -1,
            max: 10_000_000,
        },
        text,
    )?;
    draft.settings.max_sessions = u32::try_from(limit).ok();
    Ok(())
}

/// rtpengine's limits on what the machine does: 0 is no limit.
pub(super) fn max_load(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    let load = parse(&crate::form::decimal(super::LOAD_MAX), text)?;
    draft.settings.max_load = Some(load).filter(|load| load.hundredths() > 0);
    Ok(())
}

pub(super) fn max_cpu(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    let percent = parse(&crate::form::decimal(100), text)?;
    draft.settings.max_cpu = Some(percent).filter(|percent| percent.hundredths() > 0);
    Ok(())
}

pub(super) fn max_bandwidth(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    let form = IntForm {
        min: 0,
        max: super::BANDWIDTH_MAX as i64,
    };
    let octets = parse(&form, text)?;
    draft.settings.max_bandwidth = usize::try_from(octets).ok().filter(|&octets| octets > 0);
    Ok(())
}

pub(super) fn endpoint_learning(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.media.learning = match text {
        "heuristic" => Learning::Heuristic,
        "delayed" => Learning::Delayed,
        "immediate" => Learning::Immediate,
        "off" => Learning::Never,
        _ => {
            let words = ["heuristic", "delayed", "immediate", "off"];
            return Err(Problem {
                fault: Fault {
                    code: Code::UnknownChoice,
                    ..Fault::bad().help(crate::suggest::did_you_mean(text, words))
                },
                expected: "`heuristic`, `delayed`, `immediate` or `off`".to_owned(),
            });
        }
    };
    Ok(())
}

pub(super) fn dtls_passive(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.media.dtls_role = match parse(&FlagForm, text)? {
        true => DtlsRole::Passive,
        false => DtlsRole::Active,
    };
    Ok(())
}

pub(super) fn dtls_mtu(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.media.dtls_mtu = parse(&dtls_mtu_form(), text)?;
    Ok(())
}

pub(super) fn sip_source(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.sip_source = parse(&FlagForm, text)?;
    Ok(())
}

pub(super) fn pidfile(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.pid_file = Some(parse(&crate::form::path(), text)?);
    Ok(())
}

pub(super) fn dtmf_log_dest(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.dtmf_log = Some(parse(&crate::form::socket(), text)?);
    Ok(())
}

pub(super) fn janus_secret(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.janus_secret = Some(JanusSecret::Given(Secret::new(text)));
    Ok(())
}

pub(super) fn state_file(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.state_file = Some(parse(&crate::form::path(), text)?);
    Ok(())
}

/// Syslog's numbers: 3 is an error, 4 a warning, 6 information, 7 debugging.
pub(super) fn log_level(draft: &mut Draft, text: &str, _: &Place) -> Result<(), Problem> {
    draft.settings.log.level = match parse(&IntForm { min: -1, max: 9 }, text)? {
        ..=3 => LogLevel::Error,
        4 => LogLevel::Warn,
        5..=6 => LogLevel::Info,
        7 => LogLevel::Debug,
        _ => LogLevel::Trace,
    };
    Ok(())
}

/// A flag in a configuration file; on the command line it is always `true`.
pub(super) struct FlagForm;

impl TextForm for FlagForm {
    type Value = bool;

    fn parse(&self, text: &str) -> Result<bool, Fault> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(Fault::bad()),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Switch
    }
}

/// A whole number that may be negative.
pub(super) struct IntForm {
    pub(super) min: i64,
    pub(super) max: i64,
}

impl TextForm for IntForm {
    type Value = i64;

    fn parse(&self, text: &str) -> Result<i64, Fault> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::bad());
        }
        match text.parse() {
            Ok(value) if (self.min..=self.max).contains(&value) => Ok(value),
            _ => Err(Fault::range()),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: format!("a whole number from {} to {}", self.min, self.max),
            pattern: None,
        }
    }
}

/// `PORT` or `ADDRESS:PORT`. A port alone is on loopback: NG has no password.
struct ListenForm;

impl TextForm for ListenForm {
    type Value = SocketAddr;

    fn parse(&self, text: &str) -> Result<SocketAddr, Fault> {
        if let Ok(port) = crate::form::port().parse(text) {
            return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        }
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        match numeric.parse::<SocketAddr>() {
            Ok(address) if address.port() > 0 => Ok(address),
            Ok(_) => Err(Fault::range()),
            Err(_) => Err(Fault::bad().help(socket_help(text))),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "`PORT` (on loopback), `ADDRESS:PORT` or `[IPV6]:PORT`".to_owned(),
            pattern: None,
        }
    }
}
