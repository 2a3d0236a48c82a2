//! What the tests of this crate share: messages, a clock of their own and a layer that is watched.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use viaduct_sip::{Limits, Message, ResponseBuilder, StatusCode, Transport};

use crate::{ClientId, Config, Flow, Layer, Output, Received, Request, ServerId};

/// Some instant to count from.
#[expect(clippy::disallowed_methods, reason = "a test's base instant")]
pub(crate) fn base() -> Instant {
    Instant::now()
}

pub(crate) fn flow(transport: Transport) -> Flow {
    Flow {
        transport,
        local: "192.0.2.9:5060".parse().unwrap(),
        remote: "192.0.2.1:40000".parse().unwrap(),
        conn: (transport != Transport::Udp).then(|| crate::ConnId::new(7).unwrap()),
    }
}

pub(crate) fn message(text: &str) -> Message {
    Message::parse_frame(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
}

/// A request of one dialog with the given branch.
pub(crate) fn request(method: &str, branch: &str) -> Message {
    let cseq_method = method;
    message(&format!(
        "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP client.example;branch={branch};rport\r\n\
         Max-Forwards: 70\r\nRoute: <sip:192.0.2.9;lr>\r\nFrom: <sip:alice@example.com>;tag=a\r\n\
         To: <sip:bob@example.com>\r\nCall-ID: c1\r\nCSeq: 1 {cseq_method}\r\nContent-Length: 0\r\n\r\n"
    ))
}

pub(crate) fn response(request: &Message, status: u16) -> Message {
    let status = StatusCode::new(status).unwrap();
    let octets = ResponseBuilder::new(request, status).to_tag("b").build().unwrap();
    Message::parse_frame(octets, &Limits::default()).unwrap()
}

/// A layer on a clock that only moves when told, with everything it did in words.
pub(crate) struct Bench {
    pub(crate) layer: Layer,
    start: Instant,
    now: Instant,
    /// What began each server transaction.
    requests: HashMap<ServerId, Message>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let start = base();
        Self {
            layer: Layer::new(config),
            start,
            now: start,
            requests: HashMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn receive(&mut self, transport: Transport, request: &Message) -> Received {
        let essentials = request.essentials().unwrap();
        let received = self
            .layer
            .handle_request(self.now, flow(transport), request, &essentials);
        if let Received::New(server) | Received::Cancel { server, .. } = received {
            self.requests.insert(server, request.clone());
        }
        received
    }

    pub(crate) fn begin(&mut self, transport: Transport, request: &Message) -> ServerId {
        match self.receive(transport, request) {
            Received::New(server) => server,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn respond(&mut self, server: ServerId, status: u16) {
        let octets = response(&self.requests[&server], status).octets().clone();
        self.layer
            .respond(self.now, server, StatusCode::new(status).unwrap(), octets);
    }

    pub(crate) fn send(&mut self, transport: Transport, request: &Message) -> ClientId {
        self.try_send(transport, request).unwrap()
    }

    pub(crate) fn try_send(&mut self, transport: Transport, request: &Message) -> Option<ClientId> {
        let branch = request.essentials().unwrap().via.branch().unwrap().to_owned();
        let request = Request {
            octets: request.octets().clone(),
            branch: branch.into(),
            is_invite: request.method() == Some(viaduct_sip::Method::Invite),
            hop: flow(transport).into(),
            patience: None,
        };
        self.layer.request(self.now, request)
    }

    pub(crate) fn answer(&mut self, request: &Message, status: u16) -> Option<ClientId> {
        let response = response(request, status);
        self.layer
            .handle_response(self.now, &response, &response.essentials().unwrap())
    }

    pub(crate) fn cancel(&mut self, client: ClientId) {
        self.layer.cancel(self.now, client, Some(&"SIP;cause=200".into()));
    }

    /// Everything the layer did at this instant: `100`, `INVITE`, `timeout`, `server ended` …
    pub(crate) fn did(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.layer.poll_output())
            .map(|output| word(&output))
            .collect()
    }

    /// Lets time pass, timer by timer, and tells what was done when: `0.5 INVITE`.
    pub(crate) fn pass(&mut self, seconds: f64) -> Vec<String> {
        let end = self.now + Duration::from_secs_f64(seconds);
        let mut told = Vec::new();
        while let Some(next) = self.layer.poll_timeout().filter(|next| *next <= end) {
            self.now = next;
            self.layer.handle_timeout(next);
            let at = (next - self.start).as_secs_f64();
            told.extend(self.did().into_iter().map(|word| format!("{at} {word}")));
        }
        self.now = end;
        told
    }
}

fn word(output: &Output) -> String {
    match output {
        Output::Send { octets, .. } => {
            let line = std::str::from_utf8(octets).unwrap().lines().next().unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            if words[0] == "SIP/2.0" {
                words[1].to_owned()
            } else {
                words[0].to_owned()
            }
        }
        Output::Timeout { .. } => "timeout".to_owned(),
        Output::ServerEnded {
            acknowledged: true, ..
        } => "server ended".to_owned(),
        Output::ServerEnded {
            acknowledged: false, ..
        } => "server ended without ACK".to_owned(),
        Output::ClientEnded { .. } => "client ended".to_owned(),
    }
}

mod client;
mod server;
