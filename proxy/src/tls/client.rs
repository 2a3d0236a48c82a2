//! What connections that the gateway opens believe.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use viaduct_settings::{TlsSettings, TlsVersion};

use super::files;

/// Where operating systems keep the authorities that they trust.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Certificates that the authorities in `tls.trust` have signed, for the name that was asked for.
pub(crate) fn client_config(settings: &TlsSettings) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match &settings.trust {
        Some(trusted) => {
            for file in trusted {
                let authorities = files::read_authorities(Path::new(file)).context("tls.trust")?;
                roots.roots.extend(authorities.roots);
            }
        }
        None => {
            let known = SYSTEM_ROOTS.map(Path::new);
            if let Some(file) = known.into_iter().find(|file| file.exists()) {
                // The system's own list may hold what is too old to be understood.
                roots.add_parsable_certificates(files::read_chain(file)?);
            }
        }
    }
    let versions: &[&rustls::SupportedProtocolVersion] = match settings.min_version {
        TlsVersion::Tls12 => &[&TLS12, &TLS13],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .context("choosing TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
