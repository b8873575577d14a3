//! Closing so that the client can still read its answer, and cutting off one that never does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::limits;

/// A stream whose shutdown says goodbye first, and then reads and discards what still comes, until
/// the other end has closed or [`limits::LINGER`] has passed. A socket that is closed with bytes
/// unread resets the connection, and a reset can overtake the answer.
pub struct Linger<S> {
    stream: S,
    until: Option<Pin<Box<Sleep>>>,
    /// Set while a write waits for the other end to read.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Linger<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, until: None, stalled: None }
    }

    /// Fails a write that has waited for [`limits::WRITE_WITHIN`].
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limits::WRITE_WITHIN)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Linger<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Linger<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let it = &mut *self;
        if it.until.is_none() {
            ready!(Pin::new(&mut it.stream).poll_shutdown(cx))?;
        }
        let until = || Box::pin(sleep(limits::LINGER));
        let until = it.until.get_or_insert_with(until);
        let mut discarded = [0; 4096];
        while until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut discarded);
            match ready!(Pin::new(&mut it.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                // Closed by the other end, or broken: over either way.
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    /// A connection whose client has left a full pipe unread, so that the next write waits.
    async fn stalled() -> (Linger<DuplexStream>, DuplexStream) {
        let (ours, client) = duplex(8);
        let mut linger = Linger::new(ours);
        linger.write_all(b"12345678").await.unwrap();
        let waits = futures_util::poll!(std::pin::pin!(linger.write_all(b"9")));
        assert!(waits.is_pending(), "the pipe is full");
        (linger, client)
    }

    fn deadline(linger: &Linger<DuplexStream>) -> Option<Instant> {
        linger.stalled.as_ref().map(|stalled| stalled.deadline())
    }

    #[tokio::test]
    async fn a_client_that_never_reads_is_cut_off_when_its_time_is_over() {
        let (mut linger, _client) = stalled().await;
        // As if the time had passed.
        let began = deadline(&linger).unwrap() - limits::WRITE_WITHIN;
        linger.stalled.as_mut().unwrap().as_mut().reset(began);
        let cut = timeout(limits::WRITE_WITHIN, linger.write_all(b"9")).await;
        let why = cut.expect("it is cut off, and does not wait for ever").unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn its_time_starts_when_the_write_stalls_and_no_try_lengthens_it() {
        let (mut linger, _client) = stalled().await;
        let first = deadline(&linger).expect("its time has begun");
        assert!(futures_util::poll!(std::pin::pin!(linger.write_all(b"9"))).is_pending());
        assert_eq!(deadline(&linger), Some(first));
    }

    #[tokio::test]
    async fn a_client_that_reads_late_is_answered_and_has_its_whole_time_again() {
        let (mut linger, mut client) = stalled().await;
        client.read_exact(&mut [0; 8]).await.unwrap();
        linger.write_all(b"9").await.unwrap();
        assert_eq!(deadline(&linger), None);
    }
}
