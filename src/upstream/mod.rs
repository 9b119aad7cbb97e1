//! Which endpoint takes a request: balancing, health, retries, budgets.
