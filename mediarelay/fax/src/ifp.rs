//! IFP, the packets of T.38 themselves (T.38 section 7): what a library in C may be given of what a stranger sent.
//!
//! spandsp reads IFP with care, but it reads it in C. Only packets that are whole come to it: every length in them has been
//! looked at here.

use crate::udptl::IFP_MAX;

/// Kinds of signals and of data that T.38 numbers up to version 3, after those of the first version.
const MORE_INDICATORS: u8 = 7;
const MORE_DATA: u8 = 6;
/// Kinds of fields added in version 3. Those of the first are as many as three bits tell.
const MORE_FIELDS: u8 = 4;
/// Kinds of data of the first version.
const DATA: u8 = 9;

/// Octets of a field of control or ECM data: a frame of 260 octets is the longest that T.30 has (T.30 annex A).
/// Data without ECM may come in larger pieces.
const FIELD_MAX: usize = 1_024;

/// Why a packet is not given to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum IfpError {
    /// It has more octets than [`IFP_MAX`], here as many.
    #[error("an IFP packet of {0} octets")]
    Length(usize),
    /// It ends within a field.
    #[error("an IFP packet that ends too early")]
    Truncated,
    /// It has a kind of signal, data or field that T.38 does not number.
    #[error("an IFP packet of an unknown kind")]
    Kind,
    /// A signal with data.
    #[error("an IFP packet with data for a signal")]
    Data,
    /// A field of this many octets.
    #[error("an IFP packet with a field of {0} octets")]
    Field(usize),
    /// There is something behind its end.
    #[error("an IFP packet with {0} octets behind its end")]
    Trailing(usize),
    /// spandsp refused it.
    #[error("spandsp takes no such IFP packet")]
    Refused,
}

/// The octets that are the packet: without the zeros that a parity leaves behind it.
///
/// The encoding depends on the version: the first one's ASN.1 had a mistake that has to be kept, so that two fields without
/// data share an octet (T.38 annex A).
///
/// # Errors
/// [`IfpError`] for what is no packet.
pub fn whole(ifp: &[u8], version: u8) -> Result<&[u8], IfpError> {
    if ifp.len() > IFP_MAX {
        return Err(IfpError::Length(ifp.len()));
    }
    let length = length(ifp, version)?;
    let (packet, rest) = ifp.split_at_checked(length).ok_or(IfpError::Truncated)?;
    if rest.iter().any(|octet| *octet != 0) {
        return Err(IfpError::Trailing(rest.len()));
    }
    Ok(packet)
}

/// The octets of a packet that may go on behind.
fn length(ifp: &[u8], version: u8) -> Result<usize, IfpError> {
    let octet = |at: usize| ifp.get(at).copied().ok_or(IfpError::Truncated);
    let head = octet(0)?;
    let (has_data, is_data, is_extended) = (head & 0x80 != 0, head & 0x40 != 0, head & 0x20 != 0);
    let kind = if is_extended {
        (head & 0x0f) << 2 | octet(1)? >> 6
    } else {
        head >> 1 & 0x0f
    };
    let mut at = if is_extended { 2 } else { 1 };
    if !is_data {
        return match (has_data, is_extended && kind >= MORE_INDICATORS) {
            (true, _) => Err(IfpError::Data),
            (false, true) => Err(IfpError::Kind),
            (false, false) => Ok(at),
        };
    }
    if kind >= if is_extended { MORE_DATA } else { DATA } {
        return Err(IfpError::Kind);
    }
    if !has_data {
        return Ok(at);
    }
    let fields = octet(at)?;
    at += 1;
    // In the first version: a field without data was in the upper half of this octet, so the next is in the lower.
    let mut is_half = false;
    for _ in 0..fields {
        let first = octet(at)?;
        let has_data;
        if version == 0 {
            has_data = first & if is_half { 0x08 } else { 0x80 } != 0;
            is_half = !is_half && !has_data;
            if !is_half {
                at += 1;
            }
        } else {
            has_data = first & 0x80 != 0;
            if first & 0x40 != 0 {
                let kind = (first & 0x0f) << 2 | octet(at + 1)? >> 6;
                if kind >= MORE_FIELDS {
                    return Err(IfpError::Kind);
                }
                at += 1;
            }
            at += 1;
        }
        if has_data {
            let octets = usize::from(u16::from_be_bytes([octet(at)?, octet(at + 1)?])) + 1;
            if octets > FIELD_MAX {
                return Err(IfpError::Field(octets));
            }
            at += 2 + octets;
        }
    }
    Ok(at + usize::from(is_half))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn signals_are_one_octet_or_two() {
        assert_eq!(whole(&[0x06], 0), Ok(&[0x06][..]));
        assert_eq!(whole(&[0x1e, 0, 0], 3), Ok(&[0x1e][..]));
        // V.33 at 14,400, the last that there is.
        assert_eq!(whole(&[0x21, 0x80], 3), Ok(&[0x21, 0x80][..]));
        assert_eq!(whole(&[0x21, 0xc0], 3), Err(IfpError::Kind));
        assert_eq!(whole(&[0x20], 3), Err(IfpError::Truncated));
        assert_eq!(whole(&[0x86, 0], 0), Err(IfpError::Data));
        assert_eq!(whole(&[], 0), Err(IfpError::Truncated));
    }

    #[test]
    fn data_is_as_long_as_its_fields() {
        // V.21, one HDLC field of three octets.
        let hdlc = [0xc0, 1, 0x80, 0, 2, 0xff, 0x13, 0x80];
        for version in [0, 3] {
            assert_eq!(whole(&hdlc, version), Ok(&hdlc[..]));
            for cut in 0..hdlc.len() {
                assert_eq!(whole(&hdlc[..cut], version), Err(IfpError::Truncated), "{cut}");
            }
        }
        let padded = [&hdlc[..], &[0, 0, 0]].concat();
        assert_eq!(whole(&padded, 0), Ok(&hdlc[..]));
        let more = [&hdlc[..], &[0, 1]].concat();
        assert_eq!(whole(&more, 0), Err(IfpError::Trailing(2)));
        assert_eq!(whole(&[0xd2, 0], 0), Err(IfpError::Kind));
        assert_eq!(whole(&[0x40], 0), Ok(&[0x40][..]));
        assert_eq!(
            whole(&[0xc0, 1, 0x80, 0xff, 0xff], 0),
            Err(IfpError::Field(65_536))
        );
        assert_eq!(whole(&[0; IFP_MAX + 1], 0), Err(IfpError::Length(IFP_MAX + 1)));
    }

    #[test]
    fn fields_without_data_share_an_octet_in_the_first_version() {
        // End of a frame with a good check sum, then end of the signal.
        assert_eq!(whole(&[0xc0, 2, 0x21], 0), Ok(&[0xc0, 2, 0x21][..]));
        assert_eq!(whole(&[0xc0, 1, 0x20], 0), Ok(&[0xc0, 1, 0x20][..]));
        assert_eq!(whole(&[0xc0, 2, 0x10, 0x08], 3), Ok(&[0xc0, 2, 0x10, 0x08][..]));
        // Data behind half an octet.
        let mixed = [0xc0, 2, 0x28, 0, 0, 0x55];
        assert_eq!(whole(&mixed, 0), Ok(&mixed[..]));
        // Kinds of fields of version 3, with and without data.
        assert_eq!(whole(&[0xc0, 1, 0x40, 0xc0], 3), Ok(&[0xc0, 1, 0x40, 0xc0][..]));
        assert_eq!(whole(&[0xc0, 1, 0x41, 0x00], 3), Err(IfpError::Kind));
    }

    proptest! {
        #[test]
        fn what_is_whole_stays_whole(ifp in proptest::collection::vec(any::<u8>(), 0..60), version in 0_u8..4) {
            if let Ok(packet) = whole(&ifp, version) {
                prop_assert!(ifp.starts_with(packet) && !packet.is_empty());
                prop_assert_eq!(whole(packet, version), Ok(packet));
                prop_assert!(whole(&packet[..packet.len() - 1], version).is_err());
            }
        }
    }
}
