//! What a gateway must survive: packets that mean harm, a line that goes dead, and many faxes at a time.

use std::thread;

use viaduct_fax::ifp::IfpError;
use viaduct_fax::parameters::{Options, Parameters};
use viaduct_fax::spandsp::Gateway;
use viaduct_fax::udptl::{ErrorCorrection, Sender};
use viaduct_fax::{Fax, SAMPLES_PER_TICK};

use crate::{Case, library, send};

/// Numbers that are the same in every run.
struct Random(u32);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % below
    }

    /// A packet that is well-formed now and then, with kinds of data and fields as they come.
    fn ifp(&mut self, version: u8) -> Vec<u8> {
        if self.next(4) == 0 {
            return vec![(self.next(16) << 1) as u8];
        }
        let fields = self.next(4);
        let mut ifp = vec![0xc0 | (self.next(10) << 1) as u8, fields as u8];
        for _ in 0..fields {
            let shift = if version == 0 { 4 } else { 3 };
            ifp.push(0x80 | (self.next(8) << shift) as u8);
            let len = [1, 2, 3, 30, 259, 260, 261, 400][self.next(8)];
            ifp.extend((len as u16 - 1).to_be_bytes());
            ifp.extend((0..len).map(|_| {
                if self.next(3) == 0 {
                    0xff
                } else {
                    self.next(256) as u8
                }
            }));
        }
        ifp
    }
}

#[test]
fn packets_at_random_do_no_harm() {
    let Some(library) = library() else { return };
    for (seed, version) in [(1, 0), (2, 0), (3, 1), (4, 3)] {
        let mut random = Random(seed);
        let parameters = Parameters {
            version,
            ..Parameters::default()
        };
        let mut gateway = Gateway::new(&library, &parameters, &Options::default()).unwrap();
        let (mut taken, mut sequence) = (0, 0_u16);
        for _ in 0..3_000 {
            for _ in 0..random.next(3) {
                // Some are lost.
                sequence = sequence.wrapping_add(1 + (random.next(20) / 19) as u16);
                let ifp = random.ifp(version);
                taken += usize::from(gateway.receive(sequence, &ifp).is_ok());
            }
            let mut audio = [0; SAMPLES_PER_TICK];
            gateway.say(&mut audio);
            gateway.hear(&mut audio);
            let count = gateway.sent().count();
            assert!(count < 50, "{count}");
        }
        assert!(taken > 1_000, "{taken}");
        assert_eq!(gateway.dropped(), 0);
    }
}

#[test]
fn what_is_no_packet_does_not_reach_spandsp() {
    let Some(library) = library() else { return };
    let mut gateway = Gateway::new(&library, &Parameters::default(), &Options::default()).unwrap();
    let long = vec![0xc0; 5_000];
    assert_eq!(gateway.receive(0, &long), Err(IfpError::Length(5_000)));
    assert_eq!(gateway.receive(0, &[]), Err(IfpError::Truncated));
    assert_eq!(gateway.receive(0, &[0xc0, 1, 0x80, 0]), Err(IfpError::Truncated));
    assert_eq!(gateway.receive(0, &[0x04]), Ok(()));
}

/// Nobody speaks, audio is missing for longer than anybody waits, and buffers have odd sizes: there is an end to all that.
#[test]
fn a_dead_line_is_silent() {
    let Some(library) = library() else { return };
    let mut fax = Fax::new(&library, &Parameters::default(), &Options::default()).unwrap();
    fax.missing_audio(usize::MAX);
    fax.missing_audio(0);
    fax.audio(&mut []);
    fax.audio(&mut vec![0; 20_001]);
    let mut datagrams = 0;
    for _ in 0..500 {
        fax.missing_audio(SAMPLES_PER_TICK);
        let mut audio = [7; SAMPLES_PER_TICK];
        fax.tick(&mut audio, &mut |_| datagrams += 1);
        assert_eq!(audio, [0; SAMPLES_PER_TICK]);
    }
    let counters = fax.counters();
    assert_eq!(counters.datagrams, datagrams);
    assert_eq!((counters.received.received, counters.dropped), (0, 0));
    assert_eq!(fax.statistics().pages, 0);
}

/// Each in a thread of its own, and moved between two: spandsp keeps nothing that they would share.
#[test]
fn many_faxes_at_a_time_do_not_meet() {
    let Some(library) = library() else { return };
    thread::scope(|scope| {
        for name in ["thread-1", "thread-2", "thread-3", "thread-4"] {
            let library = library.clone();
            scope.spawn(move || {
                let report = send(&library, &Case::new(name, name < "thread-3"));
                assert_eq!(
                    (report.terminal.result, report.telephone.result),
                    (Some(0), Some(0))
                );
            });
        }
    });
    let fax = Fax::new(&library, &Parameters::default(), &Options::default()).unwrap();
    // The last that holds the library is the fax.
    drop(library);
    thread::spawn(move || drop(fax)).join().unwrap();
}

/// spandsp would take the low numbers of a peer that begins anew for late packets.
#[test]
fn a_peer_that_begins_anew_is_heard() {
    const SILENCE: &[u8] = &[0];
    const CED: &[u8] = &[4];
    let Some(library) = library() else { return };
    let mut fax = Fax::new(&library, &Parameters::default(), &Options::default()).unwrap();
    let mut datagram = Vec::new();
    let mut sends = |fax: &mut Fax, sender: &mut Sender, ifp: &[u8]| {
        sender.wrap(ifp, &mut datagram).unwrap();
        fax.datagram(&datagram).unwrap();
        let mut audio = [0; SAMPLES_PER_TICK];
        fax.tick(&mut audio, &mut |_| ());
        fax.missing_audio(SAMPLES_PER_TICK);
        audio.iter().any(|sample| *sample != 0)
    };
    let mut sender = Sender::new(ErrorCorrection::Redundancy, 3, 512);
    for _ in 0..300 {
        assert!(!sends(&mut fax, &mut sender, SILENCE));
    }
    let mut sender = Sender::new(ErrorCorrection::Redundancy, 3, 512);
    let heard = (0..100).filter(|_| sends(&mut fax, &mut sender, CED)).count();
    assert!(heard > 50, "{heard}");
    let counters = fax.counters();
    assert_eq!((counters.received.restarts, counters.refused), (1, 0));
}
