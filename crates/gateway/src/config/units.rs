//! Values of the configuration with their units and legal ranges in the type.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A span of time between `MIN_MS` and `MAX_MS`, written `"250ms"`, `"10s"`, `"5m"`, `"24h"` or `"30d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<const MIN_MS: u64, const MAX_MS: u64>(Duration);

impl<const MIN_MS: u64, const MAX_MS: u64> Span<MIN_MS, MAX_MS> {
    /// A span of `ms` milliseconds; a default outside its own range does not compile.
    pub(super) const fn of_ms<const MS: u64>() -> Self {
        const { assert!(MIN_MS <= MS && MS <= MAX_MS, "the default is out of range") }
        Self(Duration::from_millis(MS))
    }

    /// The span.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The span in whole milliseconds.
    #[must_use]
    pub fn as_ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl<'de, const MIN_MS: u64, const MAX_MS: u64> Deserialize<'de> for Span<MIN_MS, MAX_MS> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let range = Range("a span of time", print_ms(MIN_MS), print_ms(MAX_MS));
        let text = from.deserialize_str(Text(&range))?;
        let ms = parse_ms(&text).filter(|ms| (MIN_MS..=MAX_MS).contains(ms));
        ms.map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &range))
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> Serialize for Span<MIN_MS, MAX_MS> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&print_ms(self.as_ms()))
    }
}

/// A whole number between `MIN` and `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Count<MIN, MAX> {
    pub(super) const fn of<const N: u64>() -> Self {
        const { assert!(MIN <= N && N <= MAX, "the default is out of range") }
        Self(N)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The number as an index; the ranges in use fit any platform.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The number as a rate; the ranges in use fit.
    #[must_use]
    pub fn as_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let range = Range("a whole number", MIN.to_string(), MAX.to_string());
        let number = from.deserialize_i64(Number(&range))?;
        let legal = u64::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
        legal.map(Self).ok_or_else(|| D::Error::invalid_value(Unexpected::Signed(number), &range))
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Count<MIN, MAX> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0)
    }
}

/// A size between `MIN` and `MAX` bytes: a whole number of bytes, or `"64KiB"`, `"1MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Size<MIN, MAX> {
    pub(super) const fn of<const BYTES: u64>() -> Self {
        const { assert!(MIN <= BYTES && BYTES <= MAX, "the default is out of range") }
        Self(BYTES)
    }

    /// The size in bytes; the ranges in use fit any platform.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Size<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let range = Range("a size", print_bytes(MIN), print_bytes(MAX));
        let (bytes, given) = from.deserialize_any(Bytes(&range))?;
        bytes
            .filter(|bytes| (MIN..=MAX).contains(bytes))
            .map(Self)
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&given), &range))
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Size<MIN, MAX> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&print_bytes(self.0))
    }
}

/// A secret: never shown by `Debug`, never printed back.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "unset" } else { "set" })
    }
}

/// What was expected, with the legal range, for an error message.
struct Range(&'static str, String, String);

impl serde::de::Expected for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, min, max) = self;
        write!(f, "{what} from {min} to {max}")
    }
}

struct Text<'a>(&'a Range);

impl Visitor<'_> for Text<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        serde::de::Expected::fmt(self.0, f)?;
        f.write_str(", such as \"10s\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

struct Number<'a>(&'a Range);

impl Visitor<'_> for Number<'_> {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        serde::de::Expected::fmt(self.0, f)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        Ok(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// Reads bytes, and keeps what was written for the error message.
struct Bytes<'a>(&'a Range);

impl Visitor<'_> for Bytes<'_> {
    type Value = (Option<u64>, String);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        serde::de::Expected::fmt(self.0, f)?;
        f.write_str(", such as 4096 or \"64KiB\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok((u64::try_from(number).ok(), number.to_string()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok((parse_bytes(text), text.to_owned()))
    }
}

const SPANS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

fn parse_ms(text: &str) -> Option<u64> {
    parse_unit(text, &SPANS)
}

fn parse_bytes(text: &str) -> Option<u64> {
    parse_unit(text, &SIZES).or_else(|| text.parse().ok())
}

fn parse_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn print_ms(ms: u64) -> String {
    print_unit(ms, &SPANS)
}

fn print_bytes(bytes: u64) -> String {
    print_unit(bytes, &SIZES)
}

/// Prints with the largest unit that divides it.
fn print_unit(number: u64, units: &[(&str, u64)]) -> String {
    let fits =
        units.iter().rev().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    let (name, factor) = fits.unwrap_or(&units[0]);
    format!("{}{name}", number / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_print_alike() {
        for text in ["250ms", "10s", "5m", "36h", "30d", "0ms"] {
            assert_eq!(print_ms(parse_ms(text).unwrap()), text);
        }
        for text in ["", "10", "s", "-1s", "1.5s", "99999999999999999999d", "1w"] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_read_and_print_alike() {
        assert_eq!(parse_bytes("64KiB"), Some(65_536));
        assert_eq!(parse_bytes("512"), Some(512));
        assert_eq!(print_bytes(1 << 20), "1MiB");
        assert_eq!(parse_bytes("64KB"), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "set");
    }
}
