//! The settings of the process: listeners, logs, limits, times, what origins are told.

use super::{Walk, narrow};
use crate::model::{
    checked::{
        AccessLog, AccessLogFormat, Address, Cluster, Forwarded, Limits, Listener, Log, Output,
        Timeouts,
    },
    document,
    mistake::Path,
    names,
    scalar::{Auto, Off, Or},
    setting::Placed,
    store,
};
use std::{
    collections::HashMap,
    num::{NonZeroU16, NonZeroU32},
    path::{Component, Path as FilePath},
};

pub(super) fn workers(written: Or<Auto, u64>) -> Option<NonZeroU16> {
    written
        .value()
        .and_then(|workers| NonZeroU16::new(narrow(workers)))
}

pub(super) fn log(written: &document::Log) -> Log {
    Log {
        level: written.level.value,
        format: written.format.value,
    }
}

/// The limits of connections and heads; and that of bodies, which is each route's.
pub(super) fn limits(written: &document::Limits) -> Limits {
    Limits {
        connections: narrow(written.connections.value),
        head_bytes: narrow(written.head_bytes.value.0),
        head_fields: narrow(written.head_fields.value),
        target_bytes: narrow(written.target_bytes.value.0),
        body_bytes: written.body_bytes.value.clone().value().map(|size| size.0),
    }
}

pub(super) fn timeouts(written: &document::Timeouts) -> Timeouts {
    Timeouts {
        head: written.head.value,
        body: written.body.value,
        idle: written.idle.value,
        send: written.send.value,
        drain: written.drain.value,
        tunnel_idle: written.tunnel_idle.value,
    }
}

impl Walk<'_> {
    pub(super) fn addresses(
        &mut self,
        listeners: &[Placed<document::Listener>],
        admin: Option<document::Admin>,
    ) -> (Vec<Listener>, Option<Address>) {
        let root = Path::ROOT;
        let list = root.key("listeners");
        let mut lines: HashMap<Address, u32> = HashMap::new();
        let mut checked = Vec::with_capacity(listeners.len());
        for (index, listener) in listeners.iter().enumerate() {
            let entry = list.index(index);
            let path = entry.key("address");
            let written = &listener.value.address;
            let Some(address) = self.parsed(written, path, names::address) else {
                continue;
            };
            self.distinct(&mut lines, &address, written, path);
            let backlog = narrow(listener.value.backlog.value);
            checked.push(Listener {
                place: written.place,
                address,
                backlog,
            });
        }
        let admin = admin.and_then(|admin| {
            let section = root.key("admin");
            let path = section.key("address");
            let address = self.parsed(&admin.address, path, names::address)?;
            self.distinct(&mut lines, &address, &admin.address, path);
            if let Address::Tcp(tcp) = address
                && !tcp.ip().to_canonical().is_loopback()
                && (!admin.allow_remote.value || admin.tokens.value.0.is_empty())
            {
                let what = format!("{tcp} can be reached by other machines");
                let hint = "use 127.0.0.1, or give tokens and say allow_remote: true";
                self.wrong(admin.address.place, path, what, hint);
            }
            Some(address)
        });
        (checked, admin)
    }

    /// Limits that several machines share.
    pub(super) fn cluster(&mut self, written: Option<document::Cluster>) -> Option<Cluster> {
        let written = written?;
        let root = Path::ROOT;
        let section = root.key("cluster");
        let store = self.parsed(&written.valkey, section.key("valkey"), store::store)?;
        let nodes = written.nodes.value.value().map(narrow);
        Some(Cluster {
            store,
            on_store_failure: written.on_store_failure.value,
            nodes: nodes.and_then(NonZeroU32::new),
            prefix: written.prefix.value,
            interval: written.interval.value,
        })
    }

    /// Whose tokens open the admin API.
    pub(super) fn admin_tokens(
        &mut self,
        admin: Option<&document::Admin>,
    ) -> Vec<(String, [u8; 32])> {
        let root = Path::ROOT;
        let section = root.key("admin");
        let section = section.key("tokens");
        let mut tokens = Vec::new();
        for token in admin.into_iter().flat_map(|admin| &admin.tokens.value.0) {
            let path = section.key(&token.name);
            let name = self.kept(token.place, path, names::name(&token.name));
            let hash = token.value.as_deref().and_then(names::sha256);
            if hash.is_none() {
                let what = "a token stands here by its SHA-256: 64 hexadecimal digits";
                self.wrong(token.place, path, what, "printf %s TOKEN | sha256sum");
            }
            tokens.extend(name.zip(hash));
        }
        tokens
    }

    /// Records an address that stands a second time. Port 0 is a new address each time.
    fn distinct(
        &mut self,
        lines: &mut HashMap<Address, u32>,
        address: &Address,
        written: &Placed<String>,
        path: Path<'_>,
    ) {
        if matches!(address, Address::Tcp(tcp) if tcp.port() == 0) {
            return;
        }
        if let Some(line) = lines.insert(address.clone(), written.place.line) {
            let what = format!("{:?} is listened at already", written.value);
            self.wrong(
                written.place,
                path,
                what,
                &format!("the first is on line {line}"),
            );
        }
    }

    pub(super) fn access_log(
        &mut self,
        written: Or<Off, document::AccessLog>,
    ) -> Option<AccessLog> {
        let written = written.value()?;
        let (root, place) = (Path::ROOT, written.path.place);
        let section = root.key("access_log");
        let output = match written.path.value.as_str() {
            "-" => Output::Stdout,
            "off" => {
                let hint = "write access_log: off, or ./off for a file of that name";
                self.wrong(place, section.key("path"), "\"off\" is not a file", hint);
                Output::Stdout
            }
            path if !names_a_file(path) => {
                let what = format!("{path:?} does not name a file");
                self.wrong(place, section.key("path"), what, "write a path, or \"-\"");
                Output::Stdout
            }
            path => Output::File(self.folder.join(path)),
        };
        let format = match written.format.value.as_str() {
            "json" => AccessLogFormat::Json,
            text if text.contains('$') => AccessLogFormat::Text(text.to_owned()),
            text => {
                let what = format!("{text:?} is no format: it says nothing of a request");
                let hint = "write json, or a line with $context names such as $context.status";
                self.wrong(written.format.place, section.key("format"), what, hint);
                AccessLogFormat::Json
            }
        };
        let format = Placed {
            value: format,
            place: written.format.place,
        };
        Some(AccessLog { output, format })
    }

    pub(super) fn forwarded(&mut self, written: document::Forwarded) -> Forwarded {
        let root = Path::ROOT;
        let section = root.key("forwarded");
        let list = section.key("trusted_proxies");
        let networks = written.trusted_proxies.value.iter().enumerate();
        let trusted_proxies = networks
            .filter_map(|(index, text)| self.parsed(text, list.index(index), names::network))
            .collect();
        let request_id = self.field_or_off(written.request_id, section.key("request_id"));
        Forwarded {
            headers: written.headers.value,
            trusted_proxies,
            via: written.via.value,
            request_id,
        }
    }
}

impl Walk<'_> {
    /// The name of a field in lower case, or none.
    pub(super) fn field_or_off(
        &mut self,
        written: Placed<Or<Off, String>>,
        path: Path<'_>,
    ) -> Option<String> {
        let name = written.value.value()?;
        self.kept(written.place, path, names::field_name(&name))
    }
}

fn names_a_file(path: &str) -> bool {
    let last = FilePath::new(path).components().next_back();
    matches!(last, Some(Component::Normal(_))) && !path.ends_with('/') && !path.contains('\0')
}
