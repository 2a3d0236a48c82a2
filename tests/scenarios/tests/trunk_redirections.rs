//! A trunk that sends a call elsewhere (RFC 3261 sections 8.1.3.4 and 21.3), and users who hold too many of its places.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{Routes, Rule, Trunk, Trunks};
use viaduct_sim::{BROWSER_OFFER, EndId, PHONE_ANSWER, World};
use viaduct_sip::{HeaderName, Message, ResponseBuilder, StatusCode, Transport};
use viaduct_trunk::{From, Network, TrunkCounters};

const NUMBER: &str = "030123456";

/// Two trunks for every number, and two registered browsers. `c` is another machine of the first carrier, `d` somebody
/// else's.
struct Place {
    world: World,
    callers: [EndId; 2],
    a: EndId,
    b: EndId,
    c: EndId,
    d: EndId,
}

fn place(change: impl Fn(&mut Trunk)) -> Place {
    place_with(change, None)
}

/// A place in which one user may have so many calls out over all trunks.
fn place_with(change: impl Fn(&mut Trunk), calls_per_user_max: Option<u32>) -> Place {
    let mut world = World::with(|config, _| {
        let trunks = ["a", "b"].map(|name| {
            let mut trunk = Trunk::new(name, &format!("{name}.example"));
            trunk.caller_id = Some("+4930999".to_owned());
            if name == "a" {
                trunk.trust_from.push(Network {
                    address: "198.51.100.0".parse().unwrap(),
                    prefix: 24,
                });
            }
            change(&mut trunk);
            trunk
        });
        config.trunks = Trunks::new(trunks.into(), None).with_calls_per_user_max(calls_per_user_max);
        config.numbers.country = Some("49".to_owned());
        let both = vec!["trunk:a".parse().unwrap(), "trunk:b".parse().unwrap()];
        config.routes = Routes::new(vec![
            Rule::new("112", "trunk:a".parse().unwrap()),
            Rule {
                from: From::AnyUser,
                send_to: both,
                ..Rule::new("+*", "trunk:a".parse().unwrap())
            },
        ]);
    });
    let mut server = |name: &str, address: &str| {
        let addresses = [(Transport::Udp, address.parse().unwrap())];
        world.names.add(&format!("{name}.example"), &addresses);
        world.server(name, Transport::Udp, address)
    };
    let a = server("a", "198.51.100.1:5060");
    let b = server("b", "203.0.113.2:5060");
    let c = server("c", "198.51.100.3:5060");
    let d = server("d", "203.0.113.4:5060");
    let callers = ["300", "301"].map(|user| {
        let browser = world.browser(user);
        world.register(browser);
        browser
    });
    Place {
        world,
        callers,
        a,
        b,
        c,
        d,
    }
}

fn follows(trunk: &mut Trunk) {
    trunk.redirects_max = 3;
}

impl Place {
    fn call(&mut self) {
        self.world.call(self.callers[0], NUMBER, Some(BROWSER_OFFER));
    }

    /// The next INVITE of a trunk is redirected to these, in this order.
    fn redirect(&mut self, trunk: EndId, contacts: &[&str]) -> Message {
        let invite = self.world.expect(trunk, "INVITE");
        let mut moved = ResponseBuilder::new(&invite, StatusCode::new(302).unwrap()).to_tag("moved");
        for contact in contacts {
            moved = moved.header(HeaderName::Contact, contact);
        }
        self.world.send(trunk, moved.build().unwrap());
        self.world.expect(trunk, "ACK");
        invite
    }

    fn counters(&mut self, name: &str) -> TrunkCounters {
        let now = self.world.now();
        self.world.proxy().trunks().get(name).unwrap().view(now).counters
    }

    fn calls(&mut self, name: &str) -> u32 {
        let now = self.world.now();
        self.world.proxy().trunks().get(name).unwrap().view(now).calls
    }
}

/// RFC 3261 section 16.5: a proxy need not recurse. The caller could not, so the next trunk is tried.
#[test]
fn a_redirection_is_a_failure_of_its_trunk_unless_it_is_to_be_followed() {
    let mut place = place(|_| ());
    place.call();
    place.redirect(place.a, &["<sip:+4930777@a.example>"]);
    place.world.expect_nothing(place.a);
    place.redirect(place.b, &["<sip:+4930777@b.example>"]);
    let refusal = place.world.expect(place.callers[0], "500");
    assert!(!refusal.has(HeaderName::Contact), "no way around us");
    let counted = place.counters("a");
    assert_eq!(
        (counted.redirects_refused, counted.redirected, counted.failed),
        (1, 0, 1)
    );
    place.world.expect_clean();
}

/// RFC 3261 sections 8.1.3.4 and 19.1.5: the best contact first, without what a Request-URI may not have.
#[test]
fn a_redirection_is_followed_within_the_trunks_of_the_rule() {
    let mut place = place(follows);
    place.call();
    place.redirect(
        place.a,
        &[
            "<sip:+4930111@d.example>",
            "<sip:+4930222@a.example>;q=0.1",
            "<sip:+4930777@a.example?Subject=x>;q=0.9",
        ],
    );
    let again = place.redirect(place.a, &["<sip:+4930777;rn=1@198.51.100.3>"]);
    assert_eq!(again.request_uri_text(), Some("sip:+4930777@a.example"));
    assert_eq!(place.calls("a"), 1, "one place for one call");
    let other_machine = place.redirect(place.c, &["<sip:+4930888@b.example>"]);
    assert_eq!(
        other_machine.request_uri_text(),
        Some("sip:+4930777;rn=1@198.51.100.3")
    );
    let other_trunk = place.world.expect(place.b, "INVITE");
    assert_eq!(other_trunk.request_uri_text(), Some("sip:+4930888@b.example"));
    assert_eq!((place.calls("a"), place.calls("b")), (0, 1));
    place
        .world
        .respond(place.b, &other_trunk, 200, Some(PHONE_ANSWER));
    place.world.expect(place.callers[0], "200");
    assert_eq!(place.counters("a").redirected, 3);
    place.world.expect_nothing(place.d);
}

/// Nobody makes us call elsewhere, round in circles or without end.
#[test]
fn a_redirection_out_of_the_group_or_in_a_circle_or_once_too_often_is_not_followed() {
    let mut place = place(follows);
    place.call();
    place.redirect(
        place.a,
        &["<sip:+4930777@d.example>", "<sip:+4930777@203.0.113.4>"],
    );
    place.redirect(place.b, &["<sip:+4930123456@b.example>", "<tel:+4930777>"]);
    place.world.expect(place.callers[0], "500");
    place.world.expect_nothing(place.d);
    assert_eq!(place.counters("b").redirects_refused, 1);
    place.world.clear(place.callers[0]);
    place.call();
    for number in 1..=4 {
        let contact = format!("<sip:{number}@a.example>");
        place.redirect(place.a, &[&contact]);
    }
    place.world.expect_nothing(place.a);
    place.world.expect(place.b, "INVITE");
}

#[test]
fn a_caller_who_gives_up_is_not_redirected() {
    let mut place = place(follows);
    let sent = place.world.call(place.callers[0], NUMBER, Some(BROWSER_OFFER));
    let invite = place.world.expect(place.a, "INVITE");
    place.world.respond(place.a, &invite, 180, None);
    place.world.expect(place.callers[0], "180");
    place.world.cancel(place.callers[0], &sent);
    place.world.expect(place.callers[0], "200");
    place.world.expect(place.a, "CANCEL");
    let moved = ResponseBuilder::new(&invite, StatusCode::new(302).unwrap())
        .to_tag("moved")
        .header(HeaderName::Contact, "<sip:+4930777@a.example>")
        .build()
        .unwrap();
    place.world.send(place.a, moved);
    place.world.expect(place.a, "ACK");
    place.world.expect(place.callers[0], "487");
    place.world.expect_nothing(place.a);
}

/// RFC 3261 section 21.4.24: one user does not take all places of a trunk.
#[test]
fn a_user_with_as_many_calls_as_one_may_have_goes_by_the_next_trunk_or_is_busy() {
    let mut place = place(|trunk| trunk.calls_per_user_max = Some(1));
    let [caller, other] = place.callers;
    for trunk in [place.a, place.b] {
        place.world.call(caller, NUMBER, Some(BROWSER_OFFER));
        place.world.expect(trunk, "INVITE");
    }
    place.world.call(caller, NUMBER, Some(BROWSER_OFFER));
    place.world.expect(caller, "486");
    assert_eq!(place.counters("a").over_user_limit, 2);
    place.world.call(caller, "112", Some(BROWSER_OFFER));
    place.world.expect(place.a, "INVITE");
    place.world.call(other, NUMBER, Some(BROWSER_OFFER));
    let invite = place.world.expect(place.a, "INVITE");
    place.world.respond(place.a, &invite, 486, None);
    place.world.expect(place.a, "ACK");
    place.world.expect(other, "486");
    place.world.call(other, NUMBER, Some(BROWSER_OFFER));
    place.world.expect(place.a, "INVITE");
}

/// The same over all trunks together: a call that goes from one to the next is one call.
#[test]
fn a_user_with_as_many_calls_as_one_may_have_over_all_trunks_is_busy() {
    let mut place = place_with(|_| (), Some(1));
    let [caller, other] = place.callers;
    place.world.call(caller, NUMBER, Some(BROWSER_OFFER));
    let invite = place.world.expect(place.a, "INVITE");
    place.world.respond(place.a, &invite, 503, None);
    place.world.expect(place.a, "ACK");
    let invite = place.world.expect(place.b, "INVITE");
    place.world.clear(caller);
    place.world.call(caller, NUMBER, Some(BROWSER_OFFER));
    place.world.expect(caller, "486");
    let over = |place: &mut Place| ["a", "b"].map(|name| place.counters(name).over_all_user_limit);
    assert_eq!(over(&mut place), [1, 1]);
    // An emergency is held up by nothing, and others have their own.
    place.world.call(caller, "112", Some(BROWSER_OFFER));
    place.world.expect(place.a, "INVITE");
    place.world.call(other, NUMBER, Some(BROWSER_OFFER));
    place.world.expect(place.a, "INVITE");
    // The first is over, but the emergency counts.
    place.world.respond(place.b, &invite, 486, None);
    place.world.expect(place.b, "ACK");
    place.world.clear(caller);
    place.world.call(caller, NUMBER, Some(BROWSER_OFFER));
    place.world.expect(caller, "486");
    assert_eq!(over(&mut place), [2, 2]);
}
