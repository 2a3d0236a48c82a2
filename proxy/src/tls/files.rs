//! Certificates and keys on disk: read from files, or made here and kept.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, bail};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use viaduct_settings::{Certificate, TlsSettings};

use crate::private;

/// Where a certificate of our own is kept, under the state folder.
const OWN_CERTIFICATE: &str = "tls/certificate.pem";
const OWN_KEY: &str = "tls/key.pem";
/// The names that the certificate was made for.
const OWN_NAMES: &str = "tls/names.txt";

/// A certificate with those that vouch for it.
pub(crate) type Chain = Vec<CertificateDer<'static>>;

/// What files looked like at one moment: changed files look different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<Option<(SystemTime, u64)>>);

impl Stamp {
    /// Of every file that the settings name.
    pub(crate) fn of(settings: &TlsSettings) -> Self {
        let of_certificate = match &settings.certificate {
            Certificate::SelfSigned => Vec::new(),
            Certificate::Files { cert, key } => vec![cert, key],
        };
        let further = settings
            .certificates
            .iter()
            .flat_map(|files| [&files.cert, &files.key]);
        let files = of_certificate
            .into_iter()
            .chain(further)
            .chain(&settings.client_authorities);
        let look = |file: &String| {
            let metadata = fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self(files.map(look).collect())
    }
}

/// The certificate that was made before for these names, or a new one. Kept, so that a browser that accepted it once
/// need not be asked again.
pub(super) fn own_certificate(
    folder: &Path,
    names: &[String],
) -> anyhow::Result<(Chain, PrivateKeyDer<'static>)> {
    let wanted = names.join("\n");
    let (certificate, key) = (folder.join(OWN_CERTIFICATE), folder.join(OWN_KEY));
    let known = fs::read_to_string(folder.join(OWN_NAMES)).is_ok_and(|known| known == wanted);
    if known && let (Ok(chain), Ok(key)) = (read_chain(&certificate), read_key(&key)) {
        return Ok((chain, key));
    }
    let mut params = CertificateParams::new(names.to_vec()).context("naming a self-signed certificate")?;
    let mut subject = DistinguishedName::new();
    subject.push(
        DnType::CommonName,
        names.first().map_or("viaduct", String::as_str),
    );
    params.distinguished_name = subject;
    // Browsers refuse certificates that are valid for longer than 825 days, also when they were accepted by hand.
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let last = today.saturating_add(jiff::Span::new().days(800));
    params.not_before = rcgen::date_time_ymd(today.year().into(), today.month() as u8, today.day() as u8);
    params.not_after = rcgen::date_time_ymd(last.year().into(), last.month() as u8, last.day() as u8);
    let pair = KeyPair::generate().context("making a key")?;
    let made = params.self_signed(&pair).context("signing a certificate")?;
    private::make_folder(&folder.join("tls"))?;
    fs::write(&certificate, made.pem()).with_context(|| format!("writing {}", certificate.display()))?;
    private::write(&key, &pair.serialize_pem())?;
    fs::write(folder.join(OWN_NAMES), wanted).context("writing the names of the certificate")?;
    Ok((read_chain(&certificate)?, read_key(&key)?))
}

pub(super) fn read_chain(path: &Path) -> anyhow::Result<Chain> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("reading the certificate {}", path.display()))?;
    if chain.is_empty() {
        bail!("{} holds no certificate", path.display());
    }
    Ok(chain)
}

pub(super) fn read_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).with_context(|| format!("reading the key {}", path.display()))
}

/// The authorities whose word is taken for the certificates of clients.
pub(super) fn read_authorities(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(path)? {
        roots
            .add(certificate)
            .with_context(|| format!("{} holds a certificate that is none", path.display()))?;
    }
    Ok(roots)
}

/// What somebody with this certificate has proven to be: the DNS names and URIs in it (RFC 5922 section 7.1).
pub(crate) fn identities_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    /// Names of one certificate that are kept.
    const NAMES_MAX: usize = 16;
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    let names = parsed.valid_dns_names().chain(parsed.valid_uri_names());
    names.take(NAMES_MAX).map(str::to_ascii_lowercase).collect()
}

/// The DNS names that a certificate is for. `None` when it cannot be read as one.
pub(crate) fn names_of(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    Some(parsed.valid_dns_names().map(str::to_owned).collect())
}
