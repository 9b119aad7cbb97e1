//! Health checks: the probes that are sent, and what they change.
//!
//! One task an endpoint that is checked. What a row of results means is decided in `upstream`; here
//! is only the sending, within bounds of time, bytes and number. Workers see nothing of it but the
//! endpoint's state.

use crate::{
    clock,
    upstream::{
        Address, Change, Endpoint, EndpointState, Health, HealthCheck, Probe, ProbeResult,
        Standing, Upstream,
    },
};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io,
    ops::RangeInclusive,
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::Semaphore,
    task::AbortHandle,
    time::{sleep, timeout},
};

/// Probes under way at one time. A thousand endpoints that hang take a descriptor each.
const AT_ONCE_MAX: usize = 256;

/// Bytes of a response that are read: the status line stands in the first.
const RESPONSE_BYTES_MAX: usize = 4096;

/// The endpoints that are probed.
#[derive(Debug)]
pub(super) struct Probes {
    at_once: Arc<Semaphore>,
    running: HashMap<Identity, Running>,
}

/// Which endpoint of which upstream.
type Identity = (Box<str>, Address);

#[derive(Debug)]
struct Running {
    check: HealthCheck,
    authority: Box<str>,
    state: Arc<EndpointState>,
    task: AbortHandle,
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            running: HashMap::new(),
        }
    }
}

impl Probes {
    /// Probes the endpoints of `upstreams` from now on, and no others. An endpoint that stays
    /// keeps its standing; one that is no longer checked counts as healthy.
    pub(super) fn follow(&mut self, upstreams: &[Arc<Upstream>]) {
        let mut before = std::mem::take(&mut self.running);
        for upstream in upstreams {
            let Some(check) = &upstream.settings.health_check else {
                continue;
            };
            for endpoint in &upstream.endpoints {
                let name = upstream.settings.name.clone();
                let identity = (name, endpoint.address.clone());
                let running = match before.remove(&identity) {
                    Some(running) if running.is_for(check, endpoint) => running,
                    other => {
                        if let Some(running) = other {
                            running.task.abort();
                        }
                        self.begin(&identity, check, endpoint)
                    }
                };
                self.running.insert(identity, running);
            }
        }
        for running in before.into_values() {
            running.task.abort();
            if !running.state.is_healthy() {
                running.state.rise(clock::now());
            }
        }
    }

    /// Ends all probes.
    pub(super) fn stop(&mut self) {
        for running in std::mem::take(&mut self.running).into_values() {
            running.task.abort();
        }
    }

    fn begin(
        &self,
        (upstream, address): &Identity,
        check: &HealthCheck,
        endpoint: &Endpoint,
    ) -> Running {
        let probing = Probing {
            upstream: upstream.clone(),
            address: address.clone(),
            authority: endpoint.authority.clone(),
            check: check.clone(),
            state: Arc::clone(&endpoint.state),
            at_once: Arc::clone(&self.at_once),
        };
        Running {
            check: check.clone(),
            authority: endpoint.authority.clone(),
            state: Arc::clone(&endpoint.state),
            task: tokio::spawn(probing.run()).abort_handle(),
        }
    }
}

impl Running {
    fn is_for(&self, check: &HealthCheck, endpoint: &Endpoint) -> bool {
        self.check == *check
            && self.authority == endpoint.authority
            && Arc::ptr_eq(&self.state, &endpoint.state)
    }
}

/// One endpoint's probing.
struct Probing {
    upstream: Box<str>,
    address: Address,
    authority: Box<str>,
    check: HealthCheck,
    state: Arc<EndpointState>,
    at_once: Arc<Semaphore>,
}

impl Probing {
    async fn run(self) {
        let mut health = Health::new(match self.state.is_healthy() {
            true => Standing::Healthy,
            false => Standing::Unhealthy,
        });
        // Spread over the interval, so that a thousand endpoints are not probed in one instant.
        let chance = RandomState::new().hash_one(&self.address) >> 32;
        sleep(
            self.check
                .interval
                .mul_f64(chance as f64 / f64::from(u32::MAX)),
        )
        .await;
        loop {
            let begun = clock::now();
            let result = self.probe().await;
            if let Some(change) = health.observe(result, &self.check) {
                self.take_up(change);
            }
            let took = clock::now().since(begun);
            sleep(self.check.interval.saturating_sub(took)).await;
        }
    }

    fn take_up(&self, change: Change) {
        let (upstream, endpoint) = (&*self.upstream, &self.address);
        match change {
            Change::Rose => {
                self.state.rise(clock::now());
                tracing::info!(upstream, %endpoint, "endpoint is healthy again");
            }
            Change::Fell => {
                self.state.fall();
                tracing::warn!(upstream, %endpoint, "endpoint is unhealthy");
            }
        }
    }

    async fn probe(&self) -> ProbeResult {
        let _place = self.at_once.acquire().await;
        match timeout(self.check.timeout, self.exchange()).await {
            Ok(Ok(true)) => ProbeResult::Passed,
            Ok(Ok(false) | Err(_)) | Err(_) => ProbeResult::Failed,
        }
    }

    /// Whether the endpoint answers as it should.
    async fn exchange(&self) -> io::Result<bool> {
        match &self.address {
            Address::Ip(address) => self.ask(TcpStream::connect(address).await?).await,
            Address::Unix(path) => self.ask(UnixStream::connect(path).await?).await,
        }
    }

    /// The Host of an endpoint without a name: a socket's path is none.
    fn own_host(&self) -> &str {
        match &self.address {
            Address::Ip(_) => &self.authority,
            Address::Unix(_) => "localhost",
        }
    }

    async fn ask(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<bool> {
        let (path, host, statuses) = match &self.check.probe {
            Probe::Tcp => return Ok(true),
            Probe::Http {
                path,
                host,
                statuses,
            } => (
                path,
                host.as_deref().unwrap_or_else(|| self.own_host()),
                statuses,
            ),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: sluice-health-check\r\n\
             accept: */*\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut response = Vec::with_capacity(RESPONSE_BYTES_MAX);
        let mut limited = stream.take(RESPONSE_BYTES_MAX as u64);
        loop {
            if let Some(status) = status_of(&response) {
                return Ok(passes(status, statuses));
            }
            if limited.read_buf(&mut response).await? == 0 {
                return Ok(false);
            }
        }
    }
}

/// The status of a response, once its first line is there. A line that is none has status 0.
fn status_of(response: &[u8]) -> Option<u16> {
    let end = response.iter().position(|&byte| byte == b'\n')?;
    let line = response.get(..end).unwrap_or_default();
    let digits = match line {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'0' | b'1',
            b' ',
            status @ ..,
        ] => status,
        _ => return Some(0),
    };
    let digits = digits
        .get(..3)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    Some(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0))
}

fn passes(status: u16, statuses: &[RangeInclusive<u16>]) -> bool {
    statuses.iter().any(|range| range.contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(response: &str, expected: Option<u16>) {
        assert_eq!(status_of(response.as_bytes()), expected, "{response:?}");
    }

    #[test]
    fn statuses() {
        check("", None);
        check("HTTP/1.1 200 OK", None);
        check("HTTP/1.1 200 OK\r\n", Some(200));
        check("HTTP/1.0 503\r\nx: y\r\n", Some(503));
        check("HTTP/1.1 200\n", Some(200));
        check("HTTP/2 200\r\n", Some(0));
        check("HTTP/1.1 ok\r\n", Some(0));
        check("HTTP/1.1 20\r\n", Some(0));
        check("SSH-2.0-x\r\n", Some(0));
    }

    #[test]
    fn ranges() {
        assert!(passes(204, &[200..=200, 204..=204]));
        assert!(!passes(203, &[200..=200, 204..=204]));
        assert!(!passes(0, &[200..=399]));
    }
}
