//! SIP over WebSocket (RFC 7118): one task per connection, after the handshake.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error, Message as Frame, error::CapacityError};
use viaduct_sip::{KeepAlive, Limits, Message, Transport};

use super::conns::{Outgoing, Permit};
use super::context::{Inlet, NetContext, Tuning};
use super::patience::ReadLimit;
use super::stream::hang_up;
use super::turns::Turn;

/// Pings without an answer after which nobody is there.
const PINGS_MISSED_MAX: u32 = 2;

/// Octets that a connection keeps for reading. The library's own default is 128 KiB, for each of thousands.
const READ_BUFFER: usize = 4_096;

/// A connection whose handshake is over.
pub(crate) struct Accepted<S> {
    pub(crate) io: S,
    pub(crate) transport: Transport,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) permit: Permit,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<S>(context: NetContext, accepted: Accepted<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Accepted {
        io,
        transport,
        local,
        remote,
        permit,
    } = accepted;
    let Tuning { limits, times, .. } = context.tuning();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * limits.frame_octets_max)
        .max_message_size(Some(limits.frame_octets_max))
        .max_frame_size(Some(limits.frame_octets_max));
    let io = ReadLimit::new(io, times.message, context.conns.counters.clone());
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let (conn, mut outgoing) = context.conns.open();
    let inlet = context.inlet(transport, local, remote, conn, Some(permit));
    let mut talk = Talk {
        context: context.clone(),
        limits,
        socket,
        write: times.write,
        heard: Instant::now(),
        asked: 0,
    };
    let end = loop {
        let next_ping = talk.heard + times.ping;
        let step = tokio::select! {
            message = outgoing.next() => talk.pass_on(message).await,
            frame = talk.socket.next() => talk.received(frame, &inlet, &mut outgoing).await,
            () = tokio::time::sleep_until(next_ping) => talk.ping().await,
            () = context.stopped() => Err(restarting()),
        };
        if let Err(end) = step {
            break end;
        }
    };
    drop(outgoing);
    // Others must learn at once that nobody is there; the peer may take its time.
    inlet.closed();
    talk.end(end).await;
}

struct Talk<S> {
    context: NetContext,
    limits: Limits,
    socket: WebSocketStream<ReadLimit<S>>,
    /// How long the peer may take to read, or to say goodbye.
    write: Duration,
    /// When anything last came, or was asked for.
    heard: Instant,
    /// Pings since anything came.
    asked: u32,
}

/// How a connection ends.
enum End {
    /// Nobody is there who could be told, or who has kept the time.
    Gone,
    /// The peer has closed it, and waits for the same from us (RFC 6455 section 5.5.1).
    ByPeer,
    /// The peer is told why.
    Told(CloseFrame),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn received(
        &mut self,
        frame: Option<Result<Frame, Error>>,
        inlet: &Inlet,
        outgoing: &mut Outgoing,
    ) -> Result<(), End> {
        let frame = match frame {
            None => return Err(End::Gone),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(fault(&error)),
        };
        self.heard = Instant::now();
        self.asked = 0;
        let octets = match frame {
            Frame::Text(text) => Bytes::from(text),
            Frame::Binary(octets) => octets,
            // The library answers pings by itself.
            Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => return Ok(()),
            Frame::Close(_) => return Err(End::ByPeer),
        };
        match KeepAlive::recognize(&octets) {
            Some(KeepAlive::Ping) => return self.send(Bytes::from_static(KeepAlive::PONG)).await,
            Some(KeepAlive::Empty | KeepAlive::Pong | KeepAlive::Nul) => return Ok(()),
            None => {}
        }
        let turn = self.turn(inlet, outgoing).await?;
        match Message::parse_frame(octets, &self.limits) {
            Ok(message) => inlet.message(message, turn),
            // One bad message says nothing about the next: frames keep them apart.
            Err(error) => inlet.bad_message(error, turn),
        }
        Ok(())
    }

    /// Waits until another message may be handed over. What the peer is told meanwhile is sent: much of it are the
    /// answers to those before.
    async fn turn(&mut self, inlet: &Inlet, outgoing: &mut Outgoing) -> Result<Turn, End> {
        if let Some(turn) = inlet.turn() {
            return Ok(turn);
        }
        loop {
            tokio::select! {
                turn = inlet.next_turn() => return Ok(turn),
                message = outgoing.next() => self.pass_on(message).await?,
                () = self.context.stopped() => return Err(restarting()),
            }
        }
    }

    /// Sends what was waiting for the peer. Without it the connection has to close.
    async fn pass_on(&mut self, message: Option<Bytes>) -> Result<(), End> {
        match message {
            Some(octets) => self.send(octets).await,
            None => Err(close(CloseCode::Policy, "not reading")),
        }
    }

    /// Sends one message in a frame of its own: text if it is text (RFC 7118 section 5).
    async fn send(&mut self, octets: Bytes) -> Result<(), End> {
        let frame = match std::str::from_utf8(&octets) {
            Ok(_) => {
                #[expect(clippy::expect_used, reason = "checked on the line above")]
                let text = octets.try_into().expect("the octets are UTF-8");
                Frame::Text(text)
            }
            Err(_) => Frame::Binary(octets),
        };
        match timeout(self.write, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                self.context
                    .conns
                    .counters
                    .slow_peers
                    .fetch_add(1, Ordering::Relaxed);
                Err(End::Gone)
            }
        }
    }

    /// Says goodbye, and ends the connection.
    async fn end(&mut self, end: End) {
        let socket = &mut self.socket;
        // The peer may not wait for it.
        let _ = match end {
            End::Gone => Ok(Ok(())),
            // The library has the answer ready.
            End::ByPeer => timeout(self.write, socket.flush()).await,
            End::Told(frame) => timeout(self.write, socket.close(Some(frame))).await,
        };
        hang_up(socket.get_mut().inner()).await;
    }

    /// A phone in a tunnel says nothing when it goes.
    async fn ping(&mut self) -> Result<(), End> {
        if self.asked >= PINGS_MISSED_MAX {
            self.context
                .conns
                .counters
                .idle_peers
                .fetch_add(1, Ordering::Relaxed);
            return Err(End::Gone);
        }
        self.asked += 1;
        self.heard = Instant::now();
        match timeout(self.write, self.socket.send(Frame::Ping(Bytes::new()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }
}

fn close(code: CloseCode, reason: &'static str) -> End {
    End::Told(CloseFrame {
        code,
        reason: reason.into(),
    })
}

fn restarting() -> End {
    close(CloseCode::Away, "restarting")
}

/// What a peer that broke the protocol is told (RFC 6455 section 7.4.1).
fn fault(error: &Error) -> End {
    match error {
        Error::Utf8(_) => close(CloseCode::Invalid, "text is not UTF-8"),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => close(CloseCode::Size, "message too large"),
        Error::Protocol(_) => close(CloseCode::Protocol, "protocol error"),
        _ => End::Gone,
    }
}
