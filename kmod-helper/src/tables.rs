//! The tables that the program and user space share.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use aya::sys::SyscallError;
use aya::{Ebpf, EbpfError, EbpfLoader};
use nix::time::{ClockId, clock_gettime};

use crate::abi::{self, HOP_ACROSS, HOP_FRAMES, RawCounters, RawHop, RawHopKey, RawKey, RawPulse, RawRule};
use crate::flow::{Counters, Flow, Key, Route};
use crate::hops::{Head, Neighbour};
use crate::instance::Folder;
use crate::object::forward_object;
use crate::shared_words::{CounterTable, Guesses};
use crate::up::Up;

const FLOWS: &str = "FLOWS";
const GUESSES: &str = "GUESSES";
const RULES: &str = "RULES";
const COUNTERS: &str = "COUNTERS";
const PULSE: &str = "PULSE";
const UPS: &str = "UPS";
const HOPS: &str = "HOPS";
const PASSED: &str = "PASSED";

/// Name, size of a key and size of a value of every table.
const SHAPES: [(&str, usize, usize); 8] = [
    (FLOWS, size_of::<RawKey>(), 4),
    (GUESSES, 4, 8),
    (RULES, 4, size_of::<RawRule>()),
    (COUNTERS, 4, size_of::<RawCounters>()),
    (PULSE, 4, size_of::<RawPulse>()),
    (UPS, 4, 8),
    (HOPS, size_of::<RawHopKey>(), size_of::<RawHop>()),
    (PASSED, 4, 8),
];

/// The tables of one instance.
pub(crate) struct Tables {
    flows: HashMap<MapData, RawKey, u32>,
    guesses: Guesses,
    rules: Array<MapData, RawRule>,
    counters: CounterTable,
    pulse: Array<MapData, RawPulse>,
    ups: PerCpuArray<MapData, u64>,
    hops: HashMap<MapData, RawHopKey, RawHop>,
    passed: PerCpuArray<MapData, u64>,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}

/// One flow as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) slot: u32,
    pub(crate) flow: Flow,
    pub(crate) route: Route,
    pub(crate) counters: Counters,
}

impl Tables {
    /// Loads the program, with tables that are pinned in the folder. Those that are pinned there already are used as they
    /// are; if they are of another release or another size, all pins go first.
    pub(crate) fn load(folder: &Folder, flows_max: u32, slots: u32) -> Result<(Ebpf, Self), LoadError> {
        if !fits(folder, flows_max, slots) {
            folder.clear()?;
        }
        let mut loader = EbpfLoader::new();
        // The program needs none of the kernel's type information, and reading it takes long.
        loader.btf(None).default_map_pin_directory(folder.path());
        loader.map_max_entries(FLOWS, flows_max);
        loader.map_max_entries(RULES, slots);
        loader.map_max_entries(COUNTERS, slots);
        loader.map_max_entries(HOPS, flows_max);
        let mut ebpf = loader.load(forward_object())?;
        let mut take = |name| ebpf.take_map(name).ok_or(LoadError::Object { name });
        let mut take_array = |name| match take(name)? {
            Map::Array(array) => Ok(array),
            _ => Err(LoadError::Object { name }),
        };
        let guesses = Guesses::new(take_array(GUESSES)?)?;
        let counters = CounterTable::new(take_array(COUNTERS)?, slots)?;
        let tables = Self {
            flows: take(FLOWS)?.try_into()?,
            guesses,
            rules: take(RULES)?.try_into()?,
            counters,
            pulse: take(PULSE)?.try_into()?,
            ups: take(UPS)?.try_into()?,
            hops: take(HOPS)?.try_into()?,
            passed: take(PASSED)?.try_into()?,
        };
        Ok((ebpf, tables))
    }

    /// The tables that are pinned in the folder, to be looked at.
    pub(crate) fn pinned(folder: &Folder) -> Result<Self, MapError> {
        let pin = |name| MapData::from_pin(folder.pin(name));
        let unmapped = |io_error| SyscallError {
            call: "mmap",
            io_error,
        };
        let rules: Array<MapData, RawRule> = Map::Array(pin(RULES)?).try_into()?;
        Ok(Self {
            flows: Map::HashMap(pin(FLOWS)?).try_into()?,
            guesses: Guesses::new(pin(GUESSES)?).map_err(unmapped)?,
            counters: CounterTable::new(pin(COUNTERS)?, rules.len()).map_err(unmapped)?,
            rules,
            pulse: Map::Array(pin(PULSE)?).try_into()?,
            ups: Map::PerCpuArray(pin(UPS)?).try_into()?,
            hops: Map::HashMap(pin(HOPS)?).try_into()?,
            passed: Map::PerCpuArray(pin(PASSED)?).try_into()?,
        })
    }

    /// Every flow, in no order. One that is removed meanwhile may be missing or come twice.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, MapError> {
        let mut entries = Vec::new();
        // Bounded, since a walk over a table that changes may begin anew.
        for row in self.flows.iter().take(2 * self.slots() as usize) {
            let (_, slot) = row?;
            let rule = self.rules.get(&slot, 0)?;
            entries.push(Entry {
                slot,
                flow: rule.flow(),
                route: rule.route(),
                counters: self.counters(slot),
            });
        }
        Ok(entries)
    }

    /// Writes a flow into a slot that no key leads to, and leads its key there.
    pub(crate) fn publish(&mut self, slot: u32, flow: &Flow, route: &Route) -> Result<(), MapError> {
        self.rules.set(slot, RawRule::new(flow, route), 0)?;
        self.counters.clear(slot);
        self.flows.insert(RawKey::from(flow.key), slot, 0)?;
        self.guess(slot, flow.key);
        Ok(())
    }

    /// Lets no packet be led to a flow any more.
    pub(crate) fn withdraw(&mut self, slot: u32, key: Key) -> Result<(), MapError> {
        // First: what is in the place stays there for a while, and is of use to those alone who were on their way to it.
        self.guesses.forget(key.local.port(), slot);
        unless_gone(self.flows.remove(&key.into()))
    }

    /// Leads the packets of a flow that is here already to it by their port.
    pub(crate) fn guess(&mut self, slot: u32, key: Key) {
        self.guesses.lead(key.local.port(), slot);
    }

    pub(crate) fn counters(&self, slot: u32) -> Counters {
        self.counters.get(slot).into()
    }

    pub(crate) fn slots(&self) -> u32 {
        self.rules.len()
    }

    /// Says that the relay lives, and how long the program may believe so.
    pub(crate) fn beat(&mut self, patience: Duration) -> Result<(), MapError> {
        let pulse = RawPulse {
            heartbeat: monotonic().as_nanos() as u64,
            patience: patience.as_nanos() as u64,
        };
        self.pulse.set(0, pulse, 0)
    }

    /// How long ago the relay said that it lives, and how long the program believes it. `None`: it never did.
    pub(crate) fn pulse(&self) -> Result<Option<(Duration, Duration)>, MapError> {
        let pulse = self.pulse.get(&0, 0)?;
        let age = monotonic().saturating_sub(Duration::from_nanos(pulse.heartbeat));
        Ok((pulse.heartbeat > 0).then(|| (age, Duration::from_nanos(pulse.patience))))
    }

    /// Lets what goes to a neighbour without the stack begin so; `None`: packets go there by the stack alone.
    pub(crate) fn set_hop(&mut self, (ifindex, ip): Neighbour, head: Option<Head>) -> Result<(), MapError> {
        let key = RawHopKey {
            ifindex,
            family: abi::family(ip),
            address: abi::octets(ip),
        };
        match head {
            Some(Head {
                to,
                from,
                as_frames,
                across,
            }) => {
                let way = |is_open, way| if is_open { way } else { 0 };
                let hop = RawHop {
                    asked: monotonic().as_nanos() as u64,
                    to,
                    from,
                    ways: way(as_frames, HOP_FRAMES) | way(across, HOP_ACROSS),
                };
                self.hops.insert(key, hop, 0)
            }
            None => unless_gone(self.hops.remove(&key)),
        }
    }

    /// Lets packets go to all neighbours by the stack.
    pub(crate) fn clear_hops(&mut self) -> Result<(), MapError> {
        // Bounded, since a walk over a table that changes may begin anew.
        let keys: Result<Vec<_>, _> = self.hops.keys().take(2 * self.slots() as usize).collect();
        for key in keys? {
            unless_gone(self.hops.remove(&key))?;
        }
        Ok(())
    }

    /// How many packets did not leave by the stack.
    pub(crate) fn passed(&self) -> Result<Passed, MapError> {
        let sum = |place| Ok::<u64, MapError>(self.passed.get(&place, 0)?.iter().sum());
        Ok(Passed {
            as_frames: sum(0)?,
            across: sum(1)?,
        })
    }

    /// How many packets went up for each reason.
    pub(crate) fn ups(&self) -> Result<[(Up, u64); Up::COUNT], MapError> {
        let mut ups = Up::ALL.map(|up| (up, 0));
        for (up, count) in &mut ups {
            *count = self.ups.get(&(*up as u32), 0)?.iter().sum();
        }
        Ok(ups)
    }
}

/// Packets of flows that did not leave by the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Forwarded before they became packets.
    pub as_frames: u64,
    /// Put to the other end of a pair of interfaces, in another network namespace.
    pub across: u64,
}

/// What became of a removal, to which a key that was not there is none to complain of.
pub(crate) fn unless_gone(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Why the program could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Load(#[from] EbpfError),
    #[error(transparent)]
    Map(#[from] MapError),
    #[error("the object lacks {name}")]
    Object { name: &'static str },
}

/// Whether the pins of a folder, if there are any, are of this release and of these sizes.
fn fits(folder: &Folder, flows_max: u32, slots: u32) -> bool {
    SHAPES.iter().all(|(name, key, value)| {
        let path: PathBuf = folder.pin(name);
        if !fs::exists(&path).unwrap_or(false) {
            return true;
        }
        let wanted = match *name {
            FLOWS | HOPS => Some(flows_max),
            RULES | COUNTERS => Some(slots),
            _ => None,
        };
        let info = MapData::from_pin(&path).and_then(|map| map.info());
        info.is_ok_and(|info| {
            info.key_size() as usize == *key
                && info.value_size() as usize == *value
                && wanted.is_none_or(|wanted| info.max_entries() == wanted)
        })
    })
}

/// How long ago something was that [`Counters::last_packet`] tells of.
#[must_use]
pub fn age(at: Duration) -> Duration {
    monotonic().saturating_sub(at)
}

/// The clock that the program reads.
pub(crate) fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
