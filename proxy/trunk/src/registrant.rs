//! We register with a trunk as a phone would (RFC 3261 section 10.2).

mod request;
#[cfg(test)]
mod tests;

pub use self::request::RegisterRequest;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use viaduct_sip::{CSEQ_MAX, HeaderName, Message, Method, StatusCode, delta_seconds};

use crate::{Asked, Trunk, Unanswered};

/// Keeps one registration with a trunk alive.
///
/// **After every `handle_*` call, drain [`poll_output`](Self::poll_output) until it returns `None`.**
#[derive(Debug)]
pub struct Registrant {
    trunk: Arc<Trunk>,
    rng: StdRng,
    call_id: String,
    from_tag: String,
    cseq: u32,
    /// What the trunk lets us ask for: more than configured after a 423.
    expires: Duration,
    phase: Phase,
    /// Failed attempts in a row.
    failures: u32,
    /// Until when the trunk keeps us, as far as it said.
    kept_until: Option<Instant>,
    /// The registration is to end, and until when the trunk is waited for.
    end_by: Option<Instant>,
    outputs: Vec<RegistrantOutput>,
}

/// What must be done, or has come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrantOutput {
    /// Send this to the trunk, and tell what comes of it.
    Send(RegisterRequest),
    /// The registration is good until then.
    Registered {
        /// When the trunk forgets us.
        until: Instant,
        /// Where the trunk took it.
        at: IpAddr,
    },
    /// The attempt failed; there will be another one.
    Failed {
        /// Why, in words.
        reason: String,
        /// When the next one is due.
        again: Instant,
    },
    /// It was [ended](Registrant::end), and there will be no other one.
    Ended {
        /// The trunk has said so, or never kept one. False when it did not answer in time, or did not want to.
        is_sure: bool,
    },
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Nothing is under way.
    Idle { send_at: Instant },
    /// A request is under way.
    Sent {
        /// With credentials.
        proven: bool,
        /// Its wish for a time was raised after a 423.
        raised: bool,
        /// It ends the registration.
        is_last: bool,
    },
    /// Nothing will ever be.
    Over,
}

/// The first pause after a failure, and the longest (RFC 5626 section 4.5).
const PAUSE: Duration = Duration::from_secs(30);
const PAUSE_MAX: Duration = Duration::from_secs(1_800);

/// The pause after a refused password. Trunks lock accounts that keep trying.
const PAUSE_REFUSED: Duration = Duration::from_secs(300);

/// A time for a registration that is longer is cut. Nobody should have to wait longer to be found again.
const EXPIRES_MAX: Duration = Duration::from_secs(86_400);

impl Registrant {
    /// Registers at `first` for the first time. Its Call-ID begins with `call_ids`; `seed` is for the random parts of
    /// messages.
    pub fn new(trunk: Arc<Trunk>, first: Instant, call_ids: &str, seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let expires = trunk.register.unwrap_or(EXPIRES_MAX).min(EXPIRES_MAX);
        Self {
            call_id: format!("{call_ids}{}", random(&mut rng)),
            from_tag: random(&mut rng),
            cseq: 0,
            trunk,
            rng,
            expires,
            phase: Phase::Idle { send_at: first },
            failures: 0,
            kept_until: None,
            end_by: None,
            outputs: Vec::new(),
        }
    }

    /// The trunk answered, from this address. Provisional answers change nothing.
    pub fn handle_answer(&mut self, now: Instant, response: &Message, from: IpAddr) {
        let Phase::Sent {
            proven,
            raised,
            is_last,
        } = self.phase
        else {
            return;
        };
        let Some(status) = response.status() else { return };
        match status.get() {
            100..=199 => {}
            200..=299 if is_last => self.over(true),
            200..=299 if self.end_by.is_some() => self.send(Vec::new(), false, false),
            200..=299 => self.registered(now, response, from),
            401 | 407 => self.challenged(now, response, proven, raised),
            423 if !raised => self.too_brief(now, response),
            other => {
                let wish = response.header(HeaderName::RetryAfter).and_then(delta_seconds);
                let pause = wish.map_or(self.pause(), |s| Duration::from_secs(s.into()));
                self.failed(now, format!("{other} {}", reason_of(response)), pause);
            }
        }
    }

    /// The request could not be sent, or was not answered.
    pub fn handle_no_answer(&mut self, now: Instant) {
        if let Phase::Sent { .. } = self.phase {
            self.failed(now, "no answer".to_owned(), self.pause());
        }
    }

    /// Ends the registration (RFC 3261 section 10.2.2), and waits for the trunk as long as [`Trunk::unregister`] says:
    /// [`RegistrantOutput::Ended`] comes by then. Without a time nothing is said, and the registration runs out.
    pub fn end(&mut self, now: Instant) {
        let Some(patience) = self.trunk.unregister else {
            self.phase = Phase::Over;
            return;
        };
        self.end_by = Some(now + patience);
        match self.phase {
            Phase::Idle { .. } if self.kept_until.is_some_and(|until| now < until) => {
                self.send(Vec::new(), false, false);
            }
            Phase::Idle { .. } => self.over(true),
            // What is under way comes to its end first: its answer shows whether there is anything to end.
            Phase::Sent { .. } | Phase::Over => {}
        }
    }

    /// True from [`end`](Self::end) until [`RegistrantOutput::Ended`].
    pub fn is_ending(&self) -> bool {
        self.end_by.is_some() && !matches!(self.phase, Phase::Over)
    }

    /// [`poll_timeout`](Self::poll_timeout) was reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_ending() && self.end_by.is_some_and(|by| by <= now) {
            return self.over(false);
        }
        if let Phase::Idle { send_at } = self.phase
            && send_at <= now
        {
            self.send(Vec::new(), false, false);
        }
    }

    /// What must be done next.
    pub fn poll_output(&mut self) -> Option<RegistrantOutput> {
        (!self.outputs.is_empty()).then(|| self.outputs.remove(0))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). `None` while an answer is awaited, and at the end.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle { send_at } => Some(send_at),
            Phase::Sent { .. } => self.end_by,
            Phase::Over => None,
        }
    }

    fn registered(&mut self, now: Instant, response: &Message, at: IpAddr) {
        let granted = self.granted(response);
        if granted.is_zero() {
            return self.failed(now, "the trunk keeps no registration".to_owned(), self.pause());
        }
        self.failures = 0;
        self.kept_until = Some(now + granted);
        self.phase = Phase::Idle {
            send_at: now + granted.mul_f64(0.8),
        };
        self.outputs.push(RegistrantOutput::Registered {
            until: now + granted,
            at,
        });
    }

    /// The time that the trunk keeps us: of our own Contact among all those of the account, else of the whole answer.
    fn granted(&self, response: &Message) -> Duration {
        let own = response
            .contacts()
            .filter_map(Result::ok)
            .find_map(|contact| match contact {
                viaduct_sip::Contact::Addr(addr) => {
                    let user = addr.uri().ok()?.user()?;
                    (user == self.trunk.name).then(|| addr.expires())?
                }
                viaduct_sip::Contact::Wildcard => None,
            });
        own.or_else(|| response.expires())
            .map_or(self.expires, |s| Duration::from_secs(s.into()))
            .min(EXPIRES_MAX)
    }

    fn challenged(&mut self, now: Instant, response: &Message, proven: bool, raised: bool) {
        let cnonce = random(&mut self.rng);
        let asked = Asked {
            method: Method::Register,
            uri: &self.trunk.uri(),
            body: b"",
            cnonce: &cnonce,
            again: proven,
        };
        let answered = match &self.trunk.account {
            Some(account) => account.answer(response, &asked),
            None => Err(Unanswered::NoChallenge),
        };
        match answered {
            Ok(credentials) => self.send(credentials, true, raised),
            Err(why) => self.failed(now, why.to_string(), self.pause().max(PAUSE_REFUSED)),
        }
    }

    /// RFC 3261 section 10.2.8.
    fn too_brief(&mut self, now: Instant, response: &Message) {
        let least = response.header(HeaderName::MinExpires).and_then(delta_seconds);
        let least = least.map(|s| Duration::from_secs(s.into()));
        match least.filter(|least| (self.expires..=EXPIRES_MAX).contains(least)) {
            Some(least) => {
                self.expires = least;
                self.send(Vec::new(), false, true);
            }
            None => self.failed(now, "423 without a usable Min-Expires".to_owned(), self.pause()),
        }
    }

    fn send(&mut self, credentials: Vec<(HeaderName, String)>, proven: bool, raised: bool) {
        // One Call-ID for the life of the process, rising CSeq (section 10.2).
        self.cseq = if self.cseq >= CSEQ_MAX { 1 } else { self.cseq + 1 };
        let is_last = self.end_by.is_some();
        self.phase = Phase::Sent {
            proven,
            raised,
            is_last,
        };
        let expires = if is_last { Duration::ZERO } else { self.expires };
        self.outputs.push(RegistrantOutput::Send(RegisterRequest {
            call_id: self.call_id.clone(),
            from_tag: self.from_tag.clone(),
            cseq: self.cseq,
            expires_s: u32::try_from(expires.as_secs()).unwrap_or(u32::MAX),
            credentials,
        }));
    }

    /// Nothing is registered any more, or nobody waits for it.
    fn over(&mut self, is_sure: bool) {
        self.phase = Phase::Over;
        self.outputs.push(RegistrantOutput::Ended { is_sure });
    }

    fn failed(&mut self, now: Instant, reason: String, pause: Duration) {
        if self.end_by.is_some() {
            return self.over(false);
        }
        self.failures = self.failures.saturating_add(1);
        let again = now + pause.clamp(Duration::from_secs(1), PAUSE_MAX);
        self.phase = Phase::Idle { send_at: again };
        self.outputs.push(RegistrantOutput::Failed { reason, again });
    }

    /// Twice as long after each failure.
    fn pause(&self) -> Duration {
        PAUSE.saturating_mul(1 << self.failures.min(10)).min(PAUSE_MAX)
    }
}

fn random(rng: &mut StdRng) -> String {
    viaduct_sip::token::random_token::<12>(|octets| rng.fill_bytes(octets))
}

fn reason_of(response: &Message) -> String {
    match response.start() {
        viaduct_sip::Start::Response { reason, .. } if !reason.is_empty() => {
            String::from_utf8_lossy(reason).into_owned()
        }
        _ => response
            .status()
            .map_or("", StatusCode::default_reason)
            .to_owned(),
    }
}
