//! Accepting HTTP connections, and what is served on them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tower_service::Service;
use viaduct_sip::Transport;

use super::handshake::Origins;
use super::pages::{self, PhoneApi};
use super::sip;
use crate::health::Health;
use crate::net::conns::Permit;
use crate::net::context::NetContext;
use crate::net::patience::WriteLimit;
use crate::net::stream::pause_after;
use crate::tls::TlsSource;

/// The largest request head that is read. Cookies of other services on the same host count too.
const HEAD_MAX: usize = 32 * 1_024;

/// What one listener offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// SIP over WebSocket, and nothing else.
    SipOnly,
    /// The phone page, health, and SIP over WebSocket.
    Everything,
    /// Health and metrics.
    Operations,
}

/// What HTTP handlers need.
#[derive(Clone)]
pub(crate) struct HttpContext {
    pub(crate) net: NetContext,
    /// Which pages may open a WebSocket.
    pub(crate) origins: Arc<RwLock<Origins>>,
    pub(crate) health: Health,
    pub(crate) phone: Arc<PhoneApi>,
}

/// Whose request it is, and the right to a connection, which a WebSocket takes over.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) transport: Transport,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) permit: Arc<std::sync::Mutex<Option<Permit>>>,
}

/// The paths of a listener.
pub(crate) fn router(context: HttpContext, surface: Surface) -> Router {
    let health = Router::new()
        .route("/health/live", get(crate::health::live))
        .route("/health/ready", get(crate::health::ready));
    let router = match surface {
        Surface::SipOnly => Router::new().route("/sip", get(sip::open)),
        Surface::Everything => Router::new()
            .route("/sip", get(sip::open))
            .route("/api/phone", get(pages::phone))
            .route("/api/phone/people", get(pages::people))
            .merge(health)
            .fallback(pages::asset),
        Surface::Operations => health.route("/metrics", get(crate::health::metrics)),
    };
    router.layer(map_response(as_it_is_labelled)).with_state(context)
}

/// Nothing that is served here is anything else than its label says, and nobody elsewhere need know where it was read.
async fn as_it_is_labelled(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Accepts connections until the process ends.
pub(crate) async fn serve(net: NetContext, listener: TcpListener, tls: Option<TlsSource>, router: Router) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = net.stopped() => return,
        };
        match accepted {
            Ok((stream, remote)) => {
                if let Some(permit) = net.admit(remote) {
                    tokio::spawn(connection(
                        net.clone(),
                        stream,
                        remote,
                        tls.clone(),
                        router.clone(),
                        permit,
                    ));
                }
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn connection(
    net: NetContext,
    mut stream: TcpStream,
    remote: SocketAddr,
    tls: Option<TlsSource>,
    router: Router,
    mut permit: Permit,
) {
    let Ok(local) = stream.local_addr() else { return };
    // As for SIP over TCP: a kernel that cannot do this only makes it slower.
    let _ = stream.set_nodelay(true);
    let Some(remote) = net.source(&mut stream, remote, &mut permit).await else {
        return;
    };
    let transport = if tls.is_some() {
        Transport::Wss
    } else {
        Transport::Ws
    };
    let permit = Arc::new(std::sync::Mutex::new(Some(permit)));
    let peer = Peer {
        transport,
        local,
        remote,
        permit,
    };
    let limited = WriteLimit::new(stream, net.tuning().times.write, net.conns.counters.clone());
    match tls {
        None => talk(&net, TokioIo::new(limited), router, peer).await,
        Some(tls) => match timeout(net.tuning().times.handshake, tls.acceptor().accept(limited)).await {
            Ok(Ok(stream)) => talk(&net, TokioIo::new(stream), router, peer).await,
            Ok(Err(error)) => net.tls_failed(remote, &error),
            Err(_) => {
                net.conns.counters.idle_peers.fetch_add(1, Ordering::Relaxed);
            }
        },
    }
}

async fn talk<I>(net: &NetContext, io: I, router: Router, peer: Peer)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut router = router.clone();
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(peer.clone());
        async move {
            let response: Result<Response, Infallible> = router.call(request).await;
            response
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(net.tuning().times.handshake)
        .max_buf_size(HEAD_MAX)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // However it ends, the peer has been told by hyper what there was to tell.
        result = connection.as_mut() => if result.is_err_and(|error| error.is_timeout()) {
            net.conns.counters.idle_peers.fetch_add(1, Ordering::Relaxed);
        },
        () = net.stopped() => {}
    }
}
