//! What a limit holds for: one vocabulary for configuration, metrics and responses.

/// What a limit holds for, from the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All requests.
    Gateway,
    /// An API in all its stages.
    Api,
    /// A stage.
    Stage,
    /// A route in one stage.
    Route,
    /// A usage plan: each API key in all stages of the plan.
    Plan,
    /// A usage plan's word on a route: each API key there.
    PlanRoute,
}

impl Scope {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::Gateway,
        Self::Api,
        Self::Stage,
        Self::Route,
        Self::Plan,
        Self::PlanRoute,
    ];

    /// The name in metrics, logs and response fields.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Api => "api",
            Self::Stage => "stage",
            Self::Route => "route",
            Self::Plan => "plan",
            Self::PlanRoute => "plan_route",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn scopes_stand_in_order_under_names_of_their_own() {
        for (index, scope) in Scope::ALL.iter().enumerate() {
            assert_eq!(*scope as usize, index);
            let alike = Scope::ALL
                .iter()
                .filter(|other| other.name() == scope.name());
            assert_eq!(alike.count(), 1);
        }
    }
}
