//! SIP messages from datagrams, WebSocket messages and streams.

use bytes::Bytes;
use viaduct_sip::digest::{Challenge, Credentials};
use viaduct_sip::{
    Aor, CSEQ_MAX, CSeq, Contact, Edit, Frame, Framer, HeaderName, Host, Item, KeepAlive, Limits, MediaType,
    Message, NameAddr, ParseError, RequestBuilder, ResponseBuilder, StatusCode, Uri, Via,
};

/// Limits that a small input can pass.
const TIGHT: Limits = Limits {
    datagram_octets_max: 1_200,
    stream_octets_max: 900,
    frame_octets_max: 1_000,
    head_octets_max: 800,
    start_line_octets_max: 80,
    header_octets_max: 160,
    headers_max: 14,
    vias_max: 3,
};

/// Limits for messages that were made from one within the default limits: a few lines longer.
fn roomy() -> Limits {
    let Limits {
        datagram_octets_max,
        stream_octets_max,
        frame_octets_max,
        head_octets_max,
        start_line_octets_max,
        header_octets_max,
        headers_max,
        vias_max,
    } = Limits::default();
    Limits {
        datagram_octets_max: 2 * datagram_octets_max,
        stream_octets_max: 2 * stream_octets_max,
        frame_octets_max: 2 * frame_octets_max,
        head_octets_max: 2 * head_octets_max,
        start_line_octets_max: 2 * start_line_octets_max,
        header_octets_max: 2 * header_octets_max,
        headers_max: 2 * headers_max,
        vias_max: 2 * vias_max,
    }
}

/// Reads octets as a datagram, as a WebSocket message and as a stream.
///
/// Laws: an unedited message prints as it came; edits and answers are messages that say what was asked; limits hold and
/// narrower ones accept nothing that wider ones refuse; a stream gives the same frames however it is cut.
pub fn sip(data: &[u8]) {
    let octets = Bytes::copy_from_slice(data);
    match Message::parse_datagram(octets.clone(), &Limits::default()) {
        Ok(message) => {
            prints_as_it_came(&message, data);
            read_everything(&message);
            edits_are_messages(&message);
            answers_are_messages(&message);
        }
        Err(error) => fault_can_be_answered(&error),
    }
    frames_are_datagrams(&octets);
    limits_hold(&octets);
    for limits in [Limits::default(), TIGHT] {
        let whole = frames(data, data.len().max(1), limits);
        assert_eq!(frames(data, 1 + data.len() % 7, limits), whole);
    }
    let _ = KeepAlive::recognize(data);
}

fn prints_as_it_came(message: &Message, data: &[u8]) {
    let printed = Edit::new(message).finish().unwrap();
    assert_eq!(&printed, message.octets());
    assert!(data.windows(printed.len().max(1)).any(|window| window == printed));
    let again = Message::parse_datagram(printed, &Limits::default()).unwrap();
    assert_eq!((again.start(), again.body()), (message.start(), message.body()));
    assert!(
        again
            .lines()
            .map(|line| line.value())
            .eq(message.lines().map(|line| line.value()))
    );
}

fn fault_can_be_answered(error: &ParseError) {
    assert!(!error.kind.label().is_empty());
    if let Some(Ok(answer)) = error.answer().map(|answer| answer.to_tag("t").build()) {
        let answer = Message::parse_datagram(answer, &roomy()).unwrap();
        assert_eq!(answer.status(), Some(error.kind.status()));
    }
}

fn frames_are_datagrams(octets: &Bytes) {
    if let Ok(message) = Message::parse_frame(octets.clone(), &Limits::default()) {
        let limits = Limits {
            datagram_octets_max: octets.len(),
            ..Limits::default()
        };
        assert_eq!(Message::parse_datagram(octets.clone(), &limits), Ok(message));
    }
}

fn limits_hold(octets: &Bytes) {
    if let Ok(message) = Message::parse_datagram(octets.clone(), &TIGHT) {
        assert!(message.octets().len() <= TIGHT.datagram_octets_max);
        assert!(message.octets().len() - message.body().len() <= TIGHT.head_octets_max);
        assert!(message.lines().len() <= TIGHT.headers_max);
        assert!(message.values(HeaderName::Via).count() <= TIGHT.vias_max);
        assert!(
            message
                .lines()
                .all(|line| line.value().len() <= TIGHT.header_octets_max)
        );
        assert_eq!(
            Message::parse_datagram(octets.clone(), &Limits::default()),
            Ok(message)
        );
    }
}

/// What a stream holds when it comes in pieces of `size` octets, and the fault that ended it.
fn frames(stream: &[u8], size: usize, limits: Limits) -> (Vec<Frame>, Option<ParseError>) {
    let mut framer = Framer::new(limits);
    let mut frames = Vec::new();
    for piece in stream.chunks(size) {
        framer.push(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => {
                    if let Frame::Message(message) = &frame {
                        assert!(message.octets().len() <= limits.stream_octets_max);
                        let datagram = Message::parse_frame(message.octets().clone(), &roomy());
                        assert_eq!(datagram.as_ref(), Ok(message));
                    }
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(matches!(framer.next_frame(), Ok(None)) && framer.buffered() == 0);
                    return (frames, Some(error));
                }
            }
        }
        assert!(framer.buffered() <= limits.stream_octets_max.max(limits.head_octets_max));
    }
    (frames, None)
}

fn edits_are_messages(message: &Message) {
    let vias = message.values(HeaderName::Via).count();
    let routes = message.values(HeaderName::Route).count();
    let mut edit = Edit::new(message);
    let via_removed = edit.remove_first(HeaderName::Via).is_some();
    let route_removed = edit.remove_last(HeaderName::Route).is_some();
    edit.set(HeaderName::MaxForwards, "5")
        .prepend(HeaderName::RecordRoute, "<sip:p;lr>");
    edit.set_body(Some("text/plain"), b"hello").remove_all("X-Gone");
    let edited = Message::parse_datagram(edit.finish().unwrap(), &roomy()).unwrap();
    assert_eq!(
        edited.values(HeaderName::Via).count(),
        vias - usize::from(via_removed)
    );
    assert_eq!(
        edited.values(HeaderName::Route).count(),
        routes - usize::from(route_removed)
    );
    assert_eq!(
        edited.values(HeaderName::RecordRoute).next(),
        Some(&b"<sip:p;lr>"[..])
    );
    assert_eq!(
        (edited.body(), edited.max_forwards()),
        (&b"hello"[..], Some(Ok(5)))
    );
    assert!(!edited.has("X-Gone"));
}

fn answers_are_messages(request: &Message) {
    let Ok(asked) = request.essentials() else { return };
    if !request.is_request() {
        return;
    }
    let source = "192.0.2.200:4000".parse().unwrap();
    let answer = ResponseBuilder::new(request, StatusCode::OK)
        .to_tag("t")
        .source(source)
        .build()
        .unwrap();
    let answer = Message::parse_datagram(answer, &roomy()).unwrap();
    let answered = answer.essentials().unwrap();
    assert_eq!((answered.call_id, answered.cseq), (asked.call_id, asked.cseq));
    assert_eq!(
        (answered.via.branch(), answered.from_tag),
        (asked.via.branch(), asked.from_tag)
    );
    assert_eq!(answered.to_tag, asked.to_tag.or(Some("t")));
    assert_eq!(
        answer.values(HeaderName::Via).count(),
        request.values(HeaderName::Via).count()
    );

    let ack = RequestBuilder::ack_for(request, &answer)
        .unwrap()
        .build()
        .unwrap();
    let ack = Message::parse_datagram(ack, &roomy()).unwrap();
    assert_eq!(ack.essentials().unwrap().cseq.number, asked.cseq.number);
    assert_eq!(ack.request_uri_text(), request.request_uri_text());

    let mut marked = Edit::new(request);
    marked.mark_source(source);
    let marked = Message::parse_datagram(marked.finish().unwrap(), &roomy()).unwrap();
    assert_eq!(marked.top_via().unwrap().unwrap().received(), Some(source.ip()));
}

/// Asks everything that can be asked of a message.
fn read_everything(message: &Message) {
    let _ = (format!("{message:?}"), message.essentials().is_ok());
    if let Some(Ok(uri)) = message.request_uri() {
        read_uri(&uri);
    }
    for line in message.lines() {
        read_value(line.value());
        assert!(!line.unfolded().contains(&b'\n'));
        for element in message.values(line.name()) {
            assert!(element.len() <= message.octets().len());
        }
    }
    for via in message.vias().flatten() {
        let _ = (via.received(), via.rport(), via.maddr(), via.transaction_branch());
        read_host(&via.host());
    }
    let mut latest: Option<Uri<'_>> = None;
    for header in [
        HeaderName::From,
        HeaderName::To,
        HeaderName::Contact,
        HeaderName::Route,
    ] {
        for addr in message.addrs(header).flatten() {
            let _ = (addr.display_name(), addr.tag(), addr.expires());
            assert!(addr.q().is_none_or(|q| q <= 1_000));
            addr.params().iter().for_each(|param| drop(param.text()));
            if let Ok(uri) = addr.uri() {
                read_uri(&uri);
                if let Some(other) = latest.replace(uri) {
                    assert_eq!(uri.is_equivalent(&other), other.is_equivalent(&uri));
                }
            }
        }
    }
    let wildcards = message
        .contacts()
        .filter(|contact| matches!(contact, Ok(Contact::Wildcard)));
    assert!(wildcards.count() <= message.values(HeaderName::Contact).count());
    let _ = (message.expires(), message.max_forwards(), message.content_type());
}

/// Reads a value as everything it might be.
fn read_value(value: &[u8]) {
    let _ = (Item::parse(value).is_ok(), MediaType::parse(value).is_ok());
    let _ = (Via::parse(value).is_ok(), NameAddr::parse(value).is_ok());
    if let Ok(cseq) = CSeq::parse(value) {
        assert!(cseq.number <= CSEQ_MAX);
    }
    if let Ok(credentials) = Credentials::parse(value) {
        let _ = (credentials.count(), credentials.covers("sip:bob@example.com"));
    }
    if let Ok(challenge) = Challenge::parse(value) {
        let printed = challenge.to_string();
        let again = Challenge::parse(printed.as_bytes()).unwrap();
        // A line break in a quoted text is printed as a blank.
        if !value.contains(&b'\r') && !value.contains(&b'\n') {
            assert_eq!(again, challenge);
        }
        assert_eq!(again.to_string(), printed);
    }
}

fn read_uri(uri: &Uri<'_>) {
    assert!(uri.is_equivalent(uri));
    let again = Uri::parse(uri.as_str()).unwrap();
    assert_eq!(
        (again.user(), again.host(), again.port()),
        (uri.user(), uri.host(), uri.port())
    );
    let _ = (
        uri.transport(),
        uri.params().iter().count(),
        uri.headers().iter().count(),
        uri.after_scheme(),
    );
    if let Some(host) = uri.host() {
        read_host(&host);
    }
    if let Some(aor) = Aor::from_uri(uri) {
        let printed = aor.to_sip_uri();
        assert_eq!(Aor::from_uri(&Uri::parse(&printed).unwrap()), Some(aor));
    }
}

fn read_host(host: &Host<'_>) {
    let canonical = host.canonical();
    assert_eq!(Host::parse(&canonical).unwrap().canonical(), canonical);
}
