//! The HTTP listener, with TLS or without:
//!
//! | path | answer |
//! |---|---|
//! | `GET /health/live` | 200 as long as the process serves requests |
//! | `GET /health/ready` | 200 while control answers and there are ports; 503 with the reason otherwise |
//! | `GET /status` | what runs, as JSON |
//! | `GET /metrics` | all figures, in the text form of OpenMetrics |
//! | `GET /ping` | `pong`, as rtpengine answers |
//! | `POST /ng` | an NG message with its cookie; the answer likewise |
//! | `POST /ng-plain` | an NG message without a cookie |
//! | `POST /janus`, `POST /janus/SESSION/HANDLE`, `GET /admin/info` | a message of Janus' protocol and its reply, where rooms are served |
//! | WebSocket, on any path | by subprotocol: NG (`ng.rtpengine.com`, `ng-plain.rtpengine.com`), the text interface (`cli.rtpengine.com`), rooms (`janus-protocol`), `echo.rtpengine.com` |
//!
//! One connection serves one request, and for a limited time: a client that dribbles a request, or does not take its
//! answer, cannot keep a connection.
//!
//! NG has no password, and a browser on this machine can reach its loopback: whoever comes from a page (`Origin`) may
//! look and not command. Messages of Janus' protocol bear a token each, so they may come from a page.

mod websocket;

use std::io;
use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use self::websocket::Begun;
use crate::accept::Ended;
use crate::janus::Janus;
use crate::limits::ShellLimits;
use crate::ng::{Desk, Taken};
use crate::watch::Watch;

/// What `/metrics` is.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What an NG message is, as rtpengine names it.
const NG: &str = "application/x-rtpengine-ng";

/// Octets of a request's head.
const HEAD_MAX: usize = 16 << 10;

/// Serves HTTP; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    router: Router,
    desk: Desk,
    janus: Option<Janus>,
    limits: ShellLimits,
}

#[derive(Debug, Clone)]
struct Shared {
    desk: Desk,
    watch: Watch,
    /// Rooms, if there are any.
    janus: Option<Janus>,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
struct Client(SocketAddr);

impl Http {
    pub(crate) fn new(desk: Desk, watch: Watch, janus: Option<Janus>, limits: &ShellLimits) -> Self {
        let router = Router::new()
            .route("/health/live", get(|| async { "live\n" }))
            .route("/health/ready", get(ready))
            .route("/status", get(status))
            .route("/metrics", get(metrics))
            .route("/ping", get(|| async { "pong\n" }))
            .route("/ng", post(ng))
            .route("/ng-plain", post(ng_plain))
            .route("/admin/info", get(janus_info))
            .route("/janus", post(janus_message))
            .route("/janus/{*names}", post(janus_message))
            .fallback(get(websocket::begin))
            .layer(DefaultBodyLimit::max(limits.http_body_octets))
            .layer(map_response_with_state(desk.clone(), close))
            .with_state(Shared {
                desk: desk.clone(),
                watch,
                janus: janus.clone(),
            });
        Self {
            router,
            desk,
            janus,
            limits: limits.clone(),
        }
    }

    /// Serves one connection, over TCP or TLS.
    pub(crate) async fn serve<S>(self, stream: S, client: SocketAddr) -> io::Result<Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let begun = Begun::default();
        let router = self
            .router
            .layer(Extension(Client(client)))
            .layer(Extension(begun.clone()));
        let connection = hyper::server::conn::http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
            .with_upgrades();
        timeout(self.limits.client_patience, connection)
            .await?
            .map_err(io::Error::other)?;
        match begun.take() {
            Some(begun) => websocket::serve(begun, client, self.desk, self.janus, &self.limits).await,
            None => Ok(Ended::Served),
        }
    }
}

/// Lets the connection end with the answer, unless it goes on as a WebSocket, and counts bodies that were too large.
async fn close(State(desk): State<Desk>, mut response: Response) -> Response {
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        desk.count_too_large();
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether a request was made by a page in a browser, which may be anybody's.
fn is_from_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN)
}

async fn ready(State(shared): State<Shared>) -> Response {
    match shared.watch.readiness().await {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn status(State(shared): State<Shared>) -> Response {
    match shared.watch.snapshot().await {
        Ok(snapshot) => Json(snapshot).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let text = match shared.watch.snapshot().await {
        Ok(snapshot) => snapshot.to_openmetrics(),
        Err(why) => return (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    };
    ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
}

async fn ng(
    State(shared): State<Shared>,
    Extension(Client(client)): Extension<Client>,
    headers: HeaderMap,
    message: Bytes,
) -> Response {
    if is_from_page(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(place) = shared.desk.wait_for_place().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let answer = match shared.desk.take(place, client, &message) {
        Taken::Ignore => return StatusCode::BAD_REQUEST.into_response(),
        Taken::Answer(answer) => answer,
        Taken::Case(case) => shared.desk.carry_out(case).await.0,
    };
    ([(header::CONTENT_TYPE, NG)], Body::from(answer)).into_response()
}

/// Whoever comes from a page may, since every message must bear a token.
async fn janus_message(State(shared): State<Shared>, uri: Uri, body: Bytes) -> Response {
    let Some(janus) = shared.janus else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match janus.post(uri.path().to_owned(), body).await {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn janus_info(State(shared): State<Shared>) -> Response {
    if shared.janus.is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let info = viaduct_janus::Gateway::info();
    ([(header::CONTENT_TYPE, "application/json")], info).into_response()
}

async fn ng_plain(
    State(shared): State<Shared>,
    Extension(Client(client)): Extension<Client>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if is_from_page(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let kind = if body.first() == Some(&b'{') {
        "application/json"
    } else {
        NG
    };
    let answer = shared.desk.plain(client, &body).await;
    ([(header::CONTENT_TYPE, kind)], answer).into_response()
}
