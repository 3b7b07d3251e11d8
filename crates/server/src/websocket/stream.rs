//! What a WebSocket is carried by: a TCP socket where there is one, otherwise whatever somebody else's server made of it,
//! TLS for instance.
//!
//! A TCP socket can be written to from any task without waking its own. Of any other stream, only its own task knows when
//! it can be written to, so there a message costs a wake-up more.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A stream that is no TCP socket, or does not show that it is one.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What carries a WebSocket.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Other(Box<dyn Duplex>),
}

/// Its side that is read, by its own task alone.
pub(crate) enum Reading {
    Tcp(OwnedReadHalf),
    Other(ReadHalf<Box<dyn Duplex>>),
}

/// Its side that is written.
pub(crate) enum Writing {
    Tcp(OwnedWriteHalf),
    Other(OtherWriting),
}

/// The writing side of a stream that only its own task writes to.
pub(crate) struct OtherWriting(Mutex<WriteHalf<Box<dyn Duplex>>>);

impl Stream {
    /// Takes what a foreign server handed over, and what was read of it already.
    pub(crate) fn from_upgraded(upgraded: Upgraded) -> (Self, Vec<u8>) {
        // Hyper's own connection, then the one that also speaks HTTP/2, which `axum::serve` takes.
        let (io, read) = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => (parts.io, parts.read_buf),
            Err(upgraded) => match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
                Ok(parts) => (parts.io, parts.read_buf),
                // This one gives what was read before it reads on.
                Err(upgraded) => return (Self::Other(Box::new(TokioIo::new(upgraded))), Vec::new()),
            },
        };
        let socket = io.into_inner();
        // Small messages must not wait for each other. Fails only if the socket is gone, as reading will show.
        let _ = socket.set_nodelay(true);
        (Self::Tcp(socket), read.to_vec())
    }

    /// Its two sides.
    pub(crate) fn into_split(self) -> (Reading, Writing) {
        match self {
            Self::Tcp(socket) => {
                let (reading, writing) = socket.into_split();
                (Reading::Tcp(reading), Writing::Tcp(writing))
            }
            Self::Other(stream) => {
                let (reading, writing) = tokio::io::split(stream);
                (Reading::Other(reading), Writing::Other(OtherWriting(Mutex::new(writing))))
            }
        }
    }
}

impl AsyncRead for Reading {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Other(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl OtherWriting {
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
    fn with<R>(&self, act: impl FnOnce(Pin<&mut WriteHalf<Box<dyn Duplex>>>) -> R) -> R {
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

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(socket) => socket.fmt(f),
            Self::Other(_) => f.write_str("Reading::Other"),
        }
    }
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(socket) => socket.fmt(f),
            Self::Other(_) => f.write_str("Writing::Other"),
        }
    }
}
