//! One shard through its public API: what each client receives, in which order, and how often.

mod coming;
mod crowd;
mod events;
mod for_staff;
#[path = "../harness/mod.rs"]
mod harness;
mod liveness;
mod missed;
mod order;
mod pens;
mod realtime;
mod relay;
mod replicas;
mod resume;
mod slow;
mod summaries;
mod tickets;
