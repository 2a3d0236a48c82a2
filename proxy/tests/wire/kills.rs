//! `kill -9` at a random moment under load: what was acknowledged is still there, what was removed is not.
//!
//! `VIADUCT_KILLS=20` makes it twenty times instead of three.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use rand::RngExt;
use viaduct_sip::{HeaderName, Message, Method};

use crate::support::conversation::set_up;
use crate::support::gateway::Gateway;
use crate::support::media::Media;
use crate::support::phone::{Phone, expect_status};

/// Contacts of one user.
const LINES: u32 = 8;

/// Registrations and removals before the gateway is killed.
const CHANGES: Range<usize> = 60..200;

/// Those that are under way at the same time: fewer than there are contacts, so that some are acknowledged.
const UNDER_WAY: Range<usize> = 1..16;

/// What is known of a contact: whose, which, and whether it is registered.
type Known = BTreeMap<(usize, u32), bool>;

/// A change that has been sent, and whether it registers.
struct Sent {
    phone: usize,
    line: u32,
    registers: bool,
    request: Message,
}

/// Registers and removes contacts at random, many at a time, and stops at a random moment. `known` has what was
/// acknowledged, and nothing of what may or may not have been done.
fn make_changes(phones: &mut [Phone], known: &mut Known) {
    let mut rng = rand::rng();
    let (changes, depth) = (rng.random_range(CHANGES), rng.random_range(UNDER_WAY));
    let mut under_way: VecDeque<Sent> = VecDeque::new();
    for _ in 0..changes {
        let (phone, line) = (rng.random_range(0..phones.len()), rng.random_range(0..LINES));
        if under_way
            .iter()
            .any(|sent| (sent.phone, sent.line) == (phone, line))
        {
            continue;
        }
        let registers = rng.random_bool(0.7);
        let expires = if registers { 600 } else { 0 };
        let contact = format!(
            "<sip:{line}@{};line={line}>;expires={expires}",
            phones[phone].wire.local()
        );
        let draft = phones[phone].registration().header(HeaderName::Contact, &contact);
        let request = phones[phone].begin(draft);
        // From here on nobody can say, until the answer comes.
        known.remove(&(phone, line));
        under_way.push_back(Sent {
            phone,
            line,
            registers,
            request,
        });
        if under_way.len() > depth
            && let Some(sent) = under_way.pop_front()
        {
            expect_status(&phones[sent.phone].final_answer(&sent.request), 200);
            known.insert((sent.phone, sent.line), sent.registers);
        }
    }
}

fn expect_all(gateway: &Gateway, users: &[&str], known: &Known) {
    for ((phone, line), is_registered) in known {
        let contacts = gateway.registrations(users[*phone]);
        let mark = format!(";line={line}");
        let is_there = contacts.iter().any(|one| {
            one["contact"]
                .as_str()
                .is_some_and(|contact| contact.ends_with(&mark))
        });
        assert_eq!(
            is_there, *is_registered,
            "{} {mark} of {contacts:?}",
            users[*phone]
        );
    }
}

/// The next answer but a 100.
fn expect_ringing(caller: &mut Phone, sent: &Message) {
    let answer = caller.answer(sent);
    if answer.status().is_some_and(|status| status.get() == 100) {
        return expect_ringing(caller, sent);
    }
    expect_status(&answer, 180);
}

#[test]
fn no_acknowledged_registration_is_lost_by_a_kill_and_phones_reach_each_other_again() {
    let kills: u32 = match std::env::var("VIADUCT_KILLS") {
        Ok(kills) => kills.parse().unwrap(),
        Err(_) => 3,
    };
    let users = ["201", "202", "203", "204"];
    let mut gateway = Gateway::start();
    let mut phones: Vec<Phone> = users.iter().map(|user| Phone::udp(&gateway, user)).collect();
    let (mut caller, mut callee) = (Phone::udp(&gateway, "300"), Phone::udp(&gateway, "301"));
    callee.register();
    let mut known = Known::new();
    for _ in 0..kills {
        // One call stands, and another rings.
        let (standing, _) = set_up(&mut caller, &mut callee);
        let offer = Media::at(caller.wire.local().ip()).sdp();
        let ringing = caller.begin(caller.invitation("301", &offer));
        let invite = callee.request(Method::Invite);
        callee.respond(&invite, 180);
        expect_ringing(&mut caller, &ringing);
        make_changes(&mut phones, &mut known);
        gateway = gateway.crash();
        expect_all(&gateway, &users, &known);
        // What routes a request inside a dialog is in the request (RFC 3261 section 16.12): a call outlives its proxy.
        let bye = caller.leave(standing);
        let asked = callee.request(Method::Bye);
        callee.respond(&asked, 200);
        expect_status(&caller.final_answer(&bye), 200);
        let (again, _) = set_up(&mut caller, &mut callee);
        let bye = caller.leave(again);
        let asked = callee.request(Method::Bye);
        callee.respond(&asked, 200);
        expect_status(&caller.final_answer(&bye), 200);
        let sent = caller.begin(
            caller
                .draft(Method::Message, "301")
                .body("text/plain", "Still there?"),
        );
        let asked = callee.request(Method::Message);
        callee.respond(&asked, 200);
        expect_status(&caller.final_answer(&sent), 200);
    }
    assert!(!known.is_empty(), "nothing was acknowledged");
    drop((phones, caller, callee));
    gateway.finish();
}
