//! The consistent-hash ring: which endpoint owns a key, and who comes after it.
//!
//! The points are those of `pingora-ketama`, 160 a unit of weight, and agree with nginx's
//! `hash ... consistent`. The crate names the owner of a point by its address; here each point also
//! has the endpoint's index, so that a pick needs no look-up by address.

use super::{Address, Endpoint, sequence::scaled};
use crate::bounds::RING_WEIGHT_MAX;
use pingora_ketama::{Bucket, Continuum, DEFAULT_POINT_MULTIPLE, Version};
use std::{
    collections::HashMap,
    fmt,
    net::{Ipv6Addr, SocketAddr},
    path::Path,
};

/// The ring of one upstream.
pub(super) struct Ring {
    continuum: Continuum,
    /// The endpoint's index for each point. As long as the ring; each is below the number of
    /// endpoints.
    owners: Box<[u16]>,
}

impl fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ring({} points)", self.owners.len())
    }
}

impl Ring {
    /// The ring over the endpoints of a weight above zero.
    ///
    /// Weights count as they stand, as in nginx, up to a sum of [`RING_WEIGHT_MAX`]; beyond, they
    /// are scaled down. An address that is there twice is the first endpoint's alone.
    pub(super) fn new(endpoints: &[Endpoint]) -> Self {
        let weights: Vec<u16> = endpoints.iter().map(|endpoint| endpoint.weight).collect();
        let weights = scaled(&weights, RING_WEIGHT_MAX);
        let mut indexes = HashMap::new();
        let mut buckets = Vec::new();
        for (index, (endpoint, weight)) in endpoints.iter().zip(weights).enumerate() {
            let address = stand_in(&endpoint.address);
            if weight > 0 && !indexes.contains_key(&address) {
                indexes.insert(address, index as u16);
                buckets.push(Bucket::new(address, weight));
            }
        }
        let version = Version::V2 {
            point_multiple: DEFAULT_POINT_MULTIPLE,
        };
        let continuum = Continuum::new_with_version(&buckets, version);
        let mut owners = Vec::new();
        let mut point = 0;
        // Walks the whole ring: `get_addr` steps `point` and wraps to 0 behind the last.
        while let Some(address) = continuum.get_addr(&mut point) {
            owners.push(indexes[address]);
            if point == 0 {
                break;
            }
        }
        Self {
            continuum,
            owners: owners.into_boxed_slice(),
        }
    }

    /// The owners of a key in the order of the ring: each point once, beginning with the key's.
    ///
    /// Cost: a CRC over the key and a binary search over the points, then one load a step.
    pub(super) fn owners(&self, key: &[u8]) -> impl Iterator<Item = usize> {
        let first = self.continuum.node_idx(key).min(self.owners.len());
        let (before, from) = self.owners.split_at(first);
        from.iter().chain(before).map(|&owner| usize::from(owner))
    }
}

/// The address by which an endpoint stands on the ring.
///
/// The ring knows IP addresses only, so a Unix socket gets one of its own, from the bytes of its
/// path: in 100::/64, which is never routed (RFC 6666), so no real endpoint has it. Its place on the
/// ring is stable, but not nginx's.
fn stand_in(address: &Address) -> SocketAddr {
    match address {
        Address::Ip(address) => *address,
        Address::Unix(path) => {
            let ip = Ipv6Addr::from_bits((0x0100_u128 << 112) | u128::from(fnv(path)));
            SocketAddr::from((ip, 0))
        }
    }
}

/// FNV-1a, 64 bits: stable between processes and releases, which the standard hasher is not.
fn fnv(path: &Path) -> u64 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::{super::EndpointState, *};
    use crate::clock::Instant;
    use std::sync::Arc;

    fn ring(endpoints: &[(&str, u16)]) -> Ring {
        let endpoints: Vec<Endpoint> = endpoints
            .iter()
            .map(|&(name, weight)| Endpoint {
                address: match name.parse() {
                    Ok(address) => Address::Ip(address),
                    Err(_) => Address::Unix(Path::new(name).into()),
                },
                text: name.into(),
                authority: name.into(),
                weight,
                state: Arc::new(EndpointState::new(Instant::default())),
            })
            .collect();
        Ring::new(&endpoints)
    }

    fn owner(ring: &Ring, key: &str) -> Option<usize> {
        ring.owners(key.as_bytes()).next()
    }

    /// The example of the crate's documentation, whose points are nginx's.
    #[test]
    fn agrees_with_nginx() {
        let ring = ring(&[
            ("127.0.0.1:12345", 1),
            ("127.0.0.2:12345", 2),
            ("127.0.0.3:12345", 3),
        ]);
        assert_eq!(owner(&ring, "some_key"), Some(2));
        assert_eq!(owner(&ring, "another_key"), Some(2));
        assert_eq!(owner(&ring, "last_key"), Some(1));
    }

    #[test]
    fn every_point_is_visited_once() {
        let ring = ring(&[("127.0.0.1:1", 1), ("/run/a.sock", 2), ("/run/b.sock", 1)]);
        for key in ["", "a", "b", "c"] {
            let mut counts = [0; 3];
            ring.owners(key.as_bytes())
                .for_each(|owner| counts[owner] += 1);
            assert_eq!(counts, [160, 320, 160]);
        }
    }

    #[test]
    fn nobody_owns_a_key_of_an_empty_ring() {
        assert_eq!(owner(&ring(&[]), "key"), None);
        assert_eq!(owner(&ring(&[("127.0.0.1:1", 0)]), "key"), None);
    }

    #[test]
    fn a_ring_is_bounded() {
        let ring = ring(&[("127.0.0.1:1", u16::MAX), ("127.0.0.1:2", u16::MAX)]);
        let points = ring.owners.len();
        assert!(points <= 4096 * 160 && points > 4000 * 160, "{points}");
    }

    #[test]
    fn an_address_twice_is_the_first_ones() {
        let ring = ring(&[("127.0.0.1:1", 1), ("127.0.0.1:1", 1)]);
        assert!(ring.owners(b"key").all(|owner| owner == 0));
    }
}
