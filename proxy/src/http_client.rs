//! Asking other programs' HTTP services: for users, and for decisions.
//!
//! Only URLs of the configuration are asked; redirects are not followed and no proxy is used. Connections are kept and
//! used again. Whoever asks sets the time limit.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use viaduct_settings::Secret;

/// How long a connection without a request is kept.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// One service.
#[derive(Debug, Clone)]
pub(crate) struct HttpService {
    client: Client<Connector, Full<Bytes>>,
    url: String,
    authorization: Option<HeaderValue>,
    answer_octets_max: usize,
}

/// What a service answered.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl HttpService {
    /// The service at `url`, of which up to `connections_max` connections are kept while they are idle. Asks nothing yet.
    pub(crate) fn new(
        url: &str,
        token: Option<&Secret>,
        connections_max: usize,
        answer_octets_max: usize,
    ) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("reading the URL {url}"))?;
        let connector = Connector::to(&uri)?;
        let authorization = token
            .map(|token| HeaderValue::from_str(&format!("Bearer {}", token.expose())))
            .transpose()
            .context("writing the token into a header")?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(connections_max)
            .build(connector);
        Ok(Self {
            client,
            url: url.to_owned(),
            authorization,
            answer_octets_max,
        })
    }

    /// GET with these parameters.
    pub(crate) async fn get(&self, parameters: &[(&str, &str)]) -> anyhow::Result<HttpAnswer> {
        let mut url = self.url.clone();
        for (name, value) in parameters {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={}", percent_encoded(value)));
        }
        let request = Request::builder().method(Method::GET).uri(url);
        self.ask(request, Bytes::new()).await
    }

    /// POST with this body, which is JSON.
    pub(crate) async fn post_json(&self, body: Vec<u8>) -> anyhow::Result<HttpAnswer> {
        let request = Request::builder().method(Method::POST).uri(&self.url);
        self.ask(request.header(CONTENT_TYPE, "application/json"), body.into())
            .await
    }

    async fn ask(&self, request: http::request::Builder, body: Bytes) -> anyhow::Result<HttpAnswer> {
        let mut request = request
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "viaduct")
            .body(Full::new(body))
            .context("writing the question")?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let answer = self.client.request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), self.answer_octets_max)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))?
            .to_bytes();
        Ok(HttpAnswer { status, body })
    }
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    encoded.collect()
}

/// Servers must show a certificate that this machine trusts.
fn tls_connector() -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found
            .errors
            .first()
            .map_or_else(String::new, |error| format!(": {error}"));
        anyhow::bail!(
            "this machine has no certificates of authorities to trust (Debian: ca-certificates){why}"
        );
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choosing TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Opens connections to the host of a URL.
#[derive(Clone)]
struct Connector {
    /// Only for `https`.
    tls: Option<TlsConnector>,
}

impl Connector {
    fn to(uri: &Uri) -> anyhow::Result<Self> {
        let is_secure = uri.scheme_str() == Some("https");
        let tls = is_secure.then(tls_connector).transpose()?;
        Ok(Self { tls })
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("is_secure", &self.tls.is_some())
            .finish()
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Wire>>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = tls else {
                return Ok(TokioIo::new(Wire::Plain(stream)));
            };
            let name = ServerName::try_from(host.to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            let stream = tls.connect(name, stream).await?;
            Ok(TokioIo::new(Wire::Secure(Box::new(stream))))
        })
    }
}

/// One connection.
#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, octets),
            Self::Secure(stream) => Pin::new(stream).poll_write(context, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_cannot_become_another_question() {
        assert_eq!(percent_encoded("a.b-c_d~1"), "a.b-c_d~1");
        assert_eq!(percent_encoded("x&realm=y#ä "), "x%26realm%3Dy%23%C3%A4%20");
    }

    #[test]
    fn only_https_needs_certificates_of_authorities() {
        let connector = Connector::to(&Uri::from_static("http://127.0.0.1:1/users")).unwrap();
        assert!(connector.tls.is_none());
    }

    #[test]
    fn a_token_is_never_printed() {
        let secret = Secret::new("hunter2");
        let service = HttpService::new("http://127.0.0.1:1/users", Some(&secret), 1, 100).unwrap();
        assert!(!format!("{service:?}").contains("hunter2"));
    }
}
