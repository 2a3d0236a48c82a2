//! Where a leg's keys come from: DTLS or SDES.

use std::net::SocketAddr;
use std::time::Instant;

use viaduct_forward::{FlowKey, LocalAddr};
use viaduct_rtp::srtp::SrtpKeyPair;

use super::{Component, Keys, Leg, LegEvent, tuple};
use crate::core::Core;
use crate::dtls::{Dtls, PeerCertificates, Progress, RemoteDtls};
use crate::event::DtlsFailure;
use crate::secrets;

impl Leg {
    /// DTLS of the leg, made if there is none.
    pub(crate) fn ensure_dtls(&mut self, core: &mut Core) -> &mut Dtls {
        self.dtls
            .get_or_insert_with(|| Box::new(Dtls::new(secrets::tls_id(&mut core.rng))))
    }

    /// Takes what the peer's SDP says of DTLS. What was agreed by SDES before is over.
    pub(crate) fn set_remote_dtls(&mut self, core: &mut Core, remote: RemoteDtls) {
        let live = self.dtls.as_deref().map_or(0, Dtls::live);
        let tls_id = secrets::tls_id(&mut core.rng);
        let restarted = self.ensure_dtls(core).set_remote(remote, || tls_id);
        if restarted {
            core.dtls_live -= live;
        }
        if restarted || self.sdes.is_agreed() {
            self.keys = [None, None];
            self.dtls_from = None;
        }
        self.sdes.clear();
    }

    /// Takes keys from SDPs, which are the same for both components. DTLS is over.
    pub(crate) fn set_sdes_keys(&mut self, core: &mut Core, pair: &SrtpKeyPair) {
        // Before DTLS ends, which may have been offered beside them: keys in use stay what they are.
        let known = self.keys[0].take();
        self.end_dtls(core);
        let keys = Box::new(Keys::name(pair, known.as_deref(), core));
        self.keys = [Some(keys.clone()), Some(keys)];
    }

    /// Where the last DTLS datagram of a component came from.
    pub(super) fn last_dtls_from(&self, component: Component) -> Option<FlowKey> {
        self.dtls_from.as_ref()?[component.index()]
    }

    /// Keying of this leg is over, whichever kind.
    pub(crate) fn forget_keys(&mut self, core: &mut Core) {
        self.end_dtls(core);
        self.sdes.clear();
        self.keys = [None, None];
    }

    /// DTLS from an address that the workers were told to let through, or from one that may be the endpoint.
    pub(crate) fn on_dtls(
        &mut self,
        now: Instant,
        core: &mut Core,
        local: LocalAddr,
        from: SocketAddr,
        data: &[u8],
    ) {
        let at = tuple(local, from);
        if self.paths.by_tuple(at).is_none() {
            self.on_unknown_handshake(now, core, local, from);
        }
        let Some(component) = self.paths.by_tuple(at).map(|path| path.component) else {
            core.counters.stale += 1;
            return;
        };
        let peer = self.peer_certificates();
        let Some(dtls) = &mut self.dtls else {
            core.counters.stale += 1;
            return;
        };
        let is_new = dtls.association(component).is_none();
        if is_new && core.dtls_live >= core.config.limits.dtls_associations {
            core.counters.limits.dtls_associations += 1;
            return;
        }
        core.dtls_live += usize::from(is_new);
        self.dtls_from.get_or_insert_default()[component.index()] = Some(at);
        dtls.handle_datagram(now, component, data, peer, &*core.engines);
    }

    /// A handshake comes from another address than the SDP names, as from behind a NAT. It counts as media from there
    /// would, until one has begun.
    fn on_unknown_handshake(&mut self, now: Instant, core: &mut Core, local: LocalAddr, from: SocketAddr) {
        let has_begun = |dtls: &Dtls| {
            self.component_of(local)
                .is_none_or(|component| dtls.association(component).is_some())
        };
        if self.ice.is_none() && self.dtls.as_ref().is_some_and(|dtls| !has_begun(dtls)) {
            self.take_source(now, core, local, from);
        }
    }

    pub(super) fn drive_dtls(&mut self, now: Instant, core: &mut Core) {
        for component in self.components() {
            self.begin_dtls(now, core, *component);
        }
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_timeout(now);
        }
        for component in Component::BOTH {
            while let Some(progress) = self.dtls.as_mut().and_then(|dtls| dtls.poll(component)) {
                self.on_dtls_progress(core, component, progress);
            }
            if let Some(dtls) = &mut self.dtls {
                core.counters.limits.count_dtls(dtls.take_limit_hits(component));
            }
        }
    }

    fn begin_dtls(&mut self, now: Instant, core: &mut Core, component: Component) {
        if self.dtls_path(component).is_none() {
            return;
        }
        let peer = self.peer_certificates();
        let Some(dtls) = self.dtls.as_mut().filter(|dtls| dtls.must_begin(component)) else {
            return;
        };
        core.dtls_live += 1;
        if core.dtls_live > core.config.limits.dtls_associations {
            core.counters.limits.dtls_associations += 1;
            dtls.fail(now, component, DtlsFailure::TooMany, &*core.engines);
        } else {
            dtls.begin(now, component, peer, &*core.engines);
        }
    }

    fn on_dtls_progress(&mut self, core: &mut Core, component: Component, progress: Progress) {
        match progress {
            Progress::Send(datagram) => {
                if let Some(at) = self.dtls_path(component) {
                    core.send(at.0, at.1, datagram);
                }
            }
            Progress::Verified(profile) => {
                let pair = self.dtls.as_ref().and_then(|dtls| dtls.keys(component)).cloned();
                self.keys[component.index()] = pair.map(|pair| Box::new(Keys::name(&pair, None, core)));
                core.counters.dtls_connected += 1;
                if component == Component::Rtp {
                    self.events.push_back(LegEvent::DtlsConnected(profile));
                }
            }
            Progress::Failed(reason) => {
                core.counters.dtls_failed += 1;
                core.counters.limits.dtls_handshake += u64::from(reason == DtlsFailure::TimedOut);
                core.counters.dtls_wrong_fingerprint += u64::from(reason == DtlsFailure::WrongFingerprint);
                self.events.push_back(LegEvent::DtlsFailed(reason));
            }
            Progress::Closed => self.events.push_back(LegEvent::DtlsClosed),
        }
    }

    /// Peers with ICE are browsers, as a rule, and those without it, or without a profile for feedback, are not.
    fn peer_certificates(&self) -> PeerCertificates {
        if self.ice.is_some() && !self.is_no_browser {
            PeerCertificates::Ecdsa
        } else {
            PeerCertificates::Any
        }
    }

    /// Where DTLS goes: back where it last came from, else where media goes. Before that is chosen, it goes to a host of the
    /// peer to which every component has a path for which the peer has candidates: it will choose for all of them.
    fn dtls_path(&self, component: Component) -> Option<(LocalAddr, SocketAddr)> {
        let last = self
            .last_dtls_from(component)
            .and_then(|at| self.paths.by_tuple(at));
        let whole = || {
            let mut paths = self.paths.iter().filter(|path| path.component == component);
            paths.find(|path| self.is_reached_by_all(path.tuple))
        };
        let path = last.or_else(|| self.paths.selected(component)).or_else(whole)?;
        Some((path.tuple.local, path.tuple.remote))
    }

    /// Whether every component that the peer has candidates for has a path between the hosts of a tuple.
    fn is_reached_by_all(&self, at: FlowKey) -> bool {
        let hosts = |of: FlowKey| (of.local.ip(), of.remote.ip());
        let remote = self.ice.as_ref().and_then(|ice| ice.remote.as_ref());
        let is_offered = |component: &&Component| {
            let mut candidates = remote.iter().flat_map(|remote| &remote.candidates);
            candidates.any(|candidate| candidate.component == component.number())
        };
        let has_path = |component: &Component| {
            let mut paths = self.paths.iter().filter(|path| path.component == *component);
            paths.any(|path| hosts(path.tuple) == hosts(at))
        };
        self.components().iter().filter(is_offered).all(has_path)
    }

    pub(super) fn end_dtls(&mut self, core: &mut Core) {
        if let Some(dtls) = self.dtls.take() {
            core.dtls_live -= dtls.live();
            self.keys = [None, None];
        }
        self.dtls_from = None;
    }
}
