//! One shard of Penholder: topics, who is subscribed to them, and one ordered stream per topic.
//!
//! A [`Hub`] owns the topics that hash to its shard. It is a value with inputs and outputs: it never
//! reads a clock, draws a random number or touches a socket, so production and simulation run the
//! same code.
//!
//! # The driver's contract
//!
//! 1. Create the hub at the start of the process: what is promised for a while after the start counts
//!    from then.
//! 2. Drain [`Hub::poll_output`] until it is empty, performing each output **in order**, before the
//!    next input.
//! 3. Hand every input to [`Hub::handle`] together with the present time, and drain again.
//! 4. Sleep until [`Hub::next_deadline`], or the next input, whichever comes first. At a deadline
//!    hand in [`Input::Tick`]. Waking early or twice is a no-op; a deadline is pulled anew each time.
//!
//! [`Output::Publish`] goes to the same shard on other replicas, where it is an [`Input::Bus`]; it may
//! be lost, late or repeated. [`Output::Relay`] becomes [`Input::Relayed`] there, in the same way; what is
//! late or repeated is left out. A hub whose configuration says that it is alone does neither.
//!
//! Frames of one member must reach its connection in the order in which they are polled. A driver
//! that keeps one [`SendQueue`] per connection gets the overflow policy with it.
//!
//! # One stream per topic
//!
//! A topic keeps its *view*: the presences that every observer has been told of, as of the last
//! flush. A change of the presence set only marks the topic; when `diff_window` has passed, the flush
//! compares the view with the set and sends the difference, so a join and its leave within one
//! window cancel out and N people who join at once cost frames in proportion to the windows. Whoever
//! has joined since the last flush gets the whole view instead of the difference. Hence:
//!
//! - whoever joins is answered, then gets the snapshot, then all else
//!   (`nothing_reaches_a_newcomer_between_its_reply_and_its_snapshot`): a broadcast that comes in
//!   between ends the window early;
//! - no diff comes before its snapshot, none is missing and none comes twice
//!   (`diffs_replay_to_the_list_at_every_step`);
//! - an update is one diff and nobody is absent in between (`an_update_is_one_diff`);
//! - a frame is encoded once per topic and wire format, and a broadcast once per dialect, and shared by
//!   all who receive it (`a_frame_is_encoded_once_and_shared`).
//!
//! # Durable events
//!
//! What happens to a topic's pen and tickets is numbered and kept by the store, and told with [`Input::News`]: in the
//! order of the numbers, to each [`Audience`] what it may hear, with a number of its own. What is missing in
//! between is asked for with [`PenTask::Follow`].
//!
//! # Pens
//!
//! A shard decides nothing about a pen. It asks the store with [`Output::Pen`], and tells its topic what
//! the store answers, in order with everything else of the topic. A driver without a store drops what is asked.
//!
//! # Crowds
//!
//! Above `full_max` people a topic is shown as its first `full_max` people, those who are editing,
//! and the receiver itself. The rule is continuous: nobody's screen is emptied when the topic grows
//! past the bound, and the next in line moves up when somebody leaves.

mod config;
mod encode;
mod hub;
mod input;
mod join;
mod news;
mod outline;
mod output;
mod pen;
mod push;
mod queue;
mod read;
mod relay;
mod room;
mod session;
mod spread;
mod stream;
mod telling;
mod view;

pub use config::{Config, TopicOptions};
pub use hub::Hub;
pub use input::{
    Broadcast, Content, Echo, Input, InputSeen, Join, MemberId, Now, PresenceChange, Push, Request,
    ResumeClaim, SignResume, Typing, Viewer, WatcherId,
};
pub use news::{
    AtJoin, Audience, News, PenNews, Position, Reading, Source, Stretch, Then, TicketNews,
};
pub use output::{Class, Departure, Frame, Output};
pub use pen::{HolderReply, PenAsk, PenAsker, PenReply, PenRequest, PenTask, brief, claimant};
pub use queue::{Pushed, QueueLimits, SendQueue};
pub use read::{Census, Connection, Evidence, SummaryQuery, Tally, TopicCount, TopicsQuery};
