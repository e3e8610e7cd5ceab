//! Who may join which topic of tickets, and whom they hear as there.

use penholder_hub::Audience;
use penholder_lease::PersonId;
use penholder_protocol::{ErrorCode, ErrorReply, Namespace, Since, TopicName};

use crate::app::App;
use crate::auth::{Caller, Capabilities, Capability, Identity};
use crate::log::{About, Visit, ticket_of};
use crate::pens::away;

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
}
