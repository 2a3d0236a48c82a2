//! Answers of DNS servers, and what becomes of them on the way to an address.

use std::time::{Duration, Instant};

use viaduct_resolve::{
    Answer, Config, Kind, Limits, NextHop, Output, QueryId, Question, Record, Resolver, WireError,
};
use viaduct_sip::Uri;

/// The number of every question here: that of the seeds.
const NUMBER: u16 = 0x1234;

/// The longest time that DNS can express (RFC 2181 section 8).
const TTL_MAX: Duration = Duration::from_secs(i32::MAX as u64);

/// Questions that one next hop can lead to, whatever is answered: its NAPTR, its SRV names, and two addresses for each
/// host.
const QUESTIONS_MAX: usize = 64;

const KINDS: [Kind; 4] = [Kind::A, Kind::Aaaa, Kind::Srv, Kind::Naptr];

/// Reads octets as the answer to a question of each kind, and lets a resolver go by what it finds in them.
///
/// Laws: an answer holds nothing but records of the kind that was asked for, not more of them than octets can carry, for a
/// time that DNS can express; nobody's answer to another question is taken; and however servers answer, a next hop is
/// resolved after a bounded number of questions, once, with no more candidates than allowed.
pub fn dns(data: &[u8]) {
    for kind in KINDS {
        let question = Question {
            name: "example.com".into(),
            kind,
        };
        let read = question.decode(NUMBER, data);
        assert_eq!(read, question.decode(NUMBER, data));
        if let Ok(answer) = &read {
            answers_the_question(kind, answer, data.len());
            assert_eq!(question.decode(!NUMBER, data), Err(WireError::NotOurs));
        }
    }
    for uri in [
        "sip:bob@example.com",
        "sips:bob@example.com",
        "sip:bob@example.com:5070",
    ] {
        leads_somewhere(uri, data);
    }
}

fn answers_the_question(kind: Kind, answer: &Answer, octets: usize) {
    match answer {
        Answer::Records { records, ttl } => {
            // The head of a record alone has eleven.
            assert!(!records.is_empty() && records.len() * 11 <= octets && *ttl <= TTL_MAX);
            for record in records {
                let found = match record {
                    Record::A(_) => Kind::A,
                    Record::Aaaa(_) => Kind::Aaaa,
                    Record::Srv(_) => Kind::Srv,
                    Record::Naptr(_) => Kind::Naptr,
                };
                assert_eq!(found, kind);
            }
        }
        Answer::Nothing { ttl } => assert!(ttl.is_none_or(|ttl| ttl <= Duration::from_secs(u32::MAX.into()))),
        Answer::Failed => {}
    }
}

/// A server answers every question with the same octets, as far as they fit it.
fn leads_somewhere(uri: &str, data: &[u8]) {
    let mut resolver = Resolver::new(Config::default(), [1; 32]);
    let next_hop = NextHop::of_uri(&Uri::parse(uri).unwrap()).unwrap();
    let now = base();
    resolver.handle_query(now, QueryId(1), next_hop);
    let (mut asked, mut resolved) = (0, 0);
    while let Some(output) = resolver.poll_output() {
        match output {
            Output::Ask(question) => {
                asked += 1;
                assert!(asked <= QUESTIONS_MAX, "{asked} questions");
                let octets = as_the_answer_to(&question, data);
                let answer = question.decode(NUMBER, &octets).unwrap_or(Answer::Failed);
                resolver.handle_answer(now, &question, answer);
            }
            Output::Resolved { query, found } => {
                resolved += 1;
                assert_eq!(query, QueryId(1));
                assert!(
                    found.is_ok_and(|found| found.len() <= Limits::default().candidates_max) || asked > 0
                );
            }
        }
    }
    assert_eq!(resolved, 1);
    assert_eq!(resolver.len().0, 0);
}

/// The same message with this question in place of its own, where a question of its length stands.
fn as_the_answer_to(question: &Question, data: &[u8]) -> Vec<u8> {
    const HEAD: usize = 12;
    let Ok(asked) = question.encode(NUMBER) else {
        return Vec::new();
    };
    let len = asked.len() - HEAD - 11;
    let mut octets = data.to_vec();
    if let Some(place) = octets.get_mut(HEAD..HEAD + len) {
        place.copy_from_slice(&asked[HEAD..HEAD + len]);
    }
    octets
}

fn base() -> Instant {
    Instant::now()
}
