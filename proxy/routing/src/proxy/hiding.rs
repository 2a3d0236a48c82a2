//! Topology hiding: what leaves to a trunk shows nothing of the inside.
//!
//! To such a trunk we look like a user agent. It reads one Via, no Record-Route, and a Contact of ours with a sealed token
//! ([`Tokens::hide`](crate::token::Tokens::hide)) that says whom it stands for and how that is reached, so nothing need
//! be remembered and a dialog outlives a restart. What was taken out of a request is put back into its answers from the
//! request itself, which the transaction keeps. Call-ID and tags stay: Replaces (RFC 3891) and transfers name dialogs by
//! them, and phones of today make them of random text (RFC 3261 section 8.1.1.4).

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use viaduct_sip::{Edit, HeaderName, Host, Message, NameAddr, Transport, Uri};
use viaduct_txn::{Flow, Hop};

use super::Proxy;
use crate::call::LegId;
use crate::calls::CallKey;
use crate::context::{Branch, Context, Media, Target, Way};
use crate::media::Party;
use crate::route;
use crate::token::Inside;
use crate::{Flag, Flags};

/// The inner side of a dialog: over which hop it is reached, and through which routers beyond.
pub(super) type WayIn = (Hop, String);

impl Proxy {
    /// Takes out of a request what a trunk may not see that is reached over `to`. `from` is the way to its sender.
    pub(super) fn hide_request(
        &self,
        edit: &mut Edit<'_>,
        request: &Message,
        (scheme, to): (&str, &Hop),
        from: WayIn,
    ) {
        for name in [HeaderName::Via, HeaderName::RecordRoute, HeaderName::Warning] {
            edit.remove_all(name);
        }
        self.hide_contact(edit, request, (scheme, to), from);
        for name in [HeaderName::ReferTo, HeaderName::ReferredBy] {
            let value = request.header(name).and_then(|value| self.outward(value));
            if let Some(value) = value {
                edit.set(name, value);
            }
        }
        self.hide_history(edit, request);
    }

    /// Takes out of an answer what the trunk may not see that sent the request.
    pub(super) fn hide_response(
        &self,
        edit: &mut Edit<'_>,
        context: &Context,
        branch: Option<&Branch>,
        response: &Message,
    ) {
        edit.remove_all(HeaderName::Warning);
        self.hide_history(edit, response);
        if response.has(HeaderName::RecordRoute) {
            edit.remove_all(HeaderName::RecordRoute);
            copy_all(&context.request, HeaderName::RecordRoute, edit);
        }
        if response.status().is_some_and(|status| status.get() < 300) {
            let way_in = branch.and_then(|branch| self.way_to_answerer(context, branch, response));
            if let Some(way_in) = way_in {
                let to = context.flow.into();
                self.hide_contact(edit, response, (context.scheme(), &to), way_in);
            }
            return;
        }
        let contacts = response.values(HeaderName::Contact);
        let shown: Vec<String> = contacts
            .map(|value| {
                let hidden = self.outward(value);
                hidden.unwrap_or_else(|| String::from_utf8_lossy(value).into_owned())
            })
            .collect();
        if !shown.is_empty() {
            edit.set(HeaderName::Contact, shown.join(", "));
        }
    }

    /// Puts back into an answer what its branch did not show to a trunk.
    pub(super) fn put_back(
        &self,
        edit: &mut Edit<'_>,
        context: &Context,
        branch: Option<&Branch>,
        response: &Message,
    ) {
        edit.remove_all(HeaderName::Via);
        let mut marked = Edit::new(&context.request);
        marked.mark_source(context.flow.remote);
        let marked = marked
            .finish()
            .ok()
            .and_then(|octets| Message::parse_frame(octets, &viaduct_sip::Limits::default()).ok());
        let vias: Vec<_> = marked
            .iter()
            .flat_map(|request| request.headers(HeaderName::Via))
            .map(|line| line.unfolded())
            .collect();
        for via in vias.iter().rev() {
            edit.prepend(HeaderName::Via, via);
        }
        if response.status().is_none_or(|status| status.get() >= 300) {
            return;
        }
        if let Some(attempt) = branch.and_then(|branch| branch.attempt.as_ref())
            && context.edits.record_route
        {
            let call_id = context.request.call_id().unwrap_or_default().as_bytes();
            let scheme = context.scheme();
            let upstream = context.flow.into();
            for (hop, hides) in [(&attempt.hop, true), (&upstream, false)] {
                let value = self.record_route(call_id, (hop, hides), scheme);
                edit.append(HeaderName::RecordRoute, value);
            }
        }
        copy_all(&context.request, HeaderName::RecordRoute, edit);
    }

    /// The way to the sender of a request: what the call remembers, else what the request says.
    pub(super) fn way_to_sender(
        &self,
        request: &Message,
        flow: &Flow,
        found: Option<(CallKey, LegId, Party)>,
    ) -> WayIn {
        let side = found.and_then(|(call, leg, sender)| self.calls.get(call)?.side(leg, sender));
        match side {
            Some(side) => (side.hop.clone(), side.routes.join(", ")),
            None => ((*flow).into(), text_of(request.values(HeaderName::RecordRoute))),
        }
    }

    /// The way to whoever answered.
    fn way_to_answerer(&self, context: &Context, branch: &Branch, response: &Message) -> Option<WayIn> {
        if let Media::Inside { call, leg, sender } = context.media
            && let Some(side) = self.calls.get(call)?.side(leg, sender.other())
        {
            return Some((side.hop.clone(), side.routes.join(", ")));
        }
        let hop = branch.attempt.as_ref()?.hop.clone();
        let call_id = response.call_id().unwrap_or_default().as_bytes();
        let (ours, at) = ((&*self.config, &self.tokens), context.flow.local);
        // Routers behind us stand above our own values, the farthest on top.
        let beyond = response
            .values(HeaderName::RecordRoute)
            .take_while(|value| !route::is_own_record_route(ours, at, call_id, value));
        let mut beyond: Vec<&[u8]> = beyond.collect();
        beyond.reverse();
        Some((hop, text_of(beyond.into_iter())))
    }

    fn hide_contact(
        &self,
        edit: &mut Edit<'_>,
        message: &Message,
        (scheme, to): (&str, &Hop),
        (hop, routes): WayIn,
    ) {
        let Some(contact) = crate::call::contact_uri(message) else {
            edit.remove_all(HeaderName::Contact);
            return;
        };
        let call_id = message.call_id().unwrap_or_default().as_bytes();
        let inside = Inside { hop, contact, routes };
        let user = self.tokens.hide(call_id, &inside);
        edit.set(
            HeaderName::Contact,
            format!("<{}>", self.own_uri(scheme, &user, to)),
        );
    }

    /// A URI of ours as the peer at the end of a hop may write it.
    pub(super) fn own_uri(&self, scheme: &str, user: &str, hop: &Hop) -> String {
        let sent_by = self.sent_by(hop);
        match hop.transport() {
            Transport::Udp | Transport::Local => [scheme, ":", user, "@", &sent_by].concat(),
            other => format!("{scheme}:{user}@{sent_by};transport={}", other.uri_param()),
        }
    }

    /// Over whom a call was diverted (RFC 5806, RFC 7044), without the addresses that only the inside knows. What cannot
    /// be read cannot be known to be without them, and goes.
    fn hide_history(&self, edit: &mut Edit<'_>, message: &Message) {
        for name in [HeaderName::Diversion, HeaderName::HistoryInfo] {
            let values = message.values(name);
            let shown: Vec<Option<Cow<'_, str>>> = values.map(|value| self.outward_entry(value)).collect();
            if shown.iter().all(|entry| matches!(entry, Some(Cow::Borrowed(_)))) {
                continue;
            }
            let shown: Vec<Cow<'_, str>> = shown.into_iter().flatten().collect();
            if shown.is_empty() {
                edit.remove_all(name);
            } else {
                edit.set(name, shown.join(", ").replace(['\r', '\n'], " "));
            }
        }
    }

    /// An entry of such a list, with its parameters. Borrowed when it may be shown as it is, `None` when it cannot be read.
    fn outward_entry<'v>(&self, value: &'v [u8]) -> Option<Cow<'v, str>> {
        let text = std::str::from_utf8(value).ok()?;
        let addr = NameAddr::parse(value).ok()?;
        let uri = addr.uri().ok()?;
        let Some(shown) = self.outward_uri(&uri) else {
            return Some(Cow::Borrowed(text));
        };
        let octets = addr.uri_octets();
        let start = octets.as_ptr().addr() - value.as_ptr().addr();
        let (before, after) = (&text[..start], &text[start + octets.len()..]);
        // Phones without a name for somebody write the address in its place.
        let is_name_inner = uri.host().is_some_and(|host| before.contains(host.as_str()));
        let before = if is_name_inner { "<" } else { before };
        Some(Cow::Owned([before, &shown, after].concat()))
    }

    /// An address whose host only the inside knows, as an address in our domain. `None` when it may be shown as it is.
    fn outward(&self, value: &[u8]) -> Option<String> {
        let uri = NameAddr::parse(value).ok()?.uri().ok()?;
        self.outward_uri(&uri).map(|uri| format!("<{uri}>"))
    }

    fn outward_uri(&self, uri: &Uri<'_>) -> Option<String> {
        if !is_inner(&uri.host()?) {
            return None;
        }
        let user = uri.user().map(|user| format!("{user}@")).unwrap_or_default();
        let headers = if uri.headers().is_empty() {
            String::new()
        } else {
            format!("?{}", uri.headers().as_str())
        };
        let scheme = if uri.is_sips() { "sips" } else { "sip" };
        Some(format!("{scheme}:{user}{}{headers}", self.config.domain))
    }

    /// Somebody inside whom an INVITE names that takes a dialog over (RFC 3891): the Contact that a trunk has seen is good
    /// for the call in which it was shown, whose Call-ID is in Replaces.
    pub(super) fn replaced_inside(&self, request: &Message, uri: &Uri<'_>) -> Option<Inside> {
        let replaces = request.text(HeaderName::Replaces)?;
        let call_id = replaces.split(';').next()?.trim();
        self.tokens.find_inside(call_id.as_bytes(), uri)
    }

    /// Somebody inside as the target of a request.
    pub(super) fn inside_target(&self, now: Instant, inside: &Inside, flow: Flow) -> Target {
        let Inside { hop, contact, routes } = inside;
        let (uri, hop) = match self.contact_of_gruu(now, contact, flow.local, (hop, true)) {
            Some(binding) => (binding.request_uri(), binding.flow.into()),
            None => (contact.as_str().into(), hop.clone()),
        };
        Target {
            flags: Flags::NONE.with(Flag::DstWs, hop.transport().is_websocket()),
            path: (!routes.is_empty()).then(|| routes.as_str().into()),
            ..Target::new(uri, Way::Hop(hop))
        }
    }
}

impl Context {
    /// The scheme of our own URIs in messages of this dialog (RFC 5630 section 3.1.3).
    pub(super) fn scheme(&self) -> &'static str {
        if self.is_secure() { "sips" } else { "sip" }
    }
}

fn copy_all(from: &Message, name: HeaderName, edit: &mut Edit<'_>) {
    for line in from.headers(name) {
        edit.append(name, line.unfolded());
    }
}

fn text_of<'m>(values: impl Iterator<Item = &'m [u8]>) -> String {
    let values: Vec<_> = values.map(String::from_utf8_lossy).collect();
    values.join(", ")
}

/// A host that means something only behind us: what browsers make up (RFC 7118 section 5), a name without a domain, an
/// address of a private network (RFC 1918, RFC 6598, RFC 4193) or of one link.
fn is_inner(host: &Host<'_>) -> bool {
    match host.ip().map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || (a == 100 && b & 0xC0 == 64)
        }
        Some(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        None => {
            let name = host.as_str();
            let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or(name);
            ["invalid", "local", "internal"]
                .iter()
                .any(|inner| last.eq_ignore_ascii_case(inner))
                || last.len() == name.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_mean_something_inside_only_are_told_from_others() {
        for inner in [
            "10.1.2.3",
            "192.168.0.1",
            "172.31.0.1",
            "100.64.0.1",
            "169.254.1.1",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "df7jal23ls0d.invalid",
            "pbx",
            "phone.local",
        ] {
            assert!(is_inner(&Host::parse(inner).unwrap()), "{inner}");
        }
        for outer in [
            "203.0.113.5",
            "100.128.0.1",
            "[2001:db8::1]",
            "sbc.carrier.example",
        ] {
            assert!(!is_inner(&Host::parse(outer).unwrap()), "{outer}");
        }
    }
}
