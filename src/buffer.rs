//! Buffers, rented per worker.
