//! Phones over WebSocket: each has a connection of its own, stays registered and answers pings.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};
use viaduct_sip::{BRANCH_COOKIE, CSeq, HeaderName, Limits, Message, Method, RequestBuilder};

use super::ADDRESS;
use crate::sample::Latencies;
use crate::sip::PATIENCE;
use crate::sip::line::{DOMAIN, user};

/// Phones that connect at the same time.
const AT_ONCE: usize = 64;

/// How long connecting, with all handshakes, may take.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// Phones at one address of this machine: there are no more ports than 28,000 for one.
const PHONES_PER_ADDRESS: usize = 5_000;

/// Where our gateway takes SIP.
const PATH: &str = "/sip";

/// How often counters are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The phones.
#[derive(Debug)]
pub struct WebPhones {
    runtime: Runtime,
    shared: Arc<Shared>,
    refresh: watch::Sender<Option<Wave>>,
    phones: usize,
}

/// Everybody refreshes once, evenly spread over a time.
#[derive(Debug, Clone, Copy)]
struct Wave {
    begin: Instant,
    spread: Duration,
}

#[derive(Debug)]
struct Shared {
    gateway: SocketAddr,
    phones: usize,
    tls: Option<Arc<ClientConfig>>,
    handshakes: Semaphore,
    registered: AtomicUsize,
    refreshed: AtomicUsize,
    tally: Mutex<WebTally>,
}

/// What came of the phones.
#[derive(Debug, Clone, Default)]
pub struct WebTally {
    /// How long each refresh took.
    pub refreshes: Latencies,
    /// Why phones gave up, and how many for each reason.
    pub reasons: BTreeMap<String, usize>,
}

impl WebPhones {
    /// So many phones, which begin to connect to `gateway` while time passes in [`pass`](Self::pass), with TLS if there is a
    /// file with its certificate.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn open(gateway: SocketAddr, certificate: Option<&Path>, phones: usize) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            gateway,
            phones,
            tls: certificate.map(trusting).transpose()?.map(Arc::new),
            handshakes: Semaphore::new(AT_ONCE),
            registered: AtomicUsize::new(0),
            refreshed: AtomicUsize::new(0),
            tally: Mutex::default(),
        });
        let (refresh, signal) = watch::channel(None);
        for number in 0..phones {
            let (shared, signal) = (shared.clone(), signal.clone());
            runtime.spawn(async move {
                if let Err(error) = shared.live(number, signal).await {
                    shared.told(|tally| *tally.reasons.entry(format!("{error:#}")).or_default() += 1);
                }
            });
        }
        Ok(Self {
            runtime,
            shared,
            refresh,
            phones,
        })
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.runtime.block_on(async { sleep(time).await });
    }

    /// Waits until everybody has registered or given up, `patience` at most. How many have registered.
    #[must_use]
    pub fn register_all(&self, patience: Duration) -> usize {
        self.wait_for(&self.shared.registered, patience)
    }

    /// Lets everybody refresh within `spread`, and waits for the answers. How many came.
    #[must_use]
    pub fn refresh_all(&self, spread: Duration) -> usize {
        let begin = Instant::now();
        self.refresh.send_replace(Some(Wave { begin, spread }));
        self.wait_for(&self.shared.refreshed, spread + PATIENCE * 2)
    }

    /// What came of them so far.
    #[must_use]
    pub fn tally(&self) -> WebTally {
        self.shared.told(|tally| tally.clone())
    }

    fn wait_for(&self, done: &AtomicUsize, patience: Duration) -> usize {
        let end = Instant::now() + patience;
        loop {
            let count = done.load(Ordering::Relaxed);
            let gone = self.shared.told(|tally| tally.reasons.values().sum::<usize>());
            if count + gone >= self.phones || Instant::now() > end {
                return count;
            }
            self.pass(LOOK_AGAIN);
        }
    }
}

impl Shared {
    fn told<T>(&self, about: impl FnOnce(&mut WebTally) -> T) -> T {
        about(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The life of a phone. It ends with an error, or with the phones.
    async fn live(&self, number: usize, signal: watch::Receiver<Option<Wave>>) -> anyhow::Result<()> {
        let permit = self.handshakes.acquire().await?;
        let address = Ipv4Addr::from_bits(
            Ipv4Addr::LOCALHOST.to_bits() + 1 + u32::try_from(number / PHONES_PER_ADDRESS)?,
        );
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((address, 0).into())?;
            anyhow::Ok(socket.connect(self.gateway).await?)
        };
        let tcp = timeout(CONNECT_MAX, connect)
            .await
            .context("connecting took too long")?;
        let tcp = tcp.context("connecting")?;
        tcp.set_nodelay(true)?;
        match self.tls.clone() {
            None => self.talk(number, tcp, (permit, signal)).await,
            Some(config) => {
                let name = ServerName::try_from(DOMAIN)?;
                let tls = timeout(CONNECT_MAX, TlsConnector::from(config).connect(name, tcp)).await;
                let tls = tls.context("TLS took too long")?.context("TLS")?;
                self.talk(number, tls, (permit, signal)).await
            }
        }
    }

    async fn talk(
        &self,
        number: usize,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        (permit, mut signal): (tokio::sync::SemaphorePermit<'_>, watch::Receiver<Option<Wave>>),
    ) -> anyhow::Result<()> {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        let mut request = format!("{scheme}://{DOMAIN}{PATH}").into_client_request()?;
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", "sip".parse()?);
        let opened = timeout(CONNECT_MAX, client_async(request, stream)).await;
        let (mut socket, _) = opened
            .context("the upgrade took too long")?
            .context("upgrading")?;
        let mut cseq = 1;
        register(&mut socket, scheme, number, cseq).await?;
        drop(permit);
        self.registered.fetch_add(1, Ordering::Relaxed);
        let mut due = None;
        loop {
            let refresh = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Reading is also what answers pings.
                frame = socket.next() => match frame {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => bail!("lost: {error}"),
                    None => bail!("lost: closed by the gateway"),
                },
                changed = signal.changed() => {
                    changed?;
                    let wave = *signal.borrow();
                    due = wave.map(|wave| wave.begin + wave.spread.mul_f64(number as f64 / self.phones as f64));
                }
                () = refresh => {
                    due = None;
                    cseq += 1;
                    let sent = Instant::now();
                    register(&mut socket, scheme, number, cseq).await?;
                    self.told(|tally| tally.refreshes.add(sent.elapsed()));
                    self.refreshed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Registers once and waits for the 200.
async fn register<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    scheme: &str,
    number: usize,
    cseq: u32,
) -> anyhow::Result<()> {
    let request = register_request(scheme, number, cseq)?;
    let request = String::from_utf8(request.into())?;
    let exchange = async {
        socket.send(Frame::text(request)).await.context("sending")?;
        while let Some(frame) = socket.next().await {
            let frame = frame.context("lost while registering")?;
            if !(frame.is_text() || frame.is_binary()) {
                continue;
            }
            let answer = Message::parse_datagram(frame.into_data(), &Limits::default())?;
            let is_ours = answer
                .header(HeaderName::CSeq)
                .and_then(|value| CSeq::parse(value).ok())
                .is_some_and(|found| found.number == cseq);
            match answer.status().map(viaduct_sip::StatusCode::get) {
                Some(200) if is_ours => return Ok(()),
                Some(status) if is_ours && status >= 300 => bail!("{status} to REGISTER"),
                _ => {}
            }
        }
        bail!("lost while registering")
    };
    timeout(PATIENCE, exchange)
        .await
        .context("no answer to REGISTER")?
}

fn register_request(scheme: &str, number: usize, cseq: u32) -> anyhow::Result<Bytes> {
    let (name, transport) = (user(number), scheme.to_ascii_uppercase());
    let aor = format!("sip:{name}@{DOMAIN}");
    let request = RequestBuilder::new(Method::Register, &format!("sip:{DOMAIN}"))
        .via(format!(
            "SIP/2.0/{transport} {name}.invalid;branch={BRANCH_COOKIE}web{number}x{cseq}"
        ))
        .from(format!("<{aor}>;tag=w{number}"))
        .to(format!("<{aor}>"))
        .call_id(format!("{number}@web"))
        .cseq(cseq)
        .header(
            HeaderName::Contact,
            format!("<sip:{name}@{name}.invalid;transport=ws>"),
        )
        .header(HeaderName::Expires, "600")
        .build()?;
    Ok(request)
}

/// A client that believes this certificate and none else, and begins every connection anew as phones of many people do.
fn trusting(certificate: &Path) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate =
        CertificateDer::from_pem_file(certificate).context("reading the gateway's certificate")?;
    roots.add(certificate)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Where our gateway takes WebSocket connections on a port.
#[must_use]
pub fn web_address(port: u16) -> SocketAddr {
    (ADDRESS, port).into()
}
