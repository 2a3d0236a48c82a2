use std::fs;
use std::path::{Path, PathBuf};

use viaduct_settings::CertificateKeys;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("viaduct-tls-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// A certificate for these names in files of its own.
    fn certificate(&self, file: &str, names: &[&str]) -> CertificateKeys {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let path = |ending: &str| self.0.join(format!("{file}.{ending}"));
        fs::write(path("pem"), made.cert.pem()).unwrap();
        fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
        let text = |ending: &str| path(ending).to_string_lossy().into_owned();
        CertificateKeys {
            cert: text("pem"),
            key: text("key"),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn settings(default: &CertificateKeys, further: Vec<CertificateKeys>) -> TlsSettings {
    TlsSettings {
        certificate: Certificate::Files {
            cert: default.cert.clone(),
            key: default.key.clone(),
        },
        certificates: further,
        ..TlsSettings::default()
    }
}

fn by_name(settings: &TlsSettings) -> ByName {
    let files = Files {
        folder: PathBuf::new(),
        names: Vec::new(),
    };
    ByName::read(settings, &files, &default_provider()).unwrap()
}

#[test]
fn a_certificate_is_made_once_and_again_only_for_other_names() {
    let folder = Folder::new("own");
    let names = |first: &str| vec![first.to_owned(), "127.0.0.1".to_owned()];
    let own = |first: &str| files::own_certificate(&folder.0, &names(first)).unwrap().0;
    let first = own("localhost");
    assert_eq!(first, own("localhost"));
    let other = own("example.com");
    assert_ne!(first, other);
    assert_eq!(names_of(&other[0]).unwrap(), ["example.com"]);
    let key = fs::metadata(folder.0.join("tls/key.pem")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key) & 0o777, 0o600);
    let secure = Secure::new(&TlsSettings::default(), &folder.0, names("example.com")).unwrap();
    let alpn = |source: &TlsSource| source.acceptor().config().alpn_protocols.clone();
    assert_eq!(alpn(&secure.web), [b"http/1.1".to_vec()]);
    assert!(alpn(&secure.sip).is_empty());
}

#[test]
fn missing_and_empty_files_are_named() {
    let folder = Folder::new("empty");
    let path = folder.0.join("nothing.pem");
    fs::write(&path, "").unwrap();
    let error = format!("{:#}", files::read_chain(&path).unwrap_err());
    assert!(error.contains("nothing.pem"), "{error}");
    let error = format!("{:#}", files::read_key(Path::new("/no/such.key")).unwrap_err());
    assert!(error.contains("/no/such.key"), "{error}");
}

/// RFC 6066 section 3, RFC 9525 section 6.3: one label for a star, and any case.
#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let folder = Folder::new("names");
    let main = folder.certificate("main", &["voice.example.com"]);
    let star = folder.certificate("star", &["*.example.org", "voice.example.com"]);
    let other = folder.certificate("other", &["sip.example.org"]);
    let found = by_name(&settings(&main, vec![star, other]));
    let index = |name: Option<&str>| {
        let chosen = &found.find(name).cert;
        found.chains.iter().position(|chain| chain == chosen).unwrap()
    };
    assert_eq!(index(None), 0);
    assert_eq!(index(Some("unknown.example")), 0);
    assert_eq!(index(Some("voice.example.com")), 0);
    assert_eq!(index(Some("A.example.ORG")), 1);
    assert_eq!(index(Some("sip.example.org")), 2);
    assert_eq!(index(Some("a.b.example.org")), 0);
    assert_eq!(index(Some("example.org")), 0);
}

#[test]
fn a_key_of_another_certificate_is_refused_and_named() {
    let folder = Folder::new("keys");
    let (one, two) = (
        folder.certificate("one", &["one.example"]),
        folder.certificate("two", &["two.example"]),
    );
    let mixed = CertificateKeys {
        cert: one.cert.clone(),
        key: two.key,
    };
    let error = Secure::new(&settings(&one, vec![mixed]), &folder.0, Vec::new()).unwrap_err();
    assert!(format!("{error:#}").contains("one.example"), "{error:#}");
}

#[test]
fn changed_files_look_different_and_give_other_certificates() {
    let folder = Folder::new("stamps");
    let settings = settings(&folder.certificate("main", &["a.example"]), Vec::new());
    let secure = Secure::new(&settings, &folder.0, Vec::new()).unwrap();
    let before = Stamp::of(&settings);
    assert_eq!(before, Stamp::of(&settings));
    assert!(!secure.is_other(&secure.prepare(&settings).unwrap()));
    folder.certificate("main", &["a.example", "b.example"]);
    assert_ne!(before, Stamp::of(&settings));
    let prepared = secure.prepare(&settings).unwrap();
    assert!(secure.is_other(&prepared));
    secure.install(prepared);
    assert!(!secure.is_other(&secure.prepare(&settings).unwrap()));
}

/// Tickets of before a reload are good after it; where clients must prove who they are, they are not.
#[test]
fn sessions_are_resumed_over_a_reload_unless_clients_show_certificates() {
    let folder = Folder::new("tickets");
    let authority = folder.certificate("authority", &["authority.example"]);
    let mut settings = settings(&folder.certificate("main", &["a.example"]), Vec::new());
    let reads_old = |settings: &TlsSettings| {
        let secure = Secure::new(settings, &folder.0, Vec::new()).unwrap();
        let ticket = secure.sip.acceptor().config().ticketer.encrypt(b"who").unwrap();
        secure.install(secure.prepare(settings).unwrap());
        let ticketer = secure.sip.acceptor().config().ticketer.clone();
        ticketer.enabled() && ticketer.decrypt(&ticket).is_some()
    };
    assert!(reads_old(&settings));
    settings.client_certificates = ClientCertificates::Optional;
    settings.client_authorities = Some(authority.cert);
    assert!(!reads_old(&settings));
}
