//! Bodies that are JSON and nothing else: what one reader could take for something and another for something
//! else is refused.

use std::collections::BTreeSet;
use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use penholder_protocol::{ErrorCode, Json, JsonLimits};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserializer, de};

use super::error::ApiError;

/// How deep a body may be, and how many keys an object of it may have: the metadata of a ticket has 8 KiB.
const LIMITS: JsonLimits = JsonLimits { depth_max: 32, keys_max: 2048 };

/// A body that says of itself that it is JSON.
#[derive(Debug)]
pub(super) struct JsonBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let error = ApiError::new(ErrorCode::Malformed, "send it as application/json");
            return Err(error.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            ApiError::new(ErrorCode::Malformed, rejection.body_text())
                .with_status(rejection.status())
        })?;
        Ok(Self(bytes))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = named.and_then(|named| named.split(';').next()).unwrap_or_default().trim();
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let subtype = subtype.to_ascii_lowercase();
    kind.eq_ignore_ascii_case("application") && (subtype == "json" || subtype.ends_with("+json"))
}

impl JsonBody {
    /// Reads an object.
    ///
    /// # Errors
    ///
    /// It is no JSON (400), or not what it should be (422).
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let malformed = |message: String| ApiError::new(ErrorCode::Malformed, message);
        let json = Json::parse(&self.0, &LIMITS).map_err(|error| malformed(error.to_string()))?;
        let mut deserializer = serde_json::Deserializer::from_str(json.as_str());
        Unique
            .deserialize(&mut deserializer)
            .map_err(|error| ApiError::new(ErrorCode::InvalidPayload, error.to_string()))?;
        json.parse_into().map_err(|error| ApiError::new(ErrorCode::InvalidPayload, error.detail))
    }
}

/// Looks for keys that an object has twice: of two equal ones every parser keeps another.
#[derive(Clone, Copy)]
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                map.next_value::<IgnoredAny>()?;
                return Err(de::Error::custom(format_args!("the key {key:?} comes twice")));
            }
            keys.insert(key);
            map.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    fn status(text: &[u8]) -> Option<u16> {
        let body = JsonBody(Bytes::copy_from_slice(text));
        body.read::<Map<String, Value>>().err().map(|error| error.parts().0.as_u16())
    }

    #[test]
    fn what_is_no_json_is_told_from_what_is_another_json() {
        for (text, expected) in [
            (&b"{\"a\":{\"b\":[1,null,true,\"x\",0.5,-1]}}"[..], None),
            (b"", Some(400)),
            (b"{", Some(400)),
            (b"{\"a\":\"\xff\"}", Some(400)),
            (b"{\"a\":1e999}", Some(400)),
            (b"{\"a\":\"\\ud800\"}", Some(400)),
            (b"{\"a\":1} x", Some(400)),
            (b"[]", Some(422)),
            (b"1", Some(422)),
            (b"{\"a\":1,\"a\":1}", Some(422)),
            (b"{\"a\":[{\"b\":1,\"\\u0062\":2}]}", Some(422)),
        ] {
            assert_eq!(status(text), expected, "{}", String::from_utf8_lossy(text));
        }
        let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        let nested = |depth: usize| [&b"{\"a\":"[..], &deep(depth - 1), b"}"].concat();
        assert_eq!((status(&nested(32)), status(&nested(33))), (None, Some(400)));
    }

    #[test]
    fn only_json_is_taken_for_json() {
        for (named, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("text/json", false),
            ("application/x-www-form-urlencoded", false),
            ("json", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, named.parse().unwrap())]);
            assert_eq!(is_json(&headers), expected, "{named}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
