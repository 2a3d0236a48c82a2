//! DTLS-SRTP on one leg: whose certificate is expected, which role is ours, and the associations (RFC 5763, RFC 5764,
//! RFC 8842).
//!
//! The role is fixed once: when an SDP of ours has named it, when the peer's answer has, or when the peer's ClientHello
//! came first. It is kept over re-offers and given up only with the association. A certificate is compared with the
//! peer's fingerprints before its keys are handed out; while the fingerprints are not known, the keys wait.
//!
//! There are two engines, because nothing tells which certificate a peer has before the handshake: see [`BothEngines`].

mod any_engine;
mod association;
mod certificate;
mod dimpl_engine;
mod engine;
mod engines;
mod loaded_key;

pub use certificate::Certificate;
pub use dimpl_engine::{CertificateError, DimplEngines};
pub use engine::{DtlsEngine, DtlsEngines, DtlsOutput, PeerCertificates};
pub use engines::BothEngines;

pub(crate) use association::{Association, Progress};
pub(crate) use certificate::fingerprint;

use std::time::Instant;

use viaduct_dtls::LimitHits as DtlsLimitHits;
use viaduct_rtp::srtp::{DtlsRole, SrtpKeyPair};
use viaduct_sdp::{Fingerprint, Setup};

use crate::event::DtlsFailure;
use crate::leg::Component;

/// What a peer's SDP says about DTLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteDtls {
    /// `a=setup`; `None` if it has none.
    pub(crate) setup: Option<Setup>,
    /// `a=fingerprint`: one or more.
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// `a=tls-id`
    pub(crate) tls_id: Option<String>,
}

impl RemoteDtls {
    /// Whether both name the same association (RFC 8842 section 5.1). A peer without `tls-id` is known by its
    /// certificate alone.
    fn is_same_association(&self, other: &Self) -> bool {
        self.tls_id == other.tls_id && self.fingerprints == other.fingerprints
    }
}

/// DTLS of one leg. The components have associations of their own, with one role and one certificate.
#[derive(Debug)]
pub(crate) struct Dtls {
    tls_id: String,
    /// What our last offer names: another association than there is, which its answer begins.
    next_tls_id: Option<String>,
    role: Option<DtlsRole>,
    remote: Option<RemoteDtls>,
    associations: [Option<Association>; 2],
}

impl Dtls {
    /// Nothing known of the peer, nothing begun.
    pub(crate) fn new(tls_id: String) -> Self {
        Self {
            tls_id,
            next_tls_id: None,
            role: None,
            remote: None,
            associations: [None, None],
        }
    }

    /// The associations have ended with an earlier relay: whatever is agreed next is a further one (RFC 8842 section 5).
    /// Until then nothing is begun by us, and a peer that begins is answered.
    pub(crate) fn begin_anew(&mut self, tls_id: String) {
        *self = Self {
            remote: self.remote.take(),
            ..Self::new(tls_id)
        };
    }

    /// Our `a=tls-id`.
    pub(crate) fn tls_id(&self) -> &str {
        self.next_tls_id.as_ref().unwrap_or(&self.tls_id)
    }

    /// Our next offer names other ports, and so another association (RFC 8842 section 4), which is begun when it is answered.
    pub(crate) fn offer_another(&mut self, tls_id: String) {
        if self.remote.is_some() {
            self.next_tls_id.get_or_insert(tls_id);
        }
    }

    /// Our role, once fixed.
    pub(crate) fn role(&self) -> Option<DtlsRole> {
        self.role
    }

    /// What the peer's SDP says.
    pub(crate) fn remote(&self) -> Option<&RemoteDtls> {
        self.remote.as_ref()
    }

    pub(crate) fn association(&self, component: Component) -> Option<&Association> {
        self.associations[component.index()].as_ref()
    }

    /// Associations that exist: what [`Limits::dtls_associations`](crate::Limits::dtls_associations) counts.
    pub(crate) fn live(&self) -> usize {
        self.associations.iter().flatten().count()
    }

    /// Takes what the peer's SDP says. True if it means another association than before: everything begins anew then,
    /// under the `tls_id` given.
    pub(crate) fn set_remote(&mut self, remote: RemoteDtls, tls_id: impl FnOnce() -> String) -> bool {
        let next = self.next_tls_id.take();
        let known = self.remote.as_ref();
        let restart = next.is_some() || known.is_some_and(|known| !known.is_same_association(&remote));
        if restart {
            self.associations = [None, None];
            self.role = None;
            self.tls_id = next.unwrap_or_else(tls_id);
        }
        self.remote = Some(remote);
        restart
    }

    /// Fixes the role toward a peer that has offered, unless it is fixed. `passive` is our wish where the peer leaves
    /// us the choice. What an SDP of ours then says is [`Self::setup`].
    pub(crate) fn fix_role_to_offerer(&mut self, passive: bool) {
        let theirs = self.remote.as_ref().and_then(|remote| remote.setup);
        self.role.get_or_insert(match theirs {
            Some(Setup::Passive) => DtlsRole::Client,
            Some(Setup::Actpass | Setup::Holdconn) if !passive => DtlsRole::Client,
            Some(Setup::Actpass | Setup::Holdconn) => DtlsRole::Server,
            // An offer without the attribute means active (RFC 4145 section 4).
            Some(Setup::Active) | None => DtlsRole::Server,
        });
    }

    /// Fixes the role toward a peer that has answered, unless it is fixed.
    pub(crate) fn fix_role_to_answerer(&mut self) {
        let theirs = self.remote.as_ref().and_then(|remote| remote.setup);
        self.role.get_or_insert(match theirs {
            Some(Setup::Passive) => DtlsRole::Client,
            // Without the attribute the answerer is taken to begin, which RFC 5763 section 5 recommends it to do.
            // `actpass` may not stand in an answer; whoever writes it has left the choice to us and waits in vain for
            // nobody if we wait as well, so we begin.
            Some(Setup::Actpass) => DtlsRole::Client,
            Some(Setup::Active | Setup::Holdconn) | None => DtlsRole::Server,
        });
    }

    /// `a=setup` of an answer of ours.
    pub(crate) fn setup(&self) -> Setup {
        match self.role {
            Some(DtlsRole::Client) => Setup::Active,
            Some(DtlsRole::Server) | None => Setup::Passive,
        }
    }

    /// A ClientHello or something else came for a component. The first one of a peer whose answer is still on its way
    /// makes us the server.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        component: Component,
        datagram: &[u8],
        peer: PeerCertificates,
        engines: &dyn DtlsEngines,
    ) {
        let role = *self.role.get_or_insert(DtlsRole::Server);
        let association = self.associations[component.index()]
            .get_or_insert_with(|| Association::new(role, peer, now, engines));
        association.handle_datagram(now, datagram, engines);
    }

    /// Whether a handshake is to be begun by us and has not been.
    pub(crate) fn must_begin(&self, component: Component) -> bool {
        self.role == Some(DtlsRole::Client)
            && self.remote.is_some()
            && self.associations[component.index()].is_none()
    }

    /// Begins a handshake.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        component: Component,
        peer: PeerCertificates,
        engines: &dyn DtlsEngines,
    ) {
        let mut association = Association::new(DtlsRole::Client, peer, now, engines);
        association.handle_timeout(now);
        self.associations[component.index()] = Some(association);
    }

    /// Forgets a component's association, so that another is begun; false if there is none.
    pub(crate) fn forget(&mut self, component: Component) -> bool {
        self.associations[component.index()].take().is_some()
    }

    /// Gives up a component's association for a reason of ours.
    pub(crate) fn fail(
        &mut self,
        now: Instant,
        component: Component,
        reason: DtlsFailure,
        engines: &dyn DtlsEngines,
    ) {
        let role = self.role.unwrap_or(DtlsRole::Server);
        self.associations[component.index()]
            .get_or_insert_with(|| Association::new(role, PeerCertificates::Ecdsa, now, engines))
            .fail(reason);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for association in self.associations.iter_mut().flatten() {
            if association.poll_timeout().is_some_and(|at| at <= now) {
                association.handle_timeout(now);
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.associations
            .iter()
            .flatten()
            .filter_map(Association::poll_timeout)
            .min()
    }

    /// What comes out of a component's association next.
    pub(crate) fn poll(&mut self, component: Component) -> Option<Progress> {
        let fingerprints = self.remote.as_ref().map(|remote| &remote.fingerprints[..]);
        self.associations[component.index()].as_mut()?.poll(fingerprints)
    }

    /// How often limits of a component's association were met since this was asked last.
    pub(crate) fn take_limit_hits(&mut self, component: Component) -> DtlsLimitHits {
        let association = self.associations[component.index()].as_mut();
        association.map(Association::take_limit_hits).unwrap_or_default()
    }

    /// The verified keys of a component.
    pub(crate) fn keys(&self, component: Component) -> Option<&SrtpKeyPair> {
        self.association(component)?.keys()
    }
}

#[cfg(test)]
mod tests;
