//! Deliberate mistakes of a store or of an editor, to show that each checker bites.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A write is not asked for its fence.
    Unfenced,
    /// A write is judged when it comes, and written later without the lock.
    CheckFirst,
    /// What has passed is decided by the clock of whoever asks.
    AskersClock,
    /// The row of a pen that nobody has is deleted.
    DeleteRow,
    /// A standby that takes over goes on counting on the timeline of before.
    OneTimeline,
    /// A repeated request is taken for a new one.
    ForgetRequest,
    /// Nobody looks after what is due.
    NoTicks,
    /// Whoever gives the pen back is not asked for their fence.
    AnyRelease,
    /// A holder counts from the arrival of the reply.
    CountFromReply,
}
