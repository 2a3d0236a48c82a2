//! Durations: `30s`, `1m30s`, `2.5s`, `500ms`, `500us`, `7d`.

use std::time::Duration;

use crate::decode::{Fault, TextForm};
use crate::shape::Shape;

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// Units from large to small, with their microseconds.
const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", MICROS_PER_SECOND),
    ("ms", 1_000),
    ("us", 1),
];

const MICROS_PER_SECOND: u64 = 1_000_000;

/// A length of time within bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DurationForm {
    min: Duration,
    max: Duration,
}

/// A duration from `min` to `max`.
pub(crate) fn duration(min: Duration, max: Duration) -> DurationForm {
    DurationForm { min, max }
}

impl TextForm for DurationForm {
    type Value = Duration;

    fn parse(&self, text: &str) -> Result<Duration, Fault> {
        let Some(value) = parse_duration(text) else {
            return Err(Fault::bad().help(self.with_unit(text).or_else(|| suggestion(text))));
        };
        if (self.min..=self.max).contains(&value) {
            Ok(value)
        } else {
            Err(Fault::range())
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: format!(
                "a duration from {} to {}, such as `30s`, `1m30s` or `500ms`",
                format_duration(self.min),
                format_duration(self.max)
            ),
            pattern: Some(r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+(\.[0-9]+)?s)?([0-9]+ms)?([0-9]+us)?$"),
        }
    }
}

impl DurationForm {
    /// What a bare number was probably meant to be: seconds, or a smaller unit if seconds are too many.
    fn with_unit(self, text: &str) -> Option<String> {
        let fits = |unit: &&str| {
            let value = parse_duration(&format!("{text}{unit}"));
            value.is_some_and(|value| (self.min..=self.max).contains(&value))
        };
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let unit = ["s", "ms", "us"].into_iter().find(fits).filter(|_| is_number)?;
        Some(format!("add the unit: `{text}{unit}`"))
    }
}

/// Numbers with units, each unit once and from large to small; a fraction in seconds only.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, micros) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *micros)?)?;
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::from_micros(total))
}

/// `number` times `micros`; a fraction of up to three digits where the unit is the second.
fn scaled(number: &str, micros: u64) -> Option<u64> {
    match number.split_once('.') {
        Some((_, fraction)) if micros != MICROS_PER_SECOND || fraction.len() > 3 => None,
        _ => scaled_fraction(number, micros),
    }
}

/// The same with a fraction of up to three digits of any unit.
fn scaled_fraction(number: &str, micros: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !(1..=3).contains(&fraction.len()) {
        return None;
    }
    let thousandths: u64 = format!("{fraction:0<3}").parse().ok()?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(micros)?;
    whole.checked_add(thousandths * micros / 1_000)
}

/// The one spelling of a duration; the inverse of [`parse_duration`] for whole microseconds.
pub(crate) fn format_duration(duration: Duration) -> String {
    const MICROS_PER_MILLI: u64 = 1_000;
    let mut left = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, micros) in UNITS {
        let n = left / micros;
        if n == 0 {
            continue;
        }
        left %= micros;
        if unit == "s" && left > 0 && left.is_multiple_of(MICROS_PER_MILLI) {
            let fraction = format!("{:03}", left / MICROS_PER_MILLI);
            text.push_str(&format!("{n}.{}s", fraction.trim_end_matches('0')));
            break;
        }
        text.push_str(&format!("{n}{unit}"));
    }
    text
}

/// What was probably meant, if it is a duration in other words.
fn suggestion(text: &str) -> Option<String> {
    const LENGTH_MAX: usize = 40;
    if text.is_empty() || text.len() > LENGTH_MAX {
        return None;
    }
    let mut folded = text.to_ascii_lowercase().replace([' ', '_'], "");
    for (words, unit) in [
        (&["microseconds", "microsecond", "usec", "µs", "μs"][..], "us"),
        (&["milliseconds", "millisecond", "msec"], "ms"),
        (&["seconds", "second", "secs", "sec"], "s"),
        (&["minutes", "minute", "mins", "min"], "m"),
        (&["hours", "hour", "hrs", "hr"], "h"),
        (&["days", "day"], "d"),
    ] {
        for word in words {
            folded = folded.replace(word, unit);
        }
    }
    let meant = parse_duration(&folded).or_else(|| {
        // A fraction of another unit than the second.
        let unit_start = folded.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, unit) = folded.split_at(unit_start);
        let (_, micros) = UNITS.iter().find(|(name, _)| *name == unit)?;
        scaled_fraction(number, *micros).map(Duration::from_micros)
    })?;
    Some(format!("write `{}`", format_duration(meant)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(text: &str) -> Option<u128> {
        parse_duration(text).map(|duration| duration.as_millis())
    }

    #[test]
    fn durations_have_units_from_large_to_small() {
        assert_eq!(ms("30s"), Some(30_000));
        assert_eq!(ms("1m30s"), Some(90_000));
        assert_eq!(ms("2.5s"), Some(2_500));
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("1d2h3m4s5ms"), Some(93_784_005));
        assert_eq!(ms("0s"), Some(0));
        assert_eq!(parse_duration("500us"), Some(Duration::from_micros(500)));
        for text in [
            "",
            "30",
            "s",
            "30s1m",
            "1us1ms",
            "1m1m",
            "1.5m",
            "1..5s",
            "1.2345s",
            "-1s",
            "30 s",
            "1e3s",
            "99999999999999999999d",
        ] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn near_misses_are_explained() {
        let help = |text: &str| {
            duration(SECOND, DAY)
                .parse(text)
                .unwrap_err()
                .help
                .unwrap_or_default()
        };
        assert_eq!(help("30"), "add the unit: `30s`");
        assert_eq!(help("30 s"), "write `30s`");
        assert_eq!(help("5 min"), "write `5m`");
        assert_eq!(help("90 Seconds"), "write `1m30s`");
        assert_eq!(help("1.5m"), "write `1m30s`");
        assert_eq!(help("2.5 s"), "write `2.5s`");
        assert_eq!(help("900000"), "add the unit: `900000ms`");
        assert_eq!(help("1.5ms"), "write `1ms500us`");
        assert_eq!(help("500 µs"), "write `500us`");
        assert_eq!(help("soon"), "");
    }

    proptest! {
        #[test]
        fn formatting_and_parsing_are_inverse(micros in 0_u64..1_000_000_000_000_000) {
            let duration = Duration::from_micros(micros);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,20}|[0-9.dhmsu]{0,20}") {
            let _ = duration(SECOND, DAY).parse(&text);
        }
    }
}
