use crate::message::Salvage;
use crate::{HeaderName, ResponseBuilder, StatusCode};

/// Why octets are no SIP message, and what of them can still be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// The readable part of a request that must be answered. `None` for a response, an ACK, and for a request that
    /// lacks one of Via, From, To, Call-ID and CSeq: nobody would recognise the answer.
    pub salvage: Option<Box<Salvage>>,
}

impl ParseError {
    /// An answer to the faulty request: the code of [`ParseErrorKind::status`] with the fault as reason phrase. `None`
    /// when there is nothing to answer.
    pub fn answer(&self) -> Option<ResponseBuilder<'_>> {
        let salvage = self.salvage.as_ref()?;
        Some(ResponseBuilder::from_salvage(salvage, self.kind.status()).reason(&self.kind.to_string()))
    }
}

/// What is wrong with octets that should have been one SIP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// Nothing but line ends. Ask [`KeepAlive::recognize`](crate::KeepAlive::recognize) first.
    #[error("Empty Message")]
    Empty,
    /// Over the transport's limit for one message.
    #[error("Message Exceeds {limit} Octets")]
    MessageTooLarge {
        /// The limit that was passed, in octets.
        limit: usize,
    },
    /// [`Limits::head_octets_max`](crate::Limits::head_octets_max) passed.
    #[error("Header Section Exceeds {limit} Octets")]
    HeadTooLarge {
        /// The limit that was passed, in octets.
        limit: usize,
    },
    /// [`Limits::start_line_octets_max`](crate::Limits::start_line_octets_max) passed.
    #[error("Start Line Exceeds {limit} Octets")]
    StartLineTooLong {
        /// The limit that was passed, in octets.
        limit: usize,
    },
    /// [`Limits::header_octets_max`](crate::Limits::header_octets_max) passed.
    #[error("Header Exceeds {limit} Octets")]
    HeaderTooLong {
        /// The limit that was passed, in octets.
        limit: usize,
    },
    /// [`Limits::headers_max`](crate::Limits::headers_max) passed.
    #[error("More Than {limit} Headers")]
    TooManyHeaders {
        /// The limit that was passed.
        limit: usize,
    },
    /// [`Limits::vias_max`](crate::Limits::vias_max) passed.
    #[error("More Than {limit} Vias")]
    TooManyVias {
        /// The limit that was passed.
        limit: usize,
    },
    /// Neither a request line nor a status line; or blanks that the grammar does not have (RFC 4475 section 3.1.2.9).
    #[error("Bad Start Line")]
    BadStartLine,
    /// A Request-URI with characters that no URI has: blanks, `<`, `>`, quotes, control characters, invalid UTF-8.
    #[error("Bad Request-URI")]
    BadRequestUri,
    /// A SIP version other than 2.0.
    #[error("SIP Version Not Supported")]
    UnsupportedVersion,
    /// A response code outside 100 to 699.
    #[error("Bad Response Code")]
    BadStatusCode,
    /// A CR or LF on its own. Readers disagree on whether it ends a line, so it may not pass.
    #[error("Lone CR or LF")]
    LoneLineBreak,
    /// A header line without a name or without a colon.
    #[error("Bad Header Line")]
    BadHeaderLine,
    /// The octets end before the empty line that ends the headers.
    #[error("Header Section Not Ended")]
    HeadUnterminated,
    /// A header that may occur once occurs again with another value; Content-Length with any.
    #[error("Repeated {0}")]
    HeaderRepeated(HeaderName),
    /// A stream message without Content-Length cannot be framed (RFC 3261 section 18.3).
    #[error("Content-Length Missing")]
    ContentLengthMissing,
    /// Content-Length is not one decimal number.
    #[error("Bad Content-Length")]
    BadContentLength,
    /// Content-Length says more than there is.
    #[error("Content-Length Exceeds Message")]
    BodyTruncated {
        /// The value of Content-Length.
        declared: u64,
        /// Octets after the empty line.
        present: usize,
    },
    /// A WebSocket message holds more than one SIP message (RFC 7118 section 5).
    #[error("Octets After Message")]
    TrailingOctets {
        /// Octets after the body.
        count: usize,
    },
}

impl ParseErrorKind {
    /// The answer that the fault deserves, when the message is a request.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::MessageTooLarge { .. } | Self::HeadTooLarge { .. } => StatusCode::MESSAGE_TOO_LARGE,
            Self::StartLineTooLong { .. } => StatusCode::REQUEST_URI_TOO_LONG,
            Self::UnsupportedVersion => StatusCode::VERSION_NOT_SUPPORTED,
            Self::Empty
            | Self::HeaderTooLong { .. }
            | Self::TooManyHeaders { .. }
            | Self::TooManyVias { .. }
            | Self::BadStartLine
            | Self::BadRequestUri
            | Self::BadStatusCode
            | Self::LoneLineBreak
            | Self::BadHeaderLine
            | Self::HeadUnterminated
            | Self::HeaderRepeated(_)
            | Self::ContentLengthMissing
            | Self::BadContentLength
            | Self::BodyTruncated { .. }
            | Self::TrailingOctets { .. } => StatusCode::BAD_REQUEST,
        }
    }

    /// A short stable word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::HeadTooLarge { .. } => "head_too_large",
            Self::StartLineTooLong { .. } => "start_line_too_long",
            Self::HeaderTooLong { .. } => "header_too_long",
            Self::TooManyHeaders { .. } => "too_many_headers",
            Self::TooManyVias { .. } => "too_many_vias",
            Self::BadStartLine => "bad_start_line",
            Self::BadRequestUri => "bad_request_uri",
            Self::UnsupportedVersion => "unsupported_version",
            Self::BadStatusCode => "bad_status_code",
            Self::LoneLineBreak => "lone_line_break",
            Self::BadHeaderLine => "bad_header_line",
            Self::HeadUnterminated => "head_unterminated",
            Self::HeaderRepeated(_) => "header_repeated",
            Self::ContentLengthMissing => "content_length_missing",
            Self::BadContentLength => "bad_content_length",
            Self::BodyTruncated { .. } => "body_truncated",
            Self::TrailingOctets { .. } => "trailing_octets",
        }
    }
}

/// What is wrong with one header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Nothing where a value must be.
    #[error("empty value")]
    Empty,
    /// A quoted string that never closes.
    #[error("quotation mark without its partner")]
    UnclosedQuote,
    /// A `<` without `>`.
    #[error("angle bracket without its partner")]
    UnclosedBracket,
    /// A display name with characters that are neither token nor quoted.
    #[error("bad display name")]
    BadDisplayName,
    /// A URI with `?` or a comma outside angle brackets, where it cannot be told whose the rest is (RFC 3261 section 20).
    #[error("URI needs angle brackets")]
    UriNeedsBrackets,
    /// No URI where one must be.
    #[error("URI missing")]
    UriMissing,
    /// `;` without a parameter name, or a name with characters that no token has.
    #[error("bad parameter")]
    BadParam,
    /// A Via whose sent-protocol is not `SIP/2.0/` and a token.
    #[error("bad sent-protocol")]
    BadProtocol,
    /// No host, or one with characters that no host has.
    #[error("bad host")]
    BadHost,
    /// A port that is no number from 1 to 65535.
    #[error("bad port")]
    BadPort,
    /// A number with other characters than digits, or too large for its header.
    #[error("bad number")]
    BadNumber,
    /// A method that is no token.
    #[error("bad method")]
    BadMethod,
    /// A Call-ID with blanks, control or non-ASCII characters.
    #[error("bad Call-ID")]
    BadCallId,
    /// A tag or branch that is no token.
    #[error("bad token")]
    BadToken,
    /// Octets after the value's end.
    #[error("octets after the value")]
    Junk,
}
