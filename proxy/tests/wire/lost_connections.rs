//! Connections that end while something is still to be answered over them.

use viaduct_sip::{Method, Transport};

use crate::support::gateway::{Gateway, Setup};
use crate::support::media::Media;
use crate::support::phone::{Phone, expect_status};
use crate::support::server::Server;
use crate::support::{free_port, own_address, wait_for};

/// RFC 3261 section 18.2.2.
#[test]
fn an_answer_finds_its_reader_when_the_connection_of_the_request_is_gone() {
    let gateway = Gateway::start();
    let mut callee = Phone::udp(&gateway, "202");
    callee.register();
    // It may restart, and listens where its Via says.
    let mut listener = Server::tcp(gateway.phones, free_port(gateway.phones));
    let mut caller = Phone::tcp(&gateway, "201");
    caller.sent_by = listener.address.to_string();
    let draft = caller.draft(Method::Message, "202");
    let sent = caller.begin(draft.body("text/plain", "hello"));
    let asked = callee.request(Method::Message);

    drop(caller);
    wait_for("the end of the connection", || {
        match gateway.figure("viaduct_connections") {
            0 => Ok(()),
            some => Err(some),
        }
    });
    callee.respond(&asked, 200);
    let answer = listener.message();
    expect_status(&answer, 200);
    assert_eq!(answer.call_id(), sent.call_id());
    gateway.expect_exactly("viaduct_answers_over_new_connections_total", 1);
    gateway.expect_exactly("viaduct_outgoing_connections_total", 1);
    drop((listener, callee));
    gateway.finish();
}

/// RFC 3261 section 18: a carrier's server closes a connection over which nothing comes. The call goes on, and its end is said
/// over a connection to where the carrier listens.
#[test]
fn a_trunk_that_has_closed_its_connection_is_told_the_end_of_its_call() {
    let at = own_address();
    let mut listener = Server::tcp(at, free_port(at));
    let gateway = Setup {
        more: format!(
            "trunks:\n  carrier: {{ proxy: 'sip:{}', transport: tcp, trust_from: ['{at}/32'], options_ping: never }}\n",
            listener.address
        ),
        ..Setup::default()
    }
    .start();
    let mut callee = Phone::udp(&gateway, "202");
    callee.register();
    let mut carrier = Phone::between(Transport::Tcp, &gateway, at, "201");
    carrier.sent_by = listener.address.to_string();
    let [offer, answer] = [at, callee.wire.local().ip()].map(|ip| Media::at(ip).sdp());
    let sent = carrier.send(&carrier.invitation("202", &offer));
    let invite = callee.request(Method::Invite);
    callee.accept(&invite, &answer);
    let accepted = carrier.final_answer(&sent);
    carrier.acknowledge(&accepted);
    let dialog = callee.acknowledged(&invite);

    drop(carrier);
    wait_for("the end of the connection", || {
        match gateway.figure("viaduct_connections") {
            0 => Ok(()),
            some => Err(some),
        }
    });
    let ended = callee.leave(dialog);
    let bye = listener.request(Method::Bye);
    assert_eq!(bye.call_id(), sent.call_id());
    listener.respond(&bye, 200);
    expect_status(&callee.final_answer(&ended), 200);
    drop((listener, callee));
    gateway.finish();
}
