//! A phone: an account, a way to the gateway, and the requests and answers of a user agent.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use viaduct_sip::digest::{Algorithm, Answer, Challenge, Ha1};
use viaduct_sip::{
    HeaderName, Limits, Message, Method, RequestBuilder, ResponseBuilder, StatusCode, Transport, Via, token,
};

use super::gateway::{DOMAIN, Gateway};
use super::program::PASSWORD;
use super::wire::Wire;

/// After how long a phone sends a request again (RFC 3261 section 17.1.2.2), and how often at most.
const T1: Duration = Duration::from_millis(500);
const TRIES_MAX: u32 = 60;

/// See the module.
pub(crate) struct Phone {
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
    /// What it answers challenges with. A browser knows MD5 only.
    pub(crate) algorithm: Algorithm,
    pub(crate) transport: Transport,
    pub(crate) wire: Wire,
    /// The URI of its Contact.
    pub(crate) contact: String,
    /// The host and the port of its Via.
    pub(crate) sent_by: String,
    tag: String,
    /// Call-ID and last CSeq of its registrations.
    registration: (String, u32),
    /// Messages that came while another one was waited for.
    waiting: VecDeque<Message>,
    /// Requests that have come, by branch and method.
    seen: HashSet<(String, String)>,
}

/// A request before it is sent.
#[derive(Clone)]
pub(crate) struct Draft {
    method: Method<'static>,
    uri: String,
    cseq: u32,
    builder: RequestBuilder,
}

/// What a phone keeps of a call.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    routes: Vec<String>,
    cseq: u32,
}

/// Sixteen random characters.
fn random() -> String {
    token::random_token::<10>(|octets| rand::rng().fill_bytes(octets))
}

impl Phone {
    /// A phone of this user, where all phones of the gateway are. Over WebSocket it is a browser: its names mean nothing to others.
    pub(crate) fn over(transport: Transport, gateway: &Gateway, user: &'static str) -> Self {
        Self::between(transport, gateway, gateway.phones, user)
    }

    /// The same at this address.
    pub(crate) fn between(
        transport: Transport,
        gateway: &Gateway,
        source: IpAddr,
        user: &'static str,
    ) -> Self {
        let wire = Wire::open(transport, gateway, source);
        let is_browser = matches!(transport, Transport::Ws | Transport::Wss);
        let sent_by = if is_browser {
            format!("{}.invalid", random())
        } else {
            wire.local().to_string()
        };
        let contact = format!("sip:{}@{sent_by};transport={}", random(), transport.uri_param());
        Self {
            user,
            password: PASSWORD,
            algorithm: Algorithm::Md5,
            transport,
            wire,
            contact,
            sent_by,
            tag: random(),
            registration: (random(), 0),
            waiting: VecDeque::new(),
            seen: HashSet::new(),
        }
    }

    pub(crate) fn udp(gateway: &Gateway, user: &'static str) -> Self {
        Self::over(Transport::Udp, gateway, user)
    }

    pub(crate) fn tcp(gateway: &Gateway, user: &'static str) -> Self {
        Self::over(Transport::Tcp, gateway, user)
    }

    pub(crate) fn ws(gateway: &Gateway, user: &'static str) -> Self {
        Self::over(Transport::Ws, gateway, user)
    }

    /// Its address of record.
    pub(crate) fn address(&self) -> String {
        address_of(self.user)
    }

    /// A REGISTER of this phone without a Contact.
    pub(crate) fn registration(&mut self) -> Draft {
        self.registration.1 += 1;
        let (call_id, cseq) = self.registration.clone();
        let builder = self.builder(Method::Register, &format!("sip:{DOMAIN}"), &self.address());
        Draft {
            method: Method::Register,
            uri: format!("sip:{DOMAIN}"),
            cseq,
            builder: builder.call_id(call_id),
        }
    }

    /// Registers for so many seconds, and must succeed.
    pub(crate) fn register_for(&mut self, seconds: u32) -> Message {
        let contact = format!("<{}>;expires={seconds}", self.contact);
        let draft = self.registration().header(HeaderName::Contact, &contact);
        let answer = self.ask(draft);
        expect_status(&answer, 200);
        answer
    }

    pub(crate) fn register(&mut self) -> Message {
        self.register_for(600)
    }

    /// A request outside any dialog to a user of the gateway.
    pub(crate) fn draft(&self, method: Method<'static>, to: &str) -> Draft {
        self.draft_to(method, &address_of(to))
    }

    /// A request outside any dialog to any URI.
    pub(crate) fn draft_to(&self, method: Method<'static>, uri: &str) -> Draft {
        let mut builder = self.builder(method, uri, uri).call_id(random());
        if method.makes_dialog() {
            builder = builder.header(HeaderName::Contact, format!("<{}>", self.contact));
        }
        Draft {
            method,
            uri: uri.to_owned(),
            cseq: 1,
            builder,
        }
    }

    /// An INVITE with this offer.
    pub(crate) fn invitation(&self, to: &str, sdp: &str) -> Draft {
        self.draft(Method::Invite, to).body("application/sdp", sdp)
    }

    fn builder(&self, method: Method<'static>, uri: &str, to: &str) -> RequestBuilder {
        RequestBuilder::new(method, uri)
            .from(format!("<{}>;tag={}", self.address(), self.tag))
            .to(format!("<{to}>"))
            .header(HeaderName::UserAgent, "test phone")
    }

    /// Sends a request and answers it as it was sent.
    pub(crate) fn send(&mut self, draft: &Draft) -> Message {
        let branch = token::branch(random().as_bytes());
        let builder = draft.builder.clone().cseq(draft.cseq);
        let builder = builder.via(Via::value(self.transport, &self.sent_by, &branch));
        self.send_octets(builder.build().unwrap())
    }

    fn send_octets(&mut self, octets: Bytes) -> Message {
        self.wire.send(&octets);
        parse(octets)
    }

    /// The final answer to a request. One that refuses an INVITE is acknowledged.
    pub(crate) fn final_answer(&mut self, sent: &Message) -> Message {
        loop {
            let answer = self.answer(sent);
            let status = answer.status().unwrap();
            if status.is_provisional() {
                continue;
            }
            if sent.method() == Some(Method::Invite) && !status.is_success() {
                let ack = RequestBuilder::ack_for(sent, &answer).unwrap();
                self.send_octets(ack.build().unwrap());
            }
            return answer;
        }
    }

    /// The next answer to a request, provisional ones too.
    pub(crate) fn answer(&mut self, sent: &Message) -> Message {
        let branch = branch_of(sent);
        self.wait(|message| !message.is_request() && branch_of(message) == branch)
    }

    /// Sends a request that is challenged, and again with the proof. Answers the second as it was sent.
    pub(crate) fn begin(&mut self, draft: Draft) -> Message {
        let sent = self.send(&draft);
        let challenge = self.final_answer(&sent);
        let proven = self.prove(draft, &challenge);
        self.send(&proven)
    }

    /// Sends a request, again with the proof if it is challenged, and waits for the final answer.
    pub(crate) fn ask(&mut self, draft: Draft) -> Message {
        let sent = self.send(&draft);
        let answer = self.final_answer(&sent);
        if !matches!(answer.status().unwrap().get(), 401 | 407) {
            return answer;
        }
        let proven = self.prove(draft, &answer);
        let sent = self.send(&proven);
        self.final_answer(&sent)
    }

    /// Like [`ask`](Self::ask) where datagrams are lost: what is not answered is sent again (RFC 3261 section 17.1.2.2).
    pub(crate) fn insist(&mut self, draft: Draft) -> Message {
        let answer = self.send_until_answered(&draft);
        if !matches!(answer.status().unwrap().get(), 401 | 407) {
            return answer;
        }
        let proven = self.prove(draft, &answer);
        self.send_until_answered(&proven)
    }

    fn send_until_answered(&mut self, draft: &Draft) -> Message {
        let sent = self.send(draft);
        let branch = branch_of(&sent).to_owned();
        for _ in 0..TRIES_MAX {
            match self.wire.receive_within(T1) {
                Some(message) if branch_of(&message) == branch => return message,
                Some(other) => self.waiting.push_back(other),
                None => self.wire.send(sent.octets()),
            }
        }
        panic!("{} gets no answer", self.user);
    }

    /// The request once more, with the proof that a challenge asks for.
    pub(crate) fn prove(&mut self, mut draft: Draft, challenge: &Message) -> Draft {
        let (asked, answered) = match challenge.status().unwrap().get() {
            401 => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            407 => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
            _ => panic!("{challenge:?} is no challenge"),
        };
        let challenges = challenge
            .headers(asked)
            .map(|header| Challenge::parse(header.value()).unwrap());
        // As browsers do: the last that is understood.
        let known = challenges.filter(|challenge| challenge.algorithm == self.algorithm);
        let challenge = known.last().unwrap();
        let ha1 = Ha1::from_password(self.algorithm, self.user, &challenge.realm, self.password);
        let proof = challenge.answer(&Answer {
            username: self.user,
            ha1: &ha1,
            method: draft.method,
            uri: &draft.uri,
            cnonce: &random(),
            nc: 1,
            body: b"",
        });
        if draft.method == Method::Register {
            self.registration.1 += 1;
            draft.cseq = self.registration.1;
        } else {
            draft.cseq += 1;
        }
        draft.header(answered, &proof.unwrap())
    }

    /// The next request with this method. Repeats are left out.
    pub(crate) fn request(&mut self, method: Method<'static>) -> Message {
        self.wait(|message| message.method() == Some(method))
    }

    /// Answers a request.
    pub(crate) fn respond(&mut self, request: &Message, status: u16) {
        self.respond_with(request, status, |answer| answer);
    }

    /// Answers a request with more than a status.
    pub(crate) fn respond_with<'m>(
        &mut self,
        request: &'m Message,
        status: u16,
        more: impl FnOnce(ResponseBuilder<'m>) -> ResponseBuilder<'m>,
    ) {
        let status = StatusCode::new(status).unwrap();
        let answer = ResponseBuilder::new(request, status).to_tag(&self.tag);
        let octets = more(answer).build().unwrap();
        self.wire.send(&octets);
    }

    /// Accepts an INVITE with this SDP.
    pub(crate) fn accept(&mut self, invite: &Message, sdp: &str) {
        let contact = format!("<{}>", self.contact);
        self.respond_with(invite, 200, |answer| {
            answer
                .header(HeaderName::Contact, &contact)
                .body("application/sdp", sdp.to_owned())
        });
    }

    /// Waits for the acknowledgement of what was accepted: from here on there is a call.
    pub(crate) fn acknowledged(&mut self, invite: &Message) -> Dialog {
        let ack = self.request(Method::Ack);
        Dialog {
            call_id: ack.call_id().unwrap().to_owned(),
            local: ack.text(HeaderName::To).unwrap().to_owned(),
            remote: ack.text(HeaderName::From).unwrap().to_owned(),
            target: contact_of(invite),
            routes: routes_of(invite),
            cseq: 0,
        }
    }

    /// Acknowledges the acceptance of an INVITE: from here on there is a call.
    pub(crate) fn acknowledge(&mut self, accepted: &Message) -> Dialog {
        expect_status(accepted, 200);
        let mut routes = routes_of(accepted);
        routes.reverse();
        let dialog = Dialog {
            call_id: accepted.call_id().unwrap().to_owned(),
            local: accepted.text(HeaderName::From).unwrap().to_owned(),
            remote: accepted.text(HeaderName::To).unwrap().to_owned(),
            target: contact_of(accepted),
            routes,
            cseq: accepted.cseq().unwrap().unwrap().number,
        };
        let ack = dialog.draft(Method::Ack);
        self.send(&ack);
        dialog
    }

    /// Sends a request to the other side of a call, and answers it as it was sent.
    pub(crate) fn send_within(&mut self, dialog: &mut Dialog, method: Method<'static>) -> Message {
        dialog.cseq += 1;
        self.send(&dialog.draft(method))
    }

    /// Says that a call is over.
    pub(crate) fn leave(&mut self, mut dialog: Dialog) -> Message {
        self.send_within(&mut dialog, Method::Bye)
    }

    /// Ends a call.
    pub(crate) fn hang_up(&mut self, dialog: Dialog) {
        let sent = self.leave(dialog);
        expect_status(&self.final_answer(&sent), 200);
    }

    /// Waits for a message. Others stay for later.
    fn wait(&mut self, is_wanted: impl Fn(&Message) -> bool) -> Message {
        if let Some(at) = self.waiting.iter().position(&is_wanted) {
            return self.waiting.remove(at).unwrap();
        }
        loop {
            let message = self
                .wire
                .receive()
                .unwrap_or_else(|| panic!("{} is cut off", self.user));
            let is_repeat = message.method().is_some_and(|method| {
                let method = method.as_str().to_owned();
                !self.seen.insert((branch_of(&message).to_owned(), method))
            });
            if is_repeat {
                continue;
            }
            if is_wanted(&message) {
                return message;
            }
            self.waiting.push_back(message);
        }
    }
}

impl Draft {
    /// With a further header.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub(crate) fn body(mut self, content_type: &str, body: &str) -> Self {
        self.builder = self.builder.body(content_type, body.to_owned());
        self
    }

    /// For another address in To.
    pub(crate) fn to(mut self, user: &str) -> Self {
        self.builder = self.builder.to(format!("<{}>", address_of(user)));
        self
    }
}

impl Dialog {
    fn draft(&self, method: Method<'static>) -> Draft {
        let mut builder = RequestBuilder::new(method, &self.target)
            .from(&self.local)
            .to(&self.remote)
            .call_id(&self.call_id);
        for route in &self.routes {
            builder = builder.route(route);
        }
        Draft {
            method,
            uri: self.target.clone(),
            cseq: self.cseq,
            builder,
        }
    }
}

pub(crate) fn address_of(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

pub(crate) fn parse(octets: Bytes) -> Message {
    Message::parse_datagram(octets, &Limits::default()).unwrap()
}

pub(crate) fn expect_status(answer: &Message, status: u16) {
    let have = answer.status().map(StatusCode::get);
    assert_eq!(have, Some(status), "{}", String::from_utf8_lossy(answer.octets()));
}

/// The URI of the first Contact.
pub(crate) fn contact_of(message: &Message) -> String {
    let contact = message.addrs(HeaderName::Contact).next().unwrap().unwrap();
    contact.uri().unwrap().as_str().to_owned()
}

/// The routes that a message has recorded.
fn routes_of(message: &Message) -> Vec<String> {
    let routes = message.values(HeaderName::RecordRoute);
    routes
        .map(|route| str::from_utf8(route).unwrap().to_owned())
        .collect()
}

fn branch_of(message: &Message) -> &str {
    message.top_via().unwrap().unwrap().branch().unwrap()
}
