//! Next hops against scripted DNS.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use viaduct_sip::{Transport, Uri};

use crate::{
    Answer, Candidate, Config, Failure, Kind, Naptr, NextHop, Output, QueryId, Question, Record, Resolver,
    Srv,
};

const TTL: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "a test's base instant")]
fn start() -> Instant {
    Instant::now()
}

/// A resolver, the DNS that it asks, and what it asked.
struct Desk {
    resolver: Resolver,
    now: Instant,
    zone: HashMap<(String, Kind), Answer>,
    asked: Vec<String>,
}

impl Desk {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        Self {
            resolver: Resolver::new(config, [7; 32]),
            now: start(),
            zone: HashMap::new(),
            asked: Vec::new(),
        }
    }

    fn put(&mut self, name: &str, kind: Kind, record: Record) {
        let answer = self
            .zone
            .entry((name.to_owned(), kind))
            .or_insert(Answer::Records {
                records: Vec::new(),
                ttl: TTL,
            });
        let Answer::Records { records, .. } = answer else {
            panic!("{name} fails")
        };
        records.push(record);
    }

    fn host(&mut self, name: &str, ip: &str) {
        match ip.parse().unwrap() {
            std::net::IpAddr::V4(ip) => self.put(name, Kind::A, Record::A(ip)),
            std::net::IpAddr::V6(ip) => self.put(name, Kind::Aaaa, Record::Aaaa(ip)),
        }
    }

    fn srv(&mut self, name: &str, priority: u16, weight: u16, target: &str, port: u16) {
        let target = target.to_owned();
        self.put(
            name,
            Kind::Srv,
            Record::Srv(Srv {
                priority,
                weight,
                port,
                target,
            }),
        );
    }

    fn naptr(&mut self, name: &str, order: u16, service: &str, replacement: &str) {
        self.put(
            name,
            Kind::Naptr,
            Record::Naptr(Naptr {
                order,
                preference: 10,
                flags: "s".to_owned(),
                service: service.to_owned(),
                replacement: replacement.to_owned(),
            }),
        );
    }

    fn fail(&mut self, name: &str, kind: Kind) {
        self.zone.insert((name.to_owned(), kind), Answer::Failed);
    }

    fn answer(&self, question: &Question) -> Answer {
        let known = self.zone.get(&(question.name.to_string(), question.kind));
        known.cloned().unwrap_or(Answer::Nothing { ttl: None })
    }

    fn resolve(&mut self, uri: &str) -> Result<Vec<Candidate>, Failure> {
        self.resolver.handle_query(self.now, QueryId(1), hop(uri));
        while let Some(output) = self.resolver.poll_output() {
            match output {
                Output::Ask(question) => {
                    self.asked.push(format!("{:?} {}", question.kind, question.name));
                    let answer = self.answer(&question);
                    self.resolver.handle_answer(self.now, &question, answer);
                }
                Output::Resolved { found, .. } => return found,
            }
        }
        panic!("{uri} is never resolved")
    }

    fn ways(&mut self, uri: &str) -> Vec<String> {
        let found = self.resolve(uri).unwrap();
        found
            .iter()
            .map(|one| format!("{} {}", one.transport, one.remote))
            .collect()
    }

    fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }
}

fn hop(uri: &str) -> NextHop {
    NextHop::of_uri(&Uri::parse(uri).unwrap()).unwrap()
}

/// RFC 3263 section 4.1, the example of the whole way.
#[test]
fn naptr_leads_to_srv_leads_to_addresses() {
    let mut desk = Desk::new();
    desk.naptr("example.com", 90, "SIP+D2U", "_sip._udp.example.com.");
    desk.naptr("example.com", 50, "SIPS+D2T", "_sips._tcp.Example.com");
    desk.naptr("example.com", 10, "SIP+D2S", "_sip._sctp.example.com");
    desk.srv("_sips._tcp.example.com", 1, 0, "edge.example.com.", 5071);
    desk.srv("_sip._udp.example.com", 2, 0, "backup.example.com", 5060);
    desk.srv("_sip._udp.example.com", 1, 0, "edge.example.com", 5070);
    desk.host("edge.example.com", "192.0.2.1");
    desk.host("edge.example.com", "2001:db8::1");
    desk.host("backup.example.com", "192.0.2.2");
    assert_eq!(
        desk.ways("sip:example.com"),
        [
            "TLS [2001:db8::1]:5071",
            "TLS 192.0.2.1:5071",
            "UDP [2001:db8::1]:5070",
            "UDP 192.0.2.1:5070",
            "UDP 192.0.2.2:5060",
        ]
    );
    let found = desk.resolve("sip:example.com").unwrap();
    assert_eq!(
        found[0].name.as_deref(),
        Some("example.com"),
        "the name asked for is the one to verify"
    );
    assert_eq!((found[2].name.as_deref(), found[2].is_fixed), (None, false));
}

/// RFC 3263 section 4.1: `sips` goes over TLS or nowhere.
#[test]
fn sips_is_resolved_to_tls_alone() {
    let mut desk = Desk::new();
    desk.naptr("example.com", 10, "SIP+D2U", "_sip._udp.example.com");
    desk.naptr("example.com", 20, "SIPS+D2T", "_sips._tcp.example.com");
    desk.srv("_sips._tcp.example.com", 1, 0, "edge.example.com", 5071);
    desk.srv("_sip._udp.example.com", 1, 0, "edge.example.com", 5060);
    desk.host("edge.example.com", "192.0.2.1");
    assert_eq!(desk.ways("sips:example.com"), ["TLS 192.0.2.1:5071"]);
    desk.host("plain.example.com", "192.0.2.3");
    assert_eq!(desk.ways("sips:plain.example.com"), ["TLS 192.0.2.3:5061"]);
    let mut deaf = Desk::with(|config| config.transports = vec![Transport::Udp]);
    assert_eq!(
        deaf.resolve("sips:example.com"),
        Err(Failure::NoTransport("example.com".into()))
    );
}

/// RFC 3263 section 4.2.
#[test]
fn a_port_asks_for_addresses_alone() {
    let mut desk = Desk::new();
    desk.srv("_sip._udp.example.com", 1, 0, "edge.example.com", 5070);
    desk.host("example.com", "192.0.2.9");
    assert_eq!(desk.ways("sip:example.com:5080"), ["UDP 192.0.2.9:5080"]);
    assert_eq!(desk.asked(), ["Aaaa example.com", "A example.com"]);
    assert_eq!(
        desk.ways("sip:example.com:5080;transport=tcp"),
        ["TCP 192.0.2.9:5080"]
    );
}

#[test]
fn a_transport_asks_for_its_service_alone() {
    let mut desk = Desk::new();
    desk.srv("_sip._tcp.example.com", 1, 0, "edge.example.com", 5070);
    desk.host("edge.example.com", "192.0.2.1");
    assert_eq!(desk.ways("sip:example.com;transport=tcp"), ["TCP 192.0.2.1:5070"]);
    assert_eq!(desk.asked()[0], "Srv _sip._tcp.example.com");
    desk.host("other.example.com", "192.0.2.2");
    assert_eq!(
        desk.ways("sip:other.example.com;transport=tls"),
        ["TLS 192.0.2.2:5061"],
        "no service: the host itself"
    );
}

/// RFC 3263 section 4.1.
#[test]
fn without_naptr_every_service_is_looked_for() {
    let mut desk = Desk::new();
    desk.srv("_sip._tcp.example.com", 1, 0, "edge.example.com", 5070);
    desk.host("edge.example.com", "192.0.2.1");
    assert_eq!(desk.ways("sip:example.com"), ["TCP 192.0.2.1:5070"]);
    assert_eq!(
        desk.asked(),
        [
            "Naptr example.com",
            "Srv _sip._udp.example.com",
            "Srv _sip._tcp.example.com",
            "Srv _sips._tcp.example.com",
            "Aaaa edge.example.com",
            "A edge.example.com",
        ]
    );
}

#[test]
fn a_host_without_any_service_is_reached_itself() {
    let mut desk = Desk::new();
    desk.host("example.com", "192.0.2.9");
    assert_eq!(desk.ways("sip:example.com"), ["UDP 192.0.2.9:5060"]);
}

/// RFC 2782: the target `.` says that there is decidedly no such service.
#[test]
fn a_service_that_is_decidedly_not_there_is_not_looked_for_elsewhere() {
    let mut desk = Desk::new();
    desk.srv("_sip._tcp.example.com", 0, 0, ".", 0);
    desk.host("example.com", "192.0.2.9");
    assert_eq!(
        desk.resolve("sip:example.com;transport=tcp"),
        Err(Failure::NoAddress("example.com".into()))
    );
}

#[test]
fn names_of_the_configuration_need_no_dns() {
    let mut desk = Desk::with(|config| {
        let known = vec!["192.0.2.5".parse().unwrap(), "2001:db8::5".parse().unwrap()];
        config.hosts.insert("pbx.internal".into(), known);
    });
    assert_eq!(
        desk.ways("sip:pbx.internal"),
        ["UDP [2001:db8::5]:5060", "UDP 192.0.2.5:5060"]
    );
    desk.srv("_sip._udp.example.com", 1, 0, "pbx.internal", 5070);
    assert_eq!(
        desk.ways("sip:example.com;transport=udp"),
        ["UDP [2001:db8::5]:5070", "UDP 192.0.2.5:5070"]
    );
    assert_eq!(desk.asked(), ["Srv _sip._udp.example.com"]);
}

#[test]
fn answers_are_kept_for_their_time_and_no_longer() {
    let mut desk = Desk::new();
    desk.host("example.com", "192.0.2.9");
    desk.ways("sip:example.com:5060");
    assert_eq!(desk.asked().len(), 2);
    desk.now += Duration::from_secs(59);
    desk.ways("sip:example.com:5060");
    assert!(desk.asked().is_empty());
    assert_eq!(desk.resolver.counters().cache_hits, 2);
    desk.now += Duration::from_secs(1);
    desk.ways("sip:example.com:5060");
    assert_eq!(desk.asked().len(), 2);
}

/// RFC 2308.
#[test]
fn that_there_is_nothing_is_kept_too() {
    let mut desk = Desk::new();
    for _ in 0..2 {
        assert_eq!(
            desk.resolve("sip:example.com:5060"),
            Err(Failure::NoAddress("example.com".into()))
        );
    }
    assert_eq!(desk.asked().len(), 2);
    desk.now += TTL;
    desk.host("example.com", "192.0.2.9");
    assert_eq!(desk.ways("sip:example.com:5060"), ["UDP 192.0.2.9:5060"]);
}

#[test]
fn no_answer_is_told_from_the_answer_no() {
    let mut desk = Desk::new();
    desk.fail("example.com", Kind::A);
    assert_eq!(
        desk.resolve("sip:example.com:5060"),
        Err(Failure::Unanswered("example.com".into()))
    );
    desk.now += Duration::from_secs(5);
    desk.host("six.example.com", "2001:db8::1");
    desk.fail("six.example.com", Kind::A);
    assert_eq!(
        desk.ways("sip:six.example.com:5060"),
        ["UDP [2001:db8::1]:5060"],
        "half an answer is enough"
    );
}

#[test]
fn one_question_is_under_way_however_many_wait_for_it() {
    let mut desk = Desk::new();
    for number in 0..100 {
        desk.resolver
            .handle_query(desk.now, QueryId(number), hop("sip:example.com:5060"));
    }
    let asked: Vec<_> = std::iter::from_fn(|| desk.resolver.poll_output()).collect();
    assert_eq!(asked.len(), 2);
    desk.host("example.com", "192.0.2.9");
    for output in asked {
        let Output::Ask(question) = output else {
            panic!("{output:?}")
        };
        let answer = desk.answer(&question);
        desk.resolver.handle_answer(desk.now, &question, answer);
    }
    let resolved = std::iter::from_fn(|| desk.resolver.poll_output()).count();
    assert_eq!((resolved, desk.resolver.len().0), (100, 0));
}

#[test]
fn dead_addresses_come_last_for_a_while() {
    let mut desk = Desk::new();
    desk.host("example.com", "192.0.2.1");
    desk.host("example.com", "192.0.2.2");
    desk.resolver
        .handle_dead(desk.now, Transport::Udp, "192.0.2.1:5060".parse().unwrap());
    let healthy = ["UDP 192.0.2.1:5060", "UDP 192.0.2.2:5060"];
    let turned = ["UDP 192.0.2.2:5060", "UDP 192.0.2.1:5060"];
    assert_eq!(desk.ways("sip:example.com:5060"), turned);
    desk.now += Duration::from_secs(30);
    assert_eq!(desk.ways("sip:example.com:5060"), healthy);
}

#[test]
fn queries_questions_answers_and_dead_addresses_have_bounds() {
    let mut desk = Desk::with(|config| {
        config.limits.queries_max = 2;
        config.limits.questions_max = 4;
        config.limits.cache_max = 3;
        config.limits.dead_max = 2;
    });
    for number in 0..3_u8 {
        let name = format!("sip:h{number}.example.com:5060");
        desk.resolver
            .handle_query(desk.now, QueryId(number.into()), hop(&name));
        let address = ([192, 0, 2, number], 5060).into();
        desk.resolver.handle_dead(desk.now, Transport::Udp, address);
    }
    let outputs: Vec<_> = std::iter::from_fn(|| desk.resolver.poll_output()).collect();
    assert_eq!(outputs.len(), 5, "{outputs:?}");
    assert_eq!(
        outputs[4],
        Output::Resolved {
            query: QueryId(2),
            found: Err(Failure::Busy)
        }
    );
    for output in &outputs[..4] {
        let Output::Ask(question) = output else {
            panic!("{output:?}")
        };
        desk.resolver
            .handle_answer(desk.now, question, Answer::Nothing { ttl: None });
    }
    assert_eq!(desk.resolver.len(), (2 - 2, 3));
    let mut narrow = Desk::with(|config| config.limits.questions_max = 1);
    assert_eq!(narrow.resolve("sip:example.com:5060"), Err(Failure::Busy));
    assert_eq!(narrow.resolver.counters().queries_over_limit, 1);
}

/// RFC 2782: each server is chosen first as often as its weight says.
#[test]
fn servers_of_one_priority_share_by_weight() {
    use rand::{SeedableRng, rngs::StdRng};
    let server = |priority, weight, port| Srv {
        priority,
        weight,
        port,
        target: "h".to_owned(),
    };
    let servers = vec![
        server(2, 900, 9),
        server(1, 10, 1),
        server(1, 30, 3),
        server(1, 0, 0),
    ];
    let mut rng = StdRng::from_seed([1; 32]);
    let mut first = HashMap::new();
    for _ in 0..8_000 {
        let ordered = crate::plan::in_order(servers.clone(), &mut rng);
        assert_eq!(ordered.len(), 4);
        assert_eq!(ordered[3].port, 9, "a higher number is a later try");
        *first.entry(ordered[0].port).or_insert(0_u32) += 1;
    }
    assert!((1_600..2_400).contains(&first[&1]), "{first:?}");
    assert!((5_300..6_300).contains(&first[&3]), "{first:?}");
    assert!(first[&0] > 0, "weight 0 is small, not none: {first:?}");
}

fn record() -> impl Strategy<Value = Record> {
    let name = prop_oneof![
        Just(String::new()),
        Just(".".to_owned()),
        "[a-c]{1,2}(\\.[a-c]){0,2}\\.?",
        "\\PC{0,30}",
    ];
    let service = prop_oneof![
        Just("SIP+D2U".to_owned()),
        Just("sips+d2t".to_owned()),
        Just("SIP+D2T".to_owned()),
        "\\PC{0,8}",
    ];
    prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| Record::A(ip.into())),
        any::<[u8; 16]>().prop_map(|ip| Record::Aaaa(ip.into())),
        (any::<u16>(), 0..3_u16, any::<u16>(), name.clone()).prop_map(|(weight, priority, port, target)| {
            Record::Srv(Srv {
                priority,
                weight,
                port,
                target,
            })
        }),
        (0..3_u16, 0..3_u16, "[sSuU]?", service, name).prop_map(
            |(order, preference, flags, service, replacement)| {
                Record::Naptr(Naptr {
                    order,
                    preference,
                    flags,
                    service,
                    replacement,
                })
            }
        ),
    ]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let ttl = || (0..100_000_u64).prop_map(Duration::from_secs);
    prop_oneof![
        4 => (prop::collection::vec(record(), 0..40), ttl()).prop_map(|(records, ttl)| Answer::Records { records, ttl }),
        1 => prop::option::of(ttl()).prop_map(|ttl| Answer::Nothing { ttl }),
        1 => Just(Answer::Failed),
    ]
}

/// However many want to know at the same time, each question goes out once, and everybody is told.
#[test]
fn the_same_question_at_the_same_time_is_asked_once() {
    const QUERIES: u64 = 50;
    let mut desk = Desk::new();
    desk.host("host.example.net", "192.0.2.7");
    for query in 0..QUERIES {
        let next_hop = hop("sip:bob@host.example.net:5070");
        desk.resolver.handle_query(desk.now, QueryId(query), next_hop);
    }
    let (mut asked, mut told) = (HashSet::new(), HashSet::new());
    while let Some(output) = desk.resolver.poll_output() {
        match output {
            Output::Ask(question) => {
                let answer = desk.answer(&question);
                assert!(asked.insert(question.clone()), "{question:?} is asked again");
                desk.resolver.handle_answer(desk.now, &question, answer);
            }
            Output::Resolved { query, found } => {
                assert_eq!(found.unwrap()[0].remote, "192.0.2.7:5070".parse().unwrap());
                assert!(told.insert(query));
            }
        }
    }
    assert_eq!((asked.len(), told.len() as u64), (2, QUERIES));
}

/// RFC 3263 section 4.1: no DNS, and no resolver.
#[test]
fn an_address_is_decided_by_the_configuration_alone() {
    let config = Config {
        transports: vec![Transport::Udp],
        ..Config::default()
    };
    let found = config.direct(&hop("sip:bob@192.0.2.7:5070")).unwrap().unwrap();
    assert_eq!(found[0].remote, "192.0.2.7:5070".parse().unwrap());
    let unspoken = config.direct(&hop("sip:bob@192.0.2.7;transport=tcp")).unwrap();
    assert_eq!(unspoken, Err(Failure::NoTransport("192.0.2.7".into())));
    assert_eq!(config.direct(&hop("sip:bob@example.com")), None);
}

proptest! {
    /// Whatever DNS says: every query ends, after a bounded number of questions, each asked once, with candidates that
    /// may be used.
    #[test]
    fn every_query_ends_whatever_dns_says(
        answers in prop::collection::vec(any_answer(), 1..80),
        uri in prop_oneof![
            Just("sip:a.b"), Just("sips:a.b"), Just("sip:a.b:5070"), Just("sip:a.b;transport=tcp"), Just("sip:a.b;transport=tls"),
        ],
        seed in any::<[u8; 32]>(),
    ) {
        let now = start();
        let config = Config::default();
        let mut resolver = Resolver::new(config.clone(), seed);
        resolver.handle_query(now, QueryId(9), hop(uri));
        let mut asked = HashSet::new();
        let mut next = answers.iter().cycle();
        let mut found = None;
        while let Some(output) = resolver.poll_output() {
            match output {
                Output::Ask(question) => {
                    prop_assert!(asked.insert(question.clone()), "asked twice: {question:?}");
                    resolver.handle_answer(now, &question, next.next().cloned().unwrap_or(Answer::Failed));
                }
                Output::Resolved { query, found: result } => {
                    prop_assert_eq!(query, QueryId(9));
                    prop_assert!(found.replace(result).is_none(), "answered twice");
                }
            }
        }
        let limits = &config.limits;
        prop_assert!(asked.len() <= 1 + limits.services_max + 2 * limits.candidates_max, "{}", asked.len());
        let found = found.expect("every query ends");
        for candidate in found.iter().flatten() {
            prop_assert!(!uri.starts_with("sips") || candidate.transport == Transport::Tls);
            prop_assert_eq!(candidate.transport.is_secure(), candidate.name.is_some());
        }
        prop_assert!(found.map_or(1, |found| found.len()) <= limits.candidates_max);
        prop_assert_eq!(resolver.len().0, 0);
    }
}
