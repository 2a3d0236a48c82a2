//! Which transaction a message belongs to.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
#[cfg(test)]
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

use bytes::Bytes;
use viaduct_sip::{Essentials, HeaderName, Message, Method};

use crate::Hop;
use crate::parts::Spread;

/// Finds a server transaction: a keyed hash of every field that must be equal (RFC 3261 section 17.2.3). With 128 bits
/// no two requests ever have one in common by chance, and without the key nobody can make two that have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerKey([u64; 2]);

impl ServerKey {
    #[cfg(test)]
    pub(crate) fn test(number: u64) -> Self {
        let hash = |seed: u64| BuildHasherDefault::<DefaultHasher>::default().hash_one((seed, number));
        Self([hash(1), hash(2)])
    }
}

impl Spread for ServerKey {
    /// Bits that no table hashes by.
    fn spread(&self) -> u64 {
        self.0[1]
    }
}

impl Spread for ClientKey {
    fn spread(&self) -> u64 {
        self.branch.spread()
    }
}

impl Hash for ServerKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// Makes keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    hashers: [RandomState; 2],
    /// What is being hashed.
    fields: Vec<u8>,
}

impl Keys {
    /// The key of a request's transaction.
    pub(crate) fn of_request(&mut self, request: &Message, essentials: &Essentials<'_>) -> ServerKey {
        self.key(request, essentials, kind(essentials.cseq.method))
    }

    /// The key of the INVITE that a CANCEL is about (RFC 3261 section 9.2).
    pub(crate) fn of_cancelled(&mut self, cancel: &Message, essentials: &Essentials<'_>) -> ServerKey {
        self.key(cancel, essentials, INVITE)
    }

    /// What makes the repeat of a request sure beside its key, which whoever sees a request on its way can give to others:
    /// who hears the answer, and about whom.
    pub(crate) fn mark(&mut self, request: &Message, reply: &Hop) -> u64 {
        let remote = reply.remote();
        self.fields.clear();
        match remote.ip() {
            IpAddr::V4(ip) => self.fields.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => self.fields.extend_from_slice(&ip.octets()),
        }
        self.fields.extend_from_slice(&remote.port().to_be_bytes());
        let to = request.header(HeaderName::To);
        self.fields.extend_from_slice(to.unwrap_or_default());
        let [hasher, _] = &self.hashers;
        hasher.hash_one(&*self.fields)
    }

    fn key(&mut self, request: &Message, essentials: &Essentials<'_>, kind: &[u8]) -> ServerKey {
        write(&mut self.fields, request, essentials, kind);
        let [first, second] = &self.hashers;
        ServerKey([first.hash_one(&*self.fields), second.hash_one(&*self.fields)])
    }
}

/// Which request of a branch it is. An INVITE, its ACK and its CANCEL share one.
const INVITE: &[u8] = b"INVITE";

/// The method in the key of this request: an ACK carries the key of its INVITE.
fn kind(method: Method<'_>) -> &[u8] {
    match method {
        Method::Ack | Method::Invite => INVITE,
        other => other.as_str().as_bytes(),
    }
}

/// Writes the fields that must be equal, one behind the other, into `out`, which it replaces.
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
