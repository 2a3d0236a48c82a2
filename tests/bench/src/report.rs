//! The results as text and as JSON.

mod sections;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use self::sections::{Row, SECTIONS, Section, title};
use crate::plan::Plan;
use crate::results::{Figure, Results};

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

impl Report {
    /// One page of text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (what, value) in &self.about {
            line(&mut text, &format!("{what}: {value}"));
        }
        for section in &SECTIONS {
            if section.rows.iter().any(|row| self.is_in(section, row)) {
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

    /// Whether anybody has this figure.
    fn is_in(&self, section: &Section, row: &Row) -> bool {
        let mut peers = section.peers.iter();
        peers.any(|peer| !self.results.runs(section.work, row.figure, peer).is_empty())
    }

    fn section(&self, section: &Section, text: &mut String) {
        line(text, "");
        line(text, &title(section.work, &self.plan));
        let mut head = format!("{:<36}{:>4}", "", "");
        for peer in section.peers {
            // Writing to a String cannot fail.
            let _ = write!(head, "{peer:>19}");
        }
        for pair in section.rivals {
            let _ = write!(head, "{:>18}", section.pair_text(*pair));
        }
        line(text, &head);
        for row in section.rows.iter().filter(|row| self.is_in(section, row)) {
            let mut cells = format!("{:<36}{:>4}", row.text, row.unit);
            for peer in section.peers {
                let spread = self.results.spread(section.work, row.figure, peer);
                let cell = spread.map_or("-".to_owned(), |spread| shown(spread.median));
                let _ = write!(cells, "{cell:>19}");
            }
            for pair in section.rivals {
                let ratio = self.ratio(section, row.figure, *pair);
                let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
                let _ = write!(cells, "{ratio:>18}");
            }
            line(text, &cells);
        }
    }

    /// One's to the other's, where it says something.
    fn ratio(
        &self,
        section: &Section,
        figure: Figure,
        (ours, theirs): (&'static str, &'static str),
    ) -> Option<f64> {
        self.results
            .ratio(section.work, figure, ours, theirs)
            .filter(|_| figure.is_comparable())
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
        let ratios: serde_json::Map<String, Value> = section
            .rivals
            .iter()
            .filter_map(|pair| {
                let ratio = self.ratio(section, row.figure, *pair)?;
                Some((section.pair_text(*pair), json!(ratio)))
            })
            .collect();
        (!peers.is_empty()).then(|| {
            json!({
                "work": key(&format!("{:?}", section.work)),
                "figure": key(&format!("{:?}", row.figure)),
                "unit": row.unit,
                "peers": peers,
                "ratios": ratios,
            })
        })
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "Medians of {} runs, each with a fresh program, in turn. The ratio is ours to theirs, run by run.\n\
             The highest rate of calls, memory, phones over WebSocket and instructions are measured once.",
            self.plan.runs
        )];
        notes.push(if self.is_pinned {
            "Programs have one processor, the phones another: full load is that of one processor. Where less than nine\n\
             tenths of it were in use, something else was the limit: the disk, the phones, or other programs. Phones and\n\
             callers look for what comes all the time, so that no program has to wake them."
                .to_owned()
        } else {
            "Programs and phones share processors: delays and full load say little.".to_owned()
        });
        notes.push(
            "At half load operations begin evenly spaced, half as many a second as the same program did at full load just\n\
             before. The time in the proxy is that from sending an INVITE to seeing it at the callee, or from sending a REGISTER\n\
             to its answer, by the kernel's clock at the phones: the network of this machine and the program's turns on its\n\
             processor are in it. Where its threads waited for a turn, others had that processor, if only for milliseconds.\n\
             Now and then means that each message finds a machine that sleeps and caches that are cold: most of what it takes is\n\
             the kernel's, to wake a thread, to hand a datagram over and to send one."
                .to_owned(),
        );
        notes.push(format!(
            "Registrations are in memory only, but those of viaduct-on-disk, which acknowledges a registration after it is\n\
             on disk: one fdatasync of a page takes {} µs there, and many registrations at a time share one.",
            shown(self.sync_time.as_secs_f64() * 1e6)
        ));
        notes.push(
            "Nobody logs calls and registrations. kamailio is started as Debian's unit starts it: eight processes and its default\n\
             allocator, but with 4096 MiB of shared memory (with its 64 it answers 500 at some 500 calls a second) and a receive buffer\n\
             as large as ours. kamailio-tuned also has the fastest of its allocators (-x fm -X fm), which nobody gets without\n\
             asking for it. rtpengine has no kernel module."
                .to_owned(),
        );
        notes.push(
            "What was answered is remembered for 32 s in viaduct and 5 s in Kamailio, so these runs end before viaduct\n\
             forgets it: a few hundred instructions for each."
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
    use crate::results::Work;

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
            .find(|line| line.starts_with("now and then: processor time"))
            .unwrap();
        let cells: Vec<&str> = row.split_whitespace().skip(6).collect();
        assert_eq!(cells, ["µs", "110", "220", "-", "0.50"]);
        let failed = lines.iter().find(|line| line.starts_with("  failed")).unwrap();
        assert_eq!(
            failed.split_whitespace().collect::<Vec<_>>(),
            ["failed", "0", "-", "-"]
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
        assert_eq!(figures[0]["ratios"], json!({ "to kamailio": 0.5 }));
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
