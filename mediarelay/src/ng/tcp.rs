//! NG over TCP: bencoded messages back to back on connections that stay open.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::desk::{Desk, Taken};
use super::splitter::Splitter;

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
/// One message is answered after the other: a client that wants several at once opens several connections.
pub(crate) async fn serve(
    mut stream: TcpStream,
    client: SocketAddr,
    desk: Desk,
    limits: StreamLimits,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut splitter = Splitter::new(limits.octets);
    loop {
        if splitter.is_between() {
            // Nothing is lost with a connection that carries nothing.
            let Ok(read) = timeout(limits.idle, stream.read_buf(splitter.buffer())).await else {
                return Ok(());
            };
            if read? == 0 {
                return Ok(());
            }
        }
        let Some(message) = timeout(limits.patience, next(&mut splitter, &mut stream)).await?? else {
            continue;
        };
        let Some(place) = desk.wait_for_place().await else {
            return Ok(());
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
