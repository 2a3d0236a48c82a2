//! Laws that hold for any octets: nothing panics, and what is read can be printed again.

#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "data/corpus.rs"]
#[expect(dead_code, reason = "the verdicts are for another test")]
mod corpus;

use bytes::Bytes;
use proptest::prelude::*;
use viaduct_sip::digest::{Challenge, Credentials};
use viaduct_sip::{
    Aor, Contact, Edit, Frame, Framer, HeaderName, Item, Limits, MediaType, Message, NameAddr,
    RequestBuilder, ResponseBuilder, StatusCode, Uri, Via,
};

/// One change to a message.
#[derive(Debug, Clone)]
enum Mutation {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Cut(usize, usize),
    /// Repeat a range somewhere else.
    Copy(usize, usize, usize),
}

fn octet() -> impl Strategy<Value = u8> {
    prop_oneof![3 => proptest::sample::select(b"\r\n \t:;,<>\"\\@?=&%/*[]()0a\0\xff".to_vec()), 1 => any::<u8>()]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = || 0usize..4096;
    prop_oneof![
        (at(), octet()).prop_map(|(at, octet)| Mutation::Set(at, octet)),
        (at(), proptest::collection::vec(octet(), 1..8))
            .prop_map(|(at, octets)| Mutation::Insert(at, octets)),
        (at(), 1usize..40).prop_map(|(at, length)| Mutation::Cut(at, length)),
        (at(), 1usize..80, at()).prop_map(|(from, length, to)| Mutation::Copy(from, length, to)),
    ]
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let messages: Vec<Bytes> = corpus::corpus()
        .into_iter()
        .map(|(_, octets, _)| octets)
        .collect();
    (
        proptest::sample::select(messages),
        proptest::collection::vec(mutation(), 1..6),
    )
        .prop_map(|(message, mutations)| {
            let mut octets = message.to_vec();
            for mutation in mutations {
                let length = octets.len();
                let place = |at: usize| at % (length + 1);
                match mutation {
                    Mutation::Set(at, octet) if length > 0 => octets[at % length] = octet,
                    Mutation::Set(..) => {}
                    Mutation::Insert(at, piece) => {
                        octets.splice(place(at)..place(at), piece);
                    }
                    Mutation::Cut(at, cut) => {
                        octets.drain(place(at)..(place(at) + cut).min(length));
                    }
                    Mutation::Copy(from, count, to) => {
                        let piece = octets[place(from)..(place(from) + count).min(length)].to_vec();
                        octets.splice(place(to)..place(to), piece);
                    }
                }
            }
            octets
        })
}

/// Asks everything that can be asked of a message.
fn read_everything(message: &Message) {
    let _ = (
        format!("{message:?}"),
        message.start(),
        message.essentials().is_ok(),
    );
    for header in message.lines() {
        let value = header.value();
        let _ = (
            header.name(),
            header.unfolded().len(),
            message.values(header.name()).count(),
        );
        let _ = (
            Item::parse(value).is_ok(),
            MediaType::parse(value).is_ok(),
            Via::parse(value).is_ok(),
        );
        let _ = (Credentials::parse(value).is_ok(), Challenge::parse(value).is_ok());
        for element in message.values(header.name()) {
            if let Ok(addr) = NameAddr::parse(element) {
                let _ = (addr.display_name(), addr.tag(), addr.q(), addr.expires());
                addr.params().iter().for_each(|param| drop(param.text()));
                if let Ok(uri) = addr.uri() {
                    assert!(uri.is_equivalent(&uri));
                    read_uri(&uri);
                }
            }
        }
    }
    for via in message.vias().flatten() {
        let _ = (via.received(), via.rport(), via.transaction_branch());
    }
    let _ = (
        message
            .contacts()
            .filter(|contact| matches!(contact, Ok(Contact::Wildcard)))
            .count(),
        message.expires(),
    );
    let _ = (
        message.max_forwards(),
        message.content_type().is_some(),
        message.request_uri().is_some(),
    );
}

fn read_uri(uri: &Uri<'_>) {
    let _ = (
        uri.transport(),
        uri.params().iter().count(),
        uri.headers().iter().count(),
    );
    if let Some(aor) = Aor::from_uri(uri) {
        let again = aor.to_sip_uri();
        assert_eq!(Aor::from_uri(&Uri::parse(&again).unwrap()), Some(aor));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn mutated_messages_never_panic_and_print_as_they_came(octets in mutated()) {
        let octets = Bytes::from(octets);
        match Message::parse_datagram(octets.clone(), &Limits::default()) {
            Ok(message) => {
                let printed = Edit::new(&message).finish().unwrap();
                prop_assert!(octets.windows(printed.len().max(1)).any(|window| window == &printed[..]));
                prop_assert_eq!(&Message::parse_datagram(printed, &Limits::default()).unwrap(), &message);
                read_everything(&message);
            }
            Err(error) => {
                // An answer that can be made can be read.
                if let Some(Ok(answer)) = error.answer().map(|answer| answer.to_tag("t").build()) {
                    let answer = Message::parse_datagram(answer, &Limits::default());
                    prop_assert_eq!(answer.map(|answer| answer.status()), Ok(Some(error.kind.status())));
                }
            }
        }
        let _ = Message::parse_frame(octets, &Limits::default());
    }

    #[test]
    fn edits_and_answers_of_mutated_messages_are_messages(octets in mutated()) {
        let Ok(message) = Message::parse_datagram(Bytes::from(octets), &Limits::default()) else {
            return Ok(());
        };
        let vias = message.values(HeaderName::Via).count();
        let mut edit = Edit::new(&message);
        let removed = edit.remove_first(HeaderName::Via).is_some();
        edit.remove_last(HeaderName::Route);
        edit.set(HeaderName::MaxForwards, "5").prepend(HeaderName::RecordRoute, "<sip:p;lr>");
        edit.set_body(Some("text/plain"), b"hello").remove_all("X-Gone");
        let changed = Message::parse_datagram(edit.finish().unwrap(), &Limits::default()).unwrap();
        prop_assert_eq!(changed.values(HeaderName::Via).count(), vias - usize::from(removed));
        prop_assert_eq!((changed.body(), changed.max_forwards()), (&b"hello"[..], Some(Ok(5))));
        prop_assert_eq!(changed.values(HeaderName::RecordRoute).next(), Some(&b"<sip:p;lr>"[..]));

        if message.essentials().is_ok() && message.is_request() {
            let source = "192.0.2.200:4000".parse().unwrap();
            let answer = ResponseBuilder::new(&message, StatusCode::OK).to_tag("t").source(source).build().unwrap();
            let answer = Message::parse_datagram(answer, &Limits::default()).unwrap();
            let (asked, answered) = (message.essentials().unwrap(), answer.essentials().unwrap());
            prop_assert_eq!((answered.call_id, answered.cseq), (asked.call_id, asked.cseq));
            prop_assert_eq!(answered.via.branch(), asked.via.branch());
            prop_assert_eq!(answer.vias().count(), vias);
            let ack = RequestBuilder::ack_for(&message, &answer).unwrap().build().unwrap();
            prop_assert!(Message::parse_datagram(ack, &Limits::default()).unwrap().essentials().is_ok());

            let mut marked = Edit::new(&message);
            marked.mark_source(source);
            let marked = Message::parse_datagram(marked.finish().unwrap(), &Limits::default()).unwrap();
            prop_assert_eq!(marked.top_via().unwrap().unwrap().received(), Some(source.ip()));
        }
    }

    #[test]
    fn mutated_streams_frame_alike_however_they_are_cut(
        first in mutated(), second in mutated(), size in 1usize..200,
    ) {
        let stream = [first, second].concat();
        let limits = Limits::default();
        let run = |size: usize| {
            let mut framer = Framer::new(limits);
            let mut frames: Vec<Frame> = Vec::new();
            for chunk in stream.chunks(size) {
                framer.push(chunk);
                loop {
                    match framer.next_frame() {
                        Ok(Some(frame)) => frames.push(frame),
                        Ok(None) => break,
                        Err(error) => return (frames, Some(error)),
                    }
                }
            }
            (frames, None)
        };
        prop_assert_eq!(run(size), run(stream.len().max(1)));
    }

    #[test]
    fn random_octets_never_panic(octets in proptest::collection::vec(octet(), 0..300)) {
        let octets = Bytes::from(octets);
        let with_start = Bytes::from([b"BYE sip:a SIP/2.0\r\n", &octets[..]].concat());
        for octets in [octets, with_start] {
            if let Ok(message) = Message::parse_datagram(octets, &Limits::default()) {
                read_everything(&message);
            }
        }
    }
}
