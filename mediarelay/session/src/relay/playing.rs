//! `play media` and `stop media`.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use viaduct_clip::Clip;
use viaduct_ng::{Dict, ErrorReason, OkReply, Reply, Value};
use viaduct_rtp::telephone_event::event_of;

use super::Relay;
use super::others::{get, has_flag, text};
use crate::call::{Call, Key, Manner};
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
            let others = core.players - call.players_counted() + call.players_besides(&parties);
            if others + parties.len() > limits.players {
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
                    call.stop_playing(core, *party);
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
        self.about_parties(now, body, |_, call, core, parties| {
            let stopped = parties.iter().map(|party| call.stop_playing(core, *party));
            let positions: Vec<usize> = stopped.flatten().collect();
            let first = positions.first().and_then(|at| i64::try_from(*at).ok());
            Ok(with("last-frame-pos", first))
        })
    }

    /// `play DTMF`: keys of a party are pressed for those who hear it.
    pub(super) fn play_dtmf(&mut self, now: Instant, body: &Dict) -> Reply {
        self.about_parties(now, body, |now, call, core, parties| {
            let key = Key::of(body)?;
            let others = core.players - call.players_counted() + call.players_count();
            if others + parties.len() > core.config.limits.players {
                core.counters.limits.players += 1;
                return Err(ErrorReason::Other("Too many media players".into()));
            }
            for party in &parties {
                call.check_key(*party).map_err(ErrorReason::Other)?;
            }
            for party in parties {
                call.press_key(now, core, party, key);
            }
            Ok(Reply::ok())
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
            work(now, call, core, parties)
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
            if call.play(now, &mut self.core) {
                self.work(now, key, |_, _| ());
            } else {
                self.plan_playing(key);
            }
        }
    }

    /// Notes what is played in a call, and when the next packet of it is due.
    pub(super) fn plan_playing(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let (next, count) = (call.next_packet(), call.players_count());
        let Some(playing) = &mut call.playing else {
            return;
        };
        self.core.players += count;
        self.core.players -= std::mem::replace(&mut playing.counted, count);
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

/// A number that a command names.
fn number(body: &Dict, key: &str) -> Option<i64> {
    get(body, key)?.to_integer()
}

impl Key {
    /// The key that a command names, in bounds.
    fn of(body: &Dict) -> Result<Self, ErrorReason> {
        let named = get(body, "code").or_else(|| get(body, "digit"));
        let named = named.ok_or_else(|| ErrorReason::Other("No DTMF code specified".into()))?;
        let of_character = || {
            let text = named.as_bytes()?.as_text()?;
            let mut characters = text.trim_ascii().chars();
            let event = event_of(characters.next()?)?;
            characters.next().is_none().then_some(event)
        };
        // `1` is the key and its code alike; of two digits it can only be the code.
        let of_number = || u8::try_from(named.to_integer()?).ok().filter(|code| *code < 16);
        let event = of_character().or_else(of_number);
        let event = event.ok_or_else(|| ErrorReason::Other("Out of range DTMF code specified".into()))?;
        let millis =
            |key, default| number(body, key).map_or(default, |millis| millis.clamp(100, 5_000) as u16);
        let volume = number(body, "volume").unwrap_or(-8);
        Ok(Self {
            event,
            millis: millis("duration", 250),
            pause: Duration::from_millis(millis("pause", 100).into()),
            volume: volume.unsigned_abs().min(63) as u8,
        })
    }
}

fn manner_in(body: &Dict) -> Manner {
    let number = |key| u32::try_from(number(body, key)?).ok();
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
