//! Users who turn what they are allowed against the others.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::Duration;

use viaduct_sip::digest::{Answer, Challenge, Ha1};
use viaduct_sip::{Edit, HeaderName, Limits, Message, Method, RequestBuilder, Transport};

use super::talk_through;
use crate::support::gateway::{DOMAIN, Gateway, Setup};
use crate::support::phone::{Phone, expect_status};
use crate::support::program::PASSWORD;
use crate::support::server::Server;
use crate::support::{free_port, own_address, strange_address};

/// Contacts of a bomber: as many as one user may have.
const CONTACTS: usize = 10;

/// Nothing has come for this long: the bomb is over.
const QUIET: Duration = Duration::from_millis(300);

/// How somebody sends a call back to the user that it came for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// As a proxy does that knows no better.
    Honest,
    /// Without what would stop it: no Max-Breadth, and as many hops as at first.
    Forging,
}

/// A user whose contacts all lead to a phone that sends every call back to him.
struct Bomber {
    phone: Phone,
    manner: Manner,
    /// What was sent, by its branch.
    sent: HashMap<String, Message>,
    /// Calls that ring.
    ringing: HashMap<String, Message>,
    branches: u32,
}

impl Bomber {
    fn new(gateway: &Gateway, manner: Manner) -> Self {
        let mut phone = Phone::udp(gateway, "203");
        let mut draft = phone.registration();
        for number in 0..CONTACTS {
            let contact = format!("<sip:203@{};copy={number}>", phone.wire.local());
            draft = draft.header(HeaderName::Contact, &contact);
        }
        expect_status(&phone.ask(draft), 200);
        Self {
            phone,
            manner,
            sent: HashMap::new(),
            ringing: HashMap::new(),
            branches: 0,
        }
    }

    /// Calls himself, sends back what comes until nothing does, and lets go.
    fn explode(&mut self) {
        let draft = self.phone.draft(Method::Invite, "203");
        let invite = self.phone.send(&draft);
        self.sent.insert(branch_of(&invite), invite);
        while let Some(message) = self.phone.wire.receive_within(QUIET) {
            self.take(&message);
        }
        for invite in std::mem::take(&mut self.ringing).into_values() {
            self.phone.respond(&invite, 480);
        }
        while let Some(message) = self.phone.wire.receive_within(QUIET) {
            if message.method() == Some(Method::Invite) {
                self.phone.respond(&message, 480);
            } else {
                self.take(&message);
            }
        }
        self.sent.clear();
    }

    fn take(&mut self, message: &Message) {
        if message.method() == Some(Method::Invite) {
            if self.ringing.contains_key(&branch_of(message)) {
                return;
            }
            self.phone.respond(message, 100);
            let back = self.sent_back(message);
            self.send(back);
            self.ringing.insert(branch_of(message), message.clone());
            return;
        }
        if message.method() == Some(Method::Cancel) {
            self.phone.respond(message, 200);
        }
        let Some(status) = message.status().filter(|status| status.is_final()) else {
            return;
        };
        let Some(invite) = self.sent.get(&branch_of(message)).cloned() else {
            return;
        };
        let ack = RequestBuilder::ack_for(&invite, message).unwrap();
        self.phone.wire.send(&ack.build().unwrap());
        if status.get() == 407 && !invite.has(HeaderName::ProxyAuthorization) {
            let proven = self.proven(&invite, message);
            self.send(proven);
        }
    }

    fn send(&mut self, request: Message) {
        self.phone.wire.send(request.octets());
        self.sent.insert(branch_of(&request), request);
    }

    fn next_via(&mut self) -> String {
        self.branches += 1;
        let at = self.phone.wire.local();
        format!("SIP/2.0/UDP {at};branch=z9hG4bKback{}", self.branches)
    }

    fn sent_back(&mut self, request: &Message) -> Message {
        let via = self.next_via();
        let mut edit = Edit::new(request);
        edit.set_request_uri(&format!("sip:203@{DOMAIN}"))
            .prepend(HeaderName::Via, via);
        edit.remove_all(HeaderName::RecordRoute);
        if self.manner == Manner::Forging {
            edit.remove_all(HeaderName::MaxBreadth);
            edit.set(HeaderName::MaxForwards, "70");
        }
        read(edit)
    }

    fn proven(&mut self, invite: &Message, challenge: &Message) -> Message {
        let asked = challenge.headers(HeaderName::ProxyAuthenticate).last().unwrap();
        let challenge = Challenge::parse(asked.value()).unwrap();
        let ha1 = Ha1::from_password(challenge.algorithm, "203", &challenge.realm, PASSWORD);
        let proof = challenge.answer(&Answer {
            username: "203",
            ha1: &ha1,
            method: Method::Invite,
            uri: invite.request_uri_text().unwrap(),
            cnonce: "bomb",
            nc: 1,
            body: b"",
        });
        let via = self.next_via();
        let cseq = invite.cseq().unwrap().unwrap().number + 1;
        let mut edit = Edit::new(invite);
        edit.remove_first(HeaderName::Via);
        edit.prepend(HeaderName::Via, via);
        edit.set(HeaderName::CSeq, format!("{cseq} INVITE"));
        edit.append(HeaderName::ProxyAuthorization, proof.unwrap());
        read(edit)
    }
}

fn read(edit: Edit<'_>) -> Message {
    Message::parse_datagram(edit.finish().unwrap(), &Limits::default()).unwrap()
}

fn branch_of(message: &Message) -> String {
    message.top_via().unwrap().unwrap().branch().unwrap().to_owned()
}

/// RFC 5393 section 3: a call that is sent back along every branch would be a million calls six hops on.
#[test]
fn a_user_who_forks_calls_to_himself_runs_out_and_others_do_not_notice() {
    for (manner, refusal) in [(Manner::Honest, "too_broad"), (Manner::Forging, "user_busy")] {
        let gateway = Gateway::with_limits("requests_per_source: 100000/1s");
        let mut bomber = Bomber::new(&gateway, manner);
        talk_through(&gateway, &format!("a fork bomb, {manner:?}"), |turn| {
            bomber.explode();
            turn == 2
        });
        assert!(gateway.refused_for(refusal) >= CONTACTS as u64);
        drop(bomber);
        gateway.finish();
    }
}

/// RFC 3263 with a DNS that says nothing: `limits.lookups` is how many may wait for it. Who calls an address waits for none of
/// them.
#[test]
fn names_that_nobody_answers_for_hold_up_only_those_who_call_them() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let gateway = Setup {
        limits: "lookups: 50, requests_per_source: 100000/1s",
        more: format!(
            "foreign_domains: allow\ndns: {{ servers: [\"{}\"], timeout: 2s }}\n",
            silent.local_addr().unwrap()
        ),
        ..Setup::default()
    }
    .start();
    let mut caller = Phone::tcp(&gateway, "203");
    let elsewhere = own_address();
    let mut server = Server::udp(elsewhere, free_port(elsewhere));
    let address = format!("sip:somebody@{}", server.address);
    talk_through(&gateway, "names that nobody answers for", |turn| {
        let uri = format!("sip:somebody@name{turn}.test");
        caller.begin(caller.draft_to(Method::Message, &uri).body("text/plain", "hello"));
        if turn % 200 == 199 {
            let draft = caller.draft_to(Method::Message, &address);
            let sent = caller.begin(draft.body("text/plain", "hello"));
            let asked = server.request(Method::Message);
            server.respond(&asked, 200);
            expect_status(&caller.final_answer(&sent), 200);
        }
        turn == 600
    });
    assert!(gateway.figure("viaduct_lookups_over_limit_total") > 0);
    assert!(gateway.figure("viaduct_hops_unresolved_total") > 0);
    drop((caller, server));
    gateway.finish();
}

/// Whoever has a password has no more requests a second than others: `limits.requests_per_source`.
#[test]
fn a_user_who_asks_without_end_is_refused_before_his_password_is_looked_at() {
    let gateway = Gateway::with_limits("requests_per_source: 2000/1s");
    let mut greedy = Phone::between(Transport::Udp, &gateway, strange_address(9), "203");
    let asked = greedy.send(&greedy.draft(Method::Options, "201"));
    let refused = || gateway.figure("viaduct_sip_requests_over_rate_total");
    talk_through(&gateway, "a user without end", |turn| {
        greedy.wire.send(asked.octets());
        // What a busy machine does not take in is not counted.
        turn == 1_000_000 || turn % 20_000 == 19_999 && refused() > 1_000
    });
    assert!(refused() > 1_000);
    drop(greedy);
    gateway.finish();
}
