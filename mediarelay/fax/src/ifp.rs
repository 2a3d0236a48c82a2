//! IFP, the packets of T.38 themselves (T.38 section 7): what a library in C may be given of what a stranger sent.
//!
//! spandsp reads IFP with care, but it reads it in C. Only packets that are whole come to it: every length in them has been
//! looked at here.

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
    /// It has more octets than [`IFP_MAX`](crate::udptl::IFP_MAX), here as many.
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
    if ifp.len() > crate::udptl::IFP_MAX {
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
