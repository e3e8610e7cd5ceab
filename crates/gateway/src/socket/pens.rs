//! Requests about the pen: read, bounded, and put into the words of the shard.

use penholder_hub::{HolderReply, PenRequest, Request};
use penholder_lease::Fence;
use penholder_protocol::{
    ClientEvent, ClientFrame, ErrorCode, PenAcquire, PenAnswer, PenAnswerWord, PenDraft, PenHeld,
    PenReason, TopicName,
};

use super::connection::Connection;
use super::requests::{Refused, read};
use crate::log::has_pen;
use crate::pens::asked::{self, bounded};

/// Longest draft that a socket carries: more would not fit a frame, once it is quoted. Unit: bytes.
const DRAFT_BYTES_MAX: usize = 48 * 1024;

/// Longest name of whom a pen is handed to: that of a person. Unit: bytes.
const RECIPIENT_BYTES_MAX: usize = 256;

impl Connection {
    /// Reads a request about the pen of a session that may edit.
    pub(super) fn read_pen(
        &self,
        event: ClientEvent<'_>,
        frame: &ClientFrame,
    ) -> Result<Request, Refused> {
        let topic = TopicName::parse(&frame.topic).map_err(|_| ErrorCode::InvalidTopic)?;
        if !has_pen(&topic) {
            return Err(ErrorCode::Forbidden.into());
        }
        let request = match event {
            ClientEvent::PenAcquire => {
                PenRequest::Acquire(asked::terms(read::<PenAcquire>(frame)?)?)
            }
            ClientEvent::PenRenew => PenRequest::Renew(held(frame)?),
            ClientEvent::PenRelease => PenRequest::Release(held(frame)?),
            ClientEvent::PenRequest => PenRequest::Request { reason: reason(frame)? },
            ClientEvent::PenTakeOver => PenRequest::TakeOver { reason: reason(frame)? },
            ClientEvent::PenAnswer => {
                let PenAnswer { fence, answer, to, reason } = read(frame)?;
                let to = to.map(|to| bounded(to, "to", RECIPIENT_BYTES_MAX)).transpose()?;
                let reply = match answer {
                    PenAnswerWord::HandOver => HolderReply::HandOver(to),
                    PenAnswerWord::Decline => HolderReply::Decline,
                };
                let reason = asked::reason(reason)?;
                PenRequest::Answer { fence: Fence(fence.0), reply, reason }
            }
            ClientEvent::PenDraft => {
                let PenDraft { draft } = read(frame)?;
                let bytes_max = self.app.config.draft_bytes_max(&topic).min(DRAFT_BYTES_MAX);
                let draft = draft.map(|draft| asked::draft(draft, bytes_max)).transpose()?;
                PenRequest::Draft(draft)
            }
            _ => return Err(ErrorCode::UnknownEvent.into()),
        };
        Ok(Request::Pen(request))
    }
}

fn held(frame: &ClientFrame) -> Result<Fence, Refused> {
    let PenHeld { fence } = read(frame)?;
    Ok(Fence(fence.0))
}

fn reason(frame: &ClientFrame) -> Result<Option<String>, Refused> {
    let PenReason { reason } = read(frame)?;
    asked::reason(reason)
}
