//! Where frames for a receiver go: by which interface, and to which hardware address.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

use crate::flow::Route;
use crate::netlink::{Changed, Link, Mac, Netlink};

/// The head of frames for a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextHop {
    /// The interface that they leave by.
    pub ifindex: u32,
    /// That interface's hardware address.
    pub from: Mac,
    /// The hardware address of the receiver, or of the router towards it.
    pub to: Mac,
    /// Octets that a packet may have, from its IP header.
    pub mtu: usize,
}

/// Finds next hops, in the network namespace where it was opened, and says when they may have changed.
#[derive(Debug)]
pub struct NextHops {
    netlink: Netlink,
    links: Option<HashMap<u32, Link>>,
    /// Routes that were asked for since they last changed. `None`: there is none that frames can take.
    routes: HashMap<(IpAddr, IpAddr), Option<Route>>,
    /// What was said of neighbours.
    neighbours: HashMap<(u32, IpAddr), Option<Mac>>,
    /// Entries of each table.
    max: usize,
}

impl NextHops {
    /// Keeps so many routes in mind at most.
    ///
    /// # Errors
    /// The system's, when there is no netlink.
    pub fn open(max: usize) -> io::Result<Self> {
        Ok(Self {
            netlink: Netlink::open_with_neighbours()?,
            links: None,
            routes: HashMap::new(),
            neighbours: HashMap::new(),
            max: max.max(1),
        })
    }

    /// Where frames from one of our addresses to a receiver go. `None`: frames do not go there, as far as is known now. The
    /// receiver is on this host, there is no route, the interface has no Ethernet, or the kernel has yet to find the
    /// neighbour; a packet that takes its way through the kernel makes it look.
    pub fn find(&mut self, from: IpAddr, to: IpAddr) -> Option<NextHop> {
        let route = self.route(from, to)?;
        let mac = self
            .netlink
            .neighbour(route.ifindex, route.next_hop)
            .ok()
            .flatten();
        if self.neighbours.len() >= self.max {
            self.neighbours.clear();
        }
        self.neighbours.insert((route.ifindex, route.next_hop), mac);
        let link = self.links()?.get(&route.ifindex)?;
        Some(NextHop {
            ifindex: route.ifindex,
            from: link.address?,
            to: mac?,
            mtu: route.mtu.into(),
        })
    }

    /// Whether what [`find`](Self::find) has said may be other now.
    pub fn have_changed(&mut self) -> bool {
        let Self {
            netlink,
            links,
            routes,
            neighbours,
            ..
        } = self;
        let mut changed = false;
        netlink.changes(|what| match what {
            Changed::Routes => {
                changed = true;
                *links = None;
                routes.clear();
            }
            Changed::Neighbour(neighbour) => {
                let known = neighbours.get(&(neighbour.ifindex, neighbour.ip));
                changed |= known.is_some_and(|mac| *mac != neighbour.mac);
            }
        });
        changed
    }

    /// Has routes asked for anew.
    pub fn forget_routes(&mut self) {
        self.routes.clear();
    }

    fn route(&mut self, from: IpAddr, to: IpAddr) -> Option<Route> {
        if let Some(known) = self.routes.get(&(from, to)) {
            return *known;
        }
        if self.routes.len() >= self.max {
            self.routes.clear();
        }
        let route = self.netlink.route(from, to).ok().filter(|route| !route.is_local);
        self.routes.insert((from, to), route);
        route
    }

    fn links(&mut self) -> Option<&HashMap<u32, Link>> {
        if self.links.is_none() {
            self.links = Some(self.netlink.links().ok()?.into_iter().collect());
        }
        self.links.as_ref()
    }
}
