//! Pages through a gateway, in virtual time: a fax machine that speaks T.38 at one end and one at a telephone line at the other,
//! in both directions, with and without losses. Skipped, with the reason, where spandsp is not installed.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a failed expectation is a failed test, a skipped one says why, and machines have their pages in files"
)]

mod hostile;
#[expect(unsafe_code, reason = "spandsp is a library in C")]
mod machines;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use machines::{Outcome, Task, Telephone, Terminal, pages};
use viaduct_fax::parameters::{Options, Parameters};
use viaduct_fax::spandsp::Library;
use viaduct_fax::udptl::{self, ErrorCorrection, Limits, Receiver, Sender};
use viaduct_fax::{Counters, Fax, SAMPLES_PER_TICK};

/// Octets of a row: 1,728 columns.
const ROW: usize = 216;
const ROWS: usize = 300;
/// Ticks that a datagram takes: 60 ms.
const DELAY: usize = 3;
/// Ticks until a fax has failed: five minutes.
const TICKS_MAX: usize = 15_000;

/// spandsp, or a line that says why the test is skipped.
fn library() -> Option<Library> {
    match Library::load() {
        Ok(library) => Some(library),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// A page that is hard to mistake: every row has other bars, and none repeats soon.
fn page() -> Vec<Vec<u8>> {
    let row = |row: usize| {
        let bar = |column: usize| (column / (9 + row % 23) + row / 7).is_multiple_of(5);
        let octet = |octet: usize| (0..8).fold(0, |bits, bit| bits << 1 | u8::from(bar(octet * 8 + bit)));
        (0..ROW).map(octet).collect()
    };
    (0..ROWS).map(row).collect()
}

/// A TIFF file of one page, not compressed, with the tags that fax machines ask for.
fn tiff(page: &[Vec<u8>]) -> Vec<u8> {
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    const RATIONAL: u16 = 5;
    let image = page.concat();
    let behind = 8 + image.len() as u32;
    // Behind the directory of fourteen entries stand the resolutions.
    let tags: [(u16, u16, u32); 14] = [
        (254, LONG, 2),                                // NewSubfileType: a page of several
        (256, LONG, 8 * ROW as u32),                   // ImageWidth
        (257, LONG, page.len() as u32),                // ImageLength
        (258, SHORT, 1),                               // BitsPerSample
        (259, SHORT, 1),                               // Compression: none
        (262, SHORT, 0),                               // PhotometricInterpretation: 0 is white
        (273, LONG, 8),                                // StripOffsets
        (274, SHORT, 1),                               // Orientation
        (277, SHORT, 1),                               // SamplesPerPixel
        (278, LONG, page.len() as u32),                // RowsPerStrip
        (279, LONG, image.len() as u32),               // StripByteCounts
        (282, RATIONAL, behind + 2 + 14 * 12 + 4),     // XResolution
        (283, RATIONAL, behind + 2 + 14 * 12 + 4 + 8), // YResolution
        (296, SHORT, 2),                               // ResolutionUnit: inch
    ];
    let mut octets = b"II*\0".to_vec();
    octets.extend(behind.to_le_bytes());
    octets.extend(image);
    octets.extend((tags.len() as u16).to_le_bytes());
    for (tag, kind, value) in tags {
        octets.extend(tag.to_le_bytes());
        octets.extend(kind.to_le_bytes());
        octets.extend(1_u32.to_le_bytes());
        octets.extend(value.to_le_bytes());
    }
    octets.extend(0_u32.to_le_bytes());
    for number in [204_u32, 1, 98, 1] {
        octets.extend(number.to_le_bytes());
    }
    octets
}

/// A network that takes its time, and loses some of what it is given, always the same.
struct Network {
    loss_percent: u32,
    random: u32,
    under_way: VecDeque<(usize, Vec<u8>)>,
    lost: usize,
}

impl Network {
    fn new(loss_percent: u32, seed: u32) -> Self {
        Self {
            loss_percent,
            random: seed,
            under_way: VecDeque::new(),
            lost: 0,
        }
    }

    fn send(&mut self, now: usize, datagram: &[u8]) {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if (self.random >> 16) % 100 < self.loss_percent {
            self.lost += 1;
        } else {
            self.under_way.push_back((now + DELAY, datagram.to_vec()));
        }
    }

    fn arrives(&mut self, now: usize) -> Option<Vec<u8>> {
        self.under_way
            .pop_front_if(|(at, _)| *at <= now)
            .map(|(_, datagram)| datagram)
    }
}

/// A fax to be sent.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    /// From the machine that speaks T.38, or to it.
    from_t38: bool,
    ecm: bool,
    loss_percent: u32,
    correction: ErrorCorrection,
    version: u8,
    options: Options,
}

impl Case {
    fn new(name: &'static str, from_t38: bool) -> Self {
        Self {
            name,
            from_t38,
            ecm: false,
            loss_percent: 0,
            correction: ErrorCorrection::Redundancy,
            version: 0,
            options: Options::default(),
        }
    }
}

/// What came of it.
#[derive(Debug)]
struct Report {
    terminal: Outcome,
    telephone: Outcome,
    /// Of the gateway.
    counters: Counters,
    /// Of the machine that speaks T.38.
    received: udptl::Counters,
    statistics: viaduct_fax::spandsp::Statistics,
    /// Datagrams that the network lost, on the way to the gateway and back.
    lost: [usize; 2],
}

fn send(library: &Library, case: &Case) -> Report {
    let file = |what: &str| -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{what}.tif", case.name))
    };
    let (original, copy) = (file("sent"), file("received"));
    fs::write(&original, tiff(&page())).unwrap();
    let _ = fs::remove_file(&copy);
    let (of_terminal, of_telephone) = if case.from_t38 {
        (Task::Send(&original), Task::Receive(&copy))
    } else {
        (Task::Receive(&copy), Task::Send(&original))
    };
    let parameters = Parameters {
        version: case.version,
        error_correction: case.correction,
        ..Parameters::default()
    };
    let mut terminal = Terminal::new(of_terminal, case.ecm, case.version);
    let mut telephone = Telephone::new(of_telephone, case.ecm);
    let mut fax = Fax::new(library, &parameters, &case.options).unwrap();
    let mut sender = Sender::new(case.correction, 3, 512);
    let mut receiver = Receiver::new(Limits::default());
    let (mut to_gateway, mut to_terminal) = (
        Network::new(case.loss_percent, 1),
        Network::new(case.loss_percent, 2),
    );
    let mut datagram = Vec::new();
    let mut ticks = 0;
    while ticks < TICKS_MAX && (terminal.outcome().result.is_none() || telephone.outcome().result.is_none()) {
        ticks += 1;
        for packet in terminal.pass(SAMPLES_PER_TICK) {
            sender.wrap(&packet.ifp, &mut datagram).unwrap();
            for _ in 0..packet.copies {
                to_gateway.send(ticks, &datagram);
            }
        }
        while let Some(datagram) = to_gateway.arrives(ticks) {
            fax.datagram(&datagram).unwrap();
        }
        let mut audio = [0; SAMPLES_PER_TICK];
        telephone.say(&mut audio);
        fax.audio(&mut audio);
        fax.tick(&mut audio, &mut |datagram| to_terminal.send(ticks, datagram));
        telephone.hear(&mut audio);
        while let Some(datagram) = to_terminal.arrives(ticks) {
            receiver
                .take(&datagram, |sequence, ifp| terminal.take(sequence, ifp))
                .unwrap();
        }
    }
    Report {
        terminal: terminal.outcome(),
        telephone: telephone.outcome(),
        counters: fax.counters(),
        received: receiver.counters(),
        statistics: fax.statistics(),
        lost: [to_gateway.lost, to_terminal.lost],
    }
}

/// Sends a fax, and checks that the page came as it was.
fn arrives(case: Case) -> Option<Report> {
    let library = library()?;
    let report = send(&library, &case);
    println!("{case:?}: {report:?}");
    let good = Outcome {
        result: Some(0),
        pages: 1,
        bad_rows: 0,
    };
    assert_eq!(
        (report.terminal, report.telephone),
        (good, good),
        "{case:?}: {report:?}"
    );
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-received.tif", case.name));
    let copy = pages(&copy);
    assert_eq!(copy.len(), 1);
    assert!(copy[0] == page(), "{case:?}: the page has changed");
    assert_eq!((report.counters.refused, report.counters.dropped), (0, 0));
    assert_eq!((report.statistics.pages, report.statistics.ecm), (1, case.ecm));
    Some(report)
}

#[test]
fn a_page_goes_from_t38_to_a_telephone_line() {
    let report = arrives(Case::new("from-t38", true));
    assert!(report.is_none_or(|report| report.statistics.bit_rate == 14_400 && report.lost == [0, 0]));
}

#[test]
fn a_page_goes_from_a_telephone_line_to_t38() {
    let report = arrives(Case::new("to-t38", false));
    assert!(report.is_none_or(|report| report.statistics.bit_rate == 14_400 && report.lost == [0, 0]));
}

/// Every twentieth datagram is lost on the way, of both directions.
fn survives_losses(case: Case) {
    let case = Case {
        loss_percent: 5,
        ..case
    };
    let Some(report) = arrives(case) else { return };
    assert!(report.lost[0] + report.lost[1] > 5, "{report:?}");
    let sides = [report.counters.received, report.received];
    assert!(sides.iter().any(|side| side.recovered > 10), "{report:?}");
    assert!(
        sides.iter().all(|side| (side.lost, side.malformed) == (0, 0)),
        "{report:?}"
    );
}

#[test]
fn redundancy_mends_losses_on_the_way_from_t38() {
    survives_losses(Case::new("from-t38-redundancy", true));
}

#[test]
fn redundancy_mends_losses_on_the_way_to_t38() {
    survives_losses(Case::new("to-t38-redundancy", false));
}

#[test]
fn parities_mend_losses_on_the_way_from_t38() {
    survives_losses(Case {
        correction: ErrorCorrection::Fec,
        ..Case::new("from-t38-fec", true)
    });
}

#[test]
fn parities_mend_losses_on_the_way_to_t38() {
    survives_losses(Case {
        correction: ErrorCorrection::Fec,
        ..Case::new("to-t38-fec", false)
    });
}

#[test]
fn pages_with_error_correction_mode_survive_losses() {
    for from_t38 in [true, false] {
        survives_losses(Case {
            ecm: true,
            ..Case::new(if from_t38 { "from-t38-ecm" } else { "to-t38-ecm" }, from_t38)
        });
    }
}

/// Error correction mode asks again for what is missing, so it needs none of T.38's.
#[test]
fn error_correction_mode_mends_what_nothing_else_does() {
    let Some(report) = arrives(Case {
        ecm: true,
        loss_percent: 1,
        correction: ErrorCorrection::None,
        ..Case::new("ecm-alone", true)
    }) else {
        return;
    };
    assert!(report.counters.received.lost > 0, "{report:?}");
}

#[test]
fn later_versions_are_spoken() {
    for version in 1..=3 {
        for from_t38 in [true, false] {
            arrives(Case {
                ecm: true,
                version,
                ..Case::new("version", from_t38)
            });
        }
    }
}

#[test]
fn what_is_not_allowed_is_not_used() {
    let without = |flags: &[&str]| {
        let mut options = Options::default();
        assert!(flags.iter().all(|flag| options.forbid(flag)));
        options
    };
    for from_t38 in [true, false] {
        let report = arrives(Case {
            options: without(&["no-V.17"]),
            ..Case::new("no-v17", from_t38)
        });
        assert!(report.is_none_or(|report| report.statistics.bit_rate == 9_600));
        let report = arrives(Case {
            options: without(&["no-V.17", "no-V.29"]),
            ..Case::new("no-v17-no-v29", from_t38)
        });
        assert!(report.is_none_or(|report| report.statistics.bit_rate == 4_800));
    }
    // Both machines can do it, and do without: `arrives` compares with what the case has.
    let Some(library) = library() else { return };
    let options = without(&["no-ecm"]);
    let report = send(
        &library,
        &Case {
            ecm: true,
            options,
            ..Case::new("no-ecm", false)
        },
    );
    assert_eq!(
        (report.terminal.result, report.statistics.ecm),
        (Some(0), false),
        "{report:?}"
    );
}
