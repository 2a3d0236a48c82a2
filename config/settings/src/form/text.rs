//! Free text, file paths, names of variables, and tokens.

use crate::decode::{Fault, TextForm};
use crate::shape::Shape;

/// Text of limited length without control characters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    what: &'static str,
    length_max: usize,
    good: fn(&str) -> bool,
    help: Option<&'static str>,
}

/// One line of text; `what` says what it is, with its article.
pub(crate) fn text(what: &'static str, length_max: usize) -> Text {
    Text {
        what,
        length_max,
        good: |_| true,
        help: None,
    }
}

/// A file path, absolute or relative to the folder of the configuration file.
pub(crate) fn path() -> Text {
    text("a path, relative to the folder of this file or absolute", 4_096)
}

/// The name of an environment variable.
pub(crate) fn variable() -> Text {
    Text {
        good: |text| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !text.starts_with(|c: char| c.is_ascii_digit())
        },
        help: Some("the name only, without `$`"),
        ..text("the name of an environment variable", 128)
    }
}

/// One word for which `good` holds.
pub(crate) fn token(
    what: &'static str,
    length_max: usize,
    good: fn(&str) -> bool,
    help: &'static str,
) -> Text {
    Text {
        what,
        length_max,
        good,
        help: Some(help),
    }
}

/// A token of SIP, as the names of headers are (RFC 3261 section 25.1).
pub(crate) fn is_token(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

impl TextForm for Text {
    type Value = String;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        if text.is_empty() {
            return Err(Fault::bad().help("it is empty".to_owned()));
        }
        if text.len() > self.length_max {
            let help = format!("{} bytes; {} are allowed", text.len(), self.length_max);
            return Err(Fault::range().help(help));
        }
        if text.chars().any(char::is_control) {
            return Err(Fault::bad().help("one line without control characters".to_owned()));
        }
        if !(self.good)(text) {
            return Err(Fault::bad().help(self.help.map(str::to_owned)));
        }
        Ok(text.to_owned())
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: self.what.to_owned(),
            pattern: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    #[test]
    fn text_is_one_line_of_limited_length() {
        let form = text("a name", 5);
        assert_eq!(form.parse("Jörg").as_deref(), Ok("Jörg"));
        assert_eq!(form.parse("").unwrap_err().code, Code::BadValue);
        assert_eq!(form.parse("a\nb").unwrap_err().code, Code::BadValue);
        assert_eq!(form.parse("abcdef").unwrap_err().code, Code::OutOfRange);
        assert!(variable().parse("BOB_SECRET").is_ok());
        assert!(variable().parse("$BOB").is_err());
    }
}
