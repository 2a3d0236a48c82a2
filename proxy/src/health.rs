//! Is it alive, is it ready, and how is it doing: for probes and for Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};

use crate::http::HttpContext;
use crate::status::Inspector;

/// The state that probes ask for.
#[derive(Clone)]
pub(crate) struct Health {
    ready: Arc<AtomicBool>,
    pub(crate) inspector: Inspector,
}

impl Health {
    pub(crate) fn new(inspector: Inspector) -> Self {
        Self {
            ready: Arc::default(),
            inspector,
        }
    }

    /// Calls are taken, or not.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }
}

/// `GET /health/live`: the process answers.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /health/ready`: calls are taken (not while draining), and every signalling thread answers.
pub(crate) async fn ready(State(context): State<HttpContext>) -> Response {
    let health = &context.health;
    if !health.ready.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n").into_response();
    }
    if health.inspector.parts.condition.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "taking no more calls\n").into_response();
    }
    match health.inspector.snapshots().await {
        Some(_) => "ok\n".into_response(),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "a signalling thread does not answer\n",
        )
            .into_response(),
    }
}

/// `GET /metrics`: what was counted, as Prometheus reads it.
pub(crate) async fn metrics(State(context): State<HttpContext>) -> Response {
    match context.health.inspector.metrics().await {
        Some(text) => {
            let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "a signalling thread does not answer\n",
        )
            .into_response(),
    }
}
