//! The compiled whole.
