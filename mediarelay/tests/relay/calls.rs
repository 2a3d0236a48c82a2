//! Calls through a relay within this process.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::channel;

use viaduct_mediarelay::{Event, Snapshot, What};
use viaduct_settings::{KernelMode, MediaSettings, SteeringMode};

use crate::support::call::{Call, answer, delete, offer, offer_again, ok};
use crate::support::phone::Phone;
use crate::support::{InProcess, PATIENCE, own_address, settings, wait_for};

#[test]
fn two_phones_hear_each_other_over_ipv4_and_ipv6() {
    let v6: IpAddr = Ipv6Addr::LOCALHOST.into();
    for address in [own_address(), v6] {
        let media = MediaSettings {
            browser_port: None,
            ..settings(address)
        };
        let relay = InProcess::start_with(media);
        let phones = if address.is_ipv4() { own_address() } else { v6 };
        let mut call = Call::set_up_at(phones, "phones", |request| relay.ask(request.clone()));
        assert_eq!((call.for_alice.0.ip(), call.for_bob.0.ip()), (address, address));
        call.talk(50);
        call.report();
        call.talk(50);
        let report = ok(relay.ask(delete("phones"))).call.unwrap();
        assert_eq!((report.totals.rtp.packets, report.totals.rtcp.packets), (200, 2));
        relay.wait_until_empty();
        relay.shut_down();
    }
}

#[test]
fn ports_get_further_sockets_for_those_who_talk_and_give_them_back() {
    let address = own_address();
    let media = MediaSettings {
        browser_port: None,
        steering: SteeringMode::Off,
        kernel: KernelMode::Off,
        workers: Some(2),
        ..settings(address)
    };
    let relay = InProcess::start_with(media);
    let connected = |of: &Snapshot| of.workers.iter().map(|worker| worker.io.connected).sum::<u64>();
    let phones = own_address();
    let mut calls = ["one", "two", "three"]
        .map(|name| Call::set_up_at(phones, name, |request| relay.ask(request.clone())));
    calls.iter_mut().for_each(|call| call.talk(60));
    relay.wait_for("a further socket for each phone", |now| connected(now) == 6);
    calls.iter_mut().for_each(|call| {
        call.talk(20);
        call.report();
    });
    // One moves to where it was never heard, and is heard from there at once.
    let call = &mut calls[0];
    call.alice = Phone::at(own_address(), 0xa11ce);
    ok(relay.ask(offer_again("one", &call.alice.sdp())));
    ok(relay.ask(answer("one", &call.bob.sdp())));
    calls.iter_mut().for_each(|call| call.talk(60));
    relay.wait_for("one for where it is now", |now| connected(now) == 7);
    calls.iter_mut().for_each(|call| call.talk(20));
    for name in ["one", "two", "three"] {
        ok(relay.ask(delete(name)));
    }
    relay.wait_until_empty();
    relay.wait_for("none", |now| connected(now) == 0);
    relay.shut_down();
}

#[test]
fn calls_are_spread_over_workers_and_do_not_mix() {
    let relay = InProcess::start(own_address());
    let phones = own_address();
    let set_up = |number| {
        Call::set_up_at(phones, &format!("call {number}"), |request| {
            relay.ask(request.clone())
        })
    };
    let mut calls: Vec<Call> = (0..24).map(set_up).collect();
    for _ in 0..5 {
        calls.iter_mut().for_each(|call| call.talk(2));
    }
    // A worker counts after it has sent.
    let busy = relay.wait_for("all packets", |now| {
        now.workers
            .iter()
            .map(|worker| worker.forward.forwarded)
            .sum::<u64>()
            == 480
    });
    assert_eq!(
        (
            busy.gauges.calls,
            busy.control.orders_failed,
            busy.control.addresses_unknown
        ),
        (24, 0, 0)
    );
    // One worker for all has a chance of 2 to the power of -23.
    assert!(
        busy.workers.iter().all(|worker| worker.forward.forwarded > 0),
        "{:?}",
        busy.workers
    );
    for call in &calls {
        ok(relay.ask(delete(&call.call_id)));
    }
    let empty = relay.wait_until_empty();
    assert_eq!(empty.counters.ended_regularly, 24);
    assert_eq!(
        (empty.counters.zero_way_calls, empty.counters.one_way_calls),
        (0, 0)
    );
    relay.shut_down();
}

#[test]
fn what_happens_to_a_call_is_told_in_order() {
    let relay = InProcess::start(own_address());
    let mut events = relay.handle.events();
    let mut call = Call::set_up("told", |request| relay.ask(request.clone()));
    call.talk(1);
    let mut told = Vec::new();
    let mut next = |what: &str| {
        let event: Event = wait_for(what, || events.try_next());
        assert_eq!(event.call_id, "told");
        told.push(event.what);
    };
    for what in ["the offer", "the answer", "one way", "the other way", "both ways"] {
        next(what);
    }
    ok(relay.ask(delete("told")));
    next("the end");
    assert!(
        matches!(
            &told[..],
            [
                What::Created,
                What::Answered { .. },
                What::MediaStarted { .. },
                What::MediaStarted { .. },
                What::MediaBothWays { .. },
                What::Deleted { .. }
            ]
        ),
        "{told:?}"
    );
    assert_eq!(events.missed(), 0);
    relay.shut_down();
}

#[test]
fn a_phone_behind_nat_is_found_by_what_it_sends() {
    let relay = InProcess::start(own_address());
    let call = Call::set_up("nat", |request| relay.ask(request.clone()));
    // The address in Bob's SDP is not where his packets come from.
    let outside = UdpSocket::bind((own_address(), 0)).unwrap();
    outside.set_read_timeout(Some(PATIENCE)).unwrap();
    outside.send_to(&call.bob.packet(1), call.for_bob.0).unwrap();
    // His first packet is not lost: it is looked at again when his address is known.
    assert_eq!(call.alice.hear(), (call.bob.packet(1), call.for_alice.0));
    call.alice
        .rtp
        .send_to(&call.alice.packet(1), call.for_alice.0)
        .unwrap();
    let mut buffer = [0; 2_048];
    let (len, from) = outside.recv_from(&mut buffer).unwrap();
    assert_eq!(
        (&buffer[..len], from),
        (&call.alice.packet(1)[..], call.for_bob.0)
    );
    assert_eq!(relay.snapshot().counters.endpoints_learnt, 1);
    ok(relay.ask(delete("nat")));
    relay.wait_until_empty();
    relay.shut_down();
}

#[test]
fn workers_that_lag_get_every_order_in_its_turn() {
    let mut config = viaduct_mediarelay::RelayConfig::in_process(
        settings(own_address()),
        viaduct_settings::PublicIp::Auto,
    );
    config.limits.shell.orders_queued = 1;
    config.limits.shell.notices_queued = 1;
    let relay = InProcess::start_config(config);
    let phones = own_address();
    let set_up = |number| {
        Call::set_up_at(phones, &format!("call {number}"), |request| {
            relay.ask(request.clone())
        })
    };
    let calls: Vec<Call> = (0..20).map(set_up).collect();
    // Orders are late here, so what is sent first may come too early.
    let reaches = |from: &Phone, to: &Phone, relay: SocketAddr| {
        to.rtp.set_nonblocking(true).unwrap();
        wait_for("a packet", || {
            from.rtp.send_to(&from.packet(1), relay).unwrap();
            to.rtp.recv(&mut [0; 2_048]).ok()
        });
    };
    for Call {
        alice,
        bob,
        for_alice,
        for_bob,
        ..
    } in &calls
    {
        reaches(alice, bob, for_alice.0);
        reaches(bob, alice, for_bob.0);
    }
    for call in &calls {
        ok(relay.ask(delete(&call.call_id)));
    }
    let empty = relay.wait_until_empty();
    assert_eq!(
        (empty.control.orders_failed, empty.control.addresses_unknown),
        (0, 0)
    );
    relay.shut_down();
}

#[test]
fn a_burst_of_calls_finds_ports_for_all() {
    const CALLS: usize = 200;
    let relay = InProcess::start(own_address());
    let alice = Phone::at(own_address(), 1);
    let (tell, told) = channel();
    for number in 0..CALLS {
        let tell = tell.clone();
        let request = offer(&format!("call {number}"), &alice.sdp());
        relay
            .handle
            .request(request, move |reply| tell.send(reply).unwrap())
            .unwrap();
    }
    for _ in 0..CALLS {
        ok(told.recv_timeout(PATIENCE).unwrap());
    }
    assert_eq!(relay.snapshot().gauges.calls, CALLS);
    for number in 0..CALLS {
        relay
            .handle
            .request(delete(&format!("call {number}")), |_| {})
            .unwrap();
    }
    relay.wait_until_empty();
    relay.shut_down();
}

#[test]
fn more_calls_than_there_are_ports_are_refused_and_the_others_go_on() {
    let address = own_address();
    let rtp_ports = viaduct_settings::PortRange {
        first: 30_000,
        last: 30_007,
    };
    let relay = InProcess::start_with(MediaSettings {
        rtp_ports,
        ..settings(address)
    });
    let phones = own_address();
    let mut calls: Vec<Call> = (0..2)
        .map(|number| {
            Call::set_up_at(phones, &format!("call {number}"), |request| {
                relay.ask(request.clone())
            })
        })
        .collect();
    let surplus = offer("surplus", &calls[0].alice.sdp());
    let refused = viaduct_ng::Reply::error(viaduct_ng::ErrorReason::OutOfPorts);
    assert_eq!(relay.ask(surplus.clone()), refused);
    calls.iter_mut().for_each(|call| call.talk(2));
    assert_eq!(relay.snapshot().gauges.calls, 2);
    ok(relay.ask(delete("call 0")));
    // Its ports may be taken as soon as they are open again.
    wait_for("ports", || (relay.ask(surplus.clone()) != refused).then_some(()));
    calls[1].talk(2);
    // None was opened before it was closed.
    assert_eq!(relay.snapshot().control.ports_taken, 0);
    relay.shut_down();
}

/// NG `max-bandwidth`: measured every second, so an offer is taken again when nobody talks any more.
#[test]
fn no_new_calls_are_taken_while_more_is_sent_than_allowed() {
    let mut config = viaduct_mediarelay::RelayConfig::in_process(
        settings(own_address()),
        viaduct_settings::PublicIp::Auto,
    );
    config.load_limits.bandwidth = Some(0);
    let relay = InProcess::start_config(config);
    let mut call = Call::set_up("busy", |request| relay.ask(request.clone()));
    let refused = viaduct_ng::Reply::error(viaduct_ng::ErrorReason::ParallelSessionLimit);
    let sdp = call.alice.sdp();
    let is_refused = || {
        let reply = relay.ask(offer("other", &sdp));
        let is_refused = reply == refused;
        if !is_refused {
            ok(reply);
            ok(relay.ask(delete("other")));
        }
        is_refused
    };
    wait_for("a refusal while they talk", || {
        call.talk(2);
        is_refused().then_some(())
    });
    wait_for("an offer is taken in the silence", || {
        (!is_refused()).then_some(())
    });
    let counters = relay.snapshot().counters;
    assert!(counters.calls_refused_for_load >= 1, "{counters:?}");
    assert_eq!(counters.calls_refused_for_load, counters.calls_refused);
    call.talk(2);
    relay.shut_down();
}

#[test]
fn no_more_calls_than_allowed_are_taken() {
    let mut config = viaduct_mediarelay::RelayConfig::in_process(
        settings(own_address()),
        viaduct_settings::PublicIp::Auto,
    );
    config.max_sessions = Some(1);
    let relay = InProcess::start_config(config);
    let mut call = Call::set_up("only", |request| relay.ask(request.clone()));
    let refused = relay.ask(offer("second", &call.alice.sdp()));
    assert_eq!(
        refused,
        viaduct_ng::Reply::error(viaduct_ng::ErrorReason::ParallelSessionLimit)
    );
    call.talk(2);
    relay.shut_down();
}
