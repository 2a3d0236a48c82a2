//! Handshakes between two ends of ours and with another implementation, over a network that loses and reorders.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test's base instant; a test fails where it must"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use viaduct_dtls::{Config, Endpoint, Error, Limits, Output, Role};

/// What an end tells beside datagrams.
#[derive(Debug, Default)]
struct Told {
    certificate: Option<Vec<u8>>,
    material: Option<Vec<u8>>,
    connected: bool,
}

/// One end, whosever it is.
trait End {
    fn receive(&mut self, now: Instant, datagram: &[u8]);
    fn wake(&mut self, now: Instant);
    fn take(&mut self) -> Vec<Vec<u8>>;
    fn wakes_at(&self) -> Option<Instant>;
    fn told(&self) -> &Told;
}

struct Ours {
    endpoint: Endpoint,
    told: Told,
    error: Option<Error>,
}

impl End for Ours {
    fn receive(&mut self, now: Instant, datagram: &[u8]) {
        self.error = self.endpoint.handle_datagram(now, datagram).err().or(self.error);
    }

    fn wake(&mut self, now: Instant) {
        self.error = self.endpoint.handle_timeout(now).err().or(self.error);
    }

    fn take(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send(datagram) => sent.push(datagram),
                Output::PeerCertificate(der) => self.told.certificate = Some(der),
                Output::Keys(_, material) => self.told.material = Some(material),
                Output::Connected => self.told.connected = true,
                Output::Closed => {}
            }
        }
        sent
    }

    fn wakes_at(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    fn told(&self) -> &Told {
        &self.told
    }
}

struct Theirs {
    dtls: dimpl::Dtls,
    told: Told,
    wakes_at: Option<Instant>,
}

impl End for Theirs {
    fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let _ = self.dtls.handle_timeout(now);
        let _ = self.dtls.handle_packet(datagram);
    }

    fn wake(&mut self, now: Instant) {
        let _ = self.dtls.handle_timeout(now);
    }

    fn take(&mut self) -> Vec<Vec<u8>> {
        let (mut sent, mut buffer) = (Vec::new(), vec![0; 4_096]);
        loop {
            match self.dtls.poll_output(&mut buffer) {
                dimpl::Output::Packet(datagram) => sent.push(datagram.to_vec()),
                dimpl::Output::PeerCert(der) => self.told.certificate = Some(der.to_vec()),
                dimpl::Output::KeyingMaterial(material, _) => self.told.material = Some(material.to_vec()),
                dimpl::Output::Connected => self.told.connected = true,
                dimpl::Output::Timeout(at) => {
                    self.wakes_at = Some(at);
                    return sent;
                }
                _ => {}
            }
        }
    }

    fn wakes_at(&self) -> Option<Instant> {
        self.wakes_at
    }

    fn told(&self) -> &Told {
        &self.told
    }
}

fn certificate() -> (Vec<u8>, Vec<u8>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    (certificate.der().to_vec(), key.serialize_der())
}

fn ours(role: Role, now: Instant, mtu: usize) -> (Ours, Vec<u8>) {
    let (certificate, key) = certificate();
    let config = Config::new(certificate.clone(), &key, mtu, Limits::default()).unwrap();
    let endpoint = Endpoint::new(Arc::new(config), role, now);
    let end = Ours {
        endpoint,
        told: Told::default(),
        error: None,
    };
    (end, certificate)
}

fn theirs(role: Role, now: Instant, mtu: usize, cookie: bool) -> (Theirs, Vec<u8>) {
    let (certificate, private_key) = certificate();
    let config = dimpl::Config::builder()
        .mtu(mtu)
        .use_server_cookie(cookie)
        .build()
        .unwrap();
    let own = dimpl::DtlsCertificate {
        certificate: certificate.clone(),
        private_key,
    };
    let mut dtls = dimpl::Dtls::new_12(Arc::new(config), own, now);
    dtls.set_active(role == Role::Client);
    let end = Theirs {
        dtls,
        told: Told::default(),
        wakes_at: Some(now),
    };
    (end, certificate)
}

/// Carries datagrams until both are connected or 20 s have passed. Each takes 10 to 30 ms, and some are lost.
fn run<'a>(now: Instant, client: &'a mut dyn End, server: &'a mut dyn End, loss: f64, seed: u64) -> Duration {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut wire: BTreeMap<(Duration, u64), (usize, Vec<u8>)> = BTreeMap::new();
    let (mut at, mut count, mut ends) = (Duration::ZERO, 0, [client, server]);
    ends[0].wake(now);
    loop {
        for from in [0, 1] {
            for datagram in ends[from].take() {
                count += 1;
                if !rng.random_bool(loss) {
                    let arrives = at + Duration::from_micros(rng.random_range(10_000..30_000));
                    wire.insert((arrives, count), (1 - from, datagram));
                }
            }
        }
        if ends.iter().all(|end| end.told().connected) || at > Duration::from_secs(20) {
            return at;
        }
        let wakes = ends
            .iter()
            .filter_map(|end| end.wakes_at())
            .min()
            .map(|at| at - now);
        match (wire.first_key_value(), wakes) {
            (Some((&(arrives, _), _)), wakes) if wakes.is_none_or(|wakes| arrives <= wakes) => {
                let (_, (to, datagram)) = wire.pop_first().unwrap();
                at = at.max(arrives);
                ends[to].receive(now + at, &datagram);
            }
            (_, Some(wakes)) => {
                at = at.max(wakes);
                for end in &mut ends {
                    if end.wakes_at().is_some_and(|wakes| wakes <= now + at) {
                        end.wake(now + at);
                    }
                }
            }
            _ => return Duration::MAX,
        }
    }
}

fn assert_agreed((client, of_client): (&Told, &[u8]), (server, of_server): (&Told, &[u8]), case: &str) {
    assert!(
        client.connected && server.connected,
        "{case}: {client:?} {server:?}"
    );
    assert!(
        client.material.is_some() && client.material == server.material,
        "{case}"
    );
    assert_eq!(client.certificate.as_deref(), Some(of_server), "{case}");
    assert_eq!(server.certificate.as_deref(), Some(of_client), "{case}");
}

#[test]
fn two_ends_agree_with_any_size_of_datagrams() {
    for mtu in [128, 200, 512, 1_200, 1_500] {
        let now = Instant::now();
        let ((mut client, one), (mut server, other)) =
            (ours(Role::Client, now, mtu), ours(Role::Server, now, mtu));
        let took = run(now, &mut client, &mut server, 0.0, 1);
        assert_agreed((&client.told, &one), (&server.told, &other), &format!("{mtu}"));
        assert!(took < Duration::from_millis(200), "{mtu}: {took:?}");
        assert_eq!((client.error, server.error), (None, None));
    }
}

#[test]
fn both_roles_agree_with_another_implementation() {
    for (mtu, cookie) in [(300, false), (1_200, false), (1_200, true)] {
        let now = Instant::now();
        let ((mut client, one), (mut server, other)) = (
            ours(Role::Client, now, mtu),
            theirs(Role::Server, now, mtu, cookie),
        );
        run(now, &mut client, &mut server, 0.0, 1);
        assert_agreed((&client.told, &one), (&server.told, &other), "client");
        let ((mut client, one), (mut server, other)) = (
            theirs(Role::Client, now, mtu, cookie),
            ours(Role::Server, now, mtu),
        );
        run(now, &mut client, &mut server, 0.0, 1);
        assert_agreed((&client.told, &one), (&server.told, &other), "server");
    }
}

#[test]
fn every_handshake_survives_loss_and_reordering() {
    for seed in 0..300 {
        let now = Instant::now();
        let ((mut client, one), (mut server, other)) =
            (ours(Role::Client, now, 400), ours(Role::Server, now, 400));
        run(now, &mut client, &mut server, 0.2, seed);
        assert_agreed(
            (&client.told, &one),
            (&server.told, &other),
            &format!("seed {seed}"),
        );
    }
}

#[test]
fn handshakes_with_another_implementation_survive_loss() {
    for seed in 0..100 {
        let now = Instant::now();
        let ((mut client, one), (mut server, other)) = (
            ours(Role::Client, now, 600),
            theirs(Role::Server, now, 600, seed % 2 == 0),
        );
        run(now, &mut client, &mut server, 0.1, seed);
        assert_agreed(
            (&client.told, &one),
            (&server.told, &other),
            &format!("client, seed {seed}"),
        );
        let ((mut client, one), (mut server, other)) = (
            theirs(Role::Client, now, 600, false),
            ours(Role::Server, now, 600),
        );
        run(now, &mut client, &mut server, 0.1, seed);
        assert_agreed(
            (&client.told, &one),
            (&server.told, &other),
            &format!("server, seed {seed}"),
        );
    }
}

#[test]
fn a_peer_that_is_silent_ends_the_handshake() {
    let mut now = Instant::now();
    let begun = now;
    let (mut client, _) = ours(Role::Client, now, 1_200);
    let mut sent = 0;
    while client.error.is_none() {
        client.wake(now);
        sent += client.take().len();
        now = client.wakes_at().unwrap_or(now);
    }
    assert_eq!(client.error, Some(Error::TimedOut));
    assert_eq!(now - begun, Limits::default().handshake);
    // Less and less often, then at the longest wait.
    assert!((45..60).contains(&sent), "{sent}");
    assert_eq!(client.wakes_at(), None);
}

#[test]
fn nothing_that_was_changed_on_the_way_is_agreed_on() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(7);
    for case in 0..400 {
        let ((mut client, _), (mut server, _)) = (ours(Role::Client, now, 500), ours(Role::Server, now, 500));
        client.wake(now);
        let (mut count, spoiled) = (0, case % 5);
        for _ in 0..6 {
            for to_server in [true, false] {
                let (from, to) = if to_server {
                    (&mut client, &mut server)
                } else {
                    (&mut server, &mut client)
                };
                for mut datagram in from.take() {
                    if count == spoiled {
                        let at = rng.random_range(0..datagram.len());
                        datagram[at] ^= 1 << rng.random_range(0..8);
                    }
                    count += 1;
                    to.receive(now, &datagram);
                }
            }
        }
        assert!(count > spoiled, "case {case}");
        let (one, other) = (&client.told, &server.told);
        if one.connected && other.connected {
            // What does not count, as a number in the header of a record: the keys are equal all the same.
            assert_eq!(one.material, other.material, "case {case}");
        }
    }
}

#[test]
fn no_datagrams_make_an_end_panic() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(11);
    for case in 0..2_000 {
        let role = if case % 2 == 0 { Role::Client } else { Role::Server };
        let (mut end, _) = ours(role, now, 1_200);
        end.wake(now);
        for _ in 0..8 {
            // A record that is right as far as the header of a fragment goes.
            let len = rng.random_range(0..80_u8);
            let mut datagram = vec![22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, len + 12];
            let kind = [1, 2, 3, 11, 12, 13, 14, 15, 16, 20][rng.random_range(0..10)];
            datagram.extend_from_slice(&[kind, 0, 0, len, 0, rng.random_range(0..3), 0, 0, 0, 0, 0, len]);
            datagram.extend((0..len).map(|_| rng.random::<u8>()));
            end.receive(now, &datagram);
            end.take();
        }
        assert!(!end.told.connected);
    }
}

/// Whose address is forged does not see what is answered (RFC 6347 section 4.2.1).
#[test]
fn a_client_hello_without_our_cookie_changes_nothing() {
    let now = Instant::now();
    let hello = || {
        let (mut forger, _) = theirs(Role::Client, now, 1_200, false);
        forger.wake(now);
        forger.take().remove(0)
    };
    let ((mut client, one), (mut server, other)) = (
        theirs(Role::Client, now, 1_200, false),
        ours(Role::Server, now, 1_200),
    );
    for _ in 0..50 {
        let forged = hello();
        server.receive(now, &forged);
        let answers = server.take();
        let lens: Vec<_> = answers.iter().map(Vec::len).collect();
        // A record with a HelloVerifyRequest: no more than what came.
        assert!(lens.len() == 1 && lens[0] < forged.len(), "{lens:?}");
        assert_eq!(answers[0][13], 3);
        // Neither a fatal alert, nor a part of a hello, nor one with a cookie that was made up.
        server.receive(now, &[21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40]);
        let mut part = vec![
            22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 1, 0, 0, 99, 0, 0, 0, 0, 0,
        ];
        part.extend([0, 0, 1, 0xFE]);
        server.receive(now, &part);
        assert_eq!(server.take().len(), 0);
    }
    run(now, &mut client, &mut server, 0.0, 1);
    assert_agreed((&client.told, &one), (&server.told, &other), "after forgeries");
}

/// Who has the cookie of one association has no use for it in another, even with the same number.
#[test]
fn a_cookie_counts_for_one_association() {
    let now = Instant::now();
    let (mut client, _) = ours(Role::Client, now, 1_200);
    client.wake(now);
    let hello = client.take().remove(0);
    let (mut one, _) = ours(Role::Server, now, 1_200);
    one.receive(now, &hello);
    one.take().iter().for_each(|answer| client.receive(now, answer));
    let with_cookie = client.take().remove(0);
    let (mut other, _) = ours(Role::Server, now, 1_200);
    other.receive(now, &hello);
    other.take();
    other.receive(now, &with_cookie);
    assert_eq!(other.take()[0][13], 3, "asked for its own");
    one.receive(now, &with_cookie);
    assert_eq!(one.take()[0][13], 2, "a ServerHello");
}
