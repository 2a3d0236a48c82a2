//! The results as text and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::plan::Plan;
use crate::results::{Figure, Results, Work};

/// Results, and what one must know to read them.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was measured.
    pub results: Results,
    /// What was done.
    pub plan: Plan,
    /// The machine, the versions.
    pub about: Vec<(&'static str, String)>,
    /// What one `fdatasync` of a page takes where the store is.
    pub sync_time: Duration,
    /// Programs had a processor of their own.
    pub is_pinned: bool,
}

/// One table.
struct Section {
    work: Work,
    peers: &'static [&'static str],
    /// Ours and theirs, for the ratio.
    compared: [&'static str; 2],
    rows: &'static [Row],
}

struct Row {
    figure: Figure,
    text: &'static str,
    unit: &'static str,
}

const fn row(figure: Figure, text: &'static str, unit: &'static str) -> Row {
    Row { figure, text, unit }
}

const SIGNALLING: &[Row] = &[
    row(Figure::Processor, "processor time, each", "µs"),
    row(Figure::HalfWithin, "delay p50", "µs"),
    row(Figure::MostWithin, "delay p99", "µs"),
    row(Figure::Failed, "failed", ""),
    row(Figure::Others, "machine used by others", "%"),
    row(Figure::Rate, "at full load: each second", "1/s"),
    row(Figure::Messages, "  SIP messages each second", "1/s"),
    row(Figure::Busy, "  processor in use", "%"),
    row(Figure::FullProcessor, "  processor time, each", "µs"),
    row(Figure::Kernel, "  of it in the kernel", "%"),
    row(Figure::FullHalfWithin, "  delay p50", "µs"),
    row(Figure::FullMostWithin, "  delay p99", "µs"),
    row(Figure::FullFailed, "  failed", ""),
    row(Figure::FullOthers, "  machine used by others", "%"),
];

const MEDIA: &[Row] = &[
    row(Figure::Processor, "processor time, each packet", "µs"),
    row(Figure::Kernel, "  of it in the kernel", "%"),
    row(Figure::HalfWithin, "delay p50", "µs"),
    row(Figure::MostWithin, "delay p99", "µs"),
    row(Figure::Lost, "lost", "%"),
    row(Figure::Wrong, "damaged or twice", ""),
    row(Figure::Others, "machine used by others", "%"),
    row(Figure::Memory, "memory, each call", "KiB"),
    row(Figure::SetUp, "set-up: processor time, each call", "µs"),
    row(Figure::CommandHalfWithin, "  offer or answer p50", "µs"),
    row(Figure::CommandMostWithin, "  offer or answer p99", "µs"),
];

const PROXIES: &[&str] = &["viaduct", "kamailio"];
const REGISTRARS: &[&str] = &["viaduct", "viaduct-on-disk", "kamailio"];
const RELAYS: &[&str] = &["viaduct-relay", "rtpengine"];

const SECTIONS: [Section; 5] = [
    Section {
        work: Work::Register,
        peers: PROXIES,
        compared: [PROXIES[0], PROXIES[1]],
        rows: SIGNALLING,
    },
    Section {
        work: Work::RegisterDigest,
        peers: REGISTRARS,
        compared: [PROXIES[0], PROXIES[1]],
        rows: SIGNALLING,
    },
    Section {
        work: Work::Call,
        peers: PROXIES,
        compared: [PROXIES[0], PROXIES[1]],
        rows: SIGNALLING,
    },
    Section {
        work: Work::Plain,
        peers: RELAYS,
        compared: [RELAYS[0], RELAYS[1]],
        rows: MEDIA,
    },
    Section {
        work: Work::Sdes,
        peers: RELAYS,
        compared: [RELAYS[0], RELAYS[1]],
        rows: MEDIA,
    },
];

impl Report {
    /// One page of text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (what, value) in &self.about {
            line(&mut text, &format!("{what}: {value}"));
        }
        for section in &SECTIONS {
            if section
                .peers
                .iter()
                .any(|peer| self.has(section.work, Figure::Processor, peer))
            {
                self.section(section, &mut text);
            }
        }
        line(&mut text, "");
        for note in self.notes() {
            line(&mut text, &note);
        }
        text
    }

    /// The same, with the figure of every run.
    #[must_use]
    pub fn json(&self) -> Value {
        let about: serde_json::Map<String, Value> = self
            .about
            .iter()
            .map(|(what, value)| ((*what).to_owned(), json!(value)))
            .collect();
        let mut rows = Vec::new();
        for section in &SECTIONS {
            for row in section.rows {
                rows.extend(self.row_json(section, row));
            }
        }
        json!({
            "about": about,
            "runs": self.plan.runs,
            "pinned": self.is_pinned,
            "fdatasync_us": self.sync_time.as_secs_f64() * 1e6,
            "figures": rows,
            "failures": self.results.reasons,
            "notes": self.notes(),
        })
    }

    fn has(&self, work: Work, figure: Figure, peer: &'static str) -> bool {
        !self.results.runs(work, figure, peer).is_empty()
    }

    fn section(&self, section: &Section, text: &mut String) {
        line(text, "");
        line(text, &self.title(section.work));
        let mut head = format!("{:<36}{:>4}", "", "");
        for peer in section.peers {
            // Writing to a String cannot fail.
            let _ = write!(head, "{peer:>19}");
        }
        let _ = write!(head, "{:>9}", "ratio");
        line(text, &head);
        let is_there = |row: &&Row| {
            section
                .peers
                .iter()
                .any(|peer| self.has(section.work, row.figure, peer))
        };
        for row in section.rows.iter().filter(is_there) {
            let mut cells = format!("{:<36}{:>4}", row.text, row.unit);
            for peer in section.peers {
                let spread = self.results.spread(section.work, row.figure, peer);
                let cell = spread.map_or("-".to_owned(), |spread| shown(spread.median));
                let _ = write!(cells, "{cell:>19}");
            }
            let ratio = self.ratio(section, row.figure);
            let _ = write!(
                cells,
                "{:>9}",
                ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"))
            );
            line(text, &cells);
        }
    }

    /// Ours to theirs.
    fn ratio(&self, section: &Section, figure: Figure) -> Option<f64> {
        let [ours, theirs] = section.compared;
        let is_comparable = !matches!(
            figure,
            Figure::Kernel | Figure::Busy | Figure::Others | Figure::FullOthers
        );
        self.results
            .ratio(section.work, figure, ours, theirs)
            .filter(|_| is_comparable)
    }

    fn row_json(&self, section: &Section, row: &Row) -> Option<Value> {
        let mut peers = serde_json::Map::new();
        for peer in section.peers {
            if let Some(spread) = self.results.spread(section.work, row.figure, peer) {
                let runs = self.results.runs(section.work, row.figure, peer);
                let figures =
                    json!({ "median": spread.median, "min": spread.min, "max": spread.max, "runs": runs });
                peers.insert((*peer).to_owned(), figures);
            }
        }
        (!peers.is_empty()).then(|| {
            json!({
                "work": key(&format!("{:?}", section.work)),
                "figure": key(&format!("{:?}", row.figure)),
                "unit": row.unit,
                "peers": peers,
                "ratio": self.ratio(section, row.figure),
            })
        })
    }

    fn title(&self, work: Work) -> String {
        let plan = &self.plan;
        let (register, call) = (plan.register, plan.call);
        let media = format!(
            "{} calls, 50 packets a second each way, G.711 in 20 ms packets",
            plan.media_calls
        );
        let registrations = |what: &str| {
            format!(
                "Registrations: {what}; {} phones over UDP.\nAt {} a second; at full load {} at a time.",
                2 * plan.pairs,
                register.paced_per_second,
                register.window
            )
        };
        match work {
            Work::Register => registrations("REGISTER, 200"),
            Work::RegisterDigest => registrations("REGISTER, 401, REGISTER with MD5 digest, 200"),
            Work::Call => format!(
                "Calls: INVITE, 100, 180, 200, ACK, BYE, 200 between UDP phones, with Record-Route, without relay and passwords;\n\
                 the delay is that from INVITE to 200. At {} a second; at full load {} at a time.",
                call.paced_per_second, call.window
            ),
            Work::Plain => format!("Media, RTP to RTP: {media}."),
            Work::Sdes => format!("Media, SRTP (AES_CM_128_HMAC_SHA1_80, keys in SDP) to RTP: {media}."),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "Medians of {} runs, each with a fresh program, in turn. The ratio is ours to theirs, run by run.",
            self.plan.runs
        )];
        notes.push(if self.is_pinned {
            "Programs have one processor, the phones another: full load is that of one processor. Where less than nine\n\
             tenths of it were in use, something else was the limit: the disk, the phones, or other programs."
                .to_owned()
        } else {
            "Programs and phones share processors: delays and full load say little.".to_owned()
        });
        notes.push(format!(
            "Registrations are in memory only, but those of viaduct-on-disk, which acknowledges a registration after it is\n\
             on disk: one fdatasync of a page takes {} µs there, and many registrations at a time share one.",
            shown(self.sync_time.as_secs_f64() * 1e6)
        ));
        notes.push(
            "Nobody logs calls and registrations. Kamailio has its eight processes and its fastest allocator (-x fm -X fm); rtpengine has no kernel module."
                .to_owned(),
        );
        notes.push(
            "Transactions that are over stay for 32 s in viaduct and 5 s in Kamailio, so these runs end before viaduct\n\
             removes its own (a tenth more), and while its memory still grows (which costs as much)."
                .to_owned(),
        );
        if !self.results.reasons.is_empty() {
            let reasons = self.results.reasons.iter();
            let reasons: Vec<String> = reasons
                .map(|(reason, count)| format!("{reason} ({count})"))
                .collect();
            notes.push(format!("Failures: {}.", reasons.join(", ")));
        }
        notes
    }
}

/// Three digits are enough.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        magnitude if magnitude < 0.995 => format!("{value:.3}"),
        magnitude if magnitude < 9.95 => format!("{value:.2}"),
        magnitude if magnitude < 99.5 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// `FullHalfWithin` as `full_half_within`.
fn key(name: &str) -> String {
    let mut key = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !key.is_empty() {
            key.push('_');
        }
        key.extend(letter.to_lowercase());
    }
    key
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(results: Results) -> Report {
        Report {
            results,
            plan: Plan::quick(),
            about: vec![("kernel", "6".to_owned())],
            sync_time: Duration::from_micros(1_500),
            is_pinned: true,
        }
    }

    fn two_runs() -> Results {
        let mut results = Results::default();
        for (ours, theirs) in [(100.0, 200.0), (120.0, 240.0)] {
            results.add(Work::Call, Figure::Processor, "viaduct", ours);
            results.add(Work::Call, Figure::Processor, "kamailio", theirs);
        }
        results.add(Work::Call, Figure::Failed, "viaduct", 0.0);
        results
    }

    #[test]
    fn a_table_has_medians_and_ratios_of_what_was_measured() {
        let text = report(two_runs()).text();
        let lines: Vec<&str> = text.lines().collect();
        let row = lines
            .iter()
            .find(|line| line.starts_with("processor time"))
            .unwrap();
        let cells: Vec<&str> = row.split_whitespace().skip(3).collect();
        assert_eq!(cells, ["µs", "110", "220", "0.50"]);
        let failed = lines.iter().find(|line| line.starts_with("failed")).unwrap();
        assert_eq!(
            failed.split_whitespace().collect::<Vec<_>>(),
            ["failed", "0", "-"]
        );
        assert!(!text.contains("Registrations:") && !text.contains("Media,"));
        assert!(!text.contains("delay p50"));
    }

    #[test]
    fn json_has_every_run() {
        let json = report(two_runs()).json();
        let figures = json["figures"].as_array().unwrap();
        assert_eq!(figures.len(), 2);
        assert_eq!(
            (&figures[0]["work"], &figures[0]["figure"]),
            (&json!("call"), &json!("processor"))
        );
        assert_eq!(figures[0]["peers"]["kamailio"]["runs"], json!([200.0, 240.0]));
        assert_eq!(figures[0]["ratio"], json!(0.5));
        assert_eq!(figures[1]["peers"]["kamailio"], Value::Null);
        assert_eq!(json["fdatasync_us"], json!(1_500.0));
    }

    #[test]
    fn failures_are_told_with_their_reasons() {
        let mut results = two_runs();
        results.reasons.insert("kamailio: no answer".to_owned(), 3);
        assert!(
            report(results)
                .text()
                .contains("Failures: kamailio: no answer (3).")
        );
    }

    #[test]
    fn three_digits_are_shown() {
        let shown = [0.0, 0.0123, 1.234, 9.96, 45.67, 99.6, 12_345.6].map(shown);
        assert_eq!(shown, ["0", "0.012", "1.23", "10.0", "45.7", "100", "12346"]);
        assert_eq!(key("FullHalfWithin"), "full_half_within");
    }
}
