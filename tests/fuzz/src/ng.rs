//! NG messages in both encodings.

use viaduct_ng::{
    Encoding, Limits, Packet, Reply, Request, Value, bencode as bencode_codec, flags as flag_strings,
    json as json_codec,
};

/// Limits that a small input can pass.
const TIGHT: Limits = Limits {
    octets_max: 600,
    cookie_octets_max: 8,
    depth_max: 3,
    elements_max: 24,
};

/// Reads octets as a bencode value, alone or as the body of a datagram.
///
/// Laws: a value prints what reads the same; a request and a reply print what reads the same; limits hold; whatever is
/// refused with a cookie has an answer.
pub fn bencode(data: &[u8]) {
    let body = message(data, Encoding::Bencode);
    if let Ok(value) = bencode_codec::decode(body, &Limits::default()) {
        let printed = bencode_codec::encode(&value);
        assert!(printed.len() <= body.len());
        assert_eq!(
            bencode_codec::decode(&printed, &Limits::default()),
            Ok(value.clone())
        );
        said_in_ng(&value);
    }
    if let Ok(value) = bencode_codec::decode(body, &TIGHT) {
        within_limits(body, &value);
        assert_eq!(bencode_codec::decode(body, &Limits::default()), Ok(value));
    }
}

/// Reads octets as a JSON value, alone or as the body of a datagram. The laws are those of [`bencode`], and both
/// encodings carry the same tree.
pub fn json(data: &[u8]) {
    let body = message(data, Encoding::Json);
    if let Ok(value) = json_codec::decode(body, &Limits::default()) {
        let printed = json_codec::encode(&value);
        assert_eq!(json_codec::decode(&printed, &roomy()), Ok(value.clone()));
        let other = bencode_codec::encode(&value);
        assert_eq!(bencode_codec::decode(&other, &roomy()), Ok(value.clone()));
        said_in_ng(&value);
    }
    if let Ok(value) = json_codec::decode(body, &TIGHT) {
        within_limits(body, &value);
        assert_eq!(json_codec::decode(body, &Limits::default()), Ok(value));
    }
}

/// Reads octets as a flag string, as operators write them for OpenSIPS and for Kamailio.
///
/// Laws: a diagnostic names a place in the string; what was understood without one prints what reads the same, but for texts
/// with `-=` in them, which a flag string cannot say everywhere (see [`flag_strings::print`]).
pub fn flags(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    for parsed in [
        flag_strings::parse_opensips(text),
        flag_strings::parse_kamailio(text),
    ] {
        for diagnostic in &parsed.diagnostics {
            assert!(text[diagnostic.offset..].starts_with(&diagnostic.token));
            assert!(!diagnostic.to_string().is_empty());
        }
    }
    let parsed = flag_strings::parse_opensips(text);
    if parsed.diagnostics.is_empty() {
        let printed = flag_strings::print(&parsed.flags);
        if printed.contains("-=") {
            return;
        }
        let again = flag_strings::parse_opensips(&printed);
        assert_eq!(
            (again.diagnostics, again.flags),
            (Vec::new(), parsed.flags),
            "{printed}"
        );
    }
}

/// Treats the octets as a datagram; gives its body, or all of it if it is none of this encoding.
fn message(data: &[u8], encoding: Encoding) -> &[u8] {
    let limits = Limits::default();
    let packet = match Packet::split(data, &limits) {
        Ok(packet) => packet,
        Err(error) => {
            if let Some(answer) = error.reply() {
                let answer = Packet::split(&answer, &limits).unwrap();
                let value = answer.encoding.decode(answer.body, &limits).unwrap();
                assert!(matches!(Reply::from_value(&value), Ok(Reply::Error { .. })));
            }
            return data;
        }
    };
    assert_eq!([packet.cookie, packet.body].concat().len() + 1, data.len());
    match packet.request(&limits) {
        Ok(received) => {
            let again = Request::from_value(&received.request.to_value()).unwrap();
            assert_eq!((again.request, again.ignored.len()), (received.request, 0));
        }
        Err(error) => {
            let answer = packet.reply(&error.reply());
            let answer = Packet::split(&answer, &limits).unwrap();
            assert_eq!((answer.cookie, answer.encoding), (packet.cookie, packet.encoding));
        }
    }
    if packet.encoding == encoding {
        packet.body
    } else {
        data
    }
}

/// Reads a value as a request and as a reply.
fn said_in_ng(value: &Value) {
    if let Ok(received) = Request::from_value(value) {
        let again = Request::from_value(&received.request.to_value()).unwrap();
        assert_eq!((again.request, again.ignored.len()), (received.request, 0));
    }
    if let Ok(reply) = Reply::from_value(value) {
        assert_eq!(Reply::from_value(&reply.to_value()), Ok(reply));
    }
}

fn within_limits(body: &[u8], value: &Value) {
    assert!(body.len() <= TIGHT.octets_max);
    let (depth, elements) = size(value);
    assert!(
        depth <= TIGHT.depth_max && elements <= TIGHT.elements_max,
        "{depth} deep, {elements} elements"
    );
}

/// Containers inside each other, and values with keys.
fn size(value: &Value) -> (usize, usize) {
    let inner: Vec<(usize, usize)> = match value {
        Value::Bytes(_) | Value::Integer(_) => return (0, 1),
        Value::List(members) => members.iter().map(size).collect(),
        Value::Dict(dict) => dict
            .iter()
            .map(|(_, value)| size(value))
            .map(|(depth, count)| (depth, count + 1))
            .collect(),
    };
    let depth = inner.iter().map(|(depth, _)| depth).max().copied().unwrap_or(0);
    (
        depth + 1,
        1 + inner.iter().map(|(_, elements)| elements).sum::<usize>(),
    )
}

/// Limits for what is printed from a value within the default limits: the other encoding may be longer.
fn roomy() -> Limits {
    Limits {
        octets_max: 16 * Limits::default().octets_max,
        ..Limits::default()
    }
}
