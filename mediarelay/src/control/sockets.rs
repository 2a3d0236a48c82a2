//! All media sockets: their numbers, their addresses, and which workers have them.
//!
//! A port of its own belongs to nobody until something is ordered for it, and hears nothing until then. The worker that
//! gets it is the one of its call, so that the legs of a call meet on one thread as a rule. Other workers are told of it
//! when they have something to send through it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use viaduct_forward::SocketId;

use super::crew::Crew;
use crate::socket::{MediaSocket, Sharing, SocketOptions};
use crate::worker::Order;

/// See the module.
#[derive(Debug)]
pub(super) struct Sockets {
    /// What ports of their own are set to.
    options: SocketOptions,
    by_local: HashMap<SocketAddr, SocketId>,
    entries: Vec<Option<Entry>>,
    /// Numbers to be given again, the one given back longest ago first.
    free: VecDeque<SocketId>,
    /// Ports that are closed as soon as the workers have let go of them, or have been.
    closing: HashMap<SocketAddr, Weak<MediaSocket>>,
}

#[derive(Debug)]
enum Entry {
    /// Every worker has a socket of its own on the address.
    Shared(Vec<Arc<MediaSocket>>),
    Own(Own),
}

#[derive(Debug)]
struct Own {
    socket: Arc<MediaSocket>,
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
    pub(super) fn new(options: SocketOptions) -> Self {
        Self {
            options,
            by_local: HashMap::new(),
            entries: Vec::new(),
            free: VecDeque::new(),
            closing: HashMap::new(),
        }
    }

    /// Opens a port of its own, which hears nothing yet.
    pub(super) fn open(&mut self, local: SocketAddr) -> io::Result<()> {
        let socket = MediaSocket::bind(local, Sharing::Alone, &self.options)?;
        socket.close_ears()?;
        self.enter(
            local,
            Entry::Own(Own {
                socket: Arc::new(socket),
                owner: None,
                guests: Vec::new(),
            }),
        );
        Ok(())
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
                    socket,
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
        let workers = match entry {
            Some(Entry::Own(own)) => {
                if own.owner.is_some() {
                    self.closing.insert(local, Arc::downgrade(&own.socket));
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
        if let Err(error) = own.socket.open_ears() {
            tracing::error!("a port stays deaf: {error}");
        }
        crew.order(
            favourite,
            Order::Open {
                id,
                socket: Arc::clone(&own.socket),
                listen: true,
            },
        );
        Ok(Target::One(favourite))
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
                        socket: Arc::clone(&own.socket),
                        listen: false,
                    },
                );
            }
            Entry::Own(_) | Entry::Shared(_) => {}
        }
        Ok(())
    }

    /// The number and the socket of an address; of a shared one, the socket of worker `of`.
    pub(super) fn socket(&self, local: SocketAddr, of: usize) -> Result<(SocketId, &MediaSocket), NoSocket> {
        let id = *self.by_local.get(&local).ok_or(NoSocket(local))?;
        match self.entries[id.0 as usize].as_ref().ok_or(NoSocket(local))? {
            Entry::Own(own) => Ok((id, &own.socket)),
            Entry::Shared(sockets) => Ok((id, sockets.get(of).unwrap_or(&sockets[0]))),
        }
    }

    /// The address of a number that a worker named.
    pub(super) fn local(&self, id: SocketId) -> Option<SocketAddr> {
        match self.entries.get(id.0 as usize)?.as_ref()? {
            Entry::Own(own) => Some(own.socket.local()),
            Entry::Shared(sockets) => sockets.first().map(|socket| socket.local()),
        }
    }

    /// Sockets that are open.
    pub(super) fn len(&self) -> usize {
        let entries = self.entries.iter().flatten();
        entries
            .map(|entry| {
                if let Entry::Shared(sockets) = entry {
                    sockets.len()
                } else {
                    1
                }
            })
            .sum()
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
        self.entries[id.0 as usize] = Some(entry);
        self.by_local.insert(local, id);
        id
    }
}
