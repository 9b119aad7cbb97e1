//! What a client's connection lives through: slow heads, half-closed clients, tunnels, drains.

use super::{
    OK, carries_on,
    client::Client,
    config, gateway, on_both_drivers,
    origin::{After, Origin},
};
use crate::support::{DRIVERS, Gateway, until};

#[test]
fn a_head_may_come_byte_by_byte() {
    on_both_drivers(
        || Origin::saying(OK),
        |_, address| {
            let mut client = Client::connect(address);
            for byte in b"\r\nGET /mock HTTP/1.1\r\nHost: a\r\n\r\n" {
                client.send([*byte]);
            }
            assert_eq!(client.response().expect("an answer").text(), "mocked");
            assert!(carries_on(&mut client));
        },
    );
}

#[test]
fn slow_clients_are_ended_in_time() {
    for driver in DRIVERS {
        let origin = Origin::start(|asked| {
            asked.body(10);
            asked.say(OK);
            After::Keep
        });
        let top = "timeouts: { head: 1s, body: 1s, idle: 1s, send: 1s }";
        let gateway = gateway(driver, &[origin.address], "", top);
        let address = gateway.address(0);

        let mut head = Client::connect(address);
        head.send("GET /mock HTTP/1.1\r\nHo");
        let response = head.response().expect("an answer");
        assert_eq!(response.text(), "{\"message\":\"Request Timeout\"}");
        assert_eq!(response.status, 408);
        assert!(head.is_closed());

        let mut body = Client::connect(address);
        body.send("POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
        assert_eq!(body.response().expect("an answer").status, 408);
        assert!(body.is_closed());

        let mut idle = Client::connect(address);
        assert!(
            idle.is_closed(),
            "an idle connection is closed without a word"
        );
        let mut idle = Client::connect(address);
        assert!(carries_on(&mut idle));
        assert!(idle.is_closed(), "also after a request");
    }
}

#[test]
fn a_half_closed_client_gets_its_answer() {
    on_both_drivers(
        || {
            Origin::start(|asked| {
                let body = asked.body(5);
                asked.say(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
                    String::from_utf8_lossy(&body)
                ));
                After::Keep
            })
        },
        |_, address| {
            let mut client = Client::connect(address);
            client
                .send("POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
                .finish();
            assert_eq!(client.response().expect("an answer").text(), "hello");
            assert!(client.is_closed());
            let mut client = Client::connect(address);
            client
                .send("POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
                .finish();
            assert!(client.response().is_none(), "half a body is no request");
        },
    );
}

#[test]
fn connections_wake_from_their_sleep() {
    // More than a worker keeps buffers for.
    const CONNECTIONS: usize = 200;
    for driver in DRIVERS {
        let origin = Origin::saying(OK);
        let gateway = gateway(driver, &[origin.address], "", "");
        let mut clients: Vec<Client> = (0..CONNECTIONS)
            .map(|_| Client::connect(gateway.address(0)))
            .collect();
        for client in &mut clients {
            assert!(carries_on(client));
        }
        let gauge = |name: &str| {
            let metrics = gateway.text("/metrics");
            let line = metrics
                .lines()
                .find_map(|line| line.strip_prefix(name).map(str::trim));
            line.and_then(|number| number.parse::<usize>().ok())
                .expect("the gauge")
        };
        until("sleep", || {
            (gauge("sluice_connections_asleep ") >= 50).then_some(())
        });
        // One that falls asleep is neither for a moment.
        until("all idle", || {
            (gauge("sluice_connections_idle ") == CONNECTIONS).then_some(())
        });
        for client in &mut clients {
            client.send("GET /o/x HTTP/1.1\r\nHo");
            client.send("st: a\r\n\r\n");
            assert_eq!(client.response().expect("an answer").text(), "ok");
            assert!(carries_on(client));
        }
    }
}

#[test]
fn clients_cannot_take_every_descriptor() {
    for driver in DRIVERS {
        let origin = Origin::saying(OK);
        let config = config(&[origin.address], "", "");
        let gateway = Gateway::start_limited(driver, &config, 100);
        let mut clients: Vec<Client> = (0..150)
            .map(|_| Client::connect(gateway.address(0)))
            .collect();
        for client in clients.iter_mut().take(20) {
            client.send("GET /o/x HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().expect("an answer").status, 200);
        }
        clients.drain(..125);
        // Who waited in the backlog is served when others have gone.
        for client in &mut clients {
            assert!(carries_on(client));
        }
    }
}

#[test]
fn a_tunnel_carries_both_ways_and_ends_with_either_side() {
    on_both_drivers(
        || {
            Origin::start(|asked| {
                assert!(
                    asked
                        .head
                        .to_ascii_lowercase()
                        .contains("upgrade: websocket")
                );
                asked.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst");
                let said = asked.body_until(b"!");
                asked.say(&said);
                After::Close
            })
        },
        |_, address| {
            let mut client = Client::connect(address);
            client.send(
                "GET /o/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Key: x\r\n\r\n",
            );
            let head = client.head().expect("an answer").to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 101 "), "{head}");
            assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
            assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
            assert_eq!(client.read_until(b"first"), Some(b"first".to_vec()));
            client.send("hello").send(" there!");
            assert_eq!(client.read_until(b"!"), Some(b"hello there!".to_vec()));
            assert!(client.is_closed());
        },
    );
}

#[test]
fn an_origin_changes_to_no_protocol_that_nobody_asked_for() {
    for chosen in ["Upgrade: h2c\r\n", "Upgrade: websocket, h2c\r\n", ""] {
        on_both_drivers(
            || {
                Origin::saying(format!(
                    "HTTP/1.1 101 Switching Protocols\r\n{chosen}Connection: upgrade\r\n\r\n"
                ))
            },
            |_, address| {
                let mut client = Client::connect(address);
                client.send(
                    "GET /o/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
                     Upgrade: websocket\r\n\r\n",
                );
                assert_eq!(
                    client.response().expect("an answer").status,
                    502,
                    "{chosen}"
                );
                assert!(carries_on(&mut client));
            },
        );
    }
}

#[test]
fn without_101_there_is_no_tunnel() {
    on_both_drivers(
        || Origin::saying(OK),
        |origin, address| {
            let mut client = Client::connect(address);
            client.send(
                "GET /o/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
                 GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
            );
            assert_eq!(client.response().expect("an answer").status, 200);
            assert_eq!(client.response().expect("an answer").status, 404);
            origin.next_head();
            assert!(
                !origin.was_asked(),
                "what stood behind the upgrade went to the origin"
            );
        },
    );
}
