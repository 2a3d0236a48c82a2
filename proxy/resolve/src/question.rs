//! What is asked of DNS, and what it answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// One question to DNS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// The name, in lower case and without a dot at the end.
    pub name: Arc<str>,
    /// What is asked about it.
    pub kind: Kind,
}

/// What is asked about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Services by transport (RFC 3403).
    Naptr,
    /// Servers of a service (RFC 2782).
    Srv,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There are records. An alias (CNAME) has been followed by whoever asked.
    Records {
        /// Those of the kind that was asked for; others are left out when they are read.
        records: Vec<Record>,
        /// How long they may be kept.
        ttl: Duration,
    },
    /// There is no such name, or no such record of it.
    Nothing {
        /// How long that may be kept, if the server says.
        ttl: Option<Duration>,
    },
    /// No server answered, or none could tell.
    Failed,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A service of a domain.
    Naptr(Naptr),
    /// A server of a service.
    Srv(Srv),
}

/// A service of a domain (RFC 3403 section 4.1, RFC 3263 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naptr {
    /// Lower ones first.
    pub order: u16,
    /// Lower ones first within an order.
    pub preference: u16,
    /// `s` when the replacement is the name of SRV records; any case.
    pub flags: String,
    /// `SIP+D2U` and the like, any case.
    pub service: String,
    /// The name to go on with.
    pub replacement: String,
}

/// A server of a service (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// Lower ones first.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its name; empty or `.` when the service is decidedly not there.
    pub target: String,
}

impl Answer {
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.records().iter().filter_map(|record| match record {
            Record::A(ip) => Some(IpAddr::V4(*ip)),
            Record::Aaaa(ip) => Some(IpAddr::V6(*ip)),
            Record::Naptr(_) | Record::Srv(_) => None,
        })
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &Naptr> {
        self.records().iter().filter_map(|record| match record {
            Record::Naptr(naptr) => Some(naptr),
            Record::A(_) | Record::Aaaa(_) | Record::Srv(_) => None,
        })
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Srv> {
        self.records().iter().filter_map(|record| match record {
            Record::Srv(srv) => Some(srv),
            Record::A(_) | Record::Aaaa(_) | Record::Naptr(_) => None,
        })
    }

    fn records(&self) -> &[Record] {
        match self {
            Self::Records { records, .. } => records,
            Self::Nothing { .. } | Self::Failed => &[],
        }
    }
}

/// A name from DNS as questions carry it: lower case, no dot at the end. `None` when nothing is left, or when it is no
/// host name that anybody could be asked about.
pub(crate) fn canonical(name: &str) -> Option<Arc<str>> {
    const NAME_OCTETS_MAX: usize = 253;
    let name = name.trim_end_matches('.');
    let is_name =
        !name.is_empty() && name.len() <= NAME_OCTETS_MAX && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| name.to_ascii_lowercase().into())
}
