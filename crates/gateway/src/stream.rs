//! A TCP connection, watched for what the libraries above it leave unbounded.
//!
//! hyper answers a request line without end as it answers too many headers, and drops a head that stops
//! half way without a word. tungstenite puts fragments together and counts none.

mod frames;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use self::frames::FrameWatch;
use crate::admission::Arrival;

/// Longest request line. Shorter than a whole head may be: beyond that hyper answers first. Unit: bytes.
const LINE_BYTES_MAX: usize = 7 * 1024;

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
        (Self { tcp: Some(tcp), watch: Watch::Line(0), remains, is_asked: false }, receiver)
    }

    /// Watches frames from now on; `early` were read already. It is counted as a WebSocket now, and gives
    /// its place among the arrivals back.
    pub(crate) fn watch_frames(&mut self, early: &[u8]) -> io::Result<()> {
        self.remains = None;
        self.watch = Watch::Frames(FrameWatch::default());
        self.look(early)
    }

    fn tcp(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.tcp.as_mut().expect("it is there until the stream is dropped"))
    }

    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let excess = match &mut self.watch {
            Watch::Line(_) if bytes.contains(&b'\n') => {
                self.watch = Watch::Nothing;
                None
            }
            Watch::Line(seen) => {
                *seen += bytes.len();
                (*seen > LINE_BYTES_MAX).then_some(Excess::RequestLine)
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
        self.tcp().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_asked = false;
        self.tcp().poll_write_vectored(cx, bufs)
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
