//! Phones that register: REGISTER, where it is challenged again with the answer, 200.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use viaduct_sip::{HeaderName, Limits, Message, Method};

use super::repeat::Repeat;
use super::{Directory, Load, Outbox, PATIENCE, Side};
use crate::load::Tally;

/// The Request-URI of a REGISTER: the domain.
const REGISTRAR: &str = "sip:bench.test";

/// Every phone of a directory, which refreshes its one binding again and again, as the same phone does: one Call-ID, CSeq
/// rising.
#[derive(Debug)]
pub struct Registrations {
    directory: Arc<Directory>,
    phones: Vec<Phone>,
    /// Phones in the order in which they became idle.
    idle: VecDeque<usize>,
    requests: u64,
    limits: Limits,
    tally: Tally,
}

#[derive(Debug, Clone, Default)]
struct Phone {
    cseq: u32,
    /// Since when it registers. `None` when it is idle.
    since: Option<Instant>,
    is_challenged: bool,
    /// When the last request was sent.
    sent: Option<Instant>,
    /// The request that has no answer.
    asked: Option<Repeat>,
}

impl Registrations {
    /// Nobody is registered yet.
    #[must_use]
    pub fn new(directory: Arc<Directory>) -> Self {
        let count = directory.lines().len();
        Self {
            directory,
            phones: vec![Phone::default(); count],
            idle: (0..count).collect(),
            requests: 0,
            limits: Limits::default(),
            tally: Tally::default(),
        }
    }

    fn send(&mut self, now: Instant, index: usize, credentials: Option<&str>, out: &mut Outbox) {
        self.requests += 1;
        let phone = &mut self.phones[index];
        phone.cseq += 1;
        let line = &self.directory.lines()[index];
        let mut request = line
            .request(Method::Register, REGISTRAR, self.requests)
            .from(format!("<{}>;tag=r{index}", line.aor()))
            .to(format!("<{}>", line.aor()))
            .call_id(format!("{index}@registrations"))
            .cseq(phone.cseq)
            .header(HeaderName::Contact, line.contact())
            .header(HeaderName::Expires, "600");
        if let Some(credentials) = credentials {
            request = request.header(HeaderName::Authorization, credentials);
        }
        match request.build() {
            Ok(request) => {
                out.push(line.side, request.clone());
                phone.sent = Some(now);
                phone.asked = Some(Repeat::other(now, line.side, request));
            }
            Err(error) => self.fail(index, error.to_string()),
        }
    }

    /// The phone gives up and is idle again.
    fn fail(&mut self, index: usize, reason: impl Into<String>) {
        self.phones[index].since = None;
        self.phones[index].asked = None;
        self.idle.push_back(index);
        self.tally.fail(reason);
    }
}

impl Load for Registrations {
    fn begin(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let Some(index) = self.idle.pop_front() else {
            return false;
        };
        let phone = &mut self.phones[index];
        phone.since = Some(now);
        phone.is_challenged = false;
        self.send(now, index, None, out);
        true
    }

    fn handle(&mut self, now: Instant, _side: Side, datagram: Bytes, out: &mut Outbox) {
        let Ok(response) = Message::parse_datagram(datagram, &self.limits) else {
            self.tally.stray += 1;
            return;
        };
        let found = find(&response).and_then(|(index, cseq)| {
            let phone = self.phones.get(index).filter(|phone| phone.cseq == cseq)?;
            Some((index, phone.since?))
        });
        let (Some((index, since)), Some(status)) = (found, response.status()) else {
            self.tally.stray += 1;
            return;
        };
        let phone = &mut self.phones[index];
        if let Some(sent) = phone.sent.take_if(|_| status.get() >= 200) {
            phone.asked = None;
            self.tally.hops.add(now.saturating_duration_since(sent));
        }
        match status.get() {
            100..200 => {}
            200..300 => {
                self.phones[index].since = None;
                self.idle.push_back(index);
                self.tally.succeed(now.saturating_duration_since(since));
            }
            401 if !self.phones[index].is_challenged => {
                self.phones[index].is_challenged = true;
                let line = &self.directory.lines()[index];
                let answer = line.credentials(
                    &response,
                    HeaderName::WwwAuthenticate,
                    Method::Register,
                    REGISTRAR,
                );
                match answer {
                    Ok(credentials) => self.send(now, index, Some(&credentials), out),
                    Err(error) => self.fail(index, error.to_string()),
                }
            }
            other => self.fail(index, other.to_string()),
        }
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        for index in 0..self.phones.len() {
            let phone = &mut self.phones[index];
            let Some(since) = phone.since else {
                continue;
            };
            if now.saturating_duration_since(since) > PATIENCE {
                self.fail(index, "no answer");
            } else if let Some(repeat) = &mut phone.asked {
                self.tally.sent_again += u64::from(repeat.handle_timeout(now, out));
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.phones.len() - self.idle.len()
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}

/// Whose response this is, and to which of its requests.
fn find(response: &Message) -> Option<(usize, u32)> {
    let index = response
        .text(HeaderName::CallId)?
        .strip_suffix("@registrations")?;
    let cseq = viaduct_sip::CSeq::parse(response.header(HeaderName::CSeq)?).ok()?;
    Some((index.parse().ok()?, cseq.number))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use viaduct_sip::digest::{Algorithm, Challenge, Credentials, Ha1};
    use viaduct_sip::{ResponseBuilder, StatusCode};

    use super::super::line::{DOMAIN, password};
    use super::super::test::{directory, taken};
    use super::*;

    /// What a registrar answers: a challenge to whoever brings no credentials, a refusal to wrong ones.
    fn answer(request: &Message) -> Bytes {
        let Some(value) = request.header(HeaderName::Authorization) else {
            let challenge = Challenge::new(DOMAIN, "n", Algorithm::Md5).to_string();
            let refusal = ResponseBuilder::new(request, StatusCode::UNAUTHORIZED);
            return refusal
                .header(HeaderName::WwwAuthenticate, challenge)
                .build()
                .unwrap();
        };
        let credentials = Credentials::parse(value).unwrap();
        let user = &credentials.username;
        let ha1 = Ha1::from_password(Algorithm::Md5, user, DOMAIN, &password(user));
        let is_right = credentials.prove(&ha1, Method::Register, b"") && credentials.covers(REGISTRAR);
        let status = if is_right {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        ResponseBuilder::new(request, status).build().unwrap()
    }

    #[test]
    fn the_registrar_is_that_of_the_domain() {
        assert_eq!(REGISTRAR, format!("sip:{DOMAIN}"));
    }

    #[test]
    fn a_phone_registers_with_its_password_and_again_with_the_next_numbers() {
        let mut load = Registrations::new(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let mut now = Instant::now();
        for round in 0..2 {
            assert!(load.begin(now, &mut out) && load.begin(now, &mut out));
            assert!(!load.begin(now, &mut out), "two phones, both busy");
            assert_eq!(load.in_flight(), 2);
            for (exchange, count) in [(1, 2), (2, 2)] {
                now += Duration::from_millis(5);
                let requests = taken(&mut out);
                assert_eq!(requests.len(), count);
                for (side, request) in requests {
                    let number = request.essentials().unwrap().cseq.number;
                    assert_eq!(number, 2 * round + exchange);
                    load.handle(now, side, answer(&request), &mut out);
                }
            }
            assert_eq!(load.in_flight(), 0);
        }
        let tally = load.tally();
        assert_eq!((tally.done, tally.failed, tally.stray), (4, 0, 0));
        assert_eq!(tally.latencies.percentile(100), Some(Duration::from_millis(10)));
        assert_eq!(
            tally.hops.percentile(100),
            Some(Duration::from_millis(5)),
            "each exchange"
        );
        assert_eq!(tally.hops.count(), 8);
    }

    #[test]
    fn what_does_not_succeed_is_counted_as_what_it_was() {
        let mut load = Registrations::new(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let now = Instant::now();
        load.begin(now, &mut out);
        load.begin(now, &mut out);
        let requests = taken(&mut out);
        let refusal = ResponseBuilder::new(&requests[0].1, StatusCode::SERVICE_UNAVAILABLE);
        let refusal = refusal.build().unwrap();
        load.handle(now, requests[0].0, refusal.clone(), &mut out);
        load.handle(now, requests[0].0, refusal, &mut out);
        load.handle(now, Side::Caller, Bytes::from_static(b"rubbish"), &mut out);
        load.handle_timeout(now + PATIENCE, &mut out);
        assert_eq!(
            (load.in_flight(), taken(&mut out).len()),
            (1, 1),
            "it is sent again"
        );
        load.handle_timeout(now + PATIENCE + Duration::from_millis(1), &mut out);
        assert_eq!((load.in_flight(), taken(&mut out).len()), (0, 0));
        // Too late: the phone has given up.
        load.handle(now, requests[1].0, answer(&requests[1].1), &mut out);
        let tally = load.tally();
        assert_eq!((tally.done, tally.failed, tally.stray), (0, 2, 3));
        assert_eq!(tally.sent_again, 1);
        assert_eq!(tally.reasons["503"] + tally.reasons["no answer"], 2);
    }

    #[test]
    fn a_second_challenge_is_a_failure() {
        let mut load = Registrations::new(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let now = Instant::now();
        load.begin(now, &mut out);
        for _ in 0..2 {
            let (side, request) = taken(&mut out).remove(0);
            let challenge = Challenge::new(DOMAIN, "n", Algorithm::Md5).to_string();
            let refusal = ResponseBuilder::new(&request, StatusCode::UNAUTHORIZED)
                .header(HeaderName::WwwAuthenticate, challenge);
            load.handle(now, side, refusal.build().unwrap(), &mut out);
        }
        assert_eq!(load.tally().reasons.get("401"), Some(&1));
        assert!(taken(&mut out).is_empty());
    }
}
