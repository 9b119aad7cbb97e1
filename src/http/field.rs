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

impl FieldId {
    /// The id of `name`, whatever its case. Cost: one look at its length and first letter, which
    /// leave at most one of the names to compare with.
    pub fn of(name: &[u8]) -> Self {
        let first = name.first().map_or(0, |byte| byte | 0x20);
        let (known, id): (&str, Self) = match (name.len(), first) {
            (2, b't') => ("te", Self::Te),
            (3, b'v') => ("via", Self::Via),
            (4, b'd') => ("date", Self::Date),
            (4, b'h') => ("host", Self::Host),
            (6, b'c') => ("cookie", Self::Cookie),
            (6, b'e') => ("expect", Self::Expect),
            (7, b'r') => ("referer", Self::Referer),
            (7, b't') => ("trailer", Self::Trailer),
            (7, b'u') => ("upgrade", Self::Upgrade),
            (9, b'f') => ("forwarded", Self::Forwarded),
            (10, b'c') => ("connection", Self::Connection),
            (10, b'k') => ("keep-alive", Self::KeepAlive),
            (10, b'u') => ("user-agent", Self::UserAgent),
            (12, b'x') => ("x-request-id", Self::XRequestId),
            (13, b'a') => ("authorization", Self::Authorization),
            (14, b'c') => ("content-length", Self::ContentLength),
            (15, b'x') => ("x-forwarded-for", Self::XForwardedFor),
            (16, b'p') => ("proxy-connection", Self::ProxyConnection),
            (16, b'x') => ("x-forwarded-host", Self::XForwardedHost),
            (17, b't') => ("transfer-encoding", Self::TransferEncoding),
            (17, b'x') => ("x-forwarded-proto", Self::XForwardedProto),
            (18, b'p') => ("proxy-authenticate", Self::ProxyAuthenticate),
            (19, b'p') => ("proxy-authorization", Self::ProxyAuthorization),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(known.as_bytes()) {
            id
        } else if is_read_as(name, known.as_bytes()) {
            Self::Alias
        } else {
            Self::Other
        }
    }
}

/// Whether an origin may take `name` for `meant`, of the same length: case does not matter, and to
/// CGI-like ones `_` is `-`.
pub(super) fn is_read_as(name: &[u8], meant: &[u8]) -> bool {
    name.iter()
        .zip(meant)
        .all(|(byte, meant)| byte.eq_ignore_ascii_case(meant) || *byte == b'_' && *meant == b'-')
}

#[cfg(test)]
mod tests {
    use super::FieldId;

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
}
