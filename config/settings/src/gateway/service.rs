//! `registrar`, `auth`, `admin`, `metrics` and `log`.

use std::net::SocketAddr;
use std::time::Duration;

use super::next_hops::PATIENCE_MAX;
use super::users::{Algorithm, algorithms};
use crate::decode::{Decoder, Fault, Form, TextForm, section, section_default};
use crate::form::address::is_host_name;
use crate::form::network::Network;
use crate::form::time::{DAY, HOUR, MILLISECOND, MINUTE, SECOND};
use crate::form::{choice, choices, duration, list, network, or_word, path, socket, switch, text};
use crate::shape::Shape;
use crate::tree::{Kind, Node};

section! {
    /// How long registrations last.
    pub struct RegistrarSettings {
        /// Shortest registration; a shorter one is answered with 423 and this value.
        min_expires: Duration = default(duration(10 * SECOND, DAY), "60s");
        /// Longest registration; a longer one is cut to it.
        max_expires: Duration = default(duration(MINUTE, 30 * DAY), "1h");
        /// What holds if the phone does not say.
        default_expires: Duration = default(duration(10 * SECOND, DAY), "10m");
        /// How often a phone that registers a flow (RFC 5626) over TCP, TLS or WebSocket is asked to send a keep-alive;
        /// `none` leaves it to the phone.
        flow_timer: Option<Duration> = default(or_word("none", duration(10 * SECOND, DAY)), "2m");
        /// How often a phone that registered over UDP from behind a NAT is sent an empty line, so that the NAT keeps the way
        /// to it open: one whose Contact is not where it registered from. `none` leaves that to phones.
        udp_ping: Option<Duration> = default(or_word("none", duration(5 * SECOND, 10 * MINUTE)), "25s");
        /// Whether phones are told to send their calls by the way that they registered over (Service-Route, RFC 3608).
        /// Phones that do not know better send them to the domain, which usually is the same.
        service_route: bool = default(switch(), "false");
    }
}

section! {
    /// How patient signalling is.
    pub struct TimerSettings {
        /// T1 of RFC 3261, the estimate of the round trip: first repetition over UDP. A transaction without an answer
        /// ends after 64 times this.
        t1: Duration = default(duration(10 * MILLISECOND, 10 * SECOND), "500ms");
        /// T2 of RFC 3261: longest interval between repetitions.
        t2: Duration = default(duration(10 * MILLISECOND, MINUTE), "4s");
        /// T4 of RFC 3261: longest time that a message stays in the network.
        t4: Duration = default(duration(10 * MILLISECOND, MINUTE), "5s");
        /// Timer D of RFC 3261: how long repeats of a final answer to INVITE are acknowledged over UDP.
        d: Duration = default(duration(10 * MILLISECOND, 10 * MINUTE), "32s");
        /// How long one of several flows to the same phone (RFC 5626) may be silent before the next is tried.
        flow_patience: Duration = default(duration(100 * MILLISECOND, MINUTE), "2s");
        /// How often the media of a call is looked at after the connection of a browser in it has gone.
        lost_flow_check: Duration = default(duration(100 * MILLISECOND, MINUTE), "2s");
        /// A browser in a call whose connection has gone and that sent no media for this long has left: the call ends.
        lost_flow_silence: Duration = default(duration(SECOND, HOUR), "6s");
        /// How long one address of another domain may be silent before its next one is tried: until any answer to a call,
        /// until the final one to other requests. The last address has 64 times T1.
        next_address: Duration = default(duration(100 * MILLISECOND, PATIENCE_MAX), "5s");
    }
}

section! {
    /// How users prove who they are (digest, RFC 8760), and which pages may connect.
    pub struct AuthSettings {
        /// How long a nonce may be used before a phone must take a new one; it does so by itself.
        nonce_lifetime: Duration = default(duration(10 * SECOND, DAY), "5m");
        /// Algorithms that are offered, for each kind of transport.
        challenge: ChallengeSettings = default(crate::form::section_form::<ChallengeSettings>(), "{}");
        /// Whether answers without `qop` (RFC 2069) are taken. Only phones from before 2000 need it, and it allows
        /// replay while a nonce lives.
        without_qop: bool = default(switch(), "false");
        /// Networks whose devices need no password: each is the user that it names in From. Only for networks in
        /// which nobody can send from a foreign address. A device that names nobody is asked for a password as
        /// everywhere.
        trust_from: Vec<Network> = default(list(network()), "[]");
        /// Programs whose requests are dropped without an answer: those with one of these in their User-Agent, in any case.
        /// Scanners that say who they are go on to the next address when nobody answers.
        drop_user_agents: Vec<String> = default(
            list(text("a part of a User-Agent", 64)),
            "[friendly-scanner, sipvicious, sipcli, sundayddr, pplsip]"
        );
        /// Web pages that may open a WebSocket: `own` is the pages of this gateway, `any` switches the check off,
        /// and a list names others beside the own ones, such as `https://www.example.com`.
        origins: Origins = default(OriginsForm, "own");
    }
}

section! {
    /// Algorithms in the order in which they are offered.
    pub struct ChallengeSettings {
        /// Over WebSocket. JsSIP and SIP.js read only the last one and know only MD5, so MD5 comes last.
        ws: Vec<Algorithm> = default(algorithms(), "[SHA-256, MD5]");
        /// Over UDP, TCP and TLS. Many phones read only the first one and know only MD5.
        other: Vec<Algorithm> = default(algorithms(), "[MD5]");
    }
}

section! {
    /// The control socket that `viaduct status`, `calls` and the other verbs talk to.
    pub(crate) struct AdminSettings {
        /// Unix socket; only the user that runs the gateway may open it.
        socket: Option<String> = absent(path(), "`control.sock` in `site.state_dir`");
    }
}

section! {
    /// Health and metrics on a port of their own. `http` and `https` listeners have health too, but no metrics.
    pub struct MetricsSettings {
        /// Address for `/metrics` (Prometheus), `/health/live` and `/health/ready`; `none` for no such port.
        listen: Option<SocketAddr> = default(or_word("none", socket()), "127.0.0.1:9100");
    }
}

section! {
    /// What is logged. The log goes to standard error.
    pub struct LogSettings {
        /// How much is said.
        level: LogLevel = default(choice::<LogLevel>(), "info");
        /// How a line looks.
        format: LogFormat = default(choice::<LogFormat>(), "text");
    }
}

section_default!(
    RegistrarSettings,
    TimerSettings,
    AuthSettings,
    ChallengeSettings,
    MetricsSettings,
    LogSettings
);

choices! {
    /// How much is logged; each level includes those before it.
    pub enum LogLevel {
        /// What keeps the program from doing its work.
        Error = "error",
        /// What is worth waking someone for.
        Warn = "warn",
        /// What a user would notice: registrations, calls.
        Info = "info",
        /// Decisions, with addresses and names.
        Debug = "debug",
        /// Every message and packet.
        Trace = "trace",
    }
}

choices! {
    /// How a line of the log looks.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// Web pages that may open a WebSocket, by their `Origin` (RFC 6455 10.2). Clients that are not browsers send none
/// and are not held up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every page.
    Any,
    /// The pages of this gateway, and these origins in lower case.
    Own(Vec<String>),
}

/// `own`, `any`, or a list of origins.
pub(crate) struct OriginsForm;

/// One origin.
struct Origin;

/// The word form of [`OriginsForm`].
struct OriginsWord;

impl Form for OriginsForm {
    type Value = Origins;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Origins> {
        match &node.kind {
            Kind::List(_) => list(Origin).decode(node, decoder).map(Origins::Own),
            Kind::Scalar { .. } | Kind::Null | Kind::Refused | Kind::Map(_) => {
                OriginsWord.decode(node, decoder)
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![
            Shape::Word("own"),
            Shape::Word("any"),
            Form::shape(&list(Origin)),
        ])
    }
}

impl TextForm for OriginsWord {
    type Value = Origins;

    fn parse(&self, text: &str) -> Result<Origins, Fault> {
        match text {
            "own" => Ok(Origins::Own(Vec::new())),
            "any" => Ok(Origins::Any),
            _ if Origin.parse(text).is_ok() => {
                Err(Fault::bad().help(format!("write a list: `[\"{text}\"]`")))
            }
            _ => Err(Fault::bad()),
        }
    }

    fn shape(&self) -> Shape {
        Form::shape(&OriginsForm)
    }
}

impl TextForm for Origin {
    type Value = String;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        let lower = text.to_ascii_lowercase();
        let rest = lower
            .strip_prefix("https://")
            .or_else(|| lower.strip_prefix("http://"));
        let Some(rest) = rest else {
            return Err(Fault::bad().help("start with `https://`".to_owned()));
        };
        if rest.contains('/') {
            return Err(Fault::bad().help("an origin has no path".to_owned()));
        }
        let host = match rest.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            _ => rest,
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good = is_host_name(host)
            || host.parse::<std::net::Ipv4Addr>().is_ok()
            || bracketed.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        if good { Ok(lower) } else { Err(Fault::bad()) }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "an origin such as `https://www.example.com`".to_owned(),
            pattern: Some("^https?://[^/]+$"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_and_host() {
        assert_eq!(
            Origin.parse("HTTPS://www.Example.com:8443").as_deref(),
            Ok("https://www.example.com:8443")
        );
        assert!(Origin.parse("http://[::1]:8080").is_ok());
        for text in ["www.example.com", "https://a/b", "https://", "ftp://a"] {
            assert!(Origin.parse(text).is_err(), "{text}");
        }
    }
}
