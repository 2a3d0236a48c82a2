//! Signed flow tokens: how a Record-Route value remembers the way to one side of a call (RFC 5626 section 5).
//!
//! A token is the user part of our Record-Route. It says over which hop that side is reached: a flow that the side has
//! opened, or a peer that is connected to again when its connection is gone. It is signed for one Call-ID, so that nobody
//! can make one, change one, or use one in another call.
//!
//! A trunk that may see nothing of the inside gets no Record-Route. The Contact that it reads has a sealed token as its
//! user part, in which everything is that a Route and the real Contact would say.

use std::net::{IpAddr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use viaduct_sip::{Transport, Uri};
use viaduct_txn::{ConnId, Flow, Hop};

use crate::sealed::Sealer;

/// Octets of the signature. 96 bits: a guess per microsecond for a million years finds none.
const MAC_OCTETS: usize = 12;

/// Marks the token of a peer that is connected to, in the octet that says the transport.
const CONNECT: u8 = 0x80;

/// Marks the token of a trunk that may see nothing of the inside, in the same octet.
const HIDES: u8 = 0x40;

/// What the user part of the Contact begins with that such a trunk reads.
const INSIDE: &str = "in.";

/// Makes and checks tokens. Two with the same secret understand each other, so a secret that is kept survives a
/// restart, and calls over UDP with it.
#[derive(Clone)]
pub(crate) struct Tokens {
    mac: Hmac<Sha256>,
    sealer: Sealer,
}

/// One side of a call, as its token names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) hop: Hop,
    /// It may see nothing of the other side but what we write ourselves.
    pub(crate) hides: bool,
}

/// Somebody inside, for a trunk that may not see where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) hop: Hop,
    /// The URI of the Contact.
    pub(crate) contact: String,
    /// Routers beyond the hop, as one header value. Most often empty.
    pub(crate) routes: String,
}

/// The token was not made by us for this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("flow token does not verify")]
pub(crate) struct Forged;

impl Tokens {
    /// A maker of tokens with this secret.
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mac = Hmac::new_from_slice(secret).expect("any key length is right");
        Self {
            mac,
            sealer: Sealer::new(secret, *b"side"),
        }
    }

    /// The token of one side of the call with this Call-ID: the side that is reached over `side`. `hides` is whether it
    /// may see nothing of the other.
    pub(crate) fn issue(&self, call_id: &[u8], side: &Hop, hides: bool) -> String {
        let mut octets = vec![0; MAC_OCTETS];
        encode(side, &mut octets);
        octets[MAC_OCTETS] |= if hides { HIDES } else { 0 };
        let mac = self.sign(call_id, &octets[MAC_OCTETS..]);
        octets[..MAC_OCTETS].copy_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// Reads a token that came in a request with this Call-ID.
    pub(crate) fn verify(&self, call_id: &[u8], token: &str) -> Result<Named, Forged> {
        let octets = URL_SAFE_NO_PAD.decode(token).map_err(|_| Forged)?;
        let (mac, said) = octets.split_at_checked(MAC_OCTETS).ok_or(Forged)?;
        if !bool::from(self.sign(call_id, said).ct_eq(mac)) {
            return Err(Forged);
        }
        Ok(Named {
            hop: decode(said).ok_or(Forged)?,
            hides: said.first().is_some_and(|kind| kind & HIDES != 0),
        })
    }

    /// The user part of a URI that stands for somebody inside, in the call with this Call-ID. Equal for equals: a peer sees
    /// one Contact for as long as there is one. It is a third longer than what it says, and a message is bounded.
    pub(crate) fn hide(&self, call_id: &[u8], inside: &Inside) -> String {
        let mut hop = Vec::new();
        encode(&inside.hop, &mut hop);
        let mut octets = Vec::with_capacity(16 + hop.len() + inside.contact.len() + inside.routes.len());
        for part in [&hop, inside.contact.as_bytes()] {
            octets.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            octets.extend_from_slice(part);
        }
        octets.extend_from_slice(inside.routes.as_bytes());
        format!("{INSIDE}{}", self.sealer.seal(call_id, &octets))
    }

    /// Whom a URI stands for that came in a request with this Call-ID.
    pub(crate) fn find_inside(&self, call_id: &[u8], uri: &Uri<'_>) -> Option<Inside> {
        let sealed = uri.user()?.strip_prefix(INSIDE)?;
        let octets = self.sealer.open(call_id, sealed)?;
        let (hop, rest) = decode_part(&octets)?;
        let (contact, routes) = decode_part(rest)?;
        Some(Inside {
            hop: decode(hop)?,
            contact: String::from_utf8(contact.to_vec()).ok()?,
            routes: String::from_utf8(routes.to_vec()).ok()?,
        })
    }

    fn sign(&self, call_id: &[u8], said: &[u8]) -> [u8; MAC_OCTETS] {
        let mut mac = self.mac.clone();
        // The length keeps the end of what is said apart from the beginning of the Call-ID.
        mac.update(&(said.len() as u64).to_be_bytes());
        mac.update(said);
        mac.update(call_id);
        let whole = mac.finalize().into_bytes();
        let mut short = [0; MAC_OCTETS];
        short.copy_from_slice(&whole[..MAC_OCTETS]);
        short
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

fn encode(hop: &Hop, octets: &mut Vec<u8>) {
    let position = Transport::ALL
        .iter()
        .position(|&transport| transport == hop.transport());
    // Every transport is in ALL, which is far from 64 long.
    let transport = position.unwrap_or_default() as u8;
    octets.push(match hop {
        Hop::Flow(_) => transport,
        Hop::Connect { .. } => transport | CONNECT,
    });
    encode_addr(hop.local(), octets);
    encode_addr(hop.remote(), octets);
    match hop {
        Hop::Flow(flow) => {
            if let Some(conn) = flow.conn {
                octets.extend_from_slice(&conn.get().to_be_bytes());
            }
        }
        Hop::Connect { name, .. } => octets.extend_from_slice(name.as_deref().unwrap_or_default().as_bytes()),
    }
}

fn encode_addr(addr: SocketAddr, octets: &mut Vec<u8>) {
    match addr.ip() {
        IpAddr::V4(ip) => {
            octets.push(4);
            octets.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            octets.push(6);
            octets.extend_from_slice(&ip.octets());
        }
    }
    octets.extend_from_slice(&addr.port().to_be_bytes());
}

fn decode(octets: &[u8]) -> Option<Hop> {
    let (&kind, rest) = octets.split_first()?;
    let transport = *Transport::ALL.get(usize::from(kind & !(CONNECT | HIDES)))?;
    let (local, rest) = decode_addr(rest)?;
    let (remote, rest) = decode_addr(rest)?;
    if kind & CONNECT != 0 {
        let name = std::str::from_utf8(rest).ok()?;
        return Some(Hop::Connect {
            transport,
            local,
            remote,
            name: (!name.is_empty()).then(|| name.into()),
        });
    }
    let conn = match rest {
        [] => None,
        number => Some(ConnId::new(u64::from_be_bytes(number.try_into().ok()?))?),
    };
    Some(Hop::Flow(Flow {
        transport,
        local,
        remote,
        conn,
    }))
}

/// A part behind its length, and what comes after it.
fn decode_part(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn decode_addr(octets: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (family, rest) = octets.split_first()?;
    let (ip, rest): (IpAddr, &[u8]) = match family {
        4 => rest
            .split_first_chunk::<4>()
            .map(|(ip, rest)| ((*ip).into(), rest))?,
        6 => rest
            .split_first_chunk::<16>()
            .map(|(ip, rest)| ((*ip).into(), rest))?,
        _ => return None,
    };
    let (port, rest) = rest.split_first_chunk::<2>()?;
    Some((SocketAddr::new(ip, u16::from_be_bytes(*port)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides() -> [Hop; 5] {
        let flow = |transport, local: &str, remote: &str, conn| {
            Hop::Flow(Flow {
                transport,
                local: local.parse().unwrap(),
                remote: remote.parse().unwrap(),
                conn: ConnId::new(conn),
            })
        };
        let connect = |transport, local: &str, remote: &str, name: Option<&str>| Hop::Connect {
            transport,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            name: name.map(Into::into),
        };
        [
            flow(Transport::Udp, "192.0.2.1:5060", "198.51.100.7:61000", 0),
            flow(Transport::Wss, "[2001:db8::1]:443", "[2001:db8::2]:50000", 1),
            flow(Transport::Local, "0.0.0.0:0", "0.0.0.0:0", u64::MAX),
            connect(Transport::Tcp, "192.0.2.1:5060", "198.51.100.7:5060", None),
            connect(
                Transport::Tls,
                "[2001:db8::1]:5061",
                "[2001:db8::2]:5061",
                Some("sip.example.net"),
            ),
        ]
    }

    #[test]
    fn a_token_says_what_it_was_made_from() {
        let tokens = Tokens::new(&[7; 32]);
        for side in sides() {
            let token = tokens.issue(b"call", &side, false);
            let named = |hides| Named {
                hop: side.clone(),
                hides,
            };
            assert_eq!(tokens.verify(b"call", &token), Ok(named(false)));
            let hiding = tokens.issue(b"call", &side, true);
            assert_eq!(tokens.verify(b"call", &hiding), Ok(named(true)));
            assert!(
                token
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
                "{token}"
            );
        }
    }

    #[test]
    fn a_token_is_worth_nothing_in_another_call_or_at_another_proxy() {
        let tokens = Tokens::new(&[7; 32]);
        for side in sides() {
            let token = tokens.issue(b"call", &side, false);
            assert_eq!(tokens.verify(b"cal1", &token), Err(Forged));
            assert_eq!(Tokens::new(&[8; 32]).verify(b"call", &token), Err(Forged));
        }
    }

    #[test]
    fn no_changed_octet_goes_unnoticed() {
        let tokens = Tokens::new(&[7; 32]);
        for side in sides() {
            let token = URL_SAFE_NO_PAD
                .decode(tokens.issue(b"call", &side, false))
                .unwrap();
            for at in 0..token.len() {
                let mut changed = token.clone();
                changed[at] ^= 1;
                assert_eq!(
                    tokens.verify(b"call", &URL_SAFE_NO_PAD.encode(changed)),
                    Err(Forged)
                );
            }
            for shorter in 0..token.len() {
                assert_eq!(
                    tokens.verify(b"call", &URL_SAFE_NO_PAD.encode(&token[..shorter])),
                    Err(Forged)
                );
            }
        }
        assert_eq!(tokens.verify(b"call", "not base64!"), Err(Forged));
        assert_eq!(tokens.verify(b"call", ""), Err(Forged));
    }

    #[test]
    fn somebody_inside_is_found_again_and_cannot_be_read() {
        let tokens = Tokens::new(&[7; 32]);
        for hop in sides() {
            for routes in ["", "<sip:10.0.0.9;lr>, <sip:10.0.0.8;lr>"] {
                let inside = Inside {
                    hop: hop.clone(),
                    contact: "sip:x@10.0.0.7:5061;transport=tcp".to_owned(),
                    routes: routes.to_owned(),
                };
                let user = tokens.hide(b"call", &inside);
                assert_eq!(user, tokens.hide(b"call", &inside), "one Contact for one device");
                let text = format!("sip:{user}@192.0.2.1:5060;transport=tcp");
                let uri = Uri::parse(&text).unwrap();
                assert_eq!(tokens.find_inside(b"call", &uri), Some(inside));
                assert_eq!(tokens.find_inside(b"cal1", &uri), None);
                assert_eq!(Tokens::new(&[8; 32]).find_inside(b"call", &uri), None);
            }
        }
    }
}
