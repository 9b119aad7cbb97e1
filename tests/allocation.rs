//! A warm request allocates nothing.

fn main() {}
