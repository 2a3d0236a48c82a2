//! Whole numbers and switches.

use std::ops::RangeInclusive;

use crate::code::Code;
use crate::decode::{Fault, TextForm};
use crate::shape::Shape;

/// A whole number in decimal digits.
#[derive(Debug, Clone)]
pub(crate) struct Count(RangeInclusive<u32>);

/// A number of things.
pub(crate) fn count(range: RangeInclusive<u32>) -> Count {
    Count(range)
}

impl TextForm for Count {
    type Value = u32;

    fn parse(&self, text: &str) -> Result<u32, Fault> {
        let value = digits(text)?;
        match u32::try_from(value) {
            Ok(value) if self.0.contains(&value) => Ok(value),
            _ => Err(Fault::range()),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Whole {
            min: u64::from(*self.0.start()),
            max: u64::from(*self.0.end()),
        }
    }

    fn plain_only(&self) -> bool {
        true
    }
}

/// A number of things that memory is set aside for, or that are counted one by one.
#[derive(Debug, Clone)]
pub(crate) struct Amount(Count);

/// The same as [`count`], for fields that are a `usize`.
pub(crate) fn amount(range: RangeInclusive<u32>) -> Amount {
    Amount(Count(range))
}

impl TextForm for Amount {
    type Value = usize;

    fn parse(&self, text: &str) -> Result<usize, Fault> {
        usize::try_from(self.0.parse(text)?).map_err(|_| Fault::range())
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn plain_only(&self) -> bool {
        true
    }
}

/// A number with up to two decimals, not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(u64);

impl Decimal {
    /// It times 100.
    #[must_use]
    pub fn hundredths(self) -> u64 {
        self.0
    }
}

/// A number with up to two decimals, from 0 to `max`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DecimalForm {
    max: u32,
}

/// A number with up to two decimals, from 0 to `max`.
pub(crate) fn decimal(max: u32) -> DecimalForm {
    DecimalForm { max }
}

impl TextForm for DecimalForm {
    type Value = Decimal;

    fn parse(&self, text: &str) -> Result<Decimal, Fault> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let hundredths = match decimals.as_bytes() {
            [tenths @ b'0'..=b'9'] => u64::from(tenths - b'0') * 10,
            [tenths @ b'0'..=b'9', hundredths @ b'0'..=b'9'] => {
                u64::from(tenths - b'0') * 10 + u64::from(hundredths - b'0')
            }
            _ => return Err(Fault::bad()),
        };
        let value = digits(whole)?
            .checked_mul(100)
            .and_then(|whole| whole.checked_add(hundredths));
        match value {
            Some(value) if value <= u64::from(self.max) * 100 => Ok(Decimal(value)),
            _ => Err(Fault::range()),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Decimal { max: self.max }
    }

    fn plain_only(&self) -> bool {
        true
    }
}

/// A UDP or TCP port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Port;

/// A port, 1 to 65535.
pub(crate) fn port() -> Port {
    Port
}

impl TextForm for Port {
    type Value = u16;

    fn parse(&self, text: &str) -> Result<u16, Fault> {
        match u16::try_from(digits(text)?) {
            Ok(value) if value > 0 => Ok(value),
            _ => Err(Fault::range()),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Whole { min: 1, max: 65_535 }
    }

    fn plain_only(&self) -> bool {
        true
    }
}

/// Decimal digits; more than fit saturate, so that the range check refuses them.
pub(crate) fn digits(text: &str) -> Result<u64, Fault> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text.parse().unwrap_or(u64::MAX));
    }
    let only_digits: String = text
        .chars()
        .filter(|c| !matches!(c, '_' | ',' | ' ' | '\''))
        .collect();
    let is_number = !only_digits.is_empty() && only_digits.bytes().all(|b| b.is_ascii_digit());
    let help = is_number.then(|| format!("write `{only_digits}`"));
    let negative = text
        .strip_prefix('-')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    Err(if negative {
        Fault::range()
    } else {
        Fault::bad().help(help)
    })
}

/// `true` or `false`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switch;

/// A switch: `true` or `false` and nothing else.
pub(crate) fn switch() -> Switch {
    Switch
}

impl TextForm for Switch {
    type Value = bool;

    fn parse(&self, text: &str) -> Result<bool, Fault> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => {
                let help = match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "1" | "y" | "true" | "enabled" => Some("write `true`"),
                    "no" | "off" | "0" | "n" | "false" | "disabled" => Some("write `false`"),
                    _ => None,
                };
                Err(Fault {
                    code: Code::UnknownChoice,
                    ..Fault::bad().help(help.map(str::to_owned))
                })
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::Switch
    }

    fn plain_only(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_plain_decimal_digits_within_bounds() {
        let form = count(1..=1000);
        assert_eq!(form.parse("1000"), Ok(1000));
        for text in ["0", "1001", "-1", "99999999999999999999999"] {
            assert_eq!(form.parse(text).unwrap_err().code, Code::OutOfRange, "{text}");
        }
        for text in ["", "1e3", "0x10", "+5", "1.0", "ten", "-"] {
            assert_eq!(form.parse(text).unwrap_err().code, Code::BadValue, "{text}");
        }
        assert_eq!(
            form.parse("1,000").unwrap_err().help.as_deref(),
            Some("write `1000`")
        );
        assert_eq!(port().parse("0").unwrap_err().code, Code::OutOfRange);
        assert_eq!(port().parse("65535"), Ok(65535));
        assert_eq!(port().parse("65536").unwrap_err().code, Code::OutOfRange);
    }

    #[test]
    fn decimals_have_two_places_at_most() {
        let form = decimal(100);
        for (text, hundredths) in [
            ("0", 0),
            ("4", 400),
            ("4.5", 450),
            ("04.05", 405),
            ("100.00", 10_000),
        ] {
            assert_eq!(
                form.parse(text).map(Decimal::hundredths),
                Ok(hundredths),
                "{text}"
            );
        }
        for text in ["100.01", "101", "99999999999999999999", "-1"] {
            assert_eq!(form.parse(text).unwrap_err().code, Code::OutOfRange, "{text}");
        }
        for text in ["", ".", ".5", "5.", "1.234", "1,5", "4.5.6", "80%", "1.x"] {
            assert_eq!(form.parse(text).unwrap_err().code, Code::BadValue, "{text}");
        }
    }

    #[test]
    fn switches_know_two_words() {
        assert_eq!(switch().parse("true"), Ok(true));
        assert_eq!(
            switch().parse("yes").unwrap_err().help.as_deref(),
            Some("write `true`")
        );
        assert_eq!(
            switch().parse("Off").unwrap_err().help.as_deref(),
            Some("write `false`")
        );
        assert_eq!(switch().parse("maybe").unwrap_err().help, None);
    }
}
