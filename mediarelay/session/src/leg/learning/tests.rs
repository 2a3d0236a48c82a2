use super::*;

const WINDOW: Duration = Duration::from_secs(3);
const EXPECTED: &str = "198.51.100.3:2012";
const OTHER_PORT: &str = "198.51.100.3:2032";
const OTHER_ADDRESS: &str = "198.51.100.6:2012";
const ALL_OTHER: &str = "198.51.100.6:2032";

const STRICT: LearningRules = LearningRules {
    mode: EndpointLearning::Heuristic,
    window: WINDOW,
    strict: true,
    asymmetric: false,
    handover: false,
    pierce: false,
};

#[expect(clippy::disallowed_methods, reason = "a test's base instant")]
fn base() -> Instant {
    Instant::now()
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn learning(rules: LearningRules, now: Instant) -> Learning {
    Learning::new(rules, now, Some(addr(EXPECTED)))
}

fn of_mode(mode: EndpointLearning) -> LearningRules {
    LearningRules { mode, ..STRICT }
}

#[test]
fn a_packet_from_the_sdps_address_settles_at_once() {
    let now = base();
    let mut learning = learning(STRICT, now);
    assert_eq!(learning.port_mode(now), PortMode::Learning);
    assert!(learning.on_expected(now));
    assert!(!learning.on_expected(now));
    assert_eq!(learning.port_mode(now), PortMode::Settled);
    assert_eq!(learning.on_unknown(now, addr(OTHER_PORT), None), Source::Stranger);
}

#[test]
fn better_sources_are_followed_within_the_window_and_worse_ones_never() {
    let now = base();
    let mut learning = learning(STRICT, now);
    for (from, source) in [
        (ALL_OTHER, Source::Followed),
        (OTHER_ADDRESS, Source::Followed),
        ("198.51.100.7:2012", Source::Stranger),
        (ALL_OTHER, Source::Stranger),
        (OTHER_PORT, Source::Followed),
        (OTHER_ADDRESS, Source::Stranger),
    ] {
        assert_eq!(learning.on_unknown(now, addr(from), None), source, "{from}");
    }
    assert_eq!(learning.poll_timeout(now), Some(now + WINDOW));
    learning.handle_timeout(now + WINDOW);
    assert!(learning.is_settled());
    assert_eq!(
        learning.on_unknown(now + WINDOW, addr("198.51.100.3:9"), None),
        Source::Stranger
    );
    assert_eq!(learning.poll_timeout(now + WINDOW), None);
}

#[test]
fn a_peer_that_is_silent_at_first_is_heard_later_and_settled_at_once() {
    let now = base();
    let mut learning = learning(STRICT, now);
    let later = now + Duration::from_secs(20);
    learning.handle_timeout(later);
    assert_eq!(learning.port_mode(later), PortMode::Learning);
    assert_eq!(
        learning.on_unknown(later, addr(ALL_OTHER), None),
        Source::Followed
    );
    assert!(learning.is_settled());
    assert_eq!(
        learning.on_unknown(later, addr(OTHER_PORT), None),
        Source::Stranger
    );
}

#[test]
fn without_strictness_strangers_are_heard_but_not_followed() {
    let now = base();
    let mut learning = learning(
        LearningRules {
            strict: false,
            ..STRICT
        },
        now,
    );
    assert_eq!(learning.on_unknown(now, addr(OTHER_PORT), None), Source::Followed);
    assert_eq!(learning.on_unknown(now, addr(ALL_OTHER), None), Source::Heard);
    learning.handle_timeout(now + WINDOW);
    assert_eq!(learning.port_mode(now + WINDOW), PortMode::Learning);
    assert_eq!(
        learning.on_unknown(now + WINDOW, addr(ALL_OTHER), None),
        Source::Heard
    );
}

#[test]
fn immediate_takes_the_first() {
    let now = base();
    let mut first = learning(of_mode(EndpointLearning::Immediate), now);
    assert_eq!(first.on_unknown(now, addr(ALL_OTHER), None), Source::Followed);
    assert_eq!(first.on_unknown(now, addr(OTHER_PORT), None), Source::Stranger);
    let mut expected = learning(of_mode(EndpointLearning::Immediate), now);
    assert!(expected.on_expected(now));
    assert_eq!(expected.on_unknown(now, addr(ALL_OTHER), None), Source::Stranger);
}

#[test]
fn delayed_takes_the_first_after_the_window() {
    let now = base();
    let mut learning = learning(of_mode(EndpointLearning::Delayed), now);
    assert_eq!(learning.port_mode(now), PortMode::Learning);
    assert!(!learning.on_expected(now));
    assert_eq!(learning.port_mode(now), PortMode::Settled);
    assert_eq!(learning.on_unknown(now, addr(OTHER_PORT), None), Source::Stranger);
    assert_eq!(learning.poll_timeout(now), Some(now + WINDOW));
    let later = now + WINDOW;
    assert!(learning.handle_timeout(later), "the delay is over");
    assert!(!learning.handle_timeout(later) && learning.poll_timeout(later).is_none());
    assert_eq!(learning.port_mode(later), PortMode::Learning);
    assert_eq!(
        learning.on_unknown(later, addr(ALL_OTHER), None),
        Source::Followed
    );
    assert!(!learning.on_expected(later));
}

#[test]
fn while_a_delay_lasts_one_other_source_is_heard_and_followed_afterwards() {
    let now = base();
    let mut learning = learning(of_mode(EndpointLearning::Delayed), now);
    assert_eq!(learning.on_unknown(now, addr(OTHER_PORT), None), Source::Heard);
    assert_eq!(learning.port_mode(now), PortMode::Settled);
    assert_eq!(learning.on_unknown(now, addr(ALL_OTHER), None), Source::Stranger);
    assert!(!learning.on_heard(now, addr(OTHER_PORT)) && !learning.is_settled());
    let later = now + WINDOW;
    assert!(learning.handle_timeout(later));
    assert!(learning.on_heard(later, addr(OTHER_PORT)) && learning.is_settled());
    assert!(!learning.on_expected(later));
}

#[test]
fn off_believes_the_sdp_only() {
    let now = base();
    let mut learning = learning(of_mode(EndpointLearning::Off), now);
    assert_eq!(learning.port_mode(now), PortMode::Settled);
    assert_eq!(learning.on_unknown(now, addr(OTHER_PORT), None), Source::Stranger);
}

#[test]
fn an_asymmetric_peer_is_heard_elsewhere_and_answered_where_its_sdp_says() {
    let now = base();
    let rules = LearningRules {
        asymmetric: true,
        ..STRICT
    };
    assert_eq!(
        learning(rules, now).on_unknown(now, addr(ALL_OTHER), None),
        Source::Heard
    );
    // Without an address in the SDP there is nowhere else to send to.
    let mut nowhere = Learning::new(rules, now, None);
    assert_eq!(nowhere.on_unknown(now, addr(ALL_OTHER), None), Source::Followed);
}

#[test]
fn handover_follows_at_any_time() {
    let now = base();
    let mut learning = learning(
        LearningRules {
            handover: true,
            ..STRICT
        },
        now,
    );
    learning.on_expected(now);
    assert_eq!(learning.port_mode(now), PortMode::Learning);
    assert_eq!(
        learning.on_unknown(now + 9 * WINDOW, addr(ALL_OTHER), None),
        Source::Followed
    );
}

#[test]
fn rtcp_from_where_the_media_was_found_fits_its_address() {
    let now = base();
    let mut learning = learning(STRICT, now);
    assert_eq!(
        learning.on_unknown(now, addr(OTHER_ADDRESS), None),
        Source::Followed
    );
    let behind_nat = addr("203.0.113.9:6000");
    assert_eq!(
        learning.on_unknown(
            now,
            behind_nat,
            Some(MediaHost {
                address: behind_nat.ip(),
                found: false
            })
        ),
        Source::Followed
    );
}

#[test]
fn only_another_endpoint_is_learnt_anew() {
    let now = base();
    let mut learning = learning(STRICT, now);
    learning.on_expected(now);
    let later = now + Duration::from_secs(60);
    learning.on_signalling(STRICT, later, Some(addr(EXPECTED)));
    assert!(learning.is_settled());
    learning.on_signalling(STRICT, later, Some(addr(OTHER_PORT)));
    assert!(!learning.is_settled());
    assert_eq!(learning.poll_timeout(later), Some(later + WINDOW));
    // An endpoint that was never heard gets another window with the answer.
    learning.on_signalling(STRICT, later + WINDOW, Some(addr(OTHER_PORT)));
    assert_eq!(learning.poll_timeout(later + WINDOW), Some(later + 2 * WINDOW));
}

/// RFC 3550 section 11 lets RTCP use any port, but not any host.
#[test]
fn reports_come_from_the_host_where_media_was_found() {
    let now = base();
    let media = |found| {
        Some(MediaHost {
            address: addr(ALL_OTHER).ip(),
            found,
        })
    };
    let stranger = addr("198.51.100.7:4000");
    assert_eq!(
        learning(STRICT, now).on_unknown(now, stranger, media(false)),
        Source::Followed
    );
    for later in [now, now + WINDOW] {
        let mut learning = learning(STRICT, now);
        assert_eq!(
            learning.on_unknown(later, stranger, media(true)),
            Source::Stranger
        );
        assert_eq!(
            learning.on_unknown(later, addr(ALL_OTHER), media(true)),
            Source::Followed
        );
    }
    let relaxed = LearningRules {
        strict: false,
        ..STRICT
    };
    assert_eq!(
        learning(relaxed, now).on_unknown(now, stranger, media(true)),
        Source::Heard
    );
}
