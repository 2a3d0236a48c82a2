//! The service thread: everything that is neither media nor decided by control. It takes NG messages, questions over
//! the text interface and HTTP requests, on a runtime of its own with one thread.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use rustls::ServerConfig;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use viaduct_session::Event;
use viaduct_settings::{Layer, RelayListener, RelayScheme};

use crate::accept::{self, Accepts};
use crate::cli::{self, Cli};
use crate::http::Http;
use crate::janus::Janus;
use crate::limits::ShellLimits;
use crate::ng::{self, Desk};
use crate::start_error::StartError;
use crate::watch::Watch;

/// A listener that is bound.
#[derive(Debug)]
pub(crate) enum Listener {
    NgUdp(UdpSocket),
    NgTcp(TcpListener),
    Http(TcpListener),
    Https(TcpListener),
    Cli(TcpListener),
}

impl Listener {
    /// Binds a listener. What is answered on those for NG has `tos`.
    pub(crate) fn bind(listener: &RelayListener, limits: &ShellLimits, tos: u8) -> Result<Self, StartError> {
        let RelayListener { scheme, address } = *listener;
        let purpose = match scheme {
            RelayScheme::NgUdp => "NG commands",
            RelayScheme::NgTcp => "NG commands over TCP",
            RelayScheme::Http => "HTTP",
            RelayScheme::Https => "HTTPS",
            RelayScheme::Cli => "the text interface",
        };
        let fail = |error| StartError::binding(scheme.layer(), address, purpose, error);
        match scheme.layer() {
            Layer::Udp => {
                let socket = ng::udp::bind(address, limits.ng_receive_buffer).map_err(fail)?;
                mark(&SockRef::from(&socket), address, tos).map_err(fail)?;
                Ok(Self::NgUdp(socket))
            }
            Layer::Tcp => {
                let socket = accept::bind(address).map_err(fail)?;
                // Connections have what their listener has.
                mark(&SockRef::from(&socket), address, tos).map_err(fail)?;
                Ok(match scheme {
                    RelayScheme::NgTcp => Self::NgTcp(socket),
                    RelayScheme::Http => Self::Http(socket),
                    RelayScheme::Https => Self::Https(socket),
                    RelayScheme::Cli | RelayScheme::NgUdp => Self::Cli(socket),
                })
            }
        }
    }

    /// What is spoken there, and where; the port is the real one.
    pub(crate) fn address(&self) -> io::Result<(RelayScheme, SocketAddr)> {
        Ok(match self {
            Self::NgUdp(socket) => (RelayScheme::NgUdp, socket.local_addr()?),
            Self::NgTcp(socket) => (RelayScheme::NgTcp, socket.local_addr()?),
            Self::Http(socket) => (RelayScheme::Http, socket.local_addr()?),
            Self::Https(socket) => (RelayScheme::Https, socket.local_addr()?),
            Self::Cli(socket) => (RelayScheme::Cli, socket.local_addr()?),
        })
    }
}

/// Has everything that leaves a socket carry this DSCP and ECN byte; 0 is what the system does by itself.
fn mark(socket: &SockRef<'_>, local: SocketAddr, tos: u8) -> io::Result<()> {
    match local {
        _ if tos == 0 => Ok(()),
        SocketAddr::V4(_) => socket.set_tos_v4(tos.into()),
        SocketAddr::V6(_) => socket.set_tclass_v6(tos.into()),
    }
}

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

/// Makes the runtime, and the body of the service thread: it serves until told to stop. Tasks that are under way then
/// are dropped.
pub(crate) fn prepare(
    listeners: Vec<Listener>,
    services: Services,
) -> io::Result<(watch::Sender<bool>, impl FnOnce() + Send + 'static)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let runtime = OwnRuntime(Some(runtime));
    let (stop, mut stopped) = watch::channel(false);
    let body = move || {
        let Some(runtime) = &runtime.0 else { return };
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
    Ok((stop, body))
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
    fn serve(&self, listener: Listener) {
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
            Listener::NgUdp(socket) => spawn("NG over UDP", ng::udp::serve(socket, desk)),
            Listener::NgTcp(socket) => {
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
            Listener::Cli(socket) => {
                let octets = limits.cli_line_octets;
                let serve_one = move |stream, _| cli::serve(stream, cli.clone(), octets, patience);
                let stats = Arc::clone(&accepts.cli);
                spawn(
                    "text interface",
                    accept::serve(socket, limits.cli_connections, stats, serve_one),
                );
            }
            Listener::Http(socket) => {
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
            Listener::Https(socket) => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_marked_as_the_operator_wants_it() {
        let limits = ShellLimits::default();
        for scheme in [RelayScheme::NgUdp, RelayScheme::NgTcp, RelayScheme::Http] {
            let at = |address: &str| RelayListener {
                scheme,
                address: address.parse().unwrap(),
            };
            for tos in [0, 184] {
                let v4 = Listener::bind(&at("127.0.0.1:0"), &limits, tos).unwrap();
                let v6 = Listener::bind(&at("[::1]:0"), &limits, tos).unwrap();
                let seen = |listener: &Listener, v4: bool| {
                    let socket = match listener {
                        Listener::NgUdp(socket) => SockRef::from(socket),
                        Listener::NgTcp(socket)
                        | Listener::Http(socket)
                        | Listener::Https(socket)
                        | Listener::Cli(socket) => SockRef::from(socket),
                    };
                    if v4 {
                        socket.tos_v4().unwrap()
                    } else {
                        socket.tclass_v6().unwrap()
                    }
                };
                assert_eq!((seen(&v4, true), seen(&v6, false)), (tos.into(), tos.into()));
            }
        }
    }
}
