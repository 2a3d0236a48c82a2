//! NG over TCP: bencoded messages back to back on connections that stay open.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::desk::{Desk, Taken};
use super::splitter::Splitter;

/// Serves one connection until the client closes it, sends something else than NG, or is silent too long.
///
/// One message is answered after the other: a client that wants several at once opens several connections.
pub(crate) async fn serve(
    mut stream: TcpStream,
    client: SocketAddr,
    desk: Desk,
    octets_max: usize,
    patience: Duration,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut splitter = Splitter::new(octets_max);
    loop {
        while let Some(message) = splitter.next().map_err(io::Error::other)? {
            let answer = match desk.take(client, &message) {
                Taken::Ignore => continue,
                Taken::Answer(answer) => answer,
                // What is repeated in this stream is read after the answer, so one copy is enough.
                Taken::Case(case) => desk.carry_out(case).await.0,
            };
            timeout(patience, stream.write_all(&answer)).await??;
        }
        if timeout(patience, stream.read_buf(splitter.buffer())).await?? == 0 {
            return Ok(());
        }
    }
}
