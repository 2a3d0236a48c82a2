use std::borrow::Cow;
use std::fmt;

use crate::text::is_all_graphic;
use crate::uri::{escape_user, push_escape, unescape};
use crate::{Host, Scheme, Uri};

/// An address of record as a key: `user@host`, the same for every way of writing it (RFC 3261 section 10.3, step 5).
///
/// Scheme, password, port, parameters and headers are gone, the host is canonical, and the user is unescaped: except
/// for control characters, invalid UTF-8 and `%` itself, which stay as `%HH`. So two different users never share a key,
/// and a key is safe in a log line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aor {
    text: String,
    /// Where `@` is; `None` for an address without user.
    at: Option<usize>,
}

impl Aor {
    /// The key of a `sip` or `sips` URI. `None` for any other scheme.
    pub fn from_uri(uri: &Uri<'_>) -> Option<Self> {
        let host = match uri.scheme() {
            Scheme::Sip | Scheme::Sips => uri.host()?,
            Scheme::Tel | Scheme::Other(_) => return None,
        };
        Some(match uri.user() {
            Some(user) => Self::join(&key_of(user, || unescape(user)), &host),
            None => Self {
                text: host.canonical(),
                at: None,
            },
        })
    }

    /// The key of a plain (not escaped) user name at a host.
    pub fn new(user: &str, host: &Host<'_>) -> Self {
        Self::join(&key_of(user, || user.as_bytes().into()), host)
    }

    /// The [`user`](Self::user) that the key of this URI has, without making the key.
    pub fn user_of<'u>(uri: &Uri<'u>) -> Option<Cow<'u, str>> {
        match uri.scheme() {
            Scheme::Sip | Scheme::Sips => uri.user().map(|user| key_of(user, || unescape(user))),
            Scheme::Tel | Scheme::Other(_) => None,
        }
    }

    /// `user@host`, or the host alone.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before `@`.
    pub fn user(&self) -> Option<&str> {
        self.at.map(|at| &self.text[..at])
    }

    /// The part after `@`.
    pub fn host(&self) -> &str {
        &self.text[self.at.map_or(0, |at| at + 1)..]
    }

    /// A `sip` URI with this address, the user escaped where a URI needs it.
    pub fn to_sip_uri(&self) -> String {
        match self.user() {
            // What the key keeps escaped is escaped already.
            Some(user) => {
                let pieces: Vec<_> = user.split('%').map(escape_user).collect();
                format!("sip:{}@{}", pieces.join("%"), self.host())
            }
            None => format!("sip:{}", self.text),
        }
    }

    fn join(user: &str, host: &Host<'_>) -> Self {
        let mut text = String::with_capacity(user.len() + 1 + host.as_str().len());
        text.push_str(user);
        text.push('@');
        host.push_canonical(&mut text);
        let at = Some(user.len());
        Self { text, at }
    }
}

/// A user as keys have it. `octets` are those that `user` stands for; nearly all names and numbers stand for themselves.
fn key_of<'u>(user: &'u str, octets: impl FnOnce() -> Cow<'u, [u8]>) -> Cow<'u, str> {
    if is_all_graphic(user.as_bytes()) && !user.contains('%') {
        return Cow::Borrowed(user);
    }
    let mut key = String::with_capacity(user.len());
    for chunk in octets().utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '%' => push_escape(&mut key, b'%'),
                // Every control character of Unicode that is not ASCII has two octets.
                _ if letter.is_control() => {
                    letter
                        .encode_utf8(&mut [0; 4])
                        .bytes()
                        .for_each(|octet| push_escape(&mut key, octet));
                }
                _ => key.push(letter),
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|&octet| push_escape(&mut key, octet));
    }
    Cow::Owned(key)
}

impl fmt::Display for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn aor(uri: &str) -> Aor {
        Aor::from_uri(&Uri::parse(uri).unwrap()).unwrap()
    }

    #[test]
    fn every_way_of_writing_an_address_has_one_key() {
        for uri in [
            "sip:alice@example.com",
            "sips:%61lice@EXAMPLE.com:5061;transport=tls",
            "sip:alice:secret@Example.Com;user=phone?Subject=x",
        ] {
            assert_eq!(aor(uri).as_str(), "alice@example.com");
        }
        assert_ne!(aor("sip:Alice@example.com"), aor("sip:alice@example.com"));
        assert_eq!(aor("sip:a@[2001:DB8:0::1]").as_str(), "a@[2001:db8::1]");
    }

    #[test]
    fn different_users_never_share_a_key() {
        let users = ["%00", "%2500", "%00%00", "%FF", "%25FF", "a%40b", "a", "%C2%85"];
        let keys: std::collections::BTreeSet<_> =
            users.iter().map(|user| aor(&format!("sip:{user}@h"))).collect();
        assert_eq!(keys.len(), users.len());
        assert!(keys.iter().all(|key| !key.as_str().chars().any(char::is_control)));
    }

    #[test]
    fn user_and_host_are_told_apart_by_the_real_at_sign() {
        let key = aor("sip:a%40b@example.com");
        assert_eq!((key.user(), key.host()), (Some("a@b"), "example.com"));
        let key = aor("sip:example.com");
        assert_eq!((key.user(), key.host()), (None, "example.com"));
    }

    #[test]
    fn the_user_of_a_uri_is_that_of_its_key() {
        for uri in [
            "sip:alice@h",
            "sips:%61lice:secret@h",
            "sip:%00%25%FF@h",
            "sip:h",
            "sip:\u{fc}@h",
            "tel:+1",
        ] {
            let uri = Uri::parse(uri).unwrap();
            let key = Aor::from_uri(&uri);
            assert_eq!(Aor::user_of(&uri).as_deref(), key.as_ref().and_then(Aor::user));
        }
    }

    #[test]
    fn other_schemes_have_no_key() {
        assert_eq!(Aor::from_uri(&Uri::parse("tel:+15551234").unwrap()), None);
    }

    proptest! {
        #[test]
        fn the_uri_of_a_key_has_that_key(user in ".{1,20}") {
            let key = Aor::new(&user, &Host::parse("example.com").unwrap());
            prop_assert_eq!(aor(&key.to_sip_uri()), key);
        }
    }
}
