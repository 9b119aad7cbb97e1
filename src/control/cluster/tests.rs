//! The store's scripts against a real store, which each test starts for itself. Where there is no
//! `redis-server` or `valkey-server` they say so and pass, unless `SLUICE_REQUIRE_REDIS` is set.

use super::{
    ledger::{Ask, Ledger},
    store::{Failed, Query, Store},
};
use crate::{guard::Rate, model::checked::Store as Address};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::sleep;

struct Server {
    child: Child,
    address: Address,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A store of its own; `None` where there is none to be had.
fn server() -> Option<Server> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let text = port.to_string();
    let start = |program: &&str| {
        let mut command = Command::new(program);
        command.args(["--port", &text, "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no", "--requirepass", "secret"]);
        command.stdout(Stdio::null()).spawn().ok()
    };
    let child = ["redis-server", "valkey-server"].iter().find_map(start);
    let Some(child) = child else {
        assert!(
            std::env::var_os("SLUICE_REQUIRE_REDIS").is_none(),
            "there is no redis-server"
        );
        eprintln!("SKIPPED: there is no redis-server, and the store's scripts were not tested");
        return None;
    };
    let login = Some(("default".to_owned(), "secret".to_owned()));
    let address = Address {
        host: "127.0.0.1".to_owned(),
        port,
        database: 3,
        login,
    };
    Some(Server { child, address })
}

async fn connect(server: &Server, node: u64) -> Store {
    for _ in 0..500 {
        if let Ok(store) = Store::connect(&server.address, node).await {
            return store;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the store does not answer");
}

fn with_store(test: impl AsyncFnOnce(Server)) {
    let Some(server) = server() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test(server));
}

const fn ask(want: u64, held: u64, back: u64, missing: f64) -> Ask {
    Ask {
        want,
        held,
        back,
        missing,
    }
}

#[test]
fn the_script_keeps_the_books_that_the_model_keeps() {
    with_store(async |server| {
        let mut nodes = [connect(&server, 1).await, connect(&server, 2).await];
        // So slow that no token comes while the test runs, and no answer depends on the clock.
        let rate = Rate::new(0.0001, 100).unwrap();
        let mut model = Ledger::default();
        let steps = [
            (0, ask(60, 0, 0, 0.0)),
            (1, ask(60, 0, 0, 0.0)),
            (0, ask(5, 60, 0, 0.0)),
            (1, ask(0, 10, 20, 0.0)),
            (0, ask(50, 30, 0, 0.0)),
            (1, ask(0, 0, 99, 0.0)),
            (0, ask(3, 0, 7, 0.0)),
            (1, ask(100, 0, 0, 99.5)),
            (0, ask(1, 0, 0, 200.0)),
        ];
        for (number, (node, ask)) in steps.into_iter().enumerate() {
            let query = Query::Tokens {
                key: "t",
                rate,
                ask,
            };
            let found = nodes[node].ask(&[query]).await.unwrap()[0];
            let expected = model.lease(rate, node as u64, ask, 0);
            assert_eq!(found.granted, expected.granted, "step {number}");
            let off = (found.missing - expected.missing).abs();
            assert!(off < 0.1, "step {number}: {found:?}, {expected:?}");
        }
    });
}

#[test]
fn tokens_come_by_the_rate_on_the_clock_of_the_store() {
    with_store(async |server| {
        let mut store = connect(&server, 1).await;
        let rate = Rate::new(1000.0, 100).unwrap();
        let query = |want| {
            [Query::Tokens {
                key: "t",
                rate,
                ask: ask(want, 0, 0, 0.0),
            }]
        };
        assert_eq!(store.ask(&query(1000)).await.unwrap()[0].granted, 100);
        // What was held has been spent by now; it begins to come.
        assert!(store.ask(&query(1000)).await.unwrap()[0].granted <= 50);
        sleep(Duration::from_millis(20)).await;
        let granted = store.ask(&query(1000)).await.unwrap()[0].granted;
        assert!((15..=100).contains(&granted), "{granted}");
    });
}

#[test]
fn blocks_of_a_quota_never_add_up_to_more_than_it() {
    with_store(async |server| {
        let mut nodes = [connect(&server, 1).await, connect(&server, 2).await];
        let query = |want, back| Query::Quota {
            key: "q:key:plan:20000",
            want,
            back,
            limit: 100,
            life: Duration::from_secs(60),
        };
        let mut block = async |node: usize, want, back| {
            let grant = nodes[node].ask(&[query(want, back)]).await.unwrap()[0];
            (grant.granted, grant.missing)
        };
        assert_eq!(block(0, 60, 0).await, (60, 60.0));
        assert_eq!(block(1, 60, 0).await, (40, 100.0));
        assert_eq!(block(0, 1, 0).await, (0, 100.0));
        assert_eq!(block(0, 0, 30).await, (0, 70.0));
        assert_eq!(block(1, 60, 0).await, (30, 100.0));
        // More than was counted cannot be given back.
        assert_eq!(block(0, 0, 500).await, (0, 0.0));
        assert_eq!(block(0, 200, 0).await, (100, 100.0));
    });
}

#[test]
fn nodes_are_counted_and_a_batch_is_answered_in_order() {
    with_store(async |server| {
        let mut one = connect(&server, 1).await;
        let mut two = connect(&server, 2).await;
        let alive = || Query::Alive { key: "nodes" };
        assert_eq!(one.ask(&[alive()]).await.unwrap()[0].granted, 1);
        assert_eq!(two.ask(&[alive(), alive()]).await.unwrap()[1].granted, 2);
        let rate = Rate::new(0.001, 1).unwrap();
        let keys: Vec<String> = (0..2000).map(|n| format!("t{n}")).collect();
        let queries: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(n, key)| Query::Tokens {
                key,
                rate,
                ask: ask(n as u64 % 2, 0, 0, 0.0),
            })
            .collect();
        let grants = one.ask(&queries).await.unwrap();
        let expected = (0..2000).map(|n| n % 2);
        assert!(grants.iter().map(|grant| grant.granted).eq(expected));
    });
}

#[test]
fn what_the_store_refuses_is_told() {
    with_store(async |server| {
        let mut store = connect(&server, 1).await;
        let quota = |key| Query::Quota {
            key,
            want: 1,
            back: 0,
            limit: 1,
            life: Duration::from_secs(60),
        };
        store.ask(&[quota("q")]).await.unwrap();
        let rate = Rate::new(1.0, 1).unwrap();
        let wrong_type = Query::Tokens {
            key: "q",
            rate,
            ask: Ask::default(),
        };
        let failed = store.ask(&[wrong_type]).await.unwrap_err();
        assert!(matches!(failed, Failed::Refused(what) if what.contains("WRONGTYPE")));
        let mut address = server.address.clone();
        address.login = None;
        let failed = Store::connect(&address, 1).await.unwrap_err();
        assert!(matches!(failed, Failed::Refused(what) if what.contains("NOAUTH")));
    });
}
