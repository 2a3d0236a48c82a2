//! Writes a message into a buffer that the caller owns.

use std::net::SocketAddr;

use crate::attribute::{self, AttributeType};
use crate::fingerprint;
use crate::integrity::{self, IntegrityKey};
use crate::message::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, encode_type};

/// Why something cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The buffer ends before the attribute does.
    #[error("STUN buffer has {available} octets, {needed} are needed")]
    BufferTooSmall {
        /// Octets the message would have.
        needed: usize,
        /// Octets the buffer has.
        available: usize,
    },
    /// The value or the message would not fit its 16-bit length.
    #[error("STUN value of {len} octets is too long")]
    TooLong {
        /// Octets of the value.
        len: usize,
    },
}

/// A message under construction. After every call the buffer holds a complete message.
///
/// The caller keeps the order that RFC 8489 asks for: [`integrity`](Self::integrity) after everything it should
/// cover, [`fingerprint`](Self::fingerprint) last.
#[derive(Debug)]
pub struct MessageWriter<'b> {
    buffer: &'b mut [u8],
    transaction: TransactionId,
    len: usize,
}

impl<'b> MessageWriter<'b> {
    /// Begins a message with its header.
    ///
    /// # Errors
    /// The buffer is shorter than a header.
    pub fn new(
        buffer: &'b mut [u8],
        class: Class,
        method: Method,
        transaction: TransactionId,
    ) -> Result<Self, WriteError> {
        let available = buffer.len();
        let Some(header) = buffer.first_chunk_mut::<HEADER_LEN>() else {
            return Err(WriteError::BufferTooSmall {
                needed: HEADER_LEN,
                available,
            });
        };
        header[..2].copy_from_slice(&encode_type(class, method).to_be_bytes());
        header[2..4].fill(0);
        header[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        header[8..].copy_from_slice(&transaction.0);
        Ok(Self {
            buffer,
            transaction,
            len: HEADER_LEN,
        })
    }

    /// Appends any attribute.
    ///
    /// # Errors
    /// It does not fit; the message is unchanged then. The same holds for every method below.
    pub fn attribute(&mut self, kind: AttributeType, value: &[u8]) -> Result<&mut Self, WriteError> {
        self.begin(kind, value.len())?.copy_from_slice(value);
        Ok(self)
    }

    /// Appends USERNAME.
    ///
    /// # Errors
    /// It does not fit.
    pub fn username(&mut self, username: &str) -> Result<&mut Self, WriteError> {
        self.attribute(AttributeType::USERNAME, username.as_bytes())
    }

    /// Appends SOFTWARE.
    ///
    /// # Errors
    /// It does not fit.
    pub fn software(&mut self, software: &str) -> Result<&mut Self, WriteError> {
        self.attribute(AttributeType::SOFTWARE, software.as_bytes())
    }

    /// Appends PRIORITY.
    ///
    /// # Errors
    /// It does not fit.
    pub fn priority(&mut self, priority: u32) -> Result<&mut Self, WriteError> {
        self.attribute(AttributeType::PRIORITY, &priority.to_be_bytes())
    }

    /// Appends USE-CANDIDATE.
    ///
    /// # Errors
    /// It does not fit.
    pub fn use_candidate(&mut self) -> Result<&mut Self, WriteError> {
        self.attribute(AttributeType::USE_CANDIDATE, &[])
    }

    /// Appends ICE-CONTROLLED with a tie-breaker.
    ///
    /// # Errors
    /// It does not fit.
    pub fn ice_controlled(&mut self, tie_breaker: u64) -> Result<&mut Self, WriteError> {
        self.attribute(AttributeType::ICE_CONTROLLED, &tie_breaker.to_be_bytes())
    }

    /// Appends ICE-CONTROLLING with a tie-breaker.
    ///
    /// # Errors
    /// It does not fit.
    pub fn ice_controlling(&mut self, tie_breaker: u64) -> Result<&mut Self, WriteError> {
        self.attribute(AttributeType::ICE_CONTROLLING, &tie_breaker.to_be_bytes())
    }

    /// Appends XOR-MAPPED-ADDRESS. An IPv4 address mapped into IPv6 is written as IPv4.
    ///
    /// # Errors
    /// It does not fit.
    pub fn xor_mapped_address(&mut self, address: SocketAddr) -> Result<&mut Self, WriteError> {
        let mut value = [0; attribute::XOR_ADDRESS_MAX];
        let len = attribute::encode_xor_address(address, self.transaction, &mut value);
        self.attribute(AttributeType::XOR_MAPPED_ADDRESS, &value[..len])
    }

    /// Appends ERROR-CODE. `code` is 300 to 699.
    ///
    /// # Errors
    /// It does not fit.
    pub fn error_code(&mut self, code: u16, reason: &str) -> Result<&mut Self, WriteError> {
        debug_assert!((300..700).contains(&code));
        let value = self.begin(AttributeType::ERROR_CODE, 4 + reason.len())?;
        value[..4].copy_from_slice(&[0, 0, (code / 100) as u8, (code % 100) as u8]);
        value[4..].copy_from_slice(reason.as_bytes());
        Ok(self)
    }

    /// Appends UNKNOWN-ATTRIBUTES.
    ///
    /// # Errors
    /// It does not fit.
    pub fn unknown_attributes(&mut self, kinds: &[AttributeType]) -> Result<&mut Self, WriteError> {
        let value = self.begin(AttributeType::UNKNOWN_ATTRIBUTES, 2 * kinds.len())?;
        for (place, kind) in value.chunks_exact_mut(2).zip(kinds) {
            place.copy_from_slice(&kind.0.to_be_bytes());
        }
        Ok(self)
    }

    /// Appends MESSAGE-INTEGRITY over everything written so far.
    ///
    /// # Errors
    /// It does not fit.
    pub fn integrity(&mut self, key: &IntegrityKey) -> Result<&mut Self, WriteError> {
        let value = key.sign(&self.buffer[..self.len]);
        debug_assert_eq!(value.len(), integrity::VALUE_LEN);
        self.attribute(AttributeType::MESSAGE_INTEGRITY, &value)
    }

    /// Appends FINGERPRINT over everything written so far.
    ///
    /// # Errors
    /// It does not fit.
    pub fn fingerprint(&mut self) -> Result<&mut Self, WriteError> {
        let value = fingerprint::of(&self.buffer[..self.len]);
        self.attribute(AttributeType::FINGERPRINT, &value.to_be_bytes())
    }

    /// Ends construction and gives the message.
    #[must_use]
    pub fn finish(self) -> &'b [u8] {
        &self.buffer[..self.len]
    }

    /// Appends an attribute's header and zero padding, corrects the message's length, and gives the place of the value.
    fn begin(&mut self, kind: AttributeType, len: usize) -> Result<&mut [u8], WriteError> {
        let too_long = WriteError::TooLong { len };
        let value_len = u16::try_from(len).map_err(|_| too_long)?;
        let start = self.len + 4;
        let end = start + len.next_multiple_of(4);
        let message_len = u16::try_from(end - HEADER_LEN).map_err(|_| too_long)?;
        let available = self.buffer.len();
        let Some(attribute) = self.buffer.get_mut(self.len..end) else {
            return Err(WriteError::BufferTooSmall {
                needed: end,
                available,
            });
        };
        attribute[..2].copy_from_slice(&kind.0.to_be_bytes());
        attribute[2..4].copy_from_slice(&value_len.to_be_bytes());
        attribute[4 + len..].fill(0);
        self.buffer[2..4].copy_from_slice(&message_len.to_be_bytes());
        self.len = end;
        Ok(&mut self.buffer[start..start + len])
    }
}

#[cfg(test)]
mod tests;
