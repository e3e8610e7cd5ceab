//! How much memory something takes while it runs.

/// Does `work`, and returns its result.
///
/// # Panics
///
/// When more than `bytes_max` bytes were allocated at any moment of it.
pub(crate) fn within<T>(bytes_max: usize, work: impl FnOnce() -> T) -> T {
    let mut result = None;
    let used = allocation_counter::measure(|| result = Some(work()));
    let bytes_max = bytes_max as u64;
    assert!(used.bytes_max <= bytes_max, "{} bytes at once, at most {bytes_max}", used.bytes_max);
    result.expect("the work is done")
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn what_fits_returns_its_result() {
        assert_eq!(within(1_000, || vec![7_u8; 900])[899], 7);
    }

    #[test]
    #[should_panic(expected = "2000 bytes at once, at most 1999")]
    fn memory_counts_although_nothing_is_written_to_it() {
        within(1_999, || Vec::<u8>::with_capacity(2_000).capacity());
    }
}
