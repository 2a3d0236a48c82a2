//! One flag string, token by token.

use super::ViaBranch;
use super::bracket::parse_value;
use super::diagnostic::{Diagnostic, Problem, suggest};
use super::token::{Token, tokens};
use crate::byte_string::ByteString;
use crate::options::{Flag, TransportProtocol};
use crate::request::reader::{Reader, known};
use crate::request::{Ignored, Why};
use crate::words::{Word, same};

/// Whose rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// OpenSIPS' module
    OpenSips,
    /// Kamailio's module
    Kamailio,
    /// rtpengine itself: the key `rtpp-flags`
    Daemon,
}

/// Unknown tokens of one flag string for which a name is looked for that may have been meant: it is compared with every name
/// there is.
const SUGGESTIONS_MAX: usize = 16;

/// What a flag string says beside options and ids, which go to the reader.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) send_to_tag: bool,
    pub(super) via_branch: Option<ViaBranch>,
    pub(super) force_answer: bool,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Reads `text` into `reader`. What the reader ignores becomes a diagnostic of the token.
pub(super) fn interpret(text: &str, dialect: Dialect, reader: &mut Reader) -> Outcome {
    let ignored_before = std::mem::take(&mut reader.ignored);
    let mut interpreter = Interpreter {
        reader,
        dialect,
        transport: Transport::default(),
        interfaces: Vec::new(),
        suggestions_left: match dialect {
            Dialect::OpenSips | Dialect::Kamailio => SUGGESTIONS_MAX,
            // What comes in a message is only logged: no time is spent on what its sender may have meant.
            Dialect::Daemon => 0,
        },
        out: Outcome::default(),
    };
    for token in tokens(text) {
        if let Err(problem) = interpreter.token(&token) {
            interpreter.report(&token, problem);
        }
        for ignored in std::mem::take(&mut interpreter.reader.ignored) {
            let problem = interpreter.problem_of(ignored, &token);
            interpreter.report(&token, problem);
        }
    }
    interpreter.finish();
    let out = interpreter.out;
    reader.ignored = ignored_before;
    out
}

struct Interpreter<'r, 't> {
    reader: &'r mut Reader,
    dialect: Dialect,
    transport: Transport,
    /// Interfaces named one by one, with the token that did.
    interfaces: Vec<(Token<'t>, Side)>,
    suggestions_left: usize,
    out: Outcome,
}

/// Which of the two interfaces a token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    In,
    Out,
    /// The first that is still free.
    Next,
}

impl<'t> Interpreter<'_, 't> {
    fn token(&mut self, token: &Token<'t>) -> Result<(), Problem> {
        match token.value {
            None if self.transport.take(token.key, self.dialect) => {}
            None => return self.bare(token),
            Some(value) => return self.pair(token, value),
        }
        Ok(())
    }

    fn bare(&mut self, token: &Token<'t>) -> Result<(), Problem> {
        let module = self.dialect != Dialect::Daemon;
        match token.key {
            "internal" | "external" => self.interfaces.push((*token, Side::Next)),
            "to-tag" if module => self.out.send_to_tag = true,
            "force-answer" if module => self.out.force_answer = true,
            "call-id" | "from-tag" | "via-branch" | "repacketize" | "media-address" | "address-family"
            | "delete-delay" | "in-iface" | "out-iface" | "via-branch-param"
                if module =>
            {
                return Err(Problem::MissingValue);
            }
            flag => self.reader.flag(flag),
        }
        Ok(())
    }

    fn pair(&mut self, token: &Token<'t>, value: &'t str) -> Result<(), Problem> {
        use Dialect::{Daemon, Kamailio, OpenSips};
        if value.is_empty() {
            return Err(Problem::MissingValue);
        }
        match (token.key, self.dialect) {
            ("in-iface", OpenSips) => self.interfaces.push((*token, Side::In)),
            ("out-iface", OpenSips) => self.interfaces.push((*token, Side::Out)),
            ("direction", Kamailio | Daemon) if !value.starts_with('[') => {
                self.interfaces.push((*token, Side::Next));
            }
            ("call-id", _) | ("callid", OpenSips) => self.reader.call_id = Some(value.into()),
            ("from-tag", dialect) => {
                self.reader.from_tag = Some(value.into());
                if dialect == Daemon {
                    self.reader.options.flags.insert(Flag::Directional);
                }
            }
            ("to-tag", dialect) => {
                self.reader.to_tag = Some(value.into());
                match dialect {
                    OpenSips | Kamailio => self.out.send_to_tag = true,
                    Daemon => self.reader.options.flags.insert(Flag::ToTag),
                }
            }
            ("via-branch-param", OpenSips) => self.out.via_branch = Some(ViaBranch::Text(value.into())),
            ("via-branch", OpenSips | Kamailio) => {
                self.out.via_branch = Some(via_branch(value, self.dialect)?);
            }
            ("repacketize", OpenSips | Kamailio) => {
                return Err(if value.bytes().all(|octet| octet.is_ascii_digit()) {
                    Problem::NoEffect
                } else {
                    Problem::Unusable {
                        member: None,
                        expected: "a number".to_owned(),
                    }
                });
            }
            // `codec-strip=X` is `codec-strip-X`.
            (key, Kamailio | Daemon) if key.starts_with("codec-") || key == "transcode" => {
                self.reader.flag(&format!("{key}-{value}"));
            }
            // One flag string does not hold another, or a message could nest them without end.
            (key, _) if same(key, "rtpp-flags") => return Err(self.unknown(token)),
            (key, _) => {
                let value = parse_value(value)?;
                self.reader.key(&ByteString::from(key), &value);
            }
        }
        Ok(())
    }

    fn finish(&mut self) {
        if let Some(protocol) = self.transport.protocol() {
            self.reader.options.transport_protocol = Some(protocol);
        }
        let (mut inward, mut outward) = (None, None);
        for (token, side) in std::mem::take(&mut self.interfaces) {
            let slot = match side {
                Side::In => &mut inward,
                Side::Out => &mut outward,
                Side::Next if inward.is_none() => &mut inward,
                Side::Next if outward.is_none() => &mut outward,
                Side::Next => {
                    self.report(&token, Problem::TooManyInterfaces);
                    continue;
                }
            };
            *slot = Some(token);
        }
        match (inward, outward) {
            (None, None) => {}
            (Some(inward), Some(outward)) => {
                self.reader.options.from_interface = Some(interface_name(&inward));
                self.reader.options.to_interface = Some(interface_name(&outward));
            }
            (Some(alone), None) if self.dialect == Dialect::OpenSips => {
                self.report(&alone, Problem::InterfaceAlone { missing: "out-iface" });
            }
            (None, Some(alone)) => self.report(&alone, Problem::InterfaceAlone { missing: "in-iface" }),
            (Some(alone), None) => self.reader.options.from_interface = Some(interface_name(&alone)),
        }
        self.out.diagnostics.sort_by_key(|diagnostic| diagnostic.offset);
    }

    fn problem_of(&mut self, ignored: Ignored, token: &Token<'_>) -> Problem {
        match ignored.why {
            Why::NotServed => Problem::NotServed,
            Why::Unusable { expected } | Why::Malformed { fault: expected } => {
                let member = ignored
                    .member
                    .filter(|member| Some(member.as_str()) != token.value);
                Problem::Unusable { member, expected }
            }
            Why::Unknown => self.unknown(token),
        }
    }

    fn unknown(&mut self, token: &Token<'_>) -> Problem {
        let may_suggest = self.suggestions_left > 0;
        self.suggestions_left = self.suggestions_left.saturating_sub(1);
        let near = |candidates: &mut dyn Iterator<Item = &'static str>| {
            may_suggest.then(|| suggest(token.key, candidates)).flatten()
        };
        if token.value.is_none() {
            let flags = Flag::ALL.iter().map(|flag| flag.name());
            let protocols = TransportProtocol::ALL.iter().map(|protocol| protocol.name());
            Problem::UnknownFlag {
                suggestion: near(&mut flags.chain(protocols)),
            }
        } else {
            Problem::UnknownKey {
                suggestion: near(&mut known::SERVED_KEYS.into_iter()),
            }
        }
    }

    fn report(&mut self, token: &Token<'_>, problem: Problem) {
        let (offset, token) = (token.offset, token.text.to_owned());
        self.out.diagnostics.push(Diagnostic {
            offset,
            token,
            problem,
        });
    }
}

fn interface_name(token: &Token<'_>) -> String {
    token.value.unwrap_or(token.key).to_owned()
}

fn via_branch(value: &str, dialect: Dialect) -> Result<ViaBranch, Problem> {
    let kamailio = dialect == Dialect::Kamailio;
    match value {
        "1" => Ok(ViaBranch::First),
        "2" => Ok(ViaBranch::Second),
        "auto" => Ok(ViaBranch::Auto),
        "extra" => Ok(ViaBranch::Extra),
        "next" if kamailio => Ok(ViaBranch::Next),
        "auto-next" | "next-auto" if kamailio => Ok(ViaBranch::AutoNext),
        "auto-extra" | "extra-auto" if kamailio => Ok(ViaBranch::AutoExtra),
        _ => {
            let expected = if kamailio {
                "one of 1, 2, auto, extra, next, auto-next, auto-extra"
            } else {
                "one of 1, 2, auto, extra"
            };
            Err(Problem::Unusable {
                member: None,
                expected: expected.to_owned(),
            })
        }
    }
}

/// The transport protocol, put together from words.
#[derive(Debug, Default)]
struct Transport {
    named: bool,
    secure: bool,
    feedback: bool,
    dtls: bool,
}

impl Transport {
    /// Takes a word. False when it is none of them.
    fn take(&mut self, word: &str, dialect: Dialect) -> bool {
        let whole = |secure, feedback, dtls| Self {
            named: true,
            secure,
            feedback,
            dtls,
        };
        match word {
            "RTP" => self.secure = false,
            "SRTP" => self.secure = true,
            "AVP" => self.feedback = false,
            "AVPF" => self.feedback = true,
            "DTLS" if dialect != Dialect::OpenSips => self.dtls = true,
            "RTP/AVP" => *self = whole(false, false, false),
            "RTP/AVPF" => *self = whole(false, true, false),
            "RTP/SAVP" => *self = whole(true, false, false),
            "RTP/SAVPF" => *self = whole(true, true, false),
            "UDP/TLS/RTP/SAVP" => *self = whole(true, false, true),
            "UDP/TLS/RTP/SAVPF" => *self = whole(true, true, true),
            _ => return false,
        }
        self.named = true;
        true
    }

    fn protocol(&self) -> Option<TransportProtocol> {
        self.named
            .then_some(match (self.dtls, self.secure, self.feedback) {
                (true, _, false) => TransportProtocol::UdpTlsRtpSavp,
                (true, _, true) => TransportProtocol::UdpTlsRtpSavpf,
                (false, false, false) => TransportProtocol::RtpAvp,
                (false, false, true) => TransportProtocol::RtpAvpf,
                (false, true, false) => TransportProtocol::RtpSavp,
                (false, true, true) => TransportProtocol::RtpSavpf,
            })
    }
}
