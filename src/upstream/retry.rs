//! May a failed attempt be made again?
//!
//! Two questions: is it safe (can the origin have acted on the first, and can the request be sent a
//! second time), and is it bearable (attempts and budget). The rules are RFC 9110 §9.2.2 and
//! RFC 9112 §9.3.1; the comments at [`Attempts::next`] go through them.

use super::{Failure, Retry, RetryBudget};
use crate::{clock::Instant, http::Method};

/// How far a failed attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No byte of the request was written to the origin.
    NothingSent,
    /// Some or all of the request was.
    Sent(Body),
    /// Some of the response was written to the client.
    ResponseForwarded,
}

/// Whether the request can be sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It has no body, or all of it stands in a buffer.
    Replayable,
    /// Some of it was streamed and is gone.
    Gone,
}

/// Whence the connection of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It was made for this attempt.
    Fresh,
    /// It came out of a pool, and had carried a request before.
    Reused,
}

/// A failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// How.
    pub failure: Failure,
    /// How far it came.
    pub progress: Progress,
    /// On what connection.
    pub connection: Connection,
    /// The request's method.
    pub method: Method,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Pick another endpoint, this one marked as tried.
    Elsewhere,
    /// The same endpoint, on a connection made for it. Does not speak against the endpoint: not
    /// to be reported to [`super::Upstream::observe`].
    Fresh,
    /// Answer with what there is.
    GiveUp,
    /// The same, and another attempt would have been safe: the budget has none left. A name of its
    /// own, since an operator wants to know of it: the origin is failing more than retries may mend.
    Denied,
}

/// The attempts at one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Attempts that count, the one under way included: at least 1.
    counted: u8,
    /// Attempts on a fresh connection after a reused one had closed: 0 or 1.
    renewed: u8,
}

impl Default for Attempts {
    fn default() -> Self {
        Self::first()
    }
}

impl Attempts {
    /// The first attempt is under way.
    pub const fn first() -> Self {
        Self {
            counted: 1,
            renewed: 0,
        }
    }

    /// All attempts, the one under way included: for the record.
    pub const fn made(self) -> u8 {
        self.counted + self.renewed
    }

    /// Decides what follows on a failed attempt, and counts it if another does.
    ///
    /// The budget is asked only by a retry that adds load: one after the origin was reached, or
    /// may have been. Cost: nothing shared is touched unless the budget is asked.
    pub fn next(
        &mut self,
        failed: Failed,
        retry: &Retry,
        budget: &RetryBudget,
        now: Instant,
    ) -> Next {
        if !is_safe(failed) {
            return Next::GiveUp;
        }
        if self.renewed == 0 && is_stale(failed) {
            // The origin closed while the request was on its way (RFC 9112 §9.3.1). That says
            // nothing about the next attempt, so it costs none; once a request, since a fresh
            // connection that closes is a failure.
            self.renewed = 1;
            return Next::Fresh;
        }
        if self.counted >= retry.attempts {
            return Next::GiveUp;
        }
        // A refused connection reached no application and cost nobody anything, so a second try
        // elsewhere is the first load that the request makes: it needs no budget. A connection
        // that timed out may have been lost in a backlog that is too full, and that is where
        // retries do harm.
        let reached_nobody =
            failed.failure == Failure::Refused && failed.progress == Progress::NothingSent;
        if !reached_nobody && !budget.spend(retry, now) {
            return Next::Denied;
        }
        self.counted += 1;
        Next::Elsewhere
    }
}

/// Whether a second sending has the effect of one.
fn is_safe(failed: Failed) -> bool {
    match (failed.failure, failed.progress) {
        // The origin has answered: its answer is forwarded. And what the client has begun to read
        // cannot be taken back.
        (Failure::Status, _) | (_, Progress::ResponseForwarded | Progress::Sent(Body::Gone)) => {
            false
        }
        (_, Progress::NothingSent) => true,
        // The origin may have acted on it (RFC 9110 §9.2.2).
        (_, Progress::Sent(Body::Replayable)) => failed.method.is_idempotent(),
    }
}

/// Whether the attempt only found that a pooled connection had been closed.
fn is_stale(failed: Failed) -> bool {
    failed.connection == Connection::Reused && failed.failure == Failure::Closed
}

#[cfg(test)]
mod tests {
    use super::{
        Body::{Gone, Replayable},
        Connection::{Fresh, Reused},
        Failure::{Closed, ConnectTimeout, Refused, Status, Timeout},
        Method::{Get, Other, Patch, Post, Put},
        Progress::{NothingSent, ResponseForwarded, Sent},
        *,
    };
    use proptest::prelude::*;

    const ALLOWED: Retry = Retry {
        attempts: 3,
        budget_percent: 0,
        budget_min_per_second: 1,
    };
    const UNBUDGETED: Retry = Retry {
        budget_min_per_second: 0,
        ..ALLOWED
    };
    const ONCE: Retry = Retry {
        attempts: 1,
        ..ALLOWED
    };

    fn failed(
        failure: Failure,
        progress: Progress,
        connection: Connection,
        method: Method,
    ) -> Failed {
        Failed {
            failure,
            progress,
            connection,
            method,
        }
    }

    #[track_caller]
    fn check(failed: Failed, retry: &Retry, expected: Next) {
        let mut attempts = Attempts::first();
        let next = attempts.next(failed, retry, &RetryBudget::default(), Instant::default());
        assert_eq!(next, expected);
        let more = matches!(expected, Next::Elsewhere | Next::Fresh);
        assert_eq!(attempts.made(), 1 + u8::from(more));
    }

    #[test]
    fn nothing_sent_is_safe_for_every_method() {
        for method in Method::ALL {
            check(
                failed(Refused, NothingSent, Fresh, method),
                &ALLOWED,
                Next::Elsewhere,
            );
            check(
                failed(ConnectTimeout, NothingSent, Fresh, method),
                &ALLOWED,
                Next::Elsewhere,
            );
            check(
                failed(Closed, NothingSent, Fresh, method),
                &ALLOWED,
                Next::Elsewhere,
            );
        }
    }

    #[test]
    fn what_was_sent_is_safe_only_if_idempotent_and_whole() {
        check(
            failed(Closed, Sent(Replayable), Fresh, Get),
            &ALLOWED,
            Next::Elsewhere,
        );
        check(
            failed(Timeout, Sent(Replayable), Fresh, Put),
            &ALLOWED,
            Next::Elsewhere,
        );
        check(
            failed(Closed, Sent(Replayable), Fresh, Post),
            &ALLOWED,
            Next::GiveUp,
        );
        check(
            failed(Timeout, Sent(Replayable), Fresh, Patch),
            &ALLOWED,
            Next::GiveUp,
        );
        check(
            failed(Closed, Sent(Replayable), Fresh, Other),
            &ALLOWED,
            Next::GiveUp,
        );
        check(
            failed(Closed, Sent(Gone), Fresh, Put),
            &ALLOWED,
            Next::GiveUp,
        );
        check(
            failed(Closed, ResponseForwarded, Fresh, Get),
            &ALLOWED,
            Next::GiveUp,
        );
        check(
            failed(Closed, ResponseForwarded, Reused, Get),
            &ALLOWED,
            Next::GiveUp,
        );
        check(
            failed(Status, Sent(Replayable), Fresh, Get),
            &ALLOWED,
            Next::GiveUp,
        );
    }

    #[test]
    fn a_stale_connection_costs_no_attempt() {
        check(
            failed(Closed, Sent(Replayable), Reused, Get),
            &ONCE,
            Next::Fresh,
        );
        check(
            failed(Closed, Sent(Replayable), Reused, Get),
            &UNBUDGETED,
            Next::Fresh,
        );
        check(
            failed(Closed, NothingSent, Reused, Post),
            &ONCE,
            Next::Fresh,
        );
        check(
            failed(Closed, Sent(Replayable), Reused, Post),
            &ALLOWED,
            Next::GiveUp,
        );
        check(
            failed(Closed, Sent(Gone), Reused, Put),
            &ALLOWED,
            Next::GiveUp,
        );
        check(
            failed(Timeout, Sent(Replayable), Reused, Get),
            &ALLOWED,
            Next::Elsewhere,
        );
    }

    #[test]
    fn attempts_and_budget_bound() {
        check(
            failed(Refused, NothingSent, Fresh, Get),
            &ONCE,
            Next::GiveUp,
        );
        check(
            failed(Refused, NothingSent, Fresh, Get),
            &UNBUDGETED,
            Next::Elsewhere,
        );
        check(
            failed(ConnectTimeout, NothingSent, Fresh, Get),
            &UNBUDGETED,
            Next::Denied,
        );
        check(
            failed(Closed, Sent(Replayable), Fresh, Get),
            &UNBUDGETED,
            Next::Denied,
        );
        // What may not be tried for another reason was not denied by the budget.
        check(
            failed(Closed, Sent(Replayable), Fresh, Post),
            &UNBUDGETED,
            Next::GiveUp,
        );
    }

    #[test]
    fn a_connection_is_renewed_once() {
        let stale = failed(Closed, Sent(Replayable), Reused, Get);
        let (budget, now) = (RetryBudget::default(), Instant::default());
        let mut attempts = Attempts::first();
        let mut next = || attempts.next(stale, &ALLOWED, &budget, now);
        let all = [next(), next(), next(), next()];
        assert_eq!(
            all,
            [Next::Fresh, Next::Elsewhere, Next::Elsewhere, Next::GiveUp]
        );
        assert_eq!(attempts.made(), 4);
    }

    proptest! {
        #[test]
        fn attempts_are_never_more_than_allowed(
            attempts_max in 1_u8..=5,
            failures in prop::collection::vec((0_usize..5, 0_usize..4, 0_usize..2), 0..20),
        ) {
            let retry = Retry { attempts: attempts_max, budget_percent: 0, budget_min_per_second: 100 };
            let (budget, mut attempts) = (RetryBudget::default(), Attempts::first());
            for (failure, progress, connection) in failures {
                let failed = failed(
                    [Refused, ConnectTimeout, Timeout, Closed, Status][failure],
                    [NothingSent, Sent(Replayable), Sent(Gone), ResponseForwarded][progress],
                    [Fresh, Reused][connection],
                    Get,
                );
                attempts.next(failed, &retry, &budget, Instant::default());
            }
            prop_assert!(attempts.made() <= attempts_max + 1);
        }
    }
}
