//! The service thread: everything that is neither media nor decided by control. It takes NG messages over TCP,
//! questions over the text interface and HTTP requests, on a runtime of its own with one thread.

use std::future::Future;
use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use viaduct_session::Event;

use crate::accept::{self, Accepts};
use crate::cli::{self, Cli};
use crate::http::Http;
use crate::janus::Janus;
use crate::limits::ShellLimits;
use crate::listener::StreamListener;
use crate::ng::{self, Desk};
use crate::watch::Watch;

/// Who answers on the listeners.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    pub(crate) desk: Desk,
    pub(crate) cli: Cli,
    pub(crate) http: Http,
    pub(crate) watch: Watch,
    pub(crate) accepts: Arc<Accepts>,
    pub(crate) limits: ShellLimits,
    /// Of HTTPS listeners; the settings have one where there are any.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Events of calls, for connections that are told of digits.
    pub(crate) digits: Option<broadcast::WeakSender<Event>>,
    /// Rooms, and events of calls for those in them.
    pub(crate) janus: Option<(Janus, broadcast::WeakSender<Event>)>,
}

/// The service thread's runtime, before it runs.
pub(crate) struct Service {
    runtime: OwnRuntime,
    handle: Handle,
}

impl Service {
    /// Makes the runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self {
            runtime: OwnRuntime(Some(runtime)),
            handle,
        })
    }

    /// Hands tasks to the thread. Those that come before it begins wait; those after its end are dropped.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The thread's body: it serves until told to stop. Tasks that are under way then are dropped.
    pub(crate) fn body(
        self,
        listeners: Vec<StreamListener>,
        services: Services,
    ) -> (watch::Sender<bool>, impl FnOnce() + Send + 'static) {
        let (stop, mut stopped) = watch::channel(false);
        let body = move || {
            let Some(runtime) = &self.runtime.0 else { return };
            runtime.block_on(async {
                if let Some((janus, events)) = &services.janus
                    && let Some(events) = events.upgrade()
                {
                    tokio::spawn(janus.clone().look(events.subscribe()));
                }
                for listener in listeners {
                    services.serve(listener);
                }
                // An error means that nobody is left who could say so.
                let _ = stopped.wait_for(|stop| *stop).await;
            });
        };
        (stop, body)
    }
}

/// A runtime that may be dropped anywhere. Others may not within a runtime, which is where a gateway starts its relay.
struct OwnRuntime(Option<tokio::runtime::Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Services {
    fn serve(&self, listener: StreamListener) {
        let Self {
            desk,
            cli,
            http,
            accepts,
            limits,
            tls,
            digits,
            watch: _,
            janus: _,
        } = self.clone();
        let patience = limits.client_patience;
        match listener {
            StreamListener::NgTcp(socket) => {
                let each = ng::tcp::StreamLimits {
                    octets: limits.ng_stream_octets,
                    patience,
                    idle: limits.ng_idle,
                };
                let serve_one = move |stream, client| {
                    let digits = digits.as_ref().and_then(broadcast::WeakSender::upgrade);
                    let digits = digits.map(|events| events.subscribe());
                    ng::tcp::serve(stream, client, desk.clone(), each, digits)
                };
                let stats = Arc::clone(&accepts.ng);
                spawn(
                    "NG over TCP",
                    accept::serve(socket, limits.ng_connections, stats, serve_one),
                );
            }
            StreamListener::Cli(socket) => {
                let octets = limits.cli_line_octets;
                let serve_one = move |stream, _| cli::serve(stream, cli.clone(), octets, patience);
                let stats = Arc::clone(&accepts.cli);
                spawn(
                    "text interface",
                    accept::serve(socket, limits.cli_connections, stats, serve_one),
                );
            }
            StreamListener::Http(socket) => {
                let serve_one = move |stream: TcpStream, client| {
                    let http = http.clone();
                    async move {
                        stream.set_nodelay(true)?;
                        http.serve(stream, client).await
                    }
                };
                let stats = Arc::clone(&accepts.http);
                spawn(
                    "HTTP",
                    accept::serve(socket, limits.http_connections, stats, serve_one),
                );
            }
            StreamListener::Https(socket) => {
                let Some(tls) = tls.map(TlsAcceptor::from) else {
                    return;
                };
                let serve_one = move |stream: TcpStream, client| {
                    let (http, tls) = (http.clone(), tls.clone());
                    async move {
                        stream.set_nodelay(true)?;
                        let stream = timeout(patience, tls.accept(stream)).await??;
                        http.serve(stream, client).await
                    }
                };
                let stats = Arc::clone(&accepts.https);
                spawn(
                    "HTTPS",
                    accept::serve(socket, limits.http_connections, stats, serve_one),
                );
            }
        }
    }
}

/// A listener runs as long as the service; that it cannot begin is a fault worth a line.
fn spawn(what: &'static str, serve: impl Future<Output = io::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = serve.await {
            tracing::error!("{what} has ended: {error}");
        }
    });
}
