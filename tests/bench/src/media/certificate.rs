//! Who browsers are.

use std::sync::LazyLock;

use dimpl::DtlsCertificate;
use dimpl::certificate::{calculate_fingerprint, format_fingerprint, generate_self_signed_certificate};

/// The certificate of all browsers.
static CERTIFICATE: LazyLock<Result<DtlsCertificate, String>> =
    LazyLock::new(|| generate_self_signed_certificate().map_err(|error| error.to_string()));

/// What browsers offer as `a=fingerprint`.
///
/// # Errors
/// No certificate can be made.
pub(super) fn fingerprint() -> anyhow::Result<String> {
    let digest = format_fingerprint(&calculate_fingerprint(&certificate()?.certificate));
    Ok(format!("sha-256 {digest}"))
}

/// The certificate itself.
///
/// # Errors
/// The same.
pub fn certificate() -> anyhow::Result<&'static DtlsCertificate> {
    CERTIFICATE.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}
