//! Penholder.
