//! Listeners over TCP: how they are bound, and how many connections they serve.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::counter::SharedTally;

/// How long accepting pauses when the system has no descriptor or memory for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Binds a listener. Its port can be bound again right after it was closed, but not while it is open.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// How long a connection carries nothing before the system asks whether the client is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Counters of all listeners over TCP, by kind.
#[derive(Debug, Default)]
pub(crate) struct Accepts {
    pub(crate) ng: Arc<AcceptStats>,
    pub(crate) cli: Arc<AcceptStats>,
    pub(crate) http: Arc<AcceptStats>,
    pub(crate) https: Arc<AcceptStats>,
}

/// How a connection ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its client closed it, or had its answer.
    Served,
    /// It carried nothing for too long.
    Idle,
}

/// Counters of all listeners of one kind.
#[derive(Debug, Default)]
pub(crate) struct AcceptStats {
    /// Connections that were taken.
    pub(crate) accepted: SharedTally,
    /// Connections that were closed at once, since there were as many as there may be.
    pub(crate) refused: SharedTally,
    /// Connections that were closed because of what their clients sent, or did not send in time.
    pub(crate) failed: SharedTally,
    /// Connections that were closed because they carried nothing for too long.
    pub(crate) idle: SharedTally,
}

/// Serves connections until it is dropped: at most `connections` at a time, each in a task of its own. Further ones are
/// closed at once, so that their clients know.
pub(crate) async fn serve<S, F>(
    listener: std::net::TcpListener,
    connections: usize,
    stats: Arc<AcceptStats>,
    mut serve_one: S,
) -> io::Result<()>
where
    S: FnMut(TcpStream, SocketAddr) -> F,
    F: Future<Output = io::Result<Ended>> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!("accepting a connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            stats.refused.add(1);
            continue;
        };
        stats.accepted.add(1);
        // Where it cannot be set, such clients are noticed later.
        let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
        let served = serve_one(stream, client);
        let stats = Arc::clone(&stats);
        tokio::spawn(async move {
            match served.await {
                Ok(Ended::Served) => {}
                Ok(Ended::Idle) => stats.idle.add(1),
                Err(error) => {
                    stats.failed.add(1);
                    tracing::debug!(%client, "a connection ended: {error}");
                }
            }
            drop(place);
        });
    }
}
