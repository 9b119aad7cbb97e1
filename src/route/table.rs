//! The route table of one API: path and method to a route.
//!
//! Compiled with a configuration and immutable afterwards; a request asks it once. It is one tree
//! with a node a segment. An edge of a literal is a hash look-up in [`super::edges`]; a node knows
//! its parameter child, the methods of the route that ends in it and the methods of the greedy
//! route that hangs on it. Routes that end in one node lie side by side, and a method's place among
//! them is the number of smaller methods: a node needs sixteen bytes whatever its methods. It knows
//! nothing of hosts and stages and never changes a path's bytes.
//!
//! # What a look-up may cost
//!
//! The walk goes down by literal edges first and comes back to where a parameter was also open, so
//! it visits each node at most once and needs no more memory than one entry a segment. How many
//! nodes that can be for the worst path is counted when the table is built: for a node, itself,
//! the most of any literal child, and all of its parameter child. [`TableBuilder::build`] refuses
//! routes for which the root's count is over [`bounds::ROUTE_NODES_VISITED_MAX`]; so no path makes
//! the walk longer than that, whatever the routes, and ordinary routes stay under twenty. Bytes of
//! a path are hashed at most once a visit.

use super::edges::Edges;
use super::template::{KeyMethod, RouteKey, Segment, Template};
use crate::bounds;
use crate::http::Method;
use std::fmt;
use std::ops::Range;

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

/// The values of a route's path parameters, as places in the path that was matched. The names
/// stand in the route's [`Template`], in the same order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params {
    count: u8,
    ranges: [(u16, u16); bounds::PATH_PARAMETERS_MAX],
}

impl Params {
    /// No values.
    pub const fn new() -> Self {
        Self {
            count: 0,
            ranges: [(0, 0); bounds::PATH_PARAMETERS_MAX],
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The places of the values in the path.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        self.ranges[..self.len()]
            .iter()
            .map(|&(start, end)| start as usize..end as usize)
    }

    /// The value of parameter `index`, still encoded; `path` is the path that was matched. Empty if
    /// there is no such parameter.
    pub fn value<'p>(&self, index: usize, path: &'p [u8]) -> &'p [u8] {
        let place = self.ranges[..self.len()].get(index);
        place
            .and_then(|&(start, end)| path.get(start as usize..end as usize))
            .unwrap_or_default()
    }

    /// Moves the places from a path with merged slashes to the same path with all of its slashes
    /// (`Normalised::merged` and `Normalised::kept`, a base path taken off both). Cost: one pass.
    #[cold]
    pub fn move_to_kept(&mut self, merged: &[u8], kept: &[u8]) {
        let mut at = 0;
        let mut before = 0;
        for (index, &byte) in merged.iter().enumerate() {
            while before == b'/' && kept.get(at) == Some(&b'/') {
                at += 1;
            }
            for (start, end) in &mut self.ranges[..self.count as usize] {
                // A later byte's place is never smaller than its index, so one that was already
                // moved could be taken for another index: places move from the top of the word.
                if *start == index as u16 {
                    *start = at as u16 | MOVED;
                }
                if usize::from(*end) == index + 1 {
                    *end = (at + 1) as u16 | MOVED;
                }
            }
            at += 1;
            before = byte;
        }
        for (start, end) in &mut self.ranges[..self.count as usize] {
            *start &= !MOVED;
            *end &= !MOVED;
        }
    }

    fn clear(&mut self) {
        self.count = 0;
    }

    fn push(&mut self, start: usize, end: usize) {
        self.ranges[self.len()] = (start as u16, end as u16);
        self.count += 1;
    }
}

/// Marks a place that `move_to_kept` has dealt with. No place needs the bit.
const MOVED: u16 = 1 << 15;
const _: () = assert!(bounds::TARGET_BYTES_MAX < MOVED as usize);

/// A route that cannot stand beside an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key of the earlier route, as written but in normal form.
    pub existing: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "takes the same requests as `{}`", self.existing)
    }
}

impl std::error::Error for Conflict {}

/// Routes in which literals and parameters stand beside each other in so many places that a path
/// could make a look-up visit too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tangled {
    /// Nodes that the worst path would visit.
    pub visited: usize,
}

impl fmt::Display for Tangled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "one path could need {} steps to match ({} are allowed): too many routes differ only in \
             which of their segments are parameters",
            self.visited,
            bounds::ROUTE_NODES_VISITED_MAX
        )
    }
}

impl std::error::Error for Tangled {}

/// The routes that end in one place: a bit a method, and where the first of them lies. The route
/// of a method lies as many places further as there are smaller methods; `ANY` comes last.
#[derive(Clone, Copy, Debug, Default)]
struct Leaf {
    methods: u16,
    first: u32,
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

/// One node of the tree: what may follow the segments that lead to it.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// The child that takes any segment; 0 for none.
    parameter: u32,
    /// First route that ends here.
    here_first: u32,
    /// First greedy route that hangs here.
    greedy_first: u32,
    /// Methods of the routes that end here; also [`LITERALS`].
    here_methods: u16,
    /// Methods of the greedy routes that hang here.
    greedy_methods: u16,
}

const _: () = assert!(size_of::<Node>() == 16);

/// Set in `Node::here_methods` if the node has literal children: a parameter's node most often has
/// none, and is then left without a hash look-up.
const LITERALS: u16 = 1 << 15;

impl Node {
    const fn here(&self) -> Leaf {
        Leaf {
            methods: self.here_methods & !LITERALS,
            first: self.here_first,
        }
    }

    const fn greedy(&self) -> Leaf {
        Leaf {
            methods: self.greedy_methods,
            first: self.greedy_first,
        }
    }
}

/// A place where routes end: a node, either in it or in the greedy parameter behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct End {
    node: u32,
    greedy: bool,
}

/// A route of a method without a number of its own.
#[derive(Clone, Debug)]
struct Token {
    end: End,
    token: Box<[u8]>,
    route: u32,
}

/// Collects routes; [`TableBuilder::build`] makes the table.
#[derive(Clone, Debug)]
pub struct TableBuilder<T> {
    precedence: Precedence,
    edges: Edges,
    /// Each node's parameter child.
    parameters: Vec<u32>,
    /// Each node's parent, and whether it is the parent's parameter child.
    parents: Vec<(u32, bool)>,
    /// All but `$default`, in the order of insertion.
    routes: Vec<Entry<T>>,
    /// Place in `routes` of the route with this end and method.
    taken: std::collections::HashMap<(End, KeyMethod), u32>,
    default: Option<T>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    end: End,
    key: RouteKey,
    value: T,
}

impl<T> TableBuilder<T> {
    /// No routes yet. The precedence is asked for here because it decides what conflicts: to a
    /// REST API `/a` and `/a/` are one path.
    pub fn new(precedence: Precedence) -> Self {
        Self {
            precedence,
            edges: Edges::new(),
            parameters: vec![0],
            parents: vec![(0, false)],
            routes: Vec::new(),
            taken: std::collections::HashMap::new(),
            default: None,
        }
    }

    /// Adds a route. An earlier one of the same method and shape (parameters' names do not count)
    /// is a conflict, and stays.
    pub fn insert(&mut self, key: &RouteKey, value: T) -> Result<(), Conflict> {
        let RouteKey::Path { method, template } = key else {
            if self.default.is_some() {
                return Err(Conflict {
                    existing: key.to_string(),
                });
            }
            self.default = Some(value);
            return Ok(());
        };
        let end = self.end_of(template);
        let place = (end, method.clone());
        if let Some(&earlier) = self.taken.get(&place) {
            return Err(Conflict {
                existing: self.routes[earlier as usize].key.to_string(),
            });
        }
        self.taken.insert(place, self.routes.len() as u32);
        self.routes.push(Entry {
            end,
            key: key.clone(),
            value,
        });
        Ok(())
    }

    /// The place where `template` ends, made if it is not there.
    fn end_of(&mut self, template: &Template) -> End {
        let mut segments = template.segments();
        if self.precedence == Precedence::LeftToRight
            && let [before @ .., Segment::Literal(last)] = segments
            && last.is_empty()
            && !before.is_empty()
        {
            segments = before;
        }
        let mut node = 0;
        for segment in segments {
            node = match segment {
                Segment::Literal(bytes) => match self.edges.find(node, bytes) {
                    Some(child) => child,
                    None => {
                        let child = self.add_node(node, false);
                        self.edges.insert(node, bytes, child);
                        child
                    }
                },
                Segment::Parameter(_) => match self.parameters[node as usize] {
                    0 => {
                        let child = self.add_node(node, true);
                        self.parameters[node as usize] = child;
                        child
                    }
                    child => child,
                },
                Segment::Greedy(_) => return End { node, greedy: true },
            };
        }
        End {
            node,
            greedy: false,
        }
    }

    fn add_node(&mut self, parent: u32, is_parameter: bool) -> u32 {
        let node = u32::try_from(self.parents.len()).expect("a configuration is under 4 GiB");
        self.parents.push((parent, is_parameter));
        self.parameters.push(0);
        node
    }

    /// Compiles the table. Cost: linear, but for one sort of the routes.
    pub fn build(mut self) -> Result<Table<T>, Tangled> {
        let visited = self.visited_most();
        if visited > bounds::ROUTE_NODES_VISITED_MAX {
            return Err(Tangled { visited });
        }
        let mut nodes: Vec<Node> = self
            .parameters
            .iter()
            .map(|&parameter| Node {
                parameter,
                ..Node::default()
            })
            .collect();
        for &(parent, is_parameter) in &self.parents[1..] {
            if !is_parameter {
                nodes[parent as usize].here_methods |= LITERALS;
            }
        }
        self.edges.settle();
        let mut table = Table {
            precedence: self.precedence,
            edges: self.edges,
            nodes,
            routes: Vec::with_capacity(self.routes.len() + 1),
            tokens: Vec::new(),
            default: None,
        };
        // Routes of one end lie together, in the order of their methods' bits, tokens last.
        self.routes
            .sort_by_key(|entry| (entry.end, rank(&entry.key)));
        for entry in self.routes {
            table.add(entry);
        }
        table
            .tokens
            .sort_by(|a, b| (a.end, &a.token).cmp(&(b.end, &b.token)));
        if let Some(value) = self.default {
            table.default = Some(table.routes.len() as u32);
            table.routes.push(value);
        }
        Ok(table)
    }

    /// Nodes that the worst path would visit.
    fn visited_most(&self) -> usize {
        let mut of_literals = vec![0_usize; self.parents.len()];
        let mut of_parameter = vec![0_usize; self.parents.len()];
        // Children have greater numbers than their parents, so one pass from the end has each
        // node's children counted before it.
        for node in (0..self.parents.len()).rev() {
            let visited = 1_usize
                .saturating_add(of_literals[node])
                .saturating_add(of_parameter[node]);
            let (parent, is_parameter) = self.parents[node];
            if node == 0 {
                return visited;
            }
            if is_parameter {
                of_parameter[parent as usize] = visited;
            } else {
                let most = &mut of_literals[parent as usize];
                *most = visited.max(*most);
            }
        }
        0
    }
}

/// The place of a key's route among those of its end.
fn rank(key: &RouteKey) -> u16 {
    match key {
        RouteKey::Path {
            method: KeyMethod::Known(method),
            ..
        } => *method as u16,
        RouteKey::Path {
            method: KeyMethod::Any,
            ..
        } => Method::COUNT as u16,
        RouteKey::Path {
            method: KeyMethod::Token(_),
            ..
        }
        | RouteKey::Default => u16::MAX,
    }
}

/// The routes of one API, compiled.
#[derive(Clone, Debug)]
pub struct Table<T> {
    precedence: Precedence,
    edges: Edges,
    /// Node 0 is the root.
    nodes: Vec<Node>,
    /// Routes of one end together, `$default` last.
    routes: Vec<T>,
    /// Sorted by end and token.
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
    /// [`bounds::ROUTE_NODES_VISITED_MAX`] in the worst. Bench: `route/find_100000`.
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

    fn add(&mut self, Entry { end, key, value }: Entry<T>) {
        let route = self.routes.len() as u32;
        self.routes.push(value);
        let RouteKey::Path { method, .. } = key else {
            return;
        };
        let node = &mut self.nodes[end.node as usize];
        let (methods, first) = if end.greedy {
            (&mut node.greedy_methods, &mut node.greedy_first)
        } else {
            (&mut node.here_methods, &mut node.here_first)
        };
        if *methods & !LITERALS == 0 {
            *first = route;
        }
        *methods |= match method {
            KeyMethod::Any => ANY,
            KeyMethod::Known(method) => bit(method),
            KeyMethod::Token(token) => {
                self.tokens.push(Token { end, token, route });
                TOKENS
            }
        };
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
