//! The connection to the store: scripts, asked in batches, each within a bound of time.
//!
//! Anything that goes wrong ends the connection; whoever holds it makes another one.

use super::{
    ledger::{Ask, Grant, HOLD, tokens_per_us},
    resp::{self, Reply},
};
use crate::{guard::Rate, model::checked::Store as Address};
use std::{fmt, io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long the store may take to accept a connection, and to answer a batch.
const WAIT: Duration = Duration::from_millis(250);

/// Commands of a batch: what a store answers in a few milliseconds.
const BATCH: usize = 512;

/// How long a node counts as alive after its last sign of life.
pub(super) const NODE_LIFE: Duration = Duration::from_secs(4);

/// What each script is asked for.
#[derive(Clone, Debug)]
pub(super) enum Query<'a> {
    /// Tokens of a shared bucket.
    Tokens { key: &'a str, rate: Rate, ask: Ask },
    /// A block of a quota; the answer's `missing` is how many requests are counted in all.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "quotas are not leased from the store yet")
    )]
    Quota {
        key: &'a str,
        want: u64,
        back: u64,
        limit: u64,
        /// How long the key is kept: until the window is over.
        life: Duration,
    },
    /// A sign of life; `granted` is the number of nodes.
    Alive { key: &'a str },
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    Io(io::Error),
    Silent,
    Refused(String),
    Malformed,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Silent => write!(f, "no answer within {} ms", WAIT.as_millis()),
            Self::Refused(what) => write!(f, "it said: {what}"),
            Self::Malformed => f.write_str("an answer that cannot be read"),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<resp::Malformed> for Failed {
    fn from(_: resp::Malformed) -> Self {
        Self::Malformed
    }
}

const SCRIPTS: [&str; 3] = [
    include_str!("tokens.lua"),
    include_str!("quota.lua"),
    include_str!("nodes.lua"),
];

/// A connection.
#[derive(Debug)]
pub(super) struct Store {
    stream: TcpStream,
    /// Bytes received and not read yet.
    received: Vec<u8>,
    /// The scripts' names at the store.
    scripts: [String; 3],
    /// This node's name there.
    node: String,
}

impl Store {
    /// Connects, says who it is, and has the store know the scripts.
    pub(super) async fn connect(address: &Address, node: u64) -> Result<Self, Failed> {
        let target = (&*address.host, address.port);
        let stream = timeout(WAIT, TcpStream::connect(target)).await;
        let stream = stream.map_err(|_| Failed::Silent)??;
        stream.set_nodelay(true)?;
        let mut store = Self {
            stream,
            received: Vec::new(),
            scripts: Default::default(),
            node: format!("n{node:016x}"),
        };
        let mut out = Vec::new();
        let mut count = SCRIPTS.len();
        if let Some((user, password)) = &address.login {
            let parts: [&[u8]; 3] = [b"AUTH", user.as_bytes(), password.as_bytes()];
            resp::command(&mut out, &parts);
            count += 1;
        }
        if address.database > 0 {
            let database = address.database.to_string();
            resp::command(&mut out, &[b"SELECT", database.as_bytes()]);
            count += 1;
        }
        for script in SCRIPTS {
            resp::command(&mut out, &[b"SCRIPT", b"LOAD", script.as_bytes()]);
        }
        let replies = store.exchange(&out, count).await?;
        let named = &replies[count - SCRIPTS.len()..];
        for (name, reply) in store.scripts.iter_mut().zip(named) {
            let Reply::Text(text) = reply else {
                return Err(Failed::Malformed);
            };
            name.clone_from(text);
        }
        Ok(store)
    }

    /// The answers to all queries, in their order.
    pub(super) async fn ask(&mut self, queries: &[Query<'_>]) -> Result<Vec<Grant>, Failed> {
        let mut grants = Vec::with_capacity(queries.len());
        for batch in queries.chunks(BATCH) {
            let mut out = Vec::with_capacity(batch.len() * 256);
            batch.iter().for_each(|query| self.write(&mut out, query));
            for reply in self.exchange(&out, batch.len()).await? {
                grants.push(grant(&reply).ok_or(Failed::Malformed)?);
            }
        }
        Ok(grants)
    }

    fn write(&self, out: &mut Vec<u8>, query: &Query<'_>) {
        let (script, key, arguments) = match query {
            Query::Tokens { key, rate, ask } => {
                let arguments = vec![
                    format!("{:e}", tokens_per_us(*rate)),
                    rate.burst().to_string(),
                    self.node.clone(),
                    ask.want.to_string(),
                    ask.held.to_string(),
                    ask.back.to_string(),
                    format!("{:e}", ask.missing),
                    HOLD.as_micros().to_string(),
                ];
                (&self.scripts[0], key, arguments)
            }
            Query::Quota {
                key,
                want,
                back,
                limit,
                life,
            } => {
                let numbers = [*want, *limit, *back, life.as_secs().max(1)];
                let arguments = numbers.iter().map(u64::to_string).collect();
                (&self.scripts[1], key, arguments)
            }
            Query::Alive { key } => {
                let arguments = vec![self.node.clone(), NODE_LIFE.as_millis().to_string()];
                (&self.scripts[2], key, arguments)
            }
        };
        let mut parts: Vec<&[u8]> = vec![b"EVALSHA", script.as_bytes(), b"1", key.as_bytes()];
        parts.extend(arguments.iter().map(String::as_bytes));
        resp::command(out, &parts);
    }

    /// Sends `out`, which holds `count` commands, and reads as many answers. One that is a refusal
    /// ends it.
    async fn exchange(&mut self, out: &[u8], count: usize) -> Result<Vec<Reply>, Failed> {
        let answered = async {
            self.stream.write_all(out).await?;
            let mut replies = Vec::with_capacity(count);
            let mut used = 0;
            while replies.len() < count {
                match resp::reply(&self.received[used..])? {
                    Some((Reply::Refused(what), _)) => return Err(Failed::Refused(what)),
                    Some((reply, more)) => {
                        replies.push(reply);
                        used += more;
                    }
                    None => {
                        if self.stream.read_buf(&mut self.received).await? == 0 {
                            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                        }
                    }
                }
            }
            self.received.drain(..used);
            Ok(replies)
        };
        timeout(WAIT, answered).await.map_err(|_| Failed::Silent)?
    }
}

/// The answer of any script: a number, and one in words.
fn grant(reply: &Reply) -> Option<Grant> {
    let Reply::List(list) = reply else {
        return None;
    };
    match &**list {
        [Reply::Number(granted), Reply::Text(missing)] => Some(Grant {
            granted: u64::try_from(*granted).ok()?,
            missing: missing
                .parse()
                .ok()
                .filter(|missing: &f64| *missing >= 0.0)?,
        }),
        _ => None,
    }
}
