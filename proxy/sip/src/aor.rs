use std::fmt;

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
            Some(user) => Self::join(&unescape(user), &host),
            None => Self {
                text: host.canonical(),
                at: None,
            },
        })
    }

    /// The key of a plain (not escaped) user name at a host.
    pub fn new(user: &str, host: &Host<'_>) -> Self {
        Self::join(user.as_bytes(), host)
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

    fn join(user: &[u8], host: &Host<'_>) -> Self {
        let mut text = String::with_capacity(user.len() + 1 + host.as_str().len());
        // Nearly all names and numbers need no look at each letter.
        let (plain, user) = match std::str::from_utf8(user) {
            Ok(plain)
                if user
                    .iter()
                    .all(|&octet| octet.is_ascii_graphic() && octet != b'%') =>
            {
                (plain, &[][..])
            }
            _ => ("", user),
        };
        text.push_str(plain);
        for chunk in user.utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter {
                    '%' => push_escape(&mut text, b'%'),
                    // Every control character of Unicode that is not ASCII has two octets.
                    _ if letter.is_control() => {
                        letter
                            .encode_utf8(&mut [0; 4])
                            .bytes()
                            .for_each(|octet| push_escape(&mut text, octet));
                    }
                    _ => text.push(letter),
                }
            }
            chunk
                .invalid()
                .iter()
                .for_each(|&octet| push_escape(&mut text, octet));
        }
        let at = Some(text.len());
        text.push('@');
        text.push_str(&host.canonical());
        Self { text, at }
    }
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
