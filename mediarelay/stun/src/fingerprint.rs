//! FINGERPRINT: CRC-32 of the message, so that STUN can share a port with other protocols (RFC 8489, section 14.7).

use crate::message::HEADER_LEN;

/// Octets of the attribute's value.
pub(crate) const VALUE_LEN: usize = 4;

/// The CRC is combined with this so that a protocol with a CRC of its own cannot be mistaken for STUN.
const XOR: u32 = 0x5354_554e;

/// Why FINGERPRINT does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// The message has none.
    #[error("FINGERPRINT is absent")]
    Absent,
    /// The CRC differs.
    #[error("FINGERPRINT differs")]
    Mismatch,
}

/// The value for a message of which everything before FINGERPRINT is given.
///
/// The CRC covers the header's length field as it is in the finished message, FINGERPRINT included; this function
/// puts that length in, whatever the header says.
pub(crate) fn of(before: &[u8]) -> u32 {
    debug_assert!(before.len() >= HEADER_LEN);
    let length = (before.len() - HEADER_LEN + 4 + VALUE_LEN) as u16;
    let length = length.to_be_bytes();
    let head = [before[0], before[1], length[0], length[1]];
    let crc = update(update(!0, &head), &before[4..]);
    !crc ^ XOR
}

/// Octets taken in one step. A lite agent computes two CRCs per check; single octets take three times as long, and 16
/// gain a tenth but double the tables, which share the first-level cache with the packets.
const STEP: usize = 8;

/// `TABLES[k][b]`: what octet `b` contributes when `k` more octets follow it in the same step.
static TABLES: [[u32; 256]; STEP] = tables();

const fn tables() -> [[u32; 256]; STEP] {
    // CRC-32 of ITU-T V.42, bits reflected.
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut tables = [[0; 256]; STEP];
    let mut octet = 0;
    while octet < 256 {
        let mut crc = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][octet] = crc;
        octet += 1;
    }
    let mut after = 1;
    while after < STEP {
        let mut octet = 0;
        while octet < 256 {
            let shorter = tables[after - 1][octet];
            tables[after][octet] = (shorter >> 8) ^ tables[0][(shorter & 0xff) as usize];
            octet += 1;
        }
        after += 1;
    }
    tables
}

fn update(mut crc: u32, data: &[u8]) -> u32 {
    let (steps, rest) = data.as_chunks::<STEP>();
    for step in steps {
        let mut octets = *step;
        for (octet, carried) in octets.iter_mut().zip(crc.to_le_bytes()) {
            *octet ^= carried;
        }
        crc = 0;
        for (octet, table) in octets.iter().zip(TABLES.iter().rev()) {
            crc ^= table[usize::from(*octet)];
        }
    }
    for &octet in rest {
        crc = (crc >> 8) ^ TABLES[0][((crc ^ u32::from(octet)) & 0xff) as usize];
    }
    crc
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn crc_of_the_usual_check_string() {
        assert_eq!(!update(!0, b"123456789"), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn eight_octets_a_step_equal_one_at_a_time(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let one_by_one = data.iter().fold(!0, |crc, octet| update(crc, &[*octet]));
            prop_assert_eq!(update(!0, &data), one_by_one);
        }
    }
}
