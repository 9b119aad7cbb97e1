//! The settings of the process: listeners, logs, limits, times, what origins are told.

use super::{Walk, narrow};
use crate::model::{
    checked::{
        AccessLog, AccessLogFormat, Address, Forwarded, Limits, Listener, Log, Output, Timeouts,
    },
    document,
    mistake::Path,
    names,
    scalar::{Auto, Off, Or},
    setting::Placed,
};
use std::{
    collections::HashMap,
    num::NonZeroU16,
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
pub(super) fn limits(written: &document::Limits) -> (Limits, Option<u64>) {
    let limits = Limits {
        connections: narrow(written.connections.value),
        head_bytes: narrow(written.head_bytes.value.0),
        head_fields: narrow(written.head_fields.value),
        target_bytes: narrow(written.target_bytes.value.0),
    };
    (
        limits,
        written.body_bytes.value.clone().value().map(|size| size.0),
    )
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
                && !admin.allow_remote.value
            {
                let what = format!("{tcp} can be reached by other machines");
                let hint = "the admin API asks for no password: use 127.0.0.1, \
                            or say allow_remote: true";
                self.wrong(admin.address.place, path, what, hint);
            }
            Some(address)
        });
        (checked, admin)
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
        let place = written.request_id.place;
        let request_id =
            written.request_id.value.value().and_then(|name| {
                self.kept(place, section.key("request_id"), names::field_name(&name))
            });
        Forwarded {
            headers: written.headers.value,
            trusted_proxies,
            via: written.via.value,
            request_id,
        }
    }
}

fn names_a_file(path: &str) -> bool {
    let last = FilePath::new(path).components().next_back();
    matches!(last, Some(Component::Normal(_))) && !path.ends_with('/') && !path.contains('\0')
}
