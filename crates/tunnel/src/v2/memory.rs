//! Ends of a pipe in memory, through which `ohttp` seals and opens chunks without ever waiting.
//!
//! `ohttp` writes chunks to an `AsyncWrite` and reads them from an `AsyncRead`. On a socket it would be hurt by what sockets
//! do: version 0.8 panics where a write fails while it holds bytes back, and takes a length for the end of a message where
//! the two bytes of that length come apart. An [`Outlet`] takes everything at once and never fails; an [`Inlet`] gives
//! whole chunks alone.

use super::{CHUNK, OpenError, message::read_length};
use futures_util::{
    FutureExt,
    io::{AsyncRead, AsyncWrite},
};
use std::{
    collections::VecDeque,
    io::{Read, Result},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

/// A writer of `ohttp`, whose type has no name outside of it.
pub(super) type Writer = Pin<Box<dyn AsyncWrite + Send>>;
/// A reader of `ohttp`, likewise.
pub(super) type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// Bytes of a response nonce for AES-128-GCM: the length of its key, which is longer than its nonce.
const NONCE: usize = 16;
/// Bytes that may wait for the rest of their chunk.
const MOST_WAITING: usize = 2 * CHUNK;

/// Runs a future that has nothing to wait for.
pub(super) fn now<T>(future: impl Future<Output = Result<T>>) -> Option<T> {
    future.now_or_never()?.ok()
}

/// What was written, until it is taken.
#[derive(Clone, Default)]
pub(super) struct Outlet(Arc<Mutex<Vec<u8>>>);

impl Outlet {
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl AsyncWrite for Outlet {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        lock(&self.0).extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What came of a chunked answer and was not read yet.
#[derive(Clone, Default)]
pub(super) struct Inlet(Arc<Mutex<Incoming>>);

#[derive(Default)]
struct Incoming {
    bytes: VecDeque<u8>,
    /// How many of them are whole chunks.
    whole: usize,
    /// Whether the nonce, which comes first, is among the whole ones or was read.
    begun: bool,
    ended: bool,
}

impl Inlet {
    pub(super) fn push(&self, bytes: &[u8]) -> std::result::Result<(), OpenError> {
        let mut incoming = lock(&self.0);
        incoming.bytes.extend(bytes);
        while let Some(chunk) = incoming.next_chunk() {
            incoming.whole += chunk;
            incoming.begun = true;
        }
        if incoming.bytes.len() - incoming.whole > MOST_WAITING { Err(OpenError::TooLong) } else { Ok(()) }
    }

    /// Nothing comes any more. The last chunk, which has no length, is whole now.
    pub(super) fn end(&self) {
        let mut incoming = lock(&self.0);
        incoming.whole = incoming.bytes.len();
        incoming.ended = true;
    }
}

impl Incoming {
    /// Bytes of the chunk behind the whole ones, if all of it is there. The last one never is before the end.
    fn next_chunk(&mut self) -> Option<usize> {
        let rest = &self.bytes.make_contiguous()[self.whole..];
        let chunk = if self.begun {
            let (length, prefix) = read_length(rest).filter(|(length, _)| *length > 0)?;
            usize::try_from(length).ok()?.checked_add(prefix)?
        } else {
            NONCE
        };
        (chunk <= rest.len()).then_some(chunk)
    }
}

impl AsyncRead for Inlet {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let mut incoming = lock(&self.0);
        let most = incoming.whole.min(buffer.len());
        if most == 0 && !incoming.ended {
            // Nobody is woken: whoever pushes more reads afterwards.
            return Poll::Pending;
        }
        let read = incoming.bytes.read(&mut buffer[..most])?;
        incoming.whole -= read;
        Poll::Ready(Ok(read))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
