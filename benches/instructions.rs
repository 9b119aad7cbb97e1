//! How many instructions a contract costs: counted by valgrind, the same in every run, and refused
//! where the count has grown.
//!
//! `docs/benchmarks.md` has the counts; a count a quarter over its row there fails. The set-ups are
//! those of the benches that take the time. Run by
//! `cargo bench --features instructions --bench instructions`.
// In what the macros expand to.
#![allow(missing_docs, unused_qualifications)]

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use sluice::{
    clock::Instant,
    guard::{Bucket, Gate, Rate},
    http::{
        After, FieldLines, Framing, HeadLimits, Method, RequestHead, ResponseHead, write_request,
        write_response,
    },
    observe::{Block, Format, Registry, RouteMetrics, TimeText},
    route::{Hosts, Params, Precedence, Table, normalise},
    upstream::{Balance, Choice, HashKey, Local, Tried, Upstream},
};
use std::{hint::black_box, rc::Rc, sync::Arc, time::Duration};

#[path = "support/heads.rs"]
mod heads;
#[path = "support/records.rs"]
mod records;
#[path = "support/routes.rs"]
mod routes;
#[path = "support/upstreams.rs"]
mod upstreams;

/// Each count is of so many turns, the first of which was taken before: what is done once for a
/// process is not in it.
const TURNS: u64 = 1_000;

/// The page with the counts, a row ``| `bench` | count | ...`` each.
const COUNTS: &str = include_str!("../docs/benchmarks.md");

/// A count may grow by a fourth: room for another compiler, none for another algorithm.
fn within(bench: &str) -> LibraryBenchmarkConfig {
    let row = COUNTS.lines().find_map(|line| {
        let cells = line.strip_prefix("| `")?.strip_prefix(bench)?;
        cells.strip_prefix("` | ")?.split(' ').next()
    });
    let count = row.and_then(|count| count.replace(',', "").parse::<u64>().ok());
    let count = count.unwrap_or_else(|| panic!("docs/benchmarks.md has no count of {bench}"));
    let limit = count * TURNS * 5 / 4;
    // Without the simulation of caches, which has no word in this.
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    callgrind.hard_limits([(EventKind::Ir, limit)]);
    LibraryBenchmarkConfig::default().tool(callgrind).clone()
}

type RequestTurn = (RequestHead, &'static [u8]);

fn request(bytes: &'static [u8]) -> RequestTurn {
    parse_request((RequestHead::default(), bytes), 1)
}

fn parse_request((mut head, bytes): RequestTurn, turns: u64) -> RequestTurn {
    for _ in 0..turns {
        head.reset();
        let parsed = head.parse(black_box(bytes), HeadLimits::default());
        assert!(black_box(parsed).is_ok());
    }
    (head, bytes)
}

#[library_benchmark(setup = request)]
#[bench::curl(args = (heads::CURL), config = within("http/request_head/curl"))]
#[bench::browser(args = (heads::BROWSER), config = within("http/request_head/browser"))]
fn request_head(turn: RequestTurn) -> RequestTurn {
    parse_request(turn, TURNS)
}

fn response() -> ResponseHead {
    parse_response(ResponseHead::default(), 1)
}

fn parse_response(mut head: ResponseHead, turns: u64) -> ResponseHead {
    for _ in 0..turns {
        head.reset();
        assert!(black_box(head.parse(black_box(heads::RESPONSE))).is_ok());
    }
    head
}

#[library_benchmark]
#[bench::json(args = (), setup = response, config = within("http/response_head"))]
fn response_head(head: ResponseHead) -> ResponseHead {
    parse_response(head, TURNS)
}

type Written = (RequestHead, &'static [u8], Vec<u8>);

fn request_to_write(bytes: &'static [u8]) -> Written {
    let (head, _) = request(bytes);
    write_requests((head, bytes, Vec::with_capacity(16 * 1024)), 1)
}

fn write_requests((head, bytes, mut out): Written, turns: u64) -> Written {
    for _ in 0..turns {
        out.clear();
        let bytes = black_box(bytes);
        write_request(
            &mut out,
            &head,
            bytes,
            heads::TARGET,
            heads::ENDPOINT,
            &heads::WAY,
        );
        black_box(&out);
    }
    (head, bytes, out)
}

#[library_benchmark(setup = request_to_write)]
#[bench::curl(args = (heads::CURL), config = within("http/write_request/curl"))]
#[bench::browser(args = (heads::BROWSER), config = within("http/write_request/browser"))]
fn write_request_head(written: Written) -> Written {
    write_requests(written, TURNS)
}

fn response_to_write() -> (ResponseHead, Vec<u8>) {
    write_responses((response(), Vec::with_capacity(16 * 1024)), 1)
}

fn write_responses(
    (head, mut out): (ResponseHead, Vec<u8>),
    turns: u64,
) -> (ResponseHead, Vec<u8>) {
    for _ in 0..turns {
        out.clear();
        let (bytes, framing) = (black_box(heads::RESPONSE), Framing::Length(13));
        let id = Some(("x-request-id", heads::WAY.request_id));
        write_response(&mut out, &head, bytes, framing, After::KeepAlive, b"", id);
        black_box(&out);
    }
    (head, out)
}

#[library_benchmark]
#[bench::json(args = (), setup = response_to_write, config = within("http/write_response"))]
fn write_response_head(written: (ResponseHead, Vec<u8>)) -> (ResponseHead, Vec<u8>) {
    write_responses(written, TURNS)
}

fn scratch() -> Vec<u8> {
    normalise_some(Vec::new(), 1)
}

fn normalise_some(mut scratch: Vec<u8>, turns: u64) -> Vec<u8> {
    for _ in 0..turns {
        let path = normalise(black_box(routes::PLAIN_PATH), &mut scratch);
        assert!(black_box(path).is_ok());
    }
    scratch
}

#[library_benchmark]
#[bench::plain(args = (), setup = scratch, config = within("route/normalise"))]
fn normal(scratch: Vec<u8>) -> Vec<u8> {
    normalise_some(scratch, TURNS)
}

fn hosts() -> Hosts<u32> {
    find_hosts(routes::hosts().build(), 1)
}

fn find_hosts(hosts: Hosts<u32>, turns: u64) -> Hosts<u32> {
    for _ in 0..turns {
        let (host, path) = black_box((routes::HOST, routes::PATH_OF_HOST));
        let found = hosts.find(host, path, FieldLines::default());
        assert!(black_box(found).is_some());
    }
    hosts
}

#[library_benchmark]
#[bench::exact(args = (), setup = hosts, config = within("route/hosts"))]
fn host(hosts: Hosts<u32>) -> Hosts<u32> {
    find_hosts(hosts, TURNS)
}

type FindTurn = (Table<u32>, Vec<(Method, String)>);

fn table(count: usize) -> FindTurn {
    let table = routes::table(&routes::parsed(count), Precedence::FullMatchFirst);
    find_all((table, routes::requests(count, TURNS as usize)))
}

fn find_all((table, requests): FindTurn) -> FindTurn {
    let mut params = Params::new();
    for (method, path) in &requests {
        black_box(table.find(*method, b"", path.as_bytes(), &mut params));
    }
    (table, requests)
}

#[library_benchmark(setup = table)]
#[bench::of_10(args = (10), config = within("route/find_10"))]
#[bench::of_1000(args = (1_000), config = within("route/find_1000"))]
#[bench::of_100000(args = (100_000), config = within("route/find_100000"))]
fn find(turn: FindTurn) -> FindTurn {
    find_all(turn)
}

type PickTurn = (Upstream, Rc<Local>, upstreams::Chance);

fn ten_endpoints(balance: Balance) -> PickTurn {
    let upstream = upstreams::upstream(balance, 10);
    let local = Local::new(&upstream, 0, 1);
    pick_some((upstream, local, upstreams::Chance(1)), 1)
}

fn pick_some((upstream, local, mut chance): PickTurn, turns: u64) -> PickTurn {
    let tried = Tried::default();
    for _ in 0..turns {
        let picked = upstream.pick(black_box(&Choice {
            cursor: &local.cursor,
            in_flight: &local.in_flight,
            key: Some(b"/v1/orders/12345678"),
            random: chance.next(),
            now: Instant::from_ns(1),
            tried: &tried,
        }));
        assert!(black_box(picked).is_some());
    }
    (upstream, local, chance)
}

#[library_benchmark(setup = ten_endpoints)]
#[bench::round_robin(args = (Balance::RoundRobin), config = within("upstream/pick_round_robin/10"))]
#[bench::random(args = (Balance::Random), config = within("upstream/pick_random/10"))]
#[bench::least_request(args = (Balance::LeastRequest), config = within("upstream/pick_least_request/10"))]
#[bench::hash(args = (Balance::Hash(HashKey::Path)), config = within("upstream/pick_hash/10"))]
fn pick(turn: PickTurn) -> PickTurn {
    pick_some(turn, TURNS)
}

/// Ten nanoseconds a token and time to match: it is always had.
fn bucket() -> Bucket {
    Bucket::new(Rate::new(1e8, 1_000).expect("a rate"))
}

#[library_benchmark]
#[bench::one(args = (), setup = bucket, config = within("guard/spend"))]
fn spend(bucket: Bucket) -> Bucket {
    for turn in 1..=TURNS {
        let spent = black_box(&bucket).spend(0, Instant::from_ns(10 * turn));
        assert!(black_box(spent).is_ok());
    }
    bucket
}

fn gate() -> Arc<Gate> {
    Arc::new(Gate::default())
}

#[library_benchmark]
#[bench::one(args = (), setup = gate, config = within("guard/enter"))]
fn enter(gate: Arc<Gate>) -> Arc<Gate> {
    for _ in 0..TURNS {
        assert!(black_box(black_box(&gate).enter(10)).is_some());
    }
    gate
}

type LineTurn = (Format, TimeText, Block);

fn json() -> LineTurn {
    write_lines((Format::json(), TimeText::new(), Block::default()), 1)
}

fn write_lines((format, mut time, mut out): LineTurn, turns: u64) -> LineTurn {
    let mut record = records::record();
    let of_route = format.of_route(&mut out, record.api, record.stage, record.route);
    record.of_route = &of_route;
    for _ in 0..turns {
        out.clear();
        format.write(&mut out, black_box(&record), &mut time);
        black_box(&out);
    }
    (format, time, out)
}

#[library_benchmark]
#[bench::json(args = (), setup = json, config = within("observe/json_line"))]
fn line(turn: LineTurn) -> LineTurn {
    write_lines(turn, TURNS)
}

fn counted() -> Vec<Arc<RouteMetrics>> {
    observe_all(records::routes(&Registry::new(2)))
}

fn observe_all(routes: Vec<Arc<RouteMetrics>>) -> Vec<Arc<RouteMetrics>> {
    let mut record = records::record();
    for (at, route) in (0..TURNS).zip(&routes) {
        record.latency = Duration::from_nanos(at * 7_919 % 3_000_000);
        route.observe(0, black_box(&record));
    }
    routes
}

#[library_benchmark]
#[bench::routes(args = (), setup = counted, config = within("observe/record"))]
fn count(routes: Vec<Arc<RouteMetrics>>) -> Vec<Arc<RouteMetrics>> {
    observe_all(routes)
}

library_benchmark_group!(
    name = http,
    benchmarks = [
        request_head,
        response_head,
        write_request_head,
        write_response_head
    ]
);
library_benchmark_group!(name = route, benchmarks = [normal, host, find]);
library_benchmark_group!(name = upstream, benchmarks = pick);
library_benchmark_group!(name = guard, benchmarks = [spend, enter]);
library_benchmark_group!(name = observe, benchmarks = [count, line]);

main!(library_benchmark_groups = [http, route, upstream, guard, observe]);
