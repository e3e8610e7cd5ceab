//! The channels of one socket: which topics are joined, and under which `join_ref`.
//!
//! Source: Phoenix Channels, as its server behaves towards npm `phoenix`.

use penholder_hub::MemberId;
use penholder_protocol::{Ref, TopicName};

/// The joined topics of one socket.
#[derive(Debug)]
pub(super) struct Channels<C> {
    /// By topic. Most sockets have one, for which the node of a tree would be ten times as large.
    joined: Vec<(TopicName, Channel<C>)>,
}

/// One joined topic.
#[derive(Debug)]
pub(super) struct Channel<C> {
    pub(super) member: MemberId,
    pub(super) join_ref: Option<Ref>,
    /// What else the socket keeps of it.
    pub(super) kept: C,
}

/// Where a push goes, by its topic and `join_ref`.
#[derive(Debug)]
pub(super) enum Target<'a, C> {
    /// To the joined channel.
    Channel(&'a Channel<C>),
    /// Nowhere: it belongs to an earlier join of the topic.
    Stale,
    /// Nowhere: the topic is not joined.
    Unmatched,
}

impl<C> Default for Channels<C> {
    fn default() -> Self {
        Self { joined: Vec::new() }
    }
}

impl<C> Channels<C> {
    /// The number of joined topics.
    pub(super) fn len(&self) -> usize {
        self.joined.len()
    }

    /// The channel of `topic`.
    pub(super) fn find(&self, topic: &TopicName) -> Option<&Channel<C>> {
        self.place(topic).ok().map(|at| &self.joined[at].1)
    }

    /// Where the channel of `topic` is, or would be.
    fn place(&self, topic: &TopicName) -> Result<usize, usize> {
        self.joined.binary_search_by(|(joined, _)| joined.cmp(topic))
    }

    /// All channels, by topic.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TopicName, &Channel<C>)> {
        self.joined.iter().map(|(topic, channel)| (topic, channel))
    }

    /// All channels, by topic, to change what is kept of them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&TopicName, &mut Channel<C>)> {
        self.joined.iter_mut().map(|(topic, channel)| (&*topic, channel))
    }

    /// Notes a join; the channel that it takes the place of is returned.
    pub(super) fn insert(&mut self, topic: TopicName, channel: Channel<C>) -> Option<Channel<C>> {
        match self.place(&topic) {
            Ok(at) => Some(std::mem::replace(&mut self.joined[at].1, channel)),
            Err(at) => {
                if self.joined.len() == self.joined.capacity() {
                    self.joined.reserve_exact(self.joined.len().max(1));
                }
                self.joined.insert(at, (topic, channel));
                None
            }
        }
    }

    /// Finds where a push goes. One without a `join_ref` goes to whatever is joined.
    pub(super) fn target(&self, topic: &str, join_ref: Option<&Ref>) -> Target<'_, C> {
        let name = TopicName::parse(topic).ok();
        match name.and_then(|name| self.find(&name)) {
            None => Target::Unmatched,
            Some(channel) if join_ref.is_none() || join_ref == channel.join_ref.as_ref() => {
                Target::Channel(channel)
            }
            Some(_) => Target::Stale,
        }
    }

    /// Removes the channel of `topic`.
    pub(super) fn remove(&mut self, topic: &TopicName) -> Option<Channel<C>> {
        self.place(topic).ok().map(|at| self.joined.remove(at).1)
    }

    /// Removes the channel of `member`, unless the topic has been joined anew since.
    pub(super) fn forget(&mut self, member: MemberId) {
        self.joined.retain(|(_, channel)| channel.member != member);
    }

    /// Takes all channels.
    pub(super) fn drain(&mut self) -> Vec<(TopicName, Channel<C>)> {
        std::mem::take(&mut self.joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> TopicName {
        TopicName::parse("doc:1").unwrap()
    }

    fn joined(count: u64) -> Channels<()> {
        let mut channels = Channels::default();
        let join_ref = Some(Ref::counter(count));
        channels.insert(topic(), Channel { member: MemberId(count), join_ref, kept: () });
        channels
    }

    #[test]
    fn a_push_goes_to_the_present_join_only() {
        let channels = joined(7);
        let target = |join_ref: Option<&Ref>| channels.target("doc:1", join_ref);
        assert!(matches!(target(None), Target::Channel(_)));
        assert!(matches!(target(Some(&Ref::counter(7))), Target::Channel(_)));
        assert!(matches!(target(Some(&Ref::counter(6))), Target::Stale));
        assert!(matches!(channels.target("doc:2", None), Target::Unmatched));
        assert!(matches!(channels.target("not a topic", None), Target::Unmatched));
    }

    #[test]
    fn each_topic_has_one_channel_however_they_come_and_go() {
        let topic = |number: u64| TopicName::parse(&format!("doc:{number}")).unwrap();
        let channel = |count| Channel { member: MemberId(count), join_ref: None, kept: () };
        let mut channels = Channels::default();
        for number in [5, 1, 4, 2, 3] {
            assert!(channels.insert(topic(number), channel(number)).is_none());
        }
        let replaced = channels.insert(topic(4), channel(40));
        assert_eq!(replaced.map(|channel| channel.member), Some(MemberId(4)));
        assert_eq!(channels.remove(&topic(2)).map(|channel| channel.member), Some(MemberId(2)));
        assert!(channels.remove(&topic(2)).is_none());
        let members: Vec<_> = channels.iter().map(|(_, channel)| channel.member.0).collect();
        assert_eq!(members, [1, 3, 40, 5]);
        assert!((1..=5).all(|number| channels.find(&topic(number)).is_some() == (number != 2)));
    }

    #[test]
    fn a_departure_of_an_earlier_member_leaves_the_present_one() {
        let mut channels = joined(7);
        channels.forget(MemberId(6));
        assert_eq!(channels.len(), 1);
        channels.forget(MemberId(7));
        assert_eq!(channels.len(), 0);
    }
}
