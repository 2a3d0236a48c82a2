//! ICE-lite checks at the browsers' shared port.

use viaduct_forward::{
    Command, CommandError, DropReason, FlowKey, IceAgent, IcePassword, IceRule, LegId, Limits, PortMode,
    PortRule, Report, Shared, TransactionId, Verdict,
};
use viaduct_stun::lite::GROWTH_MAX;
use viaduct_stun::{Class, IntegrityKey, Message, MessageWriter, Method};

use crate::peers::*;

const PASSWORD: &str = "abcdefghijklmnopqrstuvwx";
const MOBILE: &str = "203.0.113.200:1024";

fn lite(leg: LegId, ufrag: &str) -> IceRule {
    IceRule {
        ufrag: ufrag.into(),
        leg,
        remote_ufrag: Some("peer".into()),
        agent: IceAgent::Lite {
            password: IcePassword(PASSWORD.into()),
        },
    }
}

/// What a check says beside USERNAME, PRIORITY, MESSAGE-INTEGRITY and FINGERPRINT.
#[derive(Clone, Copy)]
struct CheckOf<'a> {
    username: &'a str,
    password: &'a str,
    use_candidate: bool,
    controlled: bool,
}

const PLAIN: CheckOf<'_> = CheckOf {
    username: "ours:peer",
    password: PASSWORD,
    use_candidate: false,
    controlled: false,
};
const NOMINATING: CheckOf<'_> = CheckOf {
    use_candidate: true,
    ..PLAIN
};

fn check(of: CheckOf<'_>) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut message = MessageWriter::new(
        &mut buffer,
        Class::Request,
        Method::BINDING,
        TransactionId([9; 12]),
    )
    .unwrap();
    message.username(of.username).unwrap().priority(77).unwrap();
    if of.controlled {
        message.ice_controlled(1).unwrap();
    } else {
        message.ice_controlling(1).unwrap();
    }
    if of.use_candidate {
        message.use_candidate().unwrap();
    }
    message
        .integrity(&IntegrityKey::short_term(of.password))
        .unwrap()
        .fingerprint()
        .unwrap();
    message.finish().to_vec()
}

/// Sends a check, which must be answered; the answer's class and error code.
#[track_caller]
fn answer(relay: &mut Relay, from: &str, check: &[u8]) -> (Class, Option<u16>) {
    let (verdict, answer) = relay.receive(from, SHARED, check);
    assert_eq!(verdict, Verdict::Reply);
    assert!(answer.len() <= check.len() + GROWTH_MAX);
    let message = Message::parse(&answer).unwrap();
    assert_eq!(message.transaction_id(), TransactionId([9; 12]));
    if message.class() == Class::Success {
        assert_eq!(message.xor_mapped_address(), Ok(addr(from)));
        assert_eq!(
            message.verify_integrity(&IntegrityKey::short_term(PASSWORD)),
            Ok(())
        );
    }
    (message.class(), message.error_code().ok().map(|error| error.code))
}

fn relay_with_lite_leg() -> Relay {
    let mut relay = Relay::new();
    relay.command(Command::SetIce(lite(BROWSER_LEG, "ours")));
    relay
}

fn validated(tuple: FlowKey, use_candidate: bool, relay: &Relay) -> Report {
    Report::TupleValidated {
        leg: BROWSER_LEG,
        tuple,
        priority: Some(77),
        use_candidate,
        at: relay.now,
    }
}

fn nominated(tuple: FlowKey, relay: &Relay) -> Report {
    Report::Nominated {
        leg: BROWSER_LEG,
        tuple,
        at: relay.now,
    }
}

#[test]
fn a_new_address_is_answered_and_reported_once() {
    let mut relay = relay_with_lite_leg();
    for _ in 0..3 {
        assert_eq!(answer(&mut relay, BROWSER, &check(PLAIN)), (Class::Success, None));
    }
    assert_eq!(relay.reports(), [validated(key(SHARED, BROWSER), false, &relay)]);
    assert_eq!(relay.worker.stats().snapshot().replied, 3);
}

#[test]
fn a_nomination_is_reported_until_control_follows_it() {
    let mut relay = relay_with_lite_leg();
    let tuple = key(SHARED, BROWSER);
    answer(&mut relay, BROWSER, &check(NOMINATING));
    assert_eq!(
        relay.reports(),
        [validated(tuple, true, &relay), nominated(tuple, &relay)]
    );
    answer(&mut relay, BROWSER, &check(NOMINATING));
    assert_eq!(relay.reports(), [], "just reported");
    relay.wait(200);
    answer(&mut relay, BROWSER, &check(NOMINATING));
    assert_eq!(relay.reports(), [nominated(tuple, &relay)]);
    relay.command(Command::SelectTuple {
        leg: BROWSER_LEG,
        tuple: Some(tuple),
    });
    relay.wait(2500);
    answer(&mut relay, BROWSER, &check(NOMINATING));
    assert_eq!(relay.reports(), []);
}

#[test]
fn the_nomination_moves_to_another_address_and_back() {
    let mut relay = relay_with_lite_leg();
    let (wifi, mobile) = (key(SHARED, BROWSER), key(SHARED, MOBILE));
    answer(&mut relay, BROWSER, &check(NOMINATING));
    relay.command(Command::SelectTuple {
        leg: BROWSER_LEG,
        tuple: Some(wifi),
    });
    relay.reports();
    answer(&mut relay, MOBILE, &check(PLAIN));
    assert_eq!(relay.reports(), [validated(mobile, false, &relay)]);
    relay.wait(1000);
    answer(&mut relay, MOBILE, &check(NOMINATING));
    assert_eq!(relay.reports(), [nominated(mobile, &relay)]);
    relay.command(Command::SelectTuple {
        leg: BROWSER_LEG,
        tuple: Some(mobile),
    });
    relay.wait(1000);
    answer(&mut relay, MOBILE, &check(NOMINATING));
    assert_eq!(relay.reports(), []);
    answer(&mut relay, BROWSER, &check(NOMINATING));
    assert_eq!(relay.reports(), [nominated(wifi, &relay)]);
}

#[test]
fn consent_is_noted_per_address_and_flow() {
    let mut relay = relay_with_lite_leg();
    relay.install_plain(1, key(SHARED, BROWSER), out(AUDIO, PHONE));
    assert_eq!(relay.flow(1).last_consent, None);
    answer(&mut relay, BROWSER, &check(PLAIN));
    let first = relay.now;
    relay.wait(5000);
    answer(&mut relay, MOBILE, &check(PLAIN));
    let mut consents = relay.shared.stats.consents(BROWSER_LEG);
    consents.sort_by_key(|consent| consent.last_check);
    let seen: Vec<_> = consents.iter().map(|c| (c.tuple, c.last_check)).collect();
    assert_eq!(
        seen,
        [(key(SHARED, BROWSER), first), (key(SHARED, MOBILE), relay.now)]
    );
    assert_eq!(relay.flow(1).last_consent, Some(first));
    assert_eq!(relay.flow(1).last_packet, None, "a check is no media");
}

#[test]
fn a_wrong_password_gets_401_and_teaches_nothing() {
    let mut relay = relay_with_lite_leg();
    let wrong = CheckOf {
        password: "not the password at all",
        ..NOMINATING
    };
    assert_eq!(
        answer(&mut relay, STRANGER, &check(wrong)),
        (Class::Error, Some(401))
    );
    let wrong = CheckOf {
        username: "ours:somebody",
        ..NOMINATING
    };
    assert_eq!(
        answer(&mut relay, STRANGER, &check(wrong)),
        (Class::Error, Some(401))
    );
    assert_eq!(relay.reports(), []);
    assert_eq!(relay.shared.stats.consents(BROWSER_LEG), []);
    assert_eq!(relay.worker.stats().snapshot().checks_not_authentic, 2);
}

#[test]
fn a_controlled_peer_is_told_and_reported() {
    let mut relay = relay_with_lite_leg();
    let conflict = CheckOf {
        controlled: true,
        ..NOMINATING
    };
    assert_eq!(
        answer(&mut relay, BROWSER, &check(conflict)),
        (Class::Error, Some(487))
    );
    let report = Report::RoleConflict {
        leg: BROWSER_LEG,
        tuple: key(SHARED, BROWSER),
        at: relay.now,
    };
    assert_eq!(relay.reports(), [report]);
    assert_eq!(relay.worker.stats().snapshot().checks_refused, 1);
}

#[test]
fn what_belongs_to_no_leg_is_not_answered() {
    let mut relay = relay_with_lite_leg();
    let other = CheckOf {
        username: "nobody:peer",
        ..PLAIN
    };
    relay.drops(BROWSER, SHARED, &check(other), DropReason::UnknownUfrag);
    let nameless = CheckOf {
        username: "ours",
        ..PLAIN
    };
    relay.drops(BROWSER, SHARED, &check(nameless), DropReason::UnknownUfrag);
    let mut damaged = check(PLAIN);
    *damaged.last_mut().unwrap() ^= 1;
    relay.drops(BROWSER, SHARED, &damaged, DropReason::StunFingerprint);
    let mut cut = check(PLAIN);
    cut.truncate(60);
    relay.drops(BROWSER, SHARED, &cut, DropReason::MalformedStun);
    let mut buffer = [0; 64];
    let mut keepalive = MessageWriter::new(
        &mut buffer,
        Class::Indication,
        Method::BINDING,
        TransactionId([1; 12]),
    )
    .unwrap();
    keepalive.fingerprint().unwrap();
    relay.drops(BROWSER, SHARED, keepalive.finish(), DropReason::StunIndication);
    relay.command(Command::RemoveIce { ufrag: "ours".into() });
    relay.drops(BROWSER, SHARED, &check(PLAIN), DropReason::UnknownUfrag);
    assert_eq!(
        relay.refused(Command::RemoveIce { ufrag: "ours".into() }),
        CommandError::UnknownUfrag("ours".into())
    );
}

#[test]
fn a_port_of_its_own_answers_its_leg_only() {
    let mut relay = relay_with_lite_leg();
    let port = |leg| {
        Command::SetPort(PortRule {
            local: addr(SHARED),
            leg,
            mode: PortMode::Settled,
            authenticate: None,
        })
    };
    relay.command(port(PHONE_LEG));
    relay.drops(BROWSER, SHARED, &check(PLAIN), DropReason::ForeignUfrag);
    relay.command(port(BROWSER_LEG));
    assert_eq!(answer(&mut relay, BROWSER, &check(PLAIN)), (Class::Success, None));
}

/// The answer to our offer brings the peer's fragment, and an ICE restart another pair.
#[test]
fn credentials_change_in_the_middle() {
    let mut relay = Relay::new();
    relay.command(Command::SetIce(IceRule {
        remote_ufrag: None,
        ..lite(BROWSER_LEG, "ours")
    }));
    let early = CheckOf {
        username: "ours:whoever",
        ..PLAIN
    };
    assert_eq!(answer(&mut relay, BROWSER, &check(early)), (Class::Success, None));
    relay.command(Command::SetIce(lite(BROWSER_LEG, "ours")));
    assert_eq!(
        answer(&mut relay, BROWSER, &check(early)),
        (Class::Error, Some(401))
    );
    relay.command(Command::SetIce(lite(BROWSER_LEG, "next")));
    let restarted = CheckOf {
        username: "next:peer",
        ..PLAIN
    };
    assert_eq!(
        answer(&mut relay, BROWSER, &check(restarted)),
        (Class::Success, None)
    );
    // Both pairs are good until control removes the old one; the address is known already.
    assert_eq!(answer(&mut relay, BROWSER, &check(PLAIN)), (Class::Success, None));
    relay.command(Command::RemoveIce { ufrag: "ours".into() });
    relay.drops(BROWSER, SHARED, &check(PLAIN), DropReason::UnknownUfrag);
    assert_eq!(relay.reports().len(), 1);
    let stolen = lite(LegId(77), "next");
    let refused = CommandError::UfragInUse {
        ufrag: "next".into(),
        leg: BROWSER_LEG,
    };
    assert_eq!(relay.refused(Command::SetIce(stolen)), refused);
}

/// Somebody with the password who checks from ever new addresses.
#[test]
fn the_addresses_of_a_leg_are_bounded_and_the_selected_one_stays() {
    let mut relay = relay_with_lite_leg();
    answer(&mut relay, BROWSER, &check(PLAIN));
    let selected = key(SHARED, BROWSER);
    relay.command(Command::SelectTuple {
        leg: BROWSER_LEG,
        tuple: Some(selected),
    });
    relay.reports();
    for port in 2000..3000 {
        answer(&mut relay, &format!("203.0.113.200:{port}"), &check(PLAIN));
    }
    assert_eq!(
        relay.reports().len(),
        199,
        "200 reports a second, one of them before"
    );
    assert_eq!(relay.worker.stats().snapshot().reports_delayed, 801);
    relay.wait(1000);
    answer(&mut relay, BROWSER, &check(NOMINATING));
    assert_eq!(
        relay.reports(),
        [],
        "the selected address is neither new nor a new nomination"
    );
    assert_eq!(relay.shared.stats.consents(BROWSER_LEG).len(), 16);
}

#[test]
fn the_address_checked_longest_ago_is_forgotten_first() {
    let limits = Limits {
        tuples_per_leg: 2,
        ..Limits::default()
    };
    let mut relay = Relay::with(limits, Shared::default());
    relay.command(Command::SetIce(lite(BROWSER_LEG, "ours")));
    for from in [BROWSER, MOBILE, BROWSER, PHONE] {
        relay.wait(100);
        answer(&mut relay, from, &check(PLAIN));
    }
    relay.reports();
    answer(&mut relay, BROWSER, &check(PLAIN));
    assert_eq!(relay.reports(), [], "checked in between");
    answer(&mut relay, MOBILE, &check(PLAIN));
    assert_eq!(relay.reports(), [validated(key(SHARED, MOBILE), false, &relay)]);
}

#[test]
fn a_full_queue_delays_reports_and_loses_none() {
    let limits = Limits {
        reports_queued: 1,
        ..Limits::default()
    };
    let mut relay = Relay::with(limits, Shared::default());
    relay.command(Command::SetIce(lite(BROWSER_LEG, "ours")));
    answer(&mut relay, BROWSER, &check(NOMINATING));
    answer(&mut relay, MOBILE, &check(PLAIN));
    let (wifi, mobile) = (key(SHARED, BROWSER), key(SHARED, MOBILE));
    assert_eq!(relay.reports(), [validated(wifi, true, &relay)]);
    answer(&mut relay, MOBILE, &check(PLAIN));
    assert_eq!(relay.reports(), [validated(mobile, false, &relay)]);
    answer(&mut relay, BROWSER, &check(NOMINATING));
    assert_eq!(relay.reports(), [nominated(wifi, &relay)]);
}
