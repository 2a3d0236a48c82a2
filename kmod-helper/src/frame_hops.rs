//! The neighbours to whom the kernel may send the frames of flows without its stack.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;

use crate::netlink::{Changed, Mac, Netlink};
use crate::xdp_features::XdpFeatures;

/// A neighbour: its interface and its address.
pub(crate) type Neighbour = (u32, IpAddr);

/// How frames to a neighbour begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its hardware address.
    pub(crate) to: Mac,
    /// That of the interface.
    pub(crate) from: Mac,
}

/// Follows neighbours that were asked for, in the network namespace where it was opened.
#[derive(Debug)]
pub(crate) struct FrameHops {
    netlink: Netlink,
    features: XdpFeatures,
    /// The hardware addresses of interfaces, as far as they send frames of others.
    interfaces: BTreeMap<u32, Option<Mac>>,
    neighbours: HashMap<Neighbour, Option<Head>>,
    /// Neighbours at a time.
    max: usize,
}

impl FrameHops {
    /// Follows so many neighbours at most; to others no frames are sent.
    ///
    /// # Errors
    /// The system's, and where the kernel does not tell which interfaces send frames.
    pub(crate) fn open(max: usize) -> io::Result<Self> {
        Ok(Self {
            netlink: Netlink::open_with_neighbours()?,
            features: XdpFeatures::open()?,
            interfaces: BTreeMap::new(),
            neighbours: HashMap::new(),
            max,
        })
    }

    /// Follows a neighbour from here on. Gives what is to be noted of it, if it is new.
    pub(crate) fn follow(&mut self, neighbour: Neighbour) -> Option<Head> {
        if self.neighbours.contains_key(&neighbour) || self.neighbours.len() >= self.max {
            return None;
        }
        let head = self.find(neighbour);
        self.neighbours.insert(neighbour, head);
        head
    }

    /// Forgets all neighbours but these. Gives those that it had.
    pub(crate) fn retain(&mut self, is_of_use: impl Fn(&Neighbour) -> bool) -> Vec<Neighbour> {
        let gone = self.neighbours.extract_if(|neighbour, _| !is_of_use(neighbour));
        gone.map(|(neighbour, _)| neighbour).collect()
    }

    /// What has changed since it was last asked. `None` of a neighbour: no frames go there any more.
    pub(crate) fn look(&mut self) -> Vec<(Neighbour, Option<Head>)> {
        let mut interfaces_changed = false;
        let mut to_find = Vec::new();
        let neighbours = &self.neighbours;
        self.netlink.changes(|what| match what {
            Changed::Routes => interfaces_changed = true,
            Changed::Neighbour(of) if neighbours.contains_key(&(of.ifindex, of.ip)) => {
                to_find.push((of.ifindex, of.ip));
            }
            Changed::Neighbour(_) => {}
        });
        if self.interfaces_differ(interfaces_changed) {
            to_find = self.neighbours.keys().copied().collect();
        }
        let mut changes = Vec::new();
        for neighbour in to_find {
            let head = self.find(neighbour);
            if self.neighbours.insert(neighbour, head) != Some(head) {
                changes.push((neighbour, head));
            }
        }
        changes
    }

    fn find(&mut self, (ifindex, ip): Neighbour) -> Option<Head> {
        let from = match self.interfaces.get(&ifindex) {
            Some(known) => *known,
            None => {
                let address = self.address(ifindex);
                self.interfaces.insert(ifindex, address);
                address
            }
        };
        let to = self.netlink.neighbour(ifindex, ip).ok().flatten();
        Some(Head { to: to?, from: from? })
    }

    /// The hardware address of an interface that sends frames of others.
    fn address(&mut self, ifindex: u32) -> Option<Mac> {
        let link = self.netlink.link(ifindex).ok()??;
        link.address
            .filter(|_| link.is_up && self.features.sends_frames(ifindex))
    }

    /// Looks at the interfaces again: whether they send frames, and, if anything was said of interfaces, their addresses.
    fn interfaces_differ(&mut self, were_changed: bool) -> bool {
        let known: Vec<(u32, Option<Mac>)> = self
            .interfaces
            .iter()
            .map(|(ifindex, of)| (*ifindex, *of))
            .collect();
        let mut differ = false;
        for (ifindex, before) in known {
            if !were_changed && self.features.sends_frames(ifindex) == before.is_some() {
                continue;
            }
            let address = self.address(ifindex);
            differ |= address != before;
            self.interfaces.insert(ifindex, address);
        }
        differ
    }
}
