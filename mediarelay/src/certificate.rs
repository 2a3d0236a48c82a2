//! The relay's certificate for DTLS.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use viaduct_session::Certificate;

/// Before the start, for peers whose clock is slow.
const VALID_BEFORE: Duration = Duration::from_secs(24 * 3_600);

/// From the start on: longer than any relay runs. Peers know the certificate by its fingerprint, which the SDP carries;
/// the dates are for the few that look at them all the same.
const VALID_AFTER: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// The latest date that a certificate may have, about.
const YEAR_9000: Duration = Duration::from_secs(221_845_392_000);

/// Makes a certificate: self-signed, ECDSA P-256, as browsers make theirs. Each start has its own.
pub(crate) fn make(now: SystemTime) -> Result<Certificate, rcgen::Error> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "viaduct");
    params.distinguished_name = subject;
    // A clock that is before 1970 or far beyond is wrong in any case.
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = |since_1970: Duration| rcgen::date_time_ymd(1970, 1, 1) + since_1970.min(YEAR_9000);
    params.not_before = at(since_1970.saturating_sub(VALID_BEFORE));
    params.not_after = at(since_1970.saturating_add(VALID_AFTER));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Certificate {
        certificate: certificate.der().to_vec(),
        private_key: key.serialize_der(),
    })
}

#[cfg(test)]
mod tests {
    use viaduct_session::{DimplEngines, DtlsLimits, DtlsVersion};

    use super::*;

    #[test]
    fn a_certificate_can_be_used_and_is_made_anew_each_time() {
        let (one, other) = (make(SystemTime::now()).unwrap(), make(SystemTime::now()).unwrap());
        assert_ne!(one.certificate, other.certificate);
        assert_ne!(one.private_key, other.private_key);
        DimplEngines::new(one, 1_200, DtlsVersion::V1_2, &DtlsLimits::default()).unwrap();
    }

    #[test]
    fn a_clock_that_is_wrong_does_not_matter() {
        for seconds in [0, 60, u64::from(u32::MAX), 1 << 40] {
            make(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
        make(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).unwrap();
    }
}
