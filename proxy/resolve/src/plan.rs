//! From a next hop to candidates, by what is known of DNS (RFC 3263 sections 4.1 and 4.2).
//!
//! A plan is made anew whenever an answer comes: either everything that it needs is known, or it says what is missing.
//! So nothing is remembered between answers, and their order does not matter.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rand::Rng;
use viaduct_sip::Transport;

use crate::question::canonical;
use crate::{Answer, Candidate, Config, Failure, Kind, NextHop, Question, Srv};

/// What is known of DNS: an answer, or none yet.
pub(crate) trait Known {
    fn answer(&self, question: &Question) -> Option<Arc<Answer>>;
}

/// What a plan came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// These must be asked first.
    Needs(Vec<Question>),
    /// The candidates in their order, or why there are none.
    Done(Result<Vec<Candidate>, Failure>),
}

/// Servers of one service, and over what they are reached.
struct Service {
    transport: Transport,
    servers: Vec<Srv>,
}

struct Planner<'p, K> {
    config: &'p Config,
    known: &'p K,
    next_hop: &'p NextHop,
    missing: Vec<Question>,
    /// A question that mattered has no answer.
    has_failed: bool,
}

/// Plans the way to a next hop.
pub(crate) fn plan(config: &Config, known: &impl Known, next_hop: &NextHop, rng: &mut impl Rng) -> Plan {
    if let Some(found) = config.direct(next_hop) {
        return Plan::Done(found);
    }
    let host = next_hop.host.text();
    let mut planner = Planner {
        config,
        known,
        next_hop,
        missing: Vec::new(),
        has_failed: false,
    };
    let found = planner.candidates(&host, rng);
    if !planner.missing.is_empty() {
        return Plan::Needs(planner.missing);
    }
    let has_failed = planner.has_failed;
    Plan::Done(match found {
        Err(failure) => Err(failure),
        Ok(found) if found.is_empty() && has_failed => Err(Failure::Unanswered(host)),
        Ok(found) if found.is_empty() => Err(Failure::NoAddress(host)),
        Ok(found) => Ok(found),
    })
}

impl<K: Known> Planner<'_, K> {
    fn candidates(&mut self, host: &Arc<str>, rng: &mut impl Rng) -> Result<Vec<Candidate>, Failure> {
        let no_transport = || Failure::NoTransport(Arc::clone(host));
        if self.next_hop.transport.is_some_and(|asked| !self.speaks(asked)) {
            return Err(no_transport());
        }
        let is_known_host = self.config.hosts.contains_key(host);
        if self.next_hop.port.is_none() && !is_known_host {
            let services = self.services(host)?;
            if !self.missing.is_empty() {
                return Ok(Vec::new());
            }
            // A server that is said to be there and is not has no other way in (RFC 3263 section 4.2).
            if !services.is_empty() {
                return Ok(self.addresses_of_services(services, rng));
            }
        }
        // No service is known: the host itself.
        let transport = self.default_transport().ok_or_else(no_transport)?;
        let port = self.next_hop.port.unwrap_or_else(|| transport.default_port());
        Ok(self.addresses(host, transport, port))
    }

    /// The services of a domain in the order of preference. Empty when it says nothing about any.
    fn services(&mut self, host: &Arc<str>) -> Result<Vec<Service>, Failure> {
        if let Some(transport) = self.next_hop.transport {
            let name = service_name(host, transport);
            return Ok(self.service(&name, transport).into_iter().collect());
        }
        let naptr = self.ask(host, Kind::Naptr);
        let Some(naptr) = naptr else { return Ok(Vec::new()) };
        let mut offered: Vec<_> = naptr.services().take(self.config.limits.records_max).collect();
        offered.sort_by_key(|naptr| (naptr.order, naptr.preference));
        let usable = offered
            .iter()
            .filter(|naptr| naptr.flags.eq_ignore_ascii_case("s"));
        let usable = usable.filter_map(|naptr| {
            let transport = transport_of(&naptr.service).filter(|&transport| self.may_use(transport))?;
            Some((canonical(&naptr.replacement)?, transport))
        });
        let usable: Vec<_> = usable.take(self.config.limits.services_max).collect();
        let names: Vec<_> = if usable.is_empty() {
            let transports = self.config.transports.iter().copied();
            let transports = transports.filter(|&transport| self.may_use(transport));
            transports
                .map(|transport| (Arc::from(service_name(host, transport)), transport))
                .collect()
        } else {
            usable
        };
        if names.is_empty() {
            return Err(Failure::NoTransport(Arc::clone(host)));
        }
        Ok(names
            .iter()
            .filter_map(|(name, transport)| self.service(name, *transport))
            .collect())
    }

    /// The servers of one service. `None` when there is no such service, or it is not known yet.
    fn service(&mut self, name: &str, transport: Transport) -> Option<Service> {
        let answer = self.ask(name, Kind::Srv)?;
        let servers: Vec<Srv> = answer
            .servers()
            .take(self.config.limits.records_max)
            .cloned()
            .collect();
        (!servers.is_empty()).then_some(Service { transport, servers })
    }

    fn addresses_of_services(&mut self, services: Vec<Service>, rng: &mut impl Rng) -> Vec<Candidate> {
        let mut found = Vec::new();
        let mut hosts = 0;
        for Service { transport, servers } in services {
            for server in in_order(servers, rng) {
                // `.` says that the service is decidedly not there (RFC 2782).
                let Some(target) = canonical(&server.target) else {
                    continue;
                };
                hosts += 1;
                if hosts > self.config.limits.candidates_max {
                    return found;
                }
                found.extend(self.addresses(&target, transport, server.port));
            }
        }
        found
    }

    /// The addresses of a host: IPv6 and IPv4 by turns, IPv6 first (RFC 6724 section 2.1, RFC 7984 section 4).
    fn addresses(&mut self, host: &str, transport: Transport, port: u16) -> Vec<Candidate> {
        let most = self.config.limits.records_max;
        let (six, four): (Vec<_>, Vec<_>) = match self.config.hosts.get(host) {
            Some(known) => known.iter().copied().take(most).partition(IpAddr::is_ipv6),
            None => {
                let (six, four) = (self.ask(host, Kind::Aaaa), self.ask(host, Kind::A));
                let of = |answer: Option<Arc<Answer>>| -> Vec<_> {
                    answer.map_or_else(Vec::new, |answer| answer.addresses().take(most).collect())
                };
                (of(six), of(four))
            }
        };
        by_turns(six, four)
            .map(|ip| self.next_hop.candidate(transport, SocketAddr::new(ip, port)))
            .collect()
    }

    /// What is known about a name; notes what is not.
    fn ask(&mut self, name: &str, kind: Kind) -> Option<Arc<Answer>> {
        let question = Question {
            name: name.into(),
            kind,
        };
        let answer = self.known.answer(&question);
        match answer.as_deref() {
            None if !self.missing.contains(&question) => self.missing.push(question),
            Some(Answer::Failed) => self.has_failed = true,
            None | Some(Answer::Records { .. } | Answer::Nothing { .. }) => {}
        }
        answer
    }

    fn speaks(&self, transport: Transport) -> bool {
        self.config.transports.contains(&transport)
    }

    fn may_use(&self, transport: Transport) -> bool {
        self.speaks(transport) && (transport.is_secure() || !self.next_hop.secure)
    }

    /// The transport that is meant when nothing says one: UDP, or TLS where it must be secure (RFC 3263 section 4.1). When
    /// UDP is not spoken here, the first that is.
    fn default_transport(&self) -> Option<Transport> {
        let meant = self.next_hop.transport_or_default();
        let mut others = self.config.transports.iter().copied();
        self.speaks(meant)
            .then_some(meant)
            .or_else(|| others.find(|&transport| self.may_use(transport)))
    }
}

/// The name of a service's SRV records (RFC 3263 section 4.1).
fn service_name(host: &str, transport: Transport) -> String {
    match transport {
        Transport::Udp => format!("_sip._udp.{host}"),
        Transport::Tls => format!("_sips._tcp.{host}"),
        _ => format!("_sip._tcp.{host}"),
    }
}

/// The transport that a NAPTR service field names (RFC 3263 section 4.1).
fn transport_of(service: &str) -> Option<Transport> {
    [
        ("SIP+D2U", Transport::Udp),
        ("SIP+D2T", Transport::Tcp),
        ("SIPS+D2T", Transport::Tls),
    ]
    .into_iter()
    .find(|(name, _)| service.eq_ignore_ascii_case(name))
    .map(|(_, transport)| transport)
}

/// Servers by priority and, within one, at random by weight (RFC 2782).
pub(crate) fn in_order(mut servers: Vec<Srv>, rng: &mut impl Rng) -> Vec<Srv> {
    // Those of weight 0 first: then they have a very small chance of being chosen early.
    servers.sort_by_key(|server| (server.priority, server.weight));
    let mut ordered = Vec::with_capacity(servers.len());
    while !servers.is_empty() {
        let same = servers
            .iter()
            .take_while(|server| server.priority == servers[0].priority)
            .count();
        let sum: u32 = servers[..same]
            .iter()
            .map(|server| u32::from(server.weight))
            .sum();
        let drawn = (u64::from(rng.next_u32()) * (u64::from(sum) + 1)) >> 32;
        let mut running = 0;
        let chosen = servers[..same].iter().position(|server| {
            running += u64::from(server.weight);
            running >= drawn
        });
        // The last running sum is the whole, so one is always chosen.
        ordered.push(servers.remove(chosen.unwrap_or_default()));
    }
    ordered
}

fn by_turns<T>(first: Vec<T>, second: Vec<T>) -> impl Iterator<Item = T> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut is_second = true;
    std::iter::from_fn(move || {
        is_second = !is_second;
        if is_second {
            second.next().or_else(|| first.next())
        } else {
            first.next().or_else(|| second.next())
        }
    })
}
