//! The text interface over TCP: one line in, its text out, and the connection is closed, which is how scripts know
//! that the text is complete.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Cli;
use crate::accept::Ended;

/// Octets behind the line that are read to be thrown away.
const UNREAD_MAX: u64 = 64 << 10;

/// How long the client may take to close its side after ours.
const LINGER: Duration = Duration::from_secs(1);

/// Serves one connection.
pub(crate) async fn serve(
    stream: TcpStream,
    cli: Cli,
    octets_max: usize,
    patience: Duration,
) -> io::Result<Ended> {
    let (reader, mut writer) = stream.into_split();
    // One octet more than allowed tells a line that is too long from one that just fits.
    let mut reader = BufReader::new(reader.take(octets_max as u64 + 1));
    let mut line = Vec::new();
    timeout(patience, reader.read_until(b'\n', &mut line)).await??;
    let is_too_long = line.len() > octets_max;
    let text = if is_too_long {
        format!("Line is longer than {octets_max} octets.\n")
    } else if line.is_empty() {
        return Ok(Ended::Served);
    } else {
        cli.answer(&String::from_utf8_lossy(&line)).await
    };
    timeout(patience, writer.write_all(text.as_bytes())).await??;
    writer.shutdown().await?;
    // Closing with something unread would make the system take back what was written.
    let mut rest = reader.into_inner().into_inner().take(UNREAD_MAX);
    let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    if is_too_long {
        return Err(io::Error::other("a line was too long"));
    }
    Ok(Ended::Served)
}
