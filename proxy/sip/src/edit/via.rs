//! Parameters of a Via: which ones say where a request came from, and how they get in.

use std::net::SocketAddr;
use std::ops::Range;

use smallvec::SmallVec;

use super::Piece;
use crate::Via;
use crate::number::{push_address, push_decimal};
use crate::text::{is_blank, offset_in};

/// A parameter to set. Its text, `;name=value`, stands in a buffer of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ViaParam {
    piece: Piece,
    name_length: usize,
}

/// A change inside some piece of the message: the range in the piece, and the text that takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PieceSplice {
    pub(crate) range: Range<usize>,
    pub(crate) text: Piece,
}

impl ViaParam {
    /// Appends the parameter's text to `text`.
    /// `write` adds the value behind `=`; without it there is none.
    pub(crate) fn new(text: &mut Vec<u8>, name: &str, write: Option<impl FnOnce(&mut Vec<u8>)>) -> Self {
        let start = text.len();
        text.push(b';');
        text.extend_from_slice(name.as_bytes());
        if let Some(write) = write {
            text.push(b'=');
            write(text);
        }
        Self {
            piece: start..text.len(),
            name_length: name.len(),
        }
    }

    pub(crate) fn name<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.piece.start + 1..][..self.name_length]
    }
}

/// What a server writes into the top Via of a request from `source` (RFC 3261 section 18.2.1, RFC 3581 section 4).
pub(crate) fn source_params(
    via: &Via<'_>,
    source: SocketAddr,
    text: &mut Vec<u8>,
) -> SmallVec<[ViaParam; 2]> {
    let address = source.ip().to_canonical();
    let mut params = SmallVec::new();
    let asks_rport = via.params().has("rport");
    let is_elsewhere = via.host().ip().map(|host| host.to_canonical()) != Some(address);
    if is_elsewhere || asks_rport || via.params().has("received") {
        params.push(ViaParam::new(
            text,
            "received",
            Some(|text: &mut Vec<u8>| push_address(text, address)),
        ));
    }
    if asks_rport {
        let port = u64::from(source.port());
        params.push(ViaParam::new(
            text,
            "rport",
            Some(|text: &mut Vec<u8>| push_decimal(text, port)),
        ));
    }
    params
}

/// The changes that give `params`, whose text is in `text`, to the Via value `octets`, which was read as `via`. A parameter that is there keeps
/// its place; if it is there more than once, the rest goes. `None` when the value is no Via.
pub(crate) fn via_param_splices(
    octets: &[u8],
    via: &Via<'_>,
    params: &[ViaParam],
    text: &[u8],
) -> Option<SmallVec<[PieceSplice; 4]>> {
    let mut splices = SmallVec::new();
    for param in params {
        let mut is_set = false;
        let name = param.name(text);
        for old in via.params().raw_named(name) {
            let start = offset_in(octets, old.name)?;
            let end = match old.raw {
                Some(raw) => offset_in(octets, raw)? + raw.len(),
                None => start + old.name.len(),
            };
            splices.push(if is_set {
                PieceSplice {
                    range: semicolon_before(octets, start)..end,
                    text: 0..0,
                }
            } else {
                PieceSplice {
                    range: start..end,
                    text: param.piece.start + 1..param.piece.end,
                }
            });
            is_set = true;
        }
        if !is_set {
            splices.push(PieceSplice {
                range: octets.len()..octets.len(),
                text: param.piece.clone(),
            });
        }
    }
    Some(splices)
}

/// The index of the `;` in front of the parameter name at `name`.
fn semicolon_before(octets: &[u8], name: usize) -> usize {
    let mut at = name;
    while at > 0 && is_blank(octets[at - 1]) {
        at -= 1;
    }
    at.saturating_sub(1)
}
