//! A BYE of our own that a trunk wants to be proven: without it the call would go on over there, and cost.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rand::Rng;
use viaduct_sip::{Edit, HeaderName, Limits, Message, Method, StatusCode, Via};
use viaduct_trunk::Asked;
use viaduct_txn::{ClientId, Hop, Request};

use super::Proxy;
use crate::carried::Carrier;

/// A BYE that left to a trunk with an account.
#[derive(Debug)]
pub(super) struct OwnBye {
    request: Message,
    hop: Hop,
    carrier: Arc<Carrier>,
}

impl Proxy {
    /// Remembers a BYE to a trunk for as long as its transaction lives.
    pub(super) fn remember_bye(
        &mut self,
        client: ClientId,
        carrier: Option<Arc<Carrier>>,
        octets: Bytes,
        hop: Hop,
    ) {
        let carrier = carrier.filter(|carrier| carrier.line.trunk().account.is_some());
        let request = Message::parse_frame(octets, &Limits::default());
        if let (Some(carrier), Ok(request)) = (carrier, request) {
            let bye = OwnBye {
                request,
                hop,
                carrier,
            };
            self.own_byes.insert(client, bye);
        }
    }

    /// A BYE of ours was answered. One that is challenged is sent once more, with the proof.
    pub(super) fn bye_answered(&mut self, now: Instant, client: ClientId, response: &Message) {
        if !matches!(response.status().map(StatusCode::get), Some(401 | 407)) {
            return;
        }
        let Some(bye) = self.own_byes.remove(&client) else {
            return;
        };
        let line = bye.carrier.line.clone();
        line.count(|counters| counters.challenged += 1);
        if self.prove_bye(now, &bye, response).is_none() {
            line.count(|counters| counters.refused_credentials += 1);
        }
    }

    fn prove_bye(&mut self, now: Instant, bye: &OwnBye, response: &Message) -> Option<()> {
        let OwnBye {
            request,
            hop,
            carrier,
        } = bye;
        let cnonce = self.random_token();
        let asked = Asked {
            method: Method::Bye,
            uri: request.request_uri_text()?,
            body: b"",
            cnonce: &cnonce,
            again: false,
        };
        let account = carrier.line.trunk().account.as_ref()?;
        let credentials = account.answer(response, &asked).ok()?;
        let branch = viaduct_sip::token::random_branch::<9>(|octets| self.rng.fill_bytes(octets));
        let cseq = request.cseq()?.ok()?.number;
        let mut edit = Edit::new(request);
        edit.remove_first(HeaderName::Via);
        edit.prepend(
            HeaderName::Via,
            Via::value(hop.transport(), &self.sent_by(hop), &branch),
        );
        edit.set(HeaderName::CSeq, format!("{} BYE", cseq.saturating_add(1)));
        for (name, value) in &credentials {
            edit.append(*name, value);
        }
        let request = Request {
            octets: edit.finish().ok()?,
            branch: branch.into(),
            is_invite: false,
            hop: hop.clone(),
            patience: None,
        };
        self.layer.request(now, request).map(|_| ())
    }
}
