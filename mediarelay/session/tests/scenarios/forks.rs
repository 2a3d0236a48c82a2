//! Several who are called, and who answer under names of their own.

use viaduct_forward::Verdict;
use viaduct_ng::{Answer, ErrorReason, Offer, Request, SipMessageType};

use crate::between_likes::phones_hear_each_other;
use crate::phone::Phone;
use crate::world::*;

fn caller() -> Phone {
    Phone::new("198.51.100.9:4000", 1)
}

fn callees() -> [Phone; 2] {
    [
        Phone::new("203.0.113.44:6000", 2),
        Phone::new("203.0.113.45:7000", 3),
    ]
}

fn offer_branch(sdp: &str, branch: &str) -> Request {
    let Request::Offer(offer) = offer(sdp, "a", None, "") else {
        unreachable!()
    };
    Request::Offer(Box::new(Offer {
        via_branch: Some(branch.into()),
        ..*offer
    }))
}

fn answer_branch(sdp: &str, tag: &str, branch: Option<&str>, code: u16) -> Request {
    let Request::Answer(mut answer) = answer(sdp, "a", tag, "") else {
        unreachable!()
    };
    answer.options.sip_message_type = Some(SipMessageType::Response);
    answer.options.sip_code = Some(code);
    Request::Answer(Box::new(Answer {
        via_branch: branch.map(Into::into),
        ..*answer
    }))
}

#[test]
fn every_branch_has_ports_of_its_own() {
    let mut world = World::new();
    let mut caller = caller();
    let sdp = caller.sdp();
    let first = world.sdp(&offer_branch(&sdp, "z9hG4bK-1"));
    let second = world.sdp(&offer_branch(&sdp, "z9hG4bK-2"));
    assert_ne!(first.address(0), second.address(0));
    let again = world.sdp(&offer_branch(&sdp, "z9hG4bK-1"));
    assert_eq!(again.text, first.text);
    assert_eq!(world.query().tags.0.len(), 3);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn the_fork_that_answers_last_is_heard() {
    let mut world = World::new();
    let mut caller = caller();
    let [mut one, mut two] = callees();
    let sdp = caller.sdp();
    one.read(&world.sdp(&offer_branch(&sdp, "1")));
    two.read(&world.sdp(&offer_branch(&sdp, "2")));
    // Both ring, the first with an announcement.
    let ringing = one.sdp();
    caller.read(&world.sdp(&answer_branch(&ringing, "one", Some("1"), 183)));
    phones_hear_each_other(&mut world, &mut caller, &mut one);
    caller.read(&world.sdp(&answer_branch(&two.sdp(), "two", Some("2"), 183)));
    phones_hear_each_other(&mut world, &mut caller, &mut two);
    let (verdict, _) = one.send(&mut world);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    // The first one lifts its receiver, with the SDP that it has sent before.
    world.sdp(&answer_branch(&ringing, "one", Some("1"), 200));
    phones_hear_each_other(&mut world, &mut caller, &mut one);
    world.ok(&delete_now());
    world.assert_empty();
}

/// A forking proxy behind us: one offer, two answers under different tags.
#[test]
fn a_new_tag_before_the_final_answer_is_another_name() {
    let mut world = World::new();
    let mut caller = caller();
    let [mut one, mut two] = callees();
    let to_callees = world.sdp(&offer(&caller.sdp(), "a", None, ""));
    one.read(&to_callees);
    two.read(&to_callees);
    caller.read(&world.sdp(&answer_branch(&one.sdp(), "one", None, 183)));
    phones_hear_each_other(&mut world, &mut caller, &mut one);
    world.sdp(&answer_branch(&two.sdp(), "two", None, 200));
    phones_hear_each_other(&mut world, &mut caller, &mut two);
    let report = world.query();
    assert_eq!(report.tags.0.len(), 2);
    assert_eq!(
        report.tags.get(b"two").unwrap().tag_aliases,
        Some(vec!["one".into()])
    );
    // In-dialog messages may use either name.
    for name in ["one", "two"] {
        let again = world.sdp(&offer(&caller.sdp(), "a", Some(name), ""));
        assert_eq!(again.address(0), to_callees.address(0));
    }
    world.ok(&delete_now());
    world.assert_empty();
}

/// Its ports are in use by whoever has answered: the late one is refused, and the call goes on.
#[test]
fn a_new_tag_after_the_final_answer_is_refused() {
    let mut world = World::new();
    let mut caller = caller();
    let [mut one, mut two] = callees();
    one.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    caller.read(&world.sdp(&answer_branch(&one.sdp(), "one", None, 200)));
    let reason = world.fails(&answer_branch(&two.sdp(), "two", None, 200));
    assert_eq!(reason, ErrorReason::InvalidDialogue);
    phones_hear_each_other(&mut world, &mut caller, &mut one);
    // The same answer again is no new one.
    world.sdp(&answer_branch(&one.sdp(), "one", None, 200));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn answers_that_fit_nothing_are_refused() {
    let mut world = World::new();
    let sdp = caller().sdp();
    assert_eq!(
        world.fails(&answer(&sdp, "a", "b", "")),
        ErrorReason::UnknownCallId
    );
    world.sdp(&offer(&sdp, "a", None, ""));
    assert_eq!(
        world.fails(&answer(&sdp, "nobody", "b", "")),
        ErrorReason::InvalidDialogue
    );
    assert_eq!(
        world.fails(&answer(&sdp, "a", "a", "")),
        ErrorReason::InvalidDialogue
    );
    world.sdp(&answer(&sdp, "a", "b", ""));
    // Nothing that `b` has offered is there to be answered by `a`.
    assert_eq!(
        world.fails(&answer(&sdp, "b", "a", "")),
        ErrorReason::InvalidDialogue
    );
    world.ok(&delete_now());
    world.assert_empty();
}

/// An INVITE without SDP: the callee offers in its 200, the caller answers in its ACK.
#[test]
fn a_callee_may_offer() {
    let mut world = World::new();
    let mut caller = caller();
    let [mut callee, _] = callees();
    caller.read(&world.sdp(&offer(&callee.sdp(), "b", Some("a"), "")));
    callee.read(&world.sdp(&answer(&caller.sdp(), "b", "a", "")));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    // Later the caller offers.
    world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
    world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

/// The callee is put through to somebody else: a party changes, the ports of the other one stay.
#[test]
fn a_transferred_call_keeps_the_ports_of_who_stays() {
    let mut world = World::new();
    let mut caller = caller();
    let [mut callee, mut third] = callees();
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    caller.read(&to_caller);
    let again = world.sdp(&offer(&third.sdp(), "c", Some("a"), ""));
    assert_eq!(again.address(0), to_caller.address(0));
    third.read(&world.sdp(&answer(&caller.sdp(), "c", "a", "")));
    phones_hear_each_other(&mut world, &mut caller, &mut third);
    let (verdict, _) = callee.send(&mut world);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    world.ok(&delete_now());
    world.assert_empty();
}

/// Proxies leave the to-tag out of what they send for a re-INVITE of the caller; without a branch it is the dialogue that
/// there is (NG `offer`).
#[test]
fn an_offer_without_a_to_tag_is_for_whoever_answered_last() {
    let mut world = World::new();
    let mut caller = caller();
    let [mut one, _] = callees();
    let first = world.sdp(&offer(&caller.sdp(), "a", None, ""));
    one.read(&first);
    caller.read(&world.sdp(&answer(&one.sdp(), "a", "one", "")));
    let again = world.sdp(&offer(&caller.sdp(), "a", None, ""));
    assert_eq!(again.address(0), first.address(0));
    caller.read(&world.sdp(&answer(&one.sdp(), "a", "one", "")));
    phones_hear_each_other(&mut world, &mut caller, &mut one);
    assert_eq!(world.query().tags.0.len(), 2);
    // Another branch is another fork all the same.
    let fork = world.sdp(&offer_branch(&caller.sdp(), "z9hG4bK-2"));
    assert_ne!(fork.address(0), first.address(0));
    world.ok(&delete_now());
    world.assert_empty();
}

/// NG `rtcp-mux` is asked for by branch.
#[test]
fn each_branch_has_its_own_say_about_rtcp_mux_toward_the_caller() {
    for (answers, muxes) in [("1", true), ("2", false)] {
        let mut world = World::new();
        let [mut callee, _] = callees();
        let sdp = caller().sdp_with("RTP/AVP", &["a=rtcp-mux"]);
        for (branch, flags) in [("1", "rtcp-mux-demux"), ("2", "rtcp-mux-offer")] {
            let Request::Offer(mut offer) = offer_branch(&sdp, branch) else {
                unreachable!()
            };
            offer.options = options(flags);
            world.sdp(&Request::Offer(offer));
        }
        let to_caller = world.sdp(&answer_branch(&callee.sdp(), "one", Some(answers), 200));
        assert_eq!(to_caller.has("a=rtcp-mux"), muxes, "{}", to_caller.text);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// The same with video on the port after the next, or with a refusal of video.
fn with_video(phone: &mut Phone, takes_it: bool) -> String {
    let port = if takes_it { phone.rtp.port() + 2 } else { 0 };
    format!(
        "{}m=video {port} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
        phone.sdp()
    )
}

/// Pairs.
fn ports_used(world: &World) -> usize {
    world.relay.port_usage().iter().map(|usage| usage.used).sum()
}

/// Who is called may say another thing when it answers, or be another one: until then the ports that it was offered are its
/// own.
#[test]
fn video_that_is_refused_while_it_rings_can_be_taken_when_it_is_answered() {
    let mut world = World::new();
    let mut caller = caller();
    let [mut callee, _] = callees();
    let told = world.sdp(&offer(&with_video(&mut caller, true), "a", None, ""));
    callee.read(&told);
    let used = ports_used(&world);
    for (tag, takes_it, code) in [("one", false, 183), ("two", false, 183), ("two", true, 200)] {
        let said = with_video(&mut callee, takes_it);
        let heard = world.sdp(&answer_branch(&said, tag, None, code));
        assert_eq!(
            heard.m_lines()[1].starts_with("m=video 0 "),
            !takes_it,
            "{}",
            heard.text
        );
        assert_eq!(ports_used(&world), used);
        caller.read(&heard);
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
        if !takes_it {
            let video = crate::phone::rtp(9, 1, 96);
            let verdict = world.receive(addr("203.0.113.44:6002"), told.address(1), &video);
            assert!(
                matches!(verdict, Verdict::Drop(_) | Verdict::ToControl(_)),
                "{verdict:?}"
            );
            assert_eq!(world.take(addr("198.51.100.9:4002")), []);
            continue;
        }
        for (from, relay, to) in [
            ("203.0.113.44:6002", told.address(1), "198.51.100.9:4002"),
            ("198.51.100.9:4002", heard.address(1), "203.0.113.44:6002"),
        ] {
            let video = crate::phone::rtp(9, 2, 96);
            world.receive(addr(from), relay, &video);
            let taken = world.take(addr(to));
            assert_eq!(taken.iter().map(|of| &of.data).collect::<Vec<_>>(), [&video]);
        }
    }
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn what_is_refused_for_good_costs_no_ports() {
    let mut world = World::new();
    let mut caller = caller();
    let [mut callee, _] = callees();
    callee.read(&world.sdp(&offer(&with_video(&mut caller, true), "a", None, "")));
    let used = ports_used(&world);
    let refused = with_video(&mut callee, false);
    caller.read(&world.sdp(&answer_branch(&refused, "b", None, 183)));
    assert_eq!(ports_used(&world), used);
    world.sdp(&answer_branch(&refused, "b", None, 200));
    assert_eq!(ports_used(&world), used - 1);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    // Offered again it has ports again.
    let told = world.sdp(&offer(&with_video(&mut caller, true), "a", Some("b"), ""));
    assert!(!told.m_lines()[1].starts_with("m=video 0 "));
    assert_eq!(ports_used(&world), used);
    world.ok(&delete_now());
    world.assert_empty();
}

/// Proxies need not say which answer is the last.
#[test]
fn what_is_refused_costs_no_ports_once_nobody_can_answer_any_more() {
    let mut world = World::new();
    let mut caller = caller();
    let [mut callee, _] = callees();
    callee.read(&world.sdp(&offer(&with_video(&mut caller, true), "a", None, "")));
    let used = ports_used(&world);
    caller.read(&world.sdp(&answer(&with_video(&mut callee, false), "a", "b", "")));
    for _ in 0..17 {
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
        world.wait_millis(10_000);
    }
    assert_eq!(ports_used(&world), used);
    world.wait_millis(20_000);
    assert_eq!(ports_used(&world), used - 1);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}
