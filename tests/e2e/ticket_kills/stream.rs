//! Those who listen by server-sent events.

use anyhow::{Context, Result, ensure};
use penholder_tests::{EventSource, Request};
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::listener::{Delivery, End, Listener};
use super::truth::Last;

impl Listener {
    /// One stream, from where the one before has ended.
    pub(super) async fn on_events(
        &mut self,
        finish: &mut watch::Receiver<Option<Last>>,
    ) -> Result<End> {
        let topic = self.heard.topics.keys().next().cloned().context("a topic")?;
        let last = self.heard.topics[&topic].last().map(|last| last.seq);
        let request = Request::new("GET", &format!("/v1/topics/{topic}/events"));
        let request = request.authorized(&format!("Bearer {}", self.person.token));
        let request = match last {
            Some(last) => request.header("last-event-id", &last.to_string()),
            None => request,
        };
        let mut source = EventSource::open(self.port, request).await?;
        self.heard.returns += 1;
        self.heard.resumed += u64::from(last.is_some());
        let end = self.goes_at(finish);
        loop {
            if finish.borrow_and_update().as_ref().is_some_and(|last| self.has_heard(last)) {
                return Ok(End::Over);
            }
            let sent = tokio::select! {
                sent = source.event() => sent?,
                // What is read halfway is lost with the connection.
                _ = finish.changed() => return Ok(End::Lost),
                () = sleep_until(end) => return Ok(End::Lost),
            };
            let delivery = Delivery::read(&sent.name, &serde_json::from_str(&sent.data)?)?;
            ensure!(delivery.seq == sent.id, "{topic}: {sent:?}");
            self.heard.topics.get_mut(&topic).context("a topic")?.push(delivery);
        }
    }
}
