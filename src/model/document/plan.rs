//! Usage plans as they are written, and where clients put their API keys.

use crate::model::{
    scalar::Rate,
    setting::{Map, Placed, settings, words},
};

settings! {
    /// A usage plan: what the API keys that are in it may use, and how much.
    struct UsagePlan {
        /// For people.
        description: Option<String>, default(None), within(0..=1024);
        /// The stages that the plan's keys are good for.
        stages: Vec<Placed<PlanStage>>, default(Vec::new()), within(0..=1000);
        /// How many requests each key may make.
        throttle: Option<KeyThrottle>, default(None);
        /// How many requests each key may make in a day, a week or a month. Beyond them it is
        /// answered 429 until the next begins.
        quota: Option<Quota>, default(None);
    }

    /// A stage that a plan's keys are good for.
    struct PlanStage {
        /// The API's name.
        api: String, required;
        /// The stage's name. Left out where the API has one stage: that one.
        stage: Option<String>, default(None);
        /// How many requests each key may make to single routes, by the routes' keys.
        throttle: Map<KeyThrottle>, default(Map(Vec::new())), within(0..=100_000);
    }

    /// A token bucket of each API key: requests beyond it are answered 429.
    struct KeyThrottle {
        /// Requests per second in the long run. Fractions are allowed, down to one request in
        /// 11.6 days.
        rate: Rate, required;
        /// Requests that may come at once.
        burst: u64, required, within(1..=1_000_000_000);
    }

    /// A number of requests in a period. Periods begin at midnight UTC.
    struct Quota {
        /// Requests in a period.
        limit: u64, required, within(1..=1_000_000_000_000);
        /// How long a period is.
        period: Period, required;
        /// The day on which a period begins: of a week 0 (Sunday) to 6, of a month 0 (the first)
        /// to 27, of a day only 0.
        offset: u64, default(0), within(0..=27);
    }

    /// Where clients put their API key. One of the two.
    struct ApiKey {
        /// The header field that holds the key.
        header: Option<String>, default(None);
        /// The parameter of the query that holds the key. What stands in a URL is easily logged:
        /// prefer a header.
        query: Option<String>, default(None), within(1..=64);
    }
}

words! {
    /// How long a period is.
    pub enum Period {
        /// From midnight to midnight.
        Day = "day",
        /// Seven days.
        Week = "week",
        /// A calendar month.
        Month = "month",
    }
}
