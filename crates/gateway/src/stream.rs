//! A TCP connection, watched for what the libraries above it leave unbounded.
//!
//! hyper answers a request line without end as it answers too many headers, drops a head that stops half way
//! without a word, and waits for ever for a client that does not read its answer. tungstenite puts fragments
//! together and counts none.

mod frames;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use self::frames::FrameWatch;
use crate::admission::Arrival;

/// Longest request line. Shorter than a whole head may be: beyond that hyper answers first. Unit: bytes.
const LINE_BYTES_MAX: usize = 7 * 1024;

/// How long a client of HTTP may take nothing of its answer. What sockets may is for their connection to say.
const WRITE_MAX: Duration = Duration::from_secs(20);

/// Why nothing more is read of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Excess {
    /// The first request line does not end.
    #[error("the request line does not end")]
    RequestLine,
    /// A message has too many fragments, or takes too long.
    #[error("a message in too many fragments, or over too long a time")]
    Fragments,
}

impl Excess {
    /// The excess that made an operation fail, if one did.
    pub(crate) fn behind(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut error = Some(error);
        while let Some(link) = error {
            let io = link.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let found = io.and_then(|cause| cause.downcast_ref::<Self>());
            if let Some(excess) = found.or_else(|| link.downcast_ref::<Self>()) {
                return Some(*excess);
            }
            error = link.source();
        }
        None
    }
}

/// A TCP connection and what is watched of it.
#[derive(Debug)]
pub(crate) struct Stream {
    /// There until the stream is dropped.
    tcp: Option<TcpStream>,
    watch: Watch,
    /// What HTTP has to leave behind; none once it is a WebSocket.
    remains: Option<(oneshot::Sender<Remains>, Arrival)>,
    /// Whether something was read since the last answer.
    is_asked: bool,
    /// Ends the wait for a client that takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// What is left of a connection that HTTP is done with.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) tcp: TcpStream,
    /// Whether the client waits for an answer.
    pub(crate) is_asked: bool,
    /// Why nothing more was read of it.
    pub(crate) excess: Option<Excess>,
    /// Its place, until it is closed.
    pub(crate) arrival: Arrival,
}

#[derive(Debug)]
enum Watch {
    /// The first request line, of which there were so many bytes.
    Line(usize),
    /// Nothing.
    Nothing,
    Frames(FrameWatch),
    /// What comes is thrown away, until the client ends the connection.
    Over(Excess),
}

impl Stream {
    /// Watches a new connection, which holds the place of its `arrival`. What remains of it when HTTP is
    /// done is sent to the receiver, unless it became a WebSocket.
    pub(crate) fn new(tcp: TcpStream, arrival: Arrival) -> (Self, oneshot::Receiver<Remains>) {
        let (sender, receiver) = oneshot::channel();
        let remains = Some((sender, arrival));
        let stream =
            Self { tcp: Some(tcp), watch: Watch::Line(0), remains, is_asked: false, stalled: None };
        (stream, receiver)
    }

    /// Watches frames from now on; `early` were read already. It is counted as a WebSocket now, and gives
    /// its place among the arrivals back.
    pub(crate) fn watch_frames(&mut self, early: &[u8]) -> io::Result<()> {
        (self.remains, self.stalled) = (None, None);
        self.watch = Watch::Frames(FrameWatch::default());
        self.look(early)
    }

    fn tcp(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.tcp.as_mut().expect("it is there until the stream is dropped"))
    }

    /// Passes on what came of a write; one that waits for too long has failed.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() || self.remains.is_none() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_MAX)));
        ready!(stalled.as_mut().poll(cx));
        // Or the kernel would keep what was written, and go on trying for minutes.
        self.tcp().set_zero_linger().ok();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let excess = match &mut self.watch {
            Watch::Line(seen) => {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                *seen += end.unwrap_or(bytes.len());
                let is_over = *seen > LINE_BYTES_MAX;
                if end.is_some() {
                    self.watch = Watch::Nothing;
                }
                is_over.then_some(Excess::RequestLine)
            }
            Watch::Frames(frames) => {
                (!frames.allow(bytes, std::time::Instant::now())).then_some(Excess::Fragments)
            }
            Watch::Nothing | Watch::Over(_) => None,
        };
        let Some(excess) = excess else { return Ok(()) };
        self.watch = Watch::Over(excess);
        Err(io::Error::other(excess))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let (Some((remains, arrival)), Some(tcp)) = (self.remains.take(), self.tcp.take()) {
            // Whoever does not wait for it does not want it.
            let excess = match self.watch {
                Watch::Over(excess) => Some(excess),
                Watch::Line(_) | Watch::Nothing | Watch::Frames(_) => None,
            };
            remains.send(Remains { tcp, is_asked: self.is_asked, excess, arrival }).ok();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let before = buf.filled().len();
            ready!(self.tcp().poll_read(cx, buf))?;
            let is_end = buf.filled().len() == before;
            if is_end {
                return Poll::Ready(Ok(()));
            }
            if !matches!(self.watch, Watch::Over(_)) {
                self.is_asked = true;
                let looked = self.look(&buf.filled()[before..]);
                if looked.is_err() {
                    buf.set_filled(before);
                }
                return Poll::Ready(looked);
            }
            buf.set_filled(before);
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_asked = false;
        let written = self.tcp().poll_write(cx, buf);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_asked = false;
        let written = self.tcp().poll_write_vectored(cx, bufs);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.remains.is_some() && matches!(self.watch, Watch::Over(_)) {
            // Whoever gets the remains has an answer to write.
            return Poll::Ready(Ok(()));
        }
        self.tcp().poll_shutdown(cx)
    }
}
