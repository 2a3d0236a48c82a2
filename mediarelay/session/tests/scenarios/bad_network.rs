//! ICE and DTLS where a fifth of all datagrams is lost in either direction and the others overtake each other: a thousand
//! calls connect (RFC 8445 section 14, RFC 6347 section 4.2.4). A test that fails names the seeds of the calls that
//! did not.

use std::ops::Range;
use std::time::Duration;

use crate::browser::Browser;
use crate::browser_and_phone::*;
use crate::weather::Weather;
use crate::world::*;

/// Several datagrams are sent in this time, so that they come in any order.
const DELAY_MAX: Duration = Duration::from_millis(60);
/// How long a caller waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// One call, in which both talk from the beginning. How long it took until each heard the other, in the time of the network.
fn connect(seed: u64, lost_percent: u32, to_phone: &str, to_browser: &str) -> Result<Duration, String> {
    let mut world = World::new();
    let (mut browser, mut phone) = (browser(), phone());
    phone.read(&world.sdp(&offer(&browser.offer(), "b", None, to_phone)));
    browser.read(&world.sdp(&answer(&phone.sdp(), "b", "p", to_browser)));
    let began = world.now;
    world.weather = Some(Weather::new(seed, lost_percent, DELAY_MAX));
    let (mut browser_heard, mut phone_heard) = (false, false);
    while world.now < began + PATIENCE {
        Browser::run(&mut world, &mut [&mut browser], Duration::from_millis(20));
        phone.send(&mut world);
        if browser.has_keys() && browser.relay.is_some() {
            browser.send(&mut world);
        }
        browser_heard |= !browser.received(&mut world).is_empty();
        phone_heard |= !phone.received(&mut world).is_empty();
        if browser_heard && phone_heard {
            let took = world.now - began;
            world.ok(&delete_now());
            world.assert_empty();
            return Ok(took);
        }
    }
    Err(format!(
        "seed {seed}: browser heard: {browser_heard}, phone heard: {phone_heard}, {:?}",
        world.take_event_names()
    ))
}

/// Every call connects, and most of them soon.
#[track_caller]
fn all_connect(seeds: Range<u64>, lost_percent: u32, to_phone: &str, to_browser: &str) {
    let calls = seeds.clone().count();
    let (mut times, mut failures) = (Vec::new(), Vec::new());
    for result in seeds.map(|seed| connect(seed, lost_percent, to_phone, to_browser)) {
        match result {
            Ok(time) => times.push(time),
            Err(failure) => failures.push(failure),
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {calls}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    times.sort();
    let (half, most) = (times[calls / 2], times[calls * 9 / 10]);
    assert!(
        half < Duration::from_secs(1) && most < Duration::from_secs(4),
        "half after {half:?}, most after {most:?}"
    );
}

/// Without `ICE-lite` the relay checks paths itself.
fn full(flags: &str) -> String {
    flags.replace("ICE-lite=backward ", "")
}

/// Without `DTLS=passive` the relay begins the handshake.
fn active(flags: &str) -> String {
    flags
        .replace("DTLS-reverse=passive ", "")
        .replace("DTLS=passive ", "")
}

#[test]
fn every_browser_connects_to_a_lite_agent() {
    all_connect(0..500, 20, WEB_TO_PHONE, PHONE_ANSWERS_WEB);
}

#[test]
fn every_browser_connects_to_a_full_agent() {
    all_connect(1_000..1_500, 20, &full(WEB_TO_PHONE), PHONE_ANSWERS_WEB);
}

/// A relay that begins sends its first flight before it knows that the browser has a path.
#[test]
fn every_browser_connects_to_a_relay_that_begins_the_handshake() {
    let answers = active(PHONE_ANSWERS_WEB);
    all_connect(2_000..2_500, 20, &active(WEB_TO_PHONE), &answers);
    all_connect(3_000..3_500, 20, &active(&full(WEB_TO_PHONE)), &answers);
}
