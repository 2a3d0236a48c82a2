use std::borrow::Cow;

use crate::ValueError;
use crate::quoted::unquote;
use crate::text::{Cursor, ascii, is_param_value, is_token};

/// The `;name=value` parameters of one header value, checked when the value was parsed.
///
/// Not the parameters of a URI inside the value: those are [`Uri::params`](crate::Uri::params).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params<'a> {
    text: &'a [u8],
}

/// One header parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param<'a> {
    /// The name as written. Compare without case.
    pub name: &'a str,
    /// The value as written, quotes included. `None` for a parameter without `=`.
    pub raw: Option<&'a [u8]>,
}

/// A parameter as octets, which is all that looking for one needs.
pub(crate) struct RawParam<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) raw: Option<&'a [u8]>,
}

impl<'a> Params<'a> {
    /// Checks `text`, which must be empty or begin with `;` after blanks, and shows every parameter to `visit`.
    pub(crate) fn parse(text: &'a [u8], mut visit: impl FnMut(RawParam<'a>)) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new(text);
        while let Some(param) = next_param(&mut cursor)? {
            visit(param);
        }
        Ok(Self { text })
    }

    /// The parameters in order.
    pub fn iter(&self) -> ParamIter<'a> {
        ParamIter {
            cursor: Cursor::new(self.text),
        }
    }

    /// The first parameter of this name, any case.
    pub fn get(&self, name: &str) -> Option<Param<'a>> {
        self.raw_named(name.as_bytes()).next().map(|param| Param {
            name: ascii(param.name),
            raw: param.raw,
        })
    }

    /// True when there is a parameter of this name, with or without value.
    pub fn has(&self, name: &str) -> bool {
        self.raw_named(name.as_bytes()).next().is_some()
    }

    /// The parameters of this name, any case.
    pub(crate) fn raw_named(&self, name: &[u8]) -> impl Iterator<Item = RawParam<'a>> {
        let mut cursor = Cursor::new(self.text);
        // The text was checked by `Params::parse`, so an error cannot come up again.
        let all = std::iter::from_fn(move || next_param(&mut cursor).ok().flatten());
        all.filter(move |param| param.name.eq_ignore_ascii_case(name))
    }

    /// The value of the first parameter of this name, quotes and escapes resolved. `None` when it is absent, has no
    /// value, or is not UTF-8.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.text()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The octets as received, from the first `;` (or a blank before it) on.
    pub fn as_octets(&self) -> &'a [u8] {
        self.text
    }
}

impl<'a> IntoIterator for Params<'a> {
    type Item = Param<'a>;
    type IntoIter = ParamIter<'a>;

    fn into_iter(self) -> ParamIter<'a> {
        self.iter()
    }
}

impl<'a> Param<'a> {
    /// The value, quotes and escapes resolved. `None` without a value.
    pub fn value(&self) -> Option<Cow<'a, [u8]>> {
        self.raw.map(unquote)
    }

    /// The value as text, quotes and escapes resolved. `None` without a value or when it is not UTF-8.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self.value()? {
            Cow::Borrowed(octets) => std::str::from_utf8(octets).ok().map(Cow::Borrowed),
            Cow::Owned(octets) => String::from_utf8(octets).ok().map(Cow::Owned),
        }
    }
}

/// Iterates over [`Params`].
#[derive(Clone)]
pub struct ParamIter<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for ParamIter<'a> {
    type Item = Param<'a>;

    fn next(&mut self) -> Option<Param<'a>> {
        // The text was checked by `Params::parse`, so an error cannot come up again.
        let param = next_param(&mut self.cursor).ok().flatten()?;
        Some(Param {
            name: ascii(param.name),
            raw: param.raw,
        })
    }
}

impl std::fmt::Debug for ParamIter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// Takes one `;name[=value]`. A name followed by `=` and nothing has an empty value.
fn next_param<'a>(cursor: &mut Cursor<'a>) -> Result<Option<RawParam<'a>>, ValueError> {
    cursor.skip_blanks();
    if cursor.at_end() {
        return Ok(None);
    }
    if !cursor.eat_spaced(b';') {
        return Err(ValueError::Junk);
    }
    let name = cursor.take_while(is_token);
    if name.is_empty() {
        return Err(ValueError::BadParam);
    }
    let mut raw = None;
    if cursor.eat_spaced(b'=') {
        raw = Some(match cursor.peek() {
            Some(b'"') => cursor.take_quoted().ok_or(ValueError::UnclosedQuote)?,
            _ => cursor.take_while(is_param_value),
        });
    }
    Ok(Some(RawParam { name, raw }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<(&str, Option<&str>)>, ValueError> {
        let params = Params::parse(text.as_bytes(), |_| ())?;
        Ok(params
            .iter()
            .map(|p| (p.name, p.raw.map(|raw| std::str::from_utf8(raw).unwrap())))
            .collect())
    }

    #[test]
    fn blanks_and_folds_may_stand_everywhere() {
        assert_eq!(
            parse(" ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33 "),
            Ok(vec![
                ("newparam", Some("newvalue")),
                ("secondparam", None),
                ("q", Some("0.33"))
            ])
        );
    }

    #[test]
    fn quoted_values_keep_semicolons_and_lose_escapes() {
        let params = Params::parse(br#";text="a;b \"c\"";x=[::1]"#, |_| ()).unwrap();
        assert_eq!(params.text("TEXT").as_deref(), Some("a;b \"c\""));
        assert_eq!(params.text("x").as_deref(), Some("[::1]"));
    }

    #[test]
    fn empty_parameters_and_junk_are_refused() {
        assert_eq!(parse(";;"), Err(ValueError::BadParam));
        assert_eq!(parse(";a;"), Err(ValueError::BadParam));
        assert_eq!(parse("a"), Err(ValueError::Junk));
        assert_eq!(parse(";a=b c"), Err(ValueError::Junk));
        assert_eq!(parse(";a=\"b"), Err(ValueError::UnclosedQuote));
    }
}
