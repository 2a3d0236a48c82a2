//! TLS as clients meet it: which certificate they are shown, what they have to show, and what is said when it fails.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use viaduct_sip::{Framer, HeaderName, Limits, Method, RequestBuilder, ResponseBuilder, StatusCode};

use crate::support::Folder;
use crate::support::dns::Dns;
use crate::support::gateway::{Gateway, Setup};
use crate::support::phone::{Phone, expect_status};
use crate::support::socket::{connect, connect_from};
use crate::support::wire::Wire;
use crate::support::{free_port, own_address};

/// A certificate that vouches for itself, and its key.
struct Certificate {
    pem: String,
    key: String,
    der: CertificateDer<'static>,
    key_der: PrivateKeyDer<'static>,
}

impl Certificate {
    fn of(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
            key_der: made.signing_key.into(),
        }
    }

    fn write(&self, folder: &Folder, name: &str) {
        folder.write(&format!("{name}.pem"), &self.pem);
        folder.write(&format!("{name}.key"), &self.key);
    }
}

/// What a client trusts and how it speaks.
struct Client {
    trusted: Vec<CertificateDer<'static>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
}

impl Client {
    fn trusting(certificates: &[&Certificate]) -> Self {
        Self {
            trusted: certificates.iter().map(|one| one.der.clone()).collect(),
            versions: vec![&TLS12, &TLS13],
            own: None,
        }
    }

    fn config(self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in self.trusted {
            roots.add(certificate).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.own {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(8);
        Arc::new(config)
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection to the port of SIP over TLS, on which a ping was answered. The error is that of the handshake.
fn reach(gateway: &Gateway, config: &Arc<ClientConfig>, name: &'static str) -> std::io::Result<Tls> {
    let to = gateway.at(gateway.ports.sips);
    reach_from(to.ip(), gateway, config, name)
}

/// The same from this address.
fn reach_from(
    source: IpAddr,
    gateway: &Gateway,
    config: &Arc<ClientConfig>,
    name: &'static str,
) -> std::io::Result<Tls> {
    let tcp = connect_from(source, gateway.at(gateway.ports.sips))?;
    let name = ServerName::try_from(name).unwrap();
    let client = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut connection = StreamOwned::new(client, tcp);
    ping(&mut connection)?;
    Ok(connection)
}

fn ping(connection: &mut Tls) -> std::io::Result<()> {
    connection.write_all(b"\r\n\r\n")?;
    let mut pong = [0; 2];
    connection.read_exact(&mut pong)?;
    assert_eq!(&pong, b"\r\n");
    Ok(())
}

fn shown(connection: &Tls) -> CertificateDer<'static> {
    connection.conn.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

/// A gateway with these keys under `tls`, and its files in this folder.
fn start(folder: &Folder, tls: &str) -> Gateway {
    let tls = tls.replace("DIR", folder.path().to_str().unwrap());
    Setup {
        more: format!("tls: {{ {tls} }}\n"),
        ..Setup::default()
    }
    .start()
}

const FILES: &str = "certificate: { cert: DIR/main.pem, key: DIR/main.key }";

#[test]
fn renewed_files_are_used_by_connections_that_begin_and_end_none() {
    let folder = Folder::new();
    let (old, new) = (Certificate::of(&["a.test"]), Certificate::of(&["a.test"]));
    old.write(&folder, "main");
    let gateway = start(&folder, &format!("{FILES}, watch: 1s"));
    let config = Client::trusting(&[&old, &new]).config();
    let mut before = reach(&gateway, &config, "a.test").unwrap();
    assert_eq!(shown(&before), old.der);

    // Half of a renewal: the key does not fit yet.
    folder.write("main.pem", &new.pem);
    let trusting = Client::trusting(&[&old, &new]).config();
    assert_eq!(shown(&reach(&gateway, &trusting, "a.test").unwrap()), old.der);
    folder.write("main.key", &new.key);
    gateway.expect_figure("viaduct_tls_certificates_changed_total", 1);
    let trusting = Client::trusting(&[&old, &new]).config();
    assert_eq!(shown(&reach(&gateway, &trusting, "a.test").unwrap()), new.der);
    ping(&mut before).unwrap();
    drop(before);
    gateway.finish();
}

#[test]
fn a_reload_reads_certificates_and_refuses_those_that_are_wrong() {
    let folder = Folder::new();
    let (old, new) = (Certificate::of(&["a.test"]), Certificate::of(&["a.test"]));
    old.write(&folder, "main");
    let gateway = start(&folder, &format!("{FILES}, watch: none"));
    let served = || {
        let fresh = Client::trusting(&[&old, &new]).config();
        shown(&reach(&gateway, &fresh, "a.test").unwrap())
    };
    folder.write("main.key", &new.key);
    let said = gateway.command(&["reload"]);
    assert_eq!(said.code(), Some(1), "{said:?}");
    assert!(said.err.contains("a.test and its key"), "{said:?}");
    assert_eq!(served(), old.der);
    folder.write("main.pem", &new.pem);
    let said = gateway.command(&["reload"]);
    assert_eq!(said.code(), Some(0), "{said:?}");
    assert!(
        said.out.contains("tls.certificate (contents of the files)"),
        "{said:?}"
    );
    assert_eq!(served(), new.der);
    gateway.finish();
}

/// RFC 6066 section 3.
#[test]
fn a_client_is_shown_the_certificate_of_the_name_that_it_asks_for() {
    let folder = Folder::new();
    let (main, other) = (Certificate::of(&["a.test"]), Certificate::of(&["*.b.test"]));
    main.write(&folder, "main");
    other.write(&folder, "other");
    let further = "certificates: [{ cert: DIR/other.pem, key: DIR/other.key }]";
    let gateway = start(&folder, &format!("{FILES}, {further}"));
    let config = Client::trusting(&[&main, &other]).config();
    assert_eq!(shown(&reach(&gateway, &config, "a.test").unwrap()), main.der);
    assert_eq!(shown(&reach(&gateway, &config, "sip.b.test").unwrap()), other.der);
    // A name that nobody has gets the first, which does not carry it.
    assert!(reach(&gateway, &config, "c.test").is_err());
    gateway.expect_figure("viaduct_tls_failures_refused_total", 1);
    gateway.finish();
}

/// RFC 8996: nothing older than 1.2, and with `min_version` nothing older than 1.3.
#[test]
fn old_versions_are_refused_with_an_alert_and_said_so() {
    let folder = Folder::new();
    let main = Certificate::of(&["a.test"]);
    main.write(&folder, "main");
    let gateway = start(&folder, &format!("{FILES}, min_version: \"1.3\""));
    let config = Client {
        versions: vec![&TLS12],
        ..Client::trusting(&[&main])
    }
    .config();
    assert!(reach(&gateway, &config, "a.test").is_err());
    gateway.expect_exactly("viaduct_tls_failures_version_total", 1);
    // A ClientHello of TLS 1.1: version, random, no session, one suite, no compression.
    let hello = [&[3, 2][..], &[7; 32], &[0], &[0, 2, 0, 0x2f], &[1, 0]].concat();
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    let mut old = connect(gateway.at(gateway.ports.sips));
    old.write_all(&record).unwrap();
    let mut alert = [0; 7];
    old.read_exact(&mut alert).unwrap();
    assert_eq!((alert[0], alert[5]), (21, 2), "a fatal alert, not {alert:?}");
    gateway.expect_figure("viaduct_tls_failures_total", 2);
    // Who speaks plainly is no version's fault.
    connect(gateway.at(gateway.ports.sips))
        .write_all(b"OPTIONS sip:a.test SIP/2.0\r\n\r\n")
        .unwrap();
    gateway.expect_figure("viaduct_tls_failures_not_tls_total", 1);
    let ended = gateway.end(nix::sys::signal::Signal::SIGINT);
    ended.expect_good();
    assert!(
        ended.log.contains("speaks no version that we speak"),
        "{}",
        ended.log
    );
}

#[test]
fn a_client_that_does_not_know_the_signer_is_named_in_the_log() {
    let folder = Folder::new();
    Certificate::of(&["a.test"]).write(&folder, "main");
    let gateway = start(&folder, FILES);
    let config = Client::trusting(&[]).config();
    assert!(reach(&gateway, &config, "a.test").is_err());
    gateway.expect_figure("viaduct_tls_failures_refused_total", 1);
    let ended = gateway.end(nix::sys::signal::Signal::SIGINT);
    ended.expect_good();
    assert!(
        ended.log.contains("does not know who signed our certificate"),
        "{}",
        ended.log
    );
}

/// RFC 5077 and RFC 8446 section 2.2.
#[test]
fn sessions_are_resumed_also_after_a_reload() {
    let folder = Folder::new();
    let main = Certificate::of(&["a.test"]);
    main.write(&folder, "main");
    let gateway = start(&folder, FILES);
    for version in [&TLS12, &TLS13] {
        let config = Client {
            versions: vec![version],
            ..Client::trusting(&[&main])
        }
        .config();
        let kind = || reach(&gateway, &config, "a.test").unwrap().conn.handshake_kind();
        assert_eq!(kind(), Some(HandshakeKind::Full), "{version:?}");
        assert_eq!(kind(), Some(HandshakeKind::Resumed), "{version:?}");
        assert_eq!(gateway.command(&["reload"]).code(), Some(0));
        assert_eq!(kind(), Some(HandshakeKind::Resumed), "{version:?}");
    }
    gateway.finish();
}

#[test]
fn clients_prove_who_they_are_where_that_is_wanted() {
    let folder = Folder::new();
    let (main, carrier, stranger) = (
        Certificate::of(&["a.test"]),
        Certificate::of(&["sbc.carrier.test"]),
        Certificate::of(&["sbc.carrier.test"]),
    );
    main.write(&folder, "main");
    carrier.write(&folder, "carriers");
    let wanted = |policy: &str| {
        format!("{FILES}, client_certificates: {policy}, client_authorities: DIR/carriers.pem")
    };
    let with = |own: &Certificate| {
        Client {
            own: Some((own.der.clone(), own.key_der.clone_key())),
            ..Client::trusting(&[&main])
        }
        .config()
    };
    let without = || Client::trusting(&[&main]).config();

    let gateway = start(&folder, &wanted("optional"));
    reach(&gateway, &with(&carrier), "a.test").unwrap();
    reach(&gateway, &without(), "a.test").unwrap();
    assert!(reach(&gateway, &with(&stranger), "a.test").is_err());
    gateway.expect_figure("viaduct_tls_failures_certificate_wrong_total", 1);

    // From here on nobody gets in without one; a reload is enough for that.
    gateway.rewrite(|text| text.replace("client_certificates: optional", "client_certificates: required"));
    assert_eq!(gateway.command(&["reload"]).code(), Some(0));
    reach(&gateway, &with(&carrier), "a.test").unwrap();
    assert!(reach(&gateway, &without(), "a.test").is_err());
    gateway.expect_figure("viaduct_tls_failures_certificate_missing_total", 1);
    let ended = gateway.end(nix::sys::signal::Signal::SIGINT);
    ended.expect_good();
    for told in [
        "proven to be sbc.carrier.test",
        "the client's certificate is not good",
        "the client shows no certificate",
    ] {
        assert!(ended.log.contains(told), "no {told} in {}", ended.log);
    }
}

/// RFC 5923 section 8: nobody listens where the carrier's Via and DNS say that it is.
#[test]
fn a_peer_with_a_certificate_is_sent_requests_over_the_connection_that_it_offers() {
    let folder = Folder::new();
    let (main, carrier) = (Certificate::of(&["a.test"]), Certificate::of(&["example.test"]));
    main.write(&folder, "main");
    carrier.write(&folder, "carriers");
    let elsewhere = own_address();
    let dns = Dns::start(elsewhere);
    let port = free_port(elsewhere);
    dns.srv("_sips._tcp.example.test", 1, "host.example.test", port);
    dns.a("host.example.test", elsewhere);
    let tls = format!("{FILES}, client_certificates: optional, client_authorities: DIR/carriers.pem");
    let setup = Setup {
        more: format!(
            "foreign_domains: allow\ndns: {{ servers: [\"{}\"], timeout: 5s }}\ntls: {{ {} }}\n",
            dns.address,
            tls.replace("DIR", folder.path().to_str().unwrap())
        ),
        ..Setup::default()
    };
    let gateway = setup.start();
    let config = Client {
        own: Some((carrier.der.clone(), carrier.key_der.clone_key())),
        ..Client::trusting(&[&main])
    }
    .config();
    let connection = reach_from(elsewhere, &gateway, &config, "a.test").unwrap();
    let mut wire = Wire::Stream(Box::new(connection), Framer::new(Limits::default()));
    let options = RequestBuilder::new(Method::Options, "sip:a.test")
        .via(format!("SIP/2.0/TLS {elsewhere}:{port};branch=z9hG4bK1;alias"))
        .from("<sip:example.test>;tag=1")
        .to("<sip:a.test>")
        .call_id("alias")
        .cseq(1)
        .build()
        .unwrap();
    wire.send(&options);
    assert!(!wire.receive().unwrap().is_request());

    let mut phone = Phone::udp(&gateway, "201");
    let draft = phone
        .draft_to(Method::Message, "sips:bob@example.test")
        .body("text/plain", "hello");
    let sent = phone.begin(draft);
    let got = wire.receive().unwrap();
    assert_eq!(got.method(), Some(Method::Message));
    assert_eq!(got.header(HeaderName::CallId), sent.header(HeaderName::CallId));
    let answer = ResponseBuilder::new(&got, StatusCode::OK).to_tag("bob");
    wire.send(&answer.build().unwrap());
    expect_status(&phone.final_answer(&sent), 200);
    gateway.expect_exactly("viaduct_connections_reused_total", 1);
    assert_eq!(gateway.figure("viaduct_outgoing_connections_total"), 0);
    drop((wire, dns));
    gateway.finish();
}
