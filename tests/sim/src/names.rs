//! What names lead to in a world without DNS.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use viaduct_resolve::{Candidate, Failure, HopHost, NextHop};
use viaduct_routing::{Reachable, Ticket};
use viaduct_sip::Transport;

/// The names of a world, and what is asked about them.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<String, Vec<(Transport, SocketAddr)>>,
    /// Answers wait until [`World::let_names_answer`](crate::World::let_names_answer).
    pub is_slow: bool,
    /// Questions that wait.
    pub(crate) waiting: Vec<(Ticket, NextHop)>,
    /// Addresses that the proxy called dead.
    pub dead: Vec<(Transport, SocketAddr)>,
}

impl Names {
    /// Lets a name lead to these addresses, in this order.
    pub fn add(&mut self, name: &str, addresses: &[(Transport, SocketAddr)]) {
        self.known.insert(name.to_owned(), addresses.to_vec());
    }

    /// What a resolver would say, reached from `source`.
    pub(crate) fn resolve(&self, next_hop: &NextHop, source: IpAddr) -> Result<Vec<Reachable>, Failure> {
        let reachable = |candidate| Reachable { candidate, source };
        if let Some(direct) = next_hop.direct() {
            return Ok(vec![reachable(direct)]);
        }
        let HopHost::Name(name) = &next_hop.host else {
            unreachable!("a next hop without a name is direct")
        };
        let known = self.known.get(&**name);
        let known = known.ok_or_else(|| Failure::NoAddress(name.clone()))?;
        let candidates = known.iter().map(|&(transport, remote)| Candidate {
            transport,
            remote,
            name: transport.is_secure().then(|| name.clone()),
            is_fixed: next_hop.transport.is_some(),
        });
        Ok(candidates.map(reachable).collect())
    }
}
