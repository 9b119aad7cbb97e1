//! A connected stream: reads into and writes from rented buffers.
//!
//! TCP and Unix sockets are one type: the kernel's calls are the same, and the hot path has no
//! second case. The two halves can be used at the same time.
//!
//! One `unsafe` line: monoio offers readiness on a whole stream and not on its halves, and without
//! readiness every idle connection would hold a buffer (16 KiB for each, where the rest of an idle
//! connection takes about one).

#![allow(unsafe_code)]

use crate::buffer::Buffer;
use monoio::{
    buf::{IoBuf, IoBufMut, SliceMut},
    io::{
        AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent, OwnedReadHalf,
        OwnedWriteHalf, Splitable,
    },
    net::TcpStream,
};
use nix::sys::socket::{MsgFlags, recv};
use std::{
    io,
    os::fd::{AsRawFd, RawFd},
};

/// How a worker waits for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring
    Uring,
    /// epoll
    Epoll,
}

impl Driver {
    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

/// A connected stream.
#[derive(Debug)]
pub struct Stream {
    /// What the peer sends.
    pub read: ReadHalf,
    /// What the peer gets.
    pub write: WriteHalf,
    fd: RawFd,
}

/// The reading side.
#[derive(Debug)]
pub struct ReadHalf(OwnedReadHalf<TcpStream>);

/// The writing side.
#[derive(Debug)]
pub struct WriteHalf(OwnedWriteHalf<TcpStream>);

impl Stream {
    pub(super) fn new(stream: TcpStream) -> Self {
        let fd = stream.as_raw_fd();
        let (read, write) = stream.into_split();
        Self {
            read: ReadHalf(read),
            write: WriteHalf(write),
            fd,
        }
    }

    /// Takes over a connected socket of the standard library's, Unix ones in a TCP stream's
    /// clothes. The io_uring driver wants it blocking, the epoll driver must have it otherwise.
    pub fn adopt(stream: std::net::TcpStream, driver: Driver) -> io::Result<Self> {
        stream.set_nonblocking(driver == Driver::Epoll)?;
        Ok(Self::new(TcpStream::from_std(stream)?))
    }

    /// The descriptor, for deadlines and a look at the socket's state.
    pub fn fd(&self) -> RawFd {
        self.fd
    }
}

impl ReadHalf {
    /// Waits until there is something to read, an end, or an error. Holds no buffer; may be
    /// dropped at any time.
    pub async fn readable(&mut self) -> io::Result<()> {
        readable(&self.0).await
    }

    /// Reads once into the room behind the filled part, `spare` bytes left alone at the end; the
    /// number of bytes, zero at the end of the stream.
    ///
    /// Not to be dropped before it is done: bytes that had arrived would be lost. A deadline on
    /// the socket ends it.
    pub async fn fill(&mut self, buffer: &mut Buffer, spare: usize) -> io::Result<usize> {
        let slice = room(buffer, spare);
        let (result, slice) = self.0.read(slice).await;
        *buffer.storage() = slice.into_inner();
        result
    }

    /// The same, ended with ECANCELED by `cancel`; no byte is lost then.
    pub async fn fill_or_cancel(
        &mut self,
        buffer: &mut Buffer,
        cancel: CancelHandle,
    ) -> io::Result<usize> {
        let slice = room(buffer, 0);
        let (result, slice) = self.0.cancelable_read(slice, cancel).await;
        *buffer.storage() = slice.into_inner();
        result
    }
}

fn room(buffer: &mut Buffer, spare: usize) -> SliceMut<Vec<u8>> {
    let bytes = std::mem::take(buffer.storage());
    let (from, to) = (bytes.len(), bytes.capacity() - spare);
    bytes.slice_mut(from..to)
}

/// monoio gives readiness on the stream itself only, which its halves share.
async fn readable(half: &OwnedReadHalf<TcpStream>) -> io::Result<()> {
    // SAFETY: the cell lives as long as `half`, and this is one thread. The only `&mut` to the
    // stream are those that monoio's halves make for the length of one call; the caller holds the
    // reading half, and a connection that waits for readiness has no write under way: kept by
    // `proxy/connection.rs`, the only caller.
    let stream = unsafe { &*half.0.get() };
    stream.readable(false).await
}

impl WriteHalf {
    /// Writes the filled part, all of it, and empties the buffer.
    pub async fn drain(&mut self, buffer: &mut Buffer) -> io::Result<()> {
        let (start, end) = (buffer.used(), buffer.storage().len());
        let result = self.write_range(buffer, start, end).await;
        buffer.clear();
        result
    }

    /// Writes the bytes `start..end` of the buffer's storage, all of them. Where the kernel takes
    /// them at once, as it nearly always does, that is one operation.
    pub async fn write_range(
        &mut self,
        buffer: &mut Buffer,
        mut start: usize,
        end: usize,
    ) -> io::Result<()> {
        while start < end {
            let bytes = std::mem::take(buffer.storage());
            let (result, slice) = self.0.write(bytes.slice(start..end)).await;
            *buffer.storage() = slice.into_inner();
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => start += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the peer that nothing more comes.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

/// Whether an idle connection may be used: the peer has neither closed it nor sent anything.
///
/// Cost: one system call.
pub fn is_alive(fd: RawFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    matches!(recv(fd, &mut [0], flags), Err(nix::errno::Errno::EAGAIN))
}
