//! The client against a scripted relay on a virtual clock.

use super::*;
use crate::error_reason::ErrorReason;
use crate::request::Query;

#[expect(clippy::disallowed_methods, reason = "a test's base instant")]
fn base() -> Instant {
    Instant::now()
}

/// What happened, each with its time in milliseconds.
type Timed<T> = Vec<(u128, T)>;

struct Bench {
    client: Client,
    start: Instant,
}

impl Bench {
    fn new(config: ClientConfig) -> Self {
        Self {
            client: Client::new(config, 0xab),
            start: base(),
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn ask(&mut self, ms: u64) -> Ticket {
        self.client.request(self.at(ms), &Request::Ping).unwrap()
    }

    fn wake(&mut self, ms: u64) {
        self.client.handle_timeout(self.at(ms));
    }

    fn receive(&mut self, ms: u64, datagram: impl AsRef<[u8]>) {
        self.client.handle_datagram(self.at(ms), datagram.as_ref());
    }

    /// The datagrams to be sent.
    fn sent(&mut self) -> Vec<String> {
        let sent = std::iter::from_fn(|| self.client.poll_transmit());
        sent.map(|datagram| String::from_utf8(datagram.to_vec()).unwrap())
            .collect()
    }

    fn events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// When the client wants to be woken, in milliseconds.
    fn alarm(&self) -> Option<u128> {
        self.client.poll_timeout().map(|at| (at - self.start).as_millis())
    }

    /// Runs to the end of time, and tells when what was sent and what happened.
    fn run(&mut self, until_ms: u64) -> (Timed<String>, Timed<ClientEvent>) {
        let (mut sent, mut events) = (Vec::new(), Vec::new());
        let mut now = 0;
        loop {
            sent.extend(self.sent().into_iter().map(|datagram| (now, datagram)));
            events.extend(self.events().into_iter().map(|event| (now, event)));
            match self.alarm() {
                Some(alarm) if alarm <= until_ms.into() => now = alarm,
                _ => return (sent, events),
            }
            self.client
                .handle_timeout(self.start + Duration::from_millis(u64::try_from(now).unwrap()));
        }
    }
}

const PING: &str = "d7:command4:pinge";
const PONG: &str = "d6:result4:ponge";

#[test]
fn answered_request_gives_its_reply() {
    let mut bench = Bench::new(ClientConfig::default());
    let ticket = bench.ask(0);
    assert_eq!(bench.sent(), [format!("00000000000000ab_0 {PING}")]);
    bench.receive(3, format!("00000000000000ab_0 {PONG}"));
    assert_eq!(
        bench.events(),
        [ClientEvent::Reply {
            ticket,
            reply: Reply::Pong
        }]
    );
    assert_eq!((bench.alarm(), bench.client.outstanding()), (None, 0));
}

#[test]
fn request_is_repeated_with_the_same_cookie_and_given_up_within_three_seconds() {
    let mut bench = Bench::new(ClientConfig::default());
    let ticket = bench.ask(0);
    let (sent, events) = bench.run(2_999);
    let times: Vec<_> = sent.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 250, 750, 1_500, 2_000]);
    assert!(sent.iter().all(|(_, datagram)| *datagram == sent[0].1));
    assert_eq!(
        events,
        [
            (2_500, ClientEvent::Timeout { ticket }),
            (2_500, ClientEvent::NodeDown)
        ]
    );
    let counters = bench.client.counters();
    assert_eq!(
        (counters.requests, counters.retransmissions, counters.timeouts),
        (1, 4, 1)
    );
}

#[test]
fn late_wake_up_sends_once_and_gives_up_in_time() {
    let mut bench = Bench::new(ClientConfig::default());
    bench.ask(0);
    bench.sent();
    bench.wake(1_600);
    assert_eq!(bench.sent().len(), 1);
    assert_eq!(bench.alarm(), Some(2_000));
    bench.wake(9_000);
    assert_eq!((bench.sent().len(), bench.alarm()), (0, Some(11_000)));
    assert!(matches!(
        bench.events()[..],
        [ClientEvent::Timeout { .. }, ClientEvent::NodeDown]
    ));
}

#[test]
fn early_wake_up_does_nothing() {
    let mut bench = Bench::new(ClientConfig::default());
    bench.ask(0);
    bench.sent();
    bench.wake(249);
    assert_eq!((bench.sent().len(), bench.alarm()), (0, Some(250)));
}

#[test]
fn replies_find_their_requests_in_any_order() {
    let mut bench = Bench::new(ClientConfig::default());
    let query = Request::Query(Query {
        call_id: "c".into(),
        from_tag: None,
        to_tag: None,
    });
    let first = bench.client.request(bench.at(0), &query).unwrap();
    let second = bench.ask(1);
    bench.receive(5, format!("00000000000000ab_1 {PONG}"));
    bench.receive(
        6,
        "00000000000000ab_0 d6:result5:error12:error-reason15:Unknown call-ide",
    );
    assert_eq!(
        bench.events(),
        [
            ClientEvent::Reply {
                ticket: second,
                reply: Reply::Pong
            },
            ClientEvent::Reply {
                ticket: first,
                reply: Reply::error(ErrorReason::UnknownCallId)
            },
        ]
    );
}

#[test]
fn cookies_are_unique_per_request_and_instance() {
    let start = base();
    let mut cookies = std::collections::BTreeSet::new();
    for instance in [0, 1, u64::MAX] {
        let mut client = Client::new(ClientConfig::default(), instance);
        for _ in 0..100 {
            client.request(start, &Request::Ping).unwrap();
            let datagram = client.poll_transmit().unwrap();
            let cookie = datagram.split(|octet| *octet == b' ').next().unwrap().to_vec();
            assert!(cookies.insert(cookie));
        }
    }
}

#[test]
fn doubled_late_and_foreign_datagrams_are_counted_and_dropped() {
    let mut bench = Bench::new(ClientConfig::default());
    bench.ask(0);
    bench.receive(1, format!("00000000000000ab_0 {PONG}"));
    bench.events();
    for datagram in [
        format!("00000000000000ab_0 {PONG}"),
        format!("00000000000000ab_1 {PONG}"),
        format!("00000000000000ab_+1 {PONG}"),
        format!("00000000000000ac_0 {PONG}"),
        format!("x {PONG}"),
    ] {
        bench.receive(2, datagram);
    }
    for datagram in [
        &b""[..],
        b"x",
        b"00000000000000ab_0 ",
        b"00000000000000ab_0 x",
        b"\xff\xff \xff",
    ] {
        bench.receive(2, datagram);
    }
    let counters = bench.client.counters();
    assert_eq!((counters.stray, counters.malformed), (5, 5));
    assert_eq!(bench.events(), []);
}

#[test]
fn answer_that_is_no_reply_ends_its_request() {
    let mut bench = Bench::new(ClientConfig::default());
    let (first, second) = (bench.ask(0), bench.ask(0));
    bench.receive(1, "00000000000000ab_0 d6:resul");
    bench.receive(1, "00000000000000ab_1 de");
    let events = bench.events();
    assert!(
        matches!(&events[0], ClientEvent::BadReply { ticket, fault: BadReply::Undecodable(_) } if *ticket == first)
    );
    let fault = BadReply::NotAReply(ReplyError::NoResult);
    assert_eq!(
        events[1],
        ClientEvent::BadReply {
            ticket: second,
            fault
        }
    );
    assert!(bench.client.is_up());
}

#[test]
fn silent_relay_is_not_asked_until_it_answers_a_ping() {
    let mut bench = Bench::new(ClientConfig::default());
    bench.ask(0);
    bench.run(2_600);
    assert!(!bench.client.is_up());
    assert_eq!(
        bench.client.request(bench.at(2_700), &Request::Ping),
        Err(Refused::NodeDown)
    );
    assert_eq!(bench.client.counters().refused, 1);
    // Pings go out every two seconds, each with a cookie of its own, without end.
    let (sent, events) = bench.run(14_500);
    let times: Vec<_> = sent.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [4_500, 6_500, 8_500, 10_500, 12_500, 14_500]);
    assert_eq!(events, []);
    assert_eq!(bench.client.outstanding(), 0);
    let last = sent.last().unwrap().1.split(' ').next().unwrap().to_owned();
    bench.receive(14_600, format!("{last} {PONG}"));
    assert_eq!(bench.events(), [ClientEvent::NodeUp]);
    assert_eq!((bench.client.is_up(), bench.alarm()), (true, None));
    assert!(bench.client.request(bench.at(14_700), &Request::Ping).is_ok());
}

#[test]
fn late_answer_to_an_earlier_ping_revives_the_relay_too() {
    let mut bench = Bench::new(ClientConfig::default());
    bench.ask(0);
    bench.run(6_600);
    bench.receive(6_700, format!("00000000000000ab_1 {PONG}"));
    assert_eq!(bench.events(), [ClientEvent::NodeUp]);
}

#[test]
fn forgotten_ping_does_not_revive() {
    let mut bench = Bench::new(ClientConfig::default());
    bench.ask(0);
    bench.run(20_000);
    bench.receive(20_001, format!("00000000000000ab_1 {PONG}"));
    assert_eq!(bench.events(), []);
    assert_eq!(bench.client.counters().stray, 1);
}

#[test]
fn reply_to_another_request_revives_the_relay() {
    let mut bench = Bench::new(ClientConfig::default());
    bench.ask(0);
    let second = bench.ask(1_000);
    bench.run(2_600);
    assert!(!bench.client.is_up());
    bench.receive(2_700, format!("00000000000000ab_1 {PONG}"));
    assert_eq!(
        bench.events(),
        [
            ClientEvent::NodeUp,
            ClientEvent::Reply {
                ticket: second,
                reply: Reply::Pong
            }
        ]
    );
}

#[test]
fn relay_goes_down_once_for_many_timeouts() {
    let mut bench = Bench::new(ClientConfig::default());
    for ms in [0, 10, 20] {
        bench.ask(ms);
    }
    let (_, events) = bench.run(3_000);
    let downs = events
        .iter()
        .filter(|(_, event)| *event == ClientEvent::NodeDown)
        .count();
    assert_eq!((events.len(), downs), (4, 1));
}

#[test]
fn unanswered_requests_are_bounded() {
    let mut bench = Bench::new(ClientConfig {
        outstanding_max: 2,
        ..ClientConfig::default()
    });
    bench.ask(0);
    bench.ask(0);
    let refused = bench.client.request(bench.at(0), &Request::Ping);
    assert_eq!(refused, Err(Refused::TooManyOutstanding { limit: 2 }));
    bench.receive(1, format!("00000000000000ab_0 {PONG}"));
    assert!(bench.client.request(bench.at(1), &Request::Ping).is_ok());
}

#[test]
fn request_that_fits_no_datagram_is_refused() {
    let mut bench = Bench::new(ClientConfig {
        request_octets_max: 60,
        ..ClientConfig::default()
    });
    let call_id = "c".repeat(60).into();
    let query = Request::Query(Query {
        call_id,
        from_tag: None,
        to_tag: None,
    });
    assert!(matches!(
        bench.client.request(bench.at(0), &query),
        Err(Refused::TooLong { .. })
    ));
    assert_eq!(
        (bench.sent().len(), bench.alarm(), bench.client.outstanding()),
        (0, None, 0)
    );
    assert!(bench.client.request(bench.at(0), &Request::Ping).is_ok());
}

#[test]
fn schedule_is_configurable() {
    let ms = Duration::from_millis;
    let config = ClientConfig {
        send_after: vec![ms(0), ms(100), ms(5_000)],
        give_up_after: ms(300),
        encoding: Encoding::Json,
        ..ClientConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.ask(0);
    let (sent, events) = bench.run(301);
    assert_eq!(sent.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 100]);
    assert!(sent[0].1.ends_with(r#" {"command":"ping"}"#));
    assert_eq!(events[0].0, 300);
}

#[test]
fn empty_schedule_sends_nothing_and_gives_up() {
    let mut bench = Bench::new(ClientConfig {
        send_after: Vec::new(),
        ..ClientConfig::default()
    });
    bench.ask(0);
    let (sent, events) = bench.run(2_501);
    assert_eq!((sent.len(), events.len()), (0, 2));
}
