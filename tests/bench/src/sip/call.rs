//! Phones that call each other: INVITE (where it is challenged, again with credentials), 180, 200, ACK, BYE, 200.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use viaduct_sip::{
    CSeq, HeaderName, Limits, Message, Method, NameAddr, RequestBuilder, ResponseBuilder, StatusCode,
};

use super::repeat::Repeat;
use super::{Directory, Load, Outbox, PATIENCE, Side};
use crate::load::Tally;

/// Pairs of phones, each with one call at a time: as soon as the callee has seen the ACK, the caller hangs up.
///
/// A call is done when the BYE is answered. Its latency is that of its set-up: from the first INVITE to the 200. Its hop
/// is the way of the INVITE to the callee.
///
/// What UDP loses is sent again as RFC 3261 says, by the caller and by the callee.
#[derive(Debug)]
pub struct Calls {
    directory: Arc<Directory>,
    pairs: Vec<Pair>,
    /// Pairs in the order in which they became idle.
    idle: VecDeque<usize>,
    /// Pairs whose calls go on.
    talking: usize,
    go_on: bool,
    requests: u64,
    limits: Limits,
    tally: Tally,
}

#[derive(Debug, Clone, Default)]
struct Pair {
    /// Tells the calls of a pair apart.
    round: u64,
    since: Option<Instant>,
    stage: Stage,
    /// The number of the caller's last request, ACK aside.
    cseq: u32,
    /// When the INVITE that the proxy takes was sent.
    invited: Option<Instant>,
    /// The INVITE has reached the callee.
    is_ringing: bool,
    /// The caller's request that has no answer.
    asked: Option<Repeat>,
    /// The callee's 200 that has no ACK.
    accepted: Option<Repeat>,
}

#[derive(Debug, Clone, Default)]
enum Stage {
    #[default]
    Idle,
    /// The INVITE without credentials was sent.
    Asking(Message),
    /// The one with credentials was sent.
    Calling(Message),
    /// It was answered, and the ACK sent.
    Answered(Dialog),
    /// Nobody hangs up.
    Talking,
    /// The BYE was sent.
    Ending,
}

/// What the caller needs to send requests in the dialog.
#[derive(Debug, Clone)]
struct Dialog {
    target: String,
    routes: Vec<Bytes>,
    to: Bytes,
    setup: std::time::Duration,
    /// For whoever says 200 again.
    ack: Bytes,
}

const SDP_TYPE: &str = "application/sdp";

impl Calls {
    /// All pairs of the directory, none of which calls yet. They must be registered.
    #[must_use]
    pub fn new(directory: Arc<Directory>) -> Self {
        let pairs = directory.pairs();
        Self {
            directory,
            pairs: vec![Pair::default(); pairs],
            idle: (0..pairs).collect(),
            talking: 0,
            go_on: false,
            requests: 0,
            limits: Limits::default(),
            tally: Tally::default(),
        }
    }

    /// The same, of whom nobody hangs up: a call is done when the callee has the ACK.
    #[must_use]
    pub fn that_go_on(directory: Arc<Directory>) -> Self {
        Self {
            go_on: true,
            ..Self::new(directory)
        }
    }

    /// A request of the caller in its current call.
    fn request(&mut self, index: usize, method: Method<'_>, uri: &str) -> RequestBuilder {
        self.requests += 1;
        let (caller, _) = self.directory.pair(index);
        caller
            .request(method, uri, self.requests)
            .from(format!("<{}>;tag=c{index}", caller.aor()))
            .call_id(call_id(index, self.pairs[index].round))
    }

    fn push(&mut self, index: usize, request: RequestBuilder, out: &mut Outbox) -> Option<Bytes> {
        match request.build() {
            Ok(octets) => {
                out.push(Side::Caller, octets.clone());
                Some(octets)
            }
            Err(error) => {
                self.fail(index, error.to_string());
                None
            }
        }
    }

    fn invite(&mut self, now: Instant, index: usize, credentials: Option<&str>, out: &mut Outbox) {
        let (caller, callee) = self.directory.pair(index);
        let (contact, target) = (caller.contact(), callee.aor());
        let offer = sdp(4_000);
        self.pairs[index].cseq += 1;
        let mut invite = self
            .request(index, Method::Invite, &target)
            .to(format!("<{target}>"))
            .cseq(self.pairs[index].cseq)
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS")
            .body(SDP_TYPE, offer);
        if let Some(credentials) = credentials {
            invite = invite.header(HeaderName::ProxyAuthorization, credentials);
        }
        let Some(octets) = self.push(index, invite, out) else {
            return;
        };
        let Ok(invite) = Message::parse_datagram(octets.clone(), &self.limits) else {
            return self.fail(index, "an INVITE that is none");
        };
        let pair = &mut self.pairs[index];
        pair.invited = Some(now);
        pair.asked = Some(Repeat::invite(now, Side::Caller, octets));
        pair.stage = match credentials {
            None => Stage::Asking(invite),
            Some(_) => Stage::Calling(invite),
        };
    }

    /// A response came to the caller.
    fn answered(&mut self, now: Instant, index: usize, response: &Message, out: &mut Outbox) {
        let Some(cseq) = cseq_of(response).filter(|cseq| cseq.number == self.pairs[index].cseq) else {
            self.tally.stray += 1;
            return;
        };
        let status = response.status().map_or(0, StatusCode::get);
        if status >= 200 || cseq.method == Method::Invite {
            self.pairs[index].asked = None;
        }
        match (&self.pairs[index].stage, cseq.method, status) {
            (_, _, 100..200) => {}
            (Stage::Asking(invite) | Stage::Calling(invite), Method::Invite, 300..) => {
                let is_challenge = status == 407 && matches!(self.pairs[index].stage, Stage::Asking(_));
                let ack = RequestBuilder::ack_for(invite, response);
                match ack.map(|ack| self.push(index, ack, out)) {
                    Ok(Some(_)) if is_challenge => self.retry(now, index, response, out),
                    Ok(Some(_)) => self.fail(index, format!("{status} to INVITE")),
                    Ok(None) => {}
                    Err(error) => self.fail(index, error.to_string()),
                }
            }
            (Stage::Asking(_) | Stage::Calling(_), Method::Invite, 200..300) => {
                self.acknowledge(now, index, response, out);
            }
            (Stage::Ending, Method::Bye, 200..300) => self.end(index),
            (Stage::Answered(dialog), Method::Invite, 200..300) => {
                out.push(Side::Caller, dialog.ack.clone());
                self.tally.repeated += 1;
            }
            (_, _, 300..) => self.fail(index, format!("{status} to {}", cseq.method.as_str())),
            _ => self.tally.stray += 1,
        }
    }

    /// Calls again, with an answer to the challenge.
    fn retry(&mut self, now: Instant, index: usize, challenge: &Message, out: &mut Outbox) {
        let (caller, callee) = self.directory.pair(index);
        let answer = caller.credentials(
            challenge,
            HeaderName::ProxyAuthenticate,
            Method::Invite,
            &callee.aor(),
        );
        match answer {
            Ok(credentials) => self.invite(now, index, Some(&credentials), out),
            Err(error) => self.fail(index, error.to_string()),
        }
    }

    fn acknowledge(&mut self, now: Instant, index: usize, response: &Message, out: &mut Outbox) {
        let since = self.pairs[index].since.unwrap_or(now);
        let Some(mut dialog) = Dialog::of(response, now.saturating_duration_since(since)) else {
            return self.fail(index, "a 200 that makes no dialog");
        };
        let ack = self.request(index, Method::Ack, &dialog.target);
        let ack = dialog.addressed(ack).cseq(self.pairs[index].cseq);
        if let Some(octets) = self.push(index, ack, out) {
            dialog.ack = octets;
            self.pairs[index].stage = Stage::Answered(dialog);
        }
    }

    /// The callee has the ACK.
    fn hang_up(&mut self, now: Instant, index: usize, out: &mut Outbox) {
        let Stage::Answered(dialog) = &self.pairs[index].stage else {
            self.tally.repeated += 1;
            return;
        };
        let dialog = dialog.clone();
        if self.go_on {
            self.tally.succeed(dialog.setup);
            self.pairs[index].since = None;
            self.pairs[index].stage = Stage::Talking;
            self.talking += 1;
            return;
        }
        self.pairs[index].cseq += 1;
        let bye = self.request(index, Method::Bye, &dialog.target);
        let bye = dialog.addressed(bye).cseq(self.pairs[index].cseq);
        if let Some(octets) = self.push(index, bye, out) {
            self.tally.latencies.add(dialog.setup);
            self.pairs[index].asked = Some(Repeat::other(now, Side::Caller, octets));
            self.pairs[index].stage = Stage::Ending;
        }
    }

    /// A request came to the callee.
    fn called(&mut self, now: Instant, index: usize, request: &Message, out: &mut Outbox) {
        let pair = &mut self.pairs[index];
        match request.method() {
            Some(Method::Invite) => {
                if std::mem::replace(&mut pair.is_ringing, true) {
                    self.tally.repeated += 1;
                } else if let Some(sent) = pair.invited {
                    self.tally.hops.add(now.saturating_duration_since(sent));
                }
                self.respond(index, request, StatusCode::RINGING, out);
                let accepted = self.respond(index, request, StatusCode::OK, out);
                self.pairs[index].accepted = accepted.map(|ok| Repeat::other(now, Side::Callee, ok));
            }
            Some(Method::Ack) => {
                pair.accepted = None;
                self.hang_up(now, index, out);
            }
            Some(Method::Bye) => {
                self.respond(index, request, StatusCode::OK, out);
            }
            _ => self.tally.stray += 1,
        }
    }

    fn respond(
        &mut self,
        index: usize,
        request: &Message,
        status: StatusCode,
        out: &mut Outbox,
    ) -> Option<Bytes> {
        let (_, callee) = self.directory.pair(index);
        let mut response = ResponseBuilder::new(request, status).to_tag(&format!("e{index}"));
        if request.method() == Some(Method::Invite) {
            response = response.header(HeaderName::Contact, callee.contact());
            if status == StatusCode::OK {
                response = response.body(SDP_TYPE, sdp(4_002));
            }
        }
        match response.build() {
            Ok(response) => {
                out.push(Side::Callee, response.clone());
                Some(response)
            }
            Err(error) => {
                self.fail(index, error.to_string());
                None
            }
        }
    }

    fn end(&mut self, index: usize) {
        self.tally.done += 1;
        self.rest(index);
    }

    fn fail(&mut self, index: usize, reason: impl Into<String>) {
        if !matches!(self.pairs[index].stage, Stage::Idle) {
            self.tally.fail(reason);
            self.rest(index);
        }
    }

    fn rest(&mut self, index: usize) {
        self.pairs[index] = Pair {
            round: self.pairs[index].round,
            ..Pair::default()
        };
        self.idle.push_back(index);
    }
}

impl Load for Calls {
    fn begin(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let Some(index) = self.idle.pop_front() else {
            return false;
        };
        let pair = &mut self.pairs[index];
        pair.round += 1;
        pair.since = Some(now);
        self.invite(now, index, None, out);
        true
    }

    fn handle(&mut self, now: Instant, side: Side, datagram: Bytes, out: &mut Outbox) {
        let Ok(message) = Message::parse_datagram(datagram, &self.limits) else {
            self.tally.stray += 1;
            return;
        };
        let found = message.text(HeaderName::CallId).and_then(pair_of);
        let current = found.filter(|&(index, round)| {
            let pair = self.pairs.get(index);
            pair.is_some_and(|pair| pair.round == round && !matches!(pair.stage, Stage::Idle))
        });
        match (current, side, message.is_request()) {
            (Some((index, _)), Side::Caller, false) => self.answered(now, index, &message, out),
            (Some((index, _)), Side::Callee, true) => self.called(now, index, &message, out),
            _ => self.tally.stray += 1,
        }
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        for index in 0..self.pairs.len() {
            let pair = &mut self.pairs[index];
            let Some(since) = pair.since else {
                continue;
            };
            if now.saturating_duration_since(since) > PATIENCE {
                let missing = match pair.stage {
                    Stage::Idle | Stage::Talking => continue,
                    Stage::Asking(_) | Stage::Calling(_) => "no answer",
                    Stage::Answered(_) => "no ACK",
                    Stage::Ending => "no answer to BYE",
                };
                self.fail(index, missing);
                continue;
            }
            for repeat in [&mut pair.asked, &mut pair.accepted].into_iter().flatten() {
                self.tally.sent_again += u64::from(repeat.handle_timeout(now, out));
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.pairs.len() - self.idle.len() - self.talking
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}

impl Dialog {
    /// What a 200 to an INVITE says (RFC 3261 section 12.1.2).
    fn of(response: &Message, setup: std::time::Duration) -> Option<Self> {
        let contact = NameAddr::parse(response.values(HeaderName::Contact).next()?).ok()?;
        let mut routes: Vec<Bytes> = response
            .values(HeaderName::RecordRoute)
            .map(|route| response.share(route))
            .collect();
        routes.reverse();
        Some(Self {
            target: contact.uri().ok()?.as_str().to_owned(),
            routes,
            to: response.share(response.header(HeaderName::To)?),
            setup,
            ack: Bytes::new(),
        })
    }

    /// A request with the dialog's route set and To. Every proxy on the way is a loose router.
    fn addressed(&self, request: RequestBuilder) -> RequestBuilder {
        let request = self.routes.iter().fold(request, RequestBuilder::route);
        request.to(&self.to)
    }
}

fn call_id(index: usize, round: u64) -> String {
    format!("{index}-{round}@calls")
}

/// The pair and the round that a Call-ID stands for.
fn pair_of(call_id: &str) -> Option<(usize, u64)> {
    let (index, round) = call_id.strip_suffix("@calls")?.split_once('-')?;
    Some((index.parse().ok()?, round.parse().ok()?))
}

fn cseq_of(message: &Message) -> Option<CSeq<'_>> {
    CSeq::parse(message.header(HeaderName::CSeq)?).ok()
}

/// What a plain phone offers or answers.
fn sdp(port: u16) -> String {
    format!(
        "v=0\r\no=- 4711 1 IN IP4 127.0.0.1\r\ns=call\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use viaduct_sip::Edit;
    use viaduct_sip::digest::{Algorithm, Challenge};

    use super::super::line::DOMAIN;
    use super::super::test::{directory, taken};
    use super::*;

    /// Passes messages from one side to the other as a proxy does that challenges and stays on the path.
    fn pass(load: &mut Calls, now: Instant, side: Side, message: &Message, out: &mut Outbox) {
        let is_invite = message.method() == Some(Method::Invite);
        let other = match side {
            Side::Caller => Side::Callee,
            Side::Callee => Side::Caller,
        };
        if is_invite && !message.has(HeaderName::ProxyAuthorization) {
            load.handle(now, side, challenge(message), out);
        } else if is_invite {
            let mut edit = Edit::new(message);
            edit.set(
                HeaderName::RecordRoute,
                "<sip:proxy;lr;side=b>, <sip:proxy;lr;side=a>",
            );
            load.handle(now, other, edit.finish().unwrap(), out);
        } else if message.method() == Some(Method::Ack) && !message.has(HeaderName::Route) {
            // The one to the 407 ends here.
        } else {
            load.handle(now, other, message.octets().clone(), out);
        }
    }

    fn challenge(invite: &Message) -> Bytes {
        let value = Challenge::new(DOMAIN, "n", Algorithm::Md5).to_string();
        let status = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        let refusal = ResponseBuilder::new(invite, status).to_tag("p");
        refusal
            .header(HeaderName::ProxyAuthenticate, value)
            .build()
            .unwrap()
    }

    #[test]
    fn a_call_is_set_up_and_ended_along_the_recorded_route() {
        let mut load = Calls::new(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let mut now = Instant::now();
        let mut seen = Vec::new();
        for _ in 0..2 {
            assert!(load.begin(now, &mut out) && !load.begin(now, &mut out));
            while load.in_flight() > 0 {
                now += Duration::from_millis(1);
                let messages = taken(&mut out);
                assert!(!messages.is_empty(), "the call stands still");
                for (side, message) in messages {
                    seen.push(message.octets().clone());
                    pass(&mut load, now, side, &message, &mut out);
                }
            }
        }
        let starts: Vec<_> = seen[..9]
            .iter()
            .map(|octets| String::from_utf8_lossy(&octets[..11]).into_owned())
            .collect();
        let expected = [
            "INVITE sip:",
            "ACK sip:100",
            "INVITE sip:",
            "SIP/2.0 180",
            "SIP/2.0 200",
            "ACK sip:100",
            "BYE sip:100",
            "SIP/2.0 200",
        ];
        assert_eq!(starts[..8], expected);
        let bye = Message::parse_datagram(seen[6].clone(), &Limits::default()).unwrap();
        let routes: Vec<&[u8]> = bye.values(HeaderName::Route).collect();
        assert_eq!(routes, [&b"<sip:proxy;lr;side=a>"[..], b"<sip:proxy;lr;side=b>"]);
        assert_eq!(bye.request_uri_text(), Some("sip:100001@127.0.0.1:5062"));
        let tally = load.tally();
        assert_eq!((tally.done, tally.failed), (2, 0));
        assert_eq!((tally.stray, tally.repeated), (0, 0));
        // INVITE, then the other INVITE, then 200: three of the steps of a millisecond.
        assert_eq!(tally.latencies.percentile(100), Some(Duration::from_millis(3)));
    }

    #[test]
    fn a_proxy_that_trusts_its_phones_is_called_once() {
        let mut load = Calls::new(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let now = Instant::now();
        load.begin(now, &mut out);
        let mut messages = 0;
        while load.in_flight() > 0 {
            for (side, message) in taken(&mut out) {
                messages += 1;
                let other = match side {
                    Side::Caller => Side::Callee,
                    Side::Callee => Side::Caller,
                };
                load.handle(now, other, message.octets().clone(), &mut out);
            }
        }
        let tally = load.tally();
        assert_eq!((messages, tally.done, tally.failed, tally.stray), (6, 1, 0, 0));
    }

    #[test]
    fn a_refusal_ends_the_call() {
        let mut load = Calls::new(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let now = Instant::now();
        load.begin(now, &mut out);
        let (side, invite) = taken(&mut out).remove(0);
        let busy = ResponseBuilder::new(&invite, StatusCode::BUSY_HERE)
            .build()
            .unwrap();
        load.handle(now, side, busy, &mut out);
        assert_eq!(load.in_flight(), 0);
        assert_eq!(load.tally().reasons.get("486 to INVITE"), Some(&1));
    }

    #[test]
    fn silence_fails_a_call_by_what_is_missing_and_the_next_one_is_another() {
        let mut load = Calls::new(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let now = Instant::now();
        load.begin(now, &mut out);
        let (side, invite) = taken(&mut out).remove(0);
        let later = now + PATIENCE + Duration::from_millis(1);
        load.handle_timeout(later, &mut out);
        assert!(taken(&mut out).is_empty());
        assert_eq!(load.tally().reasons.get("no answer"), Some(&1));
        load.begin(later, &mut out);
        taken(&mut out);
        load.handle(later, side, challenge(&invite), &mut out);
        assert_eq!(load.tally().stray, 1, "the answer to the first call");
        assert_eq!(load.in_flight(), 1);
    }

    #[test]
    fn repeats_are_counted_and_do_not_disturb() {
        let mut load = Calls::new(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let now = Instant::now();
        load.begin(now, &mut out);
        for _ in 0..20 {
            for (side, message) in taken(&mut out) {
                pass(&mut load, now, side, &message, &mut out);
                let is_forwarded_invite = message.has(HeaderName::ProxyAuthorization);
                if is_forwarded_invite {
                    load.handle(now, Side::Callee, message.octets().clone(), &mut out);
                }
            }
        }
        let tally = load.tally();
        assert_eq!((tally.done, tally.failed), (1, 0));
        assert!(tally.repeated >= 2, "the INVITE and its 200: {tally:?}");
    }
    /// RFC 3261 17.1.1.2, 13.3.1.4, 13.2.2.4, 17.1.2.2: everything is lost once, and the call succeeds all the same.
    #[test]
    fn what_is_lost_once_is_sent_again() {
        let mut load = Calls::new(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let mut now = Instant::now();
        let mut lost = std::collections::BTreeSet::new();
        load.begin(now, &mut out);
        while load.in_flight() > 0 {
            now += Duration::from_millis(100);
            load.handle_timeout(now, &mut out);
            for (side, message) in taken(&mut out) {
                let method = message.method().map(|method| method.as_str().to_owned());
                let status = message.status().map(StatusCode::get);
                // A proxy answers for what it has, so the 200 to the BYE is not sent again by itself.
                if lost.insert((method, status, message.text(HeaderName::CSeq).map(str::to_owned))) {
                    continue;
                }
                let other = match side {
                    Side::Caller => Side::Callee,
                    Side::Callee => Side::Caller,
                };
                load.handle(now, other, message.octets().clone(), &mut out);
            }
        }
        let tally = load.tally();
        assert_eq!((tally.done, tally.failed), (1, 0), "{tally:?}");
        assert!(tally.sent_again >= 3, "{tally:?}");
        assert_eq!(tally.hops.percentile(50), Some(Duration::from_millis(500)));
    }

    #[test]
    fn a_refusal_is_acknowledged() {
        let mut load = Calls::new(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let now = Instant::now();
        load.begin(now, &mut out);
        let (side, invite) = taken(&mut out).remove(0);
        let error = StatusCode::SERVICE_UNAVAILABLE;
        let refusal = ResponseBuilder::new(&invite, error).to_tag("p").build().unwrap();
        load.handle(now, side, refusal, &mut out);
        let (_, ack) = taken(&mut out).remove(0);
        assert_eq!(ack.method(), Some(Method::Ack));
        load.handle_timeout(now + Duration::from_secs(1), &mut out);
        assert!(taken(&mut out).is_empty(), "and the INVITE is not sent again");
    }

    #[test]
    fn a_call_that_goes_on_is_done_and_its_phones_are_not_idle() {
        let mut load = Calls::that_go_on(Arc::new(directory(1)));
        let mut out = Outbox::default();
        let now = Instant::now();
        load.begin(now, &mut out);
        while load.in_flight() > 0 {
            for (side, message) in taken(&mut out) {
                pass(&mut load, now, side, &message, &mut out);
            }
        }
        assert_eq!((load.tally().done, load.tally().failed), (1, 0));
        assert!(!load.begin(now, &mut out), "they still talk");
        load.handle_timeout(now + PATIENCE * 2, &mut out);
        assert_eq!((load.tally().failed, taken(&mut out).len()), (0, 0));
    }
}
