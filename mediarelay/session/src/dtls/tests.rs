use std::sync::{Arc, Mutex};

use viaduct_rtp::srtp::SrtpProfile;
use viaduct_sdp::HashFunction;

use super::*;

const PROFILE: SrtpProfile = SrtpProfile::AeadAes128Gcm;
const THEIRS: &[u8] = b"the peer's certificate";

#[expect(clippy::disallowed_methods, reason = "a test's base instant")]
fn base() -> Instant {
    Instant::now()
}

/// Engines that finish their handshake with the first datagram, and tell what they were asked.
#[derive(Debug, Default, Clone)]
struct Scripted {
    started: Arc<Mutex<Vec<(DtlsRole, PeerCertificates)>>>,
    without_keys: bool,
    faulty: bool,
}

#[derive(Debug)]
struct ScriptedEnd {
    script: Scripted,
    outputs: Vec<DtlsOutput>,
    begun: bool,
}

impl DtlsEngines for Scripted {
    fn start(&self, role: DtlsRole, peer: PeerCertificates, _now: Instant) -> Box<dyn DtlsEngine> {
        self.started.lock().unwrap().push((role, peer));
        Box::new(ScriptedEnd {
            script: self.clone(),
            outputs: Vec::new(),
            begun: false,
        })
    }
}

impl DtlsEngine for ScriptedEnd {
    fn handle_datagram(&mut self, _now: Instant, _datagram: &[u8]) -> Result<(), DtlsFailure> {
        if self.script.faulty {
            self.outputs.push(DtlsOutput::Send(b"alert".to_vec()));
            return Err(DtlsFailure::Protocol("fault".to_owned()));
        }
        let material = vec![7; SrtpKeyPair::exporter_len(PROFILE)];
        let keys = DtlsOutput::Keys {
            profile: PROFILE,
            material,
        };
        self.outputs.push(DtlsOutput::PeerCertificate(THEIRS.to_vec()));
        if !self.script.without_keys {
            self.outputs.push(keys);
        }
        self.outputs.push(DtlsOutput::Connected);
        self.outputs.reverse();
        Ok(())
    }

    fn handle_timeout(&mut self, _now: Instant) -> Result<(), DtlsFailure> {
        if !std::mem::replace(&mut self.begun, true) {
            self.outputs.push(DtlsOutput::Send(b"hello".to_vec()));
        }
        Ok(())
    }

    fn poll_output(&mut self) -> Option<DtlsOutput> {
        self.outputs.pop()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

fn remote(setup: Option<Setup>, certificate: &[u8]) -> RemoteDtls {
    RemoteDtls {
        setup,
        fingerprints: vec![fingerprint(HashFunction::Sha256, certificate)],
        tls_id: None,
    }
}

fn dtls() -> Dtls {
    Dtls::new("ours".to_owned())
}

fn all(dtls: &mut Dtls) -> Vec<Progress> {
    std::iter::from_fn(|| dtls.poll(Component::Rtp)).collect()
}

#[test]
fn the_role_follows_the_offer_and_our_wish() {
    for (setup, passive, ours, told) in [
        (Some(Setup::Actpass), false, DtlsRole::Client, Setup::Active),
        (Some(Setup::Actpass), true, DtlsRole::Server, Setup::Passive),
        (Some(Setup::Active), false, DtlsRole::Server, Setup::Passive),
        (Some(Setup::Passive), true, DtlsRole::Client, Setup::Active),
        (None, false, DtlsRole::Server, Setup::Passive),
    ] {
        let mut dtls = dtls();
        dtls.set_remote(remote(setup, THEIRS), String::new);
        dtls.fix_role_to_offerer(passive);
        assert_eq!(
            (dtls.role(), dtls.setup()),
            (Some(ours), told),
            "{setup:?} {passive}"
        );
    }
}

#[test]
fn the_role_follows_the_answer() {
    for (setup, ours) in [
        (Some(Setup::Active), DtlsRole::Server),
        (Some(Setup::Passive), DtlsRole::Client),
        (Some(Setup::Actpass), DtlsRole::Client),
        (None, DtlsRole::Server),
    ] {
        let mut dtls = dtls();
        dtls.set_remote(remote(setup, THEIRS), String::new);
        dtls.fix_role_to_answerer();
        assert_eq!(dtls.role(), Some(ours), "{setup:?}");
    }
}

#[test]
fn a_role_stays_over_re_offers_and_ends_with_its_association() {
    let mut dtls = dtls();
    dtls.set_remote(remote(Some(Setup::Actpass), THEIRS), String::new);
    dtls.fix_role_to_offerer(true);
    assert!(!dtls.set_remote(remote(Some(Setup::Passive), THEIRS), || "never".to_owned()));
    dtls.fix_role_to_answerer();
    assert_eq!((dtls.role(), dtls.tls_id()), (Some(DtlsRole::Server), "ours"));
    assert!(dtls.set_remote(remote(Some(Setup::Passive), b"another"), || "next".to_owned()));
    dtls.fix_role_to_offerer(true);
    assert_eq!((dtls.role(), dtls.tls_id()), (Some(DtlsRole::Client), "next"));
}

#[test]
fn keys_wait_for_the_fingerprint() {
    let (now, engines) = (base(), Scripted::default());
    let mut dtls = dtls();
    // The ClientHello is quicker than the answer.
    dtls.handle_datagram(now, Component::Rtp, b"hello", PeerCertificates::Any, &engines);
    assert_eq!(all(&mut dtls), []);
    assert!(dtls.keys(Component::Rtp).is_none());
    assert_eq!(
        *engines.started.lock().unwrap(),
        [(DtlsRole::Server, PeerCertificates::Any)]
    );
    dtls.set_remote(remote(Some(Setup::Active), THEIRS), String::new);
    dtls.fix_role_to_answerer();
    assert_eq!(all(&mut dtls), [Progress::Verified(PROFILE)]);
    assert!(dtls.keys(Component::Rtp).is_some() && dtls.keys(Component::Rtcp).is_none());
}

#[test]
fn a_wrong_certificate_gives_no_keys_and_is_told_once() {
    let (now, engines) = (base(), Scripted::default());
    let mut dtls = dtls();
    dtls.set_remote(remote(Some(Setup::Active), b"another"), String::new);
    dtls.handle_datagram(now, Component::Rtp, b"hello", PeerCertificates::Any, &engines);
    assert_eq!(all(&mut dtls), [Progress::Failed(DtlsFailure::WrongFingerprint)]);
    dtls.handle_datagram(now, Component::Rtp, b"hello", PeerCertificates::Any, &engines);
    assert_eq!(all(&mut dtls), []);
    assert!(dtls.keys(Component::Rtp).is_none());
}

#[test]
fn a_handshake_without_srtp_has_failed() {
    let (now, engines) = (
        base(),
        Scripted {
            without_keys: true,
            ..Scripted::default()
        },
    );
    let mut dtls = dtls();
    dtls.set_remote(remote(Some(Setup::Active), THEIRS), String::new);
    dtls.handle_datagram(now, Component::Rtp, b"hello", PeerCertificates::Any, &engines);
    assert_eq!(all(&mut dtls), [Progress::Failed(DtlsFailure::NoSrtpProfile)]);
}

#[test]
fn an_alert_is_sent_before_the_end_is_told() {
    let (now, engines) = (
        base(),
        Scripted {
            faulty: true,
            ..Scripted::default()
        },
    );
    let mut dtls = dtls();
    dtls.handle_datagram(now, Component::Rtp, b"hello", PeerCertificates::Any, &engines);
    let failed = Progress::Failed(DtlsFailure::Protocol("fault".to_owned()));
    assert_eq!(all(&mut dtls), [Progress::Send(b"alert".to_vec()), failed]);
}

#[test]
fn we_begin_as_client_once_per_component() {
    let (now, engines) = (base(), Scripted::default());
    let mut dtls = dtls();
    assert!(!dtls.must_begin(Component::Rtp), "nothing is known of the peer");
    dtls.set_remote(remote(Some(Setup::Passive), THEIRS), String::new);
    dtls.fix_role_to_answerer();
    assert!(dtls.must_begin(Component::Rtp) && dtls.must_begin(Component::Rtcp));
    dtls.begin(now, Component::Rtp, PeerCertificates::Any, &engines);
    assert!(!dtls.must_begin(Component::Rtp) && dtls.must_begin(Component::Rtcp));
    assert_eq!(all(&mut dtls), [Progress::Send(b"hello".to_vec())]);
    assert_eq!(dtls.live(), 1);
}

#[test]
fn a_refusal_is_tried_once_more_for_any_certificate() {
    let (now, engines) = (
        base(),
        Scripted {
            faulty: true,
            ..Scripted::default()
        },
    );
    let mut dtls = dtls();
    dtls.set_remote(remote(Some(Setup::Passive), THEIRS), String::new);
    dtls.fix_role_to_answerer();
    dtls.begin(now, Component::Rtp, PeerCertificates::Ecdsa, &engines);
    assert_eq!(all(&mut dtls), [Progress::Send(b"hello".to_vec())]);
    dtls.handle_datagram(now, Component::Rtp, b"alert", PeerCertificates::Ecdsa, &engines);
    let sent = [b"alert".to_vec(), b"hello".to_vec()].map(Progress::Send);
    assert_eq!(
        all(&mut dtls),
        sent,
        "the first engine's alert, then the second one's hello"
    );
    dtls.handle_datagram(now, Component::Rtp, b"alert", PeerCertificates::Ecdsa, &engines);
    let failed = Progress::Failed(DtlsFailure::Protocol("fault".to_owned()));
    assert_eq!(all(&mut dtls), [Progress::Send(b"alert".to_vec()), failed]);
    let kinds: Vec<_> = engines
        .started
        .lock()
        .unwrap()
        .iter()
        .map(|(_, peer)| *peer)
        .collect();
    assert_eq!(kinds, [PeerCertificates::Ecdsa, PeerCertificates::Any]);
}
