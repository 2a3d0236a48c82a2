//! Who hears a call without taking part in it.

use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};

use viaduct_mediarelay::RelayConfig;
use viaduct_ng::{Offer, Request};
use viaduct_settings::{PublicIp, RelayListener, RelayScheme};

use crate::support::call::{Call, delete, ok, record};
use crate::support::phone::Phone;
use crate::support::tcp::connect;
use crate::support::{InProcess, PATIENCE, free_port, own_address, settings};

#[test]
fn a_recorder_hears_what_a_party_says() {
    let relay = InProcess::start(own_address());
    let recorder = Phone::at(own_address(), 9);
    let mut call = Call::set_up("recorded", |request| relay.ask(request.clone()));
    record(|request| relay.ask(request), "recorded", &recorder);
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

/// Sets up a call whose caller may dial.
fn call_with_digits(relay: &InProcess, log: Option<SocketAddr>) -> Call {
    Call::set_up("dialled", |request| {
        let Request::Offer(offer) = request else {
            return relay.ask(request.clone());
        };
        let events = "RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000";
        let mut offer = Offer::clone(offer);
        offer.sdp = offer.sdp.to_text().replace("RTP/AVP 8", events).into();
        offer.options.dtmf_log_dest = log;
        relay.ask(Request::Offer(Box::new(offer)))
    })
}

/// The caller dials 5.
fn dial(call: &Call) {
    let mut digit = vec![0x80, 101, 0, 1, 0, 0, 0, 9, 0, 0, 0, 7];
    digit.extend([5, 0x80 | 10, 5, 0]);
    call.alice.rtp.send_to(&digit, call.for_alice.0).unwrap();
    assert_eq!(call.bob.hear().0, digit);
}

#[test]
fn digits_are_told_as_json() {
    let relay = InProcess::start(own_address());
    let listener = UdpSocket::bind((own_address(), 0)).unwrap();
    listener.set_read_timeout(Some(PATIENCE)).unwrap();
    let call = call_with_digits(&relay, listener.local_addr().ok());
    dial(&call);
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

/// rtpengine's `--dtmf-log-ng-tcp`: whoever is connected over TCP is told unasked, between answers.
#[test]
fn digits_of_all_calls_are_told_to_ng_connections() {
    let address = own_address();
    let listener = RelayListener {
        scheme: RelayScheme::NgTcp,
        address: (address, free_port(address)).into(),
    };
    let relay = InProcess::start_config(RelayConfig {
        listen: vec![listener],
        dtmf_log_ng_tcp: true,
        ..RelayConfig::in_process(settings(address), PublicIp::Auto)
    });
    let mut proxies = [connect(listener.address), connect(listener.address)];
    for proxy in &mut proxies {
        // What is answered is listening.
        proxy.write_all(b"1_1 d7:command4:pinge").unwrap();
        let mut pong = [0; 20];
        proxy.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"1_1 d6:result4:ponge");
    }
    let call = call_with_digits(&relay, None);
    dial(&call);
    let source = call.alice.rtp.local_addr().unwrap().ip().to_string();
    for proxy in &mut proxies {
        let mut notice = Vec::new();
        while !notice.ends_with(b"6:volumei10eee") {
            let mut octet = [0];
            proxy.read_exact(&mut octet).unwrap();
            notice.push(octet[0]);
        }
        let notice = String::from_utf8(notice).unwrap();
        let (cookie, body) = notice.split_once(' ').unwrap();
        assert!(
            cookie.len() == 16 && u64::from_str_radix(cookie, 16).is_ok(),
            "{cookie}"
        );
        let head =
            "d6:notify6:onDTMF4:datad6:callid7:dialled10:source_tag5:alice4:tagsl5:alice3:bobe4:type4:DTMF";
        assert!(body.starts_with(head), "{body}");
        assert!(
            body.contains(&format!("9:source_ip{}:{source}9:timestampi", source.len())),
            "{body}"
        );
        assert!(
            body.ends_with("5:eventi5e8:durationi160e6:volumei10eee"),
            "{body}"
        );
        // The connection answers as before.
        proxy.write_all(b"2_2 d7:command4:pinge").unwrap();
        let mut pong = [0; 20];
        proxy.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"2_2 d6:result4:ponge");
    }
    ok(relay.ask(delete("dialled")));
    relay.wait_until_empty();
    relay.shut_down();
}
