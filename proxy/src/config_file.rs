//! Reading a configuration file from disk.

use std::fs;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use viaduct_ng::flags::{Severity, parse_opensips};
use viaduct_settings::{
    Certificate, CertificateKeys, Diagnostics, Environment, FlagProblem, GatewaySettings, Loaded,
    LookupPlace, Unavailable, UserSource, decode_utf8, load_gateway,
};

/// The files and variables around a configuration file.
struct Surroundings {
    /// Relative paths start here.
    folder: PathBuf,
}

impl Environment for Surroundings {
    fn read_file(&self, path: &str) -> Result<String, Unavailable> {
        fs::read_to_string(self.folder.join(path)).map_err(|error| Unavailable::new(error.to_string()))
    }

    fn check_file(&self, path: &str) -> Result<(), Unavailable> {
        fs::File::open(self.folder.join(path))
            .map(drop)
            .map_err(|error| Unavailable::new(error.to_string()))
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn certificate_names(&self, path: &str) -> Result<Option<Vec<String>>, Unavailable> {
        let first = CertificateDer::pem_file_iter(self.folder.join(path))
            .map_err(|error| Unavailable::new(error.to_string()))?
            .next();
        match first {
            Some(Ok(certificate)) => Ok(crate::tls::names_of(&certificate)),
            Some(Err(error)) => Err(Unavailable::new(error.to_string())),
            None => Err(Unavailable::new("it holds no certificate")),
        }
    }
}

/// Reads a configuration file, its paths made absolute. The inner error is every mistake of the file.
pub(crate) fn load(path: &Path) -> anyhow::Result<Result<Loaded<GatewaySettings>, Diagnostics>> {
    use anyhow::Context;
    let octets = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let file = path.display().to_string();
    let text = match decode_utf8(&file, &octets) {
        Ok(text) => text,
        Err(diagnostics) => return Ok(Err(diagnostics)),
    };
    let flags = |text: &str| -> Vec<FlagProblem> {
        let problem = |diagnostic: viaduct_ng::flags::Diagnostic| FlagProblem {
            position: diagnostic.offset,
            is_error: diagnostic.severity() == Severity::Error,
            problem: diagnostic.problem.to_string(),
            token: diagnostic.token,
        };
        parse_opensips(text)
            .diagnostics
            .into_iter()
            .map(problem)
            .collect()
    };
    let loaded = load_gateway(
        &file,
        text,
        &Surroundings {
            folder: folder.clone(),
        },
        &flags,
    );
    Ok(loaded.map(|mut loaded| {
        resolve_paths(&mut loaded.settings, &folder);
        loaded
    }))
}

fn resolve_paths(settings: &mut GatewaySettings, folder: &Path) {
    let resolve = |path: &mut String| *path = folder.join(&*path).to_string_lossy().into_owned();
    resolve(&mut settings.site.state_dir);
    resolve(&mut settings.control_socket);
    if let Some(UserSource::Lookup(lookup)) = &mut settings.user_source
        && let LookupPlace::Sqlite { path, .. } = &mut lookup.place
    {
        resolve(path);
    }
    let tls = &mut settings.tls;
    if let Certificate::Files { cert, key } = &mut tls.certificate {
        resolve(cert);
        resolve(key);
    }
    for CertificateKeys { cert, key } in &mut tls.certificates {
        resolve(cert);
        resolve(key);
    }
    tls.client_authorities.iter_mut().for_each(resolve);
}
