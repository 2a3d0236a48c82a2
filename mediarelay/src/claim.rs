//! What relays of one host must know of each other: who has which media ports, and who steers them.
//!
//! Ports that are steered are bound by nobody, so the system does not keep another relay from using them at the same time. Each
//! relay therefore holds names of its ports in the one place that every process of a network namespace can read and that a process
//! cannot leave anything in: abstract Unix addresses (`unix(7)`).

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicU32, Ordering};

/// What all names begin with.
const PREFIX: &str = "viaduct/ports";

/// Whether somebody steers ports or binds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Bound,
    Steered,
}

/// The media ports of one relay at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortClaim {
    holder: String,
    how: Use,
    address: IpAddr,
    ports: RangeInclusive<u16>,
}

impl fmt::Display for PortClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holder = self.holder.split('.').next().unwrap_or_default();
        let (first, last) = (self.ports.start(), self.ports.end());
        write!(
            f,
            "the relay of process {holder} has ports {first} to {last} of {}",
            self.address
        )
    }
}

impl PortClaim {
    /// `None`: the text is no claim's name.
    fn parse(name: &str) -> Option<Self> {
        let mut words = name.strip_prefix(PREFIX)?.strip_prefix('/')?.split('/');
        let mut word = || words.next();
        let holder = word()?.to_owned();
        let how = match word()? {
            "bound" => Use::Bound,
            "steered" => Use::Steered,
            _ => return None,
        };
        let address = word()?.parse().ok()?;
        let (first, last) = word()?.split_once('-')?;
        let ports = first.parse().ok()?..=last.parse().ok()?;
        Some(Self {
            holder,
            how,
            address,
            ports,
        })
    }

    fn name(&self) -> String {
        let how = match self.how {
            Use::Bound => "bound",
            Use::Steered => "steered",
        };
        let (first, last) = (self.ports.start(), self.ports.end());
        format!("{PREFIX}/{}/{how}/{}/{first}-{last}", self.holder, self.address)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.address == other.address
            && self.ports.start() <= other.ports.end()
            && other.ports.start() <= self.ports.end()
    }
}

/// The claims of one relay.
#[derive(Debug)]
pub(crate) struct Claims {
    claims: Vec<PortClaim>,
    held: Vec<UnixDatagram>,
}

impl Claims {
    /// Claims that nobody hears of yet.
    pub(crate) fn new<'a>(how: Use, ports: impl Iterator<Item = (IpAddr, &'a RangeInclusive<u16>)>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut claims: Vec<PortClaim> = Vec::new();
        for (address, ports) in ports {
            let claim = PortClaim {
                holder: format!("{}.{number}", std::process::id()),
                how,
                address,
                ports: ports.clone(),
            };
            // Interfaces may have an address and its ports in common.
            if !claims.contains(&claim) {
                claims.push(claim);
            }
        }
        Self {
            claims,
            held: Vec::new(),
        }
    }

    /// Tells others, as long as this lives.
    pub(crate) fn hold(&mut self) -> io::Result<()> {
        let hold = |claim: &PortClaim| {
            let name = SocketAddr::from_abstract_name(claim.name())?;
            UnixDatagram::bind_addr(&name)
        };
        self.held = self.claims.iter().map(hold).collect::<io::Result<_>>()?;
        Ok(())
    }

    /// Somebody else who uses one of these ports, in one of these ways. Of two that begin at once and ask when they hold, at
    /// least one sees the other.
    pub(crate) fn rival(&self, hows: &[Use]) -> Option<PortClaim> {
        let table = fs::read_to_string("/proc/thread-self/net/unix").unwrap_or_default();
        rival(&table, &self.claims, hows)
    }
}

fn rival(table: &str, own: &[PortClaim], hows: &[Use]) -> Option<PortClaim> {
    let names = table
        .lines()
        .filter_map(|line| line.split_whitespace().next_back()?.strip_prefix('@'));
    let mut claims = names.filter_map(PortClaim::parse);
    claims.find(|claim| {
        let is_other = own.iter().all(|of| of.holder != claim.holder);
        is_other && hows.contains(&claim.how) && own.iter().any(|of| of.overlaps(claim))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(holder: &str, how: Use, address: &str, ports: RangeInclusive<u16>) -> PortClaim {
        PortClaim {
            holder: holder.to_owned(),
            how,
            address: address.parse().unwrap(),
            ports,
        }
    }

    #[test]
    fn a_claim_is_read_as_it_is_written() {
        for claim in [
            claim("7.0", Use::Bound, "192.0.2.1", 30_000..=39_999),
            claim("7.1", Use::Steered, "2001:db8::1", 1..=65_535),
        ] {
            assert_eq!(PortClaim::parse(&claim.name()), Some(claim));
        }
        for other in [
            "",
            "viaduct/ports",
            "viaduct/ports/7.0/lost/::1/1-2",
            "viaduct/ports/7.0/bound/::1/1",
            "/tmp/x",
        ] {
            assert_eq!(PortClaim::parse(other), None);
        }
    }

    #[test]
    fn a_rival_is_who_has_ports_in_common() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0000: 00000002 00000000 00010000 0001 01 7 /run/x\n\
                     0000: 00000002 00000000 00000000 0002 01 8 @viaduct/ports/9.0/bound/192.0.2.1/30000-39999\n\
                     0000: 00000002 00000000 00000000 0002 01 9\n";
        let both = [Use::Bound, Use::Steered];
        let rival = |own: PortClaim, hows: &[Use]| rival(table, &[own], hows);
        let own = claim("8.0", Use::Bound, "192.0.2.1", 39_999..=40_010);
        let found = rival(own.clone(), &both).unwrap();
        assert_eq!(
            found.to_string(),
            "the relay of process 9 has ports 30000 to 39999 of 192.0.2.1"
        );
        assert_eq!(rival(own, &[Use::Steered]), None);
        assert_eq!(
            rival(claim("8.0", Use::Bound, "192.0.2.1", 40_000..=40_010), &both),
            None
        );
        assert_eq!(
            rival(claim("8.0", Use::Bound, "192.0.2.2", 39_999..=40_010), &both),
            None
        );
        assert_eq!(
            rival(claim("9.0", Use::Steered, "192.0.2.1", 39_999..=40_010), &both),
            None
        );
    }

    #[test]
    fn relays_of_one_host_see_each_other_while_they_live() {
        let ports = 65_534..=65_535;
        let here = || std::iter::once((IpAddr::from([127, 9, 9, 9]), &ports));
        let [mut first, mut second] = [Use::Steered, Use::Bound].map(|how| Claims::new(how, here()));
        assert_eq!(second.rival(&[Use::Bound, Use::Steered]), None);
        first.hold().unwrap();
        second.hold().unwrap();
        assert_eq!(second.rival(&[Use::Steered]).unwrap().how, Use::Steered);
        assert_eq!(first.rival(&[Use::Bound]).unwrap().how, Use::Bound);
        drop(first);
        assert_eq!(second.rival(&[Use::Bound, Use::Steered]), None);
    }
}
