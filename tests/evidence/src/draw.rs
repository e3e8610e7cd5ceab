//! Draws that a seed repeats.

/// Splitmix64 (Steele, Lea, Flood, 2014).
#[derive(Debug, Clone)]
pub struct Draw(pub u64);

impl Draw {
    /// A number from 0 up to `bound`, which is left out.
    ///
    /// # Panics
    ///
    /// `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
