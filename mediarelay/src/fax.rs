//! The thread that makes sound of fax and fax of sound (NG `T.38`).
//!
//! A modem takes a good part of a millisecond for 20 ms of sound, which neither control nor a worker has: what gateways are told
//! comes by a queue, and what they say goes to control as workers' notices do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use viaduct_fax::spandsp::Library;
use viaduct_fax::{Fax, SAMPLES_PER_TICK};
use viaduct_ng::ByteString;
use viaduct_session::{FaxId, FaxInput, FaxOutput};

use crate::control::ControlStats;
use crate::worker::{Notice, NoticeSender};

/// How much sound there is at a time.
const FRAME: Duration = Duration::from_millis(20);

/// A gateway that is later than this does not catch up: the other machine has no use for a burst.
const LATE_MAX: Duration = Duration::from_millis(200);

/// The way to the thread. It ends with the last of them.
#[derive(Debug)]
pub(crate) struct FaxLine {
    queue: SyncSender<(FaxId, FaxInput)>,
    stats: Arc<ControlStats>,
}

impl FaxLine {
    /// Tells a gateway something, unless it is too busy.
    pub(crate) fn tell(&self, id: FaxId, input: FaxInput) {
        let is_order = matches!(input, FaxInput::Begin(..) | FaxInput::End);
        match self.queue.try_send((id, input)) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            // Without its end a gateway would be there for good. The thread empties its queue within milliseconds.
            Err(TrySendError::Full(order)) if is_order => {
                let _ = self.queue.send(order);
            }
            Err(TrySendError::Full(_)) => self.stats.fax_lost.add(1),
        }
    }
}

/// The thread, ready to begin.
pub(crate) struct FaxThread {
    library: Library,
    inputs: Receiver<(FaxId, FaxInput)>,
    notices: NoticeSender,
    stats: Arc<ControlStats>,
    gateways: BTreeMap<FaxId, Running>,
}

/// A gateway at work.
struct Running {
    call_id: ByteString,
    fax: Fax,
    /// When it says the next 20 ms.
    next: Instant,
}

impl Running {
    /// Says what became of a fax: who looks for a page that did not come begins here.
    fn tell(&self) {
        let (said, counters) = (self.fax.statistics(), self.fax.counters());
        let lost = counters.received.lost;
        tracing::info!(
            "a fax ended: {} pages at {} bit/s, {lost} packets lost",
            said.pages,
            said.bit_rate
        );
        tracing::debug!(call_id = %self.call_id, ?said, ?counters, "fax ended");
    }
}

/// The thread and the way to it; `queued` things may wait for it.
pub(crate) fn prepare(
    library: Library,
    queued: usize,
    notices: NoticeSender,
    stats: Arc<ControlStats>,
) -> (FaxLine, FaxThread) {
    let (queue, inputs) = sync_channel(queued);
    let line = FaxLine {
        queue,
        stats: Arc::clone(&stats),
    };
    let thread = FaxThread {
        library,
        inputs,
        notices,
        stats,
        gateways: BTreeMap::new(),
    };
    (line, thread)
}

impl FaxThread {
    /// Works until nobody can tell it anything any more.
    pub(crate) fn run(mut self) {
        loop {
            let next = self.gateways.values().map(|gateway| gateway.next).min();
            let input = match next {
                Some(next) => self
                    .inputs
                    .recv_timeout(next.saturating_duration_since(Instant::now())),
                None => self.inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let now = Instant::now();
            match input {
                Ok((id, input)) => self.take(now, id, input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.say(now);
        }
    }

    fn take(&mut self, now: Instant, id: FaxId, input: FaxInput) {
        match input {
            FaxInput::Begin(plan) => match Fax::new(&self.library, &plan.agreed, &plan.modems) {
                Ok(fax) => {
                    let call_id = plan.call_id;
                    tracing::debug!(%call_id, "a fax gateway begins");
                    let running = Running {
                        call_id,
                        fax,
                        next: now,
                    };
                    self.gateways.insert(id, running);
                }
                Err(error) => {
                    tracing::warn!("a fax gateway could not begin: {error}");
                    tracing::debug!(call_id = %plan.call_id, "no fax gateway");
                }
            },
            FaxInput::End => {
                if let Some(gateway) = self.gateways.remove(&id) {
                    gateway.tell();
                }
            }
            FaxInput::Datagram(data) => {
                if let Some(gateway) = self.gateways.get_mut(&id)
                    && let Err(error) = gateway.fax.datagram(&data)
                {
                    tracing::debug!("no T.38: {error}");
                }
            }
            FaxInput::Sound(mut samples) => {
                if let Some(gateway) = self.gateways.get_mut(&id) {
                    gateway.fax.audio(&mut samples);
                }
            }
            FaxInput::Missing(samples) => {
                if let Some(gateway) = self.gateways.get_mut(&id) {
                    gateway.fax.missing_audio(samples);
                }
            }
        }
    }

    /// Says what is due.
    fn say(&mut self, now: Instant) {
        for (id, gateway) in &mut self.gateways {
            if now.saturating_duration_since(gateway.next) > LATE_MAX {
                gateway.next = now;
            }
            while gateway.next <= now {
                gateway.next += FRAME;
                let mut sound = [0; SAMPLES_PER_TICK];
                let mut outputs = Vec::new();
                gateway.fax.tick(&mut sound, &mut |datagram: &[u8]| {
                    outputs.push(FaxOutput::Datagram(datagram.to_vec()));
                });
                outputs.push(FaxOutput::Sound(sound.to_vec()));
                for output in outputs {
                    let notice = Notice::Fax { id: *id, output };
                    if self.notices.queue.try_send(notice).is_err() {
                        self.stats.fax_lost.add(1);
                    }
                }
                self.notices.nudge.ring();
            }
        }
    }
}
