//! What all calls of a relay share: names, ports, the generator, the queue of outputs.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use viaduct_forward::{
    Command, CryptoId, Epoch, FlowId, FlowKey, LegId, LocalAddr, SsrcIndices, StatsTable, TransactionId,
};
use viaduct_ng::{ByteString, ErrorReason};

use crate::call::FaxId;
use crate::clock::WallClock;
use crate::config::Config;
use crate::counters::Counters;
use crate::dtls::DtlsEngines;
use crate::event::{Event, What};
use crate::leg::Origin;
use crate::output::Output;
use crate::ports::{PortPair, PortPlan, PortSetId};
use crate::relay::{Clips, Parts};
use crate::secrets;
use crate::state::{CallName, StateQueue};

/// How long the counters of a flow stay after its removal was ordered: a worker that is behind may still write to them,
/// and would put them back into the table if they were gone.
const RETIREMENT: Duration = Duration::from_secs(2);

/// How long the answer to a check of ours is waited for.
const STUN_ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Names one call; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallKey(pub(crate) u64);

/// A path that another leg has taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Eviction {
    pub(crate) call: CallKey,
    pub(crate) leg: LegId,
    pub(crate) tuple: FlowKey,
}

/// Where the SRTP indices of a rebuilt call stood.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resuming {
    /// By the names of the keys.
    pub(crate) indices: BTreeMap<[u8; 16], Vec<SsrcIndices>>,
    /// Where RTCP of unknown SSRCs begins.
    pub(crate) rtcp_first: u32,
}

/// Whose counters are forgotten later.
#[derive(Debug, Clone, Copy)]
enum Retired {
    Flow(FlowId),
    Leg(LegId),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) instance_id: String,
    pub(crate) rng: StdRng,
    pub(crate) ports: PortPlan,
    pub(crate) engines: Box<dyn DtlsEngines>,
    /// Our certificate in DER, for fingerprints.
    pub(crate) certificate: Vec<u8>,
    pub(crate) stats: StatsTable,
    pub(crate) epoch: Epoch,
    pub(crate) clock: WallClock,
    pub(crate) counters: Counters,
    /// DTLS associations that exist.
    pub(crate) dtls_live: usize,
    /// Which call a leg belongs to.
    pub(crate) legs: BTreeMap<LegId, CallKey>,
    /// Who is found by a pair of addresses; on a port of many, the latest that ICE has validated.
    tuples: BTreeMap<FlowKey, LegId>,
    evictions: Vec<Eviction>,
    /// Datagrams to be sent or judged again, after the rules that they are answered or judged by.
    deferred: Vec<Output>,
    /// Pairs that legs have given up, to be closed after the rules that name them.
    closing: Vec<PortPair>,
    retired: VecDeque<(Instant, Retired)>,
    /// What is kept of calls for another relay, if it is.
    pub(crate) state: Option<StateQueue>,
    /// What is played.
    pub(crate) clips: Clips,
    /// Parties that something is played to.
    pub(crate) players: usize,
    /// Fax gateways, and the calls that they are of.
    pub(crate) faxes: BTreeMap<FaxId, CallKey>,
    /// How many gateways each call has or may have, once what was offered is answered.
    pub(crate) fax_places: BTreeMap<CallKey, usize>,
    /// While a call is rebuilt: the pairs that its command took.
    pub(crate) taken_before: Option<Vec<PortPair>>,
    /// While the keys of a rebuilt call are installed: where their indices stood.
    pub(crate) resuming: Option<Resuming>,
    outputs: VecDeque<Output>,
    next_id: u64,
}

impl Core {
    pub(crate) fn new(config: Config, parts: Parts, ports: PortPlan, engines: Box<dyn DtlsEngines>) -> Self {
        let Parts {
            mut rng,
            certificate,
            stats,
            epoch,
            clock,
        } = parts;
        Self {
            config,
            instance_id: secrets::instance_id(&mut rng),
            rng,
            ports,
            engines,
            certificate: certificate.certificate,
            stats,
            epoch,
            clock,
            counters: Counters::default(),
            dtls_live: 0,
            legs: BTreeMap::new(),
            tuples: BTreeMap::new(),
            evictions: Vec::new(),
            deferred: Vec::new(),
            closing: Vec::new(),
            retired: VecDeque::new(),
            state: None,
            clips: Clips::default(),
            players: 0,
            faxes: BTreeMap::new(),
            fax_places: BTreeMap::new(),
            taken_before: None,
            resuming: None,
            outputs: VecDeque::new(),
            next_id: 1,
        }
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn forward(&mut self, command: Command) {
        self.outputs.push_back(Output::Forward(command));
    }

    pub(crate) fn send(&mut self, from: LocalAddr, to: SocketAddr, data: Vec<u8>) {
        self.deferred.push(Output::Send { from, to, data });
    }

    pub(crate) fn event(&mut self, call_id: &ByteString, what: What) {
        self.outputs.push_back(Output::Event(Event {
            call_id: call_id.clone(),
            what,
        }));
    }

    pub(crate) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn new_call(&mut self) -> CallKey {
        CallKey(self.new_id())
    }

    pub(crate) fn new_leg(&mut self, call: CallKey) -> LegId {
        let leg = LegId(self.new_id());
        self.legs.insert(leg, call);
        leg
    }

    pub(crate) fn new_flow(&mut self) -> FlowId {
        FlowId(self.new_id())
    }

    pub(crate) fn new_crypto(&mut self) -> CryptoId {
        CryptoId(self.new_id())
    }

    /// A leg is over.
    pub(crate) fn end_leg(&mut self, now: Instant, leg: LegId) {
        self.legs.remove(&leg);
        self.retired.push_back((now + RETIREMENT, Retired::Leg(leg)));
    }

    /// Notes who is found by a pair of addresses. False if it is somebody else's already, which only ICE can change:
    /// it has seen a password from there, while an SDP may say anything. Whoever was before must let go of it then.
    #[must_use]
    pub(crate) fn claim(&mut self, tuple: FlowKey, leg: LegId, origin: Origin) -> bool {
        let before = self.tuples.get(&tuple).copied().filter(|owner| *owner != leg);
        if let Some(before) = before {
            if origin != Origin::Ice {
                self.counters.addresses_taken += 1;
                return false;
            }
            if let Some(call) = self.legs.get(&before).copied() {
                self.evictions.push(Eviction {
                    call,
                    leg: before,
                    tuple,
                });
            }
        }
        self.tuples.insert(tuple, leg);
        true
    }

    /// A flow is over. Its addresses are free, unless somebody else has taken them.
    pub(crate) fn end_flow(&mut self, now: Instant, flow: FlowId, tuple: FlowKey, leg: LegId) {
        if self.tuples.get(&tuple) == Some(&leg) {
            self.tuples.remove(&tuple);
        }
        self.retired.push_back((now + RETIREMENT, Retired::Flow(flow)));
    }

    pub(crate) fn take_evictions(&mut self) -> Vec<Eviction> {
        std::mem::take(&mut self.evictions)
    }

    /// The workers hand up the answer to a request of ours that goes out by a port of many.
    pub(crate) fn expect_answer(&mut self, now: Instant, local: LocalAddr, leg: LegId, request: &[u8]) {
        if let Some(transaction) = request.get(8..20).and_then(|id| id.try_into().ok()) {
            self.forward(Command::ExpectStun {
                transaction: TransactionId(transaction),
                local,
                leg,
                until: self.epoch.tick(now + STUN_ANSWER_WAIT),
            });
        }
    }

    /// Whether a call may have so many parties, or ids.
    pub(crate) fn check_parties(&mut self, count: usize) -> Result<(), ErrorReason> {
        if count > self.config.limits.parties_per_call {
            self.counters.limits.parties_per_call += 1;
            return Err(ErrorReason::Other("Too many parties in this call".into()));
        }
        Ok(())
    }

    /// Takes a pair of ports of a set.
    pub(crate) fn take_pair(&mut self, set: PortSetId) -> Option<PortPair> {
        if let Some(taken) = &mut self.taken_before {
            let (ports, address) = (&self.ports, self.ports.address(set)?);
            let own = taken.iter().position(|pair| ports.has(set, *pair));
            // One that is in no set any more cannot be claimed, and that is why the call ends.
            let at = own.or_else(|| taken.iter().position(|pair| pair.address == address))?;
            return Some(taken.remove(at));
        }
        let Some(state) = &mut self.state else {
            return self.ports.take(set, &mut self.rng);
        };
        let pair = self.ports.take(set, &mut state.rng)?;
        state.taken.push(pair);
        Some(pair)
    }

    /// A leg has given up a pair.
    pub(crate) fn release_pair(&mut self, pair: PortPair) {
        self.closing.push(pair);
    }

    /// The workers shall judge a datagram again.
    pub(crate) fn inject(&mut self, local: LocalAddr, from: SocketAddr, data: &[u8]) {
        self.deferred.push(Output::Inject {
            local,
            from,
            data: data.to_vec(),
        });
    }

    /// Emits what had to wait for a call's rules: datagrams, whose answers may be quick, and pairs of ports that no rule
    /// names any more.
    pub(crate) fn release(&mut self, now: Instant) {
        self.outputs.extend(self.deferred.drain(..));
        for pair in std::mem::take(&mut self.closing) {
            self.ports.give_back(now, pair);
            self.output(Output::ClosePair(pair));
        }
    }

    /// Nothing is kept of a call any longer.
    pub(crate) fn forget_state(&mut self, call: impl FnOnce() -> CallName) {
        if let Some(state) = &mut self.state {
            let hits = &mut self.counters.limits;
            state.remove(call(), &self.config.limits, hits);
        }
    }

    /// Forgets what a call that is being rebuilt has wanted: nothing is told before all is known to be good.
    pub(crate) fn forget_outputs(&mut self, since: usize) {
        self.outputs.truncate(since);
        self.deferred.clear();
        self.closing.clear();
        self.evictions.clear();
    }

    /// Outputs that nobody has taken yet.
    pub(crate) fn outputs_waiting(&self) -> usize {
        self.outputs.len()
    }

    /// A pair belongs to a call of old; false if another one has it. It is not to be opened for the stock then.
    pub(crate) fn claim_pair(&mut self, pair: PortPair) -> bool {
        let claimed = self.ports.claim(pair);
        if claimed {
            self.outputs.retain(|output| *output != Output::OpenPair(pair));
        }
        claimed
    }

    /// Asks the shell for as many pairs as the stock lacks.
    pub(crate) fn refill_ports(&mut self, now: Instant) {
        // What a command draws must not depend on which ports happen to be open.
        let rng = match &mut self.state {
            Some(state) => &mut state.rng,
            None => &mut self.rng,
        };
        while let Some(pair) = self.ports.poll_wanted(now, rng) {
            self.outputs.push_back(Output::OpenPair(pair));
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.ports.handle_timeout(now);
        self.refill_ports(now);
        while let Some((at, retired)) = self.retired.front().copied() {
            if at > now {
                break;
            }
            self.retired.pop_front();
            match retired {
                Retired::Flow(flow) => drop(self.stats.forget_flow(flow)),
                Retired::Leg(leg) => self.stats.forget_leg(leg),
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let retired = self.retired.front().map(|(at, _)| *at);
        retired.into_iter().chain(self.ports.poll_timeout()).min()
    }

    /// Pairs of addresses that somebody is found by.
    pub(crate) fn tuples(&self) -> usize {
        self.tuples.len()
    }

    /// Flows and legs whose counters are not forgotten yet.
    pub(crate) fn retired(&self) -> usize {
        self.retired.len()
    }

    pub(crate) fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}
