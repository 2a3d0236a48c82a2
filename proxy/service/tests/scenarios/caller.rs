//! The agent with a clock, and callers that talk to it through a proxy.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use viaduct_sdp::Session;
use viaduct_service::{
    Agent, Config, Event, MediaAddress, MediaOpenError, MediaParams, Output, StreamEvent, StreamId,
};
use viaduct_sip::{HeaderName, Limits, Message};

/// Where the shell opens media.
pub(crate) const MEDIA: &str = "198.51.100.1:6000";

/// What a phone offers.
pub(crate) const OFFER: &str = "v=0\r\no=- 7 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\n";

/// The offer with another direction.
pub(crate) fn offer(direction: &str) -> String {
    OFFER.replace("sendrecv", direction)
}

/// Some instant to count from.
#[expect(clippy::disallowed_methods, reason = "a test's base instant")]
pub(crate) fn base() -> Instant {
    Instant::now()
}

pub(crate) fn message(text: &str) -> Message {
    Message::parse_frame(text.to_owned().into(), &Limits::default()).unwrap()
}

/// The agent, the time, and what it did.
pub(crate) struct Bench {
    pub(crate) agent: Agent,
    pub(crate) now: Instant,
    start: Instant,
    /// Every message that it sent.
    pub(crate) sent: Vec<Message>,
    /// What was agreed last.
    pub(crate) params: Option<MediaParams>,
    pub(crate) opened: Vec<StreamId>,
    /// Media opens as soon as it is asked for.
    pub(crate) opens_media: bool,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("example.com").unwrap();
        change(&mut config);
        let start = base();
        Self {
            agent: Agent::new(config, [1; 32]),
            now: start,
            start,
            sent: Vec::new(),
            params: None,
            opened: Vec::new(),
            opens_media: true,
        }
    }

    /// Hands a message to the agent and tells what it did, in words.
    pub(crate) fn receive(&mut self, text: &str) -> Vec<String> {
        self.agent.handle_message(self.now, &message(text));
        self.did()
    }

    /// The shell's answer to the latest wish for media.
    pub(crate) fn open_media(&mut self, opened: Result<&str, MediaOpenError>) -> Vec<String> {
        let stream = *self.opened.last().unwrap();
        let opened = opened.map(|text| MediaAddress::pair(text.parse().unwrap()).unwrap());
        self.agent.handle_media_opened(self.now, stream, opened);
        self.did()
    }

    pub(crate) fn stream_tells(&mut self, event: StreamEvent) -> Vec<String> {
        let stream = *self.opened.last().unwrap();
        self.agent.handle_stream_event(self.now, stream, event);
        self.did()
    }

    pub(crate) fn hang_up(&mut self) -> Vec<String> {
        let stream = *self.opened.last().unwrap();
        assert!(self.agent.hang_up(self.now, stream));
        self.did()
    }

    /// What was done since the last question: `200 INVITE`, `BYE`, `open 1`, `ended Caller` …
    pub(crate) fn did(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(output) = self.agent.poll_output() {
            let mut open = false;
            words.push(match output {
                Output::Send { octets } => {
                    let sent = Message::parse_frame(octets, &Limits::default()).unwrap();
                    let cseq = sent.cseq().and_then(Result::ok);
                    let method = cseq.map_or("?", |cseq| cseq.method.as_str()).to_owned();
                    let word = match sent.status() {
                        Some(status) => format!("{status} {method}"),
                        None => method,
                    };
                    self.sent.push(sent);
                    word
                }
                Output::OpenMedia {
                    stream,
                    service,
                    params,
                    ..
                } => {
                    self.params = Some(params);
                    self.opened.push(stream);
                    open = self.opens_media;
                    format!("open {service}")
                }
                Output::UpdateMedia { params, .. } => {
                    self.params = Some(params);
                    format!("update {}", params.direction)
                }
                Output::CloseMedia { .. } => "close".to_owned(),
                Output::Event(event) => word_of(&event),
            });
            if open {
                let stream = *self.opened.last().unwrap();
                let address = MediaAddress::pair(MEDIA.parse().unwrap()).unwrap();
                self.agent.handle_media_opened(self.now, stream, Ok(address));
            }
        }
        words
    }

    /// Lets time pass, timer by timer, and tells what was done when: `0.5 200 INVITE`.
    pub(crate) fn pass(&mut self, seconds: f64) -> Vec<String> {
        let end = self.now + Duration::from_secs_f64(seconds);
        let mut told = Vec::new();
        while let Some(next) = self.agent.poll_timeout().filter(|next| *next <= end) {
            self.now = next;
            self.agent.handle_timeout(next);
            let at = (next - self.start).as_secs_f64();
            told.extend(self.did().into_iter().map(|word| format!("{at} {word}")));
        }
        self.now = end;
        told
    }

    /// The latest message that was sent.
    pub(crate) fn last(&self) -> &Message {
        self.sent.last().unwrap()
    }

    /// The SDP in it.
    pub(crate) fn last_sdp(&self) -> Session {
        Session::parse(self.last().body()).unwrap()
    }

    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.last().text(name)
    }

    /// A call to a service that was answered and acknowledged.
    pub(crate) fn call(&mut self, service: &str) -> Caller {
        let mut caller = Caller::new(service, &format!("call{}", self.opened.len()));
        let did = self.receive(&caller.invite(Some(OFFER)));
        let open = format!("open {service}");
        assert_eq!(did, ["started", open.as_str(), "200 INVITE", "answered"]);
        caller.answered(self.last());
        assert_eq!(self.receive(&caller.ack(None)), [""; 0]);
        caller
    }
}

fn word_of(event: &Event) -> String {
    match event {
        Event::CallStarted { .. } => "started".to_owned(),
        Event::CallAnswered { .. } => "answered".to_owned(),
        Event::MediaFailed { error, .. } => format!("failed {error:?}"),
        Event::CallEnded { end, .. } => format!("ended {end:?}"),
        Event::Digit { digit, source, .. } => format!("digit {digit} {source:?}"),
        Event::Refused { status, .. } => format!("refused {status}"),
    }
}

/// A caller's side of one dialog, behind a proxy that records its route.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    service: String,
    pub(crate) call_id: String,
    pub(crate) from_tag: String,
    pub(crate) to_tag: Option<String>,
    pub(crate) cseq: u32,
    invite_cseq: u32,
    pub(crate) branches: u32,
    pub(crate) contact: String,
}

impl Caller {
    pub(crate) fn new(service: &str, call_id: &str) -> Self {
        Self {
            service: service.to_owned(),
            call_id: call_id.to_owned(),
            from_tag: "alice".to_owned(),
            to_tag: None,
            cseq: 0,
            invite_cseq: 0,
            branches: 0,
            contact: "<sip:201@192.0.2.7:5060>".to_owned(),
        }
    }

    /// The next request.
    pub(crate) fn request(&mut self, method: &str, headers: &str, body: &str) -> String {
        self.cseq += 1;
        self.request_with_cseq(method, self.cseq, headers, body)
    }

    pub(crate) fn request_with_cseq(&mut self, method: &str, cseq: u32, headers: &str, body: &str) -> String {
        self.branches += 1;
        let to_tag = self.to_tag.as_ref().map(|tag| format!(";tag={tag}"));
        let mut text = String::new();
        write!(
            text,
            "{method} sip:{service}@example.com SIP/2.0\r\nVia: SIP/2.0/LOCAL example.com;branch=z9hG4bK{call_id}{branch}\r\n\
             Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKphone\r\n\
             Record-Route: <sip:inner@example.com;lr>\r\nRecord-Route: <sip:outer@example.com;lr>\r\n\
             From: <sip:201@example.com>;tag={from_tag}\r\nTo: <sip:100@example.com>{to_tag}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: {contact}\r\n{headers}\
             Content-Length: {length}\r\n\r\n{body}",
            service = self.service,
            branch = self.branches,
            from_tag = self.from_tag,
            to_tag = to_tag.unwrap_or_default(),
            call_id = self.call_id,
            contact = self.contact,
            length = body.len(),
        )
        .unwrap();
        text
    }

    pub(crate) fn with_sdp(&mut self, method: &str, sdp: &str) -> String {
        self.request(method, "Content-Type: application/sdp\r\n", sdp)
    }

    pub(crate) fn invite(&mut self, sdp: Option<&str>) -> String {
        let text = match sdp {
            Some(sdp) => self.with_sdp("INVITE", sdp),
            None => self.request("INVITE", "", ""),
        };
        self.invite_cseq = self.cseq;
        text
    }

    /// Takes the tag of a 200.
    pub(crate) fn answered(&mut self, answer: &Message) {
        let tag = answer.to().unwrap().unwrap().tag().unwrap().to_owned();
        assert!(self.to_tag.is_none() || self.to_tag.as_deref() == Some(&tag));
        self.to_tag = Some(tag);
    }

    /// The ACK of the latest INVITE's 2xx.
    pub(crate) fn ack(&mut self, sdp: Option<&str>) -> String {
        let kind = sdp.map_or("", |_| "Content-Type: application/sdp\r\n");
        self.request_with_cseq("ACK", self.invite_cseq, kind, sdp.unwrap_or_default())
    }

    /// The CANCEL of an INVITE.
    pub(crate) fn cancel(&self, invite: &str) -> String {
        let head = invite.split("\r\nContent-Type").next().unwrap();
        format!(
            "{}\r\nContent-Length: 0\r\n\r\n",
            head.replace("INVITE", "CANCEL")
        )
    }

    /// The answer to a request of the agent.
    pub(crate) fn answer(request: &Message, status: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in request.lines() {
            let name = line.name_text();
            if ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name) {
                let value = String::from_utf8_lossy(line.value());
                writeln!(text, "{name}: {value}\r").unwrap();
            }
        }
        text + "Content-Length: 0\r\n\r\n"
    }
}
