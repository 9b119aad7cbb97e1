//! Deployments: what a stage serves, through changes, crashes and load.

use crate::support::{Client, DRIVERS, Gateway, Origin, Reply, get, program, until};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// An API whose one answer names a version, served by `prod` and `dev`.
fn config(version: &str) -> String {
    format!(
        "workers: 2
listeners: [{{ address: 127.0.0.1:0 }}]
access_log: {{ path: access.log, format: $context.deploymentId $context.isCanaryRequest }}
deployment_header: x-deployment
apis:
  a:
    stages:
      prod: {{ variables: {{ who: prod }} }}
      dev: {{ variables: {{ who: dev }}, auto_deploy: false }}
      head: {{ variables: {{ who: head }}, auto_deploy: true }}
    routes:
      GET /v: {{ integration: {{ type: mock, body: \"{version} ${{stageVariables.who}}\" }} }}
domains:
  '*': {{ /prod: {{ api: a, stage: prod }}, /dev: {{ api: a, stage: dev }}, /head: {{ api: a, stage: head }} }}
"
    )
}

/// Gives an order about a stage that must succeed; the stage's deployment.
#[track_caller]
fn done(gateway: &Gateway, stage: &str, order: &str, body: Value) -> String {
    let (status, page) = gateway
        .order(&format!("/apis/a/stages/{stage}/{order}"), &body)
        .unwrap();
    assert_eq!(status, 200, "{stage}/{order}: {page}");
    page["deployment"].as_str().unwrap_or_default().to_owned()
}

/// Gives an order that must be refused; the message.
#[track_caller]
fn refused(gateway: &Gateway, stage: &str, order: &str, body: Value, expected: u16) -> String {
    let path = format!("/apis/a/stages/{stage}/{order}");
    let (status, page) = gateway.order(&path, &body).unwrap();
    assert_eq!(status, expected, "{stage}/{order}: {page}");
    page["message"].as_str().unwrap().to_owned()
}

#[track_caller]
fn serves(address: SocketAddr, stage: &str, expected: &str) {
    assert_eq!(get(address, &format!("/{stage}/v")).unwrap().body, expected);
}

#[test]
fn a_stage_serves_what_was_deployed_until_the_next_change() {
    for driver in DRIVERS {
        let gateway = Gateway::start(driver, &config("one"));
        let at = gateway.address(0);
        serves(at, "prod", "one prod");
        assert_eq!(get(at, "/dev/v").unwrap().status, 404);
        let one = done(&gateway, "prod", "deploy", json!({ "why": "the first" }));
        gateway.configure(&config("two"));
        assert_eq!(gateway.reload().0, 200);
        serves(at, "prod", "one prod");
        serves(at, "head", "two head");
        let two = done(&gateway, "dev", "deploy", json!({}));
        serves(at, "dev", "two dev");
        assert_eq!(
            done(&gateway, "prod", "promote", json!({ "from": "dev" })),
            two
        );
        serves(at, "prod", "two prod");
        assert_eq!(done(&gateway, "prod", "rollback", json!({})), one);
        let response = get(at, "/prod/v").unwrap();
        assert_eq!(response.body, "one prod");
        assert_eq!(response.field("x-deployment"), Some(&one[..12]));
        assert_eq!(
            done(&gateway, "prod", "rollback", json!({ "to": &two[..8] })),
            two
        );
        let (_, page) = gateway.ask("GET", "/apis/a/stages/prod").unwrap();
        let actions = page["history"].as_array().unwrap().iter();
        let actions: Vec<_> = actions
            .map(|entry| entry["action"].as_str().unwrap())
            .collect();
        assert_eq!(actions, ["deploy", "promote", "rollback", "rollback"]);
        assert_eq!(page["history"][0]["why"], "the first");
        let actor = page["history"][0]["actor"].as_str().unwrap();
        assert!(actor.contains("uid "), "{actor}");
    }
}

#[test]
fn what_a_state_does_not_permit_is_refused_and_changes_nothing() {
    let gateway = Gateway::start("auto", &config("one"));
    let at = gateway.address(0);
    let follows = refused(&gateway, "head", "deploy", json!({}), 409);
    assert!(follows.contains("auto_deploy: true"), "{follows}");
    refused(&gateway, "nope", "deploy", json!({}), 404);
    refused(&gateway, "prod", "rollback", json!({}), 409);
    refused(&gateway, "prod", "promote", json!({ "from": "dev" }), 409);
    refused(&gateway, "prod", "deploy", json!({ "wyh": "" }), 400);
    refused(
        &gateway,
        "prod",
        "deploy",
        json!({ "why": "x".repeat(2000) }),
        422,
    );
    let one = done(&gateway, "prod", "deploy", json!({ "sequence": 0 }));
    let told = refused(&gateway, "prod", "deploy", json!({ "sequence": 0 }), 409);
    assert!(told.contains("somebody else was first"), "{told}");
    refused(&gateway, "prod", "rollback", json!({ "to": "ffff" }), 404);
    refused(&gateway, "prod", "canary", json!({ "percent": 101 }), 409);
    refused(
        &gateway,
        "prod",
        "canary",
        json!({ "percent": 1, "abort_when": "5xx" }),
        400,
    );
    // The definition needs a variable that the stage, as it runs, does not have.
    gateway.configure(&config("${stageVariables.whom}").replace("{ who:", "{ whom: x, who:"));
    let missing = refused(&gateway, "prod", "deploy", json!({}), 422);
    let what = "the stage has no variable \"whom\"";
    assert!(missing.contains(what), "{missing}");
    gateway.configure("nonsense");
    refused(&gateway, "prod", "deploy", json!({}), 422);
    serves(at, "prod", "one prod");
    let (_, page) = gateway.ask("GET", "/apis/a/stages/prod").unwrap();
    assert_eq!(page["deployment"], one);
    assert_eq!(page["sequence"], 1);
}

#[test]
fn a_canary_gets_its_share_and_whoever_asks_for_it() {
    for driver in DRIVERS {
        let gateway = Gateway::start(driver, &config("one"));
        let at = gateway.address(0);
        done(&gateway, "prod", "deploy", json!({}));
        gateway.configure(&config("two"));
        let two = done(&gateway, "dev", "deploy", json!({}));
        let plan = json!({
            "percent": 0, "deployment": &two[..12], "variables": { "who": "canary" },
            "force": { "header": "X-Canary", "value": "1" },
        });
        done(&gateway, "prod", "canary", plan);
        let mut client = Client::connect(at).unwrap();
        let mut ask = |fields: &str| {
            let request = format!("GET /prod/v HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
            client.send(&request).unwrap();
            client.response().unwrap().body
        };
        assert_eq!(ask(""), "one prod");
        assert_eq!(ask("x-canary: 1\r\n"), "two canary");
        assert_eq!(ask("x-canary: 0\r\n"), "one prod");
        done(
            &gateway,
            "prod",
            "canary",
            json!({ "percent": 50, "sticky": { "cookie": "sid" } }),
        );
        let mut canaries = 0;
        for client in 0..200 {
            let cookie = format!("cookie: a=b; sid={client}\r\n");
            let first = ask(&cookie);
            assert_eq!(ask(&cookie), first, "a client stays on its side");
            canaries += usize::from(first.starts_with("two"));
        }
        assert!((60..=140).contains(&canaries), "{canaries} of 200");
        refused(&gateway, "prod", "deploy", json!({}), 409);
        done(
            &gateway,
            "prod",
            "canary",
            json!({ "percent": 100, "variables": { "who": "new" } }),
        );
        assert_eq!(ask(""), "two new");
        done(&gateway, "prod", "canary/promote", json!({}));
        assert_eq!(ask(""), "two new");
        done(&gateway, "prod", "rollback", json!({}));
        assert_eq!(ask(""), "one new");
    }
}

#[test]
fn a_canary_that_fails_is_taken_back_by_itself() {
    let origin = Origin::start(|head| match head.contains("/bad") {
        true => Reply::with(500, "no"),
        false => Reply::with(200, "yes"),
    });
    let config = |path: &str| {
        format!(
            "workers: 1
listeners: [{{ address: 127.0.0.1:0 }}]
apis:
  a:
    stages: {{ prod: {{}} }}
    routes:
      GET /v: {{ integration: {{ type: http, uri: 'http://{}/{path}' }} }}
",
            origin.address
        )
    };
    let gateway = Gateway::start("auto", &config("good"));
    let at = gateway.address(0);
    done(&gateway, "prod", "deploy", json!({}));
    gateway.configure(&config("bad"));
    // Frozen by a deploy and taken back, so that it can be the canary.
    let bad = done(&gateway, "prod", "deploy", json!({}));
    done(&gateway, "prod", "rollback", json!({}));
    let plan = json!({ "percent": 50, "deployment": bad, "abort_when": "5xx > 2% over 1m" });
    done(&gateway, "prod", "canary", plan);
    let page = until("the canary's end", || {
        for _ in 0..20 {
            get(at, "/v").unwrap();
        }
        let (_, page) = gateway.ask("GET", "/apis/a/stages/prod").unwrap();
        page["canary"].is_null().then_some(page)
    });
    let last = page["history"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["action"], &last["actor"]),
        (&json!("canary_abort"), &json!("sluice"))
    );
    let why = last["why"].as_str().unwrap();
    assert!(why.starts_with("5xx > 2% over 60s: 100.00%"), "{why}");
    assert_eq!(get(at, "/v").unwrap().body, "yes");
}

#[test]
fn what_was_acknowledged_outlives_a_kill_at_any_moment() {
    let mut gateway = Gateway::start("auto", &config("one"));
    let one = done(&gateway, "prod", "deploy", json!({}));
    gateway.configure(&config("two"));
    let two = done(&gateway, "prod", "deploy", json!({}));
    let mut acknowledged = two.clone();
    for round in 0..8 {
        let last = Mutex::new(acknowledged.clone());
        let seen = thread::scope(|scope| {
            let orders = scope.spawn(|| {
                let mut count = 0;
                loop {
                    let to = if count % 2 == 0 { &one } else { &two };
                    let order = json!({ "to": to });
                    let asked = *last.lock().unwrap() != *to;
                    match gateway.order("/apis/a/stages/prod/rollback", &order) {
                        Ok((200, page)) => {
                            *last.lock().unwrap() = page["deployment"].as_str().unwrap().to_owned();
                        }
                        Ok((status, page)) => panic!("{status}: {page}"),
                        // Killed under the order: it may have been carried out or not.
                        Err(_) => return (asked, to.clone()),
                    }
                    count += 1;
                }
            });
            // After another number of changes in each round.
            let enough = round * 3 + 1;
            until("some changes", || {
                let (_, page) = gateway.ask("GET", "/apis/a/stages/prod").ok()?;
                (page["sequence"].as_u64()? % 24 >= enough).then_some(())
            });
            gateway.signal(crate::support::Signal::SIGKILL);
            orders.join().unwrap()
        });
        acknowledged = last.into_inner().unwrap();
        gateway.restart_after_kill("auto");
        let (_, page) = gateway.ask("GET", "/apis/a/stages/prod").unwrap();
        let found = page["deployment"].as_str().unwrap().to_owned();
        assert!(
            found == acknowledged || found == seen.1,
            "{found} is neither"
        );
        let body = if found == one { "one prod" } else { "two prod" };
        serves(gateway.address(0), "prod", body);
        acknowledged = found;
    }
}

#[test]
fn no_request_is_lost_or_misrouted_by_changes_under_load() {
    for driver in DRIVERS {
        let gateway = Gateway::start(driver, &config("v0"));
        let at = gateway.address(0);
        // Which body belongs to which deployment.
        let bodies = Mutex::new(HashMap::new());
        let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
        let first = done(&gateway, "prod", "deploy", json!({}));
        bodies
            .lock()
            .unwrap()
            .insert(first[..12].to_owned(), "v0 prod".to_owned());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut client = Client::connect(at).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        let response = client.ask("GET", "/prod/v").unwrap();
                        let id = response.field("x-deployment").unwrap().to_owned();
                        let expected = bodies.lock().unwrap().get(&id).cloned();
                        assert_eq!(Some(response.body), expected, "{id}");
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for round in 0..100 {
                let version = format!("v{}", round % 7);
                gateway.configure(&config(&version));
                // To dev first: prod may serve it only once it is known.
                let id = done(&gateway, "dev", "deploy", json!({}));
                let body = format!("{version} prod");
                bodies.lock().unwrap().insert(id[..12].to_owned(), body);
                done(&gateway, "prod", "promote", json!({ "from": "dev" }));
                if round % 3 == 2 {
                    done(&gateway, "prod", "rollback", json!({}));
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(asked.into_inner() > 100);
        let (status, page) = gateway.order("/apis/a/gc", &json!({ "keep": 1 })).unwrap();
        assert_eq!(status, 200, "{page}");
        let (_, left) = gateway.ask("GET", "/apis/a/deployments").unwrap();
        assert!(left.as_array().unwrap().len() <= 3, "{left}");
    }
}

#[test]
fn the_command_line_deploys_and_tells() {
    let gateway = Gateway::start("auto", &config("one"));
    let run = |words: &[&str]| {
        let output = program(&gateway.folder, words)
            .args(["--config", "sluice.yaml"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text + &said)
    };
    let (code, said) = run(&["deploy", "a", "--stage", "prod", "-m", "the first"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" live on 2/2 workers in "), "{said}");
    gateway.configure(&config("two"));
    let (_, said) = run(&["diff", "a", "--stage", "prod"]);
    assert!(said.contains("~ GET /v: integration.body: "), "{said}");
    let (_, said) = run(&["history", "a", "--stage", "prod"]);
    assert!(said.contains("the first"), "{said}");
    let (_, said) = run(&["status"]);
    assert!(said.contains("a/dev   nothing"), "{said}");
    let (code, said) = run(&["rollback", "a", "--stage", "prod"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no earlier deployment"), "{said}");
    let (code, said) = run(&[
        "canary",
        "a",
        "--stage",
        "prod",
        "--percent",
        "5",
        "--var",
        "who",
    ]);
    assert_eq!(
        (code, said.contains("NAME=VALUE")),
        (Some(1), true),
        "{said}"
    );
}
