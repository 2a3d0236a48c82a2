//! What is asked of the relay.

use std::time::Duration;

use viaduct_ng::{
    Bundle, ByteString, Delete, Flag, IceMode, Offer, Options, Publish, Query, Replace, Request, RtcpMux,
    SdesWord, SubscribeAnswer, SubscribeRequest, TransportProtocol, Unsubscribe, WordSet,
};
use viaduct_sdp::{Candidate, TypedAttribute};

use crate::room::call_id;

fn tag(handle: u64) -> ByteString {
    handle.to_string().into()
}

pub(crate) fn publish(room: u64, handle: u64, sdp: Vec<u8>) -> Request {
    let mut options = Options::default();
    options.rtcp_mux.insert(RtcpMux::Accept);
    Request::Publish(Box::new(Publish {
        sdp: sdp.into(),
        call_id: Some(call_id(room)),
        from_tag: Some(tag(handle)),
        options,
    }))
}

/// An offer for a browser, or a plain one.
pub(crate) fn subscribe(room: u64, handle: u64, publishers: &[u64], plain: bool) -> Request {
    let mut options = Options::default();
    options.flags.insert(Flag::GenerateMid);
    options.replace.insert(Replace::Origin);
    if plain {
        options.transport_protocol = Some(TransportProtocol::RtpAvp);
        options.ice.mode = Some(IceMode::Remove);
        options.rtcp_mux.insert(RtcpMux::Demux);
    } else {
        options.transport_protocol = Some(TransportProtocol::UdpTlsRtpSavpf);
        options.ice.mode = Some(IceMode::Force);
        options.ice.trickle = true;
        options.rtcp_mux.extend([RtcpMux::Offer, RtcpMux::Require]);
        options.sdes.words.insert(SdesWord::Off);
        options.flags.insert(Flag::NoRtcpAttribute);
        // The publisher's bundle is between it and the relay.
        options.bundle.insert(Bundle::Reject);
    }
    Request::SubscribeRequest(Box::new(SubscribeRequest {
        call_id: call_id(room),
        from_tags: publishers.iter().copied().map(tag).collect(),
        to_tag: Some(tag(handle)),
        options,
    }))
}

pub(crate) fn subscribe_answer(room: u64, handle: u64, sdp: &str) -> Request {
    Request::SubscribeAnswer(Box::new(SubscribeAnswer {
        sdp: sdp.into(),
        call_id: call_id(room),
        to_tag: tag(handle),
        options: Options::default(),
    }))
}

pub(crate) fn unsubscribe(room: u64, handle: u64) -> Request {
    Request::Unsubscribe(Unsubscribe {
        call_id: call_id(room),
        to_tag: tag(handle),
    })
}

/// Ends what one party publishes, or without a handle the whole call, without delay: nothing else is to come of it.
pub(crate) fn delete(room: u64, handle: Option<u64>) -> Request {
    Request::Delete(Delete {
        call_id: call_id(room),
        from_tag: handle.map(tag),
        to_tag: None,
        via_branch: None,
        delete_delay: Some(Duration::ZERO),
        flags: WordSet::from_iter([Flag::Fast]),
    })
}

pub(crate) fn query(room: u64) -> Request {
    Request::Query(Query {
        call_id: call_id(room),
        from_tag: None,
        to_tag: None,
    })
}

/// Where a trickled candidate belongs.
pub(crate) enum Place<'p> {
    Mid(&'p str),
    Line(usize),
}

/// A trickled candidate (RFC 8840) as an offer of a fragment. `None` if it cannot be read.
pub(crate) fn trickle(
    room: u64,
    handle: u64,
    candidate: &str,
    place: &Place<'_>,
    ufrag: Option<&str>,
) -> Option<Request> {
    let candidate = Candidate::parse_value(candidate.strip_prefix("candidate:").unwrap_or(candidate)).ok()?;
    let ufrag = candidate.extension("ufrag").or(ufrag);
    let is_one_line = |text: &str| !text.contains(['\r', '\n', '\0']);
    let mid = match place {
        Place::Mid(mid) => Some(*mid),
        Place::Line(_) => None,
    };
    if !mid.into_iter().chain(ufrag).all(is_one_line) {
        return None;
    }
    let lines = match place {
        Place::Mid(_) => 1,
        Place::Line(index) => index + 1,
    };
    let mut fragment = "m=audio 9 RTP/AVP 0\r\n".repeat(lines);
    for (name, value) in [("mid", mid), ("ice-ufrag", ufrag)] {
        if let Some(value) = value {
            fragment += &format!("a={name}:{value}\r\n");
        }
    }
    fragment += &format!("a=candidate:{candidate}\r\n");
    let mut options = Options::default();
    options.flags.insert(Flag::Fragment);
    Some(Request::Offer(Box::new(Offer {
        sdp: fragment.into(),
        call_id: call_id(room),
        from_tag: tag(handle),
        to_tag: None,
        via_branch: None,
        options,
    })))
}
