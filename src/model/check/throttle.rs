//! Throttles: what is said of whom they count.

use super::{Walk, narrow};
use crate::{
    bounds::CLIENTS_KEPT,
    model::{
        Path,
        definition::{Per, Throttle, Throttles},
        document::{self, Per as Written},
        names,
        setting::Placed,
    },
};

impl Walk<'_> {
    /// The throttles that stand at the key `throttle` of `of`.
    pub(super) fn throttles(
        &mut self,
        written: &Placed<document::Throttles>,
        of: Path<'_>,
    ) -> Throttles {
        let path = of.key("throttle");
        let all = written.value.0.iter();
        Throttles(all.map(|one| self.throttle(one, path)).collect())
    }

    fn throttle(&mut self, written: &document::Throttle, path: Path<'_>) -> Throttle {
        let per = written.per.value.as_ref().map(|per| match per {
            Written::Address => Per::Address {
                ipv6_prefix: narrow(written.ipv6_prefix.value),
            },
            Written::ApiKey => Per::ApiKey,
            Written::Header(name) => {
                self.kept(
                    written.per.place,
                    path.key("per"),
                    names::field_name(name.as_str()),
                );
                Per::Header(name.clone())
            }
            Written::Cookie(name) => Per::Cookie(name.clone()),
            Written::Query(name) => Per::Query(name.clone()),
            Written::Claim(name) => Per::Claim(name.clone()),
        });
        let clients = narrow(written.clients.value);
        if per.is_none() && clients != CLIENTS_KEPT {
            let what = "\"clients\" has no meaning without \"per\"";
            self.wrong(written.clients.place, path.key("clients"), what, "");
        }
        Throttle {
            rate: written.rate.value.0,
            burst: narrow(written.burst.value),
            clients: per.as_ref().map_or(CLIENTS_KEPT, |_| clients),
            per,
        }
    }
}
