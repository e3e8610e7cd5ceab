//! The pen: the exclusive right to edit a topic, held, renewed and lost.
//!
//! ```no_run
//! # async fn save(fence: penholder_protocol::Fence) -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
//! # async fn example(channel: penholder_client::Channel) -> Result<(), Box<dyn std::error::Error>> {
//! use penholder_client::PenTerms;
//!
//! let pen = channel.wait_for_pen(&PenTerms::default()).await?;
//! // Work for as long as it takes: the pen renews itself. Then, and before each further write:
//! let fence = pen.fence()?;
//! save(fence).await?; // UPDATE … WHERE fence <= $fence
//! pen.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Pen::fence`] refuses as soon as anything was heard that ends the pen, and when the own deadline passes
//! without a renewal: that one counts from before the request that set it, by a clock that counts suspension, and
//! a fiftieth of it is taken off. So a holder that was stopped learns of it before it writes. Between that look and the
//! write it can be stopped again: the fence, checked where the write lands, is what protects.

mod hold;
mod keeper;
mod news;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use penholder_protocol::{
    self as protocol, Fence, PenAcquire, PenAcquireReply, PenAnswer, PenAnswerWord, PenHeld,
    PenReason, PenReply, PenRequestReply, PenTakeOverReply, PresenceUpdate, TtlMs,
};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use self::hold::Hold;
use self::keeper::Keeper;
use crate::channel::Pusher;
use crate::error::PushError;

pub use self::hold::PenLost;
pub(crate) use self::news::{Feed, Speaker};
pub use self::news::{PenEvents, PenNews};

/// Whose input keeps a pen: the server renews nobody who has shown none for its `pen.idle_after`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attention {
    /// A program's: that it holds the pen is input enough.
    #[default]
    Program,
    /// A person's: [`Pen::touch`] tells of it.
    Person,
}

/// How a pen is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PenTerms {
    /// How long it lasts without renewal; as the server has it where absent.
    pub ttl: Option<Duration>,
    /// What the others are told; at most 512 bytes.
    pub reason: Option<String>,
    /// Whose input keeps it.
    pub attention: Attention,
}

/// What came of an attempt to get a pen at once.
#[derive(Debug)]
pub enum Acquired {
    /// It is one's own.
    Granted(Pen),
    /// Somebody else has it: the pen as it is.
    Held(Box<protocol::Pen>),
}

/// How to get what somebody else has.
#[derive(Clone, Copy, Debug)]
enum Way {
    Wait,
    Ask,
    TakeOver,
}

impl Pusher {
    /// Takes the pen if nobody has it.
    ///
    /// # Errors
    ///
    /// [`PushError`]. Where nobody knows whether it was done, asking again gives the same pen.
    pub async fn acquire_pen(&self, terms: &PenTerms) -> Result<Acquired, PushError> {
        let mut news = self.feed.listen();
        let asked_at = keeper::now_ms();
        let reply: PenAcquireReply = self.request("pen_acquire", &acquire(terms, false)).await?;
        if !reply.granted {
            return Ok(Acquired::Held(Box::new(reply.pen)));
        }
        let hold = granted(&mut news, (&reply.pen, reply.receipt), asked_at)?;
        Ok(Acquired::Granted(self.hold(hold, news, terms.attention)))
    }

    /// Waits in the queue until the pen is one's own, through lost connections.
    ///
    /// There is no bound but the caller's: one who gives up waits in the queue all the same, until the channel
    /// is left, and gets the pen for a time to live when their turn comes.
    ///
    /// # Errors
    ///
    /// [`PushError`]: refused, not answered, or the channel has ended. It may be one's own all the same; asking again
    /// tells.
    pub async fn wait_for_pen(&self, terms: &PenTerms) -> Result<Pen, PushError> {
        self.get_pen(Way::Wait, terms).await
    }

    /// Asks the holder to give way, and waits until the pen is one's own, as [`Self::wait_for_pen`] does. A holder
    /// who declines leaves one in the queue.
    ///
    /// # Errors
    ///
    /// [`PushError`]: refused, not answered, or the channel has ended. It may be one's own all the same; asking again
    /// tells.
    pub async fn request_pen(&self, terms: &PenTerms) -> Result<Pen, PushError> {
        self.get_pen(Way::Ask, terms).await
    }

    /// Takes the pen over, once its holder has had time to save. For roles that may.
    ///
    /// # Errors
    ///
    /// [`PushError`]: refused, not answered, or the channel has ended. It may be one's own all the same; asking again
    /// tells.
    pub async fn take_over_pen(&self, terms: &PenTerms) -> Result<Pen, PushError> {
        self.get_pen(Way::TakeOver, terms).await
    }

    /// What happens to the pen from now on, whoever has it.
    #[must_use]
    pub fn pen_events(&self) -> PenEvents {
        self.feed.listen()
    }

    async fn get_pen(&self, way: Way, terms: &PenTerms) -> Result<Pen, PushError> {
        let mut news = self.feed.listen();
        loop {
            match self.ask(way, terms, &mut news).await {
                Ok(Some(hold)) => return Ok(self.hold(hold, news, terms.attention)),
                Ok(None) => {}
                // Once the channel is joined again it is asked again.
                Err(PushError::Disconnected) => {}
                Err(error) => return Err(error),
            }
            if let Some(hold) = self.wait(&mut news).await? {
                return Ok(self.hold(hold, news, terms.attention));
            }
        }
    }

    /// Asks once; returns the pen where it is one's own at once.
    async fn ask(
        &self,
        way: Way,
        terms: &PenTerms,
        news: &mut PenEvents,
    ) -> Result<Option<Hold>, PushError> {
        let asked_at = keeper::now_ms();
        let reason = PenReason { reason: terms.reason.clone() };
        let (pen, receipt) = match way {
            Way::Wait => return self.queue_up(terms, news).await,
            Way::Ask => {
                let reply: PenRequestReply = self.request("pen_request", &reason).await?;
                if reply.receipt.is_none() && reply.answer_by.is_none() {
                    // There was nobody to ask.
                    return self.queue_up(terms, news).await;
                }
                (reply.pen, reply.receipt)
            }
            Way::TakeOver => {
                let reply: PenTakeOverReply = self.request("pen_take_over", &reason).await?;
                (reply.pen, reply.receipt)
            }
        };
        if receipt.is_none() {
            return Ok(None);
        }
        granted(news, (&pen, receipt), asked_at).map(Some)
    }

    async fn queue_up(
        &self,
        terms: &PenTerms,
        news: &mut PenEvents,
    ) -> Result<Option<Hold>, PushError> {
        let asked_at = keeper::now_ms();
        let reply: PenAcquireReply = self.request("pen_acquire", &acquire(terms, true)).await?;
        if !reply.granted {
            return Ok(None);
        }
        granted(news, (&reply.pen, reply.receipt), asked_at).map(Some)
    }

    /// Waits for a grant, and renews what is granted: it is not known how long it has been so. Returns nothing
    /// where it has to be asked for again.
    async fn wait(&self, news: &mut PenEvents) -> Result<Option<Hold>, PushError> {
        loop {
            let event = match news.next().await.ok_or(PushError::Ended)? {
                PenNews::Event(event) => event,
                PenNews::Disconnected => continue,
                PenNews::Rejoined(_) | PenNews::Missed(_) => return Ok(None),
            };
            if event.pen.session.is_none() || event.pen.session != self.feed.session() {
                continue;
            }
            let Some(mut hold) = Hold::new(&event.pen, keeper::now_ms()) else { continue };
            hold.heard(&event, keeper::now_ms());
            let held = PenHeld { fence: event.fence };
            let asked_at = keeper::now_ms();
            match self.request::<PenReply>("pen_renew", &held).await {
                Ok(reply) => {
                    hold.renewed(&reply.pen, asked_at);
                    hold.has_receipt(reply.receipt);
                    return Ok(Some(hold));
                }
                // Gone already.
                Err(PushError::Refused(_)) => return Ok(None),
                // The next event of this tenure, or the next join, tries again.
                Err(PushError::Disconnected | PushError::Timeout) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn hold(&self, hold: Hold, news: PenEvents, attention: Attention) -> Pen {
        let hold = Arc::new(watch::Sender::new(hold));
        let (ending, ended) = oneshot::channel();
        let keeper = Keeper::new(self.clone(), Arc::clone(&hold), attention);
        tokio::spawn(keeper.keep(news, ended));
        Pen { pusher: self.clone(), hold, ending: Some(ending) }
    }
}

fn acquire(terms: &PenTerms, wait: bool) -> PenAcquire {
    let ttl_ms = terms.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    PenAcquire {
        ttl_ms: ttl_ms.map(TtlMs::Of),
        wait: wait.then_some(true),
        reason: terms.reason.clone(),
        request_id: None,
    }
}

/// What was granted by an answer; the news before it say how long it lasts.
fn granted(
    news: &mut PenEvents,
    (pen, receipt): (&protocol::Pen, Option<String>),
    asked_at: u64,
) -> Result<Hold, PushError> {
    let mut events = Vec::new();
    while let Some(news) = news.try_next() {
        if let PenNews::Event(event) = news {
            events.push(event);
        }
    }
    let newest = events.iter().rev().find(|event| event.fence == pen.fence);
    let hold = Hold::granted(pen, newest.map(|event| &**event), asked_at);
    // A grant names session and deadline; one that does not is of another server.
    let mut hold = hold.ok_or(PushError::Ended)?;
    for event in events {
        hold.heard(&event, keeper::now_ms());
    }
    hold.has_receipt(receipt);
    Ok(hold)
}

/// A pen that is held, until it is lost. Renewed by itself; dropping it gives it back, if the runtime goes on.
pub struct Pen {
    pusher: Pusher,
    hold: Arc<watch::Sender<Hold>>,
    /// Dropped without a word it gives the pen back.
    ending: Option<oneshot::Sender<()>>,
}

impl Pen {
    /// The fence, to be given to the next write and to no later one: ask again before each.
    ///
    /// # Errors
    ///
    /// [`PenLost`]: do not write. Keep the text as a draft, and tell the person.
    pub fn fence(&self) -> Result<Fence, PenLost> {
        self.hold.borrow().fence(keeper::now_ms())
    }

    /// The newest receipt: a signed proof of the grant, for a backend that checks it with the keys of
    /// `/v1/pens/keys`.
    ///
    /// # Errors
    ///
    /// As [`Self::fence`].
    pub fn receipt(&self) -> Result<Option<String>, PenLost> {
        let hold = self.hold.borrow();
        hold.fence(keeper::now_ms())?;
        Ok(hold.receipt().map(str::to_owned))
    }

    /// For how long one may write, unless something is heard.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let hold = self.hold.borrow();
        let now = keeper::now_ms();
        let left = hold.fence(now).map_or(0, |_| hold.ends_at().saturating_sub(now));
        Duration::from_millis(left)
    }

    /// Whether somebody takes it over when the time is up: save, or leave a draft, at once.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.hold.borrow().is_draining()
    }

    /// Waits until it must not be written with any more.
    pub async fn lost(&self) -> PenLost {
        let mut changes = self.hold.subscribe();
        loop {
            let now = keeper::now_ms();
            let (fence, ends_at) = {
                let hold = changes.borrow_and_update();
                (hold.fence(now), hold.ends_at())
            };
            if let Err(lost) = fence {
                return lost;
            }
            tokio::select! {
                // The sender is this value's own.
                _ = changes.changed() => {}
                () = sleep(Duration::from_millis(ends_at.saturating_sub(now).max(1))) => {}
            }
        }
    }

    /// Tells the server of a person's input.
    ///
    /// # Errors
    ///
    /// [`PushError`].
    pub async fn touch(&self) -> Result<(), PushError> {
        let update = PresenceUpdate { input: Some(true), ..PresenceUpdate::default() };
        self.pusher.update_presence(&update).await.map(|_| ())
    }

    /// Renews now, and not only when it is time: for a receipt of the present moment.
    ///
    /// # Errors
    ///
    /// [`PushError`]; a refusal with the code `lease_lost` means that it is lost.
    pub async fn renew(&self) -> Result<(), PushError> {
        let fence = self.hold.borrow().number();
        keeper::renew(&self.pusher, &self.hold, fence).await
    }

    /// Gives it to whoever has asked first, or to a person or session that is there or waits.
    ///
    /// # Errors
    ///
    /// [`PushError`].
    pub async fn hand_over(&self, to: Option<&str>) -> Result<(), PushError> {
        self.answer(PenAnswerWord::HandOver, to.map(str::to_owned), None).await
    }

    /// Keeps it, and says so to those who have asked.
    ///
    /// # Errors
    ///
    /// [`PushError`].
    pub async fn decline(&self, reason: Option<&str>) -> Result<(), PushError> {
        self.answer(PenAnswerWord::Decline, None, reason.map(str::to_owned)).await
    }

    /// Gives it back.
    ///
    /// # Errors
    ///
    /// [`PushError`]. Then it ends at its deadline at the latest.
    pub async fn release(mut self) -> Result<(), PushError> {
        if let Some(ending) = self.ending.take() {
            // A keeper that has ended renews nothing any more.
            ending.send(()).ok();
        }
        let fence = self.hold.borrow().number();
        self.pusher.request::<PenReply>("pen_release", &PenHeld { fence }).await.map(|_| ())
    }

    async fn answer(
        &self,
        answer: PenAnswerWord,
        to: Option<String>,
        reason: Option<String>,
    ) -> Result<(), PushError> {
        let fence = self.hold.borrow().number();
        let answer = PenAnswer { fence, answer, to, reason };
        self.pusher.request::<PenReply>("pen_answer", &answer).await.map(|_| ())
    }
}

/// Shows no receipt.
impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen")
            .field("topic", &self.pusher.topic())
            .field("fence", &self.fence())
            .finish_non_exhaustive()
    }
}
