//! What a WebSocket is carried by: a TCP socket where there is one, otherwise whatever somebody else's server made of it,
//! TLS for instance.
//!
//! A TCP socket can be written to from any task without waking its own. Of any other stream, only its own task knows when
//! it can be written to, so there a message costs a wake-up more.

use std::fmt;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// No signal where the peer is gone: the error is enough. Elsewhere there is no such flag, and none is needed in a Rust program.
#[cfg(all(unix, not(target_vendor = "apple")))]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
const SEND_FLAGS: i32 = 0;

/// A stream that is no TCP socket, or does not show that it is one.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What carries a WebSocket. Only its own task reads.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Other(OtherStream),
}

/// A stream that only its own task reads and writes.
pub(crate) struct OtherStream(Mutex<Box<dyn Duplex>>);

impl Stream {
    /// Takes what a foreign server handed over, and what was read of it already.
    pub(crate) fn from_upgraded(upgraded: Upgraded) -> (Self, Vec<u8>) {
        // Hyper's own connection, then the one that also speaks HTTP/2, which `axum::serve` takes.
        let (io, read) = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => (parts.io, parts.read_buf),
            Err(upgraded) => match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
                Ok(parts) => (parts.io, parts.read_buf),
                // This one gives what was read before it reads on.
                Err(upgraded) => return (Self::other(TokioIo::new(upgraded)), Vec::new()),
            },
        };
        let socket = io.into_inner();
        // Small messages must not wait for each other. Fails only if the socket is gone, as reading will show.
        let _ = socket.set_nodelay(true);
        (Self::Tcp(socket), read.to_vec())
    }

    /// Takes a stream that is no TCP socket.
    pub(crate) fn other(stream: impl Duplex + 'static) -> Self {
        Self::Other(OtherStream(Mutex::new(Box::new(stream))))
    }

    /// Reads once; no bytes mean the end.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => poll_read_tcp(socket, cx, buffer),
            Self::Other(stream) => stream.with(|stream| stream.poll_read(cx, buffer)),
        }
    }
}

/// What fills the buffer only in part was all that there is: the runtime is told so, and no further call has to find it out. It
/// reads in this way itself, but not a socket that is shared with those who write.
fn poll_read_tcp(socket: &TcpStream, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    loop {
        ready!(socket.poll_read_ready(cx))?;
        let mut read = None;
        let outcome = socket.try_io(Interest::READABLE, || {
            let unfilled = buffer.initialize_unfilled();
            let bytes = (&*SockRef::from(socket)).read(unfilled)?;
            read = Some(bytes);
            if (1..unfilled.len()).contains(&bytes) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (read, outcome) {
            (Some(bytes), _) => {
                buffer.advance(bytes);
                return Poll::Ready(Ok(()));
            }
            (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            (None, outcome) => return Poll::Ready(outcome),
        }
    }
}

/// Writes without waiting.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] if the kernel takes nothing; then [`TcpStream::poll_write_ready`] says when it does again.
pub(crate) fn try_write(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    // Nearly always there is room, and the runtime need not be asked, whose notes on a socket that was idle are far from
    // every cache. Where there is none, it has to learn of it.
    match SockRef::from(socket).send_with_flags(bytes, SEND_FLAGS) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.try_write(bytes),
        outcome => outcome,
    }
}

impl OtherStream {
    /// Writes all of `bytes`, or as much as goes in without waiting; says how much that was.
    pub(crate) fn poll_write_all(&self, cx: &mut Context<'_>, bytes: &[u8]) -> (usize, Poll<io::Result<()>>) {
        self.with(|mut stream| {
            let mut written = 0;
            while written < bytes.len() {
                match stream.as_mut().poll_write(cx, &bytes[written..]) {
                    Poll::Ready(Ok(0)) => return (written, Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                    Poll::Ready(Ok(more)) => written += more,
                    Poll::Ready(Err(error)) => return (written, Poll::Ready(Err(error))),
                    Poll::Pending => return (written, Poll::Pending),
                }
            }
            (written, Poll::Ready(Ok(())))
        })
    }

    /// Sees to it that what was written leaves: a stream such as TLS may hold it back.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    /// Writes what is held back and ends the writing side.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|mut stream| {
            ready!(stream.as_mut().poll_flush(cx))?;
            stream.poll_shutdown(cx)
        })
    }

    /// Nobody else ever holds the lock: it is there because a mailbox is shared.
    fn with<R>(&self, act: impl FnOnce(Pin<&mut Box<dyn Duplex>>) -> R) -> R {
        act(Pin::new(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(socket) => socket.fmt(f),
            Self::Other(_) => f.write_str("Stream::Other"),
        }
    }
}
