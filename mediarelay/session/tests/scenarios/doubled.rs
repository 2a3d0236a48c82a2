//! Opportunistic SRTP from before RFC 8643: plain and secure m-lines for the same media (NG `OSRTP`).

use crate::phone::Phone;
use crate::sdes::{SecurePhone, hear_each_other};
use crate::world::*;

const ACCEPTS: &str = "RTP/AVP OSRTP-accept";

fn plain() -> Phone {
    Phone::new("203.0.113.44:6000", 0x0f00_0002)
}

/// The m-line with SRTP, and after it a plain one.
fn secure_first(caller: &mut SecurePhone, plain_port: u16) -> String {
    format!("{}m=audio {plain_port} RTP/AVP 8\r\n", caller.sdp(1))
}

fn plain_first(caller: &mut SecurePhone, tag: u32, plain_port: u16) -> String {
    let twin = format!("m=audio {plain_port} RTP/AVP 8\r\nm=audio ");
    caller.sdp(tag).replacen("m=audio ", &twin, 1)
}

/// RFC 8643 section 1 tells of the form.
#[test]
fn whoever_doubles_an_offer_speaks_srtp_with_us_and_plain_rtp_goes_to_the_other() {
    let mut world = World::new();
    let (mut caller, mut callee) = (SecurePhone::new(), plain());
    let to_callee = world.sdp(&offer(&secure_first(&mut caller, 5000), "a", None, ACCEPTS));
    assert_eq!(to_callee.m_lines().len(), 1, "{}", to_callee.text);
    assert!(!to_callee.has_attribute("crypto"), "{}", to_callee.text);
    callee.read(&to_callee);
    let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    let m_lines = to_caller.m_lines();
    assert!(m_lines[0].contains("RTP/SAVP"), "{}", to_caller.text);
    assert!(
        m_lines[1].starts_with("m=audio 0 RTP/AVP 8"),
        "{}",
        to_caller.text
    );
    caller.read(&to_caller);
    hear_each_other(&mut world, &mut caller, &mut callee, 1);

    // It refuses the plain one by itself from here on, and so do we when the other side offers.
    let again = secure_first(&mut caller, 0);
    world.sdp(&offer(&again, "a", Some("b"), ACCEPTS));
    world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    let reverse = world.sdp(&offer(&callee.sdp(), "b", Some("a"), "SDES-nonew"));
    assert_eq!(reverse.m_lines().len(), 2, "{}", reverse.text);
    assert_eq!(reverse.values("crypto").len(), 1, "{}", reverse.text);
    assert!(!reverse.has_attribute("fingerprint"), "{}", reverse.text);
    world.sdp(&answer(&again, "b", "a", ACCEPTS));
    hear_each_other(&mut world, &mut caller, &mut callee, 2);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn the_order_of_the_two_is_kept() {
    let mut world = World::new();
    let (mut caller, mut callee) = (SecurePhone::new(), plain());
    let to_callee = world.sdp(&offer(&plain_first(&mut caller, 1, 5000), "a", None, ACCEPTS));
    assert_eq!(to_callee.m_lines().len(), 1, "{}", to_callee.text);
    let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    let m_lines = to_caller.m_lines();
    assert!(
        m_lines[0].starts_with("m=audio 0 RTP/AVP 8"),
        "{}",
        to_caller.text
    );
    assert!(m_lines[1].contains("RTP/SAVP"), "{}", to_caller.text);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn without_a_word_both_are_offered_on() {
    let mut world = World::new();
    let sdp = plain_first(&mut SecurePhone::new(), 1, 5000);
    let told = world.sdp(&offer(&sdp, "a", None, ""));
    assert_eq!(told.m_lines().len(), 2, "{}", told.text);
    assert_ne!(told.address(0), told.address(1));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_plain_offer_is_doubled_when_asked_for_and_either_form_may_be_answered() {
    for secure in [true, false] {
        let mut world = World::new();
        let mut caller = plain();
        let mut callee = SecurePhone::new();
        let flags = "RTP/SAVP OSRTP-offer-legacy";
        let told = world.sdp(&offer(&caller.sdp(), "a", None, flags));
        let m_lines = told.m_lines();
        assert!(m_lines[0].contains(" RTP/AVP ") && m_lines[1].contains(" RTP/SAVP "));
        assert_eq!(told.address(0), told.address(1));
        let before = told.text.split("m=audio").nth(1).unwrap();
        assert!(
            !before.contains("crypto") && !before.contains("fingerprint"),
            "{before}"
        );
        let tag = callee.read(&told);
        let sdp = if secure {
            plain_first(&mut callee, tag, 0)
        } else {
            format!("{}m=audio 0 RTP/SAVP 8\r\n", callee.phone.sdp())
        };
        let to_caller = world.sdp(&answer(&sdp, "a", "b", "OSRTP-accept-legacy"));
        assert_eq!(to_caller.m_lines().len(), 1, "{}", to_caller.text);
        assert!(!to_caller.has_attribute("crypto"), "{}", to_caller.text);
        caller.read(&to_caller);
        if secure {
            hear_each_other(&mut world, &mut callee, &mut caller, 1);
        } else {
            crate::between_likes::phones_hear_each_other(&mut world, &mut caller, &mut callee.phone);
        }
        world.ok(&delete_now());
        world.assert_empty();
    }
}
