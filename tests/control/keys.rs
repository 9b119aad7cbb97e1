//! API keys, usage plans and quotas: who is let in, what is counted, and what a crash leaves.

use crate::support::{Client, DRIVERS, Gateway, Signal, get, until};
use serde_json::{Value, json};
use std::{net::SocketAddr, thread};

const CONFIG: &str = "workers: 2
listeners: [{ address: 127.0.0.1:0 }]
access_log: { path: access.log, format: $context.identity.apiKeyId $context.sluice.usagePlan $context.status $context.error.responseType }
apis:
  a:
    compat: rest_api
    stages: { prod: {}, dev: {} }
    routes:
      GET /open: { integration: { type: mock, body: open } }
      GET /v: { integration: { type: mock, body: ok }, api_key_required: true }
  b:
    api_key: { query: key }
    routes:
      GET /v: { integration: { type: mock, body: b }, api_key_required: true }
domains:
  '*': { /prod: { api: a, stage: prod }, /dev: { api: a, stage: dev }, /b: { api: b } }
usage_plans:
  gold: { stages: [{ api: a, stage: prod }], quota: { limit: 1000000, period: month } }
  small: { stages: [{ api: a, stage: dev }], quota: { limit: 3, period: day } }
  other: { stages: [{ api: a, stage: prod }, { api: b }] }
";

/// Gives an order that must succeed; its page.
#[track_caller]
fn done(gateway: &Gateway, path: &str, body: Value) -> Value {
    let (status, page) = gateway.order(path, &body).unwrap();
    assert_eq!(status, 200, "{path}: {page}");
    page
}

#[track_caller]
fn refused(gateway: &Gateway, path: &str, body: Value, expected: u16) -> String {
    let (status, page) = gateway.order(path, &body).unwrap();
    assert_eq!(status, expected, "{path}: {page}");
    page["message"].as_str().unwrap().to_owned()
}

/// Makes a key in these plans; its id and value.
#[track_caller]
fn made(gateway: &Gateway, name: &str, plans: &[&str]) -> (String, String) {
    let page = done(
        gateway,
        "/keys",
        json!({ "key": { "name": name, "plans": plans } }),
    );
    let text = |key: &str| page[key].as_str().unwrap().to_owned();
    (text("id"), text("value"))
}

/// The status, body, and name of the error of a request with this key.
fn asked(client: &mut Client, path: &str, key: &str) -> (u16, String, Option<String>) {
    client
        .send(&format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nX-Api-Key: {key}\r\n\r\n"
        ))
        .unwrap();
    let response = client.response().unwrap();
    let name = response.field("x-amzn-errortype").map(str::to_owned);
    (response.status, response.body, name)
}

#[track_caller]
fn is_let_in(at: SocketAddr, path: &str, key: &str, expected: u16) {
    let mut client = Client::connect(at).unwrap();
    for _ in 0..2 {
        assert_eq!(asked(&mut client, path, key).0, expected, "{path}");
    }
}

const FORBIDDEN: &str = r#"{"message":"Forbidden"}"#;

#[test]
fn a_route_that_asks_for_a_key_takes_those_of_its_plans() {
    for driver in DRIVERS {
        let gateway = Gateway::start(driver, CONFIG);
        let at = gateway.address(0);
        let (id, value) = made(&gateway, "one", &["gold"]);
        assert_eq!((id.len(), value.len()), (10, 40));
        assert_eq!(get(at, "/prod/open").unwrap().body, "open");
        let response = get(at, "/prod/v").unwrap();
        assert_eq!((response.status, &*response.body), (403, FORBIDDEN));
        assert_eq!(
            response.field("x-amzn-errortype"),
            Some("ForbiddenException")
        );
        let mut client = Client::connect(at).unwrap();
        for _ in 0..3 {
            assert_eq!(
                asked(&mut client, "/prod/v", &value),
                (200, "ok".into(), None)
            );
        }
        // The same connection learns of every change.
        let order = |what: &str, body: Value| done(&gateway, &format!("/keys/{id}/{what}"), body);
        order("disable", json!({ "why": "not paid" }));
        let forbidden = (403, FORBIDDEN.into(), Some("ForbiddenException".into()));
        assert_eq!(asked(&mut client, "/prod/v", &value), forbidden);
        order("enable", json!({}));
        assert_eq!(asked(&mut client, "/prod/v", &value).0, 200);
        assert_eq!(asked(&mut client, "/dev/v", &value), forbidden);
        order("assign", json!({ "plan": "small" }));
        assert_eq!(asked(&mut client, "/dev/v", &value).0, 200);
        order("unassign", json!({ "plan": "gold" }));
        assert_eq!(asked(&mut client, "/prod/v", &value), forbidden);
        let rotated = order("rotate", json!({}));
        assert_eq!(asked(&mut client, "/dev/v", &value), forbidden);
        let value = rotated["value"].as_str().unwrap();
        assert_eq!(asked(&mut client, "/dev/v", value).0, 200);
        order("delete", json!({}));
        assert_eq!(asked(&mut client, "/dev/v", value), forbidden);
        assert_eq!(gateway.ask("GET", &format!("/keys/{id}")).unwrap().0, 404);
        gateway_logged(&gateway, &format!("{id} gold 200 -"));
        gateway_logged(&gateway, &format!("{id} - 403 api_key_disabled"));
        gateway_logged(&gateway, &format!("{id} - 403 api_key_without_plan"));
        gateway_logged(&gateway, "- - 403 api_key_unknown");
        gateway_logged(&gateway, "- - 403 api_key_missing");
    }
}

#[track_caller]
fn gateway_logged(gateway: &Gateway, line: &str) {
    until(line, || {
        let log = std::fs::read_to_string(gateway.folder.join("access.log")).ok()?;
        log.lines().any(|logged| logged == line).then_some(())
    });
}

#[test]
fn a_key_may_stand_in_the_query() {
    let gateway = Gateway::start("auto", CONFIG);
    let at = gateway.address(0);
    let value = "%a-given-value-of-a-key+";
    let key = json!({ "name": "given", "value": value, "plans": ["other"] });
    done(&gateway, "/keys", json!({ "key": key }));
    assert_eq!(get(at, "/b/v").unwrap().status, 403);
    let path = format!("/b/v?x=1&key={}", value.replace('%', "%25"));
    assert_eq!(get(at, &path).unwrap().body, "b");
    assert_eq!(get(at, &path).unwrap().field("x-amzn-errortype"), None);
    is_let_in(at, "/b/v", value, 403);
    is_let_in(at, "/prod/v", value, 200);
}

#[test]
fn what_is_not_permitted_is_refused_and_changes_nothing() {
    let gateway = Gateway::start("auto", CONFIG);
    let (id, value) = made(&gateway, "one", &["gold"]);
    let told = refused(
        &gateway,
        &format!("/keys/{id}/assign"),
        json!({ "plan": "other" }),
        409,
    );
    assert!(told.contains("a/prod"), "{told}");
    let told = refused(&gateway, "/keys/one/assign", json!({ "plan": "golf" }), 404);
    assert!(told.contains("known: gold"), "{told}");
    refused(&gateway, "/keys/one/assign", json!({ "plan": "gold" }), 409);
    refused(
        &gateway,
        "/keys/one/unassign",
        json!({ "plan": "small" }),
        409,
    );
    refused(&gateway, "/keys/two/enable", json!({}), 404);
    refused(
        &gateway,
        "/keys",
        json!({ "key": { "name": "x", "value": "short" } }),
        409,
    );
    refused(
        &gateway,
        "/keys",
        json!({ "key": { "name": "x", "value": value } }),
        409,
    );
    refused(&gateway, "/keys", json!({ "key": { "name": "" } }), 409);
    refused(&gateway, "/keys", json!({ "key": { "nam": "x" } }), 400);
    made(&gateway, "one", &[]);
    let told = refused(&gateway, "/keys/one/disable", json!({}), 409);
    assert!(told.contains("2 keys"), "{told}");
    let (_, keys) = gateway.ask("GET", "/keys").unwrap();
    assert_eq!(keys.as_array().unwrap().len(), 2);
    assert!(!keys.to_string().contains(&value), "{keys}");
    let (_, page) = gateway.ask("GET", &format!("/keys/{id}")).unwrap();
    assert_eq!(page["history"].as_array().unwrap().len(), 1, "{page}");
    assert!(
        page["history"][0]["actor"]
            .as_str()
            .unwrap()
            .contains("uid ")
    );
}

#[test]
fn a_quota_is_exact_over_all_workers_and_can_be_extended() {
    let gateway = Gateway::start("auto", CONFIG);
    let at = gateway.address(0);
    let (id, value) = made(&gateway, "one", &["small"]);
    let admitted: usize = thread::scope(|scope| {
        let ask = || {
            let mut client = Client::connect(at).unwrap();
            (0..5)
                .filter(|_| asked(&mut client, "/dev/v", &value).0 == 200)
                .count()
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    assert_eq!(admitted, 3);
    let mut client = Client::connect(at).unwrap();
    let spent = (
        429,
        r#"{"message":"Limit Exceeded"}"#.into(),
        Some("LimitExceededException".into()),
    );
    assert_eq!(asked(&mut client, "/dev/v", &value), spent);
    client
        .send(&format!(
            "GET /dev/v HTTP/1.1\r\nhost: a\r\nx-api-key: {value}\r\n\r\n"
        ))
        .unwrap();
    let response = client.response().unwrap();
    let seconds: u64 = response.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&seconds), "{seconds}");
    // A reload keeps what was counted.
    assert_eq!(gateway.reload().0, 200);
    assert_eq!(asked(&mut client, "/dev/v", &value).0, 429);
    let extension = json!({ "key": id, "plan": "small", "remaining": 1 });
    assert_eq!(done(&gateway, "/usage/extend", extension)["remaining"], 1);
    assert_eq!(asked(&mut client, "/dev/v", &value).0, 200);
    assert_eq!(asked(&mut client, "/dev/v", &value).0, 429);
    let (_, usage) = gateway
        .ask("GET", &format!("/usage?key={id}&plan=small"))
        .unwrap();
    let counted = usage["days"].as_array().unwrap().iter();
    let counted: u64 = counted.map(|day| day["count"].as_u64().unwrap()).sum();
    assert_eq!(
        (counted, &usage["remaining"][0]["remaining"]),
        (4, &json!(0)),
        "{usage}"
    );
    assert!(gateway.text("/metrics").contains("quota_spent"));
}

/// How many requests the key was counted for.
fn counted(gateway: &Gateway, id: &str) -> u64 {
    let (_, usage) = gateway
        .ask("GET", &format!("/usage?key={id}&from=2020-01-01"))
        .unwrap();
    let days = usage["days"].as_array().unwrap().iter();
    days.map(|day| day["count"].as_u64().unwrap()).sum()
}

#[test]
fn a_kill_loses_no_key_and_at_most_a_second_of_counting() {
    let mut gateway = Gateway::start("auto", CONFIG);
    let (id, value) = made(&gateway, "one", &["gold"]);
    let mut client = Client::connect(gateway.address(0)).unwrap();
    for _ in 0..500 {
        assert_eq!(asked(&mut client, "/prod/v", &value).0, 200);
    }
    // Everything so far is written within a second.
    thread::sleep(std::time::Duration::from_secs(1));
    for _ in 0..20 {
        assert_eq!(asked(&mut client, "/prod/v", &value).0, 200);
    }
    gateway.restart_after_kill("auto");
    let after = counted(&gateway, &id);
    assert!((500..=520).contains(&after), "{after}");
    is_let_in(gateway.address(0), "/prod/v", &value, 200);
    assert_eq!(counted(&gateway, &id), after + 2);
}

#[test]
fn a_clean_stop_loses_nothing() {
    let mut gateway = Gateway::start("auto", CONFIG);
    let (id, value) = made(&gateway, "one", &["gold"]);
    let mut client = Client::connect(gateway.address(0)).unwrap();
    for _ in 0..57 {
        assert_eq!(asked(&mut client, "/prod/v", &value).0, 200);
    }
    drop(client);
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.exit_code(), Some(0));
    gateway.restart_after_kill("auto");
    assert_eq!(counted(&gateway, &id), 57);
}

#[test]
fn a_kill_among_changes_keeps_what_was_acknowledged() {
    let mut gateway = Gateway::start("auto", CONFIG);
    for round in 0..4 {
        let (kept, gone): (Vec<_>, Vec<_>) = thread::scope(|scope| {
            let gateway = &gateway;
            let changes = scope.spawn(move || {
                let (mut kept, mut gone) = (Vec::new(), Vec::new());
                for n in 0.. {
                    let key =
                        json!({ "key": { "name": format!("{round}-{n}"), "plans": ["gold"] } });
                    let Ok((200, page)) = gateway.order("/keys", &key) else {
                        break;
                    };
                    let value = page["value"].as_str().unwrap().to_owned();
                    let path = format!("/keys/{}/delete", page["id"].as_str().unwrap());
                    match n % 3 {
                        0 => match gateway.order(&path, &json!({})) {
                            Ok((200, _)) => gone.push(value),
                            // Nobody knows whether it was deleted.
                            _ => break,
                        },
                        _ => kept.push(value),
                    }
                }
                (kept, gone)
            });
            thread::sleep(std::time::Duration::from_millis(300));
            gateway.signal(Signal::SIGKILL);
            changes.join().unwrap()
        });
        assert!(kept.len() > 1, "{}", gateway.log());
        gateway.restart_after_kill("auto");
        let at = gateway.address(0);
        let mut client = Client::connect(at).unwrap();
        for value in &kept {
            assert_eq!(
                asked(&mut client, "/prod/v", value).0,
                200,
                "of {}",
                kept.len()
            );
        }
        for value in &gone {
            assert_eq!(asked(&mut client, "/prod/v", value).0, 403);
        }
    }
}

#[test]
fn a_full_disk_refuses_a_change_and_leaves_the_old_state() {
    let mut gateway = Gateway::start_cramped("auto", CONFIG, 3 * 1024);
    let text = "x".repeat(1000);
    let mut values = Vec::new();
    let told = (0..20).find_map(|batch| {
        let rows: Vec<Value> = (0..100)
            .map(|n| {
                let value = format!("a-given-value-{batch:03}-{n:03}");
                json!({ "name": text, "value": value, "description": text, "plans": ["gold"] })
            })
            .collect();
        // An admin API's body is 128 KiB at most.
        rows.chunks(50).find_map(|rows| {
            let (status, page) = gateway
                .order("/keys/import", &json!({ "keys": rows }))
                .unwrap();
            if status == 200 {
                values.extend(
                    rows.iter()
                        .map(|row| row["value"].as_str().unwrap().to_owned()),
                );
                return None;
            }
            assert_eq!(status, 500, "{page}");
            Some(page["message"].as_str().unwrap().to_owned())
        })
    });
    let told = told.expect("the file is full at last");
    assert!(told.contains("keys.redb"), "{told}");
    assert!(values.len() >= 100, "{}", values.len());
    let count = |gateway: &Gateway| {
        let (_, keys) = gateway.ask("GET", "/keys").unwrap();
        keys.as_array().unwrap().len()
    };
    assert_eq!(count(&gateway), values.len());
    is_let_in(gateway.address(0), "/prod/v", &values[0], 200);
    // What is short of the limit may still fit, and what is told is true.
    let (status, _) = gateway
        .order("/keys", &json!({ "key": { "name": "one" } }))
        .unwrap();
    let more = usize::from(status == 200);
    gateway.restart_after_kill("auto");
    assert_eq!(count(&gateway), values.len() + more);
    is_let_in(gateway.address(0), "/prod/v", values.last().unwrap(), 200);
}
