//! A hash for names that are looked up several times an event, quicker than Rust's own.
//!
//! Rust's withstands who chooses names that collide. Those looked up here are of baselines, and of
//! at most a thousand models without one, so nobody can fill a table with them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by name, or by number.
pub type Names<K, V> = HashMap<K, V, BuildHasherDefault<Words>>;

/// Odd, and its bits look like chance (the golden ratio's).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Eight bytes at a time by multiplication, as rustc's own tables do (`FxHasher`).
#[derive(Default)]
pub struct Words(u64);

impl Words {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            self.add(
                rest.iter()
                    .fold(0, |word, byte| word << 8 | u64::from(*byte)),
            );
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        // A product's low bits know nothing of the high ones; a table goes by both ends.
        self.0 ^ (self.0 >> 32)
    }
}
