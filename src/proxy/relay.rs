//! Bodies on their way through: read, freed of the sender's framing, framed anew, written.
//!
//! The same relay serves both directions. What is read is written before more is read, so a slow
//! reader slows its sender down and nothing piles up: a body of any length passes through one
//! buffer. What fits goes out in one write with the head before it. It gives nothing of the
//! sender's framing on, so that no two readers of it can differ.

use crate::{
    bounds::LONG_BODY_BYTES,
    buffer::{Buffer, Pool},
    clock::{self, Instant},
    error::Error,
    http::{CHUNK_SIZE_ROOM, ChunkedDecoder, write_chunk_size},
    net::{Deadline, ReadHalf, WriteHalf},
};
use std::{io, rc::Rc, time::Duration};

/// How the body ends where it comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked(ChunkedDecoder),
    /// With the connection.
    UntilClose,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    /// As it is: a length was told, or the connection's end ends it.
    Plain,
    /// In chunks.
    Chunked,
}

/// Why a body did not arrive whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The sender ended or reset the connection.
    Ended,
    /// The sender was silent for too long, or the time for the whole body is up.
    Silent,
    /// The sender's chunks are malformed.
    Malformed,
    /// The body is longer than it may be.
    TooLarge,
    /// The receiver takes no more.
    Unwritable,
}

/// One side that is read, and how long it may be silent.
pub(super) struct From<'a> {
    pub(super) half: &'a mut ReadHalf,
    pub(super) deadline: &'a Deadline,
    pub(super) silence_max: Duration,
    /// When the body must have ended, silent or not.
    pub(super) until: Option<Instant>,
    /// What has been read of it; what follows the body is left in it.
    pub(super) input: &'a mut Buffer,
}

/// How long the next step may take: at most `max`, and nothing at all once it is past `until`.
fn patience(max: Duration, until: Option<Instant>) -> Duration {
    until.map_or(max, |until| max.min(until.since(clock::now())))
}

/// One side that is written, and how long it may take to take what it is given.
pub(super) struct To<'a> {
    pub(super) half: &'a mut WriteHalf,
    pub(super) deadline: &'a Deadline,
    pub(super) write_max: Duration,
    /// When the body must have ended, written or not.
    pub(super) until: Option<Instant>,
    /// What goes before the body: the head.
    pub(super) output: &'a mut Buffer,
}

/// A body under way.
#[derive(Debug)]
pub(super) struct Relay {
    source: Source,
    sink: Sink,
    /// Bytes of data that have passed.
    pub(super) bytes: u64,
    /// Bytes of data that may pass.
    bytes_max: u64,
    /// Bytes written, heads and framing included.
    pub(super) written: u64,
    done: bool,
    /// The sender's connection ends with the body.
    until_close: bool,
}

/// What a step found in the input.
struct Taken {
    /// Bytes of data, at the front of the input.
    data: usize,
    /// Bytes of the input that they came from.
    consumed: usize,
    /// Whether the body ends with them.
    last: bool,
}

/// Bytes around the data of one chunk: its size line and its CRLF.
const CHUNK_FRAME: usize = CHUNK_SIZE_ROOM + 2;

impl Relay {
    pub(super) fn new(source: Source, sink: Sink) -> Self {
        Self {
            until_close: matches!(source, Source::UntilClose),
            source,
            sink,
            bytes: 0,
            bytes_max: u64::MAX,
            written: 0,
            done: false,
        }
    }

    /// The same with a bound on the data: for requests, whose chunks tell no length beforehand.
    pub(super) fn limited(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Whether the body has been read and written whole.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the sender's connection ended, or ends, with the body.
    pub(super) fn ended_with_close(&self) -> bool {
        self.until_close
    }

    /// Writes the output and what the input already holds of the body; nothing is read. The fast
    /// way of a short body: one write.
    pub(super) async fn flush(
        &mut self,
        input: &mut Buffer,
        to: &mut To<'_>,
    ) -> Result<(), Broken> {
        let taken = self.take(input)?;
        self.emit(input, &taken, to).await?;
        if taken.last {
            input.consume(taken.consumed);
        } else {
            // Before its end, a body is all that there is.
            input.clear();
        }
        // Not before it is written and out of the input: what a done body leaves there is the
        // next message, and data must never be taken for one.
        self.done = taken.last;
        Ok(())
    }

    /// Relays until the body ends. Never dropped half-way but to close both sides.
    pub(super) async fn run(
        &mut self,
        from: &mut From<'_>,
        to: &mut To<'_>,
        buffers: &Rc<Pool>,
    ) -> Result<(), Broken> {
        while !self.done {
            self.make_room(from.input, buffers);
            let patience = patience(from.silence_max, from.until);
            // A deadline that has passed would still be met by a sender that is never silent for
            // as long as a tick.
            if patience.is_zero() {
                return Err(Broken::Silent);
            }
            from.deadline.limit_read(patience);
            let read = from.half.fill(from.input, self.tail_room()).await;
            let expired = from.deadline.expired();
            from.deadline.clear();
            match read {
                Ok(0) if expired => return Err(Broken::Silent),
                Ok(0) if matches!(self.source, Source::UntilClose) => {
                    self.source = Source::Length(0);
                }
                Ok(0) | Err(_) => return Err(Broken::Ended),
                Ok(_) => {}
            }
            self.flush(from.input, to).await?;
        }
        Ok(())
    }

    /// Takes what the input holds of the body.
    fn take(&mut self, input: &mut Buffer) -> Result<Taken, Broken> {
        let there = input.filled().len();
        let taken = match &mut self.source {
            Source::Length(left) => {
                let data = (*left).min(there as u64) as usize;
                *left -= data as u64;
                Taken {
                    data,
                    consumed: data,
                    last: *left == 0,
                }
            }
            Source::UntilClose => Taken {
                data: there,
                consumed: there,
                last: false,
            },
            Source::Chunked(decoder) => {
                let decoded = decoder
                    .decode(input.filled_mut())
                    .map_err(|_: Error| Broken::Malformed)?;
                Taken {
                    data: decoded.data,
                    consumed: decoded.consumed,
                    last: decoder.is_done(),
                }
            }
        };
        self.bytes += taken.data as u64;
        if self.bytes > self.bytes_max {
            return Err(Broken::TooLarge);
        }
        Ok(taken)
    }

    /// Writes the output and the data taken. What fits behind the output goes with it.
    async fn emit(
        &mut self,
        input: &mut Buffer,
        taken: &Taken,
        to: &mut To<'_>,
    ) -> Result<(), Broken> {
        let trailers = self.trailers_len();
        let fits = taken.data + CHUNK_FRAME + trailers <= to.output.room();
        let has_output = !to.output.filled().is_empty();
        if fits && (has_output || taken.last && self.sink == Sink::Chunked) {
            self.append(to.output, &input.filled()[..taken.data]);
            if taken.last {
                self.append_end(to.output);
            }
            return self.write_output(to).await;
        }
        if taken.data > 0 {
            self.emit_in_place(input, taken, to).await?;
        }
        if taken.last {
            self.append_end(to.output);
        }
        self.write_output(to).await
    }

    /// Writes the data from where it lies, its frame around it.
    async fn emit_in_place(
        &mut self,
        input: &mut Buffer,
        taken: &Taken,
        to: &mut To<'_>,
    ) -> Result<(), Broken> {
        let mut start = input.used();
        let mut end = start + taken.data;
        if self.sink == Sink::Chunked {
            let mut line = [0; CHUNK_SIZE_ROOM];
            let length = write_chunk_size(&mut line, taken.data);
            match input.room_before::<CHUNK_SIZE_ROOM>() {
                Some(room) if to.output.filled().is_empty() => {
                    room.copy_from_slice(&line);
                    start -= length;
                }
                _ => to
                    .output
                    .storage()
                    .extend_from_slice(&line[CHUNK_SIZE_ROOM - length..]),
            }
        }
        self.write_output(to).await?;
        if self.sink == Sink::Chunked && !taken.last {
            // All of the input has been read, so what lies behind the data is spent framing.
            input.truncate(taken.data);
            input.storage().extend_from_slice(b"\r\n");
            end += 2;
        }
        to.deadline.limit(patience(to.write_max, to.until));
        let result = to.half.write_range(input, start, end).await;
        to.deadline.clear();
        self.written += (end - start) as u64;
        if self.sink == Sink::Chunked && taken.last {
            // What follows the body lies where the CRLF would go: it goes with the end.
            to.output.storage().extend_from_slice(b"\r\n");
        }
        result.map_err(|_: io::Error| Broken::Unwritable)
    }

    /// Appends the data.
    fn append(&self, output: &mut Buffer, data: &[u8]) {
        let out = output.storage();
        match self.sink {
            Sink::Plain => out.extend_from_slice(data),
            Sink::Chunked if data.is_empty() => {}
            Sink::Chunked => {
                let mut line = [0; CHUNK_SIZE_ROOM];
                let length = write_chunk_size(&mut line, data.len());
                out.extend_from_slice(&line[CHUNK_SIZE_ROOM - length..]);
                out.extend_from_slice(data);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn append_end(&self, output: &mut Buffer) {
        if self.sink == Sink::Chunked {
            let out = output.storage();
            out.extend_from_slice(b"0\r\n");
            if let Source::Chunked(decoder) = &self.source {
                out.extend_from_slice(decoder.trailers());
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    fn trailers_len(&self) -> usize {
        const LAST_CHUNK: usize = "0\r\n\r\n".len();
        match &self.source {
            Source::Chunked(decoder) => decoder.trailers().len() + LAST_CHUNK,
            Source::Length(_) | Source::UntilClose => LAST_CHUNK,
        }
    }

    async fn write_output(&mut self, to: &mut To<'_>) -> Result<(), Broken> {
        let length = to.output.filled().len();
        if length == 0 {
            return Ok(());
        }
        to.deadline.limit(patience(to.write_max, to.until));
        let result = to.half.drain(to.output).await;
        to.deadline.clear();
        self.written += length as u64;
        result.map_err(|_: io::Error| Broken::Unwritable)
    }

    /// An empty input, with room for a chunk's frame, large where the body has shown to be long.
    fn make_room(&self, input: &mut Buffer, buffers: &Rc<Pool>) {
        let is_large = input.capacity() >= crate::bounds::BUFFER_LARGE_BYTES;
        if !is_large && self.bytes >= LONG_BODY_BYTES {
            *input = buffers.rent_large();
        }
        match self.sink {
            Sink::Plain => input.clear(),
            Sink::Chunked => input.clear_with_room(CHUNK_SIZE_ROOM),
        }
    }

    /// Bytes to leave free behind what is read: for a chunk's CRLF.
    const fn tail_room(&self) -> usize {
        match self.sink {
            Sink::Plain => 0,
            Sink::Chunked => 2,
        }
    }
}
