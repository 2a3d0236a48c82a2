//! Flag strings, as OpenSIPS and Kamailio take them in `rtpengine_offer("…")`: to the same typed options as
//! a request, with diagnostics; and options back to a readable string.
//!
//! ```
//! use viaduct_ng::{DtlsRequest, IceMode, flags};
//!
//! let parsed = flags::parse_opensips("ICE=force-relay DTLS=passive trust-adress");
//! assert_eq!(parsed.flags.options.ice.mode, Some(IceMode::ForceRelay));
//! assert_eq!(parsed.flags.options.dtls, Some(DtlsRequest::Passive));
//! assert_eq!(
//!     parsed.diagnostics[0].to_string(),
//!     "column 30: `trust-adress`: unknown flag; did you mean `trust-address`?"
//! );
//! ```

mod bracket;
mod diagnostic;
mod interpret;
mod print;
mod token;

pub use diagnostic::{Diagnostic, Problem, Severity};
pub use print::print;

use crate::byte_string::ByteString;
use crate::options::Options;
use crate::request::Why;
use crate::request::reader::Reader;
use interpret::{Dialect, interpret};

/// What a flag string says: options of the request, and orders to the module itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModuleFlags {
    /// Options of the request.
    pub options: Options,
    /// `call-id=`: instead of that of the SIP message.
    pub call_id: Option<ByteString>,
    /// `from-tag=`: instead of that of the SIP message.
    pub from_tag: Option<ByteString>,
    /// `to-tag=`: instead of that of the SIP message.
    pub to_tag: Option<ByteString>,
    /// `to-tag` or `to-tag=`: send a to-tag in commands that do not need one.
    pub send_to_tag: bool,
    /// `via-branch=` and `via-branch-param=`
    pub via_branch: Option<ViaBranch>,
    /// `force-answer`: send `answer` where the SIP message would make it `offer`.
    pub force_answer: bool,
}

impl From<Options> for ModuleFlags {
    fn from(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }
}

/// What becomes the `via-branch` of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViaBranch {
    /// `1`: branch of the first Via
    First,
    /// `2`: branch of the second Via
    Second,
    /// `auto`: the first for a request, the second for a response
    Auto,
    /// `extra`: the string of the module's `extra_id_pv`
    Extra,
    /// `next`: the branch of the next hop (Kamailio)
    Next,
    /// `auto-next`: the next hop's for a request, the first for a response (Kamailio)
    AutoNext,
    /// `auto-extra`: the extra string for a request, the first for a response (Kamailio)
    AutoExtra,
    /// `via-branch-param=`: this text (OpenSIPS)
    Text(ByteString),
}

/// A flag string as it was read. Whatever could be understood is in [`flags`](Self::flags), diagnostics or
/// not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedFlags {
    /// What the string says.
    pub flags: ModuleFlags,
    /// What is wrong with it, in order of place.
    pub diagnostics: Vec<Diagnostic>,
}

impl ParsedFlags {
    /// True when a module would refuse the string, or a value means nothing.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity() == Severity::Error)
    }
}

/// Reads a flag string as OpenSIPS' rtpengine module does.
pub fn parse_opensips(text: &str) -> ParsedFlags {
    parse(text, Dialect::OpenSips)
}

/// Reads a flag string as Kamailio's rtpengine module does. Lists in brackets are understood as well, which
/// Kamailio does where it leaves parsing to the daemon.
pub fn parse_kamailio(text: &str) -> ParsedFlags {
    parse(text, Dialect::Kamailio)
}

/// Reads the value of `rtpp-flags` into a request that is being read.
pub(crate) fn read_rtpp_flags(text: &str, reader: &mut Reader) {
    let outcome = interpret(text, Dialect::Daemon, reader);
    for diagnostic in outcome.diagnostics {
        let why = match diagnostic.problem {
            Problem::NotServed => Why::NotServed,
            Problem::UnknownFlag { .. } | Problem::UnknownKey { .. } => Why::Unknown,
            Problem::Unusable { expected, .. } => Why::Unusable { expected },
            other => Why::Malformed {
                fault: other.to_string(),
            },
        };
        reader.ignore("rtpp-flags", Some(&diagnostic.token), why);
    }
}

fn parse(text: &str, dialect: Dialect) -> ParsedFlags {
    let mut reader = Reader::default();
    let outcome = interpret(text, dialect, &mut reader);
    let flags = ModuleFlags {
        options: reader.options,
        call_id: reader.call_id,
        from_tag: reader.from_tag,
        to_tag: reader.to_tag,
        send_to_tag: outcome.send_to_tag,
        via_branch: outcome.via_branch,
        force_answer: outcome.force_answer,
    };
    ParsedFlags {
        flags,
        diagnostics: outcome.diagnostics,
    }
}

#[cfg(test)]
mod tests;
