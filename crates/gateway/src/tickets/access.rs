//! Who may join which topic of tickets, and whom they hear as there. What may be joined may be looked at.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use penholder_desk::StoreError;
use penholder_hub::Audience;
use penholder_lease::PersonId;
use penholder_protocol::{ErrorCode, ErrorReply, Namespace, Since, TopicName};
use penholder_ticket::TicketId;
use tokio::time::timeout;

use crate::app::App;
use crate::auth::{Caller, Capabilities, Capability, Identity};
use crate::log::{About, Visit, ticket_of};
use crate::pens::{away, log_away};

/// How long whoever wants to know what is theirs waits for the store.
const OWNED_WAIT: Duration = Duration::from_millis(500);

/// Most tickets of one owner that are looked for among all topics.
const OWNED_MAX: u32 = 1_000;

/// What somebody may do on a topic that they may join.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) capabilities: Capabilities,
    pub(crate) audience: Audience,
    /// The look at the topic that shows it; none while the store is away.
    pub(crate) visit: Option<Visit>,
}

impl Identity {
    /// Whom the person hears as on `topic`.
    pub(crate) fn audience(&self, topic: &TopicName) -> Audience {
        match topic.namespace() {
            Namespace::Tickets if self.grants.is_staff() => Audience::Staff,
            _ => Audience::Public,
        }
    }

    /// Whether the person may join `topic`, or may turn out to be the owner of its ticket.
    pub(crate) fn may_ask_for(&self, topic: &TopicName) -> bool {
        self.capabilities(topic).allow(Capability::View) || ticket_of(topic).is_some()
    }
}

impl App {
    /// What a person may do on `topic`. A ticket that there is not is nobody's: whoever asks cannot tell it from
    /// one that is another's. With `since`, the topic is looked at as it was when it had so much to hear, or later.
    ///
    /// # Errors
    ///
    /// `not_authorized`, or `unavailable` where only the store could tell.
    pub(crate) async fn access(
        &self,
        identity: &Identity,
        (topic, since): (&TopicName, Option<Since>),
    ) -> Result<Access, ErrorReply> {
        if !identity.may_ask_for(topic) {
            return Err(ErrorCode::NotAuthorized.into());
        }
        let asked = (identity.capabilities(topic), identity.audience(topic));
        let person = Some(identity.subject()).filter(|_| identity.is_known());
        self.admit((topic, since), asked, person).await
    }

    /// What whoever calls may read of the log of `topic`.
    ///
    /// # Errors
    ///
    /// As [`access`](Self::access).
    pub(crate) async fn access_of(
        &self,
        caller: &Caller,
        topic: &TopicName,
    ) -> Result<Access, ErrorReply> {
        let backend = match caller {
            Caller::Person(identity) => return self.access(identity, (topic, None)).await,
            Caller::Backend(backend) => backend,
        };
        let view = Capabilities::from_iter([Capability::View]);
        let asked = match topic.namespace() {
            Namespace::Tickets if backend.reads_events() || backend.reads_tickets() => {
                (view, Audience::Staff)
            }
            Namespace::Tickets => (Capabilities::NONE, Audience::Public),
            _ if backend.reads_events() => (view, Audience::Public),
            _ => (backend.capabilities(), Audience::Public),
        };
        self.admit((topic, None), asked, None).await
    }

    /// Looks whether there is what is asked for, and whether it is that person's.
    async fn admit(
        &self,
        (topic, since): (&TopicName, Option<Since>),
        (mut capabilities, audience): (Capabilities, Audience),
        person: Option<&str>,
    ) -> Result<Access, ErrorReply> {
        let heard = match since {
            Some(Since::After(seq)) => Some((audience, seq)),
            Some(Since::Impossible) | None => None,
        };
        let visit = self.pens.log().visit(topic, heard).await;
        if ticket_of(topic).is_some() {
            match visit.as_ref().map(|visit| &visit.recent().about) {
                None => return Err(away()),
                Some(About::Ticket { owner }) => {
                    let owner = owner.as_ref().map(PersonId::as_str);
                    if person.is_some() && owner == person {
                        let view = Capabilities::from_iter([Capability::View]);
                        capabilities = capabilities.union(view);
                    }
                }
                Some(About::Nothing | About::Other) => capabilities = Capabilities::NONE,
            }
        }
        if !capabilities.allow(Capability::View) {
            return Err(ErrorCode::NotAuthorized.into());
        }
        if visit.is_none() && since.is_some() && topic.namespace() == Namespace::Tickets {
            // Nobody knows what was missed; nor could the state be fetched anew.
            return Err(away());
        }
        Ok(Access { capabilities, audience, visit })
    }

    /// Makes sure that there is the ticket that `topic` is of, if it is one of a ticket: what nobody can join, nobody
    /// writes to by another way.
    ///
    /// # Errors
    ///
    /// `not_authorized`, or `unavailable` where only the store could tell.
    pub(crate) async fn is_there(&self, topic: &TopicName) -> Result<(), ErrorReply> {
        if ticket_of(topic).is_none() {
            return Ok(());
        }
        let visit = self.pens.log().visit(topic, None).await;
        match visit.as_ref().map(|visit| &visit.recent().about) {
            None => Err(away()),
            Some(About::Ticket { .. }) => Ok(()),
            Some(About::Nothing | About::Other) => Err(ErrorCode::NotAuthorized.into()),
        }
    }

    /// Makes sure that a caller may look at `topic` without joining it: of a ticket, who may join it. A key may what
    /// its scopes say.
    ///
    /// # Errors
    ///
    /// As [`access`](Self::access).
    pub(crate) async fn may_view(
        &self,
        caller: &Caller,
        topic: &TopicName,
    ) -> Result<(), ErrorReply> {
        match caller {
            Caller::Person(identity) if ticket_of(topic).is_some() => {
                self.access(identity, (topic, None)).await.map(drop)
            }
            _ if views_by_token(caller, topic) => Ok(()),
            _ => Err(ErrorCode::NotAuthorized.into()),
        }
    }

    /// Makes sure that a caller may look at each of `topics`. Returns those that are theirs as the owner's alone, which
    /// one look into the store tells of all of them.
    ///
    /// # Errors
    ///
    /// `not_authorized` for the first that they may not look at, whether it is there or not; `unavailable` where only
    /// the store could tell.
    pub(crate) async fn may_view_all(
        &self,
        caller: &Caller,
        topics: &[TopicName],
    ) -> Result<Vec<TopicName>, ErrorReply> {
        let others = topics.iter().filter(|topic| !views_by_token(caller, topic));
        let others: Vec<_> = others.cloned().collect();
        let owned = self.owned_of(caller, others.clone()).await?;
        match others.iter().find(|topic| !owned.contains(*topic)) {
            None => Ok(others),
            Some(topic) => {
                let message = format!("you may not view {topic}");
                Err(ErrorReply::new(ErrorCode::NotAuthorized).message(message))
            }
        }
    }

    /// Those of `topics` that a caller may look at.
    ///
    /// # Errors
    ///
    /// `unavailable` where only the store could tell.
    pub(crate) async fn viewed_of(
        &self,
        caller: &Caller,
        topics: Vec<TopicName>,
    ) -> Result<BTreeSet<TopicName>, ErrorReply> {
        let (viewed, others): (Vec<_>, Vec<_>) =
            topics.into_iter().partition(|topic| views_by_token(caller, topic));
        let mut all = self.owned_of(caller, others).await?;
        all.extend(viewed);
        Ok(all)
    }

    /// Those of `topics` that a caller may look at as the owner of the ticket.
    async fn owned_of(
        &self,
        caller: &Caller,
        topics: Vec<TopicName>,
    ) -> Result<BTreeSet<TopicName>, ErrorReply> {
        let Some(owner) = owner(caller) else { return Ok(BTreeSet::new()) };
        let owned = self.owned(&owner, &topics.iter().collect::<Vec<_>>()).await?;
        let is_owned = |topic: &TopicName| ticket_of(topic).is_some_and(|it| owned.contains(&it));
        Ok(topics.into_iter().filter(is_owned).collect())
    }

    /// Which of the tickets of `topics` are a person's own.
    ///
    /// # Errors
    ///
    /// `unavailable` while the store is away.
    pub(crate) async fn owned(
        &self,
        owner: &PersonId,
        topics: &[&TopicName],
    ) -> Result<BTreeSet<TicketId>, ErrorReply> {
        let tickets = topics.iter().filter_map(|topic| ticket_of(topic)).collect();
        told(Box::pin(self.tickets.store().owned(owner, &tickets))).await
    }

    /// The tickets that a caller may look at as their owner alone, if they are not too many.
    ///
    /// # Errors
    ///
    /// `unavailable` while the store is away.
    pub(crate) async fn newest_owned(
        &self,
        caller: &Caller,
    ) -> Result<BTreeSet<TicketId>, ErrorReply> {
        match owner(caller) {
            Some(owner) => told(Box::pin(self.tickets.store().newest_of(&owner, OWNED_MAX))).await,
            None => Ok(BTreeSet::new()),
        }
    }
}

/// Whether a caller may look at `topic` by what the token or key says alone.
pub(crate) fn views_by_token(caller: &Caller, topic: &TopicName) -> bool {
    caller.capabilities(topic).allow(Capability::View)
}

/// As whom a caller may own tickets that their token does not name. The staff may look at all of them.
fn owner(caller: &Caller) -> Option<PersonId> {
    match caller {
        Caller::Person(identity) if identity.is_known() && !identity.grants.is_staff() => {
            Some(identity.subject().into())
        }
        Caller::Person(_) | Caller::Backend(_) => None,
    }
}

/// Waits for a look into the store: for a moment, and on the heap, as each connection would have room for it otherwise.
async fn told<T>(
    read: Pin<Box<impl Future<Output = Result<T, StoreError>>>>,
) -> Result<T, ErrorReply> {
    match timeout(OWNED_WAIT, read).await {
        Ok(read) => read.inspect_err(log_away).map_err(|_| away()),
        Err(_) => Err(away()),
    }
}
