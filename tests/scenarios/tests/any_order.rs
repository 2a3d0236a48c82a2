//! Calls to several devices in which anything happens in any order: the caller gets one final answer, or every 2xx
//! there is, and nothing is left behind (RFC 3261 sections 16.7 to 16.10, RFC 6026).

use proptest::prelude::*;
use viaduct_routing::Redirects;
use viaduct_sim::{BROWSER_ANSWER, Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Message, Method, Transport};

/// A device of the one who is called.
#[derive(Debug, Clone)]
struct Device {
    is_browser: bool,
    q: u8,
    /// It shares its instance with others of the same number, as a further flow.
    instance: Option<u8>,
}

#[derive(Debug, Clone)]
enum Step {
    /// A device answers the INVITE that it got first.
    Answer { device: usize, status: u16 },
    /// The connection of a device breaks, noticed or not.
    Break { device: usize, noticed: bool },
    /// The caller gives up.
    Cancel,
    /// A slow relay answers.
    Relay,
    /// Time goes by.
    Pass { tenths: u16 },
}

fn device() -> impl Strategy<Value = Device> {
    (any::<bool>(), 0..3u8, prop::option::of(0..2u8)).prop_map(|(is_browser, q, instance)| Device {
        is_browser,
        q,
        instance,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![
        4 => Just(180u16),
        2 => Just(183),
        3 => Just(200),
        2 => Just(486),
        1 => Just(302),
        1 => Just(401),
        1 => Just(408),
        1 => Just(430),
        1 => Just(503),
        1 => Just(603),
    ];
    prop_oneof![
        8 => (0..5usize, status).prop_map(|(device, status)| Step::Answer { device, status }),
        1 => (0..5usize, any::<bool>()).prop_map(|(device, noticed)| Step::Break { device, noticed }),
        1 => Just(Step::Cancel),
        4 => Just(Step::Relay),
        3 => (1..400u16).prop_map(|tenths| Step::Pass { tenths }),
    ]
}

/// The callee's side of things: what each device got, and whether it has given its last word.
struct Party {
    ends: Vec<EndId>,
    invites: Vec<Vec<Message>>,
    is_connected: Vec<bool>,
}

impl Party {
    fn register(world: &mut World, devices: &[Device]) -> Self {
        let mut ends = Vec::new();
        for (number, device) in devices.iter().enumerate() {
            let end = if device.is_browser {
                world.browser("300")
            } else {
                world.phone("300")
            };
            let mut params = format!(";q=0.{}", device.q);
            if let Some(instance) = device.instance {
                params.push_str(&format!(
                    ";+sip.instance=\"<urn:uuid:{instance}>\";reg-id={}",
                    number + 1
                ));
            }
            let request = world
                .register_request_with(end, &params)
                .header(HeaderName::Supported, "outbound");
            world.send_with_password(end, request);
            world.expect(end, "200");
            ends.push(end);
        }
        // Somebody else, to whom calls may be redirected.
        let other = world.phone("301");
        world.register(other);
        ends.push(other);
        Self {
            invites: vec![Vec::new(); ends.len()],
            is_connected: vec![true; ends.len()],
            ends,
        }
    }

    /// Devices read what came: a CANCEL ends what it is for, a BYE is taken, a repeat is nothing.
    fn read(&mut self, world: &mut World) {
        for (device, &end) in self.ends.iter().enumerate() {
            while let Some(message) = world.try_take(end) {
                match message.method() {
                    Some(Method::Invite) => {
                        let known = self.invites[device]
                            .iter()
                            .any(|other| branch(other) == branch(&message));
                        if !known {
                            self.invites[device].push(message);
                        }
                    }
                    Some(Method::Cancel) => {
                        world.respond(end, &message, 200, None);
                        let at = self.invites[device]
                            .iter()
                            .position(|invite| branch(invite) == branch(&message));
                        if let Some(at) = at {
                            let invite = self.invites[device].remove(at);
                            world.respond(end, &invite, 487, None);
                        }
                    }
                    Some(Method::Bye) => world.respond(end, &message, 200, None),
                    _ => {}
                }
            }
        }
    }

    fn answer(&mut self, world: &mut World, device: usize, status: u16, devices: &[Device]) {
        let (Some(&end), true) = (
            self.ends.get(device),
            self.is_connected.get(device) == Some(&true),
        ) else {
            return;
        };
        let Some(invite) = self.invites[device].first().cloned() else {
            return;
        };
        let is_browser = devices.get(device).is_some_and(|device| device.is_browser);
        let answer = if is_browser { BROWSER_ANSWER } else { PHONE_ANSWER };
        let sdp = (status == 200 || status == 183).then_some(answer);
        let mut octets = world.response(end, &invite, status, sdp);
        if status == 302 {
            let text = String::from_utf8_lossy(&octets).into_owned();
            let line = "\r\nContact: <sip:301@example.com>, <sip:300@example.com>\r\nCall-ID";
            octets = text.replacen("\r\nCall-ID", line, 1).into();
        }
        world.send(end, octets);
        if status >= 200 {
            self.invites[device].remove(0);
        }
    }
}

fn branch(message: &Message) -> Option<String> {
    let via = message.top_via()?.ok()?;
    via.branch().map(str::to_owned)
}

/// The caller's side: every 2xx is acknowledged and hung up, every refusal counted.
#[derive(Default)]
struct Caller {
    successes: usize,
    refusals: usize,
    cancelled: bool,
}

impl Caller {
    fn read(&mut self, world: &mut World, end: EndId, invite: &Message) {
        while let Some(message) = world.try_take(end) {
            if message.method() == Some(Method::Bye) {
                world.respond(end, &message, 200, None);
            }
            let Some(status) = message.status() else { continue };
            let is_invites = message
                .cseq()
                .and_then(Result::ok)
                .is_some_and(|cseq| cseq.method == Method::Invite);
            if !is_invites || status.is_provisional() {
                continue;
            }
            if status.is_success() {
                self.successes += 1;
                let mut dialog = Dialog::of_caller(end, &message);
                world.send_in(&mut dialog, Method::Ack, None);
                world.send_in(&mut dialog, Method::Bye, None);
            } else {
                self.refusals += 1;
                world.ack_refusal(end, invite, &message);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_caller_gets_one_answer_and_nothing_is_left(
        devices in prop::collection::vec(device(), 1..5),
        steps in prop::collection::vec(step(), 0..24),
        follow: bool,
        slow_relay: bool,
    ) {
        let mut world = World::with(|config, _| {
            if follow {
                config.redirects = Redirects::Follow;
            }
        });
        // Over a reliable transport no answer comes twice.
        let end = world.add("201", Transport::Tcp);
        let mut party = Party::register(&mut world, &devices);
        let mut caller = Caller::default();
        if slow_relay {
            world.relay.mood = viaduct_sim::Mood::Slow;
        }
        let invite = world.call(end, "300", Some(PHONE_OFFER));
        for step in &steps {
            party.read(&mut world);
            caller.read(&mut world, end, &invite);
            match *step {
                Step::Answer { device, status } => party.answer(&mut world, device, status, &devices),
                Step::Break { device, noticed } => {
                    let Some(is_connected) = party.is_connected.get_mut(device) else { continue };
                    let is_browser = devices.get(device).is_some_and(|device| device.is_browser);
                    if is_browser && std::mem::take(is_connected) {
                        if noticed {
                            world.disconnect(party.ends[device]);
                        } else {
                            world.disconnect_unnoticed(party.ends[device]);
                        }
                    }
                }
                Step::Cancel if !caller.cancelled && caller.successes + caller.refusals == 0 => {
                    caller.cancelled = true;
                    world.cancel(end, &invite);
                }
                Step::Cancel => {}
                Step::Relay => world.let_relay_answer(),
                Step::Pass { tenths } => world.pass(f64::from(tenths) / 10.0),
            }
        }
        // Nobody says anything any more: the timers end what is open.
        for _ in 0..80 {
            party.read(&mut world);
            caller.read(&mut world, end, &invite);
            world.pass(10.0);
        }
        party.read(&mut world);
        caller.read(&mut world, end, &invite);
        prop_assert!(caller.refusals <= 1, "{} refusals", caller.refusals);
        prop_assert!(
            caller.refusals == 0 || caller.successes == 0,
            "{} refusals and {} successes",
            caller.refusals,
            caller.successes
        );
        prop_assert!(caller.refusals + caller.successes > 0, "never an answer");
        world.expect_clean();
    }
}
