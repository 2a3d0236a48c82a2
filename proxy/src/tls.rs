//! TLS: which certificate a client is shown, and what a client has to show.

mod client;
mod failure;
mod files;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::Context;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;
use viaduct_settings::{Certificate, ClientCertificates, TlsSettings, TlsVersion};

pub(crate) use self::client::client_config;
pub(crate) use self::failure::{Failure, FailureCounts};
use self::files::Chain;
pub(crate) use self::files::{Stamp, identities_of, names_of};

/// What the secure listeners answer with. A connection keeps what it began with; those that begin after a change get
/// the new one.
#[derive(Debug)]
pub(crate) struct Secure {
    /// For HTTP and WebSocket.
    pub(crate) web: TlsSource,
    /// For SIP.
    pub(crate) sip: TlsSource,
    files: Files,
    tickets: Arc<dyn ProducesTickets>,
    chains: Mutex<Vec<Chain>>,
}

/// What is read besides the files that the settings name.
#[derive(Debug, Clone)]
struct Files {
    /// The state folder.
    folder: PathBuf,
    /// How this machine is called, for a certificate of our own.
    names: Vec<String>,
}

/// Certificates that were read and are good, before they are used.
#[derive(Debug)]
pub(crate) struct Prepared {
    web: Arc<ServerConfig>,
    sip: Arc<ServerConfig>,
    chains: Vec<Chain>,
}

/// The configuration of one kind of listener, as it is at the moment.
#[derive(Debug, Clone)]
pub(crate) struct TlsSource {
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Secure {
    /// Reads or makes what the settings name.
    pub(crate) fn new(settings: &TlsSettings, folder: &Path, names: Vec<String>) -> anyhow::Result<Self> {
        let files = Files {
            folder: folder.to_owned(),
            names,
        };
        let tickets = new_tickets()?;
        let Prepared { web, sip, chains } = Prepared::new(settings, &files, &tickets)?;
        Ok(Self {
            web: TlsSource::new(web),
            sip: TlsSource::new(sip),
            files,
            tickets,
            chains: Mutex::new(chains),
        })
    }

    /// Reads again what the settings name. Nothing is used of it yet.
    pub(crate) fn prepare(&self, settings: &TlsSettings) -> anyhow::Result<Prepared> {
        Prepared::new(settings, &self.files, &self.tickets)
    }

    /// Uses it for connections that begin from here on.
    pub(crate) fn install(&self, prepared: Prepared) {
        let Prepared { web, sip, chains } = prepared;
        self.web.replace(web);
        self.sip.replace(sip);
        *self.chains.lock().unwrap_or_else(PoisonError::into_inner) = chains;
    }

    /// Whether there are other certificates than those in use.
    pub(crate) fn is_other(&self, prepared: &Prepared) -> bool {
        *self.chains.lock().unwrap_or_else(PoisonError::into_inner) != prepared.chains
    }
}

impl Prepared {
    fn new(
        settings: &TlsSettings,
        files: &Files,
        tickets: &Arc<dyn ProducesTickets>,
    ) -> anyhow::Result<Self> {
        let provider = Arc::new(default_provider());
        let certificates = ByName::read(settings, files, &provider)?;
        let chains = certificates.chains.clone();
        let maker = Maker {
            settings,
            provider,
            certificates: Arc::new(certificates),
        };
        Ok(Self {
            web: maker.web(tickets)?,
            sip: maker.sip(tickets)?,
            chains,
        })
    }
}

/// Makes configurations that differ in little.
struct Maker<'a> {
    settings: &'a TlsSettings,
    provider: Arc<CryptoProvider>,
    certificates: Arc<ByName>,
}

impl Maker<'_> {
    /// For browsers, which have no certificates.
    fn web(&self, tickets: &Arc<dyn ProducesTickets>) -> anyhow::Result<Arc<ServerConfig>> {
        let builder = self.builder()?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(self.certificates.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(finished(config, tickets.clone()))
    }

    /// For phones and proxies, which may have some.
    fn sip(&self, tickets: &Arc<dyn ProducesTickets>) -> anyhow::Result<Arc<ServerConfig>> {
        let (policy, authorities) = (
            self.settings.client_certificates,
            &self.settings.client_authorities,
        );
        let builder = self.builder()?;
        let (builder, tickets) = match authorities {
            Some(file) if policy != ClientCertificates::None => {
                let roots = Arc::new(files::read_authorities(Path::new(file))?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, self.provider.clone());
                let verifier = match policy {
                    ClientCertificates::Optional => verifier.allow_unauthenticated(),
                    ClientCertificates::None | ClientCertificates::Required => verifier,
                };
                let verifier = verifier.build().context("tls.client_authorities")?;
                // A resumed session is not looked at again: with tickets of former authorities it would pass.
                (builder.with_client_cert_verifier(verifier), new_tickets()?)
            }
            _ => (builder.with_no_client_auth(), tickets.clone()),
        };
        let config = builder.with_cert_resolver(self.certificates.clone());
        Ok(finished(config, tickets))
    }

    fn builder(&self) -> anyhow::Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>> {
        let versions: &[&rustls::SupportedProtocolVersion] = match self.settings.min_version {
            TlsVersion::Tls12 => &[&TLS12, &TLS13],
            TlsVersion::Tls13 => &[&TLS13],
        };
        ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions)
            .context("choosing TLS versions")
    }
}

/// Sessions are resumed from tickets that clients keep: nothing is stored here for each of them.
fn finished(mut config: ServerConfig, tickets: Arc<dyn ProducesTickets>) -> Arc<ServerConfig> {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = tickets;
    Arc::new(config)
}

fn new_tickets() -> anyhow::Result<Arc<dyn ProducesTickets>> {
    Ticketer::new().context("making a key for session tickets")
}

impl TlsSource {
    fn new(config: Arc<ServerConfig>) -> Self {
        Self {
            current: Arc::new(RwLock::new(config)),
        }
    }

    /// For one connection that begins.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    fn replace(&self, config: Arc<ServerConfig>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// Certificates by the names in them, for clients that say whom they want to reach (RFC 6066 section 3).
#[derive(Debug)]
struct ByName {
    default: Arc<CertifiedKey>,
    /// In lower case; a name that begins with `*.` stands for one label.
    names: HashMap<String, Arc<CertifiedKey>>,
    chains: Vec<Chain>,
}

impl ByName {
    fn read(settings: &TlsSettings, files: &Files, provider: &CryptoProvider) -> anyhow::Result<Self> {
        let pair = |cert: &str, key: &str| -> anyhow::Result<_> {
            Ok((
                files::read_chain(Path::new(cert))?,
                files::read_key(Path::new(key))?,
            ))
        };
        let default = match &settings.certificate {
            Certificate::SelfSigned => files::own_certificate(&files.folder, &files.names)?,
            Certificate::Files { cert, key } => pair(cert, key)?,
        };
        let mut all = vec![default];
        for further in &settings.certificates {
            all.push(pair(&further.cert, &further.key)?);
        }
        let mut names = HashMap::new();
        let mut chains = Vec::new();
        let mut first = None;
        for (chain, key) in all {
            let names_here = chain.first().and_then(names_of).unwrap_or_default();
            let certified = CertifiedKey::from_der(chain.clone(), key, provider).with_context(|| {
                format!(
                    "the certificate for {} and its key do not belong together",
                    names_here.join(", ")
                )
            })?;
            let certified = Arc::new(certified);
            for name in names_here {
                // Of two for one name, the one that stands first counts.
                names
                    .entry(name.to_ascii_lowercase())
                    .or_insert_with(|| Arc::clone(&certified));
            }
            chains.push(chain);
            first.get_or_insert(certified);
        }
        Ok(Self {
            default: first.context("there is no certificate")?,
            names,
            chains,
        })
    }

    fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let by_name = || {
            let name = name?.to_ascii_lowercase();
            let star = || self.names.get(&format!("*.{}", name.split_once('.')?.1));
            self.names.get(&name).or_else(star)
        };
        by_name().unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.find(hello.server_name())))
    }
}

#[cfg(test)]
mod tests;
