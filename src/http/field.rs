//! The header fields that a gateway cares about, recognised once while a head is parsed.
//!
//! Everything else is [`FieldId::Other`] and travels as the bytes that it came as. The table says
//! what a name is; what is done with it is decided where heads are written.

/// A field name that means something to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FieldId {
    /// A name without a meaning here: forwarded untouched.
    Other,
    /// A known name written with `_` for `-`: CGI-like origins read both as one, so the disguise
    /// is never forwarded.
    Alias,
    /// Authorization (RFC 9110 §11.6.2)
    Authorization,
    /// Connection (RFC 9110 §7.6.1)
    Connection,
    /// Content-Length (RFC 9110 §8.6)
    ContentLength,
    /// Cookie (RFC 6265 §5.4)
    Cookie,
    /// Date (RFC 9110 §6.6.1)
    Date,
    /// Expect (RFC 9110 §10.1.1)
    Expect,
    /// Forwarded (RFC 7239)
    Forwarded,
    /// Host (RFC 9110 §7.2)
    Host,
    /// Keep-Alive: hop by hop, of RFC 2068
    KeepAlive,
    /// Whatever its name: a Connection field of the same message nominated it.
    Nominated,
    /// Proxy-Authenticate (RFC 9110 §11.7.1)
    ProxyAuthenticate,
    /// Proxy-Authorization (RFC 9110 §11.7.2)
    ProxyAuthorization,
    /// Proxy-Connection: nobody's standard, hop by hop all the same (RFC 9110 §7.6.1)
    ProxyConnection,
    /// Referer (RFC 9110 §10.1.3)
    Referer,
    /// TE (RFC 9110 §10.1.4)
    Te,
    /// Trailer (RFC 9110 §6.6.2)
    Trailer,
    /// Transfer-Encoding (RFC 9112 §6.1)
    TransferEncoding,
    /// Upgrade (RFC 9110 §7.8)
    Upgrade,
    /// User-Agent (RFC 9110 §10.1.5)
    UserAgent,
    /// Via (RFC 9110 §7.6.3)
    Via,
    /// X-Forwarded-For
    XForwardedFor,
    /// X-Forwarded-Host
    XForwardedHost,
    /// X-Forwarded-Proto
    XForwardedProto,
    /// X-Request-Id, the usual name of the request id
    XRequestId,
}

/// A small set of field ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u32);

impl FieldSet {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// The set of `ids`.
    pub const fn of(ids: &[FieldId]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < ids.len() {
            bits |= 1 << ids[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    /// Whether `id` is in the set.
    pub const fn has(self, id: FieldId) -> bool {
        self.0 & (1 << id as u32) != 0
    }

    /// Adds `id`.
    pub(super) const fn add(&mut self, id: FieldId) {
        self.0 |= 1 << id as u32;
    }

    /// This set and `id`.
    #[must_use]
    pub const fn with(self, id: FieldId) -> Self {
        Self(self.0 | 1 << id as u32)
    }
}

/// What no message carries past the gateway: fields of one connection (RFC 9110 §7.6.1), and
/// disguises.
pub const HOP_BY_HOP: FieldSet = FieldSet::of(&[
    FieldId::Alias,
    FieldId::Connection,
    FieldId::KeepAlive,
    FieldId::Nominated,
    FieldId::ProxyAuthenticate,
    FieldId::ProxyAuthorization,
    FieldId::ProxyConnection,
    FieldId::Te,
    FieldId::TransferEncoding,
    FieldId::Upgrade,
]);

/// What a Connection field may not nominate: it is meant for every recipient, and taking it out
/// would change who is asking or where a message ends.
pub(super) const NOT_NOMINABLE: FieldSet = FieldSet::of(&[
    FieldId::Authorization,
    FieldId::ContentLength,
    FieldId::Cookie,
    FieldId::Forwarded,
    FieldId::Host,
    FieldId::TransferEncoding,
    FieldId::Via,
    FieldId::XForwardedFor,
    FieldId::XForwardedHost,
    FieldId::XForwardedProto,
    FieldId::XRequestId,
]);

/// What a trailer section may not carry (RFC 9110 §6.5.1): framing, routing, authentication,
/// request modifiers. Such a trailer is dropped.
pub const NOT_IN_TRAILERS: FieldSet = FieldSet::of(&[
    FieldId::Alias,
    FieldId::Authorization,
    FieldId::Connection,
    FieldId::ContentLength,
    FieldId::Cookie,
    FieldId::Date,
    FieldId::Expect,
    FieldId::Forwarded,
    FieldId::Host,
    FieldId::KeepAlive,
    FieldId::ProxyAuthenticate,
    FieldId::ProxyAuthorization,
    FieldId::ProxyConnection,
    FieldId::Te,
    FieldId::Trailer,
    FieldId::TransferEncoding,
    FieldId::Upgrade,
    FieldId::Via,
    FieldId::XForwardedFor,
    FieldId::XForwardedHost,
    FieldId::XForwardedProto,
    FieldId::XRequestId,
]);

/// The known names in lower case: letters and `-`. No two share length and first letter.
const NAMES: [(&str, FieldId); 23] = [
    ("te", FieldId::Te),
    ("via", FieldId::Via),
    ("date", FieldId::Date),
    ("host", FieldId::Host),
    ("cookie", FieldId::Cookie),
    ("expect", FieldId::Expect),
    ("referer", FieldId::Referer),
    ("trailer", FieldId::Trailer),
    ("upgrade", FieldId::Upgrade),
    ("forwarded", FieldId::Forwarded),
    ("connection", FieldId::Connection),
    ("keep-alive", FieldId::KeepAlive),
    ("user-agent", FieldId::UserAgent),
    ("x-request-id", FieldId::XRequestId),
    ("authorization", FieldId::Authorization),
    ("content-length", FieldId::ContentLength),
    ("x-forwarded-for", FieldId::XForwardedFor),
    ("proxy-connection", FieldId::ProxyConnection),
    ("x-forwarded-host", FieldId::XForwardedHost),
    ("transfer-encoding", FieldId::TransferEncoding),
    ("x-forwarded-proto", FieldId::XForwardedProto),
    ("proxy-authenticate", FieldId::ProxyAuthenticate),
    ("proxy-authorization", FieldId::ProxyAuthorization),
];

/// Bytes of the longest known name.
const NAME_BYTES_MAX: usize = 19;

/// The place in [`NAMES`], and one, of the name with this length and first letter (its lower five
/// bits); 0 where there is none.
static PLACES: [[u8; 32]; NAME_BYTES_MAX + 1] = {
    let mut places = [[0; 32]; NAME_BYTES_MAX + 1];
    let mut at = 0;
    while at < NAMES.len() {
        let name = NAMES[at].0.as_bytes();
        let place = &mut places[name.len()][(name[0] & 31) as usize];
        assert!(*place == 0, "two names share length and first letter");
        at += 1;
        *place = at as u8;
    }
    places
};

/// The [`words`] of each of [`NAMES`].
static WORDS: [[u64; 3]; NAMES.len()] = {
    let mut all = [[0; 3]; NAMES.len()];
    let mut at = 0;
    while at < NAMES.len() {
        all[at] = words(NAMES[at].0.as_bytes());
        at += 1;
    }
    all
};

impl FieldId {
    /// The id of `name`, whatever its case. Cost: one look at its length and first letter, which
    /// leave at most one of the names to compare with, eight bytes at a time.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        let (Some(places), Some(first)) = (PLACES.get(name.len()), name.first()) else {
            return Self::Other;
        };
        match places[usize::from(first & 31)] {
            0 => Self::Other,
            place => Self::of_place(name, usize::from(place) - 1),
        }
    }

    /// The id of `name`, which is as long as the one at this place of [`NAMES`].
    fn of_place(name: &[u8], place: usize) -> Self {
        let (known, id) = NAMES[place];
        if are_read_as(words(name), WORDS[place]) {
            id
        } else if is_read_as(name, known.as_bytes()) {
            Self::Alias
        } else {
            Self::Other
        }
    }
}

/// Whether `name` is `known`, whatever its case. `known` is at most 24 lower-case letters and `-`.
#[inline]
pub(super) fn is_named(name: &[u8], known: &[u8]) -> bool {
    name.len() == known.len() && are_read_as(words(name), words(known))
}

/// Whether these [`words`] are those of the known name `known` of the same length, but for case.
#[inline]
fn are_read_as(name: [u64; 3], known: [u64; 3]) -> bool {
    /// Of the bytes of a known name, only letters have this bit; it is twice the bit of case.
    const LETTER: u64 = u64::from_ne_bytes([0x40; 8]);
    let differs = |at: usize| (name[at] | (known[at] & LETTER) >> 1) ^ known[at];
    differs(0) | differs(1) | differs(2) == 0
}

/// A name of up to 24 bytes as three numbers, which together with its length tell it from all
/// others. They may overlap.
#[inline]
const fn words(name: &[u8]) -> [u64; 3] {
    debug_assert!(name.len() <= 24);
    if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        let middle = match name.split_at(8).1.first_chunk::<8>() {
            Some(middle) => u64::from_le_bytes(*middle),
            None => 0,
        };
        [
            u64::from_le_bytes(*first),
            u64::from_le_bytes(*last),
            middle,
        ]
    } else if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        [first as u64 | (last as u64) << 32, 0, 0]
    } else {
        let word = match *name {
            [a] => u32::from_le_bytes([a, 0, 0, 0]),
            [a, b] => u32::from_le_bytes([a, b, 0, 0]),
            [a, b, c] => u32::from_le_bytes([a, b, c, 0]),
            _ => 0,
        };
        [word as u64, 0, 0]
    }
}

/// Whether an origin may take `name` for `meant`, of the same length: case does not matter, and to
/// CGI-like ones `_` is `-`.
#[inline]
pub(super) fn is_read_as(name: &[u8], meant: &[u8]) -> bool {
    name.iter()
        .zip(meant)
        .all(|(byte, meant)| byte.eq_ignore_ascii_case(meant) || *byte == b'_' && *meant == b'-')
}

#[cfg(test)]
mod tests {
    use super::{FieldId, NAMES, is_read_as};

    #[track_caller]
    fn check(name: &str, expected: FieldId) {
        assert_eq!(FieldId::of(name.as_bytes()), expected, "{name}");
    }

    #[test]
    fn names() {
        check("Host", FieldId::Host);
        check("hOST", FieldId::Host);
        check("content-length", FieldId::ContentLength);
        check("Transfer-Encoding", FieldId::TransferEncoding);
        check("X-Forwarded-For", FieldId::XForwardedFor);
        check("x-forwarded-fox", FieldId::Other);
        check("accept", FieldId::Other);
        check("", FieldId::Other);
        check("hos\x54", FieldId::Host);
        check("\x08ost", FieldId::Other);
        check("(ost", FieldId::Other);
    }

    #[test]
    fn every_name_in_any_case_and_in_disguise() {
        for (name, id) in [
            ("TE", FieldId::Te),
            ("Via", FieldId::Via),
            ("Date", FieldId::Date),
            ("Cookie", FieldId::Cookie),
            ("Expect", FieldId::Expect),
            ("Referer", FieldId::Referer),
            ("Trailer", FieldId::Trailer),
            ("Upgrade", FieldId::Upgrade),
            ("Forwarded", FieldId::Forwarded),
            ("Connection", FieldId::Connection),
            ("Keep-Alive", FieldId::KeepAlive),
            ("User-Agent", FieldId::UserAgent),
            ("X-Request-Id", FieldId::XRequestId),
            ("Authorization", FieldId::Authorization),
            ("Proxy-Connection", FieldId::ProxyConnection),
            ("X-Forwarded-Host", FieldId::XForwardedHost),
            ("X-Forwarded-Proto", FieldId::XForwardedProto),
            ("Proxy-Authenticate", FieldId::ProxyAuthenticate),
            ("Proxy-Authorization", FieldId::ProxyAuthorization),
        ] {
            check(name, id);
            check(&name.to_uppercase(), id);
            check(&name.to_lowercase(), id);
            let disguised = name.replace('-', "_");
            if disguised != name {
                check(&disguised, FieldId::Alias);
            }
        }
    }

    #[test]
    fn disguises() {
        check("Content_Length", FieldId::Alias);
        check("transfer_encoding", FieldId::Alias);
        check("X_Forwarded-For", FieldId::Alias);
        check("x_api_key", FieldId::Other);
        check("a_very_long_name_with_many_underscores", FieldId::Other);
    }

    proptest::proptest! {
        /// Names that differ from a known one in a few bytes, of all that a byte can be.
        #[test]
        fn as_byte_by_byte(
            known in proptest::sample::select(&NAMES[..]),
            changes in proptest::collection::vec((0_usize..19, proptest::prelude::any::<u8>()), 0..3),
            upper in proptest::prelude::any::<u32>(),
        ) {
            let mut name = known.0.as_bytes().to_vec();
            for (at, byte) in name.iter_mut().enumerate() {
                if upper & 1 << at != 0 {
                    byte.make_ascii_uppercase();
                }
            }
            for (at, byte) in changes {
                let at = at % name.len();
                name[at] = byte;
            }
            let is_named = |known: &&(&str, FieldId)| name.eq_ignore_ascii_case(known.0.as_bytes());
            let is_like = |known: &&(&str, FieldId)| {
                known.0.len() == name.len() && is_read_as(&name, known.0.as_bytes())
            };
            let expected = match NAMES.iter().find(is_named) {
                Some((_, id)) => *id,
                None if NAMES.iter().any(|known| is_like(&known)) => FieldId::Alias,
                None => FieldId::Other,
            };
            proptest::prop_assert_eq!(FieldId::of(&name), expected);
        }
    }
}
