//! Certificates: from files, or made here and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context, bail};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use viaduct_settings::{Certificate, TlsSettings, TlsVersion};

use crate::private;

/// Where a certificate of our own is kept, under the state folder.
const OWN_CERTIFICATE: &str = "tls/certificate.pem";
const OWN_KEY: &str = "tls/key.pem";
/// The names that the certificate was made for.
const OWN_NAMES: &str = "tls/names.txt";

/// What the secure listeners answer with. A connection keeps what it began with; those that begin after a change get
/// the new one.
#[derive(Debug)]
pub(crate) struct Secure {
    /// For HTTP and WebSocket.
    pub(crate) web: TlsSource,
    /// For SIP.
    pub(crate) sip: TlsSource,
    /// The state folder.
    folder: PathBuf,
    /// How this machine is called, for a certificate of our own.
    names: Vec<String>,
    chain: Mutex<Chain>,
}

type Chain = Vec<CertificateDer<'static>>;

/// Certificates that were read and are good, before they are used.
#[derive(Debug)]
pub(crate) struct Prepared {
    web: Arc<ServerConfig>,
    sip: Arc<ServerConfig>,
    chain: Chain,
}

/// The configuration of one kind of listener, as it is at the moment.
#[derive(Debug, Clone)]
pub(crate) struct TlsSource {
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Secure {
    /// Reads or makes what the settings name.
    pub(crate) fn new(settings: &TlsSettings, folder: &Path, names: Vec<String>) -> anyhow::Result<Self> {
        let Prepared { web, sip, chain } = Prepared::new(settings, folder, &names)?;
        Ok(Self {
            web: TlsSource::new(web),
            sip: TlsSource::new(sip),
            folder: folder.to_owned(),
            names,
            chain: Mutex::new(chain),
        })
    }

    /// Reads again what the settings name. Nothing is used of it yet.
    pub(crate) fn prepare(&self, settings: &TlsSettings) -> anyhow::Result<Prepared> {
        Prepared::new(settings, &self.folder, &self.names)
    }

    /// Uses it for connections that begin from here on. True when it is another certificate.
    pub(crate) fn install(&self, prepared: Prepared) -> bool {
        let Prepared { web, sip, chain } = prepared;
        self.web.replace(web);
        self.sip.replace(sip);
        let mut current = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = *current != chain;
        *current = chain;
        is_other
    }

    /// Whether it is another certificate than the one in use.
    pub(crate) fn is_other(&self, prepared: &Prepared) -> bool {
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) != prepared.chain
    }
}

impl Prepared {
    fn new(settings: &TlsSettings, folder: &Path, names: &[String]) -> anyhow::Result<Self> {
        let (chain, key) = match &settings.certificate {
            Certificate::SelfSigned => own_certificate(folder, names)?,
            Certificate::Files { cert, key } => (read_chain(Path::new(cert))?, read_key(Path::new(key))?),
        };
        let config = |alpn: &[&str]| server_config(settings, chain.clone(), key.clone_key(), alpn);
        Ok(Self {
            web: config(&["http/1.1"])?,
            sip: config(&[])?,
            chain,
        })
    }
}

impl TlsSource {
    fn new(config: Arc<ServerConfig>) -> Self {
        Self {
            current: Arc::new(RwLock::new(config)),
        }
    }

    /// For one connection that begins.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(
            &self.current.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    fn replace(&self, config: Arc<ServerConfig>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// A server configuration for one protocol (ALPN names; none for SIP).
fn server_config(
    settings: &TlsSettings,
    chain: Chain,
    key: PrivateKeyDer<'static>,
    alpn: &[&str],
) -> anyhow::Result<Arc<ServerConfig>> {
    let versions: &[&rustls::SupportedProtocolVersion] = match settings.min_version {
        TlsVersion::Tls12 => &[&TLS12, &TLS13],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .context("choosing TLS versions")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and its key do not belong together")?;
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// The certificate that was made before for these names, or a new one. Kept, so that a browser that accepted it once
/// need not be asked again.
fn own_certificate(
    folder: &Path,
    names: &[String],
) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
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

fn read_chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("reading the certificate {}", path.display()))?;
    if chain.is_empty() {
        bail!("{} holds no certificate", path.display());
    }
    Ok(chain)
}

fn read_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).with_context(|| format!("reading the key {}", path.display()))
}

/// The DNS names that a certificate is for. `None` when it cannot be read as one.
pub(crate) fn names_of(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    Some(parsed.valid_dns_names().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_again_only_for_other_names() {
        let folder = std::env::temp_dir().join(format!("viaduct-tls-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let names = |first: &str| vec![first.to_owned(), "127.0.0.1".to_owned()];
        let (first, _) = own_certificate(&folder, &names("localhost")).unwrap();
        let (again, _) = own_certificate(&folder, &names("localhost")).unwrap();
        let (other, _) = own_certificate(&folder, &names("example.com")).unwrap();
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(names_of(&other[0]).unwrap(), ["example.com"]);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(folder.join(OWN_KEY)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
        let settings = TlsSettings {
            certificate: Certificate::SelfSigned,
            min_version: TlsVersion::Tls12,
        };
        let secure = Secure::new(&settings, &folder, names("example.com")).unwrap();
        let alpn = |source: &TlsSource| source.acceptor().config().alpn_protocols.clone();
        assert_eq!(alpn(&secure.web), [b"http/1.1".to_vec()]);
        assert!(alpn(&secure.sip).is_empty());
        let again = secure.prepare(&settings).unwrap();
        assert!(!secure.is_other(&again) && !secure.install(again));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn missing_and_empty_files_are_named() {
        let path = std::env::temp_dir().join(format!("viaduct-empty-{}.pem", std::process::id()));
        fs::write(&path, "").unwrap();
        let error = format!("{:#}", read_chain(&path).unwrap_err());
        assert!(error.contains("viaduct-empty"), "{error}");
        assert!(format!("{:#}", read_key(Path::new("/no/such.key")).unwrap_err()).contains("/no/such.key"));
        fs::remove_file(path).unwrap();
    }
}
