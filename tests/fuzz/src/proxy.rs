//! The proxy itself: what anybody may send it, in any order.

use viaduct_routing::{Gauges, Network};
use viaduct_sim::{EndId, World};
use viaduct_sip::{HeaderName, Message, Method};

/// Steps of one story. More say nothing that fewer did not.
const STEPS_MAX: usize = 24;

/// Seconds that one step may wait.
const WAIT_MAX: f64 = 400.0;

/// Seconds after which nothing of a story may be left: the longest call here, and what its end takes.
const OVER: f64 = 200.0;

/// Messages that one step may make the proxy send at once: every contact that a user may have, with its repeats, and
/// answers.
const MESSAGES_MAX: usize = 200;

/// A proxy, two phones and a browser whom it trusts, and somebody whom nobody knows.
struct Story {
    world: World,
    ends: [(&'static str, EndId); 4],
    /// The last request and the last message with a route that each end got.
    requests: [Option<Message>; 4],
    routed: [Option<Message>; 4],
}

/// Carries out a story. Steps are separated by lines of `---`; the first line of each says what happens: `phone`, `other`,
/// `browser` or `stranger` sends what follows, `answer phone 200` answers the last request that it got with what follows as
/// its SDP, `wait 5` lets seconds pass, `gone browser` breaks a connection. In what is sent, `{routes}`, `{contact}` and
/// `{to}` stand for those of the last message that came with a route.
///
/// Laws: everything that is sent is a message; nothing that a stranger sends reaches a user, but the CANCEL of a call whose
/// secrets he knows; one message makes a bounded number of others; and when calls and transactions had the time that they
/// may take, nothing is left, here and at the relay.
pub fn proxy(data: &[u8]) {
    let mut story = Story::new();
    for step in steps(data).take(STEPS_MAX) {
        story.carry_out(step);
    }
    story.world.pass(OVER);
    story.take_all();
    assert_eq!(
        story.world.proxy().gauges(),
        Gauges::default(),
        "left in the proxy"
    );
    let left = story.world.relay.sessions();
    assert!(left.is_empty(), "left at the relay: {left:?}");
}

/// Pieces between lines of three hyphens.
fn steps(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    const MARK: &[u8] = b"\n---\n";
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let data = rest?;
        match data.windows(MARK.len()).position(|window| window == MARK) {
            Some(at) => {
                rest = Some(&data[at + MARK.len()..]);
                Some(&data[..at])
            }
            None => rest.take(),
        }
    })
}

impl Story {
    fn new() -> Self {
        let mut world = World::with(|config, _| {
            config.times.call_max = std::time::Duration::from_secs(60);
            config.times.ringing_max = std::time::Duration::from_secs(30);
            // The first three ends.
            config.auth.trust_from = vec![Network {
                address: [10, 0, 0, 0].into(),
                prefix: 30,
            }];
        });
        let ends = [
            ("phone", world.phone("201")),
            ("browser", world.browser("300")),
            ("other", world.phone("202")),
            ("stranger", world.phone("203")),
        ];
        Self {
            world,
            ends,
            requests: [const { None }; 4],
            routed: [const { None }; 4],
        }
    }

    fn carry_out(&mut self, step: &[u8]) {
        let end_of_line = step.iter().position(|octet| *octet == b'\n');
        let (line, behind) = step.split_at(end_of_line.unwrap_or(step.len()));
        let behind = behind.get(1..).unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["wait", seconds] => {
                let seconds: f64 = seconds.parse().unwrap_or_default();
                self.world.pass(if seconds.is_finite() {
                    seconds.clamp(0.0, WAIT_MAX)
                } else {
                    1.0
                });
                self.take_all();
            }
            ["gone", "browser"] => {
                let (_, browser) = self.ends[1];
                self.world.disconnect(browser);
                self.take_all();
            }
            ["answer", name, status] => self.answer(name, status, behind),
            [name] => self.send(name, behind),
            _ => {}
        }
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.ends.iter().position(|(known, _)| *known == name)
    }

    fn send(&mut self, name: &str, text: &[u8]) {
        let Some(number) = self.number(name) else { return };
        let octets = self.written(number, text);
        let (_, end) = self.ends[number];
        self.world.send(end, octets);
        let reached = self.take_all();
        if name == "stranger" {
            for (reached, message) in reached {
                let is_for_him = reached == number || !message.is_request();
                assert!(
                    is_for_him || message.method() == Some(Method::Cancel),
                    "a stranger reaches {}: {}",
                    self.ends[reached].0,
                    String::from_utf8_lossy(message.octets())
                );
            }
        }
    }

    fn answer(&mut self, name: &str, status: &str, sdp: &[u8]) {
        let (Some(number), Ok(status @ 100..=699)) = (self.number(name), status.parse()) else {
            return;
        };
        let Some(request) = self.requests[number].clone() else {
            return;
        };
        if request.method() == Some(Method::Ack) {
            return;
        }
        let (_, end) = self.ends[number];
        let sdp = String::from_utf8_lossy(sdp).replace('\n', "\r\n");
        self.world
            .respond(end, &request, status, (!sdp.is_empty()).then_some(&sdp));
        self.take_all();
    }

    /// What an end sends: with the line breaks of SIP, and what it knows from what it got.
    fn written(&self, number: usize, text: &[u8]) -> Vec<u8> {
        let Ok(text) = str::from_utf8(text) else {
            return text.to_vec();
        };
        let mut text = if text.contains("\r\n") {
            text.to_owned()
        } else {
            text.replace('\n', "\r\n")
        };
        if let Some(message) = &self.routed[number] {
            let mut routes: Vec<String> = message
                .values(HeaderName::RecordRoute)
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .collect();
            if !message.is_request() {
                routes.reverse();
            }
            let contact = message.addrs(HeaderName::Contact).flatten().next();
            let contact = contact.and_then(|contact| Some(contact.uri().ok()?.as_str().to_owned()));
            let to = message.text(HeaderName::To).unwrap_or_default();
            for (mark, value) in [
                ("{routes}", routes.join(", ")),
                ("{contact}", contact.unwrap_or_default()),
                ("{to}", to.to_owned()),
            ] {
                text = text.replacen(mark, &value, 4);
            }
        }
        text.into_bytes()
    }

    /// Everything that came, and to whom.
    fn take_all(&mut self) -> Vec<(usize, Message)> {
        let mut came = Vec::new();
        for (number, (_, end)) in self.ends.into_iter().enumerate() {
            while let Some(message) = self.world.try_take(end) {
                if message.is_request() {
                    self.requests[number] = Some(message.clone());
                }
                if message.has(HeaderName::RecordRoute) {
                    self.routed[number] = Some(message.clone());
                }
                came.push((number, message));
            }
        }
        assert!(came.len() <= MESSAGES_MAX, "{} messages at once", came.len());
        came
    }
}
