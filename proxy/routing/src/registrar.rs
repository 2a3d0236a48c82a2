//! The registrar (RFC 3261 section 10.3).
//!
//! It decides from one REGISTER what the bindings of its address of record become, all or nothing. Whether the sender
//! may do that was decided before.

mod extensions;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use viaduct_sip::{Aor, Contact, Essentials, HeaderName, Message, NameAddr, StatusCode, Uri, push_decimal};
use viaduct_txn::Flow;

pub(crate) use self::extensions::Extensions;
use crate::location::{Binding, Bindings};
use crate::{Flag, Flags, Limits, Location, RegistrarTimes};

/// What a REGISTER did to the bindings of an address of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Every binding that is there afterwards.
    pub bindings: Bindings,
    /// Bindings that were made or refreshed, in the order of the request.
    pub kept: Bindings,
    /// Those of them that were made: their contacts were not there before.
    pub made: Bindings,
    /// Bindings of a device whose contact is another from here on.
    pub replaced: Bindings,
    /// Bindings that are gone: removed by the request, or pushed out by [`Limits::contacts_per_aor_max`].
    pub removed: Bindings,
}

/// Why a REGISTER changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegisterRefusal {
    /// A Contact that cannot be read, or is no SIP address.
    #[error("Bad Contact")]
    BadContact,
    /// A flow beside another contact that is not removed: a REGISTER is for one flow (RFC 5626 section 6).
    #[error("More Than One Contact With reg-id")]
    FlowAmongContacts,
    /// `*` with other contacts, or without `Expires: 0` (step 6).
    #[error("Bad Use of Contact *")]
    BadWildcard,
    /// More contacts than [`Limits::contacts_per_register_max`], a URI longer than
    /// [`Limits::contact_uri_octets_max`], or a Path longer than [`Limits::path_octets_max`].
    #[error("Contacts Exceed Limits")]
    TooLarge,
    /// A Path value that cannot be read.
    #[error("Bad Path")]
    BadPath,
    /// Somebody put itself into the path of a device that does not know of paths (RFC 3327 section 5.3).
    #[error("Path Without Support")]
    PathUnsupported,
    /// A flow is to be registered, and the first hop does not keep any (RFC 5626 section 6).
    #[error("First Hop Lacks Outbound Support")]
    NoOutbound,
    /// The expiry asked for is shorter than [`RegistrarTimes::expires_min_s`] (step 7).
    #[error("Interval Too Brief")]
    TooBrief,
    /// The same Call-ID with a CSeq that is not higher than the stored one (step 7).
    #[error("CSeq Out of Order")]
    OutOfOrder,
    /// [`Limits::contacts_max`] is reached.
    #[error("Registrar Full")]
    Full,
}

impl RegisterRefusal {
    /// The code to answer with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadContact
            | Self::FlowAmongContacts
            | Self::BadWildcard
            | Self::BadPath
            | Self::TooLarge => StatusCode::BAD_REQUEST,
            Self::PathUnsupported => StatusCode::BAD_EXTENSION,
            Self::NoOutbound => StatusCode::FIRST_HOP_LACKS_OUTBOUND_SUPPORT,
            Self::TooBrief => StatusCode::INTERVAL_TOO_BRIEF,
            Self::OutOfOrder => StatusCode::SERVER_INTERNAL_ERROR,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A short stable word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::BadContact => "bad_contact",
            Self::FlowAmongContacts => "flow_among_contacts",
            Self::BadWildcard => "bad_wildcard",
            Self::BadPath => "bad_path",
            Self::PathUnsupported => "path_unsupported",
            Self::NoOutbound => "no_outbound",
            Self::TooLarge => "contacts_too_large",
            Self::TooBrief => "too_brief",
            Self::OutOfOrder => "out_of_order",
            Self::Full => "registrar_full",
        }
    }
}

/// What a registrar works with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registrar<'c> {
    /// Expiry times.
    pub times: &'c RegistrarTimes,
    /// Bounds.
    pub limits: &'c Limits,
    /// The bound of this user, if it has one of its own.
    pub contacts_max: Option<usize>,
}

/// What a REGISTER asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    /// Nothing: tell me what is there.
    Query,
    /// Remove everything.
    Clear,
    /// These contacts, each with its expiry in seconds; 0 removes.
    Contacts(Vec<(Binding, u32)>),
}

impl Registrar<'_> {
    /// Applies a REGISTER that came over `flow` for `aor`.
    pub(crate) fn register(
        &self,
        location: &Location,
        aor: &Aor,
        (request, essentials): (&Message, &Essentials<'_>),
        extensions: &Extensions,
        (flow, now): (Flow, Instant),
    ) -> Result<Registered, RegisterRefusal> {
        let origin = Origin::new(request, essentials, extensions, flow, now);
        let wish = self.wish(request, &origin)?;
        let room = self.limits.contacts_max.saturating_sub(location.len());
        location.update(aor, now, |bindings| {
            self.apply(bindings, wish, essentials, room, now)
        })
    }

    fn wish(&self, request: &Message, origin: &Origin) -> Result<Wish, RegisterRefusal> {
        let mut addrs = Vec::new();
        let mut wildcard = false;
        for contact in request.contacts() {
            match contact.map_err(|_| RegisterRefusal::BadContact)? {
                Contact::Wildcard => wildcard = true,
                Contact::Addr(addr) => addrs.push(addr),
            }
            if addrs.len() > self.limits.contacts_per_register_max {
                return Err(RegisterRefusal::TooLarge);
            }
        }
        let expires = request.expires();
        match (wildcard, addrs.is_empty()) {
            (true, true) if expires == Some(0) => return Ok(Wish::Clear),
            (true, _) => return Err(RegisterRefusal::BadWildcard),
            (false, true) => return Ok(Wish::Query),
            (false, false) => {}
        }
        let contacts: Vec<(Binding, u32)> = addrs
            .iter()
            .map(|addr| {
                let seconds = self.expiry(addr.expires().or(expires))?;
                Ok((self.binding(addr, origin, seconds)?, seconds))
            })
            .collect::<Result<_, _>>()?;
        let staying = || contacts.iter().filter(|(_, seconds)| *seconds > 0);
        if staying().count() > 1 && staying().any(|(binding, _)| binding.reg_id.is_some()) {
            return Err(RegisterRefusal::FlowAmongContacts);
        }
        Ok(Wish::Contacts(contacts))
    }

    /// The expiry granted for the one asked for. Never silently longer.
    fn expiry(&self, asked: Option<u32>) -> Result<u32, RegisterRefusal> {
        match asked
            .unwrap_or(self.times.expires_default_s)
            .min(self.times.expires_max_s)
        {
            0 => Ok(0),
            seconds if seconds < self.times.expires_min_s => Err(RegisterRefusal::TooBrief),
            seconds => Ok(seconds),
        }
    }

    fn binding(
        &self,
        addr: &NameAddr<'_>,
        origin: &Origin,
        seconds: u32,
    ) -> Result<Binding, RegisterRefusal> {
        let uri = addr.uri().map_err(|_| RegisterRefusal::BadContact)?;
        check_contact(&uri)?;
        if uri.as_str().len() > self.limits.contact_uri_octets_max {
            return Err(RegisterRefusal::TooLarge);
        }
        let instance = addr.params().text("+sip.instance");
        let reg_id = addr
            .params()
            .text("reg-id")
            .and_then(|text| text.parse().ok())
            .filter(|&id| id > 0);
        Ok(Binding {
            uri: uri.as_str().into(),
            q: addr.q().unwrap_or(1_000),
            expires_at: origin.now + Duration::from_secs(seconds.into()),
            call_id: origin.call_id.clone(),
            cseq: origin.cseq,
            instance: instance
                .as_ref()
                .map(|text| text.trim_start_matches('<').trim_end_matches('>').into()),
            // Without the extension, or without an instance, the number means nothing (RFC 5626 section 6).
            reg_id: reg_id.filter(|_| origin.outbound && instance.is_some()),
            path: origin.path.clone(),
            flow: origin.flow,
            flags: Flags::NONE.with(Flag::DstWs, origin.flow.transport.is_websocket()),
            user_agent: origin.user_agent.clone(),
            since: origin.now,
        })
    }

    fn apply(
        &self,
        bindings: &mut Bindings,
        wish: Wish,
        essentials: &Essentials<'_>,
        room: usize,
        now: Instant,
    ) -> Result<Registered, RegisterRefusal> {
        let contacts = match wish {
            Wish::Query => Vec::new(),
            Wish::Clear => {
                if bindings.iter().any(|stored| is_out_of_order(stored, essentials)) {
                    return Err(RegisterRefusal::OutOfOrder);
                }
                let removed = std::mem::take(bindings);
                return Ok(Registered {
                    bindings: Vec::new(),
                    kept: Vec::new(),
                    made: Vec::new(),
                    replaced: Vec::new(),
                    removed,
                });
            }
            Wish::Contacts(contacts) => contacts,
        };
        // All or nothing: the change is made beside the bindings and put in their place at the end.
        let mut next = bindings.clone();
        let (mut kept, mut made) = (Bindings::new(), Bindings::new());
        let (mut replaced, mut removed) = (Bindings::new(), Bindings::new());
        for (mut binding, seconds) in contacts {
            let stored = next.iter().position(|stored| stored.is_same_contact(&binding));
            if let Some(at) = stored {
                if is_out_of_order(&next[at], essentials) {
                    return Err(RegisterRefusal::OutOfOrder);
                }
                let old = next.remove(at);
                binding.since = old.since;
                if seconds == 0 {
                    removed.push(old);
                } else if old.uri != binding.uri {
                    replaced.push(old);
                }
            }
            if seconds > 0 {
                let binding = Arc::new(binding);
                next.push(binding.clone());
                if stored.is_none() {
                    made.push(binding.clone());
                }
                kept.push(binding);
            }
        }
        if next.len().saturating_sub(bindings.len()) > room {
            return Err(RegisterRefusal::Full);
        }
        self.push_out(&mut next, [&mut kept, &mut made], &mut removed);
        *bindings = next;
        let live = bindings.iter().filter(|binding| binding.time_left(now).is_some());
        Ok(Registered {
            bindings: live.cloned().collect(),
            kept,
            made,
            replaced,
            removed,
        })
    }

    /// Keeps the bound on contacts of one address: the ones refreshed longest ago go. A page that was loaded again has
    /// a new contact each time, so the newest is the one that matters.
    fn push_out(&self, next: &mut Bindings, among: [&mut Bindings; 2], removed: &mut Bindings) {
        let bound = self
            .contacts_max
            .unwrap_or(usize::MAX)
            .min(self.limits.contacts_per_aor_max)
            .max(1);
        // Refreshing moves a binding to the end.
        let excess = next.len().saturating_sub(bound);
        let gone = removed.len();
        removed.extend(next.drain(..excess));
        for bindings in among {
            bindings.retain(|binding| !removed[gone..].iter().any(|old| Arc::ptr_eq(binding, old)));
        }
    }
}

/// What all bindings of one REGISTER have in common.
struct Origin {
    path: Option<Arc<str>>,
    outbound: bool,
    call_id: Arc<str>,
    cseq: u32,
    user_agent: Option<Arc<str>>,
    flow: Flow,
    now: Instant,
}

impl Origin {
    fn new(
        request: &Message,
        essentials: &Essentials<'_>,
        extensions: &Extensions,
        flow: Flow,
        now: Instant,
    ) -> Self {
        /// Longer names tell nobody more.
        const USER_AGENT_CHARS_MAX: usize = 128;
        let user_agent = request.text(HeaderName::UserAgent);
        Self {
            path: extensions.path.clone(),
            outbound: extensions.outbound,
            call_id: essentials.call_id.into(),
            cseq: essentials.cseq.number,
            user_agent: user_agent.map(|text| {
                let end = text.char_indices().nth(USER_AGENT_CHARS_MAX);
                text[..end.map_or(text.len(), |(end, _)| end)].into()
            }),
            flow,
            now,
        }
    }
}

/// Room for brackets and `expires`; the rest is rare.
const CONTACT_PARAMS_OCTETS: usize = 32;

/// The value of one Contact in the answer to a REGISTER: the URI as registered, with what is left of its time.
pub(crate) fn contact_value(binding: &Binding, now: Instant) -> Vec<u8> {
    let left = binding.time_left(now).unwrap_or_default();
    // A second begun is a second left: nobody is told 0 for a binding that still stands.
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let mut value = Vec::with_capacity(binding.uri.len() + CONTACT_PARAMS_OCTETS);
    value.push(b'<');
    value.extend_from_slice(binding.uri.as_bytes());
    value.extend_from_slice(b">;expires=");
    push_decimal(&mut value, seconds);
    // Writing to a Vec cannot fail.
    if binding.q != 1_000 {
        let _ = write!(value, ";q=0.{:03}", binding.q);
    }
    if let Some(instance) = &binding.instance {
        let _ = write!(value, ";+sip.instance=\"<{instance}>\"");
    }
    if let Some(reg_id) = binding.reg_id {
        let _ = write!(value, ";reg-id={reg_id}");
    }
    value
}

/// A registered contact is where calls go, so it must be an address that a call can go to. It may have headers (RFC 3261
/// section 19.1.1, table 1), which requests to it do not get.
fn check_contact(uri: &Uri<'_>) -> Result<(), RegisterRefusal> {
    let is_sip = uri.scheme() == viaduct_sip::Scheme::Sip || uri.is_sips();
    if is_sip && uri.host().is_some() {
        Ok(())
    } else {
        Err(RegisterRefusal::BadContact)
    }
}

fn is_out_of_order(stored: &Binding, essentials: &Essentials<'_>) -> bool {
    *stored.call_id == *essentials.call_id && essentials.cseq.number <= stored.cseq
}
