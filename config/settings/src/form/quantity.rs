//! Sizes (`64KiB`) and rates (`10/1m`).

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::number::digits;
use super::time::{DAY, SECOND, format_duration, parse_duration};
use crate::decode::{Fault, TextForm};
use crate::shape::Shape;

const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A size in bytes within bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SizeForm {
    min: u64,
    max: u64,
}

/// A size from `min` to `max` bytes.
pub(crate) fn size(min: u64, max: u64) -> SizeForm {
    SizeForm { min, max }
}

impl TextForm for SizeForm {
    type Value = usize;

    fn parse(&self, text: &str) -> Result<usize, Fault> {
        let Some(value) = parse_size(text) else {
            return Err(Fault::bad().help(size_suggestion(text)));
        };
        match usize::try_from(value) {
            Ok(bytes) if (self.min..=self.max).contains(&value) => Ok(bytes),
            _ => Err(Fault::range()),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: format!(
                "a size from {} to {}, such as `64KiB`",
                format_size(self.min),
                format_size(self.max)
            ),
            pattern: Some("^[0-9]+(B|KiB|MiB|GiB)$"),
        }
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let unit_start = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_start);
    let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

fn format_size(bytes: u64) -> String {
    let (unit, factor) = SIZE_UNITS
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// What was probably meant by `64 KB`, `64k` or `65536`.
fn size_suggestion(text: &str) -> Option<String> {
    let folded = text.replace(' ', "");
    let unit_start = folded.find(|c: char| !c.is_ascii_digit()).unwrap_or(folded.len());
    let (number, unit) = folded.split_at(unit_start);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => "B",
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        _ => return None,
    };
    parse_size(&format!("{number}{unit}")).map(|bytes| format!("write `{}`", format_size(bytes)))
}

/// So many events in a span of time, such as `10/1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many events are allowed within [`per`](Self::per).
    pub count: u32,
    /// The span of time.
    pub per: Duration,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, format_duration(self.per))
    }
}

/// A rate: a number, `/`, a duration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateForm;

/// A rate from one event a day to a million a second.
pub(crate) fn rate() -> RateForm {
    RateForm
}

const RATE_COUNT_MAX: u32 = 1_000_000;

impl TextForm for RateForm {
    type Value = Rate;

    fn parse(&self, text: &str) -> Result<Rate, Fault> {
        let Some((count, per)) = text.split_once('/') else {
            let help = digits(text).is_ok().then(|| format!("write `{text}/1s`"));
            return Err(Fault::bad().help(help));
        };
        let Some(per) = parse_duration(per) else {
            let with_one = format!("1{per}");
            let help = parse_duration(&with_one).map(|_| format!("write `{count}/{with_one}`"));
            return Err(Fault::bad().help(help));
        };
        match u32::try_from(digits(count)?) {
            Ok(count) if (1..=RATE_COUNT_MAX).contains(&count) && (SECOND..=DAY).contains(&per) => {
                Ok(Rate { count, per })
            }
            _ => Err(Fault::range()),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: format!("a rate such as `10/1m`, from 1 to {RATE_COUNT_MAX} in 1s to 1d"),
            pattern: Some("^[0-9]+/[0-9dhms.]+$"),
        }
    }
}

/// A rate per second.
#[derive(Debug, Clone)]
pub(crate) struct PerSecond(RangeInclusive<u32>);

/// How many a second, written as a rate in `1s`.
pub(crate) fn per_second(range: RangeInclusive<u32>) -> PerSecond {
    PerSecond(range)
}

impl TextForm for PerSecond {
    type Value = u32;

    fn parse(&self, text: &str) -> Result<u32, Fault> {
        let Some((count, per)) = text.split_once('/') else {
            let help = digits(text).is_ok().then(|| format!("write `{text}/1s`"));
            return Err(Fault::bad().help(help));
        };
        if parse_duration(per) != Some(SECOND) {
            return Err(Fault::bad().help("a number a second, such as `50/1s`".to_owned()));
        }
        match u32::try_from(digits(count)?) {
            Ok(count) if self.0.contains(&count) => Ok(count),
            _ => Err(Fault::range()),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: format!("a rate from {}/1s to {}/1s", self.0.start(), self.0.end()),
            pattern: Some("^[0-9]+/1s$"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    #[test]
    fn sizes_have_binary_units() {
        let form = size(1, 1 << 30);
        assert_eq!(form.parse("64KiB"), Ok(65_536));
        assert_eq!(form.parse("100B"), Ok(100));
        assert_eq!(form.parse("2GiB").unwrap_err().code, Code::OutOfRange);
        let help = |text: &str| form.parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("64KB"), "write `64KiB`");
        assert_eq!(help("64 k"), "write `64KiB`");
        assert_eq!(help("65536"), "write `64KiB`");
        assert_eq!(help("1.5MiB"), "");
        assert_eq!(help("99999999999999999999GiB"), "");
    }

    #[test]
    fn rates_are_a_number_in_a_time() {
        assert_eq!(rate().parse("10/1m").unwrap().to_string(), "10/1m");
        let help = |text: &str| rate().parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("10/m"), "write `10/1m`");
        assert_eq!(help("10"), "write `10/1s`");
        assert_eq!(rate().parse("0/1s").unwrap_err().code, Code::OutOfRange);
        assert_eq!(rate().parse("5/0s").unwrap_err().code, Code::OutOfRange);
        assert_eq!(rate().parse("x/1s").unwrap_err().code, Code::BadValue);
    }

    #[test]
    fn rates_per_second_have_no_other_span() {
        let form = per_second(1..=100);
        assert_eq!(form.parse("50/1s"), Ok(50));
        let help = |text: &str| form.parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("50"), "write `50/1s`");
        assert_eq!(help("50/1m"), "a number a second, such as `50/1s`");
        assert_eq!(form.parse("0/1s").unwrap_err().code, Code::OutOfRange);
        assert_eq!(form.parse("101/1s").unwrap_err().code, Code::OutOfRange);
    }
}
