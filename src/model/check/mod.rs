//! Document to [`Checked`]: the checks that need more than one setting.
//!
//! Every mistake is recorded and the walk goes on with something that stands in; a `Checked` is
//! given out only if there was none. Reads no files: relative paths are joined to the folder that
//! it is told.

mod api;
mod domains;
mod plans;
mod process;
mod rules;
mod throttle;
mod upstream;

use super::{
    Files, Mistake, Place, Source,
    checked::{self, Checked},
    document::{Document, Upstream},
    mistake::{self, Path},
    names::Wrong,
    origins,
    setting::{Map, Placed, Setting},
    tree,
};
use std::{collections::HashMap, path::Path as FilePath};

/// Makes of `document` what can be compiled. What it gives is to be used only if nothing was added
/// to `found`.
pub(super) fn check(
    document: Document,
    source: &Source,
    (folder, files): (&FilePath, Files<'_>),
    found: &mut Vec<Mistake>,
) -> Checked {
    let root = Path::ROOT;
    let mut walk = Walk {
        folder,
        files,
        found,
    };
    let admin = document.admin.value;
    let admin_tokens = walk.admin_tokens(admin.as_ref());
    let (listeners, admin) = walk.addresses(&document.listeners.value, admin);
    let cluster = walk.cluster(document.cluster.value);
    let access_log = walk.access_log(document.access_log.value);
    let forwarded = walk.forwarded(document.forwarded.value);
    let deployment_header =
        walk.field_or_off(document.deployment_header, root.key("deployment_header"));
    let throttle = walk.throttles(&document.throttle, root);
    let known = names(&document.upstreams.value);
    let apis = walk.apis(document.apis.value, &known);
    let domains = walk.domains(document.domains.value, &apis, document.place);
    let usage_plans = walk.usage_plans(document.usage_plans.value, &apis);
    let upstreams = walk.upstreams(document.upstreams.value, root);
    let mut checked = Checked {
        source: source.clone(),
        workers: process::workers(document.workers.value),
        driver: document.driver.value,
        listeners,
        admin,
        admin_tokens,
        cluster,
        access_log,
        log: process::log(&document.log.value),
        // Without the `.` of `./state`, which people would see in every message.
        state_dir: folder.join(document.state_dir.value).components().collect(),
        limits: process::limits(&document.limits.value),
        timeouts: process::timeouts(&document.timeouts.value),
        forwarded,
        deployment_header,
        throttle,
        rate_limit_headers: document.rate_limit_headers.value,
        upstreams,
        apis,
        domains,
        usage_plans,
    };
    for api in checked.apis.clone() {
        for stage in &api.stages {
            let new = origins::missing(&checked, &api.definition, &stage.variables);
            checked.upstreams.extend(new);
        }
    }
    checked
}

/// The upstream of an origin that an integration names by itself; `None` if it is no address.
pub(super) fn implied_upstream(name: &str, address: &str) -> Option<checked::Upstream> {
    // A quote would end the text below, and no address has one.
    if address.contains('\'') {
        return None;
    }
    let text = format!("endpoints: ['{address}']\nhost: endpoint\n");
    let mut found = Vec::new();
    let node = tree::parse(&text).ok()?;
    let written = Upstream::decode(&node, Path::ROOT, &mut found)?;
    let mut walk = Walk {
        folder: FilePath::new(""),
        files: &|_| Err(String::new()),
        found: &mut found,
    };
    let mut upstream = walk.upstream(written, Path::ROOT)?;
    upstream.name = name.to_owned();
    (found.is_empty()).then_some(upstream)
}

/// Where names lead: their index in the mapping.
fn names<T>(map: &Map<T>) -> HashMap<String, usize> {
    (0..)
        .zip(&map.0)
        .map(|(index, entry)| (entry.name.clone(), index))
        .collect()
}

/// The walk through the document.
struct Walk<'a> {
    /// The folder that relative paths start from.
    folder: &'a FilePath,
    /// Reads the files that the document names.
    files: Files<'a>,
    /// What was found to be wrong. Grows only.
    found: &'a mut Vec<Mistake>,
}

impl Walk<'_> {
    /// Records a mistake.
    fn wrong(&mut self, place: Place, path: Path<'_>, what: impl Into<String>, hint: &str) {
        self.found.push(Mistake::new(place, path, what).hint(hint));
    }

    /// What `parse` makes of the text; what is wrong with it is recorded.
    fn parsed<T>(
        &mut self,
        text: &Placed<String>,
        path: Path<'_>,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.kept(text.place, path, parse(&text.value))
    }

    /// The value; what is wrong is recorded.
    fn kept<T>(&mut self, place: Place, path: Path<'_>, result: Result<T, Wrong>) -> Option<T> {
        result
            .map_err(|wrong| self.found.push(wrong.at(place, path)))
            .ok()
    }

    /// Where `name` leads; a name that is not known is recorded.
    fn looked_up(
        &mut self,
        name: &Placed<String>,
        path: Path<'_>,
        kind: &str,
        known: &HashMap<String, usize>,
    ) -> Option<usize> {
        let index = known.get(&name.value).copied();
        if index.is_none() {
            let what = format!("there is no {kind} called {:?}", name.value);
            let hint = if mistake::worth_a_hint(self.found) {
                let mut names: Vec<&str> = known.keys().map(String::as_str).collect();
                names.sort_unstable();
                mistake::suggest(&name.value, &format!("known {kind}s"), names)
            } else {
                String::new()
            };
            self.wrong(name.place, path, what, &hint);
        }
        index
    }
}

/// A number that its setting's range keeps within the smaller type; the largest of that otherwise,
/// which a mistake in the range alone could bring about.
fn narrow<T: TryFrom<u64> + Limit>(number: u64) -> T {
    T::try_from(number).unwrap_or(T::MOST)
}

/// A type with a largest value.
trait Limit {
    /// The largest value.
    const MOST: Self;
}

impl Limit for u8 {
    const MOST: Self = Self::MAX;
}

impl Limit for u16 {
    const MOST: Self = Self::MAX;
}

impl Limit for u32 {
    const MOST: Self = Self::MAX;
}

impl Limit for usize {
    const MOST: Self = Self::MAX;
}
