//! SIP over TCP and TLS: one task per connection.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};
use viaduct_sip::{Frame, Framer, KeepAlive, Transport};

use super::conns::{Outgoing, Permit};
use super::context::{ConnTimes, Inlet, NetContext};
use super::turns::Turn;
use crate::tls::{self, TlsSource};

/// Octets read at a time.
const READ_BUFFER: usize = 8_192;

/// How long a connection stays open for the answer to octets that were no message, and for its peer to read what was
/// said last.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Accepts connections until the process ends.
pub(crate) async fn serve(context: NetContext, listener: TcpListener, tls: Option<TlsSource>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = context.stopped() => return,
        };
        match accepted {
            Ok((stream, remote)) => {
                if let Some(permit) = context.admit(remote) {
                    tokio::spawn(connection(context.clone(), stream, remote, tls.clone(), permit));
                }
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Running out of descriptors passes; trying again at once would only burn the processor.
pub(crate) async fn pause_after(error: &std::io::Error) {
    tracing::warn!("cannot accept a connection: {error}");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn connection(
    context: NetContext,
    mut stream: TcpStream,
    remote: SocketAddr,
    tls: Option<TlsSource>,
    mut permit: Permit,
) {
    let Ok(local) = stream.local_addr() else { return };
    // Signalling is short and urgent. A kernel that cannot do this only makes it slower.
    let _ = stream.set_nodelay(true);
    let Some(remote) = context.source(&mut stream, remote, &mut permit).await else {
        return;
    };
    match tls {
        None => {
            let ends = (local, remote);
            talk(context, stream, Transport::Tcp, ends, Vec::new(), permit).await;
        }
        Some(tls) => match timeout(context.tuning().times.handshake, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let names = certificates.and_then(<[_]>::first).map(tls::identities_of);
                talk(
                    context,
                    stream,
                    Transport::Tls,
                    (local, remote),
                    names.unwrap_or_default(),
                    permit,
                )
                .await;
            }
            Ok(Err(error)) => context.tls_failed(remote, &error),
            Err(_) => {
                context.conns.counters.idle_peers.fetch_add(1, Ordering::Relaxed);
            }
        },
    }
}

/// A connection from its first octet to its last. `names` are what its peer has proven to be.
async fn talk<S>(
    context: NetContext,
    stream: S,
    transport: Transport,
    (local, remote): (SocketAddr, SocketAddr),
    names: Vec<String>,
    permit: Permit,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (conn, outgoing) = context.conns.open();
    let mut inlet = context.inlet(transport, local, remote, conn, Some(permit));
    if !names.is_empty() {
        tracing::debug!(%remote, "a client has proven to be {}", names.join(", "));
        inlet.proven(names);
    }
    talk_over(context, stream, outgoing, &inlet, Opener::Peer).await;
}

/// Who has opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opener {
    /// The peer, who has to say soon what it wants.
    Peer,
    /// The gateway, which wants something itself.
    Gateway,
}

/// The same for a connection that has its queue and its way in already.
pub(crate) async fn talk_over<S>(
    context: NetContext,
    stream: S,
    outgoing: Outgoing,
    inlet: &Inlet,
    opener: Opener,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let tuning = context.tuning();
    Talk {
        framer: Framer::new(tuning.limits),
        times: tuning.times,
        context,
        stream,
        outgoing,
        opened: Instant::now(),
        since: Instant::now(),
        has_spoken: opener == Opener::Gateway,
    }
    .run(inlet)
    .await;
    inlet.closed();
}

struct Talk<S> {
    context: NetContext,
    times: ConnTimes,
    stream: S,
    outgoing: Outgoing,
    framer: Framer,
    opened: Instant,
    /// When the last whole message came or went, or the first octet of an unfinished one.
    since: Instant,
    /// A whole message came, or the gateway itself had something to say: there may be messages on their way.
    has_spoken: bool,
}

/// Why a connection ends.
enum End {
    /// The peer closed it, or it broke.
    Closed,
    /// The peer sent octets that are no message: nothing behind them can be understood.
    Garbled {
        /// A shard answers them.
        has_answer: bool,
    },
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn run(mut self, inlet: &Inlet) {
        let mut buffer = vec![0; READ_BUFFER];
        let end = loop {
            let patience = self.patience();
            tokio::select! {
                message = self.outgoing.next() => {
                    if let Err(end) = self.pass_on(message).await {
                        break end;
                    }
                }
                read = self.stream.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => break End::Closed,
                    Ok(len) => {
                        if let Err(end) = self.received(&buffer[..len], inlet).await {
                            break end;
                        }
                    }
                },
                () = tokio::time::sleep_until(patience) => {
                    if !self.may_stay(inlet) {
                        break End::Closed;
                    }
                }
                () = self.context.stopped() => break End::Closed,
            }
        };
        if let End::Garbled { has_answer } = end {
            self.last_words(has_answer).await;
        }
        hang_up(&mut self.stream).await;
    }

    /// Sends what is on its way from the shards: the answer to what was no message, and those to the messages before it,
    /// of which nobody knows how many there are.
    async fn last_words(&mut self, has_answer: bool) {
        let until = Instant::now() + LAST_WORDS;
        let mut is_awaited = has_answer || self.has_spoken;
        while is_awaited {
            match timeout_at(until, self.outgoing.next()).await {
                Ok(Some(octets)) => is_awaited = self.write(octets).await && self.has_spoken,
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Until when something must happen.
    fn patience(&self) -> Instant {
        let times = &self.times;
        let first = self.opened + times.first_message;
        match (self.has_spoken, self.framer.is_inside_message()) {
            (true, true) => self.since + times.message,
            (true, false) => self.since + times.idle,
            (false, true) => first.min(self.since + times.message),
            (false, false) => first,
        }
    }

    /// Nothing happened in time. One over which somebody is registered stays all the same: he could not be called else.
    fn may_stay(&mut self, inlet: &Inlet) -> bool {
        let now = Instant::now();
        let is_idle = !self.framer.is_inside_message();
        if is_idle && self.has_spoken && inlet.is_registered() {
            self.since = now;
            return true;
        }
        let counters = &self.context.conns.counters;
        let is_unfinished = !is_idle && now >= self.since + self.times.message;
        let counter = match (self.has_spoken, is_unfinished) {
            (_, true) => &counters.unfinished,
            (false, false) => &counters.half_open,
            (true, false) => &counters.idle_peers,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        false
    }

    async fn received(&mut self, octets: &[u8], inlet: &Inlet) -> Result<(), End> {
        let was_inside = self.framer.is_inside_message();
        self.framer.push(octets);
        let mut whole = false;
        loop {
            match self.framer.next_frame() {
                Ok(None) => break,
                Ok(Some(Frame::Message(message))) => {
                    self.has_spoken = true;
                    let turn = self.turn(inlet).await?;
                    inlet.message(message, turn);
                }
                Ok(Some(Frame::Ping)) => {
                    if !self.write(Bytes::from_static(KeepAlive::PONG)).await {
                        return Err(End::Closed);
                    }
                }
                Ok(Some(Frame::Pong)) => {}
                Err(error) => {
                    let has_answer = error.salvage.is_some();
                    let turn = self.turn(inlet).await?;
                    inlet.bad_message(error, turn);
                    return Err(End::Garbled { has_answer });
                }
            }
            whole = true;
        }
        // A message that dribbles in does not keep its own time from running out.
        if whole || !was_inside {
            self.since = Instant::now();
        }
        Ok(())
    }

    /// Waits until another message may be handed over. What the peer is told meanwhile is sent: much of it are the
    /// answers to those before.
    async fn turn(&mut self, inlet: &Inlet) -> Result<Turn, End> {
        if let Some(turn) = inlet.turn() {
            return Ok(turn);
        }
        loop {
            tokio::select! {
                turn = inlet.next_turn() => return Ok(turn),
                message = self.outgoing.next() => self.pass_on(message).await?,
                () = self.context.stopped() => return Err(End::Closed),
            }
        }
    }

    /// Sends what was waiting for the peer. Without it the connection has to close.
    async fn pass_on(&mut self, message: Option<Bytes>) -> Result<(), End> {
        let octets = message.ok_or(End::Closed)?;
        if self.write(octets).await {
            Ok(())
        } else {
            Err(End::Closed)
        }
    }

    /// Sends one message and all that wait behind it. False when the peer is gone or does not read.
    async fn write(&mut self, first: Bytes) -> bool {
        let mut next = Some(first);
        while let Some(octets) = next {
            match timeout(self.times.write, self.stream.write_all(&octets)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return false,
                Err(_) => {
                    self.context
                        .conns
                        .counters
                        .slow_peers
                        .fetch_add(1, Ordering::Relaxed);
                    return false;
                }
            }
            next = self.outgoing.try_next();
        }
        if !self.framer.is_inside_message() {
            self.since = Instant::now();
        }
        // TLS keeps octets back until it is told to let go.
        matches!(timeout(self.times.write, self.stream.flush()).await, Ok(Ok(())))
    }
}

/// Ends a connection so that what was said last arrives. A socket that is closed with octets unread resets the
/// connection, and a peer that is still sending sees the reset and not the answer. So it may go on for a moment, unheard.
pub(crate) async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let mut unheard = [0; 1_024];
    let ending = async {
        stream.shutdown().await?;
        while stream.read(&mut unheard).await? > 0 {}
        std::io::Result::Ok(())
    };
    // The peer may be gone already, which is as good.
    let _ = timeout(LAST_WORDS, ending).await;
}
