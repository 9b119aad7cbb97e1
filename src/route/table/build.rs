//! From route keys to the table: a tree that grows with each route, then the table out of it.
//!
//! The control plane's half of [`super`]: it runs when a configuration is compiled, never for a
//! request.

use std::collections::HashMap;
use std::fmt;

use super::{ANY, Ending, LITERALS, Node, Precedence, TOKENS, Table, Token, bit, numbered};
use crate::bounds;
use crate::route::edges::{Edges, Step};
use crate::route::template::{KeyMethod, RouteKey, Segment, Template};

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

/// Collects routes; [`TableBuilder::build`] makes the table.
#[derive(Clone, Debug)]
pub struct TableBuilder<T> {
    precedence: Precedence,
    /// From node and literal to child.
    edges: Edges,
    /// Each literal's number.
    literals: HashMap<Box<[u8]>, u32>,
    /// Node 0 is the root; children come after their parents.
    nodes: Vec<Grown>,
    /// Segments on the way to the deepest node.
    depth_max: usize,
    /// All but `$default`, in the order of insertion.
    routes: Vec<Entry<T>>,
    /// Place in `routes` of the route with this end and method.
    taken: HashMap<(u32, Ending, KeyMethod), u32>,
    default: Option<T>,
}

/// A node of the tree.
#[derive(Clone, Copy, Debug)]
struct Grown {
    parent: u32,
    /// The number of the literal that leads here; `None` for the parameter child and the root.
    literal: Option<u32>,
    /// The parameter child; 0 for none.
    parameter: u32,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    node: u32,
    ending: Ending,
    method: KeyMethod,
    /// The key in normal form, for conflicts.
    text: Box<str>,
    value: T,
}

/// All that is under a node, by which nodes are alike. Children are in it by their numbers in the
/// table, so that alike children make alike parents.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Shape {
    here: u16,
    greedy: u16,
    /// Sorted.
    tokens: Vec<(Ending, Box<[u8]>)>,
    parameter: u32,
    /// Literals and children, sorted.
    literals: Vec<(u32, u32)>,
}

impl<T> TableBuilder<T> {
    /// No routes yet. The precedence is asked for here because it decides what conflicts: to a
    /// REST API `/a` and `/a/` are one path.
    pub fn new(precedence: Precedence) -> Self {
        Self {
            precedence,
            edges: Edges::new(),
            literals: HashMap::new(),
            nodes: vec![Grown {
                parent: 0,
                literal: None,
                parameter: 0,
            }],
            depth_max: 0,
            routes: Vec::new(),
            taken: HashMap::new(),
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
        let (node, ending) = self.end_of(template);
        let place = (node, ending, method.clone());
        if let Some(&earlier) = self.taken.get(&place) {
            return Err(Conflict {
                existing: self.routes[earlier as usize].text.to_string(),
            });
        }
        self.taken.insert(place, self.routes.len() as u32);
        let text = key.to_string().into();
        self.routes.push(Entry {
            node,
            ending,
            method: method.clone(),
            text,
            value,
        });
        Ok(())
    }

    /// The place where `template` ends, made if it is not there.
    fn end_of(&mut self, template: &Template) -> (u32, Ending) {
        let mut segments = template.segments();
        if self.precedence == Precedence::LeftToRight
            && let [before @ .., Segment::Literal(last)] = segments
            && last.is_empty()
            && !before.is_empty()
        {
            segments = before;
        }
        let greedy = usize::from(template.is_greedy());
        self.depth_max = self.depth_max.max(segments.len() - greedy);
        let mut node = 0;
        for segment in segments {
            node = match segment {
                Segment::Literal(bytes) => self.literal_child(node, bytes),
                Segment::Parameter(_) => self.parameter_child(node),
                Segment::Greedy(_) => return (node, Ending::Greedy),
            };
        }
        (node, Ending::Here)
    }

    fn literal_child(&mut self, parent: u32, bytes: &[u8]) -> u32 {
        if let Some(step) = self.edges.find(parent, bytes) {
            return step.child;
        }
        let literal = match self.literals.get(bytes) {
            Some(&literal) => literal,
            None => {
                let literal = self.literals.len() as u32;
                self.literals.insert(bytes.into(), literal);
                literal
            }
        };
        let child = self.add_node(parent, Some(literal));
        self.edges.insert(parent, bytes, Step { child, offset: 0 });
        child
    }

    fn parameter_child(&mut self, parent: u32) -> u32 {
        match self.nodes[parent as usize].parameter {
            0 => {
                let child = self.add_node(parent, None);
                self.nodes[parent as usize].parameter = child;
                child
            }
            child => child,
        }
    }

    fn add_node(&mut self, parent: u32, literal: Option<u32>) -> u32 {
        let node = u32::try_from(self.nodes.len()).expect("a configuration is under 4 GiB");
        self.nodes.push(Grown {
            parent,
            literal,
            parameter: 0,
        });
        node
    }

    /// Compiles the table. Cost: linear in the routes' segments, but for sorting.
    pub fn build(mut self) -> Result<Table<T>, Tangled> {
        let visited = self.visited_most();
        if visited > bounds::ROUTE_NODES_VISITED_MAX {
            return Err(Tangled { visited });
        }
        let mut shapes = self.own_shapes();
        let literals = std::mem::take(&mut self.literals);
        let mut joined = Joined::new(&literals);
        // Children have greater numbers than their parents: from the end, every node's children
        // have been joined before it.
        let mut offsets = vec![0; self.nodes.len()];
        let mut children: Vec<Vec<(u32, u32)>> = vec![Vec::new(); self.nodes.len()];
        let mut joins = vec![0; self.nodes.len()];
        for node in (0..self.nodes.len()).rev() {
            let Grown {
                parent,
                literal,
                parameter,
            } = self.nodes[node];
            let shape = &mut shapes[node];
            shape.parameter = joins[parameter as usize];
            let grown = &mut children[node];
            grown.sort_unstable();
            shape.literals = grown
                .iter()
                .map(|&(l, child)| (l, joins[child as usize]))
                .collect();
            let mut offset = shape.own_routes();
            if parameter != 0 {
                offsets[parameter as usize] = offset;
                offset += joined.sizes[shape.parameter as usize];
            }
            for &(_, child) in grown.iter() {
                offsets[child as usize] = offset;
                offset += joined.sizes[joins[child as usize] as usize];
            }
            joins[node] = joined.join(std::mem::take(shape), offset);
            if let Some(literal) = literal {
                children[parent as usize].push((literal, node as u32));
            }
        }
        Ok(self.number(joined, &joins, offsets))
    }

    /// The shapes of all nodes without their children. Also sorts the routes in the order of their
    /// numbers in their nodes.
    fn own_shapes(&mut self) -> Vec<Shape> {
        self.routes.sort_by(|a, b| a.place().cmp(&b.place()));
        let mut shapes: Vec<Shape> = Vec::new();
        shapes.resize_with(self.nodes.len(), Shape::default);
        for entry in &self.routes {
            let shape = &mut shapes[entry.node as usize];
            let methods = match entry.ending {
                Ending::Here => &mut shape.here,
                Ending::Greedy => &mut shape.greedy,
            };
            *methods |= match &entry.method {
                KeyMethod::Any => ANY,
                KeyMethod::Known(method) => bit(*method),
                KeyMethod::Token(token) => {
                    shape.tokens.push((entry.ending, token.clone()));
                    TOKENS
                }
            };
        }
        shapes
    }

    /// The table, once alike nodes are joined: every route goes to its number.
    fn number(self, joined: Joined<'_>, joins: &[u32], mut offsets: Vec<u32>) -> Table<T> {
        // From offsets under the parent to numbers under the root.
        for node in 1..offsets.len() {
            offsets[node] += offsets[self.nodes[node].parent as usize];
        }
        let mut routes: Vec<(u32, T)> = Vec::with_capacity(self.routes.len() + 1);
        let (mut node, mut next) = (0, offsets[0]);
        for entry in self.routes {
            if entry.node != node {
                (node, next) = (entry.node, offsets[entry.node as usize]);
            }
            routes.push((next, entry.value));
            next += 1;
        }
        routes.sort_unstable_by_key(|(number, _)| *number);
        let default = self.default.is_some().then_some(routes.len() as u32);
        let values = routes
            .into_iter()
            .map(|(_, value)| value)
            .chain(self.default);
        let Joined {
            mut edges,
            nodes,
            mut tokens,
            ..
        } = joined;
        edges.settle();
        tokens.sort_by(|a, b| a.place().cmp(&b.place()));
        let routes = values.collect();
        Table {
            precedence: self.precedence,
            edges,
            nodes,
            root: joins[0],
            depth_max: self.depth_max,
            routes,
            tokens,
            default,
        }
    }

    /// Nodes that the worst path would visit.
    fn visited_most(&self) -> usize {
        let mut of_literals = vec![0_usize; self.nodes.len()];
        let mut of_parameter = vec![0_usize; self.nodes.len()];
        let visited = |literals: usize, parameter: usize| {
            literals.saturating_add(parameter).saturating_add(1)
        };
        for node in (1..self.nodes.len()).rev() {
            let here = visited(of_literals[node], of_parameter[node]);
            let Grown {
                parent, literal, ..
            } = self.nodes[node];
            if literal.is_none() {
                of_parameter[parent as usize] = here;
            } else {
                let most = &mut of_literals[parent as usize];
                *most = here.max(*most);
            }
        }
        visited(of_literals[0], of_parameter[0])
    }
}

impl<T> Entry<T> {
    /// Sorts routes by node, and in a node by their numbers (see [`Node`]).
    fn place(&self) -> (u32, bool, Ending, u16, &[u8]) {
        match &self.method {
            KeyMethod::Known(method) => (self.node, false, self.ending, bit(*method), b""),
            KeyMethod::Any => (self.node, false, self.ending, ANY, b""),
            KeyMethod::Token(token) => (self.node, true, self.ending, TOKENS, token),
        }
    }
}

impl Shape {
    /// Routes that end in the node or hang on it.
    fn own_routes(&self) -> u32 {
        numbered(self.here) + numbered(self.greedy) + self.tokens.len() as u32
    }
}

/// The table's parts as alike nodes are joined.
struct Joined<'b> {
    /// Each literal, by its number.
    literals: Vec<&'b [u8]>,
    /// The number of the node of each shape.
    known: HashMap<Shape, u32>,
    nodes: Vec<Node>,
    /// Routes under each node.
    sizes: Vec<u32>,
    edges: Edges,
    tokens: Vec<Token>,
}

impl<'b> Joined<'b> {
    fn new(numbers: &'b HashMap<Box<[u8]>, u32>) -> Self {
        let mut literals: Vec<&[u8]> = vec![b""; numbers.len()];
        for (bytes, &number) in numbers {
            literals[number as usize] = bytes;
        }
        Self {
            literals,
            known: HashMap::new(),
            // Node 0 stands for none.
            nodes: vec![Node::default()],
            sizes: vec![0],
            edges: Edges::new(),
            tokens: Vec::new(),
        }
    }

    /// The node of this shape, under which there are so many routes; made if it is the first.
    fn join(&mut self, shape: Shape, routes: u32) -> u32 {
        if let Some(&node) = self.known.get(&shape) {
            return node;
        }
        let node = self.nodes.len() as u32;
        let has_literals = if shape.literals.is_empty() {
            0
        } else {
            LITERALS
        };
        let tokens_first = numbered(shape.here) + numbered(shape.greedy);
        for (at, (ending, token)) in shape.tokens.iter().enumerate() {
            let offset = tokens_first + at as u32;
            self.tokens.push(Token {
                node,
                ending: *ending,
                token: token.clone(),
                offset,
            });
        }
        let parameter_offset = shape.own_routes();
        self.nodes.push(Node {
            parameter: shape.parameter,
            parameter_offset,
            here: shape.here | has_literals,
            greedy: shape.greedy,
        });
        self.sizes.push(routes);
        let mut offset = parameter_offset + self.sizes[shape.parameter as usize];
        for &(literal, child) in &shape.literals {
            self.edges.insert(
                node,
                self.literals[literal as usize],
                Step { child, offset },
            );
            offset += self.sizes[child as usize];
        }
        self.known.insert(shape, node);
        node
    }
}
