//! Handshake messages (RFC 5246 section 7.4, RFC 8422) with the extensions that media needs.

use crate::crypto::{GROUPS, SUITES};
use crate::error::Error;
use crate::record::VERSION;
use crate::signature::SCHEMES;
use crate::wire::{Reader, numbers, vector};

/// Handshake types.
pub(crate) const CLIENT_HELLO: u8 = 1;
pub(crate) const SERVER_HELLO: u8 = 2;
pub(crate) const HELLO_VERIFY_REQUEST: u8 = 3;
pub(crate) const CERTIFICATE: u8 = 11;
pub(crate) const SERVER_KEY_EXCHANGE: u8 = 12;
pub(crate) const CERTIFICATE_REQUEST: u8 = 13;
pub(crate) const SERVER_HELLO_DONE: u8 = 14;
pub(crate) const CERTIFICATE_VERIFY: u8 = 15;
pub(crate) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(crate) const FINISHED: u8 = 20;

/// Extensions.
const SUPPORTED_GROUPS: u16 = 10;
const EC_POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const USE_SRTP: u16 = 14;
const EXTENDED_MASTER_SECRET: u16 = 23;
const RENEGOTIATION_INFO: u16 = 0xFF01;

/// What a client writes among its suites instead of [`RENEGOTIATION_INFO`] (RFC 5746 section 3.3).
const RENEGOTIATION_SCSV: u16 = 0x00FF;
/// The only curves with a name.
const NAMED_CURVE: u8 = 3;
/// Certificates that a client may have: `ecdsa_sign`, `rsa_sign`.
const CERTIFICATE_TYPES: [u8; 2] = [64, 1];

/// How media will be protected (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SrtpProtection {
    /// `SRTP_AEAD_AES_128_GCM`
    AeadAes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`
    AeadAes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`
    Aes128CmSha1_80,
}

impl SrtpProtection {
    /// What we offer and choose from, the best first.
    pub const ALL: [Self; 3] = [Self::AeadAes128Gcm, Self::AeadAes256Gcm, Self::Aes128CmSha1_80];

    fn id(self) -> u16 {
        match self {
            Self::Aes128CmSha1_80 => 0x0001,
            Self::AeadAes128Gcm => 0x0007,
            Self::AeadAes256Gcm => 0x0008,
        }
    }

    fn of(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.id() == id)
    }

    /// Octets of keying material: two keys and two salts.
    pub(crate) fn material_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => 2 * (16 + 14),
            Self::AeadAes128Gcm => 2 * (16 + 12),
            Self::AeadAes256Gcm => 2 * (32 + 12),
        }
    }
}

/// A ClientHello: what counts of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientHello {
    pub(crate) random: [u8; 32],
    /// Of a HelloVerifyRequest; empty in the first one.
    pub(crate) cookie: Vec<u8>,
    pub(crate) suites: Vec<u16>,
    pub(crate) groups: Vec<u16>,
    pub(crate) schemes: Vec<u16>,
    /// `None` without `use_srtp`.
    pub(crate) srtp: Option<Vec<u16>>,
    pub(crate) extended_master_secret: bool,
    pub(crate) secure_renegotiation: bool,
}

impl ClientHello {
    pub(crate) fn write(random: &[u8; 32], cookie: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        out.extend_from_slice(&VERSION);
        out.extend_from_slice(random);
        // No session to resume.
        out.push(0);
        vector::<1>(&mut out, |out| out.extend_from_slice(cookie));
        numbers(&mut out, &SUITES.map(|suite| suite.id));
        // Compression: none.
        out.extend_from_slice(&[1, 0]);
        vector::<2>(&mut out, |out| {
            extension(out, RENEGOTIATION_INFO, |out| out.push(0));
            extension(out, EXTENDED_MASTER_SECRET, |_| ());
            extension(out, SUPPORTED_GROUPS, |out| numbers(out, &GROUPS));
            extension(out, EC_POINT_FORMATS, |out| out.extend_from_slice(&[1, 0]));
            extension(out, SIGNATURE_ALGORITHMS, |out| numbers(out, &SCHEMES));
            use_srtp(out, &SrtpProtection::ALL.map(SrtpProtection::id));
        });
        out
    }

    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        // Later versions than 1.2 are offered in an extension, and earlier ones are not spoken.
        if !matches!(reader.array()?, [0xFE, 0..=0xFD]) {
            return Err(Error::NothingInCommon("version"));
        }
        let random = reader.array()?;
        reader.vec8()?;
        let cookie = reader.vec8()?.to_vec();
        let suites = reader.numbers()?;
        if !reader.vec8()?.contains(&0) {
            return Err(Error::NothingInCommon("compression"));
        }
        let mut hello = Self {
            random,
            cookie,
            secure_renegotiation: suites.contains(&RENEGOTIATION_SCSV),
            suites,
            ..Self::default()
        };
        for_extensions(reader, |name, mut content| {
            match name {
                SUPPORTED_GROUPS => hello.groups = content.numbers()?,
                SIGNATURE_ALGORITHMS => hello.schemes = content.numbers()?,
                USE_SRTP => hello.srtp = Some(content.numbers()?),
                EXTENDED_MASTER_SECRET => hello.extended_master_secret = true,
                RENEGOTIATION_INFO => hello.secure_renegotiation = true,
                _ => {}
            }
            Ok(())
        })?;
        Ok(hello)
    }

    /// The best of the profiles that the client has.
    pub(crate) fn srtp(&self) -> Result<SrtpProtection, Error> {
        let theirs = self.srtp.as_deref().unwrap_or_default();
        SrtpProtection::ALL
            .into_iter()
            .find(|profile| theirs.contains(&profile.id()))
            .ok_or(Error::NoSrtpProfile)
    }
}

/// A ServerHello: what counts of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerHello {
    pub(crate) random: [u8; 32],
    pub(crate) suite: u16,
    pub(crate) srtp: SrtpProtection,
}

impl ServerHello {
    /// The answer to a ClientHello that has offered everything in it.
    pub(crate) fn write(&self, secure_renegotiation: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(80);
        out.extend_from_slice(&VERSION);
        out.extend_from_slice(&self.random);
        out.push(0);
        out.extend_from_slice(&self.suite.to_be_bytes());
        out.push(0);
        vector::<2>(&mut out, |out| {
            if secure_renegotiation {
                extension(out, RENEGOTIATION_INFO, |out| out.push(0));
            }
            extension(out, EXTENDED_MASTER_SECRET, |_| ());
            use_srtp(out, &[self.srtp.id()]);
        });
        out
    }

    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        if reader.array()? != VERSION {
            return Err(Error::NothingInCommon("version"));
        }
        let random = reader.array()?;
        reader.vec8()?;
        let suite = reader.u16()?;
        if reader.u8()? != 0 {
            return Err(Error::NothingInCommon("compression"));
        }
        let (mut srtp, mut extended) = (None, false);
        for_extensions(reader, |name, mut content| {
            match name {
                // One profile, which we must have offered, and no identifier of a master key, for we have offered none.
                USE_SRTP => match (content.numbers()?.as_slice(), content.vec8()?) {
                    (&[id], []) => srtp = SrtpProtection::of(id),
                    _ => return Err(Error::Malformed),
                },
                EXTENDED_MASTER_SECRET => extended = true,
                _ => {}
            }
            Ok(())
        })?;
        if !extended {
            return Err(Error::NothingInCommon("extended master secret"));
        }
        let srtp = srtp.ok_or(Error::NoSrtpProfile)?;
        Ok(Self { random, suite, srtp })
    }
}

/// A HelloVerifyRequest with this cookie. It names DTLS 1.0, whatever is spoken afterwards (RFC 6347 section 4.2.1).
pub(crate) fn write_cookie(cookie: &[u8]) -> Vec<u8> {
    let mut out = vec![0xFE, 0xFF];
    vector::<1>(&mut out, |out| out.extend_from_slice(cookie));
    out
}

/// The cookie of a HelloVerifyRequest (RFC 6347 section 4.2.1).
pub(crate) fn read_cookie(body: &[u8]) -> Result<&[u8], Error> {
    let mut reader = Reader::new(body);
    reader.array::<2>()?;
    let cookie = reader.vec8()?;
    reader.end()?;
    Ok(cookie)
}

/// A Certificate message with one certificate.
pub(crate) fn write_certificate(der: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(der.len() + 6);
    vector::<3>(&mut out, |out| vector::<3>(out, |out| out.extend_from_slice(der)));
    out
}

/// The first certificate, which is the peer's own.
pub(crate) fn read_certificate(body: &[u8]) -> Result<&[u8], Error> {
    let mut reader = Reader::new(body);
    let mut list = Reader::new(reader.vec24()?);
    reader.end()?;
    if list.is_empty() {
        return Err(Error::Certificate);
    }
    let own = list.vec24()?;
    while !list.is_empty() {
        list.vec24()?;
    }
    Ok(own)
}

/// ServerECDHParams, which are signed.
pub(crate) fn write_parameters(group: u16, public: &[u8]) -> Vec<u8> {
    let mut out = vec![NAMED_CURVE];
    out.extend_from_slice(&group.to_be_bytes());
    vector::<1>(&mut out, |out| out.extend_from_slice(public));
    out
}

/// A ServerKeyExchange.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerKeyExchange<'a> {
    pub(crate) group: u16,
    pub(crate) public: &'a [u8],
    /// What is signed beside both randoms.
    pub(crate) parameters: &'a [u8],
    pub(crate) signed: Signed<'a>,
}

impl<'a> ServerKeyExchange<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        if reader.u8()? != NAMED_CURVE {
            return Err(Error::NothingInCommon("group"));
        }
        let (group, public) = (reader.u16()?, reader.vec8()?);
        let parameters = &body[..body.len() - reader.rest().len()];
        Ok(Self {
            group,
            public,
            parameters,
            signed: Signed::read(reader.rest())?,
        })
    }
}

/// A signature and its scheme: a CertificateVerify, or the end of a ServerKeyExchange.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signed<'a> {
    pub(crate) scheme: u16,
    pub(crate) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(crate) fn read(octets: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(octets);
        let (scheme, signature) = (reader.u16()?, reader.vec16()?);
        reader.end()?;
        Ok(Self { scheme, signature })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.scheme.to_be_bytes());
        vector::<2>(out, |out| out.extend_from_slice(self.signature));
    }
}

/// A CertificateRequest for whatever we can check, from any authority.
pub(crate) fn write_certificate_request() -> Vec<u8> {
    let mut out = Vec::new();
    vector::<1>(&mut out, |out| out.extend_from_slice(&CERTIFICATE_TYPES));
    numbers(&mut out, &SCHEMES);
    out.extend_from_slice(&[0, 0]);
    out
}

/// The signature schemes of a CertificateRequest.
pub(crate) fn read_certificate_request(body: &[u8]) -> Result<Vec<u16>, Error> {
    let mut reader = Reader::new(body);
    reader.vec8()?;
    let schemes = reader.numbers()?;
    reader.vec16()?;
    reader.end()?;
    Ok(schemes)
}

/// A ClientKeyExchange.
pub(crate) fn write_client_key(public: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    vector::<1>(&mut out, |out| out.extend_from_slice(public));
    out
}

/// The client's public value.
pub(crate) fn read_client_key(body: &[u8]) -> Result<&[u8], Error> {
    let mut reader = Reader::new(body);
    let public = reader.vec8()?;
    reader.end()?;
    Ok(public)
}

fn extension(out: &mut Vec<u8>, name: u16, content: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&name.to_be_bytes());
    vector::<2>(out, content);
}

fn use_srtp(out: &mut Vec<u8>, profiles: &[u16]) {
    extension(out, USE_SRTP, |out| {
        numbers(out, profiles);
        // No identifier of a master key.
        out.push(0);
    });
}

/// Hands out the extensions that are the rest of a hello; there may be none.
fn for_extensions(
    mut reader: Reader<'_>,
    mut each: impl FnMut(u16, Reader<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    if reader.is_empty() {
        return Ok(());
    }
    let mut extensions = Reader::new(reader.vec16()?);
    reader.end()?;
    while !extensions.is_empty() {
        let name = extensions.u16()?;
        each(name, Reader::new(extensions.vec16()?))?;
    }
    Ok(())
}
