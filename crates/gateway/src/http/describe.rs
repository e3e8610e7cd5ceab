//! What the description of the interface says of many operations alike.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    ContentBuilder, OpenApi, PathItem, Ref, RefOr, Required, Response, ResponseBuilder,
};

use super::idempotency::{KEY_HEADER, REPLAY_HEADER};

/// Answers to whoever asks for what is somebody's: who they are is not known, they may not, or it cannot be done now.
pub(super) struct Refused;

/// The answer where a path names what the caller cannot see, or what there is not.
pub(super) struct Missing;

/// The answer to a parameter or a body that is not as it must be.
pub(super) struct Unfit;

const UNFIT: &str =
    "A parameter or the body is not as it must be; `details.field` says where, if it is one field.";

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[
            ("401", "`invalid_token`: no token or key, or none that is valid now."),
            ("403", "`not_authorized`, `forbidden`: valid, and does not allow this."),
            ("503", "`unavailable`: the store is away, or the topic has too much to do."),
        ])
    }
}

impl IntoResponses for Missing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[("404", "`not_found`: there is no such thing for the caller.")])
    }
}

impl IntoResponses for Unfit {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[("422", UNFIT)])
    }
}

/// Adds to each operation what stands before its own code: what [`rates`](super::rates) may answer in its place, what
/// is answered to a body that cannot be read and where it takes too long, and the key of a request that may be repeated.
pub(super) fn complete(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        let PathItem { get, put, post, delete, patch, .. } = item;
        for operation in [get, put, post, delete, patch].into_iter().flatten() {
            add_bounds(operation);
            if operation.request_body.is_some() {
                add_bodies(operation);
            }
        }
        if let Some(operation) = &mut item.post {
            add_key(operation);
        }
    }
}

fn add_bounds(operation: &mut Operation) {
    let wait = HeaderBuilder::new().description(Some("How many seconds to wait.")).build();
    let told = error("`rate_limited`: too many requests from this address.");
    add(operation, "429", told.header("Retry-After", wait).build());
    add(operation, "408", error("`unavailable`: it was not sent, or done, within 30 s.").build());
}

fn add_bodies(operation: &mut Operation) {
    for (status, description) in [
        ("400", "`malformed`: the body, or a header, cannot be read."),
        ("413", "The body is too large."),
        ("415", "The body is not said to be JSON."),
        ("422", UNFIT),
    ] {
        add(operation, status, error(description).build());
    }
}

fn add_key(operation: &mut Operation) {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    let text = text.max_length(Some(255)).pattern(Some("^[!-~]+$")).build();
    let key: Parameter = ParameterBuilder::new()
        .name(KEY_HEADER.as_str())
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "What the caller calls this request: sent again with the same body, it is not done again but \
             answered as before.",
        ))
        .schema(Some(text))
        .build();
    operation.parameters.get_or_insert_default().push(key.into());
    for (status, told) in &mut operation.responses.responses {
        if let (true, RefOr::T(told)) = (status.starts_with('2'), told) {
            let replay = "`true`, where it is the first answer sent again.";
            let replay = HeaderBuilder::new().description(Some(replay)).build();
            told.headers.insert(REPLAY_HEADER.to_string(), replay.into());
        }
    }
    for (status, description) in [
        ("400", "`invalid_idempotency_key`."),
        (
            "409",
            "`request_in_progress`: the first with this key; `Retry-After` says how long to wait.",
        ),
        ("422", "`idempotency_key_reused`: the key came with another body before."),
        ("503", "The store is away."),
    ] {
        add(operation, status, error(description).build());
    }
}

fn errors(told: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let told = told.iter();
    told.map(|(status, text)| ((*status).to_owned(), error(text).build().into())).collect()
}

fn error(description: &str) -> ResponseBuilder {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
    ResponseBuilder::new().description(description).content("application/json", body)
}

/// Adds a response, unless the operation says more of it itself.
fn add(operation: &mut Operation, status: &str, response: Response) {
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
}
