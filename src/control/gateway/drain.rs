//! The end: finish what is in flight, within a deadline; at a second signal, end at once.

use super::{Gateway, Phase, Signals, answered, listeners};
use std::time::Duration;
use tokio::time::{interval, sleep, timeout};

/// How often it looks whether the last connection has ended.
const LOOK: Duration = Duration::from_millis(10);

/// How long workers may take to end once they are told to, and the log to be written out.
const END_WAIT: Duration = Duration::from_secs(2);

impl Gateway {
    /// Drains, then ends the workers and writes the log out.
    pub(super) async fn end(mut self, mut signals: Signals) {
        self.shared.tell(|status| status.phase = Phase::Draining);
        // Who waits for an order is told by its answer's end that it will not be obeyed.
        self.orders.close();
        while self.orders.try_recv().is_ok() {}
        let within = self.checked.timeouts.drain;
        tracing::info!("draining; connections open: {}", self.connections());
        tokio::select! {
            // Read first, so that a signal that comes in the same turn is not overlooked.
            biased;
            _ = signals.terminate.recv() => tracing::warn!("told to end at once"),
            _ = signals.interrupt.recv() => tracing::warn!("told to end at once"),
            () = sleep(within) => self.say_deadline(),
            () = self.drained() => tracing::info!("drained"),
        }
        self.probes.stop();
        self.fleet.stop();
        let ended = async {
            let mut look = interval(LOOK);
            while !self.fleet.is_finished() {
                look.tick().await;
            }
        };
        if timeout(END_WAIT, ended).await.is_err() {
            tracing::warn!("a worker does not end; it is left to the end of the process");
        }
        // On a thread of its own it would be cut off by the process's end.
        self.keeper.end();
        for open in self.listeners.open() {
            listeners::remove_file(&open.local);
        }
        if let Some(admin) = &self.begun.admin {
            listeners::remove_file(&listeners::listen_address(admin));
        }
        self.shared.log().flush(END_WAIT);
    }

    /// Stops listening and waits for the last connection's end. May be dropped at any time.
    async fn drained(&self) {
        let ids: Vec<_> = self.listeners.open().iter().map(|open| open.id).collect();
        answered(self.fleet.unlisten(&ids)).await;
        self.fleet.drain();
        let mut look = interval(LOOK);
        while self.connections() > 0 && !self.fleet.is_finished() {
            look.tick().await;
        }
    }

    fn say_deadline(&self) {
        let open = self.connections();
        if open > 0 {
            tracing::warn!("the time to drain is over; connections cut off: {open}");
        }
    }

    fn connections(&self) -> u64 {
        let cells = self.shared.cells.iter();
        cells.map(|cells| cells.connections_open.read()).sum()
    }
}
