//! What is asked of a pen, checked where it comes in: over sockets and over HTTP alike.

use penholder_lease::{IfHeld, REASON_BYTES_MAX, REQUEST_ID_BYTES_MAX, RequestId, Terms};
use penholder_protocol::{ErrorCode, ErrorReply, PenAcquire, TtlMs};

/// Reads how a pen is to be acquired.
pub(crate) fn terms(asked: PenAcquire) -> Result<Terms, ErrorReply> {
    let PenAcquire { ttl_ms, wait, reason: said, request_id } = asked;
    let request_id = request_id.map(|id| bounded(id, "request_id", REQUEST_ID_BYTES_MAX));
    let ttl_ms = match ttl_ms {
        None => None,
        Some(TtlMs::Of(ms)) => Some(ms),
        Some(TtlMs::Impossible) => return Err(ErrorCode::InvalidTtl.into()),
    };
    Ok(Terms {
        ttl_ms,
        if_held: if wait == Some(true) { IfHeld::Wait } else { IfHeld::Return },
        request_id: request_id.transpose()?.map(RequestId::from),
        reason: reason(said)?,
    })
}

/// Reads what a person says.
pub(crate) fn reason(said: Option<String>) -> Result<Option<String>, ErrorReply> {
    said.map(|said| bounded(said, "reason", REASON_BYTES_MAX)).transpose()
}

/// Reads a draft.
pub(crate) fn draft(draft: String, bytes_max: usize) -> Result<String, ErrorReply> {
    if draft.len() > bytes_max {
        return Err(invalid(format!("a draft has at most {bytes_max} bytes here")));
    }
    Ok(draft)
}

/// A text that is short enough, and that every store can keep.
pub(crate) fn bounded(
    text: String,
    name: &'static str,
    bytes_max: usize,
) -> Result<String, ErrorReply> {
    if text.len() > bytes_max {
        return Err(invalid(format!("{name} has at most {bytes_max} bytes")));
    }
    if text.contains('\0') {
        return Err(invalid(format!("{name} must not have the character U+0000")));
    }
    Ok(text)
}

fn invalid(message: String) -> ErrorReply {
    ErrorReply::new(ErrorCode::InvalidPayload).message(message)
}
