//! What a REGISTER asks for beside its contacts: Path (RFC 3327), outbound (RFC 5626), GRUU (RFC 5627).

use std::sync::Arc;

use viaduct_sip::{Contact, HeaderName, Message, NameAddr};

use super::RegisterRefusal;
use crate::Limits;

/// The extensions of one REGISTER.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    /// The Path values in their order, as one header value.
    pub(crate) path: Option<Arc<str>>,
    /// A contact is registered as a flow.
    pub(crate) outbound: bool,
    /// The device takes GRUUs.
    pub(crate) gruu: bool,
}

impl Extensions {
    /// Reads them. A trusted peer may put itself into the path of a device that does not know of paths.
    pub(crate) fn read(
        request: &Message,
        is_trusted_peer: bool,
        limits: &Limits,
    ) -> Result<Self, RegisterRefusal> {
        let path = path(request, limits)?;
        if path.is_some() && !is_trusted_peer && !supports(request, "path") {
            return Err(RegisterRefusal::PathUnsupported);
        }
        let outbound = supports(request, "outbound") && has_flow(request);
        if outbound && !first_hop_keeps_flows(request) {
            return Err(RegisterRefusal::NoOutbound);
        }
        Ok(Self {
            path,
            outbound,
            gruu: supports(request, "gruu"),
        })
    }
}

/// True when the sender of a message knows an extension.
fn supports(message: &Message, tag: &str) -> bool {
    message
        .values(HeaderName::Supported)
        .any(|value| value.eq_ignore_ascii_case(tag.as_bytes()))
}

fn path(request: &Message, limits: &Limits) -> Result<Option<Arc<str>>, RegisterRefusal> {
    let mut path = String::new();
    for value in request.values(HeaderName::Path) {
        let bad = RegisterRefusal::BadPath;
        let addr = NameAddr::parse(value).map_err(|_| bad)?;
        addr.uri().map_err(|_| bad)?;
        if !path.is_empty() {
            path.push_str(", ");
        }
        path.push_str(std::str::from_utf8(value).map_err(|_| bad)?);
        if path.len() > limits.path_octets_max || path.contains(['\r', '\n']) {
            return Err(RegisterRefusal::TooLarge);
        }
    }
    Ok((!path.is_empty()).then(|| path.into()))
}

/// A contact with both marks of a flow. One without an instance is an ordinary contact (RFC 5626 section 6).
fn has_flow(request: &Message) -> bool {
    request.contacts().filter_map(Result::ok).any(|contact| {
        let Contact::Addr(addr) = contact else {
            return false;
        };
        addr.params().has("reg-id") && addr.params().has("+sip.instance")
    })
}

/// The one hop that the device spoke to is us, or has said in its Path that it keeps flows.
fn first_hop_keeps_flows(request: &Message) -> bool {
    if request.values(HeaderName::Via).nth(1).is_none() {
        return true;
    }
    let first_hop = request.values(HeaderName::Path).last();
    first_hop
        .and_then(|value| NameAddr::parse(value).ok())
        .and_then(|addr| addr.uri().ok())
        .is_some_and(|uri| uri.params().has("ob"))
}
