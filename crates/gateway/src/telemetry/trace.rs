//! The trace of a request, for the rows that the request causes.

use axum::http::HeaderMap;
use penholder_desk::Trace;

/// Returns the trace that a request belongs to: the one of its span where spans are collected, else the one that its
/// `traceparent` names, else a new one.
pub(crate) fn of(headers: &HeaderMap) -> Trace {
    #[cfg(feature = "otlp")]
    if let Some(trace) = super::otlp::trace() {
        return trace;
    }
    named(headers).unwrap_or_else(begun)
}

/// Reads `traceparent` (W3C Trace Context, 3.2). One that is broken or doubled counts as none.
fn named(headers: &HeaderMap) -> Option<Trace> {
    let mut given = headers.get_all("traceparent").into_iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let text = value.to_str().ok().filter(|text| text.len() == LEN)?;
    let mut parts = text.split('-');
    let is_hex = |text: &str, len| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, len| is_hex(text, len) && text.bytes().any(|b| b != b'0');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_one = is_hex(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2)
        && parts.next().is_none();
    is_one.then(|| Trace { trace_id: trace.to_owned(), traceparent: text.to_owned() })
}

/// Length of what version 00 says; what later versions may add is not ours to keep.
const LEN: usize = 55;

fn begun() -> Trace {
    let trace_id = format!("{:032x}", rand::random_range(1..=u128::MAX));
    let parent = rand::random_range(1..=u64::MAX);
    Trace { traceparent: format!("00-{trace_id}-{parent:016x}-00"), trace_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn trace(values: &[&str]) -> Option<Trace> {
        let values = values.iter().map(|value| value.parse().unwrap());
        named(&values.map(|value| ("traceparent".parse().unwrap(), value)).collect())
    }

    #[test]
    fn trace_that_is_named_goes_on() {
        let found = trace(&[GOOD]).unwrap();
        assert_eq!(found.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(found.traceparent, GOOD);
        let later = GOOD.replacen("00", "01", 1);
        assert!(trace(&[&later]).is_some());
    }

    #[test]
    fn broken_one_counts_as_none() {
        let broken = [
            "",
            &GOOD[1..],
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        ];
        for value in broken {
            assert_eq!(trace(&[value]), None, "{value}");
        }
        assert_eq!(trace(&[GOOD, GOOD]), None);
        assert_eq!(trace(&[]), None);
    }

    #[test]
    fn new_trace_is_one_that_can_be_named() {
        let (one, other) = (begun(), begun());
        assert_ne!(one, other);
        assert_eq!(trace(&[&one.traceparent]), Some(one));
    }
}
