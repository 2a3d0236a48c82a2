//! The RTP header (RFC 3550, section 5.1).

use crate::extension::Extension;

/// Octets of an RTP header without CSRCs and extension.
pub const RTP_HEADER_LEN: usize = 12;

/// Why a datagram is not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Shorter than the fixed header.
    #[error("RTP packet of {len} octets is shorter than its header")]
    TooShort {
        /// Octets of the datagram.
        len: usize,
    },
    /// The version is not 2.
    #[error("RTP version {0}")]
    Version(u8),
    /// The CSRC list reaches past the end.
    #[error("RTP CSRC list of {count} reaches past the end")]
    CsrcOverrun {
        /// Entries that the header announces.
        count: u8,
    },
    /// The header extension reaches past the end.
    #[error("RTP header extension of {words} words reaches past the end")]
    ExtensionOverrun {
        /// 32-bit words that the extension announces.
        words: u16,
    },
    /// The padding count is zero or larger than the payload.
    #[error("RTP padding of {count} octets does not fit the payload")]
    Padding {
        /// The last octet of the packet.
        count: u8,
    },
}

/// The header of an RTP packet in a borrowed datagram, bounds checked.
///
/// It does not look past the header, so it reads SRTP packets as well as RTP ones.
#[derive(Debug, Clone, Copy)]
pub struct RtpHeader<'a> {
    packet: &'a [u8],
    len: usize,
}

impl<'a> RtpHeader<'a> {
    /// Reads the header at the beginning of a packet.
    ///
    /// # Errors
    /// [`RtpError`], except [`RtpError::Padding`].
    pub fn parse(packet: &'a [u8]) -> Result<Self, RtpError> {
        let Some((fixed, rest)) = packet.split_first_chunk::<RTP_HEADER_LEN>() else {
            return Err(RtpError::TooShort { len: packet.len() });
        };
        let first = fixed[0];
        if first >> 6 != 2 {
            return Err(RtpError::Version(first >> 6));
        }
        let count = first & 0x0f;
        let csrc_len = usize::from(count) * 4;
        if csrc_len > rest.len() {
            return Err(RtpError::CsrcOverrun { count });
        }
        let mut len = RTP_HEADER_LEN + csrc_len;
        if first & 0x10 != 0 {
            let words = packet
                .get(len + 2..len + 4)
                .map_or(0, |w| u16::from_be_bytes([w[0], w[1]]));
            len += 4 + 4 * usize::from(words);
            if len > packet.len() {
                return Err(RtpError::ExtensionOverrun { words });
            }
        }
        Ok(Self { packet, len })
    }

    /// Whether padding follows the payload; its count stands in the packet's last octet, encrypted in SRTP.
    #[must_use]
    pub fn has_padding(&self) -> bool {
        self.packet[0] & 0x20 != 0
    }

    /// The marker bit.
    #[must_use]
    pub fn marker(&self) -> bool {
        self.packet[1] & 0x80 != 0
    }

    /// The payload type, 0 to 127.
    #[must_use]
    pub fn payload_type(&self) -> u8 {
        self.packet[1] & 0x7f
    }

    /// The sequence number.
    #[must_use]
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.packet[2], self.packet[3]])
    }

    /// The timestamp, in units of the payload type's clock.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        self.word(4)
    }

    /// The synchronisation source.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.word(8)
    }

    /// The contributing sources, at most 15.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        let count = usize::from(self.packet[0] & 0x0f);
        let list = &self.packet[RTP_HEADER_LEN..RTP_HEADER_LEN + 4 * count];
        list.as_chunks::<4>()
            .0
            .iter()
            .map(|csrc| u32::from_be_bytes(*csrc))
    }

    /// The header extension, if there is one.
    #[must_use]
    pub fn extension(&self) -> Option<Extension<'a>> {
        if self.packet[0] & 0x10 == 0 {
            return None;
        }
        let start = RTP_HEADER_LEN + 4 * usize::from(self.packet[0] & 0x0f);
        let profile = u16::from_be_bytes([self.packet[start], self.packet[start + 1]]);
        Some(Extension {
            profile,
            data: &self.packet[start + 4..self.len],
        })
    }

    /// Octets of the whole header: where the payload begins.
    #[must_use]
    pub fn size(&self) -> usize {
        self.len
    }

    /// Everything after the header: payload and padding, or their encrypted form with a tag.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        &self.packet[self.len..]
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes([
            self.packet[at],
            self.packet[at + 1],
            self.packet[at + 2],
            self.packet[at + 3],
        ])
    }
}

/// A whole RTP packet, padding checked. Not for SRTP, where the padding is encrypted.
#[derive(Debug, Clone, Copy)]
pub struct RtpPacket<'a> {
    header: RtpHeader<'a>,
    payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Reads a datagram that holds exactly one packet.
    ///
    /// # Errors
    /// [`RtpError`] names what is wrong.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtpError> {
        let header = RtpHeader::parse(datagram)?;
        let mut payload = header.body();
        if header.has_padding() {
            // A payload of no octets has no last one; the padding bit is wrong then.
            let count = payload.last().copied().unwrap_or(0);
            let len = payload.len().checked_sub(usize::from(count));
            payload = match len {
                Some(len) if count > 0 => &payload[..len],
                _ => return Err(RtpError::Padding { count }),
            };
        }
        Ok(Self { header, payload })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &RtpHeader<'a> {
        &self.header
    }

    /// The payload without padding.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// What a sender decides about a header; written without CSRCs and extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpFields {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl RtpFields {
    /// The twelve octets on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; RTP_HEADER_LEN] {
        let mut header = [0; RTP_HEADER_LEN];
        header[0] = 0x80;
        header[1] = self.payload_type & 0x7f | if self.marker { 0x80 } else { 0 };
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        header[8..].copy_from_slice(&self.ssrc.to_be_bytes());
        header
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two CSRCs, a one-word extension, five octets of payload and three of padding.
    const FULL: &[u8] = b"\xb2\xe3\x12\x34\x00\x00\x00\xa0\x11\x22\x33\x44\
        \xaa\xaa\xaa\xaa\xbb\xbb\xbb\xbb\xbe\xde\x00\x01\x10\x41\x00\x00hello\x00\x00\x03";

    #[test]
    fn reads_every_field() {
        let packet = RtpPacket::parse(FULL).unwrap();
        let header = packet.header();
        assert!(header.marker() && header.has_padding());
        assert_eq!(header.payload_type(), 99);
        assert_eq!(header.sequence(), 0x1234);
        assert_eq!(header.timestamp(), 160);
        assert_eq!(header.ssrc(), 0x1122_3344);
        assert_eq!(header.csrcs().collect::<Vec<_>>(), [0xaaaa_aaaa, 0xbbbb_bbbb]);
        assert_eq!(
            header.extension(),
            Some(Extension {
                profile: 0xbede,
                data: &[0x10, 0x41, 0, 0]
            })
        );
        assert_eq!(header.size(), 28);
        assert_eq!(packet.payload(), b"hello");
    }

    #[test]
    fn names_what_does_not_fit() {
        assert_eq!(
            RtpHeader::parse(&FULL[..11]).unwrap_err(),
            RtpError::TooShort { len: 11 }
        );
        assert_eq!(RtpHeader::parse(&[0x40; 12]).unwrap_err(), RtpError::Version(1));
        assert_eq!(
            RtpHeader::parse(&FULL[..19]).unwrap_err(),
            RtpError::CsrcOverrun { count: 2 }
        );
        assert_eq!(
            RtpHeader::parse(&FULL[..22]).unwrap_err(),
            RtpError::ExtensionOverrun { words: 0 }
        );
        assert_eq!(
            RtpHeader::parse(&FULL[..27]).unwrap_err(),
            RtpError::ExtensionOverrun { words: 1 }
        );
        for count in [0, 9] {
            let mut packet = FULL.to_vec();
            *packet.last_mut().unwrap() = count;
            assert_eq!(
                RtpPacket::parse(&packet).unwrap_err(),
                RtpError::Padding { count }
            );
        }
        assert_eq!(
            RtpPacket::parse(&FULL[..28]).unwrap_err(),
            RtpError::Padding { count: 0 }
        );
        let mut all_padding = FULL.to_vec();
        *all_padding.last_mut().unwrap() = 8;
        assert_eq!(RtpPacket::parse(&all_padding).unwrap().payload(), b"");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(marker: bool, payload_type in 0_u8..128, sequence: u16, timestamp: u32, ssrc: u32) {
            let fields = RtpFields { marker, payload_type, sequence, timestamp, ssrc };
            let octets = fields.encode();
            let header = RtpHeader::parse(&octets).unwrap();
            let read = RtpFields {
                marker: header.marker(),
                payload_type: header.payload_type(),
                sequence: header.sequence(),
                timestamp: header.timestamp(),
                ssrc: header.ssrc(),
            };
            prop_assert_eq!(read, fields);
        }

        #[test]
        fn random_octets_never_panic(mut packet in proptest::collection::vec(any::<u8>(), 0..100), version: bool) {
            if let (true, Some(first)) = (version, packet.first_mut()) {
                *first = *first & 0x3f | 0x80;
            }
            if let Ok(packet) = RtpPacket::parse(&packet) {
                let header = packet.header();
                let _ = (header.csrcs().count(), header.extension().map(|e| e.elements().count()), header.body());
                prop_assert!(packet.payload().len() <= header.body().len());
            }
        }
    }
}
