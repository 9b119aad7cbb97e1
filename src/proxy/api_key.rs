//! Whose request it is by its API key, and what its usage plan has left for it.
//!
//! A route that asks for no key pays one branch. One that does pays a comparison where the
//! connection brought the same key before, and the quota's compare-exchange.

use super::{
    core::View,
    session::{Session, Trail},
};
use crate::{
    error::Error,
    snapshot::{KeySource, PlanAtStage, Route},
};
use std::borrow::Cow;

/// What the request's key is good for at the stage; `None` where the route asks for no key.
///
/// Here the rates of the plan ([`PlanAtStage::of_route`] and its plan's) are known, and by the
/// session the key that they are each one's own of.
pub(super) fn authorise<'v>(
    session: &mut Session<'_>,
    view: &'v View,
    trail: &mut Trail<'v>,
    route: &Route,
) -> Result<Option<&'v PlanAtStage>, Error> {
    match &route.api_key {
        None => Ok(None),
        Some(source) => known(session, view, trail, source).map(Some),
    }
}

fn known<'v>(
    session: &mut Session<'_>,
    view: &'v View,
    trail: &mut Trail<'v>,
    source: &KeySource,
) -> Result<&'v PlanAtStage, Error> {
    let buffer = session.inbound.filled();
    let value = match source {
        KeySource::Header(name) => session.head.fields.named(name, buffer).map(Cow::Borrowed),
        KeySource::Query(name) => parameter(session.head.query.of(buffer), name),
    };
    let value = value.filter(|value| !value.is_empty());
    let value = value.ok_or(Error::ApiKeyMissing)?;
    let found = session.api_key.find(&view.snapshot.keys, &value);
    let key = found.ok_or(Error::ApiKeyUnknown)?;
    trail.has_api_key = true;
    if !key.enabled {
        return Err(Error::ApiKeyDisabled);
    }
    let stage = trail.stage.ok_or(Error::Internal)?;
    let mut plans = key.plans.iter().enumerate();
    let good = plans.find_map(|(at, member)| Some((at, stage.plan(&member.plan)?)));
    let (at, plan) = good.ok_or(Error::ApiKeyWithoutPlan)?;
    trail.plan = Some(at);
    Ok(plan)
}

/// Counts the request on its key's quota of `plan`.
pub(super) fn count(
    session: &Session<'_>,
    trail: &mut Trail<'_>,
    plan: Option<&PlanAtStage>,
) -> Result<(), Error> {
    let (Some(plan), Some(at), Some(key)) = (plan, trail.plan, session.api_key.key()) else {
        return Ok(());
    };
    let wall = session.core.wall(trail.started);
    let taken = key.plans[at].usage.take(plan.plan.quota.as_ref(), wall);
    taken.map_err(|used_up| {
        trail.retry_after = Some(used_up.retry_after);
        Error::QuotaSpent
    })
}

/// The id of the request's API key, and the plan by which it was let in; empty where there is none.
pub(super) fn names<'s>(session: &'s Session<'_>, trail: &Trail<'_>) -> (&'s str, &'s str) {
    let key = session.api_key.key().filter(|_| trail.has_api_key);
    key.map_or(("", ""), |key| {
        let plan = trail.plan.map_or("", |at| &key.plans[at].plan);
        (&key.id, plan)
    })
}

/// The value of the query's first parameter `name`, decoded where it is encoded.
fn parameter<'q>(query: &'q [u8], name: &str) -> Option<Cow<'q, [u8]>> {
    let mut pairs = query.split(|byte| *byte == b'&');
    let value = pairs.find_map(|pair| {
        let rest = pair.strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })?;
    Some(match memchr::memchr(b'%', value) {
        None => Cow::Borrowed(value),
        Some(_) => Cow::Owned(decoded(value)),
    })
}

#[cold]
fn decoded(value: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match (byte, digit(value.get(at + 1)), digit(value.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[track_caller]
    fn check(query: &str, expected: Option<&str>) {
        let found = parameter(query.as_bytes(), "key");
        let found = found
            .as_deref()
            .map(|value| std::str::from_utf8(value).unwrap());
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn parameters() {
        check("key=abc", Some("abc"));
        check("a=b&key=abc&key=d", Some("abc"));
        check("key=a%2Bb%zz%4", Some("a+b%zz%4"));
        check("key=", Some(""));
        check("key", None);
        check("akey=b", None);
        check("keys=b", None);
        check("", None);
    }
}
