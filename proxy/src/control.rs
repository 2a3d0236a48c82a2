//! The control socket: how `viaduct status`, `calls` and the rest reach a running gateway.
//!
//! HTTP with JSON over a Unix socket that only its owner may open. What the commands print is what is answered here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use viaduct_routing::CallNumber;

use crate::app::Stopper;
use crate::live::Live;
use crate::private;
use crate::status::Inspector;

/// How long a running gateway may take to answer: longer than it gives its own threads.
pub(crate) const ASK_MAX: Duration = Duration::from_secs(5);

/// The same when it has to read a configuration with all its users.
pub(crate) const RELOAD_MAX: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Control {
    inspector: Inspector,
    live: Live,
    stopper: Stopper,
}

/// The bound socket. Its file goes with it.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Whoever removed it before us did the same.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl ControlSocket {
    /// Binds the socket. One that a dead gateway left behind is taken over; one that a living gateway answers on is not,
    /// nor is a file of any other kind.
    pub(crate) fn bind(path: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            bail!("another viaduct is running: it answers on {}", path.display());
        }
        match std::fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                bail!("{} is no socket; choose another admin.socket", path.display());
            }
            Ok(_) => std::fs::remove_file(path).with_context(|| format!("replacing {}", path.display()))?,
            // Mostly because it is not there. Binding says it better, if there is anything else to say.
            Err(_) => {}
        }
        if let Some(folder) = path.parent() {
            private::make_folder(folder)?;
        }
        let listener = UnixListener::bind(path).with_context(|| format!("binding {}", path.display()))?;
        let file = SocketFile(path.to_owned());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .with_context(|| format!("protecting {}", path.display()))?;
        Ok(Self { listener, file })
    }

    /// Serves until the process ends.
    pub(crate) async fn serve(self, inspector: Inspector, live: Live, stopper: Stopper) {
        let router = Router::new()
            .route("/status", get(status))
            .route("/registrations", get(registrations))
            .route("/calls", get(calls))
            .route("/trunks", get(trunks))
            .route("/route", get(route))
            .route("/calls/{call}/hangup", post(hang_up))
            .route("/reload", post(reload))
            .route("/diff", get(diff))
            .route("/drain", post(drain).get(draining))
            .route("/stop", post(stop))
            .with_state(Control {
                inspector,
                live,
                stopper: stopper.clone(),
            });
        tokio::select! {
            ended = axum::serve(self.listener, router) => {
                if let Err(error) = ended {
                    tracing::error!("the control socket failed: {error}");
                }
            }
            () = stopper.stopped() => {}
        }
        drop(self.file);
    }
}

async fn status(State(control): State<Control>) -> Response {
    or_unavailable(control.inspector.status().await.map(Json))
}

async fn registrations(State(control): State<Control>) -> Response {
    Json(control.inspector.registrations()).into_response()
}

async fn calls(State(control): State<Control>) -> Response {
    or_unavailable(control.inspector.calls().await.map(Json))
}

async fn trunks(State(control): State<Control>) -> Response {
    Json(control.inspector.parts.trunks()).into_response()
}

/// A number, and who dials it.
#[derive(Debug, Deserialize)]
struct Dialled {
    number: String,
    from: String,
}

async fn route(State(control): State<Control>, Query(dialled): Query<Dialled>) -> Response {
    let view = control.inspector.parts.route(&dialled.number, &dialled.from);
    or_unavailable(view.ok().map(Json))
}

async fn hang_up(State(control): State<Control>, UrlPath(call): UrlPath<u64>) -> Response {
    match control.inspector.hang_up(CallNumber(call)).await {
        Some(true) => StatusCode::NO_CONTENT.into_response(),
        Some(false) => (StatusCode::NOT_FOUND, format!("there is no call {call}\n")).into_response(),
        None => or_unavailable(None::<()>.map(Json)),
    }
}

async fn reload(State(control): State<Control>) -> Response {
    match control.live.reload().await {
        Ok(report) => Json(report).into_response(),
        Err(error) => (StatusCode::CONFLICT, format!("{error:#}\n")).into_response(),
    }
}

/// Which file to compare with.
#[derive(Debug, Deserialize)]
struct DiffQuery {
    /// An absolute path.
    file: PathBuf,
}

/// The path of a comparison with this file.
pub(crate) fn diff_path(file: &Path) -> String {
    let octets = std::os::unix::ffi::OsStrExt::as_bytes(file.as_os_str());
    let encoded: String = octets.iter().map(|octet| format!("%{octet:02x}")).collect();
    format!("/diff?file={encoded}")
}

async fn diff(State(control): State<Control>, Query(query): Query<DiffQuery>) -> Response {
    Json(control.live.compare(&query.file).await).into_response()
}

/// How to drain.
#[derive(Debug, Clone, Copy, Deserialize)]
struct DrainQuery {
    /// Refuse further calls; otherwise take them again.
    on: bool,
    /// End with the last call.
    stop: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Drained {
    /// Whether further calls are refused.
    pub(crate) draining: bool,
    /// Calls that are left.
    pub(crate) calls: usize,
}

async fn drain(State(control): State<Control>, Query(query): Query<DrainQuery>) -> Response {
    control.live.drain(query.on, query.stop).await;
    draining(State(control)).await
}

async fn draining(State(control): State<Control>) -> Response {
    let draining = control.inspector.parts.condition.is_draining();
    let left = control.inspector.calls_left().await;
    or_unavailable(left.map(|calls| Json(Drained { draining, calls })))
}

async fn stop(State(control): State<Control>) -> Response {
    control.stopper.stop();
    StatusCode::NO_CONTENT.into_response()
}

fn or_unavailable(answer: Option<impl IntoResponse>) -> Response {
    match answer {
        Some(answer) => answer.into_response(),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "a signalling thread does not answer\n",
        )
            .into_response(),
    }
}

/// Why a running gateway gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nothing listens on the socket.
    #[error("no running gateway answers on {}: {error}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Something listens on the socket, and says nothing.
    #[error("the gateway on {} does not answer within {} s", path.display(), patience.as_secs())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// It answered with an error.
    #[error("{0}")]
    Refused(String),
    /// The answer could not be read.
    #[error("the gateway's answer cannot be read: {0}")]
    Unreadable(#[from] hyper::Error),
}

/// Asks a running gateway. Answers the body.
pub(crate) async fn ask(
    socket: &Path,
    method: http::Method,
    path: &str,
    patience: Duration,
) -> Result<Vec<u8>, AskError> {
    let silent = || AskError::Silent {
        path: socket.to_owned(),
        patience,
    };
    timeout(patience, exchange(socket, method, path))
        .await
        .map_err(|_| silent())?
}

async fn exchange(socket: &Path, method: http::Method, path: &str) -> Result<Vec<u8>, AskError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| AskError::Unreachable {
            path: socket.to_owned(),
            error,
        })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = http::Request::new(Empty::<bytes::Bytes>::new());
    *request.method_mut() = method;
    *request.uri_mut() = path
        .parse()
        .map_err(|error| AskError::Refused(format!("{path}: {error}")))?;
    request
        .headers_mut()
        .insert(http::header::HOST, http::HeaderValue::from_static("viaduct"));
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes().to_vec();
    if status.is_success() {
        Ok(body)
    } else {
        Err(AskError::Refused(
            String::from_utf8_lossy(&body).trim().to_owned(),
        ))
    }
}
