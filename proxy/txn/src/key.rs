//! Which transaction a message belongs to.

use bytes::Bytes;
use viaduct_sip::{Essentials, HeaderName, Message, Method};

/// Finds a server transaction (RFC 3261 section 17.2.3). The octets are shared with the request, not copied.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ServerKey {
    /// Top Via branch and sent-by. An ACK carries the key of its INVITE.
    Branch {
        branch: Bytes,
        host: Bytes,
        port: Option<u16>,
        kind: Kind,
    },
    /// A peer of RFC 2543, whose branches are not unique: the fields that section 17.2.3 compares. The To tag is
    /// left out because the INVITE has none and its ACK has.
    Fields {
        via: Bytes,
        uri: Bytes,
        from_tag: Bytes,
        call_id: Bytes,
        cseq: u32,
        kind: Kind,
    },
}

/// Which request of a branch it is. An INVITE, its ACK and its CANCEL share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Invite,
    Cancel,
    Other(Bytes),
}

impl Kind {
    fn new(request: &Message, method: Method<'_>) -> Self {
        match method {
            Method::Invite | Method::Ack => Self::Invite,
            Method::Cancel => Self::Cancel,
            _ => Self::Other(request.share(method.as_str().as_bytes())),
        }
    }
}

impl ServerKey {
    pub(crate) fn new(request: &Message, essentials: &Essentials<'_>) -> Self {
        let via = &essentials.via;
        let kind = Kind::new(request, essentials.cseq.method);
        match via.transaction_branch() {
            Some(branch) => Self::Branch {
                branch: request.share(branch.as_bytes()),
                host: request.share(via.host().as_str().as_bytes()),
                port: via.port(),
                kind,
            },
            None => Self::Fields {
                via: request.share(request.values(HeaderName::Via).next().unwrap_or_default()),
                uri: request.share(request.request_uri_text().unwrap_or_default().as_bytes()),
                from_tag: request.share(essentials.from_tag.unwrap_or_default().as_bytes()),
                call_id: request.share(essentials.call_id.as_bytes()),
                cseq: essentials.cseq.number,
                kind,
            },
        }
    }

    /// The key of the INVITE that a CANCEL with this key is about (RFC 3261 section 9.2).
    pub(crate) fn cancelled(&self) -> Self {
        let mut key = self.clone();
        match &mut key {
            Self::Branch { kind, .. } | Self::Fields { kind, .. } => *kind = Kind::Invite,
        }
        key
    }
}

/// Finds a client transaction (RFC 3261 section 17.1.3): our branch, and whether it is the CANCEL that borrows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey {
    pub(crate) branch: Bytes,
    pub(crate) is_cancel: bool,
}
