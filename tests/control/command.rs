//! The command line, as a shell sees it.

use super::config;
use crate::support::{Gateway, Origin, Reply, get, program, test_folder, until};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

/// Runs the program; its exit code, standard output and standard error.
fn run(folder: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = program(folder, arguments);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = output.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn check_says_whether_a_file_can_be_served() {
    let folder = test_folder();
    let good = config("one", ([127, 0, 0, 1], 9).into());
    let check = |text: &str| {
        fs::write(folder.join("a.yaml"), text).unwrap();
        run(&folder, &["check", "--config", "a.yaml"])
    };
    let (code, out, _) = check(&good);
    let summary = "a.yaml: 1 listener, 1 upstream, 1 API, 1 stage, 2 routes\n";
    assert_eq!((code, &*out), (Some(0), summary));
    let (code, out, said) = check(&good.replace("endpoints:", "endpoint:"));
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(said.starts_with("a.yaml:7:8: "), "{said}");
    let (code, _, said) = check(&format!(
        "{good}      GET /{{x+}}: {{ integration: {{ type: mock }} }}\n      ANY /{{y+}}: {{ integration: {{ type: mock }} }}\n"
    ));
    assert_eq!(code, Some(1));
    assert!(
        said.contains("takes the same requests as `ANY /{proxy+}`"),
        "{said}"
    );
    let (code, _, said) = run(&folder, &["check"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot read config/sluice.yaml") && said.contains("sluice demo"));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn reload_prints_what_came_of_it() {
    let origin = Origin::start(|_| Reply::with(200, ""));
    let gateway = Gateway::start("auto", &config("one", origin.address));
    let (code, out, _) = run(&gateway.folder, &["reload", "--config", "sluice.yaml"]);
    assert_eq!(code, Some(0));
    assert!(
        out.starts_with("generation 2 live on 2/2 workers in "),
        "{out}"
    );
    gateway.configure("nonsense");
    let (code, _, said) = run(&gateway.folder, &["reload", "--state-dir", "state"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("sluice.yaml:1:1"), "{said}");
    let (code, _, said) = run(&gateway.folder, &["reload", "--state-dir", "elsewhere"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("no gateway runs with the state folder elsewhere"),
        "{said}"
    );
}

#[test]
fn what_is_printed() {
    let folder = test_folder();
    let (code, out, _) = run(&folder, &["version"]);
    assert_eq!(
        (code, out),
        (Some(0), format!("sluice {}\n", env!("CARGO_PKG_VERSION")))
    );
    let (code, out, _) = run(&folder, &["schema"]);
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sluice.schema.json");
    assert_eq!((code, out), (Some(0), fs::read_to_string(schema).unwrap()));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, _) = run(&folder, &["completions", shell]);
        assert_eq!(code, Some(0));
        assert!(out.contains("sluice"));
    }
    assert_eq!(run(&folder, &["serve"]).0, Some(2));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let folder = test_folder();
    let mut child = program(&folder, &["schema"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_to_string(folder.join("stderr")).unwrap(), "");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_demo_serves_the_lines_that_it_prints() {
    let folder = test_folder();
    let mut child = program(&folder, &["demo"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut shown = String::new();
    while !shown.contains("Ctrl-C ends") {
        assert_ne!(out.read_line(&mut shown).unwrap(), 0, "{shown}");
    }
    let urls: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains("curl"))
        .map(|line| line.split("http://").nth(1).unwrap())
        .collect();
    assert_eq!(urls.len(), 3);
    for url in urls {
        let (address, path) = url.split_once('/').unwrap();
        let answer = get(address.parse().unwrap(), &format!("/{path}")).unwrap();
        assert_eq!(answer.status, 200, "{url}");
        assert!(
            answer.body.contains("Hello") || answer.body.contains("GET /"),
            "{answer:?}"
        );
    }
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let status = until("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    out.read_to_string(&mut shown).unwrap();
    let config = shown
        .lines()
        .find_map(|line| line.split_once("configuration is "))
        .unwrap()
        .1;
    let config = config.split(". Change").next().unwrap();
    assert!(!std::path::Path::new(config).exists(), "{config}");
    fs::remove_dir_all(&folder).unwrap();
}

/// A gateway with a plan `gold` of five requests a week, for a route that asks for a key.
fn keyed() -> Gateway {
    let config = config("one", ([127, 0, 0, 1], 9).into());
    let config = config.replace("body: one }", "body: one }, api_key_required: true");
    let plan = "usage_plans: { gold: { stages: [{ api: a, stage: s }], \
                quota: { limit: 5, period: week } } }\n";
    Gateway::start("auto", &format!("{config}{plan}"))
}

/// What the command says that must go well; `line` in words.
#[track_caller]
fn well(gateway: &Gateway, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let (code, out, said) = run(
        &gateway.folder,
        &[&words[..], &["-c", "sluice.yaml"]].concat(),
    );
    assert_eq!(code, Some(0), "{line}: {said}");
    out
}

#[test]
fn keys_are_made_imported_shown_and_removed() {
    let gateway = keyed();
    let made = well(&gateway, "keys create acme --plan gold -m new");
    let id = &made[..10];
    let file = format!(
        "name,KEY,Enabled,UsagePlanIds\nother,{},false,\"gold\"\n",
        "k".repeat(20)
    );
    fs::write(gateway.folder.join("keys.csv"), file).unwrap();
    let import = "keys import keys.csv";
    assert_eq!(well(&gateway, import), "1 keys made, 0 changed\n");
    assert_eq!(well(&gateway, import), "0 keys made, 1 changed\n");
    let list = well(&gateway, "keys list");
    assert!(
        list.contains(&format!("{id}  enabled   gold  acme\n")),
        "{list}"
    );
    assert!(list.contains("  disabled  gold  other\n"), "{list}");
    let shown = well(&gateway, "keys show acme");
    assert!(
        shown.contains("create by ") && shown.contains("  new\n"),
        "{shown}"
    );
    let removed = well(&gateway, "keys delete other");
    assert!(removed.starts_with("removed: "), "{removed}");
    let show = ["keys", "show", "other", "-c", "sluice.yaml"];
    let (code, _, said) = run(&gateway.folder, &show);
    let said = (code, &*said);
    assert_eq!(said, (Some(1), "there is no API key called \"other\"\n"));
}

#[test]
fn usage_is_read_back_and_extended() {
    let gateway = keyed();
    let made = well(&gateway, "keys create acme --plan gold");
    let (id, value) = (&made[..10], made.lines().last().unwrap());
    let mut client = crate::support::Client::connect(gateway.address(0)).unwrap();
    let request = format!("GET /version HTTP/1.1\r\nhost: a\r\nx-api-key: {value}\r\n\r\n");
    for _ in 0..2 {
        client.send(&request).unwrap();
        assert_eq!(client.response().unwrap().status, 200);
    }
    let usage = well(&gateway, "usage --key acme");
    assert!(usage.contains(&format!("  {id}  gold  2\n")), "{usage}");
    assert!(
        usage.contains(&format!("left        {id}  gold  3\n")),
        "{usage}"
    );
    let extended = well(
        &gateway,
        "usage extend --plan gold --key acme --remaining 9",
    );
    assert_eq!(extended, "9 requests are left in this period\n");
}
