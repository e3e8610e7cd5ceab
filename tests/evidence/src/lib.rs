//! What tests of the pen share, whether they drive a store or the real server: the model that histories are
//! checked against, and a judge of the log.
//!
//! It trusts neither the stores nor the state machine: of `penholder-lease` it takes the words alone.

mod draw;
mod history;
mod judge;

pub use draw::Draw;
pub use history::{Ask, History, Model, Op, Outcome, Saw, Who, Within};
pub use judge::{Logged, Written, judge};
