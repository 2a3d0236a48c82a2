//! What can be wrong with a document, and where.

/// Why a document was not accepted as SDP at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct ParseError {
    /// Line of the document, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: ParseFault,
}

/// The fault in a [`ParseError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseFault {
    /// More octets than [`Limits::octets_max`](crate::Limits::octets_max).
    #[error("{octets} octets are more than the limit of {limit}")]
    TooLong {
        /// Size of the document, octets.
        octets: usize,
        /// The limit it broke, octets.
        limit: usize,
    },
    /// More lines than [`Limits::lines_max`](crate::Limits::lines_max).
    #[error("more than {limit} lines")]
    TooManyLines {
        /// The limit it broke.
        limit: usize,
    },
    /// More `m=` lines than [`Limits::medias_max`](crate::Limits::medias_max).
    #[error("more than {limit} m= lines")]
    TooManyMedias {
        /// The limit it broke.
        limit: usize,
    },
    /// More formats in one `m=` line than [`Limits::formats_max`](crate::Limits::formats_max).
    #[error("more than {limit} formats")]
    TooManyFormats {
        /// The limit it broke.
        limit: usize,
    },
    /// More `a=` lines in one section than [`Limits::attributes_max`](crate::Limits::attributes_max).
    #[error("more than {limit} attributes in one section")]
    TooManyAttributes {
        /// The limit it broke.
        limit: usize,
    },
    /// More candidates in one section than [`Limits::candidates_max`](crate::Limits::candidates_max).
    #[error("more than {limit} candidates in one section")]
    TooManyCandidates {
        /// The limit it broke.
        limit: usize,
    },
    /// NUL, or CR that does not end a line: RFC 8866 section 9 excludes both from every text, and parsers
    /// that take them for an end would see another document than we do.
    #[error("octet 0x{octet:02x} may not stand inside a line")]
    ForbiddenOctet {
        /// The octet.
        octet: u8,
    },
    /// The first line is not `v=0` (RFC 8866 section 5.1).
    #[error("the document does not begin with v=0")]
    NoVersion,
    /// A second `v=` line: several session descriptions in one body.
    #[error("a second v= line")]
    SecondSession,
    /// An `m=` line without kind, port (0 to 65535) and protocol (RFC 8866 section 5.14).
    #[error("malformed m= line: {0}")]
    MediaLine(Reason),
}

/// One line that could not be read as what it claims to be. The rest of the document is unaffected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {name}: {reason}")]
pub struct LineError {
    /// Line of the document, counted from 1.
    pub line: usize,
    /// `c=`, `o=`, … or the attribute's name.
    pub name: &'static str,
    /// What is wrong with the value.
    pub reason: Reason,
}

/// What is wrong with a value. The text names the field in the words of its RFC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The value is not UTF-8.
    #[error("not text")]
    NotText,
    /// A field is absent.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field is not of its form.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// A number outside its range.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    /// A word that is none of those the field may hold.
    #[error("{0} is unknown")]
    Unknown(&'static str),
    /// More text after the last field.
    #[error("something follows the last field")]
    Trailing,
}
