//! An origin's answer: its head read, written on, and its body begun.
//!
//! It borrows of the session what it needs and no more, so that a request's body can be read from
//! the same client meanwhile.

use super::{
    core::Core,
    exchange::{Plan, of_origin},
    relay::{Broken, From, Relay, Sink, Source, To},
    reply::after_request,
    session::{Session, Trail},
};
use crate::{
    bounds::INTERIM_RESPONSES_MAX,
    buffer::{Buffer, Pool},
    clock,
    error::Error,
    http::{
        After, ChunkedDecoder, Framing, Parsed, RequestHead, ResponseBody, ResponseHead, Version,
        add_lines, write_response,
    },
    net::{Deadline, ReadHalf, WriteHalf},
};
use std::{cell::Cell, rc::Rc, time::Duration};

/// Bytes left free behind what is read, so that a first piece of body can be framed where it lies.
const CHUNK_TAIL: usize = "\r\n".len();

/// The way of a response from an origin to the client.
pub(super) struct Answer<'a> {
    core: &'a Core,
    /// The request's head.
    head: &'a RequestHead,
    /// The protocols that the request asked to change to.
    asked: Option<&'a [u8]>,
    response: &'a mut ResponseHead,
    origin_in: &'a mut Buffer,
    out: &'a mut Buffer,
    client: &'a mut WriteHalf,
    client_deadline: &'a Deadline,
    /// How long the client may take to take a write.
    write_max: Duration,
    request_id: Option<(&'a str, &'a [u8])>,
    /// Whether the request has been written whole. If not when the response's head comes, the
    /// connection ends with it: the rest of the body would be taken for another request.
    request_sent: &'a Cell<bool>,
}

impl<'a> Answer<'a> {
    /// The way back while nothing is read of the client: its one deadline is for what is written.
    pub(super) fn of(
        session: &'a mut Session<'_>,
        plan: &Plan<'a>,
        request_sent: &'a Cell<bool>,
    ) -> Self {
        let deadline = session.deadline;
        Self::split(session, plan, request_sent, deadline).0
    }

    /// The same with a deadline of its own, and what is left of the client: its reading side.
    pub(super) fn split(
        session: &'a mut Session<'_>,
        plan: &Plan<'a>,
        request_sent: &'a Cell<bool>,
        client_deadline: &'a Deadline,
    ) -> (Self, &'a mut ReadHalf, &'a Deadline) {
        let name = plan.snapshot.settings.forwarding.request_id.as_deref();
        let answer = Self {
            core: session.core,
            asked: session.head.upgrade(session.inbound.filled()),
            head: &session.head,
            response: &mut session.response,
            origin_in: &mut session.origin_in,
            out: &mut session.out,
            client: &mut session.client.write,
            client_deadline,
            write_max: session.timeouts.send,
            request_id: name.map(|name| (name, session.request_id.as_bytes())),
            request_sent,
        };
        (answer, &mut session.client.read, session.deadline)
    }

    /// Reads until the final response's head stands at the front of `origin_in`. Interim ones go
    /// on to the client at once. All of it within `limit`, if one is given.
    pub(super) async fn receive(
        &mut self,
        origin: &mut ReadHalf,
        deadline: &Deadline,
        limit: Option<Duration>,
        trail: &mut Trail<'_>,
    ) -> Result<(), Error> {
        if let Some(limit) = limit {
            deadline.limit_read(limit);
        }
        let sent_at = trail.now;
        let mut interims = 0;
        loop {
            let there = !self.origin_in.filled().is_empty();
            if there && self.response.parse(self.origin_in.filled())? == Parsed::Complete {
                if !self.response.is_interim() {
                    break;
                }
                interims += 1;
                if interims > INTERIM_RESPONSES_MAX {
                    return Err(Error::UpstreamMalformed);
                }
                self.forward_interim(trail).await?;
                continue;
            }
            self.origin_in.compact();
            if self.origin_in.room() <= CHUNK_TAIL {
                return Err(Error::UpstreamMalformed);
            }
            match origin.fill(self.origin_in, CHUNK_TAIL).await {
                Ok(0) if deadline.expired() => return Err(Error::UpstreamTimeout),
                Ok(0) | Err(_) => return Err(Error::UpstreamClosed),
                Ok(_) => {}
            }
        }
        deadline.clear();
        trail.now = clock::now();
        trail.integration_latency = Some(trail.now.since(sent_at));
        trail.integration_status = Some(self.response.status);
        let buffer = self.origin_in.filled();
        if self.response.status == 101 && !self.response.changes_to(self.asked, buffer) {
            return Err(Error::UpstreamMalformed);
        }
        Ok(())
    }

    /// A 1xx response. HTTP/1.0 has none, and a client that did not wait for `100` gets none.
    async fn forward_interim(&mut self, trail: &mut Trail<'_>) -> Result<(), Error> {
        let unasked = self.response.status == 100 && !self.head.expects_continue();
        if self.head.version == Version::Http11 && !unasked {
            self.out.ensure();
            let buffer = self.origin_in.filled();
            let out = self.out.storage();
            write_response(
                out,
                self.response,
                buffer,
                Framing::Unsaid,
                After::KeepAlive,
                b"",
                None,
            );
            trail.response_bytes += out.len() as u64;
            self.client_deadline.limit(self.write_max);
            let written = self.client.drain(self.out).await;
            self.client_deadline.clear();
            written.map_err(|_| Error::ClientGone)?;
        }
        self.origin_in.consume(self.response.len);
        self.response.reset();
        Ok(())
    }

    /// Writes the final head and as much of the body as has come, in one write where it fits.
    pub(super) async fn begin(&mut self, trail: &mut Trail<'_>) -> Result<Relay, Error> {
        let http11 = self.head.version == Version::Http11;
        let of_unknown_length = if http11 {
            (Sink::Chunked, Framing::Chunked)
        } else {
            (Sink::Plain, Framing::Unsaid)
        };
        let body = self.response.body(self.head.method);
        let (source, (sink, framing)) = match body {
            ResponseBody::None => (Source::Length(0), (Sink::Plain, Framing::Unsaid)),
            ResponseBody::Length(length) => (
                Source::Length(length),
                (Sink::Plain, Framing::Length(length)),
            ),
            ResponseBody::Chunked => (
                Source::Chunked(ChunkedDecoder::default()),
                of_unknown_length,
            ),
            ResponseBody::UntilClose => (Source::UntilClose, of_unknown_length),
        };
        let ends_with_close =
            !http11 && matches!(body, ResponseBody::Chunked | ResponseBody::UntilClose);
        let lives = self.request_sent.get() && !ends_with_close && !self.core.is_draining();
        let after = match self.response.status {
            101 => After::Upgrade,
            _ => after_request(self.head, lives),
        };
        let date = self.core.date(trail.now);
        self.out.ensure();
        let buffer = self.origin_in.filled();
        let out = self.out.storage();
        write_response(
            out,
            self.response,
            buffer,
            framing,
            after,
            &date,
            self.request_id,
        );
        if let Some(side) = trail.side.filter(|side| !side.field_line.is_empty()) {
            add_lines(out, &side.field_line);
        }
        if let Some(allowance) = &trail.allowance {
            allowance.add_to_head(out, &mut self.core.scratch.borrow_mut());
        }
        self.origin_in.consume_in_place(self.response.len);

        trail.status = self.response.status;
        trail.head_sent = true;
        trail.keeps_alive = !matches!(after, After::Close | After::Upgrade);
        let mut relay = Relay::new(source, sink);
        let mut to = To {
            half: self.client,
            deadline: self.client_deadline,
            write_max: self.write_max,
            until: None,
            output: self.out,
        };
        match relay.flush(self.origin_in, &mut to).await {
            Ok(()) => Ok(relay),
            // What came with the head was no body: nothing has been written, so it can be said.
            Err(Broken::Malformed) => {
                trail.head_sent = false;
                self.out.clear();
                Err(Error::UpstreamMalformed)
            }
            Err(broken) => Err(of_origin(broken)),
        }
    }

    /// Relays the rest of the body.
    pub(super) async fn relay_all(
        &mut self,
        relay: &mut Relay,
        origin: &mut ReadHalf,
        deadline: &Deadline,
        plan: &Plan<'_>,
        buffers: &Rc<Pool>,
    ) -> Result<(), Error> {
        let mut from = From {
            half: origin,
            deadline,
            silence_max: plan.upstream.settings.timeouts.between_bytes,
            until: plan.until,
            input: self.origin_in,
        };
        let mut to = To {
            half: self.client,
            deadline: self.client_deadline,
            write_max: self.write_max,
            until: None,
            output: self.out,
        };
        relay
            .run(&mut from, &mut to, buffers)
            .await
            .map_err(of_origin)
    }
}
