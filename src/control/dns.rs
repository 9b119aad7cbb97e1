//! Names of endpoints to addresses, looked up again as their times to live run out.
//!
//! A failed look-up keeps the last good answer. The gateway's loop waits for [`Names::changed`] and
//! publishes; nothing here touches a snapshot. The system's settings hold (servers, search domains,
//! the hosts file before them), as they were when the first name was met.

use super::compile::Addresses;
use crate::model::{Checked, checked::EndpointAddress};
use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

/// How long a start or a reload waits for names. Those that come later are taken up then.
const WAIT: Duration = Duration::from_secs(5);

/// How long one name may take.
const LOOK_UP_MAX: Duration = Duration::from_secs(10);

/// Names looked up at one time when many are new.
const AT_ONCE_MAX: usize = 64;

/// Between two look-ups of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    min: Duration,
    max: Duration,
}

/// The names of the configuration that is served.
#[derive(Debug)]
pub(super) struct Names {
    resolver: Option<TokioResolver>,
    known: Arc<Known>,
    /// One refreshing task a name.
    refreshing: HashMap<String, (Pace, AbortHandle)>,
}

#[derive(Debug, Default)]
struct Known {
    answers: Mutex<Answers>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Answers {
    addresses: Arc<Addresses>,
    /// How long each answer holds, from when it came.
    ttl: HashMap<String, Duration>,
}

impl Names {
    /// Looks the names of `checked` up and keeps them fresh. A name without an answer in time is
    /// warned of, and has no endpoint until it has one.
    pub(super) async fn start(checked: &Checked) -> Self {
        let mut this = Self {
            resolver: None,
            known: Arc::default(),
            refreshing: HashMap::new(),
        };
        this.look_up_new(checked).await;
        this.follow(checked);
        this
    }

    /// What every name was last looked up to be.
    pub(super) fn addresses(&self) -> Arc<Addresses> {
        self.known.addresses()
    }

    /// Waits until a name's addresses have changed. May be dropped at any time.
    pub(super) async fn changed(&self) {
        self.known.changed.notified().await;
    }

    /// Looks up those names of `checked` that are not known yet, within a bounded time; what every
    /// name then is.
    pub(super) async fn look_up_new(&mut self, checked: &Checked) -> Arc<Addresses> {
        let known = self.addresses();
        let new: Vec<String> = paces(checked)
            .into_keys()
            .filter(|name| !known.contains_key(name))
            .collect();
        if !new.is_empty()
            && let Some(resolver) = self.resolver()
        {
            let known = Arc::clone(&self.known);
            // Those still under way are dropped; their refreshing tasks begin again.
            let all = look_up_all(resolver, &known, new.clone());
            if timeout(WAIT, all).await.is_err() {
                tracing::warn!("some names were not looked up within {WAIT:?}");
            }
        }
        let addresses = self.addresses();
        for name in new.iter().filter(|name| !addresses.contains_key(*name)) {
            tracing::warn!(
                name,
                "the name has no address; its endpoints are left out for now"
            );
        }
        addresses
    }

    /// Keeps the names of `checked` fresh from now on, and forgets the others.
    pub(super) fn follow(&mut self, checked: &Checked) {
        let paces = paces(checked);
        self.refreshing.retain(|name, (pace, task)| {
            let stays = paces.get(name) == Some(pace);
            if !stays {
                task.abort();
            }
            stays
        });
        self.known.forget(|name| !paces.contains_key(name));
        let Some(resolver) = (!paces.is_empty()).then(|| self.resolver()).flatten() else {
            return;
        };
        for (name, pace) in paces {
            if !self.refreshing.contains_key(&name) {
                let known = Arc::clone(&self.known);
                let task = refresh(resolver.clone(), known, name.clone(), pace);
                let task = tokio::spawn(task).abort_handle();
                self.refreshing.insert(name, (pace, task));
            }
        }
    }

    /// The resolver, made when the first name is met: most configurations have none.
    fn resolver(&mut self) -> Option<TokioResolver> {
        if self.resolver.is_none() {
            let built = TokioResolver::builder_tokio()
                .or_else(|error| {
                    tracing::warn!(%error, "no name servers; only the hosts file is used");
                    let provider = TokioRuntimeProvider::default();
                    let config = ResolverConfig::default();
                    Ok(TokioResolver::builder_with_config(config, provider))
                })
                .and_then(|mut builder| {
                    let options = builder.options_mut();
                    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
                    // Answers are kept here, where their times are bounded by the configuration.
                    options.cache_size = 0;
                    builder.build()
                });
            match built {
                Ok(resolver) => self.resolver = Some(resolver),
                Err(error) => tracing::error!(%error, "names cannot be looked up"),
            }
        }
        self.resolver.clone()
    }
}

/// Every name of `checked` and how often it is looked up: where upstreams differ, as often as any
/// of them asks.
fn paces(checked: &Checked) -> HashMap<String, Pace> {
    let mut paces: HashMap<String, Pace> = HashMap::new();
    for upstream in &checked.upstreams {
        let (min, max) = (upstream.resolve.ttl_min, upstream.resolve.ttl_max);
        for endpoint in &upstream.endpoints {
            if let EndpointAddress::Name(name, _) = &endpoint.address {
                let pace = paces.entry(name.clone()).or_insert(Pace { min, max });
                pace.min = pace.min.min(min);
                pace.max = pace.max.min(max);
            }
        }
    }
    paces
}

async fn look_up_all(resolver: TokioResolver, known: &Arc<Known>, names: Vec<String>) {
    let mut under_way = JoinSet::new();
    for name in names {
        if under_way.len() == AT_ONCE_MAX {
            under_way.join_next().await;
        }
        let (resolver, known) = (resolver.clone(), Arc::clone(known));
        under_way.spawn(async move {
            if let Some((addresses, ttl)) = look_up(&resolver, &name).await {
                known.learn(&name, addresses, ttl);
            }
        });
    }
    under_way.join_all().await;
}

/// Looks `name` up again and again.
async fn refresh(resolver: TokioResolver, known: Arc<Known>, name: String, pace: Pace) {
    loop {
        let ttl = known.ttl(&name).unwrap_or(pace.min);
        sleep(ttl.clamp(pace.min, pace.max)).await;
        match look_up(&resolver, &name).await {
            Some((addresses, ttl)) => {
                if known.learn(&name, addresses, ttl) {
                    tracing::info!(name, "the name has new addresses");
                    known.changed.notify_one();
                }
            }
            // The last good answer stays; ask again as soon as may be.
            None => known.expire(&name),
        }
    }
}

/// The addresses of `name`, sorted (servers turn them at each answer, which is no change), and how
/// long they hold. `None` if there is no answer or an empty one.
async fn look_up(resolver: &TokioResolver, name: &str) -> Option<(Vec<IpAddr>, Duration)> {
    let answer = match timeout(LOOK_UP_MAX, resolver.lookup_ip(name)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::debug!(name, %error, "a look-up failed");
            return None;
        }
        Err(_) => {
            tracing::debug!(name, "a look-up took too long");
            return None;
        }
    };
    let mut addresses: Vec<IpAddr> = answer.iter().collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ttl = answer
        .as_lookup()
        .answers()
        .iter()
        .map(|record| record.ttl)
        .min();
    let ttl = Duration::from_secs(ttl.unwrap_or_default().into());
    (!addresses.is_empty()).then_some((addresses, ttl))
}

impl Known {
    fn addresses(&self) -> Arc<Addresses> {
        Arc::clone(&self.lock().addresses)
    }

    fn ttl(&self, name: &str) -> Option<Duration> {
        self.lock().ttl.get(name).copied()
    }

    fn expire(&self, name: &str) {
        self.lock().ttl.remove(name);
    }

    /// Whether that is another answer than before.
    fn learn(&self, name: &str, addresses: Vec<IpAddr>, ttl: Duration) -> bool {
        let mut answers = self.lock();
        answers.ttl.insert(name.to_owned(), ttl);
        if answers.addresses.get(name) == Some(&addresses) {
            return false;
        }
        Arc::make_mut(&mut answers.addresses).insert(name.to_owned(), addresses);
        true
    }

    fn forget(&self, is_gone: impl Fn(&str) -> bool) {
        let mut answers = self.lock();
        if answers.addresses.keys().any(|name| is_gone(name)) {
            Arc::make_mut(&mut answers.addresses).retain(|name, _| !is_gone(name));
            answers.ttl.retain(|name, _| !is_gone(name));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
    use std::path::Path;

    fn checked(upstreams: &str) -> Checked {
        let text = format!(
            "listeners: [{{ address: '127.0.0.1:0' }}]\nupstreams:\n{upstreams}apis: {{ a: {{ stages: \
             {{ s: {{}} }}, routes: {{ GET /: {{ integration: {{ type: mock }} }} }} }} }}\n"
        );
        model::read("a.yaml", &text, Path::new("/")).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    #[test]
    fn a_name_is_looked_up_as_often_as_any_upstream_asks() {
        let checked = checked(
            "  a: { endpoints: ['x.test:1', '127.0.0.1:1'], resolve: { ttl_min: 2s, ttl_max: 60s } }
  b: { endpoints: ['X.test:2', 'y.test:1'], resolve: { ttl_min: 5s, ttl_max: 9s } }\n",
        );
        let pace = |min, max| Pace {
            min: Duration::from_secs(min),
            max: Duration::from_secs(max),
        };
        let expected = [("x.test", pace(2, 9)), ("y.test", pace(5, 9))];
        let expected = expected.map(|(name, pace)| (name.to_owned(), pace));
        assert_eq!(paces(&checked), expected.into());
    }

    /// A name server that knows one name: A records of what stands in the vector; a failure where
    /// it is empty.
    fn server(known: Arc<Mutex<Vec<[u8; 4]>>>) -> std::net::SocketAddr {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let end = 12 + query[12..].iter().position(|&byte| byte == 0).unwrap() + 5;
                let asks_for_a = query[end - 4..end - 2] == [0, 1];
                let addresses = known.lock().unwrap().clone();
                let failed = u8::from(addresses.is_empty()) * 2;
                let told = if asks_for_a { addresses } else { Vec::new() };
                assert!(length >= end);
                let mut answer = query[..2].to_vec();
                answer.extend([0x81, 0x80 | failed, 0, 1, 0, told.len() as u8, 0, 0, 0, 0]);
                answer.extend(&query[12..end]);
                for address in told {
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                    answer.extend(address);
                }
                socket.send_to(&answer, from).unwrap();
            }
        });
        address
    }

    fn resolver_of(server: std::net::SocketAddr) -> TokioResolver {
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        builder.options_mut().cache_size = 0;
        builder.build().unwrap()
    }

    #[tokio::test]
    async fn new_addresses_are_told_and_a_failure_keeps_the_last_good_ones() {
        let served = Arc::new(Mutex::new(vec![[10, 0, 0, 2], [10, 0, 0, 1]]));
        let resolver = resolver_of(server(Arc::clone(&served)));
        let checked = checked("  a: { endpoints: ['x.test:1'] }\n");
        let mut names = Names {
            resolver: Some(resolver.clone()),
            known: Arc::default(),
            refreshing: HashMap::new(),
        };
        let wait = Duration::from_secs(20);
        let ips = |list: &[[u8; 4]]| list.iter().copied().map(IpAddr::from).collect::<Vec<_>>();
        let found = names.look_up_new(&checked).await;
        assert_eq!(found["x.test"], ips(&[[10, 0, 0, 1], [10, 0, 0, 2]]));
        let pace = Pace {
            min: Duration::from_millis(5),
            max: Duration::from_millis(5),
        };
        let known = Arc::clone(&names.known);
        tokio::spawn(refresh(resolver, known, "x.test".to_owned(), pace));
        *served.lock().unwrap() = vec![[10, 0, 0, 1], [10, 0, 0, 3]];
        timeout(wait, names.changed()).await.unwrap();
        let expected = ips(&[[10, 0, 0, 1], [10, 0, 0, 3]]);
        assert_eq!(names.addresses()["x.test"], expected);
        served.lock().unwrap().clear();
        let failed = async {
            while names.known.ttl("x.test").is_some() {
                sleep(pace.min).await;
            }
        };
        timeout(wait, failed).await.unwrap();
        assert_eq!(names.addresses()["x.test"], expected);
    }

    #[test]
    fn an_answer_that_is_the_same_is_no_change_and_a_name_that_went_is_forgotten() {
        let known = Known::default();
        let one: Vec<IpAddr> = vec![[10, 0, 0, 1].into()];
        let ttl = Duration::from_secs(7);
        assert!(known.learn("a", one.clone(), ttl));
        assert!(!known.learn("a", one.clone(), ttl));
        assert!(known.learn("b", one.clone(), ttl));
        assert!(known.learn("a", [one.clone(), vec![[10, 0, 0, 2].into()]].concat(), ttl));
        assert_eq!(known.ttl("a"), Some(ttl));
        known.expire("a");
        assert_eq!(known.ttl("a"), None);
        assert_eq!(
            known.addresses()["a"].len(),
            2,
            "the last good answer stays"
        );
        known.forget(|name| name == "a");
        assert_eq!(*known.addresses(), [("b".to_owned(), one)].into());
    }
}
