//! Host, path and method to a route.
//!
//! A request passes here in this order: [`normalise`] decides once what the path's bytes are (so
//! that the matcher and the origin see the same ones), [`Hosts`] turns host and base path (or, by
//! the host's routing [`Rules`], header fields) into whatever the configuration hangs there, [`Table`] turns the rest of the path and the method
//! into a route, and [`Target`] writes the origin's path out of the route's parameters. Nothing
//! here waits, asks for the time or knows what a route does: `T` is the caller's.
//!
//! # Which route is taken
//!
//! A template's segment is a literal, a parameter (`{id}`: one segment, at least one byte) or a
//! greedy parameter (`{rest+}`: everything to the end, at least one byte). Where several templates
//! take a path, they are compared segment by segment from the left: a literal goes before a
//! parameter, a parameter before a greedy one. The first of them that has the request's method or
//! `ANY` is taken; at the same template the method goes before `ANY`. So a path whose methods do
//! not match falls back to a less specific route that does. `HEAD` is not derived from `GET`.
//!
//! Amazon's two kinds of API differ in one rule ([`Precedence`]): an HTTP API tries every template
//! without a greedy parameter before the first one with it, a REST API keeps strictly to the order
//! from the left. A REST API also takes no notice of empty segments at the start and of one slash
//! at the end. `$default` comes last in both.

pub mod hosts;
pub mod params;
pub mod path;
pub mod rules;
pub mod table;
pub mod target;
pub mod template;

mod edges;
#[cfg(any(test, feature = "fuzzing"))]
pub mod naive;

pub use hosts::{BasePathRule, Found, Hosts, HostsBuilder, Matched};
pub use params::Params;
pub use path::{Normalised, Peculiarities, check_query, normalise};
pub use rules::{BasePathUse, HeaderCondition, Rule, Rules, ValueGlob};
pub use table::{Methods, Precedence, Table, TableBuilder};
pub use target::Target;
pub use template::{RouteKey, Template};
