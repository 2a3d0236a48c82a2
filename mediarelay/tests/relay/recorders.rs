//! Who hears a call without taking part in it.

use std::net::UdpSocket;

use viaduct_ng::{Offer, Options, Request, SubscribeAnswer, SubscribeRequest, Value};

use crate::support::call::{Call, delete, ok};
use crate::support::phone::Phone;
use crate::support::{InProcess, PATIENCE, own_address};

#[test]
fn a_recorder_hears_what_a_party_says() {
    let relay = InProcess::start(own_address());
    let recorder = Phone::at(own_address(), 9);
    let mut call = Call::set_up("recorded", |request| relay.ask(request.clone()));
    let subscribe = SubscribeRequest {
        call_id: "recorded".into(),
        from_tags: vec!["bob".into()],
        to_tag: None,
        options: Options::default(),
    };
    let offered = ok(relay.ask(Request::SubscribeRequest(Box::new(subscribe))));
    let to_tag = offered.rest.get("to-tag").and_then(Value::as_bytes).cloned();
    let answer = SubscribeAnswer {
        sdp: recorder.sdp().replace("sendrecv", "recvonly").into(),
        call_id: "recorded".into(),
        to_tag: to_tag.unwrap(),
        options: Options::default(),
    };
    ok(relay.ask(Request::SubscribeAnswer(Box::new(answer))));
    call.talk(20);
    call.report();
    for sequence in 0..20 {
        assert_eq!(recorder.hear().0, call.bob.packet(sequence));
    }
    assert_eq!(recorder.hear_report().0, call.bob.report());
    let copies = |now: &viaduct_mediarelay::Snapshot| -> u64 {
        now.workers.iter().map(|worker| worker.forward.copies).sum()
    };
    assert_eq!(copies(&relay.snapshot()), 21);
    ok(relay.ask(delete("recorded")));
    relay.wait_until_empty();
    relay.shut_down();
}

#[test]
fn digits_are_told_as_json() {
    let relay = InProcess::start(own_address());
    let listener = UdpSocket::bind((own_address(), 0)).unwrap();
    listener.set_read_timeout(Some(PATIENCE)).unwrap();
    let call = Call::set_up("dialled", |request| {
        // A phone that dials, and a proxy that wants to hear of it.
        let Request::Offer(offer) = request else {
            return relay.ask(request.clone());
        };
        let events = "RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000";
        let mut offer = Offer::clone(offer);
        offer.sdp = offer.sdp.to_text().replace("RTP/AVP 8", events).into();
        offer.options.dtmf_log_dest = listener.local_addr().ok();
        relay.ask(Request::Offer(Box::new(offer)))
    });
    let mut digit = vec![0x80, 101, 0, 1, 0, 0, 0, 9, 0, 0, 0, 7];
    digit.extend([5, 0x80 | 10, 5, 0]);
    call.alice.rtp.send_to(&digit, call.for_alice.0).unwrap();
    assert_eq!(call.bob.hear().0, digit);
    let mut told = vec![0; 2_048];
    let len = listener.recv(&mut told).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told[..len]).unwrap();
    assert_eq!(
        (
            &told["callid"],
            &told["source_tag"],
            &told["event"],
            &told["duration"]
        ),
        (&"dialled".into(), &"alice".into(), &5.into(), &160.into())
    );
    ok(relay.ask(delete("dialled")));
    relay.wait_until_empty();
    relay.shut_down();
}
