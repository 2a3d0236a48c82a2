//! STUN and DTLS of others, and whatever else may come to a port.

use std::sync::Arc;
use std::time::Duration;

use viaduct_stun::{Class, MessageWriter, Method, TransactionId};

use super::*;

/// A ClientHello as a DTLS library makes it.
fn client_hello(world: &World) -> Vec<u8> {
    let config = Arc::new(dimpl::Config::default());
    let own = dimpl::certificate::generate_self_signed_certificate().unwrap();
    let mut dtls = dimpl::Dtls::new_12(config, own, world.now);
    dtls.set_active(true);
    dtls.handle_timeout(world.now).unwrap();
    let mut buffer = [0; 2_048];
    loop {
        match dtls.poll_output(&mut buffer) {
            dimpl::Output::Packet(data) => return data.to_vec(),
            dimpl::Output::Timeout(_) => panic!("no ClientHello"),
            _ => {}
        }
    }
}

/// Forged ClientHellos before the handshake and during it: nobody is answered from whom ICE has not heard the password
/// (RFC 8842 section 5.1).
#[test]
fn forged_client_hellos_neither_begin_a_handshake_nor_disturb_one() {
    for flags in [
        WEB_TO_PHONE.to_owned(),
        WEB_TO_PHONE.replace("ICE-lite=backward ", ""),
    ] {
        let mut town = Town::signalled_with(&flags);
        let before = town.gauges();
        let forged = client_hello(&town.world);
        let browser = town.victim.browser.address;
        let mut sent = 0;
        for n in 0..2_000 {
            // The browser's own address has proven nothing either.
            for from in [attacker(n), browser] {
                let verdict = town.forge(from, Town::shared(), &forged);
                assert_eq!(verdict, Verdict::Drop(DropReason::DtlsNotAllowed));
                sent += 1;
            }
        }
        assert_eq!(town.gauges(), before, "no association begins");
        // While ICE and the handshake run, one more between each two of their datagrams.
        for n in 0.. {
            Browser::run(
                &mut town.world,
                &mut [&mut town.victim.browser],
                Duration::from_millis(10),
            );
            let (verdict, octets) = town.bombard(attacker(n), Town::shared(), &forged);
            sent += 1;
            assert_eq!((verdict, octets), (Verdict::Drop(DropReason::DtlsNotAllowed), 0));
            if town.victim.browser.has_keys() {
                break;
            }
            assert!(n < 300, "no keys: {:?}", town.world.take_events());
        }
        Browser::connect(&mut town.world, &mut [&mut town.victim.browser]);
        assert_eq!(town.dropped(DropReason::DtlsNotAllowed), sent);
        assert_eq!(town.world.relay.counters().dtls_failed, 0);
        let before = town.gauges();
        town.ends_unharmed(before);
    }
}

/// The same from the address that ICE has found, which takes somebody on the way or a network that lets false addresses
/// out. That handshake may be lost, as it is for whoever is on the way anyway; the forger gets no keys, and there is one
/// association.
#[test]
fn forged_client_hellos_from_the_browsers_address_cost_one_handshake_at_most() {
    let mut town = Town::signalled();
    let forged = client_hello(&town.world);
    let before = town.gauges();
    for _ in 0..500 {
        let Pair { browser, .. } = &mut town.victim;
        Browser::run(&mut town.world, &mut [browser], Duration::from_millis(10));
        let from = browser.address;
        town.forge(from, Town::shared(), &forged);
    }
    let now = town.gauges();
    assert!(now.dtls_associations <= before.dtls_associations + 1, "{now:?}");
    assert_eq!(now.crypto, before.crypto);
    // The browser calls again.
    town.world.ok(&delete_call("victim"));
    town.victim = Pair::signalled(&mut town.world, "victim", 3, WEB_TO_PHONE);
    Browser::connect(&mut town.world, &mut [&mut town.victim.browser]);
    let before = town.gauges();
    town.ends_unharmed(before);
}

/// STUN with a wrong integrity, from everywhere and from the browser's own address (RFC 8445 section 7.3).
#[test]
fn stun_with_a_wrong_integrity_is_refused_and_moves_nothing() {
    for flags in [
        WEB_TO_PHONE.to_owned(),
        WEB_TO_PHONE.replace("ICE-lite=backward ", ""),
    ] {
        let mut town = Town::signalled_with(&flags);
        Browser::connect(&mut town.world, &mut [&mut town.victim.browser]);
        let before = town.gauges();
        let guess = check(&town.victim.username(), "a guess of twenty-two");
        for n in 0..3_000 {
            let (verdict, _) = town.bombard(attacker(n), Town::shared(), &guess);
            assert!(!matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
            town.forge(town.victim.browser.address, Town::shared(), &guess);
        }
        town.world
            .network
            .retain(|datagram| datagram.to != town.victim.browser.address);
        let refused = town.world.worker.stats().snapshot().checks_not_authentic;
        let limited = town.dropped(DropReason::ControlLimited);
        assert!(
            refused + limited > 5_000,
            "{refused} refused, {limited} not looked at"
        );
        town.ends_unharmed(before);
    }
}

/// Floods of STUN: requests of nobody, indications, answers that nobody waits for.
#[test]
fn floods_of_stun_are_dropped_by_name() {
    let mut town = Town::running();
    let (before, ours) = (town.gauges(), town.victim.username());
    let message = |class| {
        let mut buffer = [0; 64];
        let transaction = TransactionId([9; 12]);
        let mut writer = MessageWriter::new(&mut buffer, class, Method::BINDING, transaction).unwrap();
        writer.fingerprint().unwrap();
        writer.finish().to_vec()
    };
    let mut damaged = check(&ours, "a guess of twenty-two");
    *damaged.last_mut().unwrap() ^= 1;
    let kinds = [
        (check("nobody:peer", "x"), DropReason::UnknownUfrag),
        (message(Class::Indication), DropReason::StunIndication),
        (message(Class::Success), DropReason::UnexpectedStun),
        (message(Class::Error), DropReason::UnexpectedStun),
        (damaged, DropReason::StunFingerprint),
    ];
    for n in 0..2_000 {
        for (data, reason) in &kinds {
            let (verdict, octets) = town.bombard(attacker(n), Town::shared(), data);
            assert_eq!((verdict, octets), (Verdict::Drop(*reason), 0));
        }
    }
    assert_eq!(town.dropped(DropReason::UnexpectedStun), 4_000);
    town.ends_unharmed(before);
}

/// Reflected amplification: with a false source address nobody makes the relay send more than a little over what it got,
/// and nothing at all without a name of ICE that it has given away.
#[test]
fn reflected_amplification_gains_nothing() {
    let mut town = Town::running();
    let before = town.gauges();
    let unheard: Vec<Vec<u8>> = vec![
        client_hello(&town.world),
        DTLS.to_vec(),
        check("nobody:peer", "x"),
        rtp(1, 1, 0),
        receiver_report(1),
        vec![0; 20],
        vec![0xff; 1_200],
        b"d7:command4:pinge".to_vec(),
        b"OPTIONS sip:viaduct SIP/2.0\r\n\r\n".to_vec(),
    ];
    for local in town.world.sockets() {
        for n in 0..20 {
            for data in &unheard {
                let (_, octets) = town.bombard(attacker(n), local, data);
                assert_eq!(octets, 0, "for {} at {local}", data.escape_ascii());
            }
        }
    }
    let (mut asked, mut answered) = (0, 0);
    let known = check(&town.victim.username(), "a guess of twenty-two");
    for n in 0..1_000 {
        asked += known.len();
        answered += town.bombard(attacker(n), Town::shared(), &known).1;
    }
    assert!(answered > 0 && answered <= asked, "{answered} octets for {asked}");
    town.ends_unharmed(before);
}

/// Port scanning: every open port looks to a stranger as if it were closed.
#[test]
fn a_port_scan_finds_nothing() {
    let mut town = Town::running();
    let before = town.gauges();
    let sockets = town.world.sockets();
    assert!(
        sockets.len() >= 9,
        "the browsers' port, and pairs in use and in stock"
    );
    let hello = client_hello(&town.world);
    for (n, local) in sockets.iter().enumerate() {
        for first in 0..=255_u8 {
            let mut probe = vec![0; 1 + usize::from(first)];
            probe[0] = first;
            let (verdict, octets) = town.bombard(attacker(n), *local, &probe);
            let unheard = matches!(verdict, Verdict::Drop(_) | Verdict::ToControl(_));
            assert!(unheard && octets == 0, "{verdict:?} at {local}");
        }
        assert_eq!(town.bombard(attacker(n), *local, &hello).1, 0);
    }
    // Whether a report comes from the phone's host is for control to say.
    let snapshot = town.world.worker.stats().snapshot();
    let dropped: u64 = snapshot.drops.iter().map(|(_, count)| count).sum();
    let strangers = town.world.relay.counters().strangers;
    assert!(strangers > 0);
    assert_eq!(dropped + strangers, 257 * sockets.len() as u64);
    town.ends_unharmed(before);
}
