//! Parameters of a query: which one is not as it must be, and what it must be, in the words of its description.

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;
use penholder_protocol::ErrorCode;
use serde::de::DeserializeOwned;
use serde_json::json;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::error::ApiError;

/// The parameters that a caller has given.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned + IntoParams> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        read(query).map(Self).ok_or_else(|| refusal::<T>(query))
    }
}

/// Reads the parameters of a query.
fn read<T: DeserializeOwned>(query: &str) -> Option<T> {
    let uri = Uri::builder().path_and_query(format!("/?{query}")).build().ok()?;
    Query::try_from_uri(&uri).ok().map(|Query(read)| read)
}

/// Says what is wrong with a query that cannot be read.
fn refusal<T: DeserializeOwned + IntoParams>(query: &str) -> ApiError {
    let declared = T::into_params(|| Some(ParameterIn::Query));
    let given: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let count = |name: &str| given.iter().filter(|(other, _)| other == name).count();
    let is_required = |name: &str| {
        declared.iter().any(|it| it.name == name && matches!(it.required, Required::True))
    };
    for parameter in &declared {
        match count(&parameter.name) {
            0 if is_required(&parameter.name) => return wrong(parameter, "is missing"),
            2.. => return wrong(parameter, "comes twice"),
            _ => {}
        }
    }
    // With nothing beside it but what has to be there, it is itself to blame.
    for parameter in &declared {
        let needed = given.iter().filter(|(name, _)| *name == parameter.name || is_required(name));
        let needed = form_urlencoded::Serializer::new(String::new()).extend_pairs(needed).finish();
        if count(&parameter.name) == 1 && read::<T>(&needed).is_none() {
            return wrong(parameter, "is not as it must be");
        }
    }
    let names: Vec<_> = declared.iter().map(|parameter| parameter.name.as_str()).collect();
    let names = names.join(", ");
    let message = match given.iter().find(|(name, _)| declared.iter().all(|it| it.name != *name)) {
        Some((name, _)) => format!("there is no parameter {name:?}; there are {names}"),
        None => format!("the query cannot be read; the parameters are {names}"),
    };
    ApiError::new(ErrorCode::InvalidPayload, message)
}

fn wrong(parameter: &Parameter, what: &str) -> ApiError {
    let name = &parameter.name;
    let rule = parameter.description.as_deref().unwrap_or("see /docs").trim_end_matches('.');
    named(format!("{name} {what}: {rule}"), (name, rule))
}

/// Refuses a parameter that can be read, but is not what it must be.
pub(super) fn illegal(name: &str, rule: &str) -> ApiError {
    named(format!("{name} is {rule}"), (name, rule))
}

fn named(message: String, (field, rule): (&str, &str)) -> ApiError {
    let error = ApiError::new(ErrorCode::InvalidPayload, message);
    error.with_details(json!({ "field": field, "rule": rule }))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, IntoParams)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Wanted {
        /// Whose.
        holder: String,
        /// How many: 1 to 9.
        limit: Option<u32>,
        /// Where to go on.
        #[serde(default)]
        cursor: u64,
        /// One or the other.
        #[param(value_type = Option<String>)]
        choice: Option<Choice>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        One,
        Other,
    }

    fn says(query: &str) -> String {
        assert!(read::<Wanted>(query).is_none(), "{query}");
        json!(refusal::<Wanted>(query).parts().1)["message"].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn refusal_names_the_parameter_and_what_is_legal() {
        assert!(read::<Wanted>("holder=a&limit=2&cursor=1&choice=one").is_some());
        for (query, expected) in [
            ("", "holder is missing: Whose"),
            ("limit=x", "holder is missing: Whose"),
            ("holder=a&limit=x&cursor=1", "limit is not as it must be: How many: 1 to 9"),
            ("holder=a&limit=", "limit is not as it must be: How many: 1 to 9"),
            ("cursor=-1&holder=a&limit=2", "cursor is not as it must be: Where to go on"),
            ("holder=a&choice=both", "choice is not as it must be: One or the other"),
            ("holder=a&limit=1&limit=1", "limit comes twice: How many: 1 to 9"),
            (
                "holder=a&a%20b=1",
                "there is no parameter \"a b\"; there are holder, limit, cursor, choice",
            ),
        ] {
            assert_eq!(says(query), expected, "{query}");
        }
    }
}
