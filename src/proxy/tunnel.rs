//! What follows on 101: bytes both ways, unlooked at, until either side is done.

use super::{
    exchange::Rest,
    session::{Session, Trail},
};
use crate::{
    buffer::Buffer,
    error::Error,
    net::{Deadline, ReadHalf, WriteHalf},
};
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

/// One way through a tunnel.
struct Way<'a> {
    from: &'a mut ReadHalf,
    to: &'a mut WriteHalf,
    buffer: &'a mut Buffer,
    /// Passed bytes, for the record.
    passed: &'a Cell<u64>,
}

/// Runs the tunnel until both sides have ended, one has failed, or nothing has come for too long.
/// The end of one side is passed on; the other may still have something to say.
pub(super) async fn run(
    session: &mut Session<'_>,
    trail: &mut Trail<'_>,
    mut rest: Rest,
) -> Result<(), Error> {
    let head_len = session.head.len;
    let mut up_buffer = session.core.buffers.rent();
    up_buffer
        .storage()
        .extend_from_slice(&session.inbound.filled()[head_len..]);
    session.inbound.truncate(head_len);
    let (up_bytes, down_bytes) = (Cell::new(0), Cell::new(rest.relay.written));
    let idle_max = session.timeouts.tunnel_idle;
    let ended = {
        let up = Way {
            from: &mut session.client.read,
            to: &mut rest.origin.stream.write,
            buffer: &mut up_buffer,
            passed: &up_bytes,
        };
        let down = Way {
            from: &mut rest.origin.stream.read,
            to: &mut session.client.write,
            buffer: &mut session.origin_in,
            passed: &down_bytes,
        };
        both(up, down, session.deadline, idle_max).await
    };
    session.core.cells.upstream_closed.add(1);
    trail.request_bytes = up_bytes.get();
    trail.response_bytes = down_bytes.get();
    trail.request_read = true;
    trail.keeps_alive = false;
    ended
}

/// Both ways at once. An error on one ends the other: its connection is closed next anyway.
async fn both(
    up: Way<'_>,
    down: Way<'_>,
    deadline: &Deadline,
    idle_max: Duration,
) -> Result<(), Error> {
    let mut up = pin!(up.run(deadline, idle_max, Error::ClientGone));
    let mut down = pin!(down.run(deadline, idle_max, Error::UpstreamTruncated));
    let (mut up_done, mut down_done) = (false, false);
    poll_fn(|cx| {
        if !up_done && let Poll::Ready(ended) = up.as_mut().poll(cx) {
            up_done = true;
            ended?;
        }
        if !down_done && let Poll::Ready(ended) = down.as_mut().poll(cx) {
            down_done = true;
            ended?;
        }
        if up_done && down_done {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await
}

impl Way<'_> {
    async fn run(self, deadline: &Deadline, idle_max: Duration, gone: Error) -> Result<(), Error> {
        loop {
            if !self.buffer.filled().is_empty() {
                self.passed
                    .set(self.passed.get() + self.buffer.filled().len() as u64);
                self.to.drain(self.buffer).await.map_err(|_| gone)?;
            }
            // One limit for both ways, moved on by whichever passes something.
            deadline.limit(idle_max);
            match self.from.fill(self.buffer, 0).await {
                Ok(0) if deadline.expired() => return Err(gone),
                Ok(0) => {
                    // The peer may be gone already, and then its end is no news to it.
                    let _ = self.to.finish().await;
                    return Ok(());
                }
                Ok(_) => {}
                Err(_) => return Err(gone),
            }
        }
    }
}
