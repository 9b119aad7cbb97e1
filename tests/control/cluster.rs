//! Limits that three gateways share by a real store, which is killed and comes back under load.
//!
//! Where there is no `redis-server` or `valkey-server` the tests say so and pass, unless
//! `SLUICE_REQUIRE_REDIS` is set.

use crate::support::{Client, DRIVERS, Gateway, until};
use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Of the limit that is shared.
const RATE: f64 = 200.0;
const BURST: f64 = 100.0;

/// A store that can be killed and brought back at the same address, with nothing in it.
struct Store {
    program: &'static str,
    port: u16,
    child: Option<Child>,
}

impl Store {
    /// `None` where there is none to be had.
    fn start() -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        for program in ["redis-server", "valkey-server"] {
            let child = None;
            let mut store = Self {
                program,
                port,
                child,
            };
            if store.bring_up() {
                return Some(store);
            }
        }
        assert!(
            std::env::var_os("SLUICE_REQUIRE_REDIS").is_none(),
            "there is no redis-server"
        );
        eprintln!("SKIPPED: there is no redis-server, and shared limits were not tested");
        None
    }

    fn bring_up(&mut self) -> bool {
        let mut command = Command::new(self.program);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no"]);
        self.child = command.stdout(Stdio::null()).spawn().ok();
        let up = self.child.is_some();
        let at = SocketAddr::from(([127, 0, 0, 1], self.port));
        if up {
            until("the store", || std::net::TcpStream::connect(at).ok());
        }
        up
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}

fn config(store: &Store, policy: &str) -> String {
    let port = store.port;
    format!(
        "workers: 1
listeners: [{{ address: 127.0.0.1:0 }}]
access_log: off
cluster: {{ valkey: 'redis://127.0.0.1:{port}', on_store_failure: {policy} }}
apis:
  a:
    stages: {{ s: {{}} }}
    routes:
      GET /: {{ integration: {{ type: mock }}, throttle: {{ rate: {RATE}, burst: {BURST} }} }}
"
    )
}

/// A number of a gateway's metrics.
fn metric(gateway: &Gateway, name: &str) -> f64 {
    let page = gateway.text("/metrics");
    let line = page.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// Three gateways that know of each other.
fn gateways(store: &Store, policy: &str) -> [Gateway; 3] {
    let config = config(store, policy);
    let gateways = [0, 1, 0].map(|driver: usize| Gateway::start(DRIVERS[driver], &config));
    for gateway in &gateways {
        until("three nodes", || {
            (metric(gateway, "sluice_cluster_nodes ") == 3.0).then_some(())
        });
    }
    gateways
}

/// What clients saw.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    admitted: f64,
    refused: f64,
    seconds: f64,
}

impl Seen {
    /// The most that a limit admits in that time.
    fn bound(&self) -> f64 {
        RATE * self.seconds + BURST
    }

    fn and(self, other: Self) -> Self {
        Self {
            admitted: self.admitted + other.admitted,
            refused: self.refused + other.refused,
            seconds: self.seconds + other.seconds,
        }
    }
}

/// Each gateway is asked by so many clients, one request after the other, for so long.
#[allow(clippy::disallowed_methods)] // The clock of the program is not the tests'.
fn load(gateways: &[Gateway; 3], clients: [usize; 3], time: Duration) -> Seen {
    let begun = Instant::now();
    let client = |address: SocketAddr| {
        let mut client = Client::connect(address).unwrap();
        let mut seen = Seen::default();
        while begun.elapsed() < time {
            match client.ask("GET", "/").unwrap().status {
                200 => seen.admitted += 1.0,
                429 => seen.refused += 1.0,
                status => panic!("{status}"),
            }
            // Not all of a CPU: the gateways want some.
            thread::sleep(Duration::from_millis(1));
        }
        seen
    };
    let mut total = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (gateway, clients) in gateways.iter().zip(clients) {
            let address = gateway.address(0);
            threads.extend((0..clients).map(|_| scope.spawn(move || client(address))));
        }
        let seen = threads.into_iter().map(|thread| thread.join().unwrap());
        seen.fold(Seen::default(), Seen::and)
    });
    total.seconds = begun.elapsed().as_secs_f64();
    total
}

fn is_up(gateways: &[Gateway; 3], up: bool) {
    for gateway in gateways {
        until("word of the store", || {
            let is = metric(gateway, "sluice_cluster_store_up") == 1.0;
            (is == up).then_some(())
        });
    }
}

const WHILE: Duration = Duration::from_secs(3);

#[test]
fn three_gateways_admit_one_limit_together_and_reach_it() {
    let Some(store) = Store::start() else { return };
    let gateways = gateways(&store, "share");
    for clients in [[2, 1, 1], [2, 0, 0], [0, 1, 2]] {
        let seen = load(&gateways, clients, WHILE);
        eprintln!(
            "shared, {clients:?} clients: {seen:?}, bound {}",
            seen.bound()
        );
        assert!(seen.admitted <= seen.bound(), "{seen:?}");
        assert!(seen.admitted >= 0.8 * RATE * seen.seconds, "{seen:?}");
        assert!(seen.refused > 0.0, "{seen:?}");
    }
    // A reload keeps what was spent.
    assert_eq!(gateways[2].reload().0, 200);
    let seen = load(&gateways, [1, 0, 2], Duration::from_secs(1));
    assert!(seen.admitted <= 1.2 * RATE * seen.seconds, "{seen:?}");
}

#[test]
fn nodes_go_on_with_their_shares_and_share_again() {
    let Some(mut store) = Store::start() else {
        return;
    };
    let gateways = gateways(&store, "share");
    let clients = [1, 1, 1];
    let before = load(&gateways, clients, WHILE);
    store.kill();
    let without = load(&gateways, clients, WHILE);
    is_up(&gateways, false);
    gateways[0].has_said("this node admits its share");
    store.bring_up();
    let after = load(&gateways, clients, WHILE);
    is_up(&gateways, true);
    let all = before.and(without).and(after);
    eprintln!(
        "share: {before:?}, {without:?}, {after:?}, bound {}",
        all.bound()
    );
    assert!(without.admitted >= 0.7 * RATE * without.seconds);
    assert!(after.admitted >= 0.7 * RATE * after.seconds);
    // The empty store is told by the nodes what was spent. Between the loads time passes, too.
    assert!(all.admitted <= all.bound() + 0.5 * RATE, "{all:?}");
    assert!(metric(&gateways[1], "sluice_cluster_alone_tokens_total") > 0.0);
}

#[test]
fn an_open_limit_admits_all_without_the_store() {
    let Some(mut store) = Store::start() else {
        return;
    };
    let gateways = gateways(&store, "open");
    store.kill();
    is_up(&gateways, false);
    let seen = load(&gateways, [1, 1, 1], Duration::from_secs(2));
    assert_eq!(seen.refused, 0.0, "{seen:?}");
    assert!(seen.admitted > 10.0);
    store.bring_up();
    is_up(&gateways, true);
    let seen = load(&gateways, [1, 1, 1], WHILE);
    assert!(seen.admitted <= seen.bound(), "{seen:?}");
}

#[test]
fn a_closed_limit_admits_what_is_at_hand_without_the_store() {
    let Some(mut store) = Store::start() else {
        return;
    };
    let gateways = gateways(&store, "closed");
    store.kill();
    is_up(&gateways, false);
    let seen = load(&gateways, [1, 1, 1], Duration::from_secs(1));
    assert!(seen.admitted <= BURST && seen.admitted > 0.0, "{seen:?}");
    let seen = load(&gateways, [1, 1, 1], Duration::from_secs(1));
    assert_eq!(seen.admitted, 0.0, "{seen:?}");
    store.bring_up();
    is_up(&gateways, true);
    let seen = load(&gateways, [1, 1, 1], WHILE);
    assert!(seen.admitted >= 0.7 * RATE * seen.seconds, "{seen:?}");
    assert!(seen.admitted <= seen.bound(), "{seen:?}");
}
