//! What waits to be written to one socket, bounded in bytes, and the writing of it.
//!
//! Whoever puts something into an empty mailbox writes it to the socket at once, from its own task: a relayed message
//! costs one system call and no wake-up. Only what the kernel does not take waits for the socket's own task. An empty
//! mailbox holds no buffer. Where the socket is not TCP, all writing is left to its own task.

mod state;

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use futures_util::task::AtomicWaker;
use socket2::SockRef;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use state::{Outcome, State};

use crate::metrics::Traffic;
use crate::websocket::frame::{self, Opcode};
use crate::websocket::stream::{self, OtherStream, Stream};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Queued {
    /// Somebody is writing already, or the mailbox is closed and the message is dropped.
    Quiet,
    /// It is the first; the caller has to [`Mailbox::flush`].
    First,
    /// There is no room; the message is dropped.
    Overflow,
}

/// How far the writing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More may be queued.
    Open,
    /// The last bytes are queued, but not written.
    Finishing,
    /// All is written and the socket's sending side is shut.
    Finished,
    /// The socket is broken.
    Broken,
}

/// A socket and what waits to be written to it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    stream: Stream,
    /// Most bytes that may wait.
    limit: usize,
    state: Mutex<State>,
    /// The socket's own task.
    task: AtomicWaker,
    traffic: Arc<Traffic>,
}

impl Mailbox {
    /// Wraps a socket for which at most `limit` bytes may wait.
    pub(crate) fn new(stream: Stream, limit: usize, traffic: Arc<Traffic>) -> Self {
        Self { stream, limit, state: Mutex::default(), task: AtomicWaker::new(), traffic }
    }

    /// Queues `bytes`, whole frames.
    pub(crate) fn queue(&self, bytes: usize, write: impl FnOnce(&mut Vec<u8>)) -> Queued {
        let mut state = self.lock();
        if state.ending || state.broken {
            return Queued::Quiet;
        }
        if state.pending.len() + state.in_flight + bytes > self.limit {
            return Queued::Overflow;
        }
        state.append(write)
    }

    /// Wakes the socket's own task when all is written, for [`Self::take_written`].
    pub(crate) fn await_written(&self) {
        let mut state = self.lock();
        state.awaited = true;
        if state.is_written() {
            drop(state);
            self.task.wake();
        }
    }

    /// Whether all is written; once for each [`Self::await_written`].
    pub(crate) fn take_written(&self) -> bool {
        let mut state = self.lock();
        let written = state.awaited && state.is_written() && !state.ending && !state.broken;
        state.awaited &= !written;
        written
    }

    /// Queues the last bytes, beyond the limit if need be.
    ///
    /// The socket stays open until [`Self::release`], for the client's close frame (RFC 6455 §7.1.1): Firefox drops the last
    /// messages and the close code of a socket that is closed before it could answer.
    pub(crate) fn finish(&self, write: impl FnOnce(&mut Vec<u8>)) -> Queued {
        let mut state = self.lock();
        if state.ending || state.broken {
            return Queued::Quiet;
        }
        state.ending = true;
        let queued = state.append(write);
        drop(state);
        self.task.wake();
        queued
    }

    /// Whether the socket waits for the client's answer to the last message.
    pub(crate) fn is_held(&self) -> bool {
        let state = self.lock();
        state.ending && !state.released
    }

    /// Closes the socket after [`Self::finish`], once all is written.
    pub(crate) fn release(&self) {
        self.lock().released = true;
        self.flush();
    }

    /// Writes what is queued, as far as the kernel takes it.
    pub(crate) fn flush(&self) {
        match &self.stream {
            Stream::Tcp(socket) => self.flush_to(socket),
            Stream::Other(_) => self.task.wake(),
        }
    }

    fn flush_to(&self, socket: &TcpStream) {
        let mut state = self.lock();
        if state.in_flight > 0 || state.blocked || state.broken {
            return;
        }
        while !state.pending.is_empty() {
            let batch = state.take_batch();
            drop(state);
            let (written, outcome) = self.write(socket, &batch);
            state = self.lock();
            let go_on = outcome == Outcome::All;
            state.give_back(batch, written, outcome);
            if !go_on {
                drop(state);
                self.task.wake();
                return;
            }
        }
        if state.awaited {
            self.task.wake();
        }
        if state.is_closing() && !state.shut {
            state.shut = true;
            // Fails only if the socket is gone, which the reading side notices.
            let _ = SockRef::from(socket).shutdown(Shutdown::Write);
            drop(state);
            self.task.wake();
        }
    }

    /// For the socket's own task: reads once; no bytes mean the end.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = ready!(self.stream.poll_read(cx, buffer));
        self.traffic.count_in(buffer.filled().len() - before);
        Poll::Ready(outcome)
    }

    /// For the socket's own task: writes on if the socket has room again, and says how far it is.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Progress {
        self.register(cx.waker());
        match &self.stream {
            Stream::Tcp(socket) => self.poll_tcp(socket, cx),
            Stream::Other(stream) => self.poll_other(stream, cx),
        }
    }

    fn poll_tcp(&self, socket: &TcpStream, cx: &mut Context<'_>) -> Progress {
        loop {
            let state = self.lock();
            if let Some(over) = state.over() {
                return over;
            }
            let waiting = state.waiting();
            if !state.blocked {
                return waiting;
            }
            drop(state);
            match socket.poll_write_ready(cx) {
                Poll::Pending => return waiting,
                Poll::Ready(_) => {
                    self.lock().blocked = false;
                    self.flush_to(socket);
                }
            }
        }
    }

    fn poll_other(&self, stream: &OtherStream, cx: &mut Context<'_>) -> Progress {
        loop {
            let mut state = self.lock();
            if let Some(over) = state.over() {
                return over;
            }
            let waiting = state.waiting();
            if state.pending.is_empty() {
                let ending = state.is_closing();
                drop(state);
                let polled = if ending { stream.poll_shutdown(cx) } else { stream.poll_flush(cx) };
                match polled {
                    Poll::Pending => return waiting,
                    Poll::Ready(Ok(())) if !ending => return waiting,
                    Poll::Ready(Ok(())) => self.lock().shut = true,
                    Poll::Ready(Err(_)) => self.lock().broken = true,
                }
                continue;
            }
            let batch = state.take_batch();
            drop(state);
            let (written, polled) = stream.poll_write_all(cx, &batch);
            self.traffic.count_out(written);
            let outcome = match polled {
                Poll::Pending => Outcome::Full,
                Poll::Ready(Ok(())) => Outcome::All,
                Poll::Ready(Err(_)) => Outcome::Failed,
            };
            self.lock().give_back(batch, written, outcome);
            if outcome == Outcome::Full {
                return waiting;
            }
        }
    }

    /// Queues and writes one text frame; who has no room for it is about to be dropped anyway.
    pub(crate) fn send_text(&self, text: &[u8]) {
        let bytes = text.len() + frame::HEADER_BYTES;
        if self.queue(bytes, |out| frame::encode(Opcode::Text, text, out)) == Queued::First {
            self.flush();
        }
    }

    /// Like [`Self::send_text`], for what writes itself.
    pub(crate) fn send_text_with(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = Vec::new();
        write(&mut text);
        self.send_text(&text);
    }

    /// Lets the socket's own task look what is to be done.
    pub(crate) fn wake(&self) {
        self.task.wake();
    }

    fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    fn write(&self, socket: &TcpStream, batch: &[u8]) -> (usize, Outcome) {
        let mut written = 0;
        let outcome = loop {
            match stream::try_write(socket, &batch[written..]) {
                Ok(0) => break Outcome::Failed,
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Outcome::Full,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break Outcome::Failed,
            }
            if written == batch.len() {
                break Outcome::All;
            }
        };
        self.traffic.count_out(written);
        (written, outcome)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A mailbox and its client.
    async fn pair(limit: usize) -> (Mailbox, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        let socket = listener.accept().await.expect("accepted").0;
        (Mailbox::new(Stream::Tcp(socket), limit, Arc::default()), client)
    }

    fn put(mailbox: &Mailbox, bytes: &[u8]) -> Queued {
        mailbox.queue(bytes.len(), |out| out.extend_from_slice(bytes))
    }

    /// Queues until the kernel takes no more and the mailbox is full.
    fn fill(mailbox: &Mailbox, piece: &[u8]) -> usize {
        let mut taken = 0;
        loop {
            match put(mailbox, piece) {
                Queued::Overflow => return taken,
                Queued::First => mailbox.flush(),
                Queued::Quiet => {}
            }
            taken += piece.len();
        }
    }

    #[tokio::test]
    async fn several_messages_become_one_write_in_order() {
        let (mailbox, mut client) = pair(100).await;
        assert_eq!(put(&mailbox, b"one "), Queued::First);
        assert_eq!(put(&mailbox, b"two"), Queued::Quiet);
        mailbox.flush();
        let mut read = [0; 7];
        client.read_exact(&mut read).await.expect("read");
        assert_eq!(&read, b"one two");
        assert_eq!(mailbox.lock().pending.capacity(), 0, "an empty mailbox holds no buffer");
    }

    #[tokio::test]
    async fn a_full_mailbox_refuses_and_keeps_what_it_has() {
        let (mailbox, mut client) = pair(1000).await;
        let taken = fill(&mailbox, &[7; 100]);
        assert!(mailbox.lock().pending.len() <= 1000);
        // The last words find room, and everything arrives before the end.
        let _ = mailbox.finish(|out| out.extend_from_slice(b"bye"));
        mailbox.release();
        assert_eq!(put(&mailbox, b"late"), Queued::Quiet);
        let drain = async {
            let mut read = Vec::new();
            client.read_to_end(&mut read).await.expect("read");
            read
        };
        let write = poll_fn(|cx| match mailbox.poll(cx) {
            Progress::Finished => Poll::Ready(()),
            Progress::Open | Progress::Finishing | Progress::Broken => Poll::Pending,
        });
        let (read, ()) = tokio::join!(drain, write);
        assert_eq!(read.len(), taken + 3);
        assert!(read.ends_with(b"bye"));
    }

    #[tokio::test]
    async fn a_held_socket_stays_open_until_it_is_released() {
        let (mailbox, mut client) = pair(100).await;
        assert_eq!(mailbox.finish(|out| out.extend_from_slice(b"bye")), Queued::First);
        mailbox.flush();
        let mut read = [0; 3];
        client.read_exact(&mut read).await.expect("read");
        assert_eq!(put(&mailbox, b"late"), Queued::Quiet);
        let ended = client.try_read(&mut read).expect_err("nothing to read, and no end");
        assert_eq!(ended.kind(), io::ErrorKind::WouldBlock);
        mailbox.release();
        assert_eq!(client.read(&mut read).await.expect("the end"), 0);
    }

    #[tokio::test]
    async fn tells_its_own_task_once_when_all_is_written() {
        let (mailbox, mut client) = pair(1000).await;
        fill(&mailbox, &[7; 100]);
        mailbox.await_written();
        assert!(!mailbox.take_written(), "the kernel takes no more");
        let read = async {
            let mut buffer = vec![0; 64 * 1024];
            while !buffer.is_empty() && client.read(&mut buffer).await.expect("read") > 0 {}
        };
        let written = poll_fn(|cx| {
            let _ = mailbox.poll(cx);
            if mailbox.take_written() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            () = read => panic!("nobody closes"),
            () = written => {}
        }
        assert!(!mailbox.take_written(), "it was told");
        mailbox.await_written();
        assert!(mailbox.take_written(), "nothing waits");
    }

    #[tokio::test]
    async fn a_broken_socket_swallows_what_comes() {
        let (mailbox, client) = pair(1000).await;
        SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).expect("an open socket");
        drop(client);
        poll_fn(|cx| {
            let _ = put(&mailbox, b"x");
            mailbox.flush();
            match mailbox.poll(cx) {
                Progress::Broken => Poll::Ready(()),
                Progress::Open | Progress::Finishing | Progress::Finished => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        })
        .await;
        assert_eq!(put(&mailbox, b"x"), Queued::Quiet);
    }

    /// Lets the socket's own task write until it is done.
    async fn written(mailbox: &Mailbox) {
        poll_fn(|cx| match mailbox.poll(cx) {
            Progress::Finished | Progress::Broken => Poll::Ready(()),
            Progress::Open | Progress::Finishing => Poll::Pending,
        })
        .await;
    }

    #[tokio::test]
    async fn a_stream_that_is_no_socket_is_written_by_its_own_task_in_order() {
        let (mut client, server) = tokio::io::duplex(16);
        let mailbox = Mailbox::new(Stream::other(server), 100, Arc::default());
        assert_eq!(put(&mailbox, &[1; 60]), Queued::First);
        mailbox.flush();
        assert_eq!(put(&mailbox, &[2; 40]), Queued::Quiet);
        assert_eq!(put(&mailbox, &[3; 1]), Queued::Overflow, "the stream took nothing yet");
        let _ = mailbox.finish(|out| out.extend_from_slice(b"bye"));
        mailbox.release();
        let read = async {
            let mut read = Vec::new();
            client.read_to_end(&mut read).await.expect("read");
            read
        };
        let (read, ()) = tokio::join!(read, written(&mailbox));
        assert_eq!(read, [&[1; 60][..], &[2; 40], b"bye"].concat());
        assert_eq!(mailbox.lock().pending.capacity(), 0, "an empty mailbox holds no buffer");
    }

    #[tokio::test]
    async fn a_stream_that_breaks_ends_its_mailbox() {
        let (client, server) = tokio::io::duplex(16);
        let mailbox = Mailbox::new(Stream::other(server), 100, Arc::default());
        drop(client);
        let _ = put(&mailbox, b"x");
        mailbox.flush();
        written(&mailbox).await;
        assert_eq!(put(&mailbox, b"x"), Queued::Quiet);
    }
}
