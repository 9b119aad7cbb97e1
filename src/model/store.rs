//! Where shared limits are counted: the address of a Valkey or Redis, as a URL.

use super::names::{self, EndpointAddress, Wrong};
use std::fmt;

/// Where shared limits are counted.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Store {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port, not 0.
    pub port: u16,
    /// The number of the database.
    pub database: u16,
    /// User and password, if it asks for them.
    pub login: Option<(String, String)>,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis://{}:{}/{}", self.host, self.port, self.database)
    }
}

// As it is shown: never with the password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `redis://[user:password@]host:port[/database]`. What is wrong with it is said without showing
/// it: it may hold a password.
pub(super) fn store(text: &str) -> Result<Store, Wrong> {
    let wrong = || {
        let what = "not the address of a Valkey or Redis";
        Wrong::new(what, "write redis://host:port or redis://host:port/1")
    };
    let rest = text.strip_prefix("redis://").ok_or_else(wrong)?;
    let (login, rest) = match rest.rsplit_once('@') {
        None => (None, rest),
        Some((login, rest)) => (Some(login.split_once(':').ok_or_else(wrong)?), rest),
    };
    let (address, database) = match rest.split_once('/') {
        None | Some((_, "")) => (rest.trim_end_matches('/'), 0),
        Some((address, database)) => (address, database.parse().map_err(|_| wrong())?),
    };
    let (host, port) = match names::endpoint(address) {
        Ok(EndpointAddress::Tcp(address)) => (address.ip().to_string(), address.port()),
        Ok(EndpointAddress::Name(name, port)) => (name, port),
        Ok(EndpointAddress::Unix(_)) | Err(_) => return Err(wrong()),
    };
    // A password alone is the default user's.
    let login = login.map(|(user, password)| match user {
        "" => ("default".to_owned(), password.to_owned()),
        user => (user.to_owned(), password.to_owned()),
    });
    Ok(Store {
        host,
        port,
        database,
        login,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, Option<(&str, &str)>)>) {
        let read = store(text).ok();
        let login = |store: &Store| store.login.clone();
        let expected = expected.map(|(shown, login)| {
            let owned = |(user, password): (&str, &str)| (user.to_owned(), password.to_owned());
            (shown.to_owned(), login.map(owned))
        });
        assert_eq!(
            read.map(|store| (store.to_string(), login(&store))),
            expected
        );
    }

    #[test]
    fn stores() {
        check(
            "redis://127.0.0.1:6379",
            Some(("redis://127.0.0.1:6379/0", None)),
        );
        check(
            "redis://Store.internal:6379/3",
            Some(("redis://store.internal:6379/3", None)),
        );
        check("redis://[::1]:6379/", Some(("redis://::1:6379/0", None)));
        check(
            "redis://:p@ss:w@h:1",
            Some(("redis://h:1/0", Some(("default", "p@ss:w")))),
        );
        check(
            "redis://me:secret@h:1/2",
            Some(("redis://h:1/2", Some(("me", "secret")))),
        );
        check("h:1", None);
        check("rediss://h:1", None);
        check("redis://h", None);
        check("redis://h:0", None);
        check("redis://h:1/x", None);
        check("redis://me@h:1", None);
    }
}
