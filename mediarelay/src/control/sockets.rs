//! All media ports: their numbers, their addresses, how they are held, and which workers have them.
//!
//! A port of its own belongs to nobody until something is ordered for it, and hears nothing until then. The worker that
//! gets it is the one of its call, so that the legs of a call meet on one thread as a rule. Other workers are told of it
//! when they have something to send through it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Instant;

use foldhash::fast::RandomState;
use viaduct_forward::SocketId;

use super::crew::Crew;
use super::hops::Hops;
use super::steering::SteeredPorts;
use crate::lane::SteeredPort;
use crate::socket::{MediaPort, MediaSocket, Sharing, SocketOptions, overflows};
use crate::worker::Order;

/// See the module.
#[derive(Debug)]
pub(super) struct Sockets {
    /// What ports of their own are set to.
    options: SocketOptions,
    by_local: HashMap<SocketAddr, SocketId, RandomState>,
    entries: Vec<Option<Entry>>,
    /// How many sockets the entries have.
    open: usize,
    /// Numbers to be given again, the one given back longest ago first.
    free: VecDeque<SocketId>,
    /// Ports that are closed as soon as the workers have let go of them, or have been.
    closing: HashMap<SocketAddr, Weak<MediaSocket>, RandomState>,
    /// What steers ports that have no sockets, if it does.
    steering: Option<SteeredPorts>,
    /// Datagrams that were dropped at sockets which steered ports had.
    overflows_before: u64,
}

#[derive(Debug)]
enum Entry {
    /// Every worker has a socket of its own on the address.
    Shared(Vec<Arc<MediaSocket>>),
    Own(Own),
}

impl Entry {
    fn sockets(&self) -> usize {
        match self {
            Self::Shared(sockets) => sockets.len(),
            Self::Own(own) => usize::from(matches!(own.port, MediaPort::Socket(_))),
        }
    }
}

#[derive(Debug)]
struct Own {
    port: MediaPort,
    /// Who reads from it.
    owner: Option<usize>,
    /// Who else sends through it.
    guests: Vec<usize>,
}

/// Whose business an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    One(usize),
    All,
}

impl Target {
    /// The workers, of so many.
    pub(super) fn workers(self, count: usize) -> std::ops::Range<usize> {
        match self {
            Self::One(worker) => worker..worker + 1,
            Self::All => 0..count,
        }
    }
}

/// An address that no socket of ours has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no socket is bound to {0}")]
pub(super) struct NoSocket(pub(super) SocketAddr);

impl Sockets {
    pub(super) fn new(options: SocketOptions, steering: Option<SteeredPorts>) -> Self {
        Self {
            options,
            by_local: HashMap::default(),
            entries: Vec::new(),
            open: 0,
            free: VecDeque::new(),
            closing: HashMap::default(),
            steering,
            overflows_before: 0,
        }
    }

    /// Opens a port of its own, which hears nothing yet.
    pub(super) fn open(&mut self, now: Instant, local: SocketAddr) -> io::Result<()> {
        let steering = self.steering.as_mut();
        let port = if let Some(steering) = steering.filter(|steering| steering.has(local.ip())) {
            steering.see_whether_free(now, local)?;
            MediaPort::Steered(Arc::new(SteeredPort::new(local, self.options.tos)))
        } else {
            let socket = self.bind(local)?;
            socket.close_ears()?;
            MediaPort::Socket(Arc::new(socket))
        };
        let own = Own {
            port,
            owner: None,
            guests: Vec::new(),
        };
        self.enter(local, Entry::Own(own));
        Ok(())
    }

    fn bind(&self, local: SocketAddr) -> io::Result<MediaSocket> {
        MediaSocket::bind(local, Sharing::Alone, &self.options)
    }

    /// Enters a port that all workers share: one socket for each, in their order.
    pub(super) fn share(&mut self, sockets: Vec<Arc<MediaSocket>>, crew: &mut Crew) {
        let Some(local) = sockets.first().map(|socket| socket.local()) else {
            return;
        };
        debug_assert_eq!(sockets.len(), crew.len());
        let id = self.enter(local, Entry::Shared(sockets.clone()));
        for (worker, socket) in sockets.into_iter().enumerate() {
            crew.order(
                worker,
                Order::Open {
                    id,
                    port: MediaPort::Socket(socket),
                    listen: true,
                },
            );
        }
    }

    /// Closes a port. The descriptor is closed when the last worker has let go of it.
    pub(super) fn close(&mut self, local: SocketAddr, crew: &mut Crew) -> Result<(), NoSocket> {
        let id = self.by_local.remove(&local).ok_or(NoSocket(local))?;
        let entry = self.entries[id.0 as usize].take();
        self.free.push_back(id);
        self.open -= entry.as_ref().map_or(0, Entry::sockets);
        let workers = match entry {
            Some(Entry::Own(own)) => {
                match &own.port {
                    _ if own.owner.is_none() => {}
                    MediaPort::Socket(socket) => {
                        self.closing.insert(local, Arc::downgrade(socket));
                    }
                    MediaPort::Steered(port) => {
                        if let Some(steering) = &mut self.steering {
                            steering.take(port);
                        }
                    }
                }
                own.owner.into_iter().chain(own.guests).collect()
            }
            Some(Entry::Shared(sockets)) => (0..sockets.len()).collect(),
            None => Vec::new(),
        };
        for worker in workers {
            crew.order(worker, Order::Close { id });
        }
        Ok(())
    }

    /// Whether a port was closed here and is still open, because a worker has not heard of it.
    pub(super) fn is_closing(&mut self, local: SocketAddr) -> bool {
        let is_open = self
            .closing
            .get(&local)
            .is_some_and(|socket| socket.strong_count() > 0);
        if !is_open {
            self.closing.remove(&local);
        }
        is_open
    }

    /// Whose business an address is. A port that is nobody's yet becomes `favourite`'s.
    pub(super) fn target(
        &mut self,
        local: SocketAddr,
        favourite: usize,
        crew: &mut Crew,
    ) -> Result<Target, NoSocket> {
        let (id, entry) = self.entry(local)?;
        let own = match entry {
            Entry::Shared(_) => return Ok(Target::All),
            Entry::Own(own) => own,
        };
        if let Some(owner) = own.owner {
            return Ok(Target::One(owner));
        }
        own.owner = Some(favourite);
        let port = own.port.clone();
        let port = self.open_ears(id, port, favourite);
        let order = Order::Open {
            id,
            port,
            listen: true,
        };
        crew.order(favourite, order);
        Ok(Target::One(favourite))
    }

    /// Lets a worker hear a port. Gives it as it is held from here on: by a socket if it cannot be steered.
    fn open_ears(&mut self, id: SocketId, port: MediaPort, worker: usize) -> MediaPort {
        match &port {
            MediaPort::Socket(socket) => {
                if let Err(error) = socket.open_ears(&self.options) {
                    tracing::error!("a port stays deaf: {error}");
                }
            }
            MediaPort::Steered(steered) => {
                let given = self
                    .steering
                    .as_mut()
                    .map(|steering| steering.give(steered, worker));
                if let Some(Err(error)) = given {
                    tracing::debug!("{} cannot be steered, and gets a socket: {error}", port.local());
                    return self.hold_by_socket(id).unwrap_or(port);
                }
            }
        }
        port
    }

    /// Gives a port a socket instead of steering it.
    fn hold_by_socket(&mut self, id: SocketId) -> Option<MediaPort> {
        let Some(Entry::Own(own)) = self.entries.get(id.0 as usize)? else {
            return None;
        };
        let MediaPort::Steered(steered) = &own.port else {
            return None;
        };
        let options = SocketOptions {
            tos: steered.tos(),
            ..self.options
        };
        let local = own.port.local();
        let hears = own.owner.is_some();
        let bound = MediaSocket::bind(local, Sharing::Alone, &options).and_then(|socket| {
            if !hears {
                socket.close_ears()?;
            }
            Ok(MediaPort::Socket(Arc::new(socket)))
        });
        let port = bound
            .inspect_err(|error| tracing::error!("port {local} stays deaf: {error}"))
            .ok()?;
        if let Some(Some(Entry::Own(own))) = self.entries.get_mut(id.0 as usize) {
            own.port = port.clone();
            self.open += 1;
        }
        Some(port)
    }

    /// Lets interfaces hand the worker of a port its frames, or leave them to the kernel, which forwards them. Shared ports always
    /// have theirs handed on.
    pub(super) fn hand_frames(&mut self, local: SocketAddr, hand: bool) {
        let entry = self.by_local.get(&local).map(|id| &self.entries[id.0 as usize]);
        let Some(Some(Entry::Own(Own {
            port: MediaPort::Steered(port),
            owner: Some(owner),
            ..
        }))) = entry
        else {
            return;
        };
        if let Some(steering) = &mut self.steering {
            steering.hand_frames(port, *owner, hand);
        }
    }

    /// Whether interfaces hand on frames.
    pub(super) fn hands_frames(&self) -> bool {
        self.steering.as_ref().is_some_and(SteeredPorts::hands_frames)
    }

    /// Frames of flows are forwarded no more: the kernel has none.
    pub(super) fn end_forwarding(&mut self) {
        if let Some(steering) = &mut self.steering {
            steering.end_forwarding();
        }
    }

    /// Says where frames go, if there are any.
    pub(super) fn hops(&mut self) -> Option<&mut Hops> {
        self.steering.as_mut()?.hops()
    }

    /// When [`keep_steering`](Self::keep_steering) is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.steering.as_ref().map(SteeredPorts::poll_timeout)
    }

    /// Gives all ports sockets if the program that steers them is gone. How many have got one and how many have not, if that
    /// has happened.
    pub(super) fn keep_steering(&mut self, now: Instant, crew: &mut Crew) -> Option<(usize, usize)> {
        self.steering
            .as_mut()?
            .is_lost(now)
            .then(|| self.give_steering_up(crew))
    }

    /// Gives all ports sockets. What steers them is let go last, so that what still hears goes on to.
    pub(super) fn give_steering_up(&mut self, crew: &mut Crew) -> (usize, usize) {
        let (mut held, mut deaf) = (0, 0);
        for number in 0..self.entries.len() {
            let id = SocketId(number as u32);
            let Some(Entry::Own(Own {
                port: MediaPort::Steered(_),
                owner,
                guests,
            })) = &self.entries[number]
            else {
                continue;
            };
            let hears = owner.map(|worker| (worker, true));
            let sends = guests.iter().map(|worker| (*worker, false));
            let workers: Vec<(usize, bool)> = hears.into_iter().chain(sends).collect();
            let Some(port) = self.hold_by_socket(id) else {
                deaf += 1;
                continue;
            };
            held += 1;
            for (worker, listen) in workers {
                let port = port.clone();
                crew.order(worker, Order::Replace { id, port, listen });
            }
        }
        self.overflows_before += self.steering.take().map_or(0, |steering| steering.overflows());
        (held, deaf)
    }

    /// Lets a worker send from an address.
    pub(super) fn admit(
        &mut self,
        worker: usize,
        local: SocketAddr,
        crew: &mut Crew,
    ) -> Result<(), NoSocket> {
        let (id, entry) = self.entry(local)?;
        match entry {
            Entry::Own(own) if own.owner != Some(worker) && !own.guests.contains(&worker) => {
                own.guests.push(worker);
                crew.order(
                    worker,
                    Order::Open {
                        id,
                        port: own.port.clone(),
                        listen: false,
                    },
                );
            }
            Entry::Own(_) | Entry::Shared(_) => {}
        }
        Ok(())
    }

    /// The number of an address.
    pub(super) fn id(&self, local: SocketAddr) -> Result<SocketId, NoSocket> {
        self.by_local.get(&local).copied().ok_or(NoSocket(local))
    }

    /// Sets the DSCP and ECN byte of what is sent from an address; of a shared one, by worker `of`.
    pub(super) fn mark(&self, local: SocketAddr, tos: u8, of: usize) -> Result<io::Result<()>, NoSocket> {
        Ok(match self.port(local, of)? {
            MediaPort::Socket(socket) => socket.set_tos(tos),
            MediaPort::Steered(port) => {
                port.set_tos(tos);
                Ok(())
            }
        })
    }

    /// Sends a datagram from an address; from a shared one, as worker `of` does.
    pub(super) fn send(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        data: &[u8],
        of: usize,
    ) -> Result<io::Result<()>, NoSocket> {
        Ok(match self.port(from, of)? {
            MediaPort::Socket(socket) => socket.send(data, to).map(|_| ()),
            MediaPort::Steered(port) => {
                let lane = self
                    .steering
                    .as_ref()
                    .and_then(|steering| steering.lane(of, from));
                let sent = lane.map(|lane| lane.send(&port, to, data));
                sent.unwrap_or_else(|| Err(io::ErrorKind::AddrNotAvailable.into()))
            }
        })
    }

    fn port(&self, local: SocketAddr, of: usize) -> Result<MediaPort, NoSocket> {
        let id = self.id(local)?;
        match self.entries[id.0 as usize].as_ref().ok_or(NoSocket(local))? {
            Entry::Own(own) => Ok(own.port.clone()),
            Entry::Shared(sockets) => {
                let socket = sockets.get(of).unwrap_or(&sockets[0]);
                Ok(MediaPort::Socket(Arc::clone(socket)))
            }
        }
    }

    /// The address of a number that a worker named.
    pub(super) fn local(&self, id: SocketId) -> Option<SocketAddr> {
        match self.entries.get(id.0 as usize)?.as_ref()? {
            Entry::Own(own) => Some(own.port.local()),
            Entry::Shared(sockets) => sockets.first().map(|socket| socket.local()),
        }
    }

    /// Sockets that are open.
    pub(super) fn len(&self) -> usize {
        self.open
    }

    /// Ports that workers hear without sockets of their own.
    pub(super) fn steered(&self) -> usize {
        self.steering.as_ref().map_or(0, SteeredPorts::ports)
    }

    /// Whether ports are steered.
    pub(super) fn is_steering(&self) -> bool {
        self.steering.is_some()
    }

    /// Datagrams that the system dropped at sockets that steered ports have or had, and at shared ones.
    pub(super) fn overflows(&self) -> u64 {
        let shared = self.entries.iter().flatten().filter_map(|entry| match entry {
            Entry::Shared(sockets) => Some(sockets),
            Entry::Own(_) => None,
        });
        let shared = shared.flatten().map(|socket| overflows(&**socket));
        let steered = self.steering.as_ref().map(SteeredPorts::overflows);
        self.overflows_before + shared.chain(steered).sum::<u64>()
    }

    fn entry(&mut self, local: SocketAddr) -> Result<(SocketId, &mut Entry), NoSocket> {
        let id = *self.by_local.get(&local).ok_or(NoSocket(local))?;
        let entry = self.entries[id.0 as usize].as_mut().ok_or(NoSocket(local))?;
        Ok((id, entry))
    }

    fn enter(&mut self, local: SocketAddr, entry: Entry) -> SocketId {
        let id = self.free.pop_front().unwrap_or_else(|| {
            self.entries.push(None);
            // Descriptors run out long before 32 bits do.
            SocketId(self.entries.len() as u32 - 1)
        });
        self.open += entry.sockets();
        self.entries[id.0 as usize] = Some(entry);
        self.by_local.insert(local, id);
        id
    }
}
