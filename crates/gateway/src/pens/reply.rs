//! What whoever asked is told.

use penholder_desk::Answered;
use penholder_hub::brief;
use penholder_lease::{Command, Outcome, Pen, PenState, Refusal, SessionId};
use penholder_protocol::{
    self as protocol, ErrorCode, ErrorReply, Fence, Json, PenAcquireReply, PenReply,
    PenRequestReply, PenTakeOverReply, PenWaiting, TopicName,
};

use super::{ReceiptKeys, Told};

/// When to try again where too many wait. Unit: milliseconds.
const QUEUE_RETRY_MS: u64 = 1_000;

/// What came of a command that was in order.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// It was done.
    Done(Json),
    /// Somebody else has the pen.
    Held(Json),
}

impl Said {
    pub(crate) fn into_json(self) -> Json {
        match self {
            Self::Done(json) | Self::Held(json) => json,
        }
    }
}

/// The answer to a command.
pub(super) fn of(
    (topic, command): (&TopicName, &Command),
    answered: &Answered,
    receipts: &ReceiptKeys,
) -> Told {
    let outcome = answered.outcome.map_err(|refusal| refused(refusal, &answered.pen))?;
    let pen = wire(&answered.pen);
    let in_vain = match (command, outcome) {
        (Command::Acquire { .. }, Outcome::Lapsed) => {
            Some((ErrorCode::LeaseLost, "What this request_id was granted is over; send another."))
        }
        (Command::TakeOver { .. }, Outcome::Held { .. }) => {
            Some((ErrorCode::PenHeld, "Somebody else takes it over already."))
        }
        _ => None,
    };
    if let Some((code, message)) = in_vain {
        return Err(ErrorReply::new(code).message(message).pen(Json::of(&pen)));
    }
    let receipt = speaker(command)
        .filter(|session| answered.pen.session.as_ref() == Some(session))
        .and_then(|_| receipts.sign(topic, &answered.pen));
    let json = match command {
        Command::Acquire { .. } => {
            let granted = matches!(outcome, Outcome::Granted { .. });
            let place = match outcome {
                Outcome::Held { place } => place.map(|place| place as u64),
                _ => None,
            };
            let place = (!granted).then_some(place);
            let receipt = receipt.filter(|_| granted);
            let json = Json::of(&PenAcquireReply { granted, pen, receipt, place });
            if !granted {
                return Ok(Said::Held(json));
            }
            json
        }
        Command::Request { .. } => {
            let answer_by = match outcome {
                Outcome::Asked { answer_by } => Some(answer_by.0),
                Outcome::Draining { until } => Some(until.0),
                _ => None,
            };
            Json::of(&PenRequestReply { pen, answer_by, receipt })
        }
        Command::TakeOver { .. } => {
            let draining_until = match outcome {
                Outcome::Draining { until } => Some(until.0),
                _ => None,
            };
            Json::of(&PenTakeOverReply { pen, draining_until, receipt })
        }
        _ => Json::of(&PenReply { pen, receipt }),
    };
    Ok(Said::Done(json))
}

/// The session that speaks, where it may come to hold the pen by what it says.
fn speaker(command: &Command) -> Option<&SessionId> {
    match command {
        Command::Acquire { claimant, .. }
        | Command::Request { claimant, .. }
        | Command::TakeOver { claimant, .. } => Some(&claimant.session),
        Command::Renew { session, .. } => Some(session),
        _ => None,
    }
}

fn refused(refusal: Refusal, pen: &Pen) -> ErrorReply {
    let code = match refusal {
        Refusal::LeaseLost => {
            return ErrorReply::new(ErrorCode::LeaseLost).pen(Json::of(&wire(pen)));
        }
        // As for whoever comes later, and finds nothing.
        Refusal::NotAuthorized | Refusal::Ended => ErrorCode::NotAuthorized,
        Refusal::InvalidTtl => return ErrorCode::InvalidTtl.into(),
        Refusal::QueueFull => {
            return ErrorReply::new(ErrorCode::QueueFull).retry_after_ms(QUEUE_RETRY_MS);
        }
        Refusal::ReasonTooLong
        | Refusal::RequestIdTooLong
        | Refusal::NobodyAsked
        | Refusal::UnknownRecipient => ErrorCode::InvalidPayload,
    };
    ErrorReply::new(code).message(refusal.to_string())
}

/// A pen as the protocol has it.
pub(crate) fn wire(pen: &Pen) -> protocol::Pen {
    protocol::Pen {
        state: match pen.state {
            PenState::Free => protocol::PenState::Free,
            PenState::Held => protocol::PenState::Held,
            PenState::Draining => protocol::PenState::Draining,
            PenState::Reserved => protocol::PenState::Reserved,
        },
        holder: pen.holder.as_ref().map(brief),
        session: pen.session.as_ref().map(|session| session.as_str().to_owned()),
        fence: Fence(pen.fence.0),
        since: pen.since.map(|since| since.0),
        deadline: pen.deadline.map(|deadline| deadline.0),
        queue: pen
            .queue
            .iter()
            .map(|one| PenWaiting {
                id: one.id.as_str().to_owned(),
                name: one.name.clone(),
                answer_by: one.answer_by.map(|at| at.0),
            })
            .collect(),
    }
}
