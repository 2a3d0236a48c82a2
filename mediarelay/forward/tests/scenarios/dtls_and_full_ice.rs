//! What is handed to control: handshakes from validated addresses, checks and answers of full ICE agents.

use viaduct_forward::{
    Command, CommandError, DropReason, IceAgent, IceRule, LegId, Limits, PortMode, PortRule, Shared,
    ToControl, TransactionId, Verdict,
};
use viaduct_stun::{Class, IntegrityKey, MessageWriter, Method};

use crate::peers::*;

/// A DTLS record: the beginning of a ClientHello.
const CLIENT_HELLO: &[u8] =
    b"\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x01\x00\x00\x04\x00\x00\x00";

fn stun(class: Class, transaction: u8, username: Option<&str>) -> Vec<u8> {
    let mut buffer = [0; 128];
    let id = TransactionId([transaction; 12]);
    let mut message = MessageWriter::new(&mut buffer, class, Method::BINDING, id).unwrap();
    if let Some(username) = username {
        message.username(username).unwrap();
    }
    message
        .integrity(&IntegrityKey::short_term("whatever"))
        .unwrap()
        .fingerprint()
        .unwrap();
    message.finish().to_vec()
}

const TO_BROWSER_LEG: Verdict = Verdict::ToControl(ToControl::Stun { leg: BROWSER_LEG });

#[test]
fn dtls_comes_from_allowed_addresses_only() {
    let mut relay = Relay::new();
    relay.drops(BROWSER, SHARED, CLIENT_HELLO, DropReason::DtlsNotAllowed);
    let tuple = key(SHARED, BROWSER);
    relay.command(Command::AllowDtls {
        tuple,
        leg: BROWSER_LEG,
    });
    let to_control = Verdict::ToControl(ToControl::Dtls { leg: BROWSER_LEG });
    assert_eq!(
        relay.receive(BROWSER, SHARED, CLIENT_HELLO),
        (to_control, CLIENT_HELLO.to_vec())
    );
    relay.drops(STRANGER, SHARED, CLIENT_HELLO, DropReason::DtlsNotAllowed);
    relay.drops(BROWSER, AUDIO, CLIENT_HELLO, DropReason::DtlsNotAllowed);
    relay.command(Command::RevokeDtls { tuple });
    relay.drops(BROWSER, SHARED, CLIENT_HELLO, DropReason::DtlsNotAllowed);
}

#[test]
fn an_allowed_address_cannot_flood_control() {
    let mut relay = Relay::new();
    relay.command(Command::AllowDtls {
        tuple: key(SHARED, BROWSER),
        leg: BROWSER_LEG,
    });
    let shown = (0..1000)
        .filter(|_| {
            matches!(
                relay.receive(BROWSER, SHARED, CLIENT_HELLO).0,
                Verdict::ToControl(_)
            )
        })
        .count();
    assert_eq!(shown, 200);
    assert_eq!(relay.dropped(DropReason::ControlLimited), 800);
}

#[test]
fn a_dtls_permission_can_move_to_another_leg() {
    let mut relay = Relay::new();
    let tuple = key(SHARED, BROWSER);
    relay.command(Command::AllowDtls { tuple, leg: LegId(5) });
    relay.command(Command::AllowDtls {
        tuple,
        leg: BROWSER_LEG,
    });
    let to_control = Verdict::ToControl(ToControl::Dtls { leg: BROWSER_LEG });
    assert_eq!(relay.receive(BROWSER, SHARED, CLIENT_HELLO).0, to_control);
    let select = Command::SelectTuple {
        leg: LegId(5),
        tuple: None,
    };
    assert_eq!(relay.refused(select), CommandError::UnknownLeg(LegId(5)));
}

#[test]
fn a_gone_socket_takes_its_permissions_along() {
    let mut relay = Relay::with(
        Limits {
            dtls_tuples: 2,
            ..Limits::default()
        },
        Shared::default(),
    );
    let allow = |local, remote| Command::AllowDtls {
        tuple: key(local, remote),
        leg: BROWSER_LEG,
    };
    relay.command(allow(AUDIO, BROWSER));
    relay.command(allow(VIDEO, BROWSER));
    let socket = relay.socket(AUDIO);
    relay.command(Command::UnbindSocket { socket });
    let select = Command::SelectTuple {
        leg: BROWSER_LEG,
        tuple: None,
    };
    relay.command(select.clone());
    relay.command(Command::RevokeDtls {
        tuple: key(VIDEO, BROWSER),
    });
    assert_eq!(relay.refused(select), CommandError::UnknownLeg(BROWSER_LEG));
    // The number may come back for another port, with room in the table and without the old permission.
    relay.command(Command::BindSocket {
        socket,
        local: addr(AUDIO),
    });
    relay.drops(BROWSER, AUDIO, CLIENT_HELLO, DropReason::DtlsNotAllowed);
    relay.command(allow(SHARED, BROWSER));
    relay.command(allow(SHARED, STRANGER));
}

#[test]
fn checks_for_a_full_agent_go_to_control_untouched() {
    let mut relay = Relay::new();
    let full = IceRule {
        ufrag: "full".into(),
        leg: BROWSER_LEG,
        remote_ufrag: None,
        agent: IceAgent::Full,
    };
    relay.command(Command::SetIce(full));
    let request = stun(Class::Request, 1, Some("full:peer"));
    assert_eq!(
        relay.receive(BROWSER, SHARED, &request),
        (TO_BROWSER_LEG, request)
    );
}

/// Whoever knows the username fragment can send checks; the handshake must get through all the same.
#[test]
fn a_flood_of_checks_does_not_keep_the_handshake_out() {
    let mut relay = Relay::new();
    let agent = IceAgent::Full;
    let full = IceRule {
        ufrag: "full".into(),
        leg: BROWSER_LEG,
        remote_ufrag: None,
        agent,
    };
    relay.command(Command::SetIce(full));
    relay.command(Command::AllowDtls {
        tuple: key(SHARED, BROWSER),
        leg: BROWSER_LEG,
    });
    let request = stun(Class::Request, 1, Some("full:peer"));
    for _ in 0..500 {
        relay.receive(STRANGER, SHARED, &request);
    }
    assert_eq!(relay.dropped(DropReason::ControlLimited), 300);
    let to_control = Verdict::ToControl(ToControl::Dtls { leg: BROWSER_LEG });
    assert_eq!(relay.receive(BROWSER, SHARED, CLIENT_HELLO).0, to_control);
}

#[test]
fn answers_are_taken_when_awaited_and_only_once() {
    let mut relay = Relay::new();
    let response = stun(Class::Success, 7, None);
    relay.drops(BROWSER, SHARED, &response, DropReason::UnexpectedStun);
    let until = relay.now.after(std::time::Duration::from_secs(5));
    let expect = Command::ExpectStun {
        transaction: TransactionId([7; 12]),
        local: addr(SHARED),
        leg: BROWSER_LEG,
        until,
    };
    relay.command(expect.clone());
    relay.drops(BROWSER, AUDIO, &response, DropReason::UnexpectedStun);
    assert_eq!(relay.receive(BROWSER, SHARED, &response).0, TO_BROWSER_LEG);
    relay.drops(BROWSER, SHARED, &response, DropReason::UnexpectedStun);
    relay.command(expect);
    relay.wait(5001);
    relay.drops(BROWSER, SHARED, &response, DropReason::UnexpectedStun);
}

#[test]
fn a_full_agents_own_port_takes_every_answer() {
    let mut relay = Relay::new();
    let response = stun(Class::Error, 7, None);
    let rule = PortRule {
        local: addr(AUDIO),
        leg: BROWSER_LEG,
        mode: PortMode::Settled,
        authenticate: None,
    };
    relay.command(Command::SetPort(rule));
    relay.drops(BROWSER, AUDIO, &response, DropReason::UnexpectedStun);
    let full = IceRule {
        ufrag: "full".into(),
        leg: BROWSER_LEG,
        remote_ufrag: None,
        agent: IceAgent::Full,
    };
    relay.command(Command::SetIce(full));
    assert_eq!(relay.receive(BROWSER, AUDIO, &response).0, TO_BROWSER_LEG);
    let shown = (0..1000)
        .filter(|_| matches!(relay.receive(BROWSER, AUDIO, &response).0, Verdict::ToControl(_)))
        .count();
    assert_eq!(shown, 199);
    relay.command(Command::RemoveIce { ufrag: "full".into() });
    relay.drops(BROWSER, AUDIO, &response, DropReason::UnexpectedStun);
}

#[test]
fn awaited_answers_are_bounded_and_late_ones_make_room() {
    let limits = Limits {
        stun_transactions: 2,
        ..Limits::default()
    };
    let mut relay = Relay::with(limits, Shared::default());
    let expect = |n, until| Command::ExpectStun {
        transaction: TransactionId([n; 12]),
        local: addr(SHARED),
        leg: BROWSER_LEG,
        until,
    };
    let soon = relay.now.after(std::time::Duration::from_secs(1));
    relay.command(expect(1, soon));
    relay.command(expect(2, soon));
    assert_eq!(
        relay.refused(expect(3, soon)),
        CommandError::Limit("stun_transactions")
    );
    relay.wait(1001);
    let later = relay.now.after(std::time::Duration::from_secs(1));
    relay.command(expect(3, later));
    assert_eq!(
        relay.receive(BROWSER, SHARED, &stun(Class::Success, 3, None)).0,
        TO_BROWSER_LEG
    );
}
