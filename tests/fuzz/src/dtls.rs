//! Handshakes of DTLS on a network that loses, repeats, changes and invents datagrams.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use viaduct_dtls::{Config, Endpoint, Limits, Output, Role, SrtpProtection};

/// Datagrams that the network may lose: as many as a handshake survives in its time.
const LOST_MAX: usize = 6;

/// Turns after which somebody has to ask why.
const TURNS_MAX: usize = 4_000;

/// Reads what happens to one datagram after the other, four octets each: whether it is lost, repeated, changed, or comes after
/// one that nobody has sent.
///
/// Laws: nothing makes an end panic or send without bound; with nothing but losses and repeats the handshake ends well; and
/// if it does for both, both have the same keys and the other's certificate, whatever was changed.
pub fn dtls(data: &[u8]) {
    let mut network = Network {
        script: data,
        lost: 0,
        honest: true,
    };
    let now = Instant::now();
    let mut ends = [Role::Client, Role::Server].map(|role| End::new(role, now));
    let mut clock = now;
    for _ in 0..TURNS_MAX {
        // Both, whether the first had anything or not.
        let moved = pass_on(&mut ends, 0, &mut network, clock) | pass_on(&mut ends, 1, &mut network, clock);
        if !moved {
            let Some(at) = ends.iter().filter_map(|end| end.endpoint.poll_timeout()).min() else {
                break;
            };
            clock = clock.max(at);
            ends.iter_mut().for_each(|end| end.at(clock));
        }
    }
    assert!(clock <= now + Limits::default().handshake + Duration::from_secs(1));
    let [client, server] = &ends;
    assert!(client.endpoint.poll_timeout().is_none() && server.endpoint.poll_timeout().is_none());
    if network.honest {
        assert!(client.is_connected && server.is_connected);
    }
    if client.is_connected && server.is_connected {
        assert_eq!(client.keys, server.keys);
        assert!(client.keys.is_some());
        for end in &ends {
            assert_eq!(end.certificate.as_ref(), Some(&certificate().der));
        }
    }
}

struct Network<'s> {
    script: &'s [u8],
    lost: usize,
    /// Nobody has changed or invented anything.
    honest: bool,
}

impl Network<'_> {
    /// What comes in the place of a datagram.
    fn carry(&mut self, mut datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let Some((&[what, high, low, value], rest)) = self.script.split_first_chunk() else {
            return vec![datagram];
        };
        self.script = rest;
        let place = usize::from(u16::from_be_bytes([high, low]));
        match what & 7 {
            1 if self.lost < LOST_MAX => {
                self.lost += 1;
                vec![]
            }
            2 => vec![datagram.clone(), datagram],
            3 => {
                self.honest = false;
                let at = place % datagram.len();
                datagram[at] ^= value;
                vec![datagram]
            }
            4 => {
                self.honest = false;
                let (invented, rest) = rest.split_at(place.min(rest.len()));
                self.script = rest;
                vec![invented.to_vec(), datagram]
            }
            5 => {
                self.honest = false;
                datagram.truncate(place % datagram.len());
                vec![datagram]
            }
            _ => vec![datagram],
        }
    }
}

struct End {
    endpoint: Endpoint,
    leaving: VecDeque<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    keys: Option<(SrtpProtection, Vec<u8>)>,
    is_connected: bool,
}

impl End {
    fn new(role: Role, now: Instant) -> Self {
        let mut end = Self {
            endpoint: Endpoint::new(Arc::clone(&certificate().config), role, now),
            leaving: VecDeque::new(),
            certificate: None,
            keys: None,
            is_connected: false,
        };
        end.at(now);
        end
    }

    fn at(&mut self, now: Instant) {
        let _ = self.endpoint.handle_timeout(now);
        self.look();
    }

    fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let _ = self.endpoint.handle_datagram(now, datagram);
        self.look();
    }

    fn look(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send(datagram) => self.leaving.push_back(datagram),
                Output::PeerCertificate(der) => self.certificate = Some(der),
                Output::Keys(profile, material) => self.keys = Some((profile, material)),
                Output::Connected => self.is_connected = true,
                Output::Closed => {}
            }
        }
    }
}

/// Whether there was something to pass on.
fn pass_on(ends: &mut [End; 2], from: usize, network: &mut Network<'_>, now: Instant) -> bool {
    let Some(datagram) = ends[from].leaving.pop_front() else {
        return false;
    };
    assert!(!datagram.is_empty() && datagram.len() <= MTU);
    for datagram in network.carry(datagram) {
        ends[1 - from].receive(now, &datagram);
    }
    true
}

const MTU: usize = 400;

/// Both ends have the same: whose it is does not matter here.
struct Certificate {
    der: Vec<u8>,
    config: Arc<Config>,
}

fn certificate() -> &'static Certificate {
    static MADE: OnceLock<Certificate> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let config = Config::new(
            made.certificate.clone(),
            &made.private_key,
            MTU,
            Limits::default(),
        );
        Certificate {
            der: made.certificate,
            config: Arc::new(config.unwrap()),
        }
    })
}
