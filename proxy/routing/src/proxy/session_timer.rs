//! Sessions that their ends promise to refresh (RFC 4028). The proxy asks for no refresh itself, but it listens: when a
//! promised one does not come, the dialog is dead, and its media must not live on.

use std::time::{Duration, Instant};

use viaduct_sip::{HeaderName, Item, Message, Method, delta_seconds};

use super::{Alarm, Proxy};
use crate::ProxyEnd;
use crate::calls::CallKey;
use crate::context::{ContextId, Media};

impl Proxy {
    /// A 2xx says for how long the session is good (RFC 4028 section 8.2). Without Session-Expires it is good for ever.
    pub(super) fn observe_session(&mut self, now: Instant, id: ContextId, response: &Message) {
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        if !matches!(context.request.method(), Some(Method::Invite | Method::Update)) {
            return;
        }
        let (Media::Begins(key) | Media::Inside { call: key, .. }) = context.media else {
            return;
        };
        // The ends themselves give up before the time is over. A refresh under way may take a transaction's life.
        let grace = self.config.times.timing.lifetime();
        let until = session_expires(response).map(|interval| now + interval + grace);
        if let Some(call) = self.calls.get_mut(key) {
            call.refreshes += 1;
            call.session_until = until;
            let refresh = call.refreshes;
            self.watch_session(now, key, refresh);
        }
    }

    /// Ends a call whose session was not refreshed in time, or waits on. `refresh` is the refresh that began the wait: after
    /// a later one another wait goes on.
    pub(super) fn watch_session(&mut self, now: Instant, key: CallKey, refresh: u32) {
        let call = self.calls.get(key).filter(|call| call.refreshes == refresh);
        let Some(until) = call.and_then(|call| call.session_until) else {
            return;
        };
        match until.checked_duration_since(now).filter(|left| !left.is_zero()) {
            Some(left) => self
                .alarms
                .set(now, step(left), Alarm::Session { call: key, refresh }),
            None => self.end_call(now, key, ProxyEnd::NotRefreshed),
        }
    }
}

/// The next part of a wait: a power of two, so that waits of any length, which peers choose, share few queues of alarms.
fn step(left: Duration) -> Duration {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    Duration::from_secs(1 << seconds.max(1).ilog2())
}

/// The interval in Session-Expires: never below what RFC 4028 section 4 allows, and at most a day, as nobody means more.
fn session_expires(response: &Message) -> Option<Duration> {
    const INTERVAL_MIN_S: u32 = 90;
    const INTERVAL_MAX_S: u32 = 86_400;
    let value = response.header(HeaderName::SessionExpires)?;
    let seconds = delta_seconds(Item::parse(value).ok()?.value)?;
    Some(Duration::from_secs(
        seconds.clamp(INTERVAL_MIN_S, INTERVAL_MAX_S).into(),
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::step;

    #[test]
    fn a_wait_of_any_length_is_made_of_few_steps_and_ends_in_time() {
        for seconds in [1, 2, 3, 90, 122, 1_832, 86_432] {
            let mut left = Duration::from_secs(seconds);
            let mut steps = 0;
            while !left.is_zero() {
                left = left.saturating_sub(step(left));
                steps += 1;
            }
            assert!(steps <= 17, "{seconds} s in {steps} steps");
        }
        assert_eq!(step(Duration::from_millis(1)), Duration::from_secs(1));
    }
}
