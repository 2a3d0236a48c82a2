//! DTLS 1.2 (RFC 6347) as media needs it: the handshake that yields keys of SRTP (RFC 5764), with peers whose
//! certificate is RSA or ECDSA, in both roles.
//!
//! Our own certificate is ECDSA P-256. Key exchange is ECDHE (X25519, P-256, P-384), records are AES-GCM, and the extended
//! master secret (RFC 7627) is required. All arithmetic is that of aws-lc.
//!
//! It refuses to carry application data, to resume or renegotiate, to speak anything older than DTLS 1.2 or without
//! forward secrecy, and to judge a certificate: that the peer holds the private key is proved here, whose certificate it is
//! must be compared with the fingerprint in SDP by the caller, before the keys are used.
//!
//! As server it keeps nothing of a client that has not shown, with a cookie (RFC 6347 section 4.2.1), that it receives what it
//! is sent.
//!
//! **Contract: after every `handle_*` call, drain [`Endpoint::poll_output`] until it returns `None`.**
//!
//! ```
//! # let key = rcgen::KeyPair::generate().unwrap();
//! # let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
//! use std::{sync::Arc, time::Instant};
//! use viaduct_dtls::{Config, Endpoint, Limits, Output, Role};
//!
//! let config = Config::new(certificate.der().to_vec(), &key.serialize_der(), 1_200, Limits::default())?;
//! let now = Instant::now();
//! let mut client = Endpoint::new(Arc::new(config), Role::Client, now);
//! client.handle_timeout(now)?;
//! assert!(matches!(client.poll_output(), Some(Output::Send(hello)) if hello[0] == 22));
//! assert!(client.poll_timeout().is_some_and(|at| at > now));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod crypto;
mod endpoint;
mod error;
mod flight;
mod messages;
mod reassembly;
mod record;
mod signature;
mod wire;
mod x509;

pub use config::{Config, ConfigError, LimitHits, Limits};
pub use endpoint::{Endpoint, Output, Role};
pub use error::Error;
pub use messages::SrtpProtection;
