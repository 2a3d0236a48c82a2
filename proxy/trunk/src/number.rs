//! Telephone numbers: from what people dial to E.164, and from E.164 to what a carrier wants to read.

use std::borrow::Cow;

use crate::Pattern;

/// How numbers are dialled here.
///
/// Names, extensions and everything else that is no dialled number of the outside world passes unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberPlan {
    /// The country code without `+`: `49`. Without one only [`rules`](Self::rules) change anything.
    pub country: Option<String>,
    /// What is dialled before a country code: `00`, `011`. Longer ones are tried first.
    pub international: Vec<String>,
    /// What is dialled before an area code: `0`; empty where nothing is, and then a number as long as
    /// [`national_digits`](Self::national_digits) is one with an area code.
    pub national: String,
    /// Digits of a number with area code, without the prefix, where the plan has one length: 10 in North America.
    /// `None` where lengths differ.
    pub national_digits: Option<usize>,
    /// Changes before everything else; the first that matches is made.
    pub rules: Vec<NumberRule>,
    /// Numbers that help is called by. They are never changed, and no limit holds them up.
    pub emergency: Vec<String>,
}

/// A change of what was dialled: `strip` characters off the front, `add` in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberRule {
    /// What it changes.
    pub matches: Pattern,
    /// Characters off the front.
    pub strip: usize,
    /// Text in their place.
    pub add: String,
}

/// How a carrier wants to read a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum NumberFormat {
    /// `+4930123456`.
    #[default]
    E164,
    /// `4930123456`.
    Digits,
    /// `004930123456`, with the first international prefix of the plan.
    International,
    /// `030123456` inside the country, as `International` for others.
    National,
    /// As it was dialled.
    AsDialled,
}

/// The longest number of E.164 has 15 digits.
const E164_DIGITS_MAX: usize = 15;

impl Default for NumberPlan {
    /// International `00`, national `0`, emergency `112`; no country, so nothing is changed.
    fn default() -> Self {
        Self {
            country: None,
            international: vec!["00".to_owned()],
            national: "0".to_owned(),
            national_digits: None,
            rules: Vec::new(),
            emergency: vec!["112".to_owned()],
        }
    }
}

impl NumberPlan {
    /// What was dialled as `+` and a country code, if it is a number of the outside world; else as it is.
    pub fn normalise(&self, dialled: &str) -> String {
        if self.is_emergency(dialled) {
            return dialled.to_owned();
        }
        let changed = self.rules.iter().find_map(|rule| rule.apply(dialled));
        let number = changed.as_deref().unwrap_or(dialled);
        let Some(country) = &self.country else {
            return number.to_owned();
        };
        self.to_e164(country, number)
            .filter(|e164| is_e164(e164))
            .unwrap_or_else(|| number.to_owned())
    }

    /// The number as a carrier wants to read it. What is no E.164 number, and numbers for emergencies, stay as they are.
    pub fn format<'n>(&self, number: &'n str, format: NumberFormat) -> Cow<'n, str> {
        if !is_e164(number) || self.is_emergency(number) {
            return Cow::Borrowed(number);
        }
        let digits = &number[1..];
        let international = || {
            let prefix = self.international.first().map_or("00", String::as_str);
            Cow::Owned(format!("{prefix}{digits}"))
        };
        match format {
            NumberFormat::E164 | NumberFormat::AsDialled => Cow::Borrowed(number),
            NumberFormat::Digits => Cow::Borrowed(digits),
            NumberFormat::International => international(),
            NumberFormat::National => {
                let inside = self
                    .country
                    .as_deref()
                    .and_then(|country| digits.strip_prefix(country));
                inside.map_or_else(international, |rest| {
                    Cow::Owned(format!("{}{rest}", self.national))
                })
            }
        }
    }

    /// True for a number that help is called by.
    pub fn is_emergency(&self, number: &str) -> bool {
        self.emergency.iter().any(|emergency| emergency == number)
    }

    fn to_e164(&self, country: &str, number: &str) -> Option<String> {
        if number.starts_with('+') {
            return Some(number.to_owned());
        }
        if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let mut international: Vec<&String> = self.international.iter().collect();
        international.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        if let Some(rest) = international
            .into_iter()
            .find_map(|prefix| number.strip_prefix(prefix.as_str()))
        {
            return Some(format!("+{rest}"));
        }
        let is_national = |digits: &str| self.national_digits.is_none_or(|length| length == digits.len());
        match number.strip_prefix(self.national.as_str()) {
            // Without a prefix only the length tells a number from an extension.
            Some(_) if self.national.is_empty() && self.national_digits.is_none() => None,
            Some(rest) if is_national(rest) => Some(format!("+{country}{rest}")),
            _ if self.national_digits == Some(number.len()) => Some(format!("+{country}{number}")),
            _ => None,
        }
    }
}

impl NumberRule {
    /// The changed number; `None` when the rule is for others.
    fn apply(&self, dialled: &str) -> Option<String> {
        if !self.matches.matches(dialled) {
            return None;
        }
        let rest = dialled
            .char_indices()
            .nth(self.strip)
            .map_or("", |(at, _)| &dialled[at..]);
        Some(format!("{}{rest}", self.add))
    }
}

/// True for `+` and 2 to 15 digits, the first of which is not 0.
pub fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (2..=E164_DIGITS_MAX).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn germany() -> NumberPlan {
        NumberPlan {
            country: Some("49".to_owned()),
            rules: vec![NumberRule {
                matches: Pattern::new("9*"),
                strip: 1,
                add: String::new(),
            }],
            emergency: vec!["110".to_owned(), "112".to_owned()],
            ..NumberPlan::default()
        }
    }

    fn north_america() -> NumberPlan {
        NumberPlan {
            country: Some("1".to_owned()),
            international: vec!["011".to_owned()],
            national: "1".to_owned(),
            national_digits: Some(10),
            emergency: vec!["911".to_owned()],
            ..NumberPlan::default()
        }
    }

    #[test]
    fn what_people_dial_becomes_a_number_of_the_world() {
        for (plan, dialled, number) in [
            (germany(), "030123456", "+4930123456"),
            (germany(), "00442071234567", "+442071234567"),
            (germany(), "+4930123456", "+4930123456"),
            (germany(), "9030123456", "+4930123456"),
            (germany(), "201", "201"),
            (germany(), "alice", "alice"),
            (germany(), "112", "112"),
            (germany(), "00", "00"),
            (germany(), "0049301234567890123", "0049301234567890123"),
            (north_america(), "12125550100", "+12125550100"),
            (north_america(), "2125550100", "+12125550100"),
            (north_america(), "011442071234567", "+442071234567"),
            (north_america(), "1234", "1234"),
            (north_america(), "911", "911"),
            (NumberPlan::default(), "030123456", "030123456"),
        ] {
            assert_eq!(plan.normalise(dialled), number, "{dialled}");
        }
    }

    #[test]
    fn each_carrier_reads_its_own_form() {
        use NumberFormat::{AsDialled, Digits, E164, International, National};
        for (format, home, abroad) in [
            (E164, "+4930123456", "+442071234567"),
            (Digits, "4930123456", "442071234567"),
            (International, "004930123456", "00442071234567"),
            (National, "030123456", "00442071234567"),
            (AsDialled, "+4930123456", "+442071234567"),
        ] {
            assert_eq!(germany().format("+4930123456", format), home);
            assert_eq!(germany().format("+442071234567", format), abroad);
            for same in ["112", "201", "alice"] {
                assert_eq!(germany().format(same, format), same);
            }
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(dialled in "[+0-9a-zäö*#]{0,20}") {
            let plan = NumberPlan { rules: Vec::new(), ..germany() };
            let once = plan.normalise(&dialled);
            prop_assert_eq!(plan.normalise(&once), once);
        }

        #[test]
        fn what_a_carrier_reads_means_the_same_number(rest in "[1-9][0-9]{6,9}") {
            let (plan, number) = (germany(), format!("+49{rest}"));
            for format in [NumberFormat::E164, NumberFormat::International, NumberFormat::National] {
                let plan = NumberPlan { rules: Vec::new(), ..plan.clone() };
                prop_assert_eq!(plan.normalise(&plan.format(&number, format)), number.clone());
            }
        }
    }
}
