//! A request arrives: what it is, and whether it may be served (RFC 3261 section 8.2).

use std::time::Instant;

use viaduct_sip::{Essentials, HeaderName, Message, Method, ResponseBuilder, Scheme, StatusCode};
use viaduct_txn::{Received, ServerId};

use super::{Agent, LOCAL_FLOW};
use crate::refusal::{ACCEPT, ALLOW, Refusal};
use crate::{CallEnd, Event, Output, Service};

/// A request that begins a transaction.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'m> {
    pub(super) server: ServerId,
    pub(super) request: &'m Message,
    pub(super) essentials: Essentials<'m>,
}

impl Agent {
    pub(super) fn request_received(&mut self, now: Instant, request: &Message) {
        let essentials = match request.essentials() {
            Ok(essentials) => essentials,
            Err(error) => return self.answer_unreadable(request, error.status(), &error.to_string()),
        };
        match self.layer.handle_request(now, LOCAL_FLOW, request, &essentials) {
            // Nothing here is answered with a mark.
            Received::Absorbed | Received::Marked => {}
            Received::Ack => self.acknowledged(now, request, &essentials),
            Received::Cancel { server, invite } => self.cancel_received(now, server, invite, request),
            Received::New(server) => {
                let arrival = Arrival {
                    server,
                    request,
                    essentials,
                };
                let served = if essentials.to_tag.is_some() {
                    self.serve_inside(now, &arrival)
                } else {
                    self.serve_outside(now, &arrival)
                };
                if let Err(refusal) = served {
                    self.refuse(now, server, request, &refusal);
                }
            }
        }
    }

    /// A request outside any dialog.
    fn serve_outside(&mut self, now: Instant, arrival: &Arrival<'_>) -> Result<(), Refusal> {
        let Arrival { server, request, .. } = *arrival;
        let method = arrival.essentials.cseq.method;
        match method {
            Method::Invite | Method::Options => {}
            // Inside a dialog, or nowhere.
            Method::Bye | Method::Update | Method::Info | Method::Prack => return Err(Refusal::NoDialog),
            _ => return Err(Refusal::MethodNotAllowed),
        }
        let service = service_of(request)?;
        if method == Method::Options {
            check_require(request)?;
            self.accept(now, server, request, self.capabilities(request));
            return Ok(());
        }
        self.invite_received(now, arrival, service)
    }

    /// The caller gives up (RFC 3261 section 9.2).
    fn cancel_received(
        &mut self,
        now: Instant,
        cancel: ServerId,
        invite: Option<ServerId>,
        request: &Message,
    ) {
        let Some(invite) = invite else {
            return self.refuse(now, cancel, request, &Refusal::NoDialog);
        };
        let found = self.by_invite.get(&invite).copied();
        let Some((id, opening)) = found.and_then(|id| Some((id, self.openings.get(&id)?))) else {
            // The INVITE was answered before: this changes nothing.
            return self.accept(
                now,
                cancel,
                request,
                ResponseBuilder::new(request, StatusCode::OK),
            );
        };
        // The same tag as in the 487 (RFC 3261 section 9.2).
        let tag = opening.dialog.local_tag().clone();
        let answer = ResponseBuilder::new(request, StatusCode::OK).to_tag(&String::from_utf8_lossy(&tag));
        self.respond(now, cancel, request, StatusCode::OK, answer);
        self.refuse_opening(now, id, CallEnd::Cancelled);
    }

    /// Answers 200 to anything but INVITE.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message,
        answer: ResponseBuilder<'_>,
    ) {
        let tag = self.new_tag();
        let answer = answer.to_tag(&String::from_utf8_lossy(&tag));
        self.respond(now, server, request, StatusCode::OK, answer);
    }

    /// The 200 to an OPTIONS (RFC 3261 section 11.2).
    pub(super) fn capabilities<'m>(&self, request: &'m Message) -> ResponseBuilder<'m> {
        ResponseBuilder::new(request, StatusCode::OK)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Accept, ACCEPT)
            .header(HeaderName::AcceptEncoding, "identity")
            .header(HeaderName::Supported, "")
    }

    /// Answers a request with a refusal, and says so.
    pub(super) fn refuse(&mut self, now: Instant, server: ServerId, request: &Message, refusal: &Refusal) {
        let tag = self.new_tag();
        self.refuse_with_tag(now, server, request, refusal, &tag);
    }

    pub(super) fn refuse_with_tag(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message,
        refusal: &Refusal,
        tag: &[u8],
    ) {
        self.counters.refusals += 1;
        match refusal {
            Refusal::Busy => self.counters.calls_over_limit += 1,
            Refusal::NotAcceptable(_) => self.counters.calls_incompatible += 1,
            Refusal::BodyTooLarge => self.counters.bodies_over_limit += 1,
            Refusal::DialogTooLarge => self.counters.dialogs_over_limit += 1,
            Refusal::BadSdp => self.counters.bad_sdp += 1,
            Refusal::OutOfOrder => self.counters.out_of_order += 1,
            Refusal::NoDialog => self.counters.dialogs_unknown += 1,
            _ => {}
        }
        self.event(Event::Refused {
            call_id: request.call_id().unwrap_or_default().to_owned(),
            method: request.method().map_or("", |method| method.as_str()).to_owned(),
            status: refusal.status(),
            reason: refusal.to_string(),
        });
        let answer = refusal
            .answer(request, &self.config)
            .to_tag(&String::from_utf8_lossy(tag));
        self.respond(now, server, request, refusal.status(), answer);
    }

    /// Sends an answer in its transaction.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message,
        status: StatusCode,
        answer: ResponseBuilder<'_>,
    ) {
        // A value of ours that does not fit a header would be a fault of ours; the caller must not wait for it.
        let (status, built) = match answer.build() {
            Ok(octets) => (status, Ok(octets)),
            Err(_) => {
                let status = StatusCode::SERVER_INTERNAL_ERROR;
                (status, ResponseBuilder::new(request, status).build())
            }
        };
        match built {
            Ok(octets) => self.layer.respond(now, server, status, octets),
            Err(_) => self.counters.dropped += 1,
        }
    }

    /// Answers a request that has no transaction, because what would identify it cannot be read.
    fn answer_unreadable(&mut self, request: &Message, status: StatusCode, reason: &str) {
        let answer = ResponseBuilder::new(request, status).reason(reason).build();
        match answer {
            Ok(octets) if request.method() != Some(Method::Ack) => {
                self.counters.refusals += 1;
                self.push(Output::Send { octets });
            }
            _ => self.counters.dropped += 1,
        }
    }
}

/// What the Request-URI names.
fn service_of(request: &Message) -> Result<Service, Refusal> {
    let Some(Ok(uri)) = request.request_uri() else {
        return Err(Refusal::BadUri);
    };
    if !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips) {
        return Err(Refusal::BadScheme);
    }
    let user = uri.user_unescaped().unwrap_or_default();
    Service::from_user(&user).ok_or(Refusal::UnknownService)
}

/// Require names what must be understood: no extension is (RFC 3261 section 8.2.2.3).
pub(super) fn check_require(request: &Message) -> Result<(), Refusal> {
    let tags = request.values(HeaderName::Require);
    let unsupported: Vec<_> = tags
        .map(|tag| String::from_utf8_lossy(tag).replace(['\r', '\n'], " "))
        .collect();
    if unsupported.is_empty() {
        Ok(())
    } else {
        Err(Refusal::BadExtension {
            unsupported: unsupported.join(", "),
        })
    }
}
