//! Times as tickets show them: ISO 8601, UTC, milliseconds.

use std::fmt;

use penholder_lease::StoreMs;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

/// A point of the store's time, shown as `2026-01-02T03:04:05.678Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub StoreMs);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0.0) * 1_000_000;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second) = at.to_hms();
        let milli = at.millisecond();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_milliseconds_and_leap_days() {
        assert_eq!(Moment(StoreMs(0)).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Moment(StoreMs(1_709_164_799_999)).to_string(), "2024-02-28T23:59:59.999Z");
        assert_eq!(Moment(StoreMs(1_709_164_800_005)).to_string(), "2024-02-29T00:00:00.005Z");
    }
}
