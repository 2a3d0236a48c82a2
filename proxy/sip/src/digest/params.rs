//! The `name=value, …` list of authentication headers, read as peers write it: blanks around `=` and `,`, any order,
//! quotes where there should be none and none where there should be.

use std::borrow::Cow;

use super::DigestError;
use crate::quoted::unquote;
use crate::text::{Cursor, ascii, is_blank, is_token};

/// Checks the scheme, then shows every parameter to `visit`. The first of a name is meant to count.
pub(super) fn read<'a>(
    value: &'a [u8],
    mut visit: impl FnMut(&'a str, Cow<'a, str>) -> Result<(), DigestError>,
) -> Result<(), DigestError> {
    let mut cursor = Cursor::new(value);
    cursor.skip_blanks();
    if !cursor.take_while(is_token).eq_ignore_ascii_case(b"Digest") {
        return Err(DigestError::OtherScheme);
    }
    loop {
        cursor.skip_blanks();
        if cursor.eat(b',') {
            continue;
        }
        if cursor.at_end() {
            return Ok(());
        }
        let name = cursor.take_while(is_token);
        if name.is_empty() || !cursor.eat_spaced(b'=') {
            return Err(DigestError::BadParam);
        }
        let raw = match cursor.peek() {
            Some(b'"') => cursor.take_quoted().ok_or(DigestError::BadParam)?,
            _ => cursor.take_while(|byte| byte != b',' && !is_blank(byte)),
        };
        cursor.skip_blanks();
        if !(cursor.at_end() || cursor.peek() == Some(b',')) {
            return Err(DigestError::BadParam);
        }
        visit(ascii(name), text(raw)?)?;
    }
}

fn text(raw: &[u8]) -> Result<Cow<'_, str>, DigestError> {
    let text = match unquote(raw) {
        Cow::Borrowed(octets) => std::str::from_utf8(octets).ok().map(Cow::Borrowed),
        Cow::Owned(octets) => String::from_utf8(octets).ok().map(Cow::Owned),
    };
    text.ok_or(DigestError::BadParam)
}
