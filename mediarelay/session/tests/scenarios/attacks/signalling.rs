//! SDPs that say too much.

use viaduct_ng::ErrorReason;
use viaduct_session::{Config, Limits};

use super::*;

const MANY: usize = 10_000;

/// What somebody who writes candidates has on his mind.
fn many_candidates(sdp: &str, count: usize) -> String {
    let line = |n: usize| {
        format!(
            "a=candidate:{n} 1 udp {} {} {} typ host\r\n",
            MANY - n,
            attacker(n).ip(),
            10_000 + n
        )
    };
    sdp.to_owned() + &(0..count).map(line).collect::<String>()
}

fn many_m_lines(sdp: &str) -> String {
    sdp.to_owned() + &"m=audio 9 RTP/AVP 0\r\n".repeat(MANY)
}

/// An SDP with 10,000 candidates is longer than any may be.
#[test]
fn an_sdp_with_10_000_candidates_or_m_lines_is_refused() {
    let mut town = Town::running();
    let before = town.gauges();
    let sdp = town.victim.phone.sdp();
    for (n, hostile) in [many_candidates(&sdp, MANY), many_m_lines(&sdp)]
        .into_iter()
        .enumerate()
    {
        for to in [None, Some("p")] {
            let id = if to.is_some() { "victim" } else { "hostile" };
            let request = in_call(id, offer(&hostile, "b", to, WEB_TO_PHONE));
            assert_eq!(town.world.fails(&request), ErrorReason::UnparsableSdp);
            town.beside.talk(&mut town.world);
        }
        assert_eq!(town.world.relay.counters().limits.sdp, 2 * (n as u64 + 1));
    }
    town.ends_unharmed(before);
}

/// Where an operator lets SDPs be as long as that, their parts are bounded still: candidates of an m-line, and m-lines. Of
/// a hundred candidates 32 are used.
#[test]
fn parts_of_an_sdp_are_bounded_where_it_may_be_long() {
    let mut world = World::with(Config {
        limits: Limits {
            sdp_octets: 4 << 20,
            ..Limits::default()
        },
        ..config()
    });
    let (mut browser, mut phone) = established(&mut world);
    let before = world.relay.gauges();
    let mut other = Browser::new("203.0.113.8:50000", 0xb000_0300);
    let sdp = other.offer();
    for hostile in [many_candidates(&sdp, MANY), many_m_lines(&sdp)] {
        let request = in_call("hostile", offer(&hostile, "b", None, WEB_TO_PHONE));
        assert_eq!(world.fails(&request), ErrorReason::UnparsableSdp);
        hear_each_other(&mut world, &mut browser, &mut phone);
    }
    assert_eq!(world.relay.counters().limits.sdp, 2);
    assert_eq!(world.relay.gauges(), before);
    let flags = WEB_TO_PHONE.replace("ICE-lite=backward ", "");
    let request = in_call("hostile", offer(&many_candidates(&sdp, 100), "b", None, &flags));
    world.sdp(&request);
    let answered = answer(
        &Phone::new("198.51.100.8:4000", 9).sdp(),
        "b",
        "p",
        PHONE_ANSWERS_WEB,
    );
    world.sdp(&in_call("hostile", answered));
    assert!(world.relay.counters().limits.candidates_per_media > 60);
    for _ in 0..50 {
        world.wait_millis(20);
        hear_each_other(&mut world, &mut browser, &mut phone);
    }
    let asked: std::collections::BTreeSet<_> = world.network.iter().map(|datagram| datagram.to).collect();
    assert!(asked.len() <= 32, "{} addresses are sent checks", asked.len());
    world.ok(&delete_call("hostile"));
    world.ok(&delete_now());
    world.assert_empty();
}
