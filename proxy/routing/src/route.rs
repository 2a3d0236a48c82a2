//! Route handling (RFC 3261 sections 16.4 and 16.6): which Route values are ours, and where they lead.

use std::net::SocketAddr;
use std::sync::Arc;

use viaduct_sip::{HeaderName, Message, NameAddr, Uri};
use viaduct_txn::Hop;

use crate::token::{Inside, Named, Tokens};
use crate::{Config, Refusal};

/// What the Route headers of a request mean to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Routing {
    /// How many Route values on top are ours and must go.
    pub own: usize,
    /// The hop that our last Route value names: the side that the request is for.
    pub hop: Option<Hop>,
    /// The Request-URI to go on with, when a strict router upstream put ours in its place: the last Route, which must
    /// go too.
    pub strict: Option<String>,
    /// A Route of somebody else is left.
    pub foreign: bool,
    /// The side that the request is for may see nothing of the other.
    pub hides: bool,
    /// Whom the Request-URI stands for: the sender may not see who that is. The hop is the one of this.
    pub inside: Option<Inside>,
}

impl Routing {
    fn go_to(&mut self, named: Named) {
        self.hop = Some(named.hop);
        self.hides = named.hides;
    }

    /// Routers beyond the hop that the sender does not know.
    pub(crate) fn path(&self) -> Option<Arc<str>> {
        let routes = self.inside.as_ref()?.routes.as_str();
        (!routes.is_empty()).then(|| routes.into())
    }

    /// The Route value of somebody else that is next, of the request that this was read from.
    pub(crate) fn next_route<'m>(&self, request: &'m Message) -> Option<Result<Uri<'m>, Refusal>> {
        let next = || request.values(HeaderName::Route).nth(self.own).map(uri_of);
        self.foreign.then(next).flatten()
    }
}

/// We stand in a call with two Record-Route values at most, one for each side.
const OWN_ROUTES_MAX: usize = 2;

/// Reads the Route headers of a request to `uri` that arrived at the local address `at`.
pub(crate) fn read(
    (config, tokens): (&Config, &Tokens),
    request: &Message,
    uri: &Uri<'_>,
    at: SocketAddr,
) -> Result<Routing, Refusal> {
    let call_id = request.call_id().unwrap_or_default().as_bytes();
    let mut routing = Routing {
        own: 0,
        hop: None,
        strict: None,
        foreign: false,
        hides: false,
        inside: tokens.find_inside(call_id, uri),
    };
    routing.hop = routing.inside.as_ref().map(|inside| inside.hop.clone());
    if !request.has(HeaderName::Route) {
        return Ok(routing);
    }
    let reader = Reader {
        config,
        tokens,
        call_id,
        at,
    };
    let routes: Vec<&[u8]> = request.values(HeaderName::Route).collect();
    let mut left = routes.as_slice();
    // A strict router sends our Record-Route value as Request-URI (section 16.4).
    if let Some((last, rest)) = left.split_last()
        && uri.is_loose_router()
        && let Owner::Ours(Some(named)) = reader.owner(uri)?
    {
        routing.go_to(named);
        routing.strict = Some(uri_of(last)?.as_str().to_owned());
        left = rest;
    }
    while let Some((first, rest)) = left.split_first() {
        if routing.own == OWN_ROUTES_MAX {
            routing.foreign = true;
            break;
        }
        match reader.owner(&uri_of(first)?)? {
            Owner::Ours(Some(named)) => routing.go_to(named),
            Owner::Ours(None) => {}
            Owner::Foreign => {
                routing.foreign = true;
                break;
            }
        }
        routing.own += 1;
        left = rest;
    }
    Ok(routing)
}

/// True when a Record-Route value of a message with this Call-ID is one that we put in. `at` is a local address.
pub(crate) fn is_own_record_route(
    (config, tokens): (&Config, &Tokens),
    at: SocketAddr,
    call_id: &[u8],
    value: &[u8],
) -> bool {
    let Ok(uri) = uri_of(value) else { return false };
    let is_token = |token| tokens.verify(call_id, token).is_ok();
    config.is_our_route(&uri, at) || uri.user().is_some_and(is_token)
}

/// Whose a Route value is.
enum Owner {
    /// Ours; with the side that its token names, if it has one.
    Ours(Option<Named>),
    Foreign,
}

/// Tells our Route values from others.
struct Reader<'r> {
    config: &'r Config,
    tokens: &'r Tokens,
    call_id: &'r [u8],
    at: SocketAddr,
}

impl Reader<'_> {
    /// Nobody else can make a token for this Call-ID, so what carries one is ours whatever host it names: an address
    /// may have come or gone since. What names us and carries anything else was tampered with.
    fn owner(&self, uri: &Uri<'_>) -> Result<Owner, Refusal> {
        let token = uri.user();
        if let Some(named) = token.and_then(|token| self.tokens.verify(self.call_id, token).ok()) {
            return Ok(Owner::Ours(Some(named)));
        }
        match (self.config.is_our_route(uri, self.at), token) {
            (false, _) => Ok(Owner::Foreign),
            (true, None) => Ok(Owner::Ours(None)),
            (true, Some(_)) => Err(Refusal::TokenForged),
        }
    }
}

fn uri_of(route: &[u8]) -> Result<Uri<'_>, Refusal> {
    let bad = Refusal::BadHeader("Route");
    NameAddr::parse(route)
        .map_err(|_| bad.clone())?
        .uri()
        .map_err(|_| bad)
}

#[cfg(test)]
mod tests {
    use viaduct_sip::Transport;
    use viaduct_txn::Flow;

    use super::*;
    use crate::Listener;
    use crate::test::parse;

    struct Desk {
        config: Config,
        tokens: Tokens,
    }

    impl Desk {
        fn new() -> Self {
            let mut config = Config::new("example.com");
            for (transport, addr) in [
                (Transport::Udp, "192.0.2.1:5060"),
                (Transport::Ws, "192.0.2.1:8080"),
            ] {
                config.listeners.push(Listener {
                    transport,
                    addr: addr.parse().unwrap(),
                    advertised: None,
                });
            }
            Self {
                config,
                tokens: Tokens::new(&[3; 32]),
            }
        }

        fn token(&self, call_id: &str, remote: &str) -> String {
            self.tokens.issue(call_id.as_bytes(), &flow(remote), false)
        }

        fn read(&self, uri: &str, routes: &[String]) -> Result<Routing, Refusal> {
            let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
            let request = parse(
                format!(
                    "BYE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n{routes}From: <sip:a@h>;tag=1\r\n\
                     To: <sip:b@h>;tag=2\r\nCall-ID: call\r\nCSeq: 2 BYE\r\n\r\n"
                )
                .as_bytes(),
            );
            let uri = request.request_uri().unwrap().unwrap();
            let at = "192.0.2.1:5060".parse().unwrap();
            read((&self.config, &self.tokens), &request, &uri, at)
        }
    }

    fn flow(remote: &str) -> Hop {
        Hop::Flow(Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
            conn: None,
        })
    }

    /// RFC 5658 section 5: both of our values come back, whichever side sends.
    #[test]
    fn the_last_of_our_routes_names_the_side_that_the_request_is_for() {
        let desk = Desk::new();
        let (caller, callee) = (desk.token("call", "10.0.0.1:1"), desk.token("call", "10.0.0.2:2"));
        let one_line =
            format!("<sip:{caller}@192.0.2.1:8080;transport=ws;lr>, <sip:{callee}@192.0.2.1:5060;lr>");
        let routing = desk.read("sip:b@10.0.0.2", &[one_line]).unwrap();
        assert_eq!(
            (routing.own, routing.hop, routing.foreign),
            (2, Some(flow("10.0.0.2:2")), false)
        );
        let routes = [
            format!("<sip:{callee}@192.0.2.1;lr>"),
            format!("<sip:{caller}@192.0.2.1:8080;transport=ws;lr>"),
            "<sip:other.example;lr>".to_owned(),
        ];
        let routing = desk.read("sip:a@x.invalid", &routes).unwrap();
        assert_eq!(
            (routing.own, routing.hop, routing.foreign),
            (2, Some(flow("10.0.0.1:1")), true)
        );
    }

    #[test]
    fn a_token_of_another_call_is_refused() {
        let desk = Desk::new();
        let route = format!("<sip:{}@192.0.2.1;lr>", desk.token("other call", "10.0.0.1:1"));
        assert_eq!(desk.read("sip:b@10.0.0.2", &[route]), Err(Refusal::TokenForged));
        assert_eq!(
            desk.read("sip:b@h", &["<sip:x@192.0.2.1;lr>".to_owned()]),
            Err(Refusal::TokenForged)
        );
    }

    #[test]
    fn a_route_of_somebody_else_is_left_alone() {
        let desk = Desk::new();
        for route in [
            "<sip:192.0.2.2;lr>",
            "<sip:192.0.2.1:5070;lr>",
            "<sip:other.example;lr>",
        ] {
            let routing = desk.read("sip:b@h", &[route.to_owned()]).unwrap();
            assert_eq!((routing.own, routing.foreign), (0, true), "{route}");
        }
        let preloaded = desk
            .read("sip:b@h", &["<sip:example.com;lr>".to_owned()])
            .unwrap();
        assert_eq!(
            (preloaded.own, preloaded.hop, preloaded.foreign),
            (1, None, false)
        );
    }

    /// RFC 3261 section 19.1.2: an address without a port has that of its transport.
    #[test]
    fn an_address_without_a_port_is_ours_where_we_listen_at_the_usual_one() {
        let mut desk = Desk::new();
        let is_ours = |desk: &Desk, route: &str| {
            let routing = desk.read("sip:b@h", &[format!("<{route}>")]).unwrap();
            (routing.own, routing.foreign) == (1, false)
        };
        assert!(is_ours(&desk, "sip:192.0.2.1;lr"));
        assert!(is_ours(&desk, "sip:192.0.2.1;transport=tcp;lr"));
        assert!(!is_ours(&desk, "sips:192.0.2.1;lr"));
        assert!(!is_ours(&desk, "sip:192.0.2.1;transport=tls;lr"));
        desk.config.listeners[0].addr.set_port(5_062);
        assert!(!is_ours(&desk, "sip:192.0.2.1;lr"));
        assert!(is_ours(&desk, "sip:192.0.2.1:5062;lr"));
        assert!(is_ours(&desk, "sip:example.com;lr"), "whatever port a name has");
    }

    /// RFC 3261 section 16.4: an address that this machine had when the call began, or has only since, is known by the
    /// token; one that it has now by where the request arrived.
    #[test]
    fn a_token_of_this_call_is_ours_whatever_host_it_names() {
        let mut desk = Desk::new();
        for listener in &mut desk.config.listeners {
            listener.addr.set_ip("0.0.0.0".parse().unwrap());
        }
        let token = desk.token("call", "10.0.0.2:2");
        let routing = desk
            .read("sip:b@10.0.0.2", &[format!("<sip:{token}@203.0.113.9:5060;lr>")])
            .unwrap();
        assert_eq!(
            (routing.own, routing.hop, routing.foreign),
            (1, Some(flow("10.0.0.2:2")), false)
        );
        let preloaded = desk
            .read("sip:b@h", &["<sip:192.0.2.1:5060;lr>".to_owned()])
            .unwrap();
        assert_eq!((preloaded.own, preloaded.foreign), (1, false));
        let other = desk.token("other call", "10.0.0.2:2");
        let foreign = desk
            .read("sip:b@h", &[format!("<sip:{other}@203.0.113.9:5060;lr>")])
            .unwrap();
        assert!(foreign.foreign, "a token of another call is nobody's");
    }

    /// RFC 3261 section 16.4: the Request-URI is our Record-Route value, the real one is the last Route.
    #[test]
    fn a_strict_router_upstream_is_understood() {
        let desk = Desk::new();
        let callee = desk.token("call", "10.0.0.2:2");
        let routing = desk
            .read(
                &format!("sip:{callee}@192.0.2.1;lr"),
                &["<sip:b@10.0.0.2>".to_owned()],
            )
            .unwrap();
        assert_eq!(routing.strict.as_deref(), Some("sip:b@10.0.0.2"));
        assert_eq!((routing.own, routing.hop), (0, Some(flow("10.0.0.2:2"))));
    }

    #[test]
    fn routes_that_cannot_be_read_are_refused() {
        let desk = Desk::new();
        for route in ["<>", "<sip:192.0.2.1", "\"x"] {
            assert!(
                matches!(
                    desk.read("sip:b@h", &[route.to_owned()]),
                    Err(Refusal::BadHeader(_))
                ),
                "{route}"
            );
        }
    }
}
