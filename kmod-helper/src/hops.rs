//! The neighbours to whom the kernel may send packets of flows without its stack.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::ops::Bound;

use aya::programs::{SchedClassifier, TcAttachType};

use crate::netlink::{Changed, Link, Mac, Netlink};
use crate::xdp_features::XdpFeatures;

/// Interfaces that are looked at again at a time, although nothing was said of them: whoever has hundreds of containers is not to
/// pay for all of them each second.
const INTERFACES_A_LOOK: usize = 32;

/// The queue of interfaces that send at once.
const NO_QUEUE: &str = "noqueue";

/// A neighbour: its interface and its address.
pub(crate) type Neighbour = (u32, IpAddr);

/// How frames to a neighbour begin, and how they may go there: in one way at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its hardware address.
    pub(crate) to: Mac,
    /// That of the interface.
    pub(crate) from: Mac,
    /// As frames of others.
    pub(crate) as_frames: bool,
    /// To the other end of the pair that the interface is of, which is the neighbour.
    pub(crate) across: bool,
}

/// An interface by which packets may leave without the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interface {
    address: Mac,
    /// It sends frames of others.
    sends_frames: bool,
    /// The hardware address of its other end, in another network namespace, if nothing looks at what goes there.
    other_end: Option<Mac>,
}

/// Follows neighbours that were asked for, in the network namespace where it was opened.
#[derive(Debug)]
pub(crate) struct Hops {
    netlink: Netlink,
    /// Where frames are forwarded.
    features: Option<XdpFeatures>,
    interfaces: BTreeMap<u32, Option<Interface>>,
    /// The interface that was looked at last.
    looked_at: u32,
    neighbours: HashMap<Neighbour, Option<Head>>,
    /// Neighbours at a time.
    max: usize,
}

impl Hops {
    /// Follows so many neighbours at most; to others packets go by the stack.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(max: usize) -> io::Result<Self> {
        Ok(Self {
            netlink: Netlink::open_with_neighbours()?,
            features: None,
            interfaces: BTreeMap::new(),
            looked_at: 0,
            neighbours: HashMap::new(),
            max,
        })
    }

    /// Says from here on where frames may be sent, too.
    ///
    /// # Errors
    /// The system's, and where the kernel does not tell which interfaces send frames.
    pub(crate) fn allow_frames(&mut self) -> io::Result<()> {
        if self.features.is_none() {
            self.features = Some(XdpFeatures::open()?);
            // What was found without is found anew.
            self.interfaces.clear();
            self.neighbours.clear();
        }
        Ok(())
    }

    /// Whether frames may be sent.
    pub(crate) fn allows_frames(&self) -> bool {
        self.features.is_some()
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
        let gone = gone.map(|(neighbour, _)| neighbour).collect();
        let in_use: HashSet<u32> = self.neighbours.keys().map(|(ifindex, _)| *ifindex).collect();
        self.interfaces.retain(|ifindex, _| in_use.contains(ifindex));
        gone
    }

    /// What has changed since it was last asked. `None` of a neighbour: packets go there by the stack alone.
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
        let interface = match self.interfaces.get(&ifindex) {
            Some(known) => *known,
            None => {
                let found = self.interface(ifindex);
                self.interfaces.insert(ifindex, found);
                found
            }
        }?;
        let to = self.netlink.neighbour(ifindex, ip).ok().flatten()?;
        let head = Head {
            to,
            from: interface.address,
            as_frames: interface.sends_frames,
            across: interface.other_end == Some(to),
        };
        (head.as_frames || head.across).then_some(head)
    }

    /// An interface, if packets may leave by it without the stack.
    fn interface(&mut self, ifindex: u32) -> Option<Interface> {
        let link = self.netlink.link(ifindex).ok()??;
        let interface = Interface {
            address: link.address.filter(|_| link.is_up)?,
            sends_frames: self
                .features
                .as_mut()
                .is_some_and(|features| features.sends_frames(ifindex)),
            other_end: self.other_end(&link),
        };
        (interface.sends_frames || interface.other_end.is_some()).then_some(interface)
    }

    /// The hardware address of a link's other end, if what is put there passes nothing that an operator has set up at this one.
    fn other_end(&mut self, link: &Link) -> Option<Mac> {
        let place = link.other_end.filter(|_| link.queue == NO_QUEUE)?;
        // It says what there is, or refuses to where it may not say, which is as good as something.
        let programs = SchedClassifier::query_tcx(&link.name, TcAttachType::Egress);
        let is_passed_by = programs.is_ok_and(|(_, programs)| programs.is_empty());
        if !is_passed_by || self.netlink.may_have_filters(link.ifindex) {
            return None;
        }
        let end = self.netlink.link_elsewhere(place).ok()??;
        end.address.filter(|_| end.is_up)
    }

    /// Looks at interfaces again: at some of them, or, if anything was said of interfaces, at all.
    fn interfaces_differ(&mut self, were_changed: bool) -> bool {
        let count = if were_changed {
            self.interfaces.len()
        } else {
            INTERFACES_A_LOOK
        };
        let after = self
            .interfaces
            .range((Bound::Excluded(self.looked_at), Bound::Unbounded));
        let in_turn = after.chain(self.interfaces.range(..=self.looked_at));
        let due: Vec<u32> = in_turn.map(|(ifindex, _)| *ifindex).take(count).collect();
        let mut differ = false;
        for ifindex in due {
            let found = self.interface(ifindex);
            differ |= self.interfaces.insert(ifindex, found) != Some(found);
            self.looked_at = ifindex;
        }
        differ
    }
}
