//! One topic of the shard: who is on it, and what they have been told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use penholder_presence::{
    Certainty, Key, Mode, MonoMs, Presence, PresenceSet, Replica, Topic, Viewer, WallMs,
};
use penholder_protocol::realtime::Dialect;
use penholder_protocol::{Json, Ref, TopicName, TopicRow, ViewerSummary, Wire};

use crate::outline::Outline;
use crate::pen::KnownPen;
use crate::spread::Spread;
use crate::stream::Stream;
use crate::view::{View, ViewDiff};
use crate::{
    Audience, Broadcast, Class, Content, MemberId, News, Output, Position, TopicOptions, WatcherId,
    encode,
};

/// A topic that somebody is on or watches.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: TopicName,
    pub(crate) topic: Topic,
    pub(crate) seats: BTreeMap<MemberId, Seat>,
    pub(crate) watchers: BTreeSet<WatcherId>,
    /// When the changes since the last flush are due; none when there are none.
    pub(crate) flush_at: Option<MonoMs>,
    /// The pen, as far as it is known.
    pub(crate) pen: Option<KnownPen>,
    /// Where its durable events are, as far as that is known.
    pub(crate) stream: Option<Stream>,
    view: View,
    summary: Option<Json>,
    row: Option<TopicRow>,
    /// In a crowd, its outline as of the last flush, or of the first join since: to draw it for each
    /// of those who join together would cost the square of their number.
    crowd: Option<Outline>,
    /// Who came first as of the last flush, and how sure that was.
    first: Option<(WallMs, Key, Certainty)>,
    contest: Option<Contest>,
}

/// Somebody who surely came first was joined by somebody earlier: both may have begun to edit.
#[derive(Debug)]
struct Contest {
    earlier: Key,
    displaced: Key,
}

/// A member's place in a topic.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) key: Key,
    pub(crate) wire: Wire,
    pub(crate) dialect: Dialect,
    pub(crate) join_ref: Option<Ref>,
    pub(crate) sight: Sight,
    pub(crate) audience: Audience,
    /// The number of the last event that it had heard when it sat down, which may be told here only later.
    pub(crate) heard: u64,
}

/// How much of the topic's presence a member has been told.
#[derive(Debug)]
pub(crate) enum Sight {
    /// It did not ask for presence.
    Blind,
    /// It waits for the next flush to get a snapshot.
    Waiting,
    /// It has the view, and these sessions of its own that the view leaves out.
    Following(Vec<Arc<Presence>>),
}

impl Seat {
    /// What the member was told is lost: it gets a snapshot next.
    pub(crate) fn lose_sight(&mut self) {
        if !matches!(self.sight, Sight::Blind) {
            self.sight = Sight::Waiting;
        }
    }
}

impl Room {
    pub(crate) fn new(name: TopicName) -> Self {
        Self {
            topic: Topic::from(name.as_str()),
            name,
            seats: BTreeMap::new(),
            watchers: BTreeSet::new(),
            flush_at: None,
            pen: None,
            stream: None,
            view: View::default(),
            summary: None,
            row: None,
            crowd: None,
            first: None,
            contest: None,
        }
    }

    /// Whether nobody needs the room any more.
    pub(crate) fn is_deserted(&self) -> bool {
        self.seats.is_empty() && self.watchers.is_empty()
    }

    /// Whether somebody waits for a snapshot.
    pub(crate) fn has_newcomers(&self) -> bool {
        self.seats.values().any(|seat| matches!(seat.sight, Sight::Waiting))
    }

    /// Adds a watcher; returns the row that all watchers know. That is the row of the last flush, or
    /// `present`, the row of now, if there was none: what has changed since comes with the next.
    pub(crate) fn watch(&mut self, watcher: WatcherId, present: TopicRow) -> TopicRow {
        self.watchers.insert(watcher);
        self.row.get_or_insert(present).clone()
    }

    /// What the row says has changed while nobody watched it.
    pub(crate) fn forget_row(&mut self) {
        self.row = None;
    }

    /// Tells everybody but `except` of something.
    pub(crate) fn tell(
        &self,
        event: &str,
        content: &Content,
        except: Option<MemberId>,
    ) -> Vec<Output> {
        self.tell_those(self.others(except), event, content)
    }

    /// Tells the staff but `except` of something.
    pub(crate) fn tell_staff(
        &self,
        event: &str,
        content: &Content,
        except: Option<MemberId>,
    ) -> Vec<Output> {
        let staff = self.others(except).filter(|(_, seat)| seat.audience == Audience::Staff);
        self.tell_those(staff, event, content)
    }

    fn tell_those<'a>(
        &self,
        seats: impl Iterator<Item = (MemberId, &'a Seat)>,
        event: &str,
        content: &Content,
    ) -> Vec<Output> {
        let mut spread = Spread::new(&self.name, event, content);
        seats.for_each(|(member, seat)| spread.to(member, seat.wire));
        let mut outputs = Vec::new();
        spread.finish(&mut outputs);
        outputs
    }

    /// Tells each audience what it may hear of a durable event; `at` is the place behind it.
    pub(crate) fn report(&self, news: &News, at: Position) -> Vec<Output> {
        let mut outputs = Vec::new();
        for audience in Audience::ALL {
            let number = at.number(audience);
            let hears = |seat: &Seat| seat.audience == audience && seat.heard < number;
            let mut seats = self.others(None).filter(|(_, seat)| hears(seat)).peekable();
            if seats.peek().is_none() {
                continue;
            }
            let Some(payload) = news.payload(audience, at) else { continue };
            let content = Content::Json(payload);
            let mut spread = Spread::new(&self.name, news.name(), &content);
            seats.for_each(|(member, seat)| spread.to(member, seat.wire));
            spread.finish(&mut outputs);
        }
        outputs
    }

    /// Sends what an application says to everybody but `except`, to each in its own dialect.
    pub(crate) fn broadcast(&self, broadcast: &Broadcast, except: Option<MemberId>) -> Vec<Output> {
        let spread = |dialect| Spread::broadcast(&self.name, broadcast, dialect);
        let (mut plain, mut realtime) = (spread(Dialect::Phoenix), spread(Dialect::Realtime));
        for (member, seat) in self.others(except) {
            match seat.dialect {
                Dialect::Phoenix => plain.to(member, seat.wire),
                Dialect::Realtime => realtime.to(member, seat.wire),
            }
        }
        let mut outputs = Vec::new();
        plain.finish(&mut outputs);
        realtime.finish(&mut outputs);
        outputs
    }

    fn others(&self, except: Option<MemberId>) -> impl Iterator<Item = (MemberId, &Seat)> {
        let seats = self.seats.iter().map(|(member, seat)| (*member, seat));
        seats.filter(move |(member, _)| Some(*member) != except)
    }

    /// Tells everybody what has changed since the last flush, and the whole to those who wait.
    ///
    /// Per member: diff or snapshot, then the summary. Cost: O(sessions shown + seats).
    pub(crate) fn flush(&mut self, replica: &Replica, options: &TopicOptions) -> Vec<Output> {
        self.flush_at = None;
        let set = replica.set();
        let next = View::of(set, &self.topic, options.full_max);
        let is_partial = set.count(&self.topic) > options.full_max;
        let mut flush = Flush::new(&self.name, self.view.diff(&next), &next);
        for (member, seat) in &mut self.seats {
            let own = if is_partial {
                own_beyond(&next, set, &self.topic, &seat.key)
            } else {
                Vec::new()
            };
            flush.visit(*member, seat, own);
        }
        let (mut outputs, newcomers) = flush.finish();
        self.view = next;
        let outline = Outline::of(replica, &self.topic, options, &options.priority);
        let outline = self.judge(outline, replica);
        self.flush_summary(&outline, &newcomers, &mut outputs);
        self.crowd = Some(outline).filter(|outline| !outline.is_full());
        outputs
    }

    /// What the topic is to somebody who joins: in a crowd, it may be as old as the window.
    pub(crate) fn view_for(
        &mut self,
        replica: &Replica,
        options: &TopicOptions,
        viewer: Viewer<'_>,
    ) -> ViewerSummary {
        let is_contested = self.is_contested();
        let draw = || {
            let outline = Outline::of(replica, &self.topic, options, &options.priority);
            if is_contested { outline.contested() } else { outline }
        };
        if replica.set().count(&self.topic) <= options.full_max {
            return draw().view(viewer);
        }
        let alone = Outline::of_person(replica, &self.topic, options, viewer.key);
        self.crowd.get_or_insert_with(draw).view_beside(&alone, viewer)
    }

    /// Whether somebody earlier has come whom those here did not know of.
    pub(crate) fn is_contested(&self) -> bool {
        self.contest.is_some()
    }

    /// Remembers who comes first, and marks the outline while that is contested: until the earlier one
    /// or the one who was first before is no longer there to edit.
    fn judge(&mut self, outline: Outline, replica: &Replica) -> Outline {
        let first = outline.summary.prior_user_presence();
        let edits = |key: &Key| {
            let mut people = outline.summary.presences.iter();
            people.any(|person| person.key == *key && person.mode == Mode::Edit)
        };
        // Only what another replica knew can have been unknown here.
        let here = &replica.set().replica().name;
        let is_from_elsewhere = |key: &Key| {
            let mut entries = replica.set().by_key(&self.topic, key);
            entries.any(|presence| presence.dot.replica.name != *here)
        };
        let before = self.first.take();
        // Who was first for the time being was told so, and gives way without a contest.
        if let (Some((joined_at, displaced, certainty)), Some(first)) = (before, first)
            && certainty != Certainty::Provisional
            && (first.joined_at, &first.key) < (joined_at, &displaced)
            && is_from_elsewhere(&first.key)
            && edits(&displaced)
        {
            self.contest = Some(Contest { earlier: first.key.clone(), displaced });
        }
        let lasts = |contest: &Contest| {
            first.is_some_and(|first| first.key == contest.earlier) && edits(&contest.displaced)
        };
        self.contest = self.contest.take().filter(lasts);
        let certainty = outline.summary.certainty;
        self.first = first.map(|first| (first.joined_at, first.key.clone(), certainty));
        if self.is_contested() { outline.contested() } else { outline }
    }

    /// Sends the summary to everybody when it has changed, and to `newcomers` in any case; the row
    /// to watchers when it has changed.
    fn flush_summary(
        &mut self,
        outline: &Outline,
        newcomers: &BTreeSet<MemberId>,
        outputs: &mut Vec<Output>,
    ) {
        let row = outline.row(&self.name, self.pen.as_ref().and_then(KnownPen::holder));
        if self.row.as_ref() != Some(&row) {
            if !self.watchers.is_empty() {
                let to = self.watchers.iter().copied().collect();
                outputs.push(Output::Row { to, row: row.clone() });
            }
            self.row = Some(row);
        }
        let summary = Json::of(&outline.summary());
        let is_news = self.summary.as_ref() != Some(&summary);
        let content = Content::Json(summary.clone());
        let mut spread =
            Spread::new(&self.name, "presence_summary", &content).class(Class::Presence);
        let follows = |seat: &Seat| matches!(seat.sight, Sight::Following(_));
        for (member, seat) in self.seats.iter().filter(|(_, seat)| follows(seat)) {
            if is_news || newcomers.contains(member) {
                spread.to(*member, seat.wire);
            }
        }
        spread.finish(outputs);
        self.summary = Some(summary);
    }
}

/// The sessions of `key` that `view` leaves out. Cost: O(sessions of the key).
fn own_beyond(view: &View, set: &PresenceSet, topic: &Topic, key: &Key) -> Vec<Arc<Presence>> {
    set.by_key(topic, key).filter(|presence| !view.shows(presence)).cloned().collect()
}

/// Whether these are the same entries. An entry never changes, so the dots tell.
fn is_same(before: &[Arc<Presence>], after: &[Arc<Presence>]) -> bool {
    before.iter().map(|presence| &presence.dot).eq(after.iter().map(|presence| &presence.dot))
}

/// A flush under way: who gets which frame.
struct Flush<'a> {
    topic: &'a TopicName,
    diff: ViewDiff,
    next: &'a View,
    /// Members who get the diff that everybody gets.
    common: Vec<(MemberId, Wire)>,
    snapshot: Vec<(MemberId, Wire)>,
    newcomers: BTreeSet<MemberId>,
    /// What only one member gets; after the snapshot, which it may complete.
    personal: Vec<Output>,
}

impl<'a> Flush<'a> {
    fn new(topic: &'a TopicName, diff: ViewDiff, next: &'a View) -> Self {
        Self {
            topic,
            diff,
            next,
            common: Vec::new(),
            snapshot: Vec::new(),
            newcomers: BTreeSet::new(),
            personal: Vec::new(),
        }
    }

    /// Decides what one member gets; `own` is what it must see beyond the view. Whoever sees the same
    /// beyond it as before gets the diff that everybody gets, for that touches nothing of it.
    fn visit(&mut self, member: MemberId, seat: &mut Seat, own: Vec<Arc<Presence>>) {
        match &mut seat.sight {
            Sight::Blind => return,
            Sight::Waiting => {
                self.newcomers.insert(member);
                self.snapshot.push((member, seat.wire));
                // What it sees beyond the snapshot joins after it: the snapshot is the large part,
                // and stays the same for all.
                let diff = ViewDiff { joins: own.clone(), leaves: Vec::new() };
                self.send_personal((member, seat.wire), &diff);
            }
            Sight::Following(before) if is_same(before, &own) => {
                self.common.push((member, seat.wire));
                return;
            }
            Sight::Following(before) => {
                let diff = self.diff.personal(before, &own);
                self.send_personal((member, seat.wire), &diff);
            }
        }
        seat.sight = Sight::Following(own);
    }

    fn send_personal(&mut self, (member, wire): (MemberId, Wire), diff: &ViewDiff) {
        if diff.is_empty() {
            return;
        }
        let content = Content::Json(encode::diff(diff));
        let mut spread = Spread::new(self.topic, "presence_diff", &content).class(Class::Presence);
        spread.to(member, wire);
        spread.finish(&mut self.personal);
    }

    fn finish(self) -> (Vec<Output>, BTreeSet<MemberId>) {
        let mut outputs = Vec::new();
        if !self.diff.is_empty() && !self.common.is_empty() {
            let content = Content::Json(encode::diff(&self.diff));
            let mut spread =
                Spread::new(self.topic, "presence_diff", &content).class(Class::Presence);
            self.common.into_iter().for_each(|(member, wire)| spread.to(member, wire));
            spread.finish(&mut outputs);
        }
        if !self.snapshot.is_empty() {
            let content = Content::Json(encode::state(self.next.shown()));
            let mut spread =
                Spread::new(self.topic, "presence_state", &content).class(Class::Snapshot);
            self.snapshot.into_iter().for_each(|(member, wire)| spread.to(member, wire));
            spread.finish(&mut outputs);
        }
        outputs.extend(self.personal);
        (outputs, self.newcomers)
    }
}
