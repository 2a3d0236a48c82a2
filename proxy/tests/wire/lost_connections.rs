//! Connections that end while something is still to be answered over them.

use viaduct_sip::Method;

use crate::support::gateway::Gateway;
use crate::support::phone::{Phone, expect_status};
use crate::support::server::Server;
use crate::support::{free_port, wait_for};

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
    assert_eq!(gateway.figure("viaduct_answers_over_new_connections_total"), 1);
    assert_eq!(gateway.figure("viaduct_outgoing_connections_total"), 1);
    drop((listener, callee));
    gateway.finish();
}
