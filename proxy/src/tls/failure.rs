//! Why TLS handshakes fail, in words: a wrong certificate is the most common trouble of the first day.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::{AlertDescription, Error, PeerIncompatible};

/// One line for each kind of failure in this time. The others are for those who look closer.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The client does not accept our certificate.
    Refused,
    /// The client speaks none of our versions.
    Version,
    /// No cipher suite, group or signature that both know.
    Algorithms,
    /// What came is not TLS.
    NotTls,
    /// The client has shown no certificate, and had to.
    ClientCertificateMissing,
    /// The client's certificate is wrong.
    ClientCertificateWrong,
    /// The client went away.
    Gone,
    /// Anything else.
    Other,
}

impl Failure {
    /// Every kind, with what it is counted as.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 8] = [
        (
            Self::Refused,
            "tls_failures_refused",
            "TLS clients that do not accept our certificate",
        ),
        (
            Self::Version,
            "tls_failures_version",
            "TLS clients that speak none of our versions",
        ),
        (
            Self::Algorithms,
            "tls_failures_algorithms",
            "TLS clients without an algorithm of ours",
        ),
        (
            Self::NotTls,
            "tls_failures_not_tls",
            "Clients that do not speak TLS",
        ),
        (
            Self::ClientCertificateMissing,
            "tls_failures_certificate_missing",
            "TLS clients without the certificate that tls.client_certificates wants",
        ),
        (
            Self::ClientCertificateWrong,
            "tls_failures_certificate_wrong",
            "TLS clients whose certificate is wrong",
        ),
        (
            Self::Gone,
            "tls_failures_gone",
            "TLS clients that went away in the handshake",
        ),
        (
            Self::Other,
            "tls_failures_other",
            "TLS handshakes that failed otherwise",
        ),
    ];

    /// The kind of a failed handshake, and the sentence for the log.
    pub(crate) fn of(error: &io::Error) -> (Self, String) {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(error) => Self::of_tls(error),
            None => (Self::Gone, format!("the client went away: {error}")),
        }
    }

    fn of_tls(error: &Error) -> (Self, String) {
        match error {
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            Error::PeerIncompatible(why) => {
                let kind = match why {
                    PeerIncompatible::ServerDoesNotSupportTls12Or13
                    | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                    | PeerIncompatible::SupportedVersionsExtensionRequired
                    | PeerIncompatible::Tls12NotOffered
                    | PeerIncompatible::Tls12NotOfferedOrEnabled => Self::Version,
                    _ => Self::Algorithms,
                };
                let words = match kind {
                    Self::Version => {
                        "the client speaks no version that we speak: TLS 1.2 and 1.3, or tls.min_version"
                    }
                    _ => "the client knows no algorithm that we know",
                };
                (kind, format!("{words} ({why:?})"))
            }
            Error::InvalidMessage(why) => (
                Self::NotTls,
                format!("what came is not TLS: a client that speaks plainly, or a scanner ({why:?})"),
            ),
            Error::NoCertificatesPresented => (
                Self::ClientCertificateMissing,
                "the client shows no certificate, and tls.client_certificates is `required`".to_owned(),
            ),
            Error::InvalidCertificate(why) => (
                Self::ClientCertificateWrong,
                format!("the client's certificate is not good: {why}"),
            ),
            other => (Self::Other, other.to_string()),
        }
    }

    fn of_alert(alert: AlertDescription) -> (Self, String) {
        let words = match alert {
            AlertDescription::UnknownCA => {
                "the client does not know who signed our certificate: it is self-signed, or the chain is not complete"
            }
            AlertDescription::CertificateExpired => {
                "the client finds our certificate expired, or its clock is wrong"
            }
            AlertDescription::CertificateRevoked => "the client finds our certificate revoked",
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            // How a signature by another key than the one it trusts is called.
            | AlertDescription::DecryptError
            | AlertDescription::UnsupportedCertificate => {
                "the client does not accept our certificate: not trusted, or for another name"
            }
            AlertDescription::ProtocolVersion => {
                return (
                    Self::Version,
                    "the client says that it speaks none of our TLS versions".to_owned(),
                );
            }
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
                return (
                    Self::Algorithms,
                    format!("the client finds no algorithm that both know (alert {alert:?})"),
                );
            }
            _ => {
                return (
                    Self::Other,
                    format!("the client ends the handshake with alert {alert:?}"),
                );
            }
        };
        (Self::Refused, format!("{words} (alert {alert:?})"))
    }
}

/// How often each kind of failure was seen, and when it was last said.
#[derive(Debug, Default)]
pub(crate) struct FailureCounts {
    counts: [AtomicU64; Failure::ALL.len()],
    said: Mutex<[Option<Instant>; Failure::ALL.len()]>,
}

impl FailureCounts {
    /// Counts a failure. True when it is worth a line that people see.
    pub(crate) fn count(&self, failure: Failure, now: Instant) -> bool {
        let index = failure as usize;
        self.counts[index].fetch_add(1, Ordering::Relaxed);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = said[index].is_none_or(|last| now.saturating_duration_since(last) >= SAY_EVERY);
        if is_due {
            said[index] = Some(now);
        }
        // Scanners and probes come and go all day.
        is_due && !matches!(failure, Failure::Gone | Failure::NotTls)
    }

    /// What each kind is counted as, what that means, and how often it was seen.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        Failure::ALL
            .iter()
            .zip(&self.counts)
            .map(|((_, name, help), count)| (*name, *help, count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: Error) -> Failure {
        Failure::of(&io::Error::new(io::ErrorKind::InvalidData, error)).0
    }

    #[test]
    fn every_kind_is_counted_in_its_own_place() {
        for (index, (failure, ..)) in Failure::ALL.iter().enumerate() {
            assert_eq!(*failure as usize, index);
        }
        let counts = FailureCounts::default();
        counts.count(Failure::Algorithms, Instant::now());
        let seen: Vec<_> = counts.iter().filter(|(.., count)| *count > 0).collect();
        assert_eq!(
            seen,
            [(
                "tls_failures_algorithms",
                "TLS clients without an algorithm of ours",
                1
            )]
        );
    }

    #[test]
    fn alerts_and_errors_have_a_kind_and_words() {
        assert_eq!(
            kind(Error::AlertReceived(AlertDescription::UnknownCA)),
            Failure::Refused
        );
        assert_eq!(
            kind(Error::AlertReceived(AlertDescription::ProtocolVersion)),
            Failure::Version
        );
        assert_eq!(
            kind(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered)),
            Failure::Version
        );
        assert_eq!(
            kind(Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon)),
            Failure::Algorithms
        );
        assert_eq!(
            kind(Error::NoCertificatesPresented),
            Failure::ClientCertificateMissing
        );
        let gone = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(Failure::of(&gone).0, Failure::Gone);
        let (_, words) = Failure::of_alert(AlertDescription::UnknownCA);
        assert!(words.contains("self-signed"), "{words}");
    }

    #[test]
    fn a_kind_is_said_once_a_minute() {
        let (counts, now) = (FailureCounts::default(), Instant::now());
        assert!(counts.count(Failure::Refused, now));
        assert!(!counts.count(Failure::Refused, now + SAY_EVERY / 2));
        assert!(counts.count(Failure::Version, now));
        assert!(counts.count(Failure::Refused, now + SAY_EVERY));
        assert!(!counts.count(Failure::NotTls, now));
    }
}
