//! `tls`: the certificate of the secure listeners.

use std::time::Duration;

use crate::code::Code;
use crate::decode::{Decoder, Fault, Form, TextForm, section, section_default};
use crate::form::time::{DAY, SECOND};
use crate::form::{choice, choices, duration, list, one_or_many, or_word, path, section_form};
use crate::shape::Shape;
use crate::suggest::did_you_mean;
use crate::tree::{Kind, Node};

section! {
    /// The certificate and the protocol versions of `https`, `wss` and `sip+tls` listeners.
    pub struct TlsSettings {
        /// Where the certificate comes from. `self-signed` makes one at the first start and keeps it; browsers must
        /// accept it once by hand.
        certificate: Certificate = default(CertificateForm, "self-signed");
        /// Oldest version of TLS that is spoken; older ones than 1.2 never are (RFC 8996).
        min_version: TlsVersion = default(choice::<TlsVersion>(), "1.2");
        /// Further certificates. A client that asks for a name in one of them (SNI) gets it, every other client gets
        /// `certificate`.
        certificates: Vec<CertificateKeys> = default(list(section_form::<CertificateKeys>()), "[]");
        /// How often the files of certificates are looked at. Changed ones are used for connections that begin, and those
        /// that exist go on; `none` leaves it to `viaduct reload`.
        watch: Option<Duration> = default(or_word("none", duration(SECOND, DAY)), "10s");
        /// Whether clients of `sip+tls` listeners show a certificate, as carriers and other proxies do. The names in it
        /// are what the client has proven to be.
        client_certificates: ClientCertificates = default(choice::<ClientCertificates>(), "none");
        /// PEM file with the authorities that sign clients' certificates.
        client_authorities: Option<String> = absent(path(), "needed unless `client_certificates` is `none`");
        /// Whose certificates are believed of servers that the gateway connects to: `system` for the authorities of the
        /// operating system, or PEM files with the authorities. The certificate must be for the domain that is called (RFC
        /// 5922).
        trust: Option<Vec<String>> = default(TrustForm, "system");
    }
}
section_default!(TlsSettings);

choices! {
    /// Whether clients show certificates.
    pub enum ClientCertificates {
        /// They are not asked for any.
        None = "none",
        /// They may show one; a wrong one ends the connection.
        Optional = "optional",
        /// Nobody is let in without one.
        Required = "required",
    }
}

choices! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2 (RFC 5246), with forward secrecy only.
        Tls12 = "1.2",
        /// TLS 1.3 (RFC 8446).
        Tls13 = "1.3",
    }
}

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// Made at the first start and kept in `site.state_dir`.
    SelfSigned,
    /// Two PEM files.
    Files {
        /// The certificate with its chain.
        cert: String,
        /// The private key.
        key: String,
    },
}

section! {
    /// A certificate from files.
    pub struct CertificateKeys {
        /// PEM file with the certificate, followed by the chain.
        cert: String = required(path(), String::new());
        /// PEM file with the private key.
        key: String = required(path(), String::new());
    }
}

/// `system`, or one or several files.
pub(crate) struct TrustForm;

/// The word form of [`TrustForm`].
struct TrustWord;

impl Form for TrustForm {
    type Value = Option<Vec<String>>;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Self::Value> {
        match &node.kind {
            Kind::List(items) if !items.is_empty() => list(path()).decode(node, decoder).map(Some),
            Kind::List(_) | Kind::Scalar { .. } | Kind::Null | Kind::Refused | Kind::Map(_) => {
                TrustWord.decode(node, decoder)
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![Shape::Word("system"), Form::shape(&one_or_many(path()))])
    }
}

impl TextForm for TrustWord {
    type Value = Option<Vec<String>>;

    fn parse(&self, text: &str) -> Result<Self::Value, Fault> {
        match text {
            "system" => Ok(None),
            _ => path().parse(text).map(|file| Some(vec![file])),
        }
    }

    fn shape(&self) -> Shape {
        Form::shape(&TrustForm)
    }
}

/// `self-signed`, or a map with `cert` and `key`.
pub(crate) struct CertificateForm;

/// The word form of [`CertificateForm`].
struct CertificateWord;

const SELF_SIGNED: &str = "self-signed";

impl TextForm for CertificateWord {
    type Value = Certificate;

    fn parse(&self, text: &str) -> Result<Certificate, Fault> {
        match text {
            SELF_SIGNED => Ok(Certificate::SelfSigned),
            "auto" | "acme" => Err(Fault {
                code: Code::NotAvailable,
                ..Fault::bad()
                    .help("write `self-signed` or `{ cert: …, key: … }`".to_owned())
                    .note("certificates from an authority (ACME) cannot be fetched by this version; a tool such as certbot can write the two files")
            }),
            _ if text.contains('.') || text.contains('/') => {
                Err(Fault::bad().help("two files are needed: `{ cert: …, key: … }`".to_owned()))
            }
            _ => Err(Fault {
                code: Code::UnknownChoice,
                ..Fault::bad().help(did_you_mean(text, [SELF_SIGNED]))
            }),
        }
    }

    fn shape(&self) -> Shape {
        Form::shape(&CertificateForm)
    }
}

impl Form for CertificateForm {
    type Value = Certificate;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Certificate> {
        match &node.kind {
            Kind::Map(_) => {
                let keys = decoder.section::<CertificateKeys>(node)?;
                Some(Certificate::Files {
                    cert: keys.cert,
                    key: keys.key,
                })
            }
            Kind::Scalar { .. } | Kind::Null | Kind::Refused | Kind::List(_) => {
                CertificateWord.decode(node, decoder)
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![
            Shape::Word(SELF_SIGNED),
            section_form::<CertificateKeys>().shape(),
        ])
    }
}
