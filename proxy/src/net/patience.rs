//! Peers that take their time: time limits below those who do not keep them themselves.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::conns::ConnCounters;
use super::frames::Frames;

/// A connection on which a peer must read what it is sent within a time. Whoever writes gets
/// [`TimedOut`](io::ErrorKind::TimedOut) otherwise, and the peer is counted as slow.
#[derive(Debug)]
pub(crate) struct WriteLimit<S> {
    io: S,
    limit: Duration,
    counters: Arc<ConnCounters>,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// A WebSocket on which a message that was begun must be finished within a time, whatever comes between its fragments.
/// Whoever reads gets [`TimedOut`](io::ErrorKind::TimedOut) otherwise, and the connection is counted as unfinished.
#[derive(Debug)]
pub(crate) struct ReadLimit<S> {
    io: S,
    limit: Duration,
    counters: Arc<ConnCounters>,
    frames: Frames,
    /// When the first octet came of what is not whole yet.
    begun: Option<Instant>,
    /// Runs while more is waited for.
    dribbling: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteLimit<S> {
    pub(crate) fn new(io: S, limit: Duration, counters: Arc<ConnCounters>) -> Self {
        Self {
            io,
            limit,
            counters,
            stalled: None,
        }
    }

    /// Watches the time while a write waits.
    fn watch<T>(&mut self, cx: &mut Context<'_>, step: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if step.is_ready() {
            self.stalled = None;
            return step;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(cx));
        self.counters.slow_peers.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S> ReadLimit<S> {
    pub(crate) fn new(io: S, limit: Duration, counters: Arc<ConnCounters>) -> Self {
        Self {
            io,
            limit,
            counters,
            frames: Frames::default(),
            begun: None,
            dribbling: None,
        }
    }

    /// Octets came. The time begins again with the first of a message.
    fn came(&mut self, octets: &[u8]) {
        if self.frames.follow(octets) {
            self.begun = None;
            self.dribbling = None;
        }
        if self.frames.is_inside() {
            self.begun.get_or_insert_with(Instant::now);
        }
    }

    pub(crate) fn inner(&mut self) -> &mut S {
        &mut self.io
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadLimit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let step = Pin::new(&mut this.io).poll_read(cx, buffer);
        if step.is_ready() {
            this.came(&buffer.filled()[before..]);
            return step;
        }
        let Some(begun) = this.begun else {
            return Poll::Pending;
        };
        let until = begun + this.limit;
        let dribbling = this.dribbling.get_or_insert_with(|| Box::pin(sleep_until(until)));
        ready!(dribbling.as_mut().poll(cx));
        this.counters.unfinished.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteLimit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteLimit<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.io).poll_write(cx, octets);
        self.watch(cx, step)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, step)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(cx, step)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.io).poll_write_vectored(cx, octets);
        self.watch(cx, step)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadLimit<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    fn seen(counter: &std::sync::atomic::AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_given_up_and_one_that_reads_is_not() {
        let counters = Arc::<ConnCounters>::default();
        let (ours, mut theirs) = duplex(64);
        let mut ours = WriteLimit::new(ours, LIMIT, counters.clone());
        ours.write_all(&[1; 64]).await.unwrap();
        let error = ours.write_all(&[1; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(seen(&counters.slow_peers), 1);
        let (ours, mut reading) = duplex(64);
        let mut ours = WriteLimit::new(ours, LIMIT, counters.clone());
        let reader = tokio::spawn(async move { reading.read_exact(&mut [0; 4_096]).await.unwrap() });
        ours.write_all(&[1; 4_096]).await.unwrap();
        assert_eq!(reader.await.unwrap(), 4_096);
        assert_eq!(seen(&counters.slow_peers), 1);
        theirs.read_exact(&mut [0; 64]).await.unwrap();
    }

    /// Silence is nobody's fault; a beginning without an end is, and a ping between two fragments is no end.
    #[tokio::test(start_paused = true)]
    async fn what_was_begun_must_become_whole() {
        const PING: [u8; 2] = [0x89, 0];
        let counters = Arc::<ConnCounters>::default();
        let (ours, mut theirs) = duplex(64);
        let mut ours = ReadLimit::new(ours, LIMIT, counters.clone());
        for whole in [&[0x82, 1, b'a'][..], &PING] {
            let silence = tokio::time::timeout(2 * LIMIT, ours.read_u8()).await;
            assert!(silence.is_err());
            theirs.write_all(whole).await.unwrap();
            ours.read_exact(&mut [0; 3][..whole.len()]).await.unwrap();
        }
        let silence = tokio::time::timeout(2 * LIMIT, ours.read_u8()).await;
        assert!(silence.is_err());
        // The first fragment of a message, and nothing but pings behind it.
        theirs.write_all(&[0x02, 1, b'b']).await.unwrap();
        ours.read_exact(&mut [0; 3]).await.unwrap();
        for _ in 0..3 {
            assert!(tokio::time::timeout(LIMIT / 4, ours.read_u8()).await.is_err());
            theirs.write_all(&PING).await.unwrap();
            ours.read_exact(&mut [0; 2]).await.unwrap();
        }
        let error = ours.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!((seen(&counters.unfinished), seen(&counters.idle_peers)), (1, 0));
    }
}
