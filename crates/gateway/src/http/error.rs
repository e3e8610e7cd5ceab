//! Errors over HTTP: a stable code, a message that says what to do, and a status that fits.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use penholder_protocol::{self as protocol, ErrorCode, ErrorReply};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::shard::Stopped;

/// An error of the HTTP surface.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
    retry_after_secs: Option<u64>,
}

/// The body of every error.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// A word for programs to decide by.
    #[schema(example = "not_authorized")]
    code: String,
    /// What to do about it, for a developer to read.
    message: String,
    /// The pen as it is, where one was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<penholder_protocol::Pen>)]
    pen: Option<protocol::Json>,
    /// What else there is to know: the `field` that is not as it must be and its `rule`, the `version` or the
    /// `holder` that a write ran into, `from` and `to` of a status, the `ticket_id` of one of many and all `refused`
    /// of them, each with its `ticket_id`, `code`, `message` and `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}

impl ErrorBody {
    /// What else there is to know.
    pub(crate) fn details(&self) -> Option<&Value> {
        self.details.as_ref()
    }
}

impl ApiError {
    /// An error with a message of its own.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let (code_name, message) = (code.code().to_owned(), message.into());
        let body = ErrorBody { code: code_name, message, pen: None, details: None };
        let status = StatusCode::from_u16(code.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, body, retry_after_secs: None }
    }

    /// The same, with what else there is to know.
    pub(crate) fn with_details(mut self, details: Value) -> Self {
        self.body.details = Some(details);
        self
    }

    /// The same, with how long to wait.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_secs = Some(seconds);
        self
    }

    /// Its status and body, for those who keep answers.
    pub(crate) fn parts(&self) -> (StatusCode, &ErrorBody) {
        (self.status, &self.body)
    }

    /// An error for what is larger than it may be.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Malformed, message).with_status(StatusCode::PAYLOAD_TOO_LARGE)
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }
}

impl From<ErrorReply> for ApiError {
    fn from(reply: ErrorReply) -> Self {
        let mut error = Self::new(reply.known_code().unwrap_or(ErrorCode::Internal), reply.message);
        error.body.pen = reply.pen;
        error.retry_after_secs = reply.retry_after_ms.map(|ms| ms.div_ceil(1000));
        error
    }
}

impl From<Stopped> for ApiError {
    fn from(_: Stopped) -> Self {
        ErrorCode::Unavailable.into()
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let code = match rejection {
            JsonRejection::JsonDataError(_) => ErrorCode::InvalidPayload,
            _ => ErrorCode::Malformed,
        };
        Self::new(code, rejection.body_text()).with_status(rejection.status())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(ErrorCode::NotFound, rejection.body_text())
    }
}

/// What is answered where no route is.
pub(crate) async fn no_route() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "There is no such address; /docs lists those there are.")
}

/// What is answered where a route has no such method; the router adds which it has.
pub(crate) async fn no_method() -> ApiError {
    ErrorCode::MethodNotAllowed.into()
}
