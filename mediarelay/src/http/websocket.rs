//! NG over WebSocket, as Kamailio speaks it, and the text interface: one message, one answer. Answers are binary frames
//! whatever the message was, as rtpengine's are.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{Shared, is_from_page};
use crate::accept::Ended;
use crate::janus::{Connection, Janus};
use crate::limits::ShellLimits;
use crate::ng::{Desk, Taken};

/// Octets that a connection keeps for reading.
const READ_BUFFER: usize = 4_096;

/// What is spoken in the frames, by the names that rtpengine gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subprotocol {
    /// Messages with cookies.
    Ng,
    /// Messages without.
    NgPlain,
    /// Lines of the text interface.
    Cli,
    /// Janus' protocol.
    Janus,
    /// Whatever comes goes back, for tests of the way.
    Echo,
}

impl Subprotocol {
    const ALL: [Self; 5] = [Self::Ng, Self::NgPlain, Self::Cli, Self::Janus, Self::Echo];

    fn name(self) -> &'static str {
        match self {
            Self::Ng => "ng.rtpengine.com",
            Self::NgPlain => "ng-plain.rtpengine.com",
            Self::Cli => "cli.rtpengine.com",
            Self::Janus => "janus-protocol",
            Self::Echo => "echo.rtpengine.com",
        }
    }

    /// The first of those that a client speaks and that are spoken here.
    fn of(headers: &HeaderMap, has_rooms: bool) -> Option<Self> {
        let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
        let mut offered = offered
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let is_spoken = |known: &Self| has_rooms || *known != Self::Janus;
        offered.find_map(|name| {
            let mut known = Self::ALL.into_iter().filter(is_spoken);
            known.find(|known| known.name() == name.trim())
        })
    }
}

/// A WebSocket that was agreed on and is served when the answer is sent.
#[derive(Debug)]
pub(super) struct Agreed {
    io: OnUpgrade,
    subprotocol: Subprotocol,
}

/// Takes what was agreed on from the request's handler to the connection's task, which then goes on with it, so that the
/// connection keeps its place among those that are allowed.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun(Arc<Mutex<Option<Agreed>>>);

impl Begun {
    fn put(&self, agreed: Agreed) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(agreed);
    }

    pub(super) fn take(&self) -> Option<Agreed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Answers a request to speak WebSocket. Anything else that comes here is for a page that there is not.
pub(super) async fn begin(
    Extension(begun): Extension<Begun>,
    State(shared): State<Shared>,
    mut request: Request,
) -> Response {
    if !request.headers().contains_key(header::UPGRADE) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let subprotocol = Subprotocol::of(request.headers(), shared.janus.is_some());
    // Pages may only speak what takes no message without a token.
    if is_from_page(request.headers()) && subprotocol != Some(Subprotocol::Janus) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(subprotocol) = subprotocol else {
        return (StatusCode::BAD_REQUEST, "no subprotocol that is spoken here\n").into_response();
    };
    let mut response = match create_response_with_body(&request, axum::body::Body::empty) {
        Ok(response) => response,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let name = HeaderValue::from_static(subprotocol.name());
    response
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    begun.put(Agreed {
        io: hyper::upgrade::on(&mut request),
        subprotocol,
    });
    response
}

/// Serves one connection until the client closes it or is silent too long.
pub(super) async fn serve(
    agreed: Agreed,
    client: SocketAddr,
    desk: Desk,
    janus: Option<Janus>,
    limits: &ShellLimits,
) -> io::Result<Ended> {
    let io = timeout(limits.client_patience, agreed.io)
        .await?
        .map_err(io::Error::other)?;
    let octets = limits.ng_stream_octets;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(octets))
        .max_frame_size(Some(octets));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, Some(config)).await;
    if let Some(janus) = janus.filter(|_| agreed.subprotocol == Subprotocol::Janus) {
        return serve_janus(socket, janus.connect(), limits).await;
    }
    loop {
        // Nothing is lost with a connection that carries nothing.
        let Ok(message) = timeout(limits.ng_idle, socket.next()).await else {
            return Ok(Ended::Idle);
        };
        let message = match content(message)? {
            Content::Message(message) => message,
            Content::Nothing => continue,
            Content::End => return Ok(Ended::Served),
        };
        let Some(answer) = answer(&desk, agreed.subprotocol, client, &message).await else {
            continue;
        };
        timeout(limits.client_patience, socket.send(Message::Binary(answer)))
            .await?
            .map_err(io::Error::other)?;
    }
}

/// What a frame has for us.
enum Content {
    Message(Bytes),
    Nothing,
    End,
}

fn content(frame: Option<Result<Message, Error>>) -> io::Result<Content> {
    match frame {
        Some(Ok(Message::Text(text))) => Ok(Content::Message(Bytes::from(text))),
        Some(Ok(Message::Binary(octets))) => Ok(Content::Message(octets)),
        // The library answers these.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Content::Nothing),
        Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) | None => Ok(Content::End),
        Some(Err(error)) => Err(io::Error::other(error)),
    }
}

/// Janus' protocol: texts both ways, and not one for one.
async fn serve_janus<S>(
    mut socket: WebSocketStream<S>,
    mut connection: Connection,
    limits: &ShellLimits,
) -> io::Result<Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        tokio::select! {
            told = connection.told() => {
                let Some(told) = told else {
                    return Err(io::Error::other("the client takes too little of what it is told"));
                };
                let told = Utf8Bytes::try_from(told).map_err(io::Error::other)?;
                timeout(limits.client_patience, socket.send(Message::Text(told)))
                    .await?
                    .map_err(io::Error::other)?;
            }
            frame = timeout(limits.ng_idle, socket.next()) => match frame.map(content) {
                Ok(Ok(Content::Message(message))) => {
                    connection.take(message).await.map_err(io::Error::other)?;
                }
                Ok(Ok(Content::Nothing)) => {}
                Ok(Ok(Content::End)) => return Ok(Ended::Served),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Ok(Ended::Idle),
            },
        }
    }
}

/// `None`: the message wants none.
async fn answer(desk: &Desk, subprotocol: Subprotocol, client: SocketAddr, message: &[u8]) -> Option<Bytes> {
    match subprotocol {
        // Served elsewhere.
        Subprotocol::Janus => None,
        Subprotocol::Echo => Some(Bytes::copy_from_slice(message)),
        Subprotocol::Cli => Some(desk.text(&String::from_utf8_lossy(message)).await.into()),
        Subprotocol::NgPlain => Some(desk.plain(client, message).await.into()),
        Subprotocol::Ng => match desk.take(desk.wait_for_place().await?, client, message) {
            Taken::Ignore => None,
            Taken::Answer(answer) => Some(answer),
            Taken::Case(case) => Some(desk.carry_out(case).await.0),
        },
    }
}
