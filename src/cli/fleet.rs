//! The workers in the control plane's terms: where `worker` and `control` are put together.

use crate::{
    control::{Answers, Fleet, FleetParts, ListenerId},
    model::checked::Driver,
    net::Bound,
    worker::{self, Command, DriverChoice, Handle, Listening, WorkerParts},
};
use std::{
    hash::{BuildHasher, RandomState},
    io,
    sync::Arc,
};
use tokio::sync::oneshot;

/// All workers of this process.
#[derive(Debug)]
struct Workers(Vec<Handle>);

/// Starts the workers, each on a CPU of its own where there are enough. If one cannot be started,
/// none is left.
pub(super) fn launch(parts: FleetParts) -> io::Result<Box<dyn Fleet>> {
    let cpus = worker::usable_cpus();
    let workers = parts.cells.len();
    let driver = match parts.driver {
        Driver::Auto => DriverChoice::Auto,
        Driver::Uring => DriverChoice::Uring,
        Driver::Epoll => DriverChoice::Epoll,
    };
    let mut started = Workers(Vec::with_capacity(workers));
    for (worker, (cells, log)) in parts.cells.into_iter().zip(parts.logs).enumerate() {
        let handle = worker::start(WorkerParts {
            worker,
            workers,
            cpu: cpus.of_worker(worker, workers),
            driver,
            published: Arc::clone(&parts.published),
            cells,
            log,
            reaper: parts.reaper.clone(),
            // The standard library's source of chance: a new state has a random seed.
            seed: RandomState::new().hash_one(worker),
        });
        match handle {
            Ok(handle) => started.0.push(handle),
            Err(error) => {
                started.stop();
                return Err(error);
            }
        }
    }
    Ok(Box::new(started))
}

impl Workers {
    fn ask<T>(&self, command: impl Fn(oneshot::Sender<T>) -> Command) -> Answers<T> {
        self.0
            .iter()
            .map(|worker| {
                let (answer, answered) = oneshot::channel();
                worker.tell(command(answer));
                answered
            })
            .collect()
    }
}

impl Fleet for Workers {
    fn revalidate(&self) -> Answers<u64> {
        self.ask(Command::Revalidate)
    }

    fn listen(&self, id: ListenerId, sockets: Vec<Bound>) -> Answers<()> {
        self.0
            .iter()
            .zip(sockets)
            .map(|(worker, bound)| {
                let (answer, answered) = oneshot::channel();
                worker.tell(Command::Listen(vec![Listening { id, bound }], answer));
                answered
            })
            .collect()
    }

    fn unlisten(&self, ids: &[ListenerId]) -> Answers<()> {
        self.ask(|answer| Command::Unlisten(ids.to_vec(), answer))
    }

    fn drain(&self) {
        self.0.iter().for_each(|worker| worker.tell(Command::Drain));
    }

    fn stop(&self) {
        self.0.iter().for_each(|worker| worker.tell(Command::Stop));
    }

    fn is_finished(&self) -> bool {
        self.0.iter().all(Handle::is_finished)
    }

    fn driver(&self) -> &'static str {
        self.0.first().map_or("none", |worker| worker.driver.name())
    }
}
