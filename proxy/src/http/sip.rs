//! From HTTP to SIP over WebSocket.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;

use super::handshake::{self, Refusal};
use super::{HttpContext, Peer};
use crate::net::ws::{self, Accepted};

/// Answers the handshake, and serves SIP on the connection after it.
pub(super) async fn open(State(context): State<HttpContext>, mut request: Request) -> Response {
    let judged = handshake::check(
        request.method(),
        request.version(),
        request.headers(),
        &context.origins.read().unwrap_or_else(PoisonError::into_inner),
    );
    let accept = match judged {
        Ok(accept) => accept,
        Err(refusal) => return refuse(&context, refusal),
    };
    let peer = request.extensions().get::<Peer>().cloned();
    let permit = peer
        .as_ref()
        .and_then(|peer| peer.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
    let (Some(mut peer), Some(mut permit), Ok(value)) = (peer, permit, HeaderValue::try_from(accept.accept))
    else {
        // A connection becomes a WebSocket once.
        return StatusCode::BAD_REQUEST.into_response();
    };
    let proxies = context.net.proxies();
    let client = proxies.client_of(request.headers(), peer.remote);
    if client != peer.remote && !permit.belongs_to(client.ip()) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    peer.remote = client;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let Peer {
                transport,
                local,
                remote,
                ..
            } = peer;
            let accepted = Accepted {
                io: TokioIo::new(upgraded),
                transport,
                local,
                remote,
                permit,
            };
            ws::serve(context.net, accepted).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("sip"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, value);
    response
}

fn refuse(context: &HttpContext, refusal: Refusal) -> Response {
    context
        .net
        .conns
        .counters
        .websocket_refusals
        .fetch_add(1, Ordering::Relaxed);
    let mut response = (refusal.status(), format!("{refusal}\n")).into_response();
    if let Some((name, value)) = refusal.header() {
        response.headers_mut().insert(name, value);
    }
    response
}
