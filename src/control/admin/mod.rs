//! The admin API: what the process does, what is deployed, and orders.
//!
//! It is served on the state folder's socket, for the command line, and on the address that the
//! configuration names. It reads what the gateway's loop shares and sends it orders; it changes
//! nothing itself. `door.rs` bounds what a client may take and says who is let in.

mod door;
mod keys;
mod pages;
mod process;
mod stages;

use super::{
    deployments::{ChangeRequest, StageKey},
    failure::Failure,
    gateway::Changed,
    keys::{Answer as KeyAnswer, KeyRequest},
    listeners::{BindError, is_free, listen_address},
    state_dir::listen,
    status::{Live, Shared},
};
use crate::{
    deploy::{Difference, StoreError},
    model::checked::Address,
    net::ListenAddress,
};
use axum::{
    Json, Router,
    extract::{State, connect_info::Connected},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::IncomingStream,
};
use door::{Door, Local};
use serde_json::json;
use std::{io, os::unix::net::UnixListener as StdUnixListener, sync::Arc};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{mpsc, oneshot},
};

/// Orders that wait for the gateway's loop; more are refused with 503.
const ORDERS_MAX: usize = 16;

/// Bytes of a request's body: a canary's variables and a reason.
const BODY_BYTES_MAX: usize = 128 * 1024;

/// What the gateway is told by the API.
#[derive(Debug)]
pub(super) enum Order {
    /// Take up the configuration file as it now stands.
    Reload(oneshot::Sender<Result<Live, Failure>>),
    /// Open the access log's path again.
    ReopenLogs(oneshot::Sender<Result<(), Failure>>),
    /// Change what a stage serves.
    Change(
        Box<ChangeRequest>,
        oneshot::Sender<Result<Changed, Failure>>,
    ),
    /// Say what a deploy to the stage would change.
    Differences(StageKey, oneshot::Sender<Result<Vec<Difference>, Failure>>),
    /// Tell of API keys, or change them.
    Keys(Box<KeyRequest>, oneshot::Sender<Result<KeyAnswer, Failure>>),
    /// Remove old deployments of the API, but so many of the newest.
    Collect(String, usize, oneshot::Sender<Result<usize, Failure>>),
}

/// The API's sockets, bound and not yet served.
#[derive(Debug)]
pub(super) struct Listeners {
    socket: UnixListener,
    configured: Option<Configured>,
}

#[derive(Debug)]
enum Configured {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listeners {
    /// Binds the configured address beside the state folder's `socket`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub(super) fn bind(
        socket: StdUnixListener,
        address: Option<&Address>,
    ) -> Result<Self, Failure> {
        let configured = address.map(|address| {
            bind(address).map_err(|error| {
                Failure::Admin(BindError {
                    address: listen_address(address),
                    error,
                })
            })
        });
        let socket = UnixListener::from_std(socket).map_err(|error| Failure::System {
            what: "the admin socket",
            error,
        })?;
        Ok(Self {
            socket,
            configured: configured.transpose()?,
        })
    }

    /// Where the configured address is in fact.
    pub(super) fn local(&self) -> Option<ListenAddress> {
        match self.configured.as_ref()? {
            Configured::Tcp(listener) => listener.local_addr().ok().map(ListenAddress::Ip),
            Configured::Unix(listener) => {
                let address = listener.local_addr().ok()?;
                Some(ListenAddress::Unix(address.as_pathname()?.to_owned()))
            }
        }
    }

    /// Serves until the process ends; the orders that come in.
    pub(super) fn serve(self, shared: &Arc<Shared>) -> mpsc::Receiver<Order> {
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let api = Api {
            shared: Arc::clone(shared),
            orders: sender,
        };
        spawn(Door::new(Local(self.socket)), router(api.clone()));
        match self.configured {
            Some(Configured::Unix(listener)) => spawn(Door::new(Local(listener)), router(api)),
            Some(Configured::Tcp(listener)) => {
                let guarded = router(api).layer(middleware::from_fn(door::known_host));
                spawn(Door::new(listener), guarded);
            }
            None => {}
        }
        orders
    }
}

fn bind(address: &Address) -> io::Result<Configured> {
    match address {
        Address::Tcp(address) => {
            is_free(*address)?;
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener).map(Configured::Tcp)
        }
        Address::Unix(path) => UnixListener::from_std(listen(path)?).map(Configured::Unix),
    }
}

fn spawn<L>(door: Door<L>, router: Router)
where
    Door<L>: axum::serve::Listener<Addr = door::Call>,
    door::Call: for<'a> Connected<IncomingStream<'a, Door<L>>>,
{
    let service = router.into_make_service_with_connect_info::<door::Call>();
    // It ends with the process only: the door waits out whatever goes wrong with a socket.
    tokio::spawn(async move { axum::serve(door, service).await });
}

/// What the handlers share.
#[derive(Clone, Debug)]
struct Api {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
}

fn router(api: Api) -> Router {
    Router::new()
        .route("/", get(pages::index))
        .route("/metrics", get(pages::metrics))
        .route("/health", get(pages::health))
        .route("/ready", get(pages::ready))
        .route("/generation", get(pages::generation))
        .route("/config", get(pages::config))
        .route("/upstreams", get(pages::upstreams))
        .route("/reload", post(reload))
        .route("/logs/reopen", post(reopen_logs))
        .route("/limits", get(pages::limits))
        .route("/openapi.json", get(pages::description))
        .route("/stages", get(stages::list))
        .route("/apis/{api}/deployments", get(stages::deployments))
        .route("/apis/{api}/gc", post(stages::gc))
        .route("/apis/{api}/stages/{stage}", get(stages::show))
        .route("/apis/{api}/stages/{stage}/diff", get(stages::diff))
        .route("/apis/{api}/stages/{stage}/deploy", post(stages::deploy))
        .route("/apis/{api}/stages/{stage}/promote", post(stages::promote))
        .route(
            "/apis/{api}/stages/{stage}/rollback",
            post(stages::rollback),
        )
        .route("/apis/{api}/stages/{stage}/canary", post(stages::canary))
        .route(
            "/apis/{api}/stages/{stage}/canary/promote",
            post(stages::canary_promote),
        )
        .route(
            "/apis/{api}/stages/{stage}/canary/abort",
            post(stages::canary_abort),
        )
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/import", post(keys::import))
        .route("/keys/{key}", get(keys::show))
        .route("/keys/{key}/enable", post(keys::enable))
        .route("/keys/{key}/disable", post(keys::disable))
        .route("/keys/{key}/rotate", post(keys::rotate))
        .route("/keys/{key}/delete", post(keys::delete))
        .route("/keys/{key}/assign", post(keys::assign))
        .route("/keys/{key}/unassign", post(keys::unassign))
        .route("/usage", get(keys::usage))
        .route("/usage/extend", post(keys::extend))
        .layer(middleware::from_fn_with_state(
            api.clone(),
            door::authorised,
        ))
        .layer(middleware::from_fn(door::one_request))
        .layer(middleware::from_fn(door::own_origin))
        .with_state(api)
}

async fn reload(State(api): State<Api>) -> Response {
    match order(&api, Order::Reload).await {
        Ok(live) => {
            let message = live.to_string();
            let mut page = json!(live);
            page["message"] = message.into();
            Json(page).into_response()
        }
        Err(refusal) => refusal,
    }
}

async fn reopen_logs(State(api): State<Api>) -> Response {
    match order(&api, Order::ReopenLogs).await {
        Ok(()) => Json(json!({ "message": "access log reopened" })).into_response(),
        Err(refusal) => refusal,
    }
}

/// Gives the gateway an order and waits for what came of it.
async fn order<T>(
    api: &Api,
    order: impl FnOnce(oneshot::Sender<Result<T, Failure>>) -> Order,
) -> Result<T, Response> {
    let (answer, answered) = oneshot::channel();
    if api.orders.try_send(order(answer)).is_err() {
        return Err(refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many orders wait already, or the process is about to end",
        ));
    }
    match answered.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(failure)) => Err(refusal(status_of(&failure), &failure.to_string())),
        Err(_) => Err(refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            &Failure::Draining.to_string(),
        )),
    }
}

/// Whether what the operator wrote is wrong, or something else.
fn status_of(failure: &Failure) -> StatusCode {
    match failure {
        Failure::Unreadable { .. } | Failure::Mistakes(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Failure::DefinitionTooLong(_) | Failure::ReasonTooLong => StatusCode::UNPROCESSABLE_ENTITY,
        Failure::Bind(_)
        | Failure::AccessLog { .. }
        | Failure::Refused(_)
        | Failure::KeyRefused(_)
        | Failure::StageFollows { .. }
        | Failure::NothingToPromote { .. } => StatusCode::CONFLICT,
        Failure::Unknown { .. } | Failure::Store(StoreError::Unknown { .. }) => {
            StatusCode::NOT_FOUND
        }
        Failure::Draining => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Store(_)
        | Failure::KeyStore(_)
        | Failure::Admin(_)
        | Failure::AlreadyRunning { .. }
        | Failure::StateDir { .. }
        | Failure::Workers(_)
        | Failure::System { .. }
        | Failure::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A refusal is a message, as everywhere.
fn refusal(status: StatusCode, message: &str) -> Response {
    let body = Json(json!({ "message": message }));
    (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests {
    /// The description names every route of the router, and no other.
    #[test]
    fn the_description_has_every_route() {
        let source = include_str!("mod.rs");
        let mut served: Vec<&str> = source
            .split(".route(")
            .filter_map(|rest| rest.trim_start().strip_prefix("\"/"))
            .filter_map(|rest| rest.split_once('"'))
            .map(|(path, _)| path)
            .collect();
        let document: serde_json::Value =
            serde_json::from_str(include_str!("openapi.json")).expect("JSON");
        let told = document["paths"].as_object().expect("paths").keys();
        let mut told: Vec<&str> = told.map(|path| &path[1..]).collect();
        served.sort_unstable();
        told.sort_unstable();
        assert_eq!(served, told);
    }
}
