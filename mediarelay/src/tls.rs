//! The certificate of HTTPS listeners, and the TLS that shows it.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use viaduct_settings::CertificateKeys;

use crate::start_error::StartError;

/// TLS 1.2 and 1.3 with the certificate of these files, for HTTP/1.1. They are read once: who renews a certificate starts
/// the relay again, which keeps its calls where it has a state file.
///
/// # Errors
/// A file cannot be read, has no certificate or key in it, or they do not fit each other.
pub(crate) fn config(files: &CertificateKeys) -> Result<Arc<ServerConfig>, StartError> {
    let fail = |file: &str, error: String| StartError::Tls {
        path: Path::new(file).to_owned(),
        error,
    };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fail(&files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(fail(&files.cert, "there is no certificate in it".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| fail(&files.key, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| fail(&files.cert, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
