"""The load tests' harness; `loadtest/run` is its entry point and README.md its description."""
