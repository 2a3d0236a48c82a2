//! NG over TCP: bencoded messages back to back on connections that stay open.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use viaduct_session::Event;

use super::desk::{Desk, Taken};
use super::notice;
use super::splitter::Splitter;
use crate::accept::Ended;

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamLimits {
    /// Octets that are kept of an incomplete message.
    pub(crate) octets: usize,
    /// How long a message may take to come in whole, and an answer to be taken.
    pub(crate) patience: Duration,
    /// How long there may be nothing between two messages.
    pub(crate) idle: Duration,
}

/// Serves one connection until the client closes it, sends something else than NG, or is silent too long.
///
/// One message is answered after the other: a client that wants several at once opens several connections. Between two
/// messages it is told of `digits`, if it is to be; one that does not keep up loses the oldest.
pub(crate) async fn serve(
    mut stream: TcpStream,
    client: SocketAddr,
    desk: Desk,
    limits: StreamLimits,
    mut digits: Option<broadcast::Receiver<Event>>,
) -> io::Result<Ended> {
    stream.set_nodelay(true)?;
    let mut splitter = Splitter::new(limits.octets);
    loop {
        if splitter.is_between() {
            let read = tokio::select! {
                read = timeout(limits.idle, stream.read_buf(splitter.buffer())) => read,
                notice = next_digit(&mut digits) => {
                    timeout(limits.patience, stream.write_all(&notice)).await??;
                    continue;
                }
            };
            // Nothing is lost with a connection that carries nothing.
            let Ok(read) = read else {
                return Ok(Ended::Idle);
            };
            if read? == 0 {
                return Ok(Ended::Served);
            }
        }
        let Some(message) = timeout(limits.patience, next(&mut splitter, &mut stream)).await?? else {
            continue;
        };
        let Some(place) = desk.wait_for_place().await else {
            return Ok(Ended::Served);
        };
        let answer = match desk.take(place, client, &message) {
            Taken::Ignore => continue,
            Taken::Answer(answer) => answer,
            // What is repeated in this stream is read after the answer, so one copy is enough.
            Taken::Case(case) => desk.carry_out(case).await.0,
        };
        timeout(limits.patience, stream.write_all(&answer)).await??;
    }
}

/// What tells of the next digit. Never comes where none are told.
async fn next_digit(digits: &mut Option<broadcast::Receiver<Event>>) -> Vec<u8> {
    while let Some(events) = digits {
        match events.recv().await {
            Ok(event) => {
                if let Some(notice) = notice::of_digit(&event, SystemTime::now()) {
                    return notice;
                }
            }
            Err(RecvError::Lagged(lost)) => tracing::debug!("events lost on the way to an NG client: {lost}"),
            Err(RecvError::Closed) => *digits = None,
        }
    }
    std::future::pending().await
}

/// Reads until a message is whole. `None` if there was nothing but blanks.
async fn next(splitter: &mut Splitter, stream: &mut TcpStream) -> io::Result<Option<Bytes>> {
    loop {
        if let Some(message) = splitter.next().map_err(io::Error::other)? {
            return Ok(Some(message));
        }
        if splitter.is_between() {
            return Ok(None);
        }
        if stream.read_buf(splitter.buffer()).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
