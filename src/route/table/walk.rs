//! The walk down the tree: [`Table::find`]'s work, without recursion and without allocation.
//!
//! It stands between a path and the nodes of [`super`]; what it may cost is argued there. It never
//! looks at a route's value.

use super::{ANY, Ending, LITERALS, Params, Precedence, TOKENS, Table, bit};
use crate::bounds::PATH_SEGMENTS_MAX;
use crate::http::Method;

/// A set of depths is one word.
const _: () = assert!(PATH_SEGMENTS_MAX <= 64);

/// Depths that a walk has room for in the common case: clearing room for all that may be costs as
/// much as two segments.
const SHALLOW: usize = 16;
/// Depths that a walk has room for otherwise.
const DEEP: usize = PATH_SEGMENTS_MAX + 1;

/// Where the walk is: a depth is the number of segments taken, under `N`.
struct Walk<'p, const N: usize> {
    path: &'p [u8],
    /// `path[..end]` is what is matched: under REST precedence without one slash at the end.
    end: usize,
    /// Where something else is open, valid at the depths of `parameters_open` and `greedy_open`.
    open: [At; N],
    /// Where the segment at each depth begins.
    starts: [u16; N],
    /// Depths at which the parameter child has not been tried yet.
    parameters_open: u64,
    /// Depths at which a greedy route has not been tried yet.
    greedy_open: u64,
    /// Depths whose segment a parameter took, on the present way.
    taken: u64,
}

/// Bytes up to the next slash. Most segments are so short that a loop is over before a vector
/// search has begun; a long tail is searched by vectors.
#[inline]
fn segment_bytes(rest: &[u8]) -> usize {
    let (near, far) = rest.split_at(rest.len().min(24));
    match near.iter().position(|&byte| byte == b'/') {
        Some(bytes) => bytes,
        None => near.len() + memchr::memchr(b'/', far).unwrap_or(far.len()),
    }
}

/// A node on the way down, and the number of its first route under the root.
#[derive(Clone, Copy, Default)]
struct At {
    node: u32,
    base: u32,
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
    #[inline]
    pub(super) fn walk(
        &self,
        method: Method,
        token: &[u8],
        path: &[u8],
        params: &mut Params,
    ) -> Option<u32> {
        if self.depth_max < SHALLOW {
            self.walk_within::<SHALLOW>(method, token, path, params)
        } else {
            self.walk_within::<DEEP>(method, token, path, params)
        }
    }

    fn walk_within<const N: usize>(
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
        let mut walk = Walk::<'_, N> {
            path,
            end,
            open: [At::default(); N],
            starts: [0; N],
            parameters_open: 0,
            greedy_open: 0,
            taken: 0,
        };
        walk.starts[0] = start;
        let hit = self.search(&mut walk, asked)?;
        walk.write_params(hit, params);
        Some(hit.route)
    }

    /// Where the first segment begins and the last one ends; `None` for what is no path. The place
    /// behind the last segment must fit a `u16` too.
    fn matched_part(&self, path: &[u8]) -> Option<(u16, usize)> {
        if path.first() != Some(&b'/') || path.len() >= usize::from(u16::MAX) {
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

    fn search<const N: usize>(&self, walk: &mut Walk<'_, N>, asked: Asked<'_>) -> Option<Hit> {
        let mut greedy: Option<Hit> = None;
        let mut next = Some((
            At {
                node: self.root,
                base: 0,
            },
            0,
        ));
        while let Some((at, depth)) = next {
            next = if usize::from(walk.starts[depth]) > walk.end {
                if let Some(route) = self.route_at(at, Ending::Here, asked) {
                    return Some(Hit {
                        route,
                        taken: walk.taken,
                        greedy: false,
                    });
                }
                None
            } else {
                self.descend(walk, at, depth, asked)
            };
            while next.is_none()
                && let Some((at, depth)) = walk.back()
            {
                if walk.parameters_open & 1 << depth != 0 {
                    walk.parameters_open &= !(1 << depth);
                    next = Some((self.parameter_of(at), depth + 1));
                    continue;
                }
                walk.greedy_open &= !(1 << depth);
                if greedy.is_some() {
                    continue;
                }
                if let Some(route) = self.route_at(at, Ending::Greedy, asked) {
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

    fn parameter_of(&self, at: At) -> At {
        let node = &self.nodes[at.node as usize];
        At {
            node: node.parameter,
            base: at.base + node.parameter_offset,
        }
    }

    /// One step down from a node at which the path goes on: notes what else is open there, and
    /// takes the literal child or else the parameter one.
    #[inline]
    fn descend<const N: usize>(
        &self,
        walk: &mut Walk<'_, N>,
        at: At,
        depth: usize,
        asked: Asked<'_>,
    ) -> Option<(At, usize)> {
        let node = &self.nodes[at.node as usize];
        let has_literals = node.here & LITERALS != 0;
        let start = usize::from(walk.starts[depth]);
        if node.greedy & asked.bits != 0 && start < walk.end {
            walk.open[depth] = at;
            walk.greedy_open |= 1 << depth;
        }
        if node.parameter == 0 && !has_literals {
            return None;
        }
        let rest = &walk.path[start..walk.end];
        let segment = &rest[..segment_bytes(rest)];
        walk.starts[depth + 1] = (start + segment.len() + 1) as u16;
        let takes_parameter = node.parameter != 0 && !segment.is_empty();
        if has_literals && let Some(step) = self.edges.find(at.node, segment) {
            if takes_parameter {
                walk.open[depth] = at;
                walk.parameters_open |= 1 << depth;
            }
            return Some((
                At {
                    node: step.child,
                    base: at.base + step.offset,
                },
                depth + 1,
            ));
        }
        if !takes_parameter {
            return None;
        }
        walk.taken |= 1 << depth;
        Some((self.parameter_of(at), depth + 1))
    }

    /// The number of the route that ends at `at`, for the method that is asked for: its own, or
    /// that of `ANY`.
    #[inline]
    fn route_at(&self, at: At, ending: Ending, asked: Asked<'_>) -> Option<u32> {
        let node = &self.nodes[at.node as usize];
        let methods = node.methods(ending);
        if methods & asked.bits == 0 {
            return None;
        }
        if asked.method == Method::Other {
            if methods & TOKENS != 0
                && let Some(offset) = self.offset_of_token(at.node, ending, asked.token)
            {
                return Some(at.base + offset);
            }
        } else if methods & bit(asked.method) != 0 {
            return Some(at.base + node.place(ending, bit(asked.method)));
        }
        (methods & ANY != 0).then(|| at.base + node.place(ending, ANY))
    }

    #[cold]
    fn offset_of_token(&self, node: u32, ending: Ending, token: &[u8]) -> Option<u32> {
        let found = self
            .tokens
            .binary_search_by(|entry| entry.place().cmp(&(node, ending, token)));
        found.ok().map(|index| self.tokens[index].offset)
    }
}

impl<const N: usize> Walk<'_, N> {
    /// Back to the deepest place from which another way is open; the segment there then belongs to
    /// a parameter. At one depth the parameter goes before the greedy one.
    #[inline]
    fn back(&mut self) -> Option<(At, usize)> {
        let open = self.parameters_open | self.greedy_open;
        if open == 0 {
            return None;
        }
        let depth = 63 - open.leading_zeros() as usize;
        self.taken = self.taken & ((1 << depth) - 1) | 1 << depth;
        Some((self.open[depth], depth))
    }

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
