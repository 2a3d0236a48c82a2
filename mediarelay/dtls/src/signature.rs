//! Signatures over what was said (RFC 5246 section 7.4.1.4.1; RSASSA-PSS in DTLS 1.2: RFC 8446 section 4.2.3).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};

use crate::error::Error;
use crate::x509::PublicKey;

/// What our own certificate signs with.
pub(crate) const ECDSA_SHA256: u16 = 0x0403;

/// What we accept, the best first. In DTLS 1.2 the hash does not say which curve.
pub(crate) const SCHEMES: [u16; 9] = [
    ECDSA_SHA256,
    0x0503,
    0x0603, // ECDSA with SHA-256, SHA-384, SHA-512
    0x0804,
    0x0805,
    0x0806, // RSASSA-PSS
    0x0401,
    0x0501,
    0x0601, // RSASSA-PKCS1-v1_5
];

/// Checks a signature of the holder of a certificate.
pub(crate) fn verify(certificate: &[u8], scheme: u16, message: &[u8], signature: &[u8]) -> Result<(), Error> {
    let key = PublicKey::of(certificate)?;
    let algorithm: &'static dyn VerificationAlgorithm = match (key, scheme) {
        (PublicKey::P256(_), 0x0403) => &ECDSA_P256_SHA256_ASN1,
        (PublicKey::P256(_), 0x0503) => &ECDSA_P256_SHA384_ASN1,
        (PublicKey::P256(_), 0x0603) => &ECDSA_P256_SHA512_ASN1,
        (PublicKey::P384(_), 0x0403) => &ECDSA_P384_SHA256_ASN1,
        (PublicKey::P384(_), 0x0503) => &ECDSA_P384_SHA384_ASN1,
        (PublicKey::P384(_), 0x0603) => &ECDSA_P384_SHA512_ASN1,
        (PublicKey::Rsa(_), 0x0804) => &RSA_PSS_2048_8192_SHA256,
        (PublicKey::Rsa(_), 0x0805) => &RSA_PSS_2048_8192_SHA384,
        (PublicKey::Rsa(_), 0x0806) => &RSA_PSS_2048_8192_SHA512,
        (PublicKey::Rsa(_), 0x0401) => &RSA_PKCS1_2048_8192_SHA256,
        (PublicKey::Rsa(_), 0x0501) => &RSA_PKCS1_2048_8192_SHA384,
        (PublicKey::Rsa(_), 0x0601) => &RSA_PKCS1_2048_8192_SHA512,
        _ => return Err(Error::NothingInCommon("signature scheme")),
    };
    let (PublicKey::Rsa(octets) | PublicKey::P256(octets) | PublicKey::P384(octets)) = key;
    UnparsedPublicKey::new(algorithm, octets)
        .verify(message, signature)
        .map_err(|_| Error::Forged)
}
