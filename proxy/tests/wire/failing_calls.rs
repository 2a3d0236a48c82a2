//! Calls that come to nothing: each is told why, and nothing of it stays.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use viaduct_sip::{HeaderName, Method, RequestBuilder, Transport};

use crate::support::echo_call::EchoCall;
use crate::support::gateway::{Gateway, Setup};
use crate::support::media::{Media, sdp};
use crate::support::phone::{Phone, expect_status};
use crate::support::wire::Wire;
use crate::support::{PATIENCE, own_address, wait_for};

/// How soon a caller must know that nobody will answer.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// An offer of G.711.
fn offer(phone: &Phone) -> String {
    Media::at(phone.wire.local().ip()).sdp()
}

/// An offer of G.729 and nothing else.
fn odd_offer(phone: &Phone) -> String {
    let address = UdpSocket::bind((phone.wire.local().ip(), 0))
        .unwrap()
        .local_addr()
        .unwrap();
    sdp(address, "18", "a=rtpmap:18 G729/8000\r\n")
}

#[test]
fn nobody_of_that_name_is_404_and_nobody_there_480() {
    let gateway = Gateway::start();
    for transport in [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ] {
        let mut caller = Phone::over(transport, &gateway, "201");
        for (called, status) in [("nobody", 404), ("999", 404), ("202", 480)] {
            let answer = caller.ask(caller.invitation(called, &offer(&caller)));
            expect_status(&answer, status);
        }
        // A registration that has ended is none.
        let mut called = Phone::udp(&gateway, "203");
        called.register();
        called.register_for(0);
        expect_status(&caller.ask(caller.invitation("203", &offer(&caller))), 480);
    }
    gateway.finish();
}

#[test]
fn a_browser_whose_connection_has_gone_is_480_at_once() {
    let gateway = Gateway::start();
    let mut caller = Phone::tcp(&gateway, "201");
    // Gone before the call: with a word, and without.
    for transport in [Transport::Ws, Transport::Wss] {
        let mut browser = Phone::over(transport, &gateway, "300");
        browser.register();
        drop(browser);
        wait_for("nobody registered", || {
            let shown = gateway.registrations("300");
            if shown.is_empty() { Ok(()) } else { Err(shown) }
        });
        expect_status(&caller.ask(caller.invitation("300", &offer(&caller))), 480);
    }
    // Gone while it rings.
    let mut browser = Phone::ws(&gateway, "300");
    browser.register();
    let sent = caller.begin(caller.invitation("300", &offer(&caller)));
    let invite = browser.request(Method::Invite);
    browser.respond(&invite, 180);
    while caller.answer(&sent).status().unwrap().get() != 180 {}
    let gone = Instant::now();
    drop(browser);
    expect_status(&caller.final_answer(&sent), 480);
    assert!(gone.elapsed() < TOLD_WITHIN, "{:?}", gone.elapsed());
    drop(caller);
    gateway.finish();
}

#[test]
fn without_a_common_codec_nobody_is_bothered_and_the_caller_is_told_which_there_are() {
    let gateway = Gateway::start();
    let (mut caller, mut browser) = (Phone::tcp(&gateway, "201"), Phone::ws(&gateway, "300"));
    browser.register();
    // The first is refused by the gateway, the second by the service.
    for called in ["300", "100"] {
        let answer = caller.ask(caller.invitation(called, &odd_offer(&caller)));
        expect_status(&answer, 488);
        let warning = answer.text(HeaderName::Warning).unwrap();
        assert!(warning.starts_with("305 "), "{warning}");
        assert!(warning.to_ascii_lowercase().contains("pcma"), "{warning}");
    }
    let answer = caller.ask(caller.invitation("300", "this is no SDP"));
    expect_status(&answer, 488);
    // The browser has heard of none of them: what comes first is what is sent now.
    let sent = caller.begin(caller.draft(Method::Message, "300").body("text/plain", "x"));
    let Wire::WebSocket(socket) = &mut browser.wire else {
        panic!("no WebSocket")
    };
    let first = socket.next();
    assert!(first.payload.starts_with(b"MESSAGE "), "{first:?}");
    drop(browser);
    expect_status(&caller.final_answer(&sent), 480);
    drop(caller);
    gateway.finish();
}

#[test]
fn a_relay_that_does_not_answer_is_503_and_nothing_stays() {
    let silent = UdpSocket::bind((own_address(), 0)).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let gateway = Setup {
        relay: Some(format!("mode: \"ng:udp://{}\"", silent.local_addr().unwrap())),
        ..Setup::default()
    }
    .start();
    let (mut called, mut caller) = (Phone::tcp(&gateway, "202"), Phone::tcp(&gateway, "201"));
    called.register();
    let sent = caller.begin(caller.invitation("202", &offer(&caller)));
    let asked = Instant::now();
    let answer = caller.final_answer(&sent);
    expect_status(&answer, 503);
    assert!(answer.has(HeaderName::RetryAfter));
    assert!(asked.elapsed() < TOLD_WITHIN, "{:?}", asked.elapsed());
    // It was asked properly, and more than once.
    let mut requests = Vec::new();
    for _ in 0..2 {
        let mut buffer = [0; 4_096];
        let length = silent.recv(&mut buffer).unwrap();
        requests.push(buffer[..length].to_vec());
    }
    assert_eq!(requests[0], requests[1]);
    assert!(String::from_utf8_lossy(&requests[0]).contains("7:command5:offer"));
    wait_for("nothing left of the call", || {
        let left = gateway.ask("status")["signalling"].clone();
        let counted = ["calls", "transactions", "forwarded_requests", "waiting"];
        if counted.iter().all(|what| left[what] == 0) {
            Ok(())
        } else {
            Err(left)
        }
    });
    // It is known by now that nobody is there.
    let asked = Instant::now();
    expect_status(&caller.ask(caller.invitation("202", &offer(&caller))), 503);
    assert!(asked.elapsed() < TOLD_WITHIN, "{:?}", asked.elapsed());
    assert!(gateway.figure("viaduct_relay_failures_total") >= 2);
    // The called one has heard of none of it, and calls without media work.
    let sent = caller.begin(caller.draft(Method::Message, "202").body("text/plain", "x"));
    let asked = called.request(Method::Message);
    called.respond(&asked, 200);
    expect_status(&caller.final_answer(&sent), 200);
    drop((called, caller));
    gateway.finish();
}

/// Of two phones, one has lost its power and one its program.
#[test]
fn a_phone_that_does_not_answer_is_408_and_nothing_stays() {
    let gateway = Gateway::start();
    let mut caller = Phone::tcp(&gateway, "201");
    let mut silent = Phone::udp(&gateway, "202");
    silent.register();
    let mut closed = Phone::udp(&gateway, "203");
    closed.register();
    drop(closed);
    for called in ["202", "203"] {
        let answer = caller.ask(caller.invitation(called, &offer(&caller)));
        expect_status(&answer, 408);
    }
    drop(caller);
    gateway.finish();
}

/// A process that is stopped and goes on finds its waits cut short (`signal(7)`).
#[test]
fn a_gateway_that_is_stopped_again_and_again_still_knows_when_time_is_up() {
    let gateway = Gateway::start();
    let mut caller = Phone::tcp(&gateway, "201");
    let mut silent = Phone::udp(&gateway, "202");
    silent.register();
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let answer = caller.ask(caller.invitation("202", &offer(&caller)));
            expect_status(&answer, 408);
        });
        while !calling.is_finished() {
            gateway.signal(Signal::SIGSTOP);
            gateway.signal(Signal::SIGCONT);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    drop(caller);
    gateway.finish();
}

#[test]
fn a_call_for_which_there_are_no_ports_is_503_and_the_next_is_not() {
    let setup = Setup::default();
    let (address, media) = (setup.address, setup.ports.media);
    // Two for each side of a call.
    let relay = format!(
        "interfaces: {{ default: {{ address: \"{address}\" }} }}, browser_port: {media}, rtp_ports: 30000-30003, \
         port_rest: 0s"
    );
    let gateway = Setup {
        relay: Some(relay),
        ..setup
    }
    .start();
    let mut call = EchoCall::of(&gateway, "201");
    let mut caller = Phone::tcp(&gateway, "202");
    let answer = caller.ask(caller.invitation("100", &offer(&caller)));
    expect_status(&answer, 503);
    assert!(answer.has(HeaderName::RetryAfter));
    call.expect_echo();
    call.hang_up();
    wait_for("ports again", || {
        let used = gateway.ask("status")["relay"]["built_in"]["ports_in_use"].clone();
        if used == 0 { Ok(()) } else { Err(used) }
    });
    EchoCall::of(&gateway, "202").hang_up();
    drop(caller);
    gateway.finish();
}

#[test]
fn a_call_that_is_given_up_is_taken_back_from_whoever_rings() {
    let gateway = Gateway::start();
    for transport in [Transport::Udp, Transport::Ws] {
        let (mut caller, mut called) = (
            Phone::tcp(&gateway, "201"),
            Phone::over(transport, &gateway, "300"),
        );
        called.register();
        let sent = caller.begin(caller.invitation("300", &offer(&caller)));
        let invite = called.request(Method::Invite);
        called.respond(&invite, 180);
        while caller.answer(&sent).status().unwrap().get() != 180 {}
        let cancel = RequestBuilder::cancel_for(&sent).unwrap().build().unwrap();
        caller.wire.send(&cancel);
        let cancelled = called.request(Method::Cancel);
        called.respond(&cancelled, 200);
        called.respond(&invite, 487);
        called.request(Method::Ack);
        // The CANCEL has the branch of the INVITE, so its answer may come here first.
        let answer = caller.final_answer(&sent);
        let answer = if answer.cseq().unwrap().unwrap().method == Method::Cancel {
            expect_status(&answer, 200);
            caller.final_answer(&sent)
        } else {
            answer
        };
        expect_status(&answer, 487);
        called.register_for(0);
    }
    gateway.finish();
}

/// The page was closed in the middle of a call: no word, no media, no call.
#[test]
fn a_call_of_which_one_side_has_vanished_ends() {
    let gateway = Gateway::start();
    let call = EchoCall::of(&gateway, "201");
    assert_eq!(gateway.ask("calls").as_array().unwrap().len(), 1);
    drop(call);
    gateway.expect_clean();
    gateway.expect_exactly("viaduct_calls_ended_by_proxy_total", 1);
    gateway.finish();
}
