//! The timeline of a store in a file: a number that is larger at each start, so that fences grow although an
//! older copy of the file has been put back.
//!
//! It is kept beside the file and not in it. Where the whole directory was put back, or the number is lost, the
//! wall clock stands in for it: a timeline is never smaller than the number of ten minutes since 2026.

use std::path::Path;

use penholder_lease::{TIMELINE_MAX, Timeline};

use crate::clock;
use crate::data_dir::{DataDirectory, DataError};

/// 2026-01-01T00:00:00Z. Unit: milliseconds since 1970.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// How long a number of the clock lasts. All of them last for 79 years.
const SLOT_MS: u64 = 600_000;

/// What the clock may ask for; the other half is for starts alone, however wrong the clock was.
const CLOCKED_MAX: u32 = TIMELINE_MAX / 2;

/// Begins a timeline for the store in `file`, and keeps it before it is used.
///
/// # Errors
///
/// [`DataError`], when it cannot be kept, or there is none left.
pub(super) fn begin(data: &DataDirectory, file: &Path) -> Result<Timeline, DataError> {
    let kept = data.file("pens.timeline");
    let last = kept.read::<u32>()?;
    let is_new = last.is_none() && !file.exists();
    let next = if is_new { 0 } else { after(last, clock::wall().0) };
    if next > TIMELINE_MAX {
        return Err(DataError::Damaged(data.path().join("pens.timeline")));
    }
    kept.write(&next)?;
    Ok(Timeline(next))
}

/// The timeline that follows the last one at a time of the wall clock.
fn after(last: Option<u32>, now_ms: u64) -> u32 {
    let slot = now_ms.saturating_sub(EPOCH_MS) / SLOT_MS;
    let clocked = u32::try_from(slot).unwrap_or(u32::MAX).min(CLOCKED_MAX);
    last.map_or(1, |last| last.saturating_add(1)).max(clocked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_a_larger_one_whatever_the_clock_says() {
        let day_ms = 24 * 60 * 60 * 1000;
        let now = EPOCH_MS + 300 * day_ms;
        let mut last = None;
        for at in [0, now, now, now - day_ms, now + 1, u64::MAX, now, u64::MAX] {
            let next = after(last, at);
            assert!(last.is_none_or(|last| next > last), "{next} after {last:?} at {at}");
            assert!(next <= CLOCKED_MAX + 8);
            last = Some(next);
        }
    }

    #[test]
    fn a_directory_put_back_is_overtaken_by_the_clock() {
        let now = EPOCH_MS + 300 * 24 * SLOT_MS * 6;
        let copied = after(Some(7), now);
        let lost = after(Some(copied), now + SLOT_MS);
        assert!(after(Some(copied), now + 2 * SLOT_MS) > lost);
    }
}
