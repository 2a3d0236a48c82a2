//! RFC 4475, RFC 5118 and shapes of the field, sent to a proxy while others talk.
//!
//! What the parser makes of each message stands beside the messages; here is what the proxy does with it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{Config, Gauges, User};
use viaduct_sim::{BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, World};
use viaduct_sip::{Edit, Header, HeaderName, Limits, Message, Method};

#[path = "../../../proxy/sip/tests/data/corpus.rs"]
#[expect(dead_code, reason = "the verdicts are for another test")]
mod corpus;

/// Hosts of the messages for which the proxy is responsible, besides `example.com`.
const OURS: [&str; 6] = [
    "chair-dnrc.example.com",
    "example.net",
    "example.org",
    "registrar.example.com",
    "host.example.net",
    "2001:db8::10",
];

/// Who is called in the messages, each registered.
const CALLED: [&str; 5] = [
    "user",
    "vivekg",
    "UserB",
    "t.watson",
    "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
];

/// A proxy, a call between two of its users, and somebody at the third end who has done nothing yet.
struct Scene {
    world: World,
    caller: Dialog,
    callee: EndId,
    sender: EndId,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::with(|config: &mut Config, users: &mut Vec<User>| {
            config.aliases = OURS.map(str::to_owned).to_vec();
            users.extend(CALLED.map(|name| User::with_password(name, "example.com", viaduct_sim::PASSWORD)));
        });
        let (browser, callee, sender) = (world.browser("300"), world.phone("201"), world.phone("202"));
        world.register(browser);
        world.register(callee);
        let (caller, _) = world.answered(browser, callee, BROWSER_OFFER, PHONE_ANSWER);
        Self {
            world,
            caller,
            callee,
            sender,
        }
    }

    /// The status codes that the sender got. Nobody else gets anything.
    fn answers(&mut self) -> Vec<u16> {
        self.world.expect_nothing(self.callee);
        self.world.expect_nothing(self.caller.end);
        std::iter::from_fn(|| self.world.try_take(self.sender))
            .map(|answer| answer.status().unwrap().get())
            .collect()
    }

    /// The two who talk can go on.
    fn expect_call(&mut self) {
        self.world.send_in(&mut self.caller, Method::Info, None);
        let info = self.world.expect(self.callee, "INFO");
        self.world.respond(self.callee, &info, 200, None);
        self.world.expect(self.caller.end, "200");
    }
}

/// What a stranger is told. Nothing for responses that answer nothing, and for what no answer can be made for.
///
/// Sections are those of RFC 4475.
fn answer_to_stranger(name: &str) -> Option<u16> {
    Some(match name {
        // Responses, 3.1.1.12, 3.1.1.13, 3.1.2.5, 3.1.2.19 and 3.3.11 among them; an ACK.
        "unreason" | "noreason" | "scalarlg" | "bigcode" | "bcast" | "ok-joined-vias" | "sipjs-ack" => {
            return None;
        }
        // 3.1.2: what is needed cannot be read, or says two things. 3.3.1: or is not there.
        "badinv01" | "clerr" | "ncl" | "scalar02" | "quotbal" | "ltgtruri" | "lwsruri" | "lwsstart"
        | "trws" | "mismatch01" | "mismatch02" | "insuf" | "multi01" | "mcl01" => 400,
        // 3.3.4: nobody can be registered as that. RFC 5118 section 4.2: an address without its brackets.
        "unksm2" | "ipv6-bad" => 400,
        // 3.1.2.16
        "badvers" => 505,
        // 3.3.2, 3.3.3
        "unkscm" | "novelsc" => 416,
        // 3.3.5
        "bext01" => 420,
        // 3.3.12
        "zeromf" => 483,
        // Tags of a dialog that did not go through here.
        "wsinv"
        | "via-received-param-with-delim"
        | "via-received-param-no-delim"
        | "mult-ip-in-header"
        | "notify-utf8"
        | "gruu-refer" => 481,
        // Not our domain, or a Route that leads elsewhere. RFC 5118 section 4.3: the port is part of the address.
        "mpart01"
        | "port-ambiguous"
        | "ipv6-bug-abnf-3-colons"
        | "ipv6-correct-abnf-2-colons"
        | "jssip-invite"
        | "jssip-register"
        | "yealink-invite"
        | "latin1-message"
        | "no-content-length" => 403,
        // 3.3.7: credentials of a scheme that nobody knows are none.
        "escnull" | "dblreq" | "regbadct" | "regaut01" | "cparam01" | "cparam02" | "regescrt"
        | "ipv6-good" | "port-unambiguous" => 401,
        _ => 407,
    })
}

#[test]
fn every_message_is_answered_as_it_deserves_and_a_call_beside_goes_on() {
    let mut scene = Scene::new();
    for (name, octets, _) in corpus::corpus() {
        scene.world.send(scene.sender, octets);
        let expected: Vec<u16> = answer_to_stranger(name).into_iter().collect();
        assert_eq!(scene.answers(), expected, "{name}");
        scene.expect_call();
        // Some of them have the same branch. Nothing but the call is left when their transactions have ended.
        scene.world.pass(40.0);
        scene.world.clear(scene.sender);
        let call = Gauges {
            calls: 1,
            calls_answered: 1,
            ..Gauges::default()
        };
        assert_eq!(scene.world.proxy().gauges(), call, "{name}");
    }
    assert_eq!(scene.world.relay.sessions().len(), 1);
}

/// The same in the name of somebody who may: what is not ours to change arrives as it was sent.
#[test]
fn what_is_forwarded_keeps_every_octet_that_the_proxy_need_not_change() {
    for (name, octets, _) in corpus::corpus() {
        if answer_to_stranger(name) != Some(407) {
            continue;
        }
        let mut scene = Scene::new();
        let (world, sender) = (&mut scene.world, scene.sender);
        let called: Vec<EndId> = CALLED.map(|user| world.phone(user)).to_vec();
        called.iter().for_each(|end| world.register(*end));
        let asked = from_user(&octets, "202");
        world.send(sender, asked.octets().clone());
        let challenge = world.expect(sender, "407");
        let sent = world.send_again_with_password(sender, &asked, &challenge);
        let arrived: Vec<Message> = called.iter().filter_map(|end| world.try_take(*end)).collect();
        for message in &arrived {
            assert_eq!(kept(message), kept(&sent), "{name}");
            let vias = |message: &Message, own: usize| -> Vec<Vec<u8>> {
                message
                    .values(HeaderName::Via)
                    .skip(own)
                    .map(<[u8]>::to_vec)
                    .collect()
            };
            assert_eq!(vias(message, 2), vias(&sent, 1), "{name}");
            let hops = |message: &Message| message.essentials().unwrap().max_forwards;
            assert_eq!(
                hops(message).unwrap(),
                hops(&sent).map_or(70, |hops| hops - 1),
                "{name}"
            );
            if sent.header(HeaderName::ContentType) != Some(b"application/sdp") {
                assert_eq!(message.body(), sent.body(), "{name}");
            }
        }
        // An escape is part of the name, and a number is nobody's: both are forwarded nowhere.
        let is_known = !matches!(name, "esc01" | "esc02" | "semiuri" | "cisco-compact");
        assert_eq!(arrived.len(), usize::from(is_known), "{name}");
        let expected: &[u16] = match (sent.method(), is_known) {
            // A method of its own, for nobody but this proxy.
            (_, false) if name == "esc02" => &[405],
            (_, false) => &[404],
            (Some(Method::Invite), true) => &[100],
            _ => &[],
        };
        assert_eq!(scene.answers(), expected, "{name}");
        scene.expect_call();
    }
}

/// The message as if this user had sent it.
fn from_user(octets: &bytes::Bytes, user: &str) -> Message {
    let limits = Limits::default();
    let message = Message::parse_datagram(octets.clone(), &limits).unwrap();
    let mut edit = Edit::new(&message);
    edit.set(HeaderName::From, format!("<sip:{user}@example.com>;tag=torture"));
    Message::parse_datagram(edit.finish().unwrap(), &limits).unwrap()
}

/// The lines that a proxy has no business with.
fn kept(message: &Message) -> Vec<(String, Vec<u8>)> {
    const OURS_TO_CHANGE: [HeaderName; 6] = [
        HeaderName::Via,
        HeaderName::RecordRoute,
        HeaderName::MaxForwards,
        HeaderName::MaxBreadth,
        HeaderName::ContentLength,
        HeaderName::ProxyAuthorization,
    ];
    let is_kept = |line: &Header<'_>| !OURS_TO_CHANGE.iter().any(|ours| line.name() == (*ours).into());
    message
        .lines()
        .filter(is_kept)
        .map(|line| (line.name_text().to_owned(), line.value().to_vec()))
        .collect()
}
