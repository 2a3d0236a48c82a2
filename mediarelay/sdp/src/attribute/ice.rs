//! What ICE needs from SDP (RFC 8839): credentials, options, candidates.

use std::fmt;
use std::net::IpAddr;

use super::{TypedAttribute, number, token, word};
use crate::error::Reason;

/// User fragment and password of one side. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// User fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: String,
}

impl IceCredentials {
    /// True when both have the length RFC 8839 section 5.4 asks for: 24 and 128 bits of randomness. Browsers
    /// refuse shorter passwords; some gateways send them.
    pub fn is_strong(&self) -> bool {
        self.ufrag.len() >= 4 && self.pwd.len() >= 22
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

/// `a=ice-ufrag:` at most 256 characters, of which RFC 8839 section 5.4 asks for 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceUfrag(pub String);

/// `a=ice-pwd:` at most 256 characters, of which RFC 8839 section 5.4 asks for 22. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct IcePwd(pub String);

impl fmt::Debug for IcePwd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IcePwd(..)")
    }
}

impl TypedAttribute for IceUfrag {
    const NAME: &'static str = "ice-ufrag";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        Ok(Self(secret(value, "ice-ufrag")?))
    }
}

impl fmt::Display for IceUfrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TypedAttribute for IcePwd {
    const NAME: &'static str = "ice-pwd";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        Ok(Self(secret(value, "ice-pwd")?))
    }
}

impl fmt::Display for IcePwd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The RFC allows letters, digits, `+` and `/`; agents in the field also use `=`, `-` and `_`. Any visible
/// character is taken, because the text is only ever compared and used as a key. Too short ones are left to
/// [`IceCredentials::is_strong`].
fn secret(value: &str, name: &'static str) -> Result<String, Reason> {
    if !value.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(Reason::Malformed(name));
    }
    if value.is_empty() {
        return Err(Reason::Missing(name));
    }
    if value.len() > 256 {
        return Err(Reason::OutOfRange(name));
    }
    Ok(value.to_owned())
}

/// `a=ice-options:trickle ice2` (RFC 8839 section 5.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IceOptions(pub Vec<String>);

impl IceOptions {
    /// True when `option` is listed.
    pub fn has(&self, option: &str) -> bool {
        self.0.iter().any(|listed| listed == option)
    }

    /// True when the sender may send more candidates later (RFC 8840).
    pub fn trickle(&self) -> bool {
        self.has("trickle")
    }
}

impl TypedAttribute for IceOptions {
    const NAME: &'static str = "ice-options";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        Ok(Self(value.split_ascii_whitespace().map(str::to_owned).collect()))
    }
}

impl fmt::Display for IceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Transport of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `UDP`
    Udp,
    /// `TCP` (RFC 6544)
    Tcp,
    /// Another, as written.
    Other(String),
}

/// Type of a candidate (RFC 8839 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CandidateType {
    /// `host`
    Host,
    /// `srflx`
    ServerReflexive,
    /// `prflx`
    PeerReflexive,
    /// `relay`
    Relayed,
    /// Another, as written.
    Other(String),
}

/// Role of a TCP candidate (RFC 6544 section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpType {
    /// `active`
    Active,
    /// `passive`
    Passive,
    /// `so`: simultaneous open
    SimultaneousOpen,
}

/// Address of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CandidateAddress {
    /// An IP address.
    Ip(IpAddr),
    /// A multicast DNS name (`….local`), which only hosts of the sender's network can resolve.
    Mdns(String),
    /// Another domain name.
    Name(String),
}

impl CandidateAddress {
    fn parse(text: &str) -> Result<Self, Reason> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let name = token(text, "connection address")?;
        let is_local = name.to_ascii_lowercase().ends_with(".local");
        Ok(if is_local {
            Self::Mdns(name)
        } else {
            Self::Name(name)
        })
    }

    /// The IP address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Mdns(_) | Self::Name(_) => None,
        }
    }
}

/// `a=candidate:` (RFC 8839 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Foundation: equal for candidates of one origin. At most 32 characters.
    pub foundation: String,
    /// Component: 1 for RTP (and muxed RTCP), 2 for RTCP; at most 256.
    pub component: u16,
    /// Transport.
    pub transport: Transport,
    /// Priority.
    pub priority: u32,
    /// Address.
    pub address: CandidateAddress,
    /// Port.
    pub port: u16,
    /// Type.
    pub kind: CandidateType,
    /// `raddr` and `rport`: the base of a candidate that is not a host candidate. Browsers blank it.
    pub related: Option<(CandidateAddress, u16)>,
    /// `tcptype`
    pub tcp_type: Option<TcpType>,
    /// `generation`, `ufrag`, `network-id` and other pairs in their order.
    pub extensions: Vec<(String, String)>,
}

impl Candidate {
    /// A host candidate over UDP.
    pub fn host(foundation: &str, component: u16, priority: u32, address: IpAddr, port: u16) -> Self {
        Self {
            foundation: foundation.to_owned(),
            component,
            transport: Transport::Udp,
            priority,
            address: CandidateAddress::Ip(address),
            port,
            kind: CandidateType::Host,
            related: None,
            tcp_type: None,
            extensions: Vec::new(),
        }
    }

    /// True when checks can be sent to it: UDP, and an address rather than a name.
    pub fn is_reachable(&self) -> bool {
        self.transport == Transport::Udp && self.address.ip().is_some() && self.port != 0
    }

    /// The value of an extension.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl TypedAttribute for Candidate {
    const NAME: &'static str = "candidate";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let mut fields = value.split_ascii_whitespace();
        let mut next = |name| fields.next().ok_or(Reason::Missing(name));
        let foundation = token(next("foundation")?, "foundation")?;
        if foundation.len() > 32 {
            return Err(Reason::OutOfRange("foundation"));
        }
        let component = number(next("component")?, "component")?;
        if !(1..=256).contains(&component) {
            return Err(Reason::OutOfRange("component"));
        }
        let transport = Transport::parse(next("transport")?);
        let priority = number(next("priority")?, "priority")?;
        let address = CandidateAddress::parse(next("connection address")?)?;
        let port = number(next("port")?, "port")?;
        if next("typ")? != "typ" {
            return Err(Reason::Malformed("typ"));
        }
        let kind = CandidateType::parse(next("candidate type")?);
        let mut candidate = Self {
            foundation,
            component,
            transport,
            priority,
            address,
            port,
            kind,
            related: None,
            tcp_type: None,
            extensions: Vec::new(),
        };
        candidate.parse_pairs(fields)?;
        Ok(candidate)
    }
}

impl Candidate {
    /// What follows the type: pairs of name and value.
    fn parse_pairs<'t>(&mut self, mut fields: impl Iterator<Item = &'t str>) -> Result<(), Reason> {
        let mut related_address = None;
        while let Some(name) = fields.next() {
            let value = fields.next().ok_or(Reason::Missing("extension value"))?;
            match name {
                "raddr" if related_address.is_none() => {
                    related_address = Some(CandidateAddress::parse(value)?);
                }
                "rport" if self.related.is_none() => {
                    let address = related_address.clone().ok_or(Reason::Missing("raddr"))?;
                    self.related = Some((address, number(value, "rport")?));
                }
                "tcptype" if self.tcp_type.is_none() => self.tcp_type = Some(TcpType::parse(value)?),
                "raddr" | "rport" | "tcptype" => return Err(Reason::Malformed("extension")),
                _ => self.extensions.push((name.to_owned(), value.to_owned())),
            }
        }
        if related_address.is_some() && self.related.is_none() {
            return Err(Reason::Missing("rport"));
        }
        Ok(())
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            foundation,
            component,
            transport,
            priority,
            address,
            port,
            kind,
            ..
        } = self;
        write!(
            f,
            "{foundation} {component} {transport} {priority} {address} {port} typ {kind}"
        )?;
        if let Some((address, port)) = &self.related {
            write!(f, " raddr {address} rport {port}")?;
        }
        if let Some(tcp_type) = self.tcp_type {
            write!(f, " tcptype {tcp_type}")?;
        }
        self.extensions
            .iter()
            .try_for_each(|(name, value)| write!(f, " {name} {value}"))
    }
}

/// `a=remote-candidates:` (RFC 8839 section 5.2): what the controlling agent has chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCandidates(pub Vec<RemoteCandidate>);

/// One entry of [`RemoteCandidates`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCandidate {
    /// Component.
    pub component: u16,
    /// Address.
    pub address: CandidateAddress,
    /// Port.
    pub port: u16,
}

impl TypedAttribute for RemoteCandidates {
    const NAME: &'static str = "remote-candidates";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let mut candidates = Vec::new();
        let mut rest = value;
        while !rest.is_empty() {
            let (component, after) = word(rest);
            let (address, after) = word(after);
            let (port, after) = word(after);
            candidates.push(RemoteCandidate {
                component: number(component, "component")?,
                address: CandidateAddress::parse(address)?,
                port: number(port, "port")?,
            });
            rest = after;
        }
        if candidates.is_empty() {
            Err(Reason::Missing("component"))
        } else {
            Ok(Self(candidates))
        }
    }
}

impl fmt::Display for RemoteCandidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, candidate) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(
                f,
                "{space}{} {} {}",
                candidate.component, candidate.address, candidate.port
            )?;
        }
        Ok(())
    }
}

impl Transport {
    fn parse(text: &str) -> Self {
        if text.eq_ignore_ascii_case("udp") {
            Self::Udp
        } else if text.eq_ignore_ascii_case("tcp") {
            Self::Tcp
        } else {
            Self::Other(text.to_owned())
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Other(text) => text,
        })
    }
}

impl CandidateType {
    fn parse(text: &str) -> Self {
        match text {
            "host" => Self::Host,
            "srflx" => Self::ServerReflexive,
            "prflx" => Self::PeerReflexive,
            "relay" => Self::Relayed,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for CandidateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
            Self::Other(text) => text,
        })
    }
}

impl TcpType {
    fn parse(text: &str) -> Result<Self, Reason> {
        match text {
            "active" => Ok(Self::Active),
            "passive" => Ok(Self::Passive),
            "so" => Ok(Self::SimultaneousOpen),
            _ => Err(Reason::Unknown("tcptype")),
        }
    }
}

impl fmt::Display for TcpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        })
    }
}

impl fmt::Display for CandidateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Mdns(name) | Self::Name(name) => f.write_str(name),
        }
    }
}
