//! The public key of a certificate (RFC 5280 section 4.1). Nothing else in it counts: the fingerprint vouches for the rest.

use crate::error::Error;
use crate::wire::{Malformed, Reader};

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `[0]`, which marks the version.
const VERSION: u8 = 0xA0;

const RSA_ENCRYPTION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];

/// A key that signatures can be checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublicKey<'a> {
    /// `RSAPublicKey` of PKCS #1, in DER.
    Rsa(&'a [u8]),
    /// A point, uncompressed.
    P256(&'a [u8]),
    /// A point, uncompressed.
    P384(&'a [u8]),
}

impl<'a> PublicKey<'a> {
    /// The key of a certificate in DER.
    pub(crate) fn of(certificate: &'a [u8]) -> Result<Self, Error> {
        let (algorithm, key) = subject_public_key(certificate).map_err(|_| Error::Certificate)?;
        match algorithm {
            (RSA_ENCRYPTION, _) => Ok(Self::Rsa(key)),
            (EC_PUBLIC_KEY, Some(P256)) => Ok(Self::P256(key)),
            (EC_PUBLIC_KEY, Some(P384)) => Ok(Self::P384(key)),
            _ => Err(Error::Certificate),
        }
    }
}

/// Algorithm and curve, and the key.
type KeyInfo<'a> = ((&'a [u8], Option<&'a [u8]>), &'a [u8]);

fn subject_public_key(certificate: &[u8]) -> Result<KeyInfo<'_>, Malformed> {
    let mut signed = Reader::new(element(&mut Reader::new(certificate), SEQUENCE)?);
    let mut fields = Reader::new(element(&mut signed, SEQUENCE)?);
    if fields.rest().first() == Some(&VERSION) {
        element(&mut fields, VERSION)?;
    }
    // Serial number, signature algorithm, issuer, validity, subject.
    for _ in 0..5 {
        next_element(&mut fields)?;
    }
    let mut info = Reader::new(element(&mut fields, SEQUENCE)?);
    let mut algorithm = Reader::new(element(&mut info, SEQUENCE)?);
    let name = element(&mut algorithm, OBJECT_IDENTIFIER)?;
    let curve = element(&mut algorithm, OBJECT_IDENTIFIER).ok();
    let Some((0, key)) = element(&mut info, BIT_STRING)?.split_first() else {
        return Err(Malformed);
    };
    Ok(((name, curve), key))
}

fn element<'a>(reader: &mut Reader<'a>, tag: u8) -> Result<&'a [u8], Malformed> {
    match next_element(reader)? {
        (found, content) if found == tag => Ok(content),
        _ => Err(Malformed),
    }
}

/// Tag and content of the next element (X.690 section 8.1). Lengths of up to three octets are enough for certificates.
fn next_element<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Malformed> {
    let tag = reader.u8()?;
    let len = match reader.u8()? {
        short @ ..=0x7F => usize::from(short),
        0x81 => usize::from(reader.u8()?),
        0x82 => usize::from(reader.u16()?),
        0x83 => reader.u24()?,
        _ => return Err(Malformed),
    };
    Ok((tag, reader.take(len)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap()
            .der()
            .to_vec()
    }

    #[test]
    fn the_key_of_a_certificate_is_found() {
        let der = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert!(matches!(PublicKey::of(&der), Ok(PublicKey::P256(point)) if point.len() == 65));
        let der = certificate(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert!(matches!(PublicKey::of(&der), Ok(PublicKey::P384(point)) if point.len() == 97));
        let der = certificate(&rcgen::PKCS_ED25519);
        assert_eq!(PublicKey::of(&der), Err(Error::Certificate));
        for len in 0..der.len() {
            assert_eq!(PublicKey::of(&der[..len]), Err(Error::Certificate), "{len}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = PublicKey::of(&octets);
        }

        #[test]
        fn no_change_of_a_certificate_makes_it_panic(changes in proptest::collection::vec((0_usize..400, any::<u8>()), 1..8)) {
            let mut der = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
            for (at, octet) in changes {
                let at = at % der.len();
                der[at] = octet;
            }
            let _ = PublicKey::of(&der);
        }
    }
}
