//! Who offers, who answers, and for whom each SDP is written, whatever message it comes in.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_ng::TransportProtocol::{RtpAvp, UdpTlsRtpSavpf};
use viaduct_ng::{Request, TransportProtocol};
use viaduct_sim::{BROWSER_ANSWER, BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World, says};
use viaduct_sip::{HeaderName, Method};

fn pair() -> (World, EndId, EndId) {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    (world, browser, phone)
}

/// Command, from-tag and protocol of everything the relay was asked since it was last looked at.
fn asked(world: &mut World) -> Vec<(&'static str, String, TransportProtocol)> {
    let asked = world
        .relay
        .asked
        .iter()
        .map(|asked| {
            (
                asked.command(),
                asked.from_tag(),
                asked.options().transport_protocol.unwrap(),
            )
        })
        .collect();
    world.relay.forget_asked();
    asked
}

fn tag(address: &str) -> String {
    address.split(";tag=").nth(1).unwrap().to_owned()
}

/// The offerer's tag is the from-tag, whoever it is; every SDP is written for its reader.
#[test]
fn either_side_may_offer_anew_and_each_reads_its_own_language() {
    let (mut world, browser, phone) = pair();
    let (mut caller, mut callee) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    let (web, desk) = (tag(&caller.local), tag(&callee.local));
    assert_eq!(
        asked(&mut world),
        [
            ("offer", web.clone(), RtpAvp),
            ("answer", web.clone(), UdpTlsRtpSavpf)
        ]
    );

    // The phone puts the browser on hold.
    let hold = PHONE_OFFER.replace("desk 1 1", "desk 1 2") + "a=sendonly\r\n";
    world.send_in(&mut callee, Method::Invite, Some(&hold));
    world.expect(phone, "100");
    let reinvite = world.expect(browser, "INVITE");
    assert!(says(&reinvite, "a=x-from:desk 1 2 IN IP4 10.0.0.5"));
    world.respond(browser, &reinvite, 200, Some(BROWSER_ANSWER));
    world.expect(phone, "200");
    callee.cseq += 0;
    world.send_in(&mut callee, Method::Ack, None);
    world.expect(browser, "ACK");
    assert_eq!(
        asked(&mut world),
        [
            ("offer", desk.clone(), UdpTlsRtpSavpf),
            ("answer", desk.clone(), RtpAvp)
        ]
    );

    // The browser changes something by UPDATE.
    world.send_in(&mut caller, Method::Update, Some(BROWSER_OFFER));
    let update = world.expect(phone, "UPDATE");
    assert!(says(&update, "a=x-from:- 46 2 IN IP4 127.0.0.1"));
    world.respond(phone, &update, 200, Some(PHONE_ANSWER));
    let ok = world.expect(browser, "200");
    assert!(says(&ok, "a=x-from:desk 2 1 IN IP4 10.0.0.5"));
    assert_eq!(
        asked(&mut world),
        [("offer", web.clone(), RtpAvp), ("answer", web, UdpTlsRtpSavpf)]
    );
}

#[test]
fn early_media_is_written_once_and_the_200_repeats_it() {
    let (mut world, browser, phone) = pair();
    world.call(browser, "201", Some(BROWSER_OFFER));
    let invite = world.expect(phone, "INVITE");
    world.respond(phone, &invite, 183, Some(PHONE_ANSWER));
    let progress = world.expect(browser, "183");
    world.respond(phone, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(browser, "200");
    assert_eq!(progress.body(), ok.body(), "identical SDP in, identical SDP out");
    assert_eq!(world.relay.commands(), ["offer", "answer"]);
    // A repeat of the 200 over UDP is passed on, and costs nothing.
    world.respond(phone, &invite, 200, Some(PHONE_ANSWER));
    assert_eq!(world.expect(browser, "200").octets(), ok.octets());
    assert_eq!(world.relay.commands(), ["offer", "answer"]);
}

/// RFC 3261 section 13.2.1: the callee offers in the 200, the caller answers in the ACK.
#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let (mut world, browser, phone) = pair();
    world.call(phone, "300", None);
    let invite = world.expect(browser, "INVITE");
    assert!(invite.body().is_empty());
    world.respond(browser, &invite, 200, Some(BROWSER_OFFER));
    let ok = world.expect(phone, "200");
    assert!(says(&ok, "a=x-from:- 46 2 IN IP4 127.0.0.1"));
    let mut dialog = Dialog::of_caller(phone, &ok);
    let callee_tag = tag(&dialog.remote);
    world.send_in(&mut dialog, Method::Ack, Some(PHONE_ANSWER));
    let ack = world.expect(browser, "ACK");
    assert!(says(&ack, "a=x-from:desk 2 1 IN IP4 10.0.0.5"));
    assert_eq!(
        asked(&mut world),
        [
            ("offer", callee_tag.clone(), RtpAvp),
            ("answer", callee_tag, UdpTlsRtpSavpf)
        ]
    );
    // The ACK over UDP may come again.
    world.send_in(&mut dialog, Method::Ack, Some(PHONE_ANSWER));
    assert_eq!(world.expect(browser, "ACK").body(), ack.body());
    world.send_in(&mut dialog, Method::Bye, None);
    let bye = world.expect(browser, "BYE");
    world.respond(browser, &bye, 200, None);
    world.expect_clean();
}

/// RFC 3262 section 5: an offer in a reliable 183 is answered in the PRACK.
#[test]
fn a_prack_carries_the_answer_to_an_early_offer() {
    let (mut world, browser, phone) = pair();
    world.call(browser, "201", None);
    let invite = world.expect(phone, "INVITE");
    world.respond(phone, &invite, 183, Some(PHONE_OFFER));
    let progress = world.expect(browser, "183");
    let mut dialog = Dialog::of_caller(browser, &progress);
    world.send_in(&mut dialog, Method::Prack, Some(BROWSER_ANSWER));
    let prack = world.expect(phone, "PRACK");
    assert!(says(&prack, "a=x-from:- 47 2 IN IP4 127.0.0.1"));
    world.respond(phone, &prack, 200, None);
    world.expect(browser, "200");
    let commands: Vec<_> = asked(&mut world)
        .into_iter()
        .map(|(command, _, protocol)| (command, protocol))
        .collect();
    assert_eq!(commands, [("offer", UdpTlsRtpSavpf), ("answer", RtpAvp)]);
}

#[test]
fn answers_keep_their_order_while_the_relay_is_slow() {
    let (mut world, browser, phone) = pair();
    world.call(browser, "201", Some(BROWSER_OFFER));
    let invite = world.expect(phone, "INVITE");
    world.relay.mood = viaduct_sim::Mood::Slow;
    world.respond(phone, &invite, 183, Some(PHONE_ANSWER));
    world.respond(phone, &invite, 180, None);
    let changed = PHONE_ANSWER.replace("desk 2 1", "desk 2 2");
    world.respond(phone, &invite, 200, Some(&changed));
    world.expect_nothing(browser);
    world.let_relay_answer();
    world.expect(browser, "183");
    world.expect(browser, "180");
    world.expect(browser, "200");
}

/// RFC 5621: only the SDP part is the relay's.
#[test]
fn other_parts_of_a_body_stay_as_they_are() {
    let (mut world, browser, phone) = pair();
    let body = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{PHONE_OFFER}\r\n--b\r\nContent-Type: text/x\r\n\r\nkeep me\r\n--b--\r\n"
    );
    let request = world
        .request(phone, Method::Invite, "300")
        .body("multipart/mixed;boundary=b", body);
    world.send_with_password(phone, request);
    let invite = world.expect(browser, "INVITE");
    assert!(says(&invite, "keep me") && says(&invite, "a=x-from:desk 1 1 IN IP4 10.0.0.5"));
    assert!(!viaduct_sim::body_of(&invite).contains("m=audio 4000"));
    let length: usize = invite.text(HeaderName::ContentLength).unwrap().parse().unwrap();
    assert_eq!(length, invite.body().len());
}

/// RFC 1847, RFC 3261 section 23: what is signed or encrypted is never written anew, whoever sends it. With a relay between the
/// two sides that is no call; without one it passes.
#[test]
fn a_signed_body_is_never_rewritten() {
    let body = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{PHONE_OFFER}\r\n--b\r\nContent-Type: \
         application/pkcs7-signature\r\n\r\nsigned\r\n--b--\r\n"
    );
    for kind in ["multipart/signed;boundary=b", "Multipart/Encrypted;boundary=b"] {
        let (mut world, browser, phone) = pair();
        let request = world
            .request(phone, Method::Invite, "300")
            .body(kind, body.clone());
        let invite = world.send_with_password(phone, request);
        world.expect(phone, "100");
        let refusal = world.expect(phone, "488");
        assert!(refusal.text(HeaderName::Warning).unwrap().starts_with("399 "));
        world.ack_refusal(phone, &invite, &refusal);
        world.expect_nothing(browser);
        world.expect_clean();
        // In an answer, too: who gave it is told that there is no call.
        let invite = world.call(browser, "201", Some(BROWSER_OFFER));
        let got = world.expect(phone, "INVITE");
        let answer = world.response(phone, &got, 200, None);
        let text = String::from_utf8(answer.to_vec()).unwrap();
        let length = format!("Content-Type: {kind}\r\nContent-Length: {}", body.len());
        let signed = text.replacen("Content-Length: 0", &length, 1) + &body;
        world.send(phone, signed);
        world.expect(phone, "ACK");
        let bye = world.expect(phone, "BYE");
        world.respond(phone, &bye, 200, None);
        let refusal = world.expect(browser, "488");
        world.ack_refusal(browser, &invite, &refusal);
        world.expect_clean();
    }
    let mut world = World::with(|config, _| config.media.relayed = false);
    let (caller, callee) = (world.phone("200"), world.phone("201"));
    world.register(callee);
    let request = world.request(caller, Method::Invite, "201");
    world.send_with_password(caller, request.body("multipart/signed;boundary=b", body.clone()));
    assert_eq!(world.expect(callee, "INVITE").body(), body.as_bytes());
}

/// INFO with trickled candidates, or any body that is no SDP, is not an offer.
#[test]
fn bodies_that_are_no_sdp_are_none_of_the_relays_business() {
    let (mut world, browser, phone) = pair();
    let (mut caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    world.relay.forget_asked();
    caller.cseq += 1;
    let info = world.in_dialog(&caller, Method::Info, None);
    let mut edit = viaduct_sip::Edit::new(&info);
    edit.set_body(Some("application/dtmf-relay"), b"Signal=5\r\nDuration=160\r\n");
    let octets = edit.finish().unwrap();
    world.send(browser, octets);
    let got = world.expect(phone, "INFO");
    assert_eq!(got.body(), b"Signal=5\r\nDuration=160\r\n");
    assert!(world.relay.asked.is_empty());
}

/// RFC 8840 sections 4.4 and 9: candidates of a browser, caller or callee, are for the relay, which is whom it talks to. The
/// other side may be a phone, and hears nothing of them.
#[test]
fn candidates_that_come_late_go_to_the_relay() {
    const FRAGMENT: &[u8] =
        b"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=audio 9 RTP/AVP 0\r\n\
        a=mid:0\r\na=candidate:1 1 udp 1 10.0.0.1 5000 typ host\r\na=end-of-candidates\r\n";
    for is_relayed in [true, false] {
        let mut world = World::with(|config, _| config.media.relayed = is_relayed);
        let (phone, browser) = (world.phone("201"), world.browser("300"));
        world.register(phone);
        world.register(browser);
        let (by_browser, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
        let (_, to_browser) = world.answered(phone, browser, PHONE_OFFER, BROWSER_ANSWER);
        for mut dialog in [by_browser, to_browser] {
            world.relay.forget_asked();
            dialog.cseq += 1;
            let info = world.in_dialog(&dialog, Method::Info, None);
            let mut edit = viaduct_sip::Edit::new(&info);
            edit.set_body(Some("application/trickle-ice-sdpfrag"), FRAGMENT);
            world.send(browser, edit.finish().unwrap());
            if !is_relayed {
                assert_eq!(world.expect(phone, "INFO").body(), FRAGMENT);
                continue;
            }
            let ok = world.expect(browser, "200");
            assert_eq!(ok.cseq(), info.cseq());
            world.expect_nothing(phone);
            let [asked] = &world.relay.asked[..] else {
                panic!("{:?}", world.relay.commands());
            };
            let Request::Offer(offer) = &asked.request else {
                panic!("{asked:?}");
            };
            assert!(offer.options.has(viaduct_ng::Flag::Fragment));
            assert!(dialog.local.ends_with(&format!(";tag={}", asked.from_tag())));
            assert_eq!(offer.call_id.to_string(), dialog.call_id);
            assert_eq!(&offer.sdp[..], FRAGMENT);
        }
    }
}

/// The branch is named to the relay in the first exchange and nowhere else.
#[test]
fn the_relay_is_told_the_branch_of_the_first_exchange_only() {
    let (mut world, browser, phone) = pair();
    let (_, mut callee) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    world.send_in(&mut callee, Method::Invite, Some(PHONE_OFFER));
    world.expect(phone, "100");
    let named: Vec<bool> = world
        .relay
        .asked
        .iter()
        .map(|asked| match &asked.request {
            Request::Offer(offer) => offer.via_branch.is_some(),
            Request::Answer(answer) => answer.via_branch.is_some(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(named, [true, true, false]);
}

/// `relay: { mode: none }`: bodies belong to the endpoints (RFC 3261 section 16.6, step 1).
#[test]
fn without_a_relay_sdp_passes_untouched() {
    let mut world = World::with(|config, _| config.media.relayed = false);
    let (caller, callee) = (world.phone("200"), world.phone("201"));
    world.register(caller);
    world.register(callee);
    world.call(caller, "201", Some(PHONE_OFFER));
    let invite = world.expect(callee, "INVITE");
    assert_eq!(invite.body(), PHONE_OFFER.as_bytes());
    world.respond(callee, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(caller, "200");
    assert_eq!(ok.body(), PHONE_ANSWER.as_bytes());
    let mut dialog = Dialog::of_caller(caller, &ok);
    world.send_in(&mut dialog, Method::Ack, Some(PHONE_OFFER));
    assert_eq!(world.expect(callee, "ACK").body(), PHONE_OFFER.as_bytes());
    world.send_in(&mut dialog, Method::Invite, Some(PHONE_OFFER));
    let reinvite = world.expect(callee, "INVITE");
    assert_eq!(reinvite.body(), PHONE_OFFER.as_bytes());
    world.expect(caller, "100");
    world.respond(callee, &reinvite, 200, Some(PHONE_ANSWER));
    world.expect(caller, "200");
    world.send_in(&mut dialog, Method::Bye, None);
    let bye = world.expect(callee, "BYE");
    world.respond(callee, &bye, 200, None);
    world.expect(caller, "200");
    assert!(world.relay.commands().is_empty());
}
