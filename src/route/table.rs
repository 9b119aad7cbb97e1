//! The route table of one API: path and method to a route.
//!
//! Compiled with a configuration and immutable afterwards; a request asks it once. It knows nothing
//! of hosts and stages and never changes a path's bytes.
//!
//! # Its form
//!
//! It begins as a tree with a node a segment: an edge for each literal, one for a parameter, and in
//! the node the methods of the routes that end in it and of the greedy routes that hang on it.
//! Then nodes under which everything is alike become one (`build.rs`), as words share endings in a
//! dictionary: what a thousand services have in common is there once and stays in the nearest
//! cache, and only what is different about them costs a look into memory. Since a shared node does
//! not know which route it ends, routes are numbered: an edge carries the number of routes that
//! come before it under its parent, a walk adds these up, and a method's place is the number of
//! smaller methods in the same node. So a node is twelve bytes whatever its methods.
//!
//! # What a look-up may cost
//!
//! The walk goes down by literal edges first and comes back to where a parameter was also open, so
//! it goes each way of the tree at most once and needs no more memory than one entry a segment. How
//! many nodes that can be for the worst path is counted when the table is built: for a node, itself,
//! the most of any literal child, and all of its parameter child. [`TableBuilder::build`] refuses
//! routes for which the root's count is over [`bounds::ROUTE_NODES_VISITED_MAX`]; so no path makes
//! the walk longer than that, whatever the routes, and ordinary routes stay under twenty. A
//! segment is hashed at most once a visit, and not at all if it is longer than every literal.
//!
//! [`bounds::ROUTE_NODES_VISITED_MAX`]: crate::bounds::ROUTE_NODES_VISITED_MAX

use super::edges::Edges;
use super::params::Params;
use crate::http::Method;

pub use build::{Conflict, TableBuilder, Tangled};

mod build;
#[cfg(test)]
mod tests;
mod walk;

/// In which order templates that take one path are asked for the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// An HTTP API: all templates without a greedy parameter, then all with one, each from the
    /// most specific; then `$default`.
    FullMatchFirst,
    /// A REST API: strictly segment by segment from the left. Empty segments at the start of a
    /// path and one slash at its end are ignored.
    LeftToRight,
}

/// The bit of a method.
const fn bit(method: Method) -> u16 {
    1 << method as u16
}
/// The bit of methods without a number of their own; their routes lie in `Table::tokens`.
const TOKENS: u16 = bit(Method::Other);
/// The bit of `ANY`.
const ANY: u16 = 1 << Method::COUNT;
const _: () = assert!(Method::COUNT < 16);

/// One node: what may follow the segments that lead to it.
///
/// The routes under it are numbered from 0: those that end in it in the order of their bits, the
/// greedy ones that hang on it likewise, both kinds' [`TOKENS`], those under the parameter child,
/// those under each literal child.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// The child that takes any segment; 0 for none.
    parameter: u32,
    /// The number of the first route under it.
    parameter_offset: u32,
    /// Methods of the routes that end here; also [`LITERALS`].
    here: u16,
    /// Methods of the greedy routes that hang here.
    greedy: u16,
}

const _: () = assert!(size_of::<Node>() == 12);

/// Set in `Node::here` if the node has literal children: a parameter's node most often has none,
/// and is then left without a hash look-up.
const LITERALS: u16 = 1 << 15;

/// Whether a route ends in a node or in the greedy parameter behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Ending {
    Here,
    Greedy,
}

/// Routes that have a number of their own among those of one ending.
const fn numbered(methods: u16) -> u32 {
    (methods & !TOKENS & !LITERALS).count_ones()
}

impl Node {
    const fn methods(&self, ending: Ending) -> u16 {
        match ending {
            Ending::Here => self.here & !LITERALS,
            Ending::Greedy => self.greedy,
        }
    }

    /// The number of the route with this ending and method bit, which it has.
    const fn place(&self, ending: Ending, bit: u16) -> u32 {
        let smaller = numbered(self.methods(ending) & (bit - 1));
        match ending {
            Ending::Here => smaller,
            Ending::Greedy => smaller + numbered(self.here),
        }
    }
}

/// A route of a method without a bit of its own.
#[derive(Clone, Debug)]
struct Token {
    node: u32,
    ending: Ending,
    token: Box<[u8]>,
    /// The number of the route under its node.
    offset: u32,
}

impl Token {
    fn place(&self) -> (u32, Ending, &[u8]) {
        (self.node, self.ending, &self.token)
    }
}

/// The routes of one API, compiled.
#[derive(Clone, Debug)]
pub struct Table<T> {
    precedence: Precedence,
    edges: Edges,
    /// Node 0 stands for none.
    nodes: Vec<Node>,
    root: u32,
    /// Segments on the way to the deepest node.
    depth_max: usize,
    /// In the order of their numbers, `$default` last.
    routes: Vec<T>,
    /// Sorted by [`Token::place`].
    tokens: Vec<Token>,
    /// Place of `$default` in `routes`.
    default: Option<u32>,
}

impl<T> Table<T> {
    /// The route of `path` and `method`; `method_token` is the method as it came, looked at only
    /// for [`Method::Other`]. `path` begins with a slash and is normalised; `params` is set to the
    /// values of the route's parameters (and to none if there is no route, or `$default`).
    ///
    /// Cost: no allocation; one hash look-up a segment in the common case, at most
    /// [`crate::bounds::ROUTE_NODES_VISITED_MAX`] in the worst. Bench: `route/find_100000`.
    pub fn find(
        &self,
        method: Method,
        method_token: &[u8],
        path: &[u8],
        params: &mut Params,
    ) -> Option<&T> {
        params.clear();
        let route = self
            .walk(method, method_token, path, params)
            .or_else(|| self.default_for(path))?;
        self.routes.get(route as usize)
    }

    fn default_for(&self, path: &[u8]) -> Option<u32> {
        if path.first() == Some(&b'/') {
            self.default
        } else {
            None
        }
    }

    /// The methods under which `path` has a route: what a 405 answer lists. All of them where `ANY`
    /// or `$default` would take it. Cost: one look-up a method; for refusals only.
    #[cold]
    pub fn methods(&self, path: &[u8]) -> Methods<'_> {
        let mut params = Params::new();
        let mut takes =
            |method, token: &[u8]| self.find(method, token, path, &mut params).is_some();
        let mut known = 0;
        for method in Method::ALL {
            // CONNECT is never served, whatever `ANY` says.
            if method != Method::Connect && takes(method, b"") {
                known |= bit(method);
            }
        }
        let mut tokens: Vec<&[u8]> = self.tokens.iter().map(|entry| &*entry.token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        tokens.retain(|token| takes(Method::Other, token));
        Methods { known, tokens }
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Every route, in no order that means anything.
    pub fn routes(&self) -> impl Iterator<Item = &T> {
        self.routes.iter()
    }
}

/// Methods under which a path has a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods<'t> {
    /// A bit a method; `Other` stands for every token that has no number.
    known: u16,
    /// Tokens without a number, sorted.
    tokens: Vec<&'t [u8]>,
}

impl Methods<'_> {
    /// Whether there are none: the path has no route at all.
    pub fn is_empty(&self) -> bool {
        self.known == 0 && self.tokens.is_empty()
    }

    /// Appends the value of an `Allow` field: `GET, HEAD`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let known = Method::ALL
            .into_iter()
            .filter(|&method| method != Method::Other);
        let known = known.filter(|&method| self.known & bit(method) != 0);
        let known = known.map(|method| method.name().as_bytes());
        for (index, name) in known.chain(self.tokens.iter().copied()).enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(name);
        }
    }
}
