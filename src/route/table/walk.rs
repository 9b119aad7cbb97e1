//! The walk down the tree: [`Table::find`]'s work, without recursion and without allocation.
//!
//! It stands between a path and the nodes of [`super`]; what it may cost is argued there. It never
//! looks at a route's value.

use super::{ANY, End, LITERALS, Leaf, Node, Params, Precedence, TOKENS, Table, bit};
use crate::bounds::PATH_SEGMENTS_MAX;
use crate::http::Method;

/// A set of depths is one word.
const _: () = assert!(PATH_SEGMENTS_MAX <= 64);

/// Where the walk is: a depth is the number of segments taken.
struct Walk<'p> {
    path: &'p [u8],
    /// `path[..end]` is what is matched: under REST precedence without one slash at the end.
    end: usize,
    /// The node at each depth, valid below the present one.
    nodes: [u32; PATH_SEGMENTS_MAX],
    /// Where the segment at each depth begins.
    starts: [u16; PATH_SEGMENTS_MAX + 1],
    /// Depths at which the parameter child has not been tried yet.
    parameters_open: u64,
    /// Depths at which a greedy route has not been tried yet.
    greedy_open: u64,
    /// Depths whose segment a parameter took, on the present way.
    taken: u64,
}

/// A route, and the depths whose segments are its parameters' values; a greedy one's last value
/// goes on to the end of the path.
#[derive(Clone, Copy)]
struct Hit {
    route: u32,
    taken: u64,
    greedy: bool,
}

/// The method that is asked for.
#[derive(Clone, Copy)]
struct Asked<'m> {
    method: Method,
    token: &'m [u8],
    /// Its bit and that of `ANY`: an end without either is not worth a visit.
    bits: u16,
}

impl<T> Table<T> {
    /// The place of the route of `path` and method, `$default` aside. Sets `params` on a hit.
    pub(super) fn walk(
        &self,
        method: Method,
        token: &[u8],
        path: &[u8],
        params: &mut Params,
    ) -> Option<u32> {
        let (start, end) = self.matched_part(path)?;
        let asked = Asked {
            method,
            token,
            bits: bit(method) | ANY,
        };
        let mut walk = Walk {
            path,
            end,
            nodes: [0; PATH_SEGMENTS_MAX],
            starts: [0; PATH_SEGMENTS_MAX + 1],
            parameters_open: 0,
            greedy_open: 0,
            taken: 0,
        };
        walk.starts[0] = start;
        let hit = self.search(&mut walk, asked)?;
        walk.write_params(hit, params);
        Some(hit.route)
    }

    /// Where the first segment begins and the last one ends; `None` for what is no path.
    fn matched_part(&self, path: &[u8]) -> Option<(u16, usize)> {
        if path.first() != Some(&b'/') || path.len() > usize::from(u16::MAX) {
            return None;
        }
        let (mut start, mut end) = (1, path.len());
        if self.precedence == Precedence::LeftToRight {
            while path.get(start) == Some(&b'/') {
                start += 1;
            }
            if end > start && path[end - 1] == b'/' {
                end -= 1;
            }
        }
        Some((start as u16, end))
    }

    fn search(&self, walk: &mut Walk<'_>, asked: Asked<'_>) -> Option<Hit> {
        let mut greedy: Option<Hit> = None;
        let mut at = Some((0, 0));
        while let Some((node_index, depth)) = at {
            let node = &self.nodes[node_index as usize];
            at = if usize::from(walk.starts[depth]) > walk.end {
                let end = End {
                    node: node_index,
                    greedy: false,
                };
                if let Some(route) = self.route_at(node.here(), end, asked) {
                    return Some(Hit {
                        route,
                        taken: walk.taken,
                        greedy: false,
                    });
                }
                None
            } else {
                self.descend(walk, node_index, depth, asked)
            };
            // Back to the deepest place with a way not yet tried; at one depth, the parameter
            // before the greedy one.
            while at.is_none() {
                let open = walk.parameters_open | walk.greedy_open;
                if open == 0 {
                    break;
                }
                let depth = 63 - open.leading_zeros() as usize;
                let here = 1 << depth;
                let node_index = walk.nodes[depth];
                let node = &self.nodes[node_index as usize];
                walk.taken = walk.taken & (here - 1) | here;
                if walk.parameters_open & here != 0 {
                    walk.parameters_open &= !here;
                    at = Some((node.parameter, depth + 1));
                    continue;
                }
                walk.greedy_open &= !here;
                if greedy.is_some() {
                    continue;
                }
                let end = End {
                    node: node_index,
                    greedy: true,
                };
                if let Some(route) = self.route_at(node.greedy(), end, asked) {
                    greedy = Some(Hit {
                        route,
                        taken: walk.taken,
                        greedy: true,
                    });
                    if self.precedence == Precedence::LeftToRight {
                        return greedy;
                    }
                }
            }
        }
        greedy
    }

    /// One step down from a node at which the path goes on: notes what else is open there, and
    /// takes the literal child or else the parameter one.
    #[inline]
    fn descend(
        &self,
        walk: &mut Walk<'_>,
        node_index: u32,
        depth: usize,
        asked: Asked<'_>,
    ) -> Option<(u32, usize)> {
        let node: &Node = &self.nodes[node_index as usize];
        let here = 1 << depth.min(PATH_SEGMENTS_MAX - 1);
        let start = usize::from(walk.starts[depth]);
        if node.greedy_methods & asked.bits != 0 && start < walk.end {
            walk.nodes[depth] = node_index;
            walk.greedy_open |= here;
        }
        if node.parameter == 0 && node.here_methods & LITERALS == 0 {
            return None;
        }
        let rest = &walk.path[start..walk.end];
        let segment = &rest[..rest
            .iter()
            .position(|&byte| byte == b'/')
            .unwrap_or(rest.len())];
        walk.starts[depth + 1] = (start + segment.len() + 1) as u16;
        let parameter = if segment.is_empty() {
            0
        } else {
            node.parameter
        };
        if node.here_methods & LITERALS != 0
            && let Some(child) = self.edges.find(node_index, segment)
        {
            if parameter != 0 {
                walk.nodes[depth] = node_index;
                walk.parameters_open |= here;
            }
            return Some((child, depth + 1));
        }
        if parameter == 0 {
            return None;
        }
        walk.taken |= here;
        Some((parameter, depth + 1))
    }

    /// The route of an end for the method that is asked for: its own, or that of `ANY`.
    #[inline]
    fn route_at(&self, leaf: Leaf, end: End, asked: Asked<'_>) -> Option<u32> {
        if leaf.methods & asked.bits == 0 {
            return None;
        }
        if asked.method == Method::Other {
            if leaf.methods & TOKENS != 0
                && let Some(route) = self.route_of_token(end, asked.token)
            {
                return Some(route);
            }
        } else if leaf.methods & bit(asked.method) != 0 {
            return Some(leaf.place(bit(asked.method)));
        }
        (leaf.methods & ANY != 0).then(|| leaf.place(ANY))
    }

    #[cold]
    fn route_of_token(&self, end: End, token: &[u8]) -> Option<u32> {
        let found = self
            .tokens
            .binary_search_by(|entry| (entry.end, &*entry.token).cmp(&(end, token)));
        found.ok().map(|index| self.tokens[index].route)
    }
}

impl Leaf {
    /// The place of the route whose bit is `bit`.
    const fn place(self, bit: u16) -> u32 {
        self.first + (self.methods & !TOKENS & (bit - 1)).count_ones()
    }
}

impl Walk<'_> {
    fn write_params(&self, hit: Hit, params: &mut Params) {
        let mut left = hit.taken;
        while left != 0 {
            let depth = left.trailing_zeros() as usize;
            left &= left - 1;
            let start = usize::from(self.starts[depth]);
            let end = if hit.greedy && left == 0 {
                self.end
            } else {
                // The slash after the segment, or the path's end.
                usize::from(self.starts[depth + 1]) - 1
            };
            params.push(start, end);
        }
    }
}
