//! Reload: what changes, what stays, and what is refused.

use super::config;
use crate::support::{Client, DRIVERS, Gateway, Origin, Reply, Signal, get, until};

fn gateway(driver: &str) -> (Origin, Gateway) {
    let origin = Origin::start(|_| Reply::with(200, "origin"));
    let gateway = Gateway::start(driver, &config("one", origin.address));
    (origin, gateway)
}

#[test]
fn a_kept_connection_sees_the_new_configuration_at_its_next_request() {
    for driver in DRIVERS {
        let (origin, gateway) = gateway(driver);
        let mut client = Client::connect(gateway.address(0)).unwrap();
        assert_eq!(client.ask("GET", "/version").unwrap().body, "one");
        gateway.configure(&config("two", origin.address));
        assert_eq!(client.ask("GET", "/version").unwrap().body, "one");
        let (status, message) = gateway.reload();
        assert_eq!(status, 200);
        assert!(
            message.starts_with("generation 2 live on 2/2 workers in "),
            "{message}"
        );
        assert_eq!(client.ask("GET", "/version").unwrap().body, "two");
    }
}

#[test]
fn sighup_reloads_too() {
    let (origin, gateway) = gateway("auto");
    gateway.configure(&config("two", origin.address));
    gateway.signal(Signal::SIGHUP);
    gateway.has_said("generation 2 live on 2/2 workers");
    assert_eq!(get(gateway.address(0), "/version").unwrap().body, "two");
}

#[test]
fn a_broken_configuration_leaves_what_runs() {
    for driver in DRIVERS {
        let (origin, gateway) = gateway(driver);
        let good = config("two", origin.address);
        gateway.configure(&good.replace("type: mock", "type: mok"));
        let (status, message) = gateway.reload();
        assert_eq!(status, 422);
        assert!(message.contains("sluice.yaml:12:"), "{message}");
        gateway.configure(&good.replacen("127.0.0.1:0", "192.0.2.1:80", 1));
        let (status, message) = gateway.reload();
        assert_eq!(status, 409);
        assert!(
            message.contains("cannot listen on 192.0.2.1:80"),
            "{message}"
        );
        gateway.configure(&good.replace("access.log", "no/such/folder"));
        assert_eq!(gateway.reload().0, 409);
        std::fs::remove_file(gateway.folder.join("sluice.yaml")).unwrap();
        assert_eq!(gateway.reload().0, 422);
        assert_eq!(get(gateway.address(0), "/version").unwrap().body, "one");
        gateway.configure(&good);
        assert!(gateway.reload().1.starts_with("generation 2 "));
        assert_eq!(get(gateway.address(0), "/version").unwrap().body, "two");
    }
}

#[test]
fn listeners_come_and_go() {
    for driver in DRIVERS {
        let (origin, gateway) = gateway(driver);
        let socket = gateway.folder.join("in.sock");
        let first = gateway.address(0);
        let one = config("one", origin.address);
        let both = format!(
            "{{ address: 127.0.0.1:0 }}, {{ address: 'unix:{}' }}",
            socket.display()
        );
        gateway.configure(&one.replacen("{ address: 127.0.0.1:0 }", &both, 1));
        assert_eq!(gateway.reload().0, 200);
        assert_eq!(
            gateway.address(0),
            first,
            "a listener that stays is not bound again"
        );
        let mut local = Client::connect_unix(&socket).unwrap();
        assert_eq!(local.ask("GET", "/version").unwrap().body, "one");
        gateway.configure(&one);
        assert_eq!(gateway.reload().0, 200);
        assert!(!socket.exists());
        assert_eq!(get(first, "/version").unwrap().body, "one");
        // Another one takes the place of the first, whose connections go on.
        let mut kept = Client::connect(first).unwrap();
        assert_eq!(kept.ask("GET", "/version").unwrap().body, "one");
        gateway.configure(&one.replacen("127.0.0.1:0", "127.0.0.2:0", 1));
        assert_eq!(gateway.reload().0, 200);
        assert_eq!(get(gateway.address(0), "/version").unwrap().body, "one");
        assert_eq!(kept.ask("GET", "/version").unwrap().body, "one");
        until("the refusal of connections", || {
            Client::connect(first).is_err().then_some(())
        });
    }
}

#[test]
fn what_needs_a_restart_is_said() {
    let (origin, gateway) = gateway("auto");
    let changed = config("two", origin.address).replace("workers: 2", "workers: 3");
    gateway.configure(&changed.replace(
        "admin: { address: 127.0.0.1:0",
        "admin: { address: 127.0.0.2:0",
    ));
    let (status, message) = gateway.reload();
    assert_eq!(status, 200);
    assert!(
        message.contains("(changed, but needs a restart: workers, admin)"),
        "{message}"
    );
    assert_eq!(get(gateway.address(0), "/version").unwrap().body, "two");
}

#[test]
fn a_limit_is_not_refilled_by_a_reload() {
    let (origin, gateway) = gateway("auto");
    let limited = config("one", origin.address).replace(
        "GET /version: {",
        "GET /version: { throttle: { rate: 0.001, burst: 2 },",
    );
    gateway.configure(&limited);
    assert_eq!(gateway.reload().0, 200);
    let status = || get(gateway.address(0), "/version").unwrap().status;
    assert_eq!([status(), status(), status()], [200, 200, 429]);
    gateway.configure(&limited.replace("body: one", "body: two"));
    assert_eq!(gateway.reload().0, 200);
    assert_eq!(status(), 429);
}

#[test]
fn many_reloads_lose_no_request() {
    for driver in DRIVERS {
        let (_origin, gateway) = gateway(driver);
        let address = gateway.address(0);
        let over = std::sync::atomic::AtomicBool::new(false);
        let over = &over;
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let mut client = Client::connect(address).unwrap();
                        let mut served = 0;
                        while !over.load(std::sync::atomic::Ordering::Relaxed) {
                            assert_eq!(client.ask("GET", "/x").unwrap().body, "origin");
                            served += 1;
                        }
                        served
                    })
                })
                .collect();
            for generation in 2..52 {
                let (_, message) = gateway.reload();
                let expected = format!("generation {generation} live on 2/2");
                assert!(message.starts_with(&expected), "{message}");
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            for client in clients {
                assert!(client.join().unwrap() > 0);
            }
        });
    }
}
