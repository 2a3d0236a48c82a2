//! Where answers go, and what is repeated or left unsaid (RFC 3261 sections 17 and 18.2.2, RFC 3581, RFC 4320, RFC 6026).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{Network, Trunk, Trunks};
use viaduct_sim::{Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Method, Transport};

fn only(address: [u8; 4]) -> Vec<Network> {
    vec![Network {
        address: address.into(),
        prefix: 32,
    }]
}

/// A world with a trunk that listens at 5060 and sends from another port, and a registered phone.
fn from_other_port() -> (World, [EndId; 2], EndId) {
    let mut world = World::with(|config, _| {
        let mut trunk = Trunk::new("a", "198.51.100.1");
        trunk.trust_from = only([198, 51, 100, 1]);
        config.trunks = Trunks::new(vec![trunk], None);
    });
    let listening = world.server("a", Transport::Udp, "198.51.100.1:5060");
    let sending = world.server("a", Transport::Udp, "198.51.100.1:41234");
    let phone = world.phone("201");
    world.register(phone);
    (world, [listening, sending], phone)
}

/// An INVITE of the trunk with this sent-by.
fn invite(world: &mut World, from: EndId, sent_by: &str) -> Vec<u8> {
    let invite = world
        .request_to(from, Method::Invite, "sip:201@example.com")
        .body("application/sdp", PHONE_OFFER);
    let invite = String::from_utf8(invite.build().unwrap().to_vec()).unwrap();
    let via = invite.lines().find(|line| line.starts_with("Via:")).unwrap();
    let branch = via.split_once("branch=").unwrap().1;
    let branch = branch.split(';').next().unwrap();
    invite
        .replacen(via, &format!("Via: SIP/2.0/UDP {sent_by};branch={branch}"), 1)
        .into_bytes()
}

/// RFC 3261 section 18.2.2: at the port in sent-by, and what belongs to the call goes there as well.
#[test]
fn a_trunk_that_sends_from_another_port_is_answered_where_it_listens() {
    for sent_by in ["198.51.100.1:5060", "198.51.100.1"] {
        let (mut world, [listening, sending], phone) = from_other_port();
        let invite = invite(&mut world, sending, sent_by);
        world.send(sending, invite);
        world.expect(listening, "100");
        let got = world.expect(phone, "INVITE");
        world.respond(phone, &got, 200, Some(PHONE_ANSWER));
        let ok = world.expect(listening, "200");
        let mut caller = Dialog::of_caller(sending, &ok);
        world.send_in(&mut caller, Method::Ack, None);
        world.expect(phone, "ACK");
        let mut callee = world.callee_dialog(phone, &got);
        world.send_in(&mut callee, Method::Info, None);
        let info = world.expect(listening, "INFO");
        world.respond(listening, &info, 200, None);
        world.expect(phone, "200");
        world.expect_nothing(sending);
    }
}

/// RFC 3581 section 4: who asks for `rport`, and who is behind a NAT and does not know of it.
#[test]
fn who_asks_for_it_or_is_behind_a_nat_is_answered_where_it_sends_from() {
    for sent_by in ["198.51.100.1:5060;rport", "192.168.1.9:5060", "pbx.example:5060"] {
        let (mut world, [listening, sending], phone) = from_other_port();
        let invite = invite(&mut world, sending, sent_by);
        world.send(sending, invite);
        let trying = world.expect(sending, "100");
        let via = String::from_utf8_lossy(trying.header(HeaderName::Via).unwrap()).into_owned();
        assert_eq!(via.contains("rport=41234"), sent_by.contains("rport"), "{via}");
        world.expect(phone, "INVITE");
        world.expect_nothing(listening);
    }
}

/// RFC 4320 section 4.2: nobody is told that a request other than INVITE timed out.
#[test]
fn a_message_to_a_phone_that_is_switched_off_stays_without_an_answer() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    let message = world.request(caller, Method::Message, "201");
    world.send_with_password(caller, message.body("text/plain", "x"));
    world.pass(40.0);
    world.expect_nothing(caller);
    world.expect_clean();
}

/// RFC 3261 section 17.2.1: a repeated INVITE gets the last provisional answer, and nobody is called twice.
#[test]
fn a_repeated_invite_gets_the_last_provisional_answer() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    world.send(caller, invite.octets().clone());
    world.expect(caller, "100");
    let got = world.expect(phone, "INVITE");
    world.respond(phone, &got, 180, None);
    world.expect(caller, "180");
    world.send(caller, invite.octets().clone());
    world.expect(caller, "180");
    world.expect_nothing(phone);
}

/// RFC 6026 sections 7 and 8: each repeat of a 2xx goes up, until nobody can want it any more.
#[test]
fn a_callee_that_repeats_its_200_is_heard_each_time() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    for _ in 0..3 {
        world.respond(phone, &got, 200, Some(PHONE_ANSWER));
        world.expect(caller, "200");
        world.pass(4.0);
    }
    world.pass(64.0);
    world.respond(phone, &got, 200, Some(PHONE_ANSWER));
    world.expect_nothing(caller);
}

/// RFC 3261 section 16.6 step 3.
#[test]
fn a_request_without_max_forwards_gets_70() {
    let mut world = World::with(|config, _| config.auth.trust_from = only([10, 0, 0, 1]));
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    let message = world.request(caller, Method::Message, "201").build().unwrap();
    let message = String::from_utf8(message.to_vec()).unwrap();
    let without = message.replacen("Max-Forwards: 70\r\n", "", 1);
    assert_ne!(without, message);
    world.send(caller, without.into_bytes());
    let got = world.expect(phone, "MESSAGE");
    assert_eq!(got.text(HeaderName::MaxForwards), Some("70"));
}

/// RFC 3261 section 18.2.1 and RFC 3581 section 4: where a request came from is what we saw, whatever its sender wrote about
/// it; and that is what the next hop reads, and the sender in the answer.
#[test]
fn what_a_sender_says_about_its_own_source_is_not_believed() {
    let mut world = World::with(|config, _| config.auth.trust_from = only([10, 0, 0, 1]));
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    let message = world.request(caller, Method::Message, "201").build().unwrap();
    let text = String::from_utf8(message.to_vec()).unwrap();
    let via = text.lines().find(|line| line.starts_with("Via:")).unwrap();
    let branch = via.split_once("branch=").unwrap().1.split(';').next().unwrap();
    for written in ["192.168.7.7:5060", "10.0.0.1:5001"] {
        let forged = format!(
            "Via: SIP/2.0/UDP {written};received=198.51.100.66;rport=666;branch={branch}{}",
            written.len()
        );
        world.send(caller, text.replacen(via, &forged, 1).into_bytes());
        let got = world.expect(phone, "MESSAGE");
        let theirs = String::from_utf8_lossy(got.values(HeaderName::Via).nth(1).unwrap()).into_owned();
        assert!(
            !theirs.contains("198.51.100.66") && !theirs.contains("666"),
            "{theirs}"
        );
        assert!(theirs.contains("received=10.0.0.1"), "{theirs}");
        assert!(theirs.contains("rport=5001"), "{theirs}");
        world.respond(phone, &got, 200, None);
        let ok = world.expect(caller, "200");
        let own = String::from_utf8_lossy(ok.header(HeaderName::Via).unwrap()).into_owned();
        assert_eq!(own, theirs);
    }
}
