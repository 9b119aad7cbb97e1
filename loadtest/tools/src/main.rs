//! `loadtool`: the origin, the floor and the clients of the load tests, one subcommand each.
//!
//! `loadtest/run` starts them; each prints one JSON document or one line per event on standard
//! output. Nothing here knows which proxy is being measured.

mod arguments;
mod bulk;
mod idle;
mod load;
mod origin;
mod poller;
mod relay;
mod request;
mod response;
mod tally;

use arguments::Arguments;

const USAGE: &str = "\
usage: loadtool COMMAND [--option value]...

  origin  --listen IP:PORT [--name TEXT]
          answers 13 bytes; /bytes/N, /slow/MS, /sse and uploads, see origin.rs
  relay   --listen IP:PORT --origin IP:PORT[,IP:PORT]
          the floor: moves bytes both ways on io_uring and knows no HTTP
  load    --target IP:PORT --rate N --seconds S [--connections N] [--path /P] [--timeout-ms N]
          open loop: requests at fixed moments, latency from the moment meant, JSON at the end
  idle    --target IP:PORT --connections N [--burst N] [--path /P]
          opens and holds connections; obeys `burst` and `close` on standard input
  bulk    --target IP:PORT --bytes N --direction down|up [--connections N]
          one long body per connection, JSON at the end
";

fn main() {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let outcome = Arguments::parse(words).and_then(|arguments| match command.as_str() {
        "origin" => origin::run(&arguments),
        "relay" => relay::run(&arguments),
        "load" => load::run(&arguments),
        "idle" => idle::run(&arguments),
        "bulk" => bulk::run(&arguments),
        _ => Err(USAGE.to_owned()),
    });
    if let Err(message) = outcome {
        eprintln!("{message}");
        std::process::exit(2);
    }
}
