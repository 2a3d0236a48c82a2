//! What outlives the process.

use serde_json::Value;
use viaduct_sip::{Method, Transport};

use crate::support::echo_call::EchoCall;
use crate::support::gateway::{Gateway, Setup};
use crate::support::phone::{Phone, expect_status};
use crate::support::socket::{connect, secure};

#[test]
fn phones_reached_by_datagrams_are_still_registered_after_a_crash_and_others_are_not() {
    let gateway = Gateway::start();
    let mut phone = Phone::udp(&gateway, "201");
    phone.register();
    let mut others: Vec<Phone> = [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss]
        .into_iter()
        .zip(["202", "203", "300", "301"])
        .map(|(transport, user)| Phone::over(transport, &gateway, user))
        .collect();
    for other in &mut others {
        other.register();
    }
    // One that is on the phone, and one that has left, when it happens.
    let mut left = Phone::udp(&gateway, "204");
    left.register();
    left.register_for(0);
    let call = EchoCall::of(&gateway, "202");
    let before = gateway.registrations("201");
    let certificate = |gateway: &Gateway| std::fs::read(gateway.folder().join("state/tls/certificate.pem"));
    let own = certificate(&gateway).unwrap();

    let gateway = gateway.crash();
    drop((others, call));
    let shown = gateway.ask("registrations");
    assert_eq!(shown.as_array().unwrap().len(), 1, "{shown}");
    let now = gateway.registrations("201");
    for key in ["contact", "transport", "address", "flags", "user_agent", "q"] {
        assert_eq!(now[0][key], before[0][key], "{key}");
    }
    let seconds = |shown: &[Value]| shown[0]["expires_s"].as_u64().unwrap();
    assert!((400..=seconds(&before)).contains(&seconds(&now)), "{now:?}");

    // It is called as before, without having done anything.
    let mut caller = Phone::tcp(&gateway, "202");
    let sent = caller.begin(
        caller
            .draft(Method::Message, "201")
            .body("text/plain", "Still there?"),
    );
    let asked = phone.request(Method::Message);
    phone.respond(&asked, 200);
    expect_status(&caller.final_answer(&sent), 200);
    let sent = caller.begin(
        caller
            .draft(Method::Message, "300")
            .body("text/plain", "And you?"),
    );
    expect_status(&caller.final_answer(&sent), 480);
    // It refreshes and leaves as before: neither its CSeq nor its nonces have to begin again.
    phone.register();
    phone.register_for(0);
    // Whoever accepted the certificate is not asked again.
    assert_eq!(certificate(&gateway).unwrap(), own);
    drop(secure(&gateway, connect(gateway.at(gateway.ports.sips))));
    drop(caller);
    gateway.finish();
}

#[test]
fn what_was_removed_stays_removed() {
    let gateway = Gateway::start();
    let mut phone = Phone::udp(&gateway, "201");
    phone.register();
    let gateway = gateway.crash();
    phone.register_for(0);
    let gateway = gateway.crash();
    assert_eq!(gateway.ask("registrations"), Value::Array(Vec::new()));
    gateway.finish();
}

#[test]
fn with_registrations_in_memory_nobody_is_registered_after_a_restart() {
    let kept = Gateway::start();
    Phone::udp(&kept, "201").register();
    assert_eq!(kept.figure("viaduct_store_changes_total"), 1);
    kept.finish();

    let gateway = Setup {
        registrations: "keep: memory",
        ..Setup::default()
    }
    .start();
    let mut phone = Phone::udp(&gateway, "201");
    phone.register();
    assert_eq!(gateway.registrations("201").len(), 1);
    assert_eq!(gateway.figure("viaduct_store_changes_total"), 0);
    let gateway = gateway.restart();
    assert_eq!(gateway.ask("registrations"), Value::Array(Vec::new()));
    gateway.finish();
}

#[test]
fn with_a_window_a_crash_costs_what_was_not_written_and_an_orderly_end_costs_nothing() {
    let gateway = Setup {
        registrations: "window: 1m",
        ..Setup::default()
    }
    .start();
    let mut phone = Phone::udp(&gateway, "201");
    phone.register();
    let gateway = gateway.restart();
    assert_eq!(gateway.registrations("201").len(), 1);
    let mut other = Phone::udp(&gateway, "202");
    other.register();
    let gateway = gateway.crash();
    assert_eq!(gateway.registrations("201").len(), 1);
    assert_eq!(gateway.registrations("202").len(), 0);
    gateway.finish();
}
