//! What NG clients over TCP are told unasked: the digits that parties dial.

use std::time::SystemTime;

use viaduct_ng::{Dict, Encoding, Value, encode_packet};
use viaduct_session::{Event, What};

/// A message that tells of a digit, under a cookie of its own; `None` for every other event.
pub(super) fn of_digit(event: &Event, now: SystemTime) -> Option<Vec<u8>> {
    let What::Digit(digit) = &event.what else {
        return None;
    };
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let number = |number: u128| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let tags = digit.tags.iter().cloned().map(Value::Bytes);
    let mut data = Dict::new();
    for (key, value) in [
        ("callid", Value::Bytes(event.call_id.clone())),
        ("source_tag", Value::Bytes(digit.source_tag.clone())),
        ("tags", Value::List(tags.collect())),
        ("type", Value::text("DTMF")),
        ("source_ip", Value::text(digit.source.to_string())),
        ("timestamp", number(since_1970.as_secs().into())),
        ("event", number(digit.event.into())),
        ("duration", number(digit.duration.as_millis())),
        ("volume", number(digit.volume.into())),
    ] {
        data.insert(key, value);
    }
    let mut notice = Dict::new();
    notice.insert("notify", Value::text("onDTMF"));
    notice.insert("data", Value::Dict(data));
    let cookie = format!("{:016x}", rand::random::<u64>());
    Some(encode_packet(
        cookie.as_bytes(),
        Encoding::Bencode,
        &Value::Dict(notice),
    ))
}
