//! The request method: the token as a number, so that routing needs no text.

/// A method token (RFC 9110 §9.1). Tokens are case-sensitive: `get` is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Method {
    /// CONNECT: refused, a gateway is no forward proxy.
    Connect,
    /// DELETE
    Delete,
    /// GET
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// PATCH
    Patch,
    /// POST
    Post,
    /// PUT
    Put,
    /// TRACE
    Trace,
    /// Any other token: only `ANY` and `$default` routes take it.
    Other,
}

impl Method {
    /// How many values there are: the length of a table with one entry a method.
    pub const COUNT: usize = 10;

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Connect,
        Self::Delete,
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Patch,
        Self::Post,
        Self::Put,
        Self::Trace,
        Self::Other,
    ];

    /// The method that `token` names. Never fails: what is not known is `Other`.
    pub fn from_token(token: &[u8]) -> Self {
        match token {
            b"CONNECT" => Self::Connect,
            b"DELETE" => Self::Delete,
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// The token. `Other` has none of its own.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Trace => "TRACE",
            Self::Other => "OTHER",
        }
    }

    /// Whether a second sending has the effect of one (RFC 9110 §9.2.2). `Other` is taken as not.
    pub const fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Delete | Self::Get | Self::Head | Self::Options | Self::Put | Self::Trace
        )
    }
}
