//! `users`: who may register and call.

use crate::decode::{Decoder, Fault, Form, TextForm, section};
use crate::form::{choice, choices, count, list, map_of, path, section_form, text, token, variable};
use crate::secret::Secret;
use crate::shape::Shape;
use crate::tree::Node;

use super::service::ChallengeSettings;

/// A user, ready for use: the secret is read and what is left out is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name, which is the user part of the SIP address.
    pub login: String,
    /// Name to show, if one is given.
    pub name: Option<String>,
    /// How the password is checked.
    pub credentials: Credentials,
    /// Contacts that may be registered at the same time.
    pub devices: u32,
    /// Transports over which the user may register and call.
    pub transports: Vec<Transport>,
    /// Codecs that the user's devices may be offered, in lower case; empty for all.
    pub codecs: Vec<String>,
    /// Algorithms that are offered to this user.
    pub challenge: ChallengeSettings,
    /// Further identities that the user may use in From.
    pub aliases: Vec<String>,
    /// How the SDP for this user's devices is written.
    pub profile: Profile,
}

/// How a user's password is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// The password itself.
    Password(Secret),
    /// Hashes of `user:realm:password` in lower-case hex (HA1, RFC 7616 3.4.2).
    Ha1(Ha1),
}

/// Hashes, one for each algorithm that the password can be checked with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ha1 {
    /// For MD5.
    pub md5: Option<Secret>,
    /// For SHA-256.
    pub sha256: Option<Secret>,
    /// For SHA-512-256.
    pub sha512_256: Option<Secret>,
}

impl Ha1 {
    /// The hash for `algorithm`, in lower-case hex.
    #[must_use]
    pub fn of(&self, algorithm: Algorithm) -> Option<&Secret> {
        match algorithm {
            Algorithm::Md5 => self.md5.as_ref(),
            Algorithm::Sha256 => self.sha256.as_ref(),
            Algorithm::Sha512_256 => self.sha512_256.as_ref(),
        }
    }

    /// True when there is no hash at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Algorithm::ALL
            .iter()
            .all(|&algorithm| self.of(algorithm).is_none())
    }
}

impl Credentials {
    /// Whether an answer computed with `algorithm` can be checked.
    #[must_use]
    pub fn supports(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Password(_) => true,
            Self::Ha1(ha1) => ha1.of(algorithm).is_some(),
        }
    }
}

choices! {
    /// A digest algorithm (RFC 8760).
    pub enum Algorithm {
        /// The one that every phone knows.
        Md5 = "MD5",
        /// The one that is safe to offer alone, where the phones know it.
        Sha256 = "SHA-256",
        /// As safe, and rarer.
        Sha512_256 = "SHA-512-256",
    }
}

choices! {
    /// A transport over which SIP arrives.
    pub enum Transport {
        /// Datagrams.
        Udp = "udp",
        /// Plain connections.
        Tcp = "tcp",
        /// Encrypted connections.
        Tls = "tls",
        /// WebSocket.
        Ws = "ws",
        /// WebSocket over TLS.
        Wss = "wss",
    }
}

choices! {
    /// How the SDP that an endpoint reads is written.
    pub enum Profile {
        /// `web` for a contact registered over WebSocket, `phone` for any other.
        Auto = "auto",
        /// UDP/TLS/RTP/SAVPF with ICE, DTLS and rtcp-mux, as browsers need it.
        Web = "web",
        /// Plain RTP/AVP without ICE.
        Phone = "phone",
        /// RTP/SAVP with keys in the SDP (SDES); use it over TLS only.
        PhoneSdes = "phone-sdes",
        /// UDP/TLS/RTP/SAVP with keys from a DTLS handshake (RFC 5763), without ICE.
        PhoneDtls = "phone-dtls",
    }
}

section! {
    /// A person or a device that may register and call.
    pub(crate) struct UserKeys {
        /// Name to show to the other side.
        name: Option<String> = absent(text("a name of up to 100 bytes", 100), "the login name");
        /// File with the password on one line. The file should be readable for the gateway only.
        secret_file: Option<String> = absent(path(), "one of the secrets is needed");
        /// Environment variable with the password.
        secret_env: Option<String> = absent(variable(), "one of the secrets is needed");
        /// The password itself. Better is a file: whoever reads this file, a backup or its history knows it.
        secret: Option<Secret> = absent(PasswordForm, "one of the secrets is needed");
        /// Hashes instead of a password, for accounts taken over from another server.
        ha1: Option<Ha1Keys> = absent(section_form::<Ha1Keys>(), "one of the secrets is needed");
        /// Devices that may be registered at the same time; a further one replaces the oldest.
        devices: Option<u32> = absent(count(1..=1_000), "`limits.contacts_per_user`");
        /// Transports over which the user may register and call.
        transports: Option<Vec<Transport>> = absent(list(choice::<Transport>()), "all");
        /// Codecs that the user's devices may be offered, best first; `[]` for all.
        codecs: Vec<String> = default(list(codec()), "[]");
        /// Algorithms that are offered to this user instead of those of `auth.challenge`.
        challenge: Option<UserChallenge> = absent(section_form::<UserChallenge>(), "`auth.challenge`");
        /// Further numbers and names that the user may call as (From), such as the number of a group.
        aliases: Vec<String> = default(list(login()), "[]");
        /// How the SDP for the user's devices is written.
        profile: Profile = default(choice::<Profile>(), "auto");
    }
}

section! {
    /// HA1 hashes: of `user:realm:password`, where the realm is `site.domain`. Only the algorithms listed here can
    /// be offered to the user.
    pub(crate) struct Ha1Keys {
        /// 32 hex digits.
        md5["MD5"]: Option<Secret> = absent(HexForm(32), "no MD5 for this user");
        /// 64 hex digits.
        sha256["SHA-256"]: Option<Secret> = absent(HexForm(64), "no SHA-256 for this user");
        /// 64 hex digits.
        sha512_256["SHA-512-256"]: Option<Secret> = absent(HexForm(64), "no SHA-512-256 for this user");
    }
}

impl Ha1Keys {
    /// True when there is no hash at all.
    pub(crate) fn is_empty(&self) -> bool {
        Ha1::from(self.clone()).is_empty()
    }
}

impl From<Ha1Keys> for Ha1 {
    fn from(keys: Ha1Keys) -> Self {
        Self {
            md5: keys.md5,
            sha256: keys.sha256,
            sha512_256: keys.sha512_256,
        }
    }
}

section! {
    /// Algorithms offered to one user.
    pub(crate) struct UserChallenge {
        /// Over WebSocket.
        ws: Option<Vec<Algorithm>> = absent(algorithms(), "`auth.challenge.ws`");
        /// Over UDP, TCP and TLS.
        other: Option<Vec<Algorithm>> = absent(algorithms(), "`auth.challenge.other`");
    }
}

/// The form of `users`: login name to keys.
pub(crate) fn users() -> impl Form<Value = Vec<(String, UserKeys)>> {
    map_of("login name", login(), section_form::<UserKeys>())
}

/// A login name or number: the user part of a SIP address.
pub(crate) fn login() -> crate::form::text::Text {
    token(
        "a login name or number, without blanks, `@`, `:` and quotes",
        64,
        |text| {
            text.chars()
                .all(|c| c.is_alphanumeric() || "-_.!~*'()&=+$,;?/#".contains(c))
        },
        "only the part before the `@`, without blanks, `:` and quotes",
    )
}

/// A codec's name as in `a=rtpmap`.
pub(crate) fn codec() -> crate::form::text::Text {
    token(
        "a codec's name, such as `pcma`",
        32,
        |text| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        },
        "the name only, without clock rate",
    )
}

/// Algorithms in order; one at least, none twice.
pub(crate) struct Algorithms;

/// A list of algorithms for a challenge.
pub(crate) fn algorithms() -> Algorithms {
    Algorithms
}

impl Form for Algorithms {
    type Value = Vec<Algorithm>;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Vec<Algorithm>> {
        let mut decoded = list(choice::<Algorithm>()).decode(node, decoder)?;
        if matches!(&node.kind, crate::tree::Kind::List(items) if items.is_empty()) {
            decoder.wrong_form(node, &self.shape());
            return None;
        }
        let mut seen = Vec::new();
        decoded.retain(|algorithm| {
            let first = !seen.contains(algorithm);
            seen.push(*algorithm);
            first
        });
        Some(decoded)
    }

    fn shape(&self) -> Shape {
        Form::shape(&list(choice::<Algorithm>()))
    }
}

/// A password in the file.
pub(crate) struct PasswordForm;

impl TextForm for PasswordForm {
    type Value = Secret;

    fn parse(&self, text: &str) -> Result<Secret, Fault> {
        password(text).map_err(|reason| Fault::bad().help(reason.to_owned()))
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "a password of up to 256 bytes".to_owned(),
            pattern: None,
        }
    }

    fn is_secret(&self) -> bool {
        true
    }
}

/// A password that was read from somewhere; the reason says why it is none.
pub(crate) fn password(text: &str) -> Result<Secret, &'static str> {
    const PASSWORD_MAX: usize = 256;
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > PASSWORD_MAX {
        Err("it has more than 256 bytes")
    } else if text.chars().any(char::is_control) {
        Err("it has more than one line, or control characters")
    } else {
        Ok(Secret::new(text))
    }
}

/// A hash of a fixed number of hex digits, kept in lower case.
pub(crate) struct HexForm(pub(crate) usize);

impl TextForm for HexForm {
    type Value = Secret;

    fn parse(&self, text: &str) -> Result<Secret, Fault> {
        if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Fault::bad().help("hex digits only".to_owned()));
        }
        if text.len() != self.0 {
            return Err(Fault::bad().help(format!("{} digits, but {} are needed", text.len(), self.0)));
        }
        Ok(Secret::new(text.to_ascii_lowercase()))
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: format!("{} hex digits", self.0),
            pattern: Some("^[0-9A-Fa-f]+$"),
        }
    }

    fn is_secret(&self) -> bool {
        true
    }
}
