//! The task that renews a pen, and hears what ends it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use penholder_protocol::{Fence, PenHeld, PenReply, PresenceUpdate};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::Attention;
use super::hold::{Hold, PenLost};
use super::news::{PenEvents, PenNews};
use crate::channel::Pusher;
use crate::error::PushError;

/// How long after a renewal that failed it is tried again.
const RETRY: Duration = Duration::from_millis(300);

#[cfg(target_os = "linux")]
const ELAPSED: ClockId = ClockId::Boottime;
/// On macOS this one counts suspension.
#[cfg(not(target_os = "linux"))]
const ELAPSED: ClockId = ClockId::Monotonic;

/// The present moment in milliseconds of a clock that nobody sets and that counts suspension.
pub(super) fn now_ms() -> u64 {
    let time = clock_gettime(ELAPSED);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000 + u64::try_from(time.tv_nsec).unwrap_or_default() / 1_000_000
}

/// Renews once.
pub(super) async fn renew(
    pusher: &Pusher,
    hold: &watch::Sender<Hold>,
    fence: Fence,
) -> Result<(), PushError> {
    let asked_at = now_ms();
    let renewed = pusher.request::<PenReply>("pen_renew", &PenHeld { fence }).await;
    hold.send_modify(|hold| match &renewed {
        Ok(reply) => {
            hold.renewed(&reply.pen, asked_at);
            hold.has_receipt(reply.receipt.clone());
        }
        Err(error) if error.code() == Some("lease_lost") => hold.lose(PenLost::LeaseLost),
        Err(PushError::Ended) => hold.lose(PenLost::ChannelEnded),
        Err(_) => {}
    });
    renewed.map(|_| ())
}

/// Keeps one pen.
pub(super) struct Keeper {
    pusher: Pusher,
    hold: Arc<watch::Sender<Hold>>,
    attention: Attention,
}

type Renewing = Pin<Box<dyn Future<Output = Result<(), PushError>> + Send>>;

impl Keeper {
    pub(super) fn new(
        pusher: Pusher,
        hold: Arc<watch::Sender<Hold>>,
        attention: Attention,
    ) -> Self {
        Self { pusher, hold, attention }
    }

    /// Keeps the pen until it is lost, or `ended` says that it has been given back. When that is dropped
    /// without a word, gives it back itself.
    ///
    /// What is heard is never kept waiting by a renewal that is under way.
    pub(super) async fn keep(self, mut news: PenEvents, mut ended: oneshot::Receiver<()>) {
        let mut renewing = None::<Renewing>;
        let mut due = self.due();
        while !self.is_lost() {
            let is_renewing = renewing.is_some();
            tokio::select! {
                end = &mut ended => {
                    if end.is_err() {
                        self.give_back().await;
                    }
                    return;
                }
                heard = news.next() => {
                    if self.hear(heard) {
                        due = Duration::ZERO;
                    } else if !is_renewing {
                        due = self.due();
                    }
                }
                done = async {
                    match &mut renewing {
                        Some(renewing) => renewing.await,
                        None => std::future::pending().await,
                    }
                } => {
                    renewing = None;
                    due = if done.is_ok() { self.due() } else { RETRY };
                }
                () = sleep(due), if !is_renewing => renewing = Some(self.renewal()),
            }
        }
    }

    /// How long until it is time to renew.
    fn due(&self) -> Duration {
        Duration::from_millis(self.hold.borrow().renew_at().saturating_sub(now_ms()))
    }

    /// Whether it is lost for good; what has merely run out may still be renewed.
    fn is_lost(&self) -> bool {
        matches!(
            self.hold.borrow().fence(now_ms()),
            Err(PenLost::Ended { .. } | PenLost::LeaseLost | PenLost::ChannelEnded)
        )
    }

    /// Takes what was heard; returns whether to renew at once.
    fn hear(&self, news: Option<PenNews>) -> bool {
        match news {
            Some(PenNews::Event(event)) => {
                self.hold.send_modify(|hold| hold.heard(&event, now_ms()));
                false
            }
            Some(PenNews::Disconnected) => false,
            Some(PenNews::Rejoined(pen)) => {
                if let Some(pen) = pen {
                    self.hold.send_modify(|hold| hold.seen(&pen));
                }
                true
            }
            Some(PenNews::Missed(_)) => true,
            None => {
                self.hold.send_modify(|hold| hold.lose(PenLost::ChannelEnded));
                false
            }
        }
    }

    fn renewal(&self) -> Renewing {
        let (pusher, hold) = (self.pusher.clone(), Arc::clone(&self.hold));
        let (fence, attention) = (self.hold.borrow().number(), self.attention);
        Box::pin(async move {
            if attention == Attention::Program {
                let update = PresenceUpdate { input: Some(true), ..PresenceUpdate::default() };
                // Untold, the renewal says what became of it.
                pusher.update_presence(&update).await.ok();
            }
            renew(&pusher, &hold, fence).await
        })
    }

    async fn give_back(&self) {
        let fence = self.hold.borrow().number();
        // Unheard, it ends at its deadline.
        self.pusher.request::<PenReply>("pen_release", &PenHeld { fence }).await.ok();
    }
}
