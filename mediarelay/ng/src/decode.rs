//! What both decoders share: their faults, and the budget a message is read within.

use crate::limits::Limits;

/// Why a body is not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("octet {offset}: {fault}")]
pub struct DecodeError {
    /// Where in the body, in octets from its start.
    pub offset: usize,
    /// What is wrong there.
    pub fault: DecodeFault,
}

/// The fault in a [`DecodeError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeFault {
    /// The body ends inside a value.
    #[error("the message ends here")]
    UnexpectedEnd,
    /// An octet that cannot stand there.
    #[error("unexpected octet 0x{0:02x}")]
    UnexpectedOctet(u8),
    /// A number or length with a zero in front, or `-0`: one value, one spelling.
    #[error("superfluous zero")]
    LeadingZero,
    /// A string with a negative length.
    #[error("negative length")]
    NegativeLength,
    /// A number beyond 64 bits.
    #[error("number out of range")]
    Overflow,
    /// A dictionary key that is not a string.
    #[error("key is not a string")]
    KeyNotString,
    /// A dictionary ends after a key.
    #[error("key without value")]
    KeyWithoutValue,
    /// Something follows the value. White space is let pass.
    #[error("more after the value")]
    Trailing,
    /// More octets than [`Limits::octets_max`].
    #[error("more than {0} octets")]
    TooManyOctets(usize),
    /// Nested deeper than [`Limits::depth_max`].
    #[error("nested deeper than {0}")]
    TooDeep(usize),
    /// More values than [`Limits::elements_max`].
    #[error("more than {0} values")]
    TooManyElements(usize),
    /// Not JSON, in the parser's words.
    #[error("{0}")]
    Json(String),
}

/// Counts what is left of the limits while one body is read.
#[derive(Debug)]
pub(crate) struct Budget {
    elements: usize,
    limits: Limits,
}

impl Budget {
    /// Refuses bodies that are too long, before anything in them is looked at.
    pub(crate) fn new(body: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        if body.len() > limits.octets_max {
            return Err(DecodeError {
                offset: 0,
                fault: DecodeFault::TooManyOctets(limits.octets_max),
            });
        }
        Ok(Self {
            elements: limits.elements_max,
            limits: *limits,
        })
    }

    /// One more value at `depth` containers.
    pub(crate) fn spend(&mut self) -> Result<(), DecodeFault> {
        self.elements = self
            .elements
            .checked_sub(1)
            .ok_or(DecodeFault::TooManyElements(self.limits.elements_max))?;
        Ok(())
    }

    /// A container inside `depth` others.
    pub(crate) fn descend(&self, depth: usize) -> Result<(), DecodeFault> {
        if depth >= self.limits.depth_max {
            Err(DecodeFault::TooDeep(self.limits.depth_max))
        } else {
            Ok(())
        }
    }
}
