//! A user who turns the proxy's forking against it (RFC 5393 section 3).
//!
//! The contacts of a user lead to where they were registered from and nowhere else, so a contact that names the proxy itself
//! is no loop. Somebody at the end of each branch must send the call back, and prove a password for it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: what is not there fails the test"
)]

use std::collections::{BTreeMap, HashMap};

use viaduct_routing::Gauges;
use viaduct_sim::{BROWSER_OFFER, EndId, PHONE_ANSWER, World};
use viaduct_sip::{Edit, HeaderName, Limits, Message, Method, StatusCode};

/// Contacts of the bomber: as many as one user may have.
const CONTACTS: usize = 10;

/// What the bomber may make the proxy send altogether, in messages. It stops by itself long before.
const MESSAGES_MAX: usize = 20_000;

/// Registers contacts that all name the proxy.
fn register_the_proxy_as_oneself(world: &mut World, bomber: EndId) {
    let mut request = world.register_request(bomber);
    for number in 1..CONTACTS {
        request = request.header(HeaderName::Contact, format!("<sip:203@192.0.2.1;copy={number}>"));
    }
    world.send_with_password(bomber, request);
    world.expect(bomber, "200");
}

/// How somebody sends a call back to the user that it came for.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// As a proxy does that knows no better.
    Honest,
    /// Without what would stop it: no Max-Breadth, and as many hops as at first.
    Forging,
}

fn bounced(request: &Message, number: usize, manner: Manner) -> Message {
    let limits = Limits::default();
    let mut edit = Edit::new(request);
    edit.set_request_uri("sip:203@example.com").prepend(
        HeaderName::Via,
        format!("SIP/2.0/UDP 10.0.0.3:5003;branch=z9hG4bKback{number}"),
    );
    edit.remove_all(HeaderName::RecordRoute);
    if manner == Manner::Forging {
        edit.remove_all(HeaderName::MaxBreadth);
        edit.set(HeaderName::MaxForwards, "70");
    }
    Message::parse_datagram(edit.finish().unwrap(), &limits).unwrap()
}

/// Sends back everything that comes, with a password each time, until nothing comes any more. Answers how many requests came
/// back and how they were answered.
fn bounce_until_quiet(world: &mut World, bomber: EndId, manner: Manner) -> (usize, BTreeMap<u16, usize>) {
    let mut sent_back = HashMap::new();
    let mut refused = BTreeMap::new();
    for _ in 0..MESSAGES_MAX {
        let Some(message) = world.try_take(bomber) else {
            return (sent_back.len(), refused);
        };
        if message.method() == Some(Method::Invite) {
            let back = bounced(&message, sent_back.len(), manner);
            world.send(bomber, back.octets().clone());
            sent_back.insert(branch_of(&back), back);
            continue;
        }
        let Some(status) = message.status().map(StatusCode::get) else {
            continue;
        };
        match sent_back.get(&branch_of(&message)) {
            Some(back) if status == 407 => drop(world.send_again_with_password(bomber, back, &message)),
            _ if status >= 300 => *refused.entry(status).or_insert(0) += 1,
            _ => {}
        }
    }
    panic!("{} requests, and no end", sent_back.len());
}

fn branch_of(message: &Message) -> String {
    message.top_via().unwrap().unwrap().branch().unwrap().to_owned()
}

/// Lets the bomb go off while two users talk. Answers how many calls came back, and how they were refused.
fn explode(manner: Manner) -> (usize, BTreeMap<u16, usize>) {
    let mut world = World::new();
    let (browser, phone, bomber) = (world.browser("300"), world.phone("201"), world.phone("203"));
    world.register(browser);
    world.register(phone);
    let (mut caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    register_the_proxy_as_oneself(&mut world, bomber);
    world.dial(bomber, "203", None);
    let outcome = bounce_until_quiet(&mut world, bomber, manner);
    // What is left of it rings as long as anything may, and the call of the others goes on.
    world.send_in(&mut caller, Method::Info, None);
    let info = world.expect(phone, "INFO");
    world.respond(phone, &info, 200, None);
    world.expect(browser, "200");
    world.pass(400.0);
    let left = Gauges {
        calls: 1,
        calls_answered: 1,
        ..Gauges::default()
    };
    assert_eq!(world.proxy().gauges(), left);
    outcome
}

/// RFC 5393 section 5.3.3: ten branches of 60 are allowed six each, which is not enough for ten more.
#[test]
fn a_call_that_is_forked_to_the_proxy_itself_runs_out_of_breadth() {
    assert_eq!(explode(Manner::Honest), (CONTACTS, [(440, CONTACTS)].into()));
}

#[test]
fn who_forges_the_breadth_runs_out_of_calls() {
    let (came_back, refused) = explode(Manner::Forging);
    let calls_max = viaduct_routing::Limits::default().calls_per_user_max;
    assert_eq!(came_back, calls_max * CONTACTS);
    // All that came back but those that became calls.
    assert_eq!(refused, [(486, came_back - (calls_max - 1))].into());
}
