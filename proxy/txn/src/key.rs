//! Which transaction a message belongs to.

use std::sync::Arc;

use bytes::Bytes;
use viaduct_sip::{Essentials, HeaderName, Message, Method};

/// Finds a server transaction (RFC 3261 section 17.2.3): every field that must be equal, one behind the other, so that
/// one comparison and one hash do, and nothing of the request's memory is held for it.
pub(crate) type ServerKey = Arc<[u8]>;

/// Which request of a branch it is. An INVITE, its ACK and its CANCEL share one.
const INVITE: &[u8] = b"INVITE";

/// The method in the key of this request: an ACK carries the key of its INVITE.
fn kind(method: Method<'_>) -> &[u8] {
    match method {
        Method::Ack | Method::Invite => INVITE,
        other => other.as_str().as_bytes(),
    }
}

/// Writes the key of a request's transaction into `out`, which it replaces.
pub(crate) fn write_server_key(out: &mut Vec<u8>, request: &Message, essentials: &Essentials<'_>) {
    write(out, request, essentials, kind(essentials.cseq.method));
}

/// Writes the key of the INVITE that a CANCEL is about (RFC 3261 section 9.2) into `out`, which it replaces.
pub(crate) fn write_cancelled_key(out: &mut Vec<u8>, cancel: &Message, essentials: &Essentials<'_>) {
    write(out, cancel, essentials, INVITE);
}

fn write(out: &mut Vec<u8>, request: &Message, essentials: &Essentials<'_>, kind: &[u8]) {
    out.clear();
    piece(out, kind);
    let via = &essentials.via;
    if let Some(branch) = via.transaction_branch() {
        // Top Via branch and sent-by. No port is another one than any.
        piece(out, branch.as_bytes());
        piece(out, via.host().as_str().as_bytes());
        out.extend_from_slice(&via.port().unwrap_or_default().to_be_bytes());
        return;
    }
    // A peer of RFC 2543, whose branches are not unique: the fields that section 17.2.3 compares. The To tag is left out
    // because the INVITE has none and its ACK has. An empty piece keeps these keys apart from the others.
    piece(out, b"");
    piece(out, request.values(HeaderName::Via).next().unwrap_or_default());
    piece(out, request.request_uri_text().unwrap_or_default().as_bytes());
    piece(out, essentials.from_tag.unwrap_or_default().as_bytes());
    piece(out, essentials.call_id.as_bytes());
    out.extend_from_slice(&essentials.cseq.number.to_be_bytes());
}

/// Its length goes in front, so that what follows cannot be taken for a part of it.
fn piece(out: &mut Vec<u8>, octets: &[u8]) {
    // Messages are shorter than 4 GiB.
    out.extend_from_slice(&(octets.len() as u32).to_be_bytes());
    out.extend_from_slice(octets);
}

/// Finds a client transaction (RFC 3261 section 17.1.3): our branch, and whether it is the CANCEL that borrows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey {
    pub(crate) branch: Bytes,
    pub(crate) is_cancel: bool,
}
