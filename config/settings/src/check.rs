//! Checks that the gateway's and the relay's settings share: sockets, media ports, and what peers are told.

use std::net::{IpAddr, SocketAddr};

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Place};
use crate::form::address::PortRange;
use crate::gateway::site::{PublicIp, is_private, is_unicast};
use crate::listener::{Layer, overlap};
use crate::media::{AdvertisedAddress, Bind, Interface, InterfaceAddress, MediaSettings};
use crate::positions::Positions;
use crate::source::Reporter;

/// A socket that will be bound.
#[derive(Debug)]
pub(crate) struct Bound {
    /// As it is called in messages.
    pub(crate) name: String,
    pub(crate) layer: Layer,
    pub(crate) address: SocketAddr,
    /// Where it is written, `None` for a default.
    pub(crate) place: Option<Place>,
    /// Beside whose sockets this one is superfluous, and why.
    pub(crate) carried_by: Option<(&'static str, &'static str)>,
}

/// Reports every socket that cannot be bound because of one above it.
pub(crate) fn overlaps(bound: &[Bound], reporter: &mut Reporter) {
    for (index, second) in bound.iter().enumerate() {
        let collides = |first: &&Bound| first.layer == second.layer && overlap(first.address, second.address);
        let Some(first) = bound[..index].iter().find(collides) else {
            continue;
        };
        let message = format!("{} wants the port of {}", second.name, first.name);
        let diagnostic = Diagnostic::new(Code::ListenerOverlap, message)
            .at(second.place.clone())
            .note(match &first.place {
                Some(place) => format!("the other one stands at {place}"),
                None => "the other one is a default, which holds although it is not written".to_owned(),
            });
        reporter.report_consequence(match second.carried_by {
            Some((scheme, help)) if first.name.starts_with(scheme) => diagnostic.help(help.to_owned()),
            _ => diagnostic.note("fix: give one of them another port or another address"),
        });
    }
}

/// Ports for phones.
struct NamedRange {
    /// The key.
    name: String,
    range: PortRange,
    place: Place,
}

/// What is checked of the media side, wherever its keys stand.
pub(crate) struct MediaCheck<'a> {
    pub(crate) media: &'a MediaSettings,
    pub(crate) public_ip: &'a PublicIp,
    /// Where the media keys stand: `["relay"]`, or nothing.
    pub(crate) path: &'a [&'a str],
    pub(crate) positions: &'a Positions,
    pub(crate) reporter: &'a mut Reporter,
}

impl MediaCheck<'_> {
    pub(crate) fn run(&mut self, bound: &[Bound]) {
        self.listeners(bound);
        self.browser_port();
        self.interface_addresses();
        self.private_addresses();
        self.strict_source();
        self.limits();
    }

    /// The name of a media key.
    fn name(&self, key: &str) -> String {
        self.path
            .iter()
            .chain([&key])
            .copied()
            .collect::<Vec<_>>()
            .join(".")
    }

    fn value(&self, keys: &[&str]) -> Option<Place> {
        self.positions.value(&[self.path, keys].concat())
    }

    fn nearest(&self, keys: &[&str]) -> Place {
        self.positions.nearest(&[self.path, keys].concat())
    }

    /// Every range of ports for phones: that of all interfaces, then those that interfaces have of their own.
    fn ranges(&self) -> Vec<NamedRange> {
        let common = NamedRange {
            name: self.name("rtp_ports"),
            range: self.media.rtp_ports,
            place: self.nearest(&["rtp_ports"]),
        };
        let own = self.media.interfaces.iter().flat_map(|interface| {
            let addresses = interface.addresses.iter().enumerate();
            addresses.filter_map(move |(index, address)| {
                Some(NamedRange {
                    name: format!("{}.{}.rtp_ports", self.name("interfaces"), interface.name),
                    range: address.rtp_ports?,
                    place: self.interface_place(interface, index, "rtp_ports", false),
                })
            })
        });
        std::iter::once(common).chain(own).collect()
    }

    /// Signalling must keep clear of the ports for media.
    fn listeners(&mut self, bound: &[Bound]) {
        let ranges = self.ranges();
        for listener in bound.iter().filter(|bound| bound.layer == Layer::Udp) {
            let port = listener.address.port();
            let taken = if let Some(of) = ranges.iter().find(|of| of.range.contains(port)) {
                format!("{} ({})", of.name, of.range)
            } else if self.media.browser_port == Some(port) {
                self.name("browser_port")
            } else {
                continue;
            };
            let message = format!("{} is on a port of {taken}", listener.name);
            let diagnostic = Diagnostic::new(Code::PortConflict, message)
                .at(listener.place.clone())
                .note("calls would take the port, or could not start")
                .note("fix: choose a port that media does not use");
            self.reporter.report_consequence(diagnostic);
        }
    }

    fn browser_port(&mut self) {
        let Some(port) = self.media.browser_port else {
            return;
        };
        let ranges = self.ranges().into_iter();
        for of in ranges.filter(|of| of.range.contains(port)) {
            let NamedRange { name, range, place } = of;
            let place = self.value(&["browser_port"]).unwrap_or(place);
            let message = format!(
                "{} {port} lies within {name} ({range})",
                self.name("browser_port")
            );
            let diagnostic = Diagnostic::new(Code::PortConflict, message)
                .at(place)
                .note("a phone's call would take the port of all browsers")
                .note(format!(
                    "fix: a browser port below {} or above {}",
                    range.first, range.last
                ));
            self.reporter.report_consequence(diagnostic);
        }
    }

    fn interface_addresses(&mut self) {
        let media = self.media;
        for interface in &media.interfaces {
            for (index, address) in interface.addresses.iter().enumerate() {
                let bound = match &address.address {
                    Bind::Address(bound) => Some(*bound),
                    Bind::Any | Bind::Device(_) => None,
                };
                let advertised = match address.advertise {
                    Some(AdvertisedAddress::Address(told)) => Some(told),
                    Some(AdvertisedAddress::Public) | None => None,
                };
                for (key, value) in [("address", bound), ("advertise", advertised)] {
                    let Some(value) = value.filter(|value| !is_unicast(*value)) else {
                        continue;
                    };
                    let what = format!("{}.{}", self.name("interfaces"), interface.name);
                    let place = self.interface_place(interface, index, key, false);
                    let diagnostic = unusable(value, &what).at(place);
                    self.reporter
                        .report_consequence(if key == "address" && value.is_unspecified() {
                            diagnostic.help("for all addresses write `any`".to_owned())
                        } else {
                            diagnostic
                        });
                }
            }
        }
    }

    /// A machine with a public address, of which no interface tells any peer.
    fn private_addresses(&mut self) {
        let Some(public) = self
            .public_ip
            .known()
            .iter()
            .find(|address| !is_private(**address))
        else {
            return;
        };
        let interfaces = &self.media.interfaces;
        let addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
        let told: Vec<Option<IpAddr>> = addresses.map(told).collect();
        // What is not known without asking the system may well be public.
        if told
            .iter()
            .any(|told| told.is_none_or(|address| !is_private(address)))
        {
            return;
        }
        let (Some(first), Some(Some(address))) = (interfaces.first(), told.first()) else {
            return;
        };
        let message = format!("phones will be told to send audio to {address}, which they cannot reach");
        let diagnostic = Diagnostic::new(Code::PrivateAddress, message)
            .at(self.interface_place(first, 0, "address", true))
            .note(format!(
                "this machine is on the public internet ({public}); this is the usual cause of one-way audio"
            ))
            .note(format!(
                "fix: add `advertise: public` (this machine's public address is {public})"
            ));
        self.reporter.report_consequence(diagnostic);
    }

    /// Where a key of an address stands, whether the interface is written as one address or as a list.
    fn interface_place(&self, interface: &Interface, index: usize, key: &str, of_key: bool) -> Place {
        let index = index.to_string();
        let base = [self.path, &["interfaces", &interface.name]].concat();
        let alone = [&base[..], &[key]].concat();
        let listed = [&base[..], &[index.as_str(), key]].concat();
        let find = |path: &[&str]| {
            if of_key {
                self.positions.key(path)
            } else {
                self.positions.value(path)
            }
        };
        find(&alone)
            .or_else(|| find(&listed))
            .unwrap_or_else(|| self.positions.nearest(&base))
    }

    fn strict_source(&mut self) {
        if self.media.strict_source {
            return;
        }
        let diagnostic = Diagnostic::new(Code::Weakened, "media from unknown sources is let through")
            .at(self.value(&["strict_source"]))
            .note("whoever finds the port can be heard in the call")
            .note("fix: `true`, unless a peer sends from several addresses");
        self.reporter.report_consequence(diagnostic);
    }

    /// Limits that depend on each other.
    fn limits(&mut self) {
        let limits = &self.media.limits;
        let (medias, routes) = (
            limits.signalling.medias_per_party,
            limits.forwarding.routes_per_flow,
        );
        if medias >= routes {
            self.out_of_order(
                &["limits", "signalling", "medias_per_party"],
                &["limits", "forwarding", "routes_per_flow"],
                format!("{medias} m-lines need more than {routes} routes"),
                "a bundle has a route for each m-line and one for DTMF: the last m-line would carry nothing",
            );
        }
        let dtls = &self.media.limits.dtls;
        if dtls.first_timeout > dtls.longest_timeout {
            self.out_of_order(
                &["limits", "dtls", "first_timeout"],
                &["limits", "dtls", "longest_timeout"],
                "the first wait of a DTLS flight is longer than the longest".to_owned(),
                "a flight that is lost would be sent again later than it has to be",
            );
        }
        let pace = &self.media.limits.pace;
        let (below, above) = (pace.tick_below, pace.tick_above);
        if below > above {
            self.out_of_order(
                &["limits", "pace", "tick_below"],
                &["limits", "pace", "tick_above"],
                format!("{below}/1s is above {above}/1s"),
                "between the two rates a worker keeps to what it did before, so that it does not change to and fro",
            );
        }
    }

    /// The value of `low` must be below that of `high`.
    fn out_of_order(&mut self, low: &[&str], high: &[&str], what: String, why: &str) {
        let name = |keys: &[&str]| [self.path, keys].concat().join(".");
        let place = self.value(low).unwrap_or_else(|| self.nearest(high));
        let diagnostic = Diagnostic::new(Code::Order, what)
            .at(place)
            .expected(format!("`{}` below `{}`", name(low), name(high)))
            .note(why);
        self.reporter.report_consequence(diagnostic);
    }
}

/// The addresses of `public_ip`, which peers must be able to send to.
pub(crate) fn public_addresses(
    public_ip: &PublicIp,
    path: &[&str],
    positions: &Positions,
    reporter: &mut Reporter,
) {
    for (index, address) in public_ip.known().iter().enumerate() {
        if is_unicast(*address) {
            continue;
        }
        let listed = positions.value(&[path, &[index.to_string().as_str()]].concat());
        let place = listed.unwrap_or_else(|| positions.nearest(path));
        reporter.report_consequence(unusable(*address, &path.join(".")).at(place));
    }
}

/// The address that peers are told, `None` if it is not known without asking the system.
fn told(address: &InterfaceAddress) -> Option<IpAddr> {
    match (&address.advertise, &address.address) {
        (Some(AdvertisedAddress::Address(told)), _) | (None, Bind::Address(told)) => Some(*told),
        _ => None,
    }
}

fn unusable(address: IpAddr, what: &str) -> Diagnostic {
    let message = format!("{address} in {what} is no address that a peer can send to");
    Diagnostic::new(Code::AddressUnusable, message).note("fix: the address of one machine")
}
