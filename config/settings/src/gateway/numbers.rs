//! `numbers`: how people dial here.

use crate::decode::{section, section_default};
use crate::form::{count, list, or_word, section_form, token};

use super::routes::{Pattern, PatternForm};
use super::trunks::phone_number;

section! {
    /// How numbers are dialled here. With a `country`, what is dialled becomes `+` and a country code before the routes
    /// see it; extensions, names and emergency numbers stay as they are.
    pub struct NumberSettings {
        /// The country code, such as `"49"`.
        country: Option<String> = default(or_word("none", digits()), "none");
        /// What is dialled before a country code.
        international_prefix: Vec<String> = default(list(digits()), "['00']");
        /// What is dialled before an area code; `none` where nothing is.
        national_prefix: Option<String> = default(or_word("none", digits()), "0");
        /// Digits of a number with area code, without the prefix, where all have the same: 10 in North America.
        national_digits: Option<u32> = default(or_word("any", count(2..=14)), "any");
        /// Numbers that help is called by. They are never changed, and no limit of a trunk holds them up.
        emergency: Vec<String> = default(list(digits()), "['112']");
        /// Changes before everything else; the first that matches is made.
        rules: Vec<NumberRule> = default(list(section_form::<NumberRule>()), "[]");
    }
}
section_default!(NumberSettings);

section! {
    /// A change of what was dialled.
    pub struct NumberRule {
        /// The numbers that it changes.
        matches["match"]: Pattern = required(PatternForm, Pattern::nothing());
        /// Characters that go off the front.
        strip: u32 = default(count(0..=32), "0");
        /// What comes in their place.
        add: Option<String> = absent(phone_number(), "nothing");
    }
}

fn digits() -> crate::form::text::Text {
    token(
        "digits in quotes",
        15,
        |text| text.bytes().all(|b| b.is_ascii_digit()),
        "digits only",
    )
}
