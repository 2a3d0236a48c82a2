//! Certificates: their files, their names, and whose word is taken for those of clients.

use crate::code::Code;
use crate::diagnostic::{Diagnostic, quoted};
use crate::gateway::tls::{Certificate, ClientCertificates};

use super::Check;

impl Check<'_> {
    pub(super) fn tls(&mut self) {
        let tls = &self.file.tls;
        let mut names = None;
        if let Certificate::Files { cert, key } = &tls.certificate {
            names = self.certificate(&["tls", "certificate"], cert, key);
        }
        for (index, further) in tls.certificates.iter().enumerate() {
            let index = index.to_string();
            let found = self.certificate(&["tls", "certificates", &index], &further.cert, &further.key);
            if let (Some(names), Some(found)) = (&mut names, found) {
                names.extend(found);
            }
        }
        if let Some(names) = names {
            self.covers_domain(&names);
        }
        self.client_certificates();
    }

    /// Looks at the files of a certificate. Answers its names, if they can be read.
    fn certificate(&mut self, path: &[&str], cert: &str, key: &str) -> Option<Vec<String>> {
        // A path that is missing or wrong is empty here, and has been reported.
        if !key.is_empty()
            && let Err(error) = self.environment.check_file(key)
        {
            self.unreadable(&[path, &["key"]].concat(), key, &error.reason);
        }
        if cert.is_empty() {
            return None;
        }
        match self.environment.certificate_names(cert) {
            Ok(names) => names,
            Err(error) => {
                self.unreadable(&[path, &["cert"]].concat(), cert, &error.reason);
                None
            }
        }
    }

    fn covers_domain(&mut self, names: &[String]) {
        let domain = &self.file.site.domain;
        if names.iter().any(|name| covers(name, domain)) {
            return;
        }
        let listed = names
            .iter()
            .map(|name| quoted(name))
            .collect::<Vec<_>>()
            .join(", ");
        let message = format!("certificate for {domain} covers {listed} only; browsers will refuse WSS");
        let diagnostic = Diagnostic::new(Code::CertificateName, message)
            .at(self.positions.nearest(&["tls", "certificate", "cert"]))
            .note(format!(
                "fix: a certificate for {domain}, or the right name in site.domain"
            ));
        self.report(diagnostic);
    }

    fn client_certificates(&mut self) {
        let tls = &self.file.tls;
        match (tls.client_certificates, &tls.client_authorities) {
            (ClientCertificates::None, None) => {}
            (ClientCertificates::None, Some(_)) => {
                let diagnostic = Diagnostic::new(Code::Unused, "tls.client_authorities has no effect")
                    .at(self.positions.key(&["tls", "client_authorities"]))
                    .note("clients are not asked for certificates")
                    .note("fix: `client_certificates: optional` or `required`");
                self.report(diagnostic);
            }
            (_, None) => {
                let diagnostic = Diagnostic::new(Code::MissingKey, "tls.client_authorities is missing")
                    .at(self.positions.key(&["tls", "client_certificates"]))
                    .help("add `client_authorities: FILE.pem`".to_owned())
                    .note("without an authority every certificate would be as good as another");
                self.report(diagnostic);
            }
            (_, Some(path)) => {
                if let Err(error) = self.environment.check_file(path) {
                    self.unreadable(&["tls", "client_authorities"], path, &error.reason);
                }
            }
        }
    }

    fn unreadable(&mut self, path: &[&str], file: &str, reason: &str) {
        let diagnostic = Diagnostic::new(Code::FileUnreadable, format!("{} cannot be used", quoted(file)))
            .at(self.positions.nearest(path))
            .help(reason.to_owned())
            .note("no secure listener could start without it");
        self.report(diagnostic);
    }
}

/// Whether a name in a certificate covers `domain` (RFC 6125: a `*` stands for one label).
fn covers(name: &str, domain: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("*.") {
        Some(rest) => domain
            .split_once('.')
            .is_some_and(|(label, tail)| !label.is_empty() && tail == rest),
        None => name == domain,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_star_covers_one_label() {
        assert!(covers("*.example.com", "voice.example.com"));
        assert!(covers("Voice.example.com", "voice.example.com"));
        assert!(!covers("*.example.com", "example.com"));
        assert!(!covers("*.example.com", "a.b.example.com"));
    }
}
