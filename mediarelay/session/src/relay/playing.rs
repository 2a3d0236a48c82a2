//! `play media` and `stop media`.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use viaduct_clip::Clip;
use viaduct_ng::{Dict, ErrorReason, OkReply, Reply, Value};

use super::Relay;
use super::others::{get, has_flag, text};
use crate::call::{Call, Manner};
use crate::core::{CallKey, Core};
use crate::party::PartyId;

/// Octets of a sample.
const SAMPLE_OCTETS: usize = size_of::<i16>();

/// The clips that are played: one that many hear is there once.
#[derive(Debug, Default)]
pub(crate) struct Clips {
    playing: Vec<Weak<Clip>>,
}

impl Clips {
    /// The clip itself, or the same one that is played already. `None` if there would be more octets of them than that.
    fn share(&mut self, clip: Clip, octets_max: usize) -> Option<Arc<Clip>> {
        self.playing.retain(|clip| clip.strong_count() > 0);
        let mut octets = clip.samples().len() * SAMPLE_OCTETS;
        for other in self.playing.iter().filter_map(Weak::upgrade) {
            if *other == clip {
                return Some(other);
            }
            octets += other.samples().len() * SAMPLE_OCTETS;
        }
        if octets > octets_max {
            return None;
        }
        let clip = Arc::new(clip);
        self.playing.push(Arc::downgrade(&clip));
        Some(clip)
    }
}

impl Relay {
    /// `play media`. What is played is in `blob`: the shell has read it if it was elsewhere.
    pub(super) fn play_media(&mut self, now: Instant, body: &Dict) -> Reply {
        self.about_parties(now, body, |now, call, core, parties| {
            let clip = clip_in(body).map_err(|reason| not_started(&reason))?;
            let duration = clip.duration();
            let manner = manner_in(body);
            let limits = &core.config.limits;
            let others = call.players_besides(&parties);
            if core.players + others + parties.len() > limits.players {
                core.counters.limits.players += 1;
                return Err(ErrorReason::Other("Too many media players".into()));
            }
            let Some(clip) = core.clips.share(clip, limits.clip_octets) else {
                core.counters.limits.clip_octets += 1;
                return Err(ErrorReason::Other("Too much media is being played".into()));
            };
            let mut result = Ok(());
            for party in &parties {
                result = call.start_playing(now, core, *party, Arc::clone(&clip), manner);
                if result.is_err() {
                    break;
                }
            }
            if let Err(why) = result {
                for party in &parties {
                    call.stop_playing(*party);
                }
                return Err(not_started(&why.to_string()));
            }
            core.counters.clips_played += parties.len() as u64;
            // Beyond 64 bits of milliseconds nobody listens.
            let duration = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
            Ok(with("duration", Some(duration)))
        })
    }

    /// `stop media`.
    pub(super) fn stop_media(&mut self, now: Instant, body: &Dict) -> Reply {
        self.about_parties(now, body, |_, call, _, parties| {
            let stopped = parties.iter().map(|party| call.stop_playing(*party));
            let positions: Vec<usize> = stopped.flatten().collect();
            let first = positions.first().and_then(|at| i64::try_from(*at).ok());
            Ok(with("last-frame-pos", first))
        })
    }

    /// Answers a command about parties of a call.
    fn about_parties(
        &mut self,
        now: Instant,
        body: &Dict,
        work: impl FnOnce(Instant, &mut Call, &mut Core, Vec<PartyId>) -> Result<Reply, ErrorReason>,
    ) -> Reply {
        let Some(call_id) = text(body, "call-id") else {
            return Reply::error(ErrorReason::NoCallId);
        };
        self.with_call(now, call_id, |call, core| {
            let parties = call.listeners_named(body)?;
            // Of other calls, meanwhile.
            core.players -= call.players_count();
            let result = work(now, call, core, parties);
            core.players += call.players_count();
            result
        })
    }

    /// Sends the packets of clips that are due.
    pub(super) fn play(&mut self, now: Instant) {
        let due = self.playing.iter().take_while(|(at, _)| *at <= now);
        let due: Vec<CallKey> = due.map(|(_, key)| *key).collect();
        for key in due {
            let Some(call) = self.calls.get_mut(&key) else {
                continue;
            };
            let before = call.players_count();
            let is_over = call.play(now, &mut self.core);
            self.core.players -= before - call.players_count();
            if is_over {
                self.work(now, key, |_, _| ());
            } else {
                self.plan_playing(key);
            }
        }
    }

    /// Notes when the next packet of a call's clips is due.
    pub(super) fn plan_playing(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let next = call.next_packet();
        let Some(playing) = &mut call.playing else {
            return;
        };
        if playing.timer != next {
            if let Some(before) = std::mem::replace(&mut playing.timer, next) {
                self.playing.remove(&(before, key));
            }
            self.playing.extend(next.map(|at| (at, key)));
        }
    }
}

impl Call {
    /// The parties that are to hear something.
    fn listeners_named(&self, body: &Dict) -> Result<Vec<PartyId>, ErrorReason> {
        match self.selected(body, true)? {
            Some(party) => Ok(vec![party]),
            None if super::others::is_for_all(body) => Ok(self.talkers().collect()),
            None => Err(ErrorReason::Other("No participant party specified".into())),
        }
    }
}

fn clip_in(body: &Dict) -> Result<Clip, String> {
    let blob = get(body, "blob").and_then(Value::as_bytes);
    let blob = blob.ok_or_else(|| "No media file specified".to_owned())?;
    Clip::parse(blob).map_err(|error| error.to_string())
}

fn not_started(why: &str) -> ErrorReason {
    ErrorReason::Other(format!("Failed to start media playback: {why}").as_str().into())
}

fn manner_in(body: &Dict) -> Manner {
    let number = |key| {
        let value = get(body, key)?;
        u32::try_from(value.to_integer()?).ok()
    };
    let duration = number("repeat-duration").filter(|millis| *millis > 0);
    let times = number("repeat-times").filter(|times| *times > 0);
    Manner {
        start: number("start-pos").map_or(0, |at| at as usize),
        times: match (times, duration) {
            (None, None) => Some(1),
            (times, _) => times,
        },
        duration: duration.map(|millis| Duration::from_millis(millis.into())),
        alone: has_flag(body, "block-egress"),
    }
}

/// A good answer that says a number, if there is one.
fn with(key: &'static str, number: Option<i64>) -> Reply {
    let mut rest = Dict::new();
    if let Some(number) = number {
        rest.insert(key, Value::Integer(number));
    }
    Reply::Ok(Box::new(OkReply {
        rest,
        ..OkReply::default()
    }))
}
