//! What a stage does with each change.

use super::*;

/// A deployment, by one digit.
fn id(digit: char) -> DeploymentId {
    digit.to_string().repeat(64).parse().expect("an id")
}

fn by(why: &str) -> By {
    By {
        at_ms: 1,
        actor: "uid 0".to_owned(),
        why: why.to_owned(),
    }
}

fn deployed(digits: &str) -> StageState {
    digits.chars().fold(StageState::new(), |state, digit| {
        state
            .serve(Action::Deploy, id(digit), by(""))
            .expect("no canary")
    })
}

fn plan(percent: f64) -> CanaryPlan {
    CanaryPlan {
        percent,
        ..CanaryPlan::default()
    }
}

#[test]
fn rollbacks_go_further_and_further_back() {
    let state = deployed("abc");
    let state = state.roll_back(None, by("")).expect("b");
    assert_eq!(state.deployment, Some(id('b')));
    let state = state.roll_back(None, by("")).expect("a");
    assert_eq!(state.deployment, Some(id('a')));
    assert_eq!(state.roll_back(None, by("")), Err(Refusal::NoEarlier));
    let state = state.roll_back(Some(id('c')), by("")).expect("c");
    assert_eq!(state.deployment, Some(id('c')));
    assert_eq!(state.sequence, 6);
    assert_eq!(
        StageState::new().roll_back(None, by("")),
        Err(Refusal::Undeployed)
    );
}

#[test]
fn the_same_deployed_twice_is_not_where_a_rollback_goes() {
    let state = deployed("abb").roll_back(None, by("")).expect("a");
    assert_eq!(state.deployment, Some(id('a')));
}

#[test]
fn a_canary_stands_in_the_way_of_all_but_its_own_changes() {
    let state = deployed("a")
        .canary(Some(id('b')), plan(10.0), by(""))
        .expect("a canary");
    assert_eq!(state.deployment, Some(id('a')));
    assert_eq!(
        state.serve(Action::Deploy, id('c'), by("")),
        Err(Refusal::CanaryRuns)
    );
    assert_eq!(
        state.roll_back(Some(id('c')), by("")),
        Err(Refusal::CanaryRuns)
    );
    let more = state
        .canary(None, plan(50.0), by(""))
        .expect("a larger share");
    assert_eq!(
        more.canary.as_ref().map(|canary| canary.deployment),
        Some(id('b'))
    );
    let aborted = more.abort_canary(by("")).expect("a canary");
    assert_eq!(
        (aborted.deployment, &aborted.canary),
        (Some(id('a')), &None)
    );
    assert_eq!(aborted.abort_canary(by("")), Err(Refusal::CanaryAbsent));
    let promoted = more.promote_canary(by("")).expect("a canary");
    assert_eq!(
        (promoted.deployment, &promoted.canary),
        (Some(id('b')), &None)
    );
    let back = promoted.roll_back(None, by("")).expect("a");
    assert_eq!(back.deployment, Some(id('a')));
}

#[test]
fn a_promoted_canary_brings_its_variables() {
    let mut plan = plan(1.0);
    plan.variables.insert("table".to_owned(), "new".to_owned());
    let state = deployed("a").canary(None, plan, by("")).expect("a canary");
    assert_eq!(
        state.canary.as_ref().map(|canary| canary.deployment),
        Some(id('a'))
    );
    let state = state.promote_canary(by("")).expect("a canary");
    assert_eq!(state.variables["table"], "new");
}

#[test]
fn shares_that_are_none() {
    for percent in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
        let refused = deployed("a").canary(None, plan(percent), by(""));
        assert!(matches!(refused, Err(Refusal::Percent(_))), "{percent}");
    }
    let refused = StageState::new().canary(Some(id('a')), plan(1.0), by(""));
    assert_eq!(refused, Err(Refusal::Undeployed));
}

#[test]
fn who_comes_second_is_told() {
    let state = deployed("a");
    assert_eq!(state.expect(Some(1)), Ok(()));
    assert_eq!(state.expect(None), Ok(()));
    let told = state.expect(Some(0)).expect_err("overtaken").to_string();
    assert!(told.contains("change 1 (deploy by uid 0)"), "{told}");
}

#[test]
fn the_history_is_bounded_and_in_order() {
    let digits: String = "ab".repeat(bounds::HISTORY_MAX);
    let state = deployed(&digits);
    assert_eq!(state.history.len(), bounds::HISTORY_MAX);
    let in_order = |pair: &[Entry]| pair[0].sequence + 1 == pair[1].sequence;
    assert!(state.history.windows(2).all(in_order));
    assert_eq!(
        state.history.last().map(|entry| entry.sequence),
        Some(state.sequence)
    );
}

#[test]
fn a_state_comes_back_from_its_json() {
    let mut plan = plan(2.5);
    plan.sticky = Some(Sticky::Cookie("sid".to_owned()));
    plan.force = Some(Force {
        header: "x-canary".to_owned(),
        value: "1".to_owned(),
    });
    plan.abort_when = Some("5xx > 2% over 1m".parse().expect("a condition"));
    let state = deployed("ab")
        .canary(Some(id('c')), plan, by("try it"))
        .expect("a canary");
    let json = serde_json::to_string(&state).expect("JSON");
    assert_eq!(
        serde_json::from_str::<StageState>(&json).expect("a state"),
        state
    );
    assert!(state.is_known());
}
