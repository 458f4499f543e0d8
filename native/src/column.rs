//! Numbers of a column, a block at a time: which bin each is in, their sums and their extremes.
//!
//! The inner loops have a fixed length and no branches, so that the compiler makes vector
//! instructions of them; where the processor has AVX2, of twice the width. Either way the same
//! operations are done in the same order, so figures don't depend on the processor.

use std::cell::Cell;

/// Numbers taken at once: they stay in the first-level cache from one loop to the next.
pub const BLOCK: usize = 128;

/// Numbers that go through the vector units side by side, in as many registers as there are.
const TILE: usize = 8;

/// With more edges than this, bins are found by halving; with fewer, by counting those below, which
/// takes 0.1 ns an edge where halving takes 8 to 22 ns.
const FEW: usize = 64;

/// Places after a signal's bins: absent, null, not finite, of a wrong type.
const SPECIALS: usize = 4;
const ABSENT: u64 = 0;
const NULL: u64 = 1;
const NAN: u64 = 2;

/// Some numbers of a column, at most [`BLOCK`], and NaN up to the end.
pub struct Block {
    numbers: [f64; BLOCK],
    length: usize,
}

impl Block {
    pub fn new(from: impl ExactSizeIterator<Item = f64>) -> Self {
        let length = from.len();
        let mut numbers = [f64::NAN; BLOCK];
        for (to, x) in numbers.iter_mut().zip(from) {
            *to = x;
        }
        Block { numbers, length }
    }

    fn tiles(&self) -> impl Iterator<Item = &[f64; TILE]> {
        let tiles = self.numbers.as_chunks().0;
        tiles.iter().take(self.length.div_ceil(TILE))
    }
}

/// Places of a block's numbers among a signal's counts.
type Places = [u64; BLOCK];

/// The bins of a signal: bin `i` is of numbers with `i` edges at or below them.
pub struct Bins {
    edges: Vec<f64>,
    /// How many there are.
    bins: u64,
}

impl Bins {
    /// `edges` are in ascending order.
    pub fn new(edges: impl ExactSizeIterator<Item = f64>) -> Self {
        Bins {
            bins: edges.len() as u64 + 1,
            edges: edges.collect(),
        }
    }

    /// Counts of the signal, those after its bins included.
    pub fn width(&self) -> usize {
        self.bins as usize + SPECIALS
    }

    /// Count a block's numbers, and add those that are finite to the totals.
    pub fn count(&self, block: &Block, counts: &[Cell<i64>], totals: &mut Totals) {
        let mut places = [0; BLOCK];
        self.read(block, &mut places, totals);
        for place in &places[..block.length] {
            let count = &counts[*place as usize];
            count.set(count.get() + 1);
        }
    }

    /// Find the places of a block's numbers, and add those that are finite to the totals.
    fn read(&self, block: &Block, places: &mut Places, totals: &mut Totals) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has just said that it has AVX2.
            unsafe { self.read_with_avx2(block, places, totals) };
            return;
        }
        self.read_with_any(block, places, totals);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn read_with_avx2(&self, block: &Block, places: &mut Places, totals: &mut Totals) {
        self.read_with_any(block, places, totals);
    }

    #[inline(always)]
    fn read_with_any(&self, block: &Block, places: &mut Places, totals: &mut Totals) {
        let to = places.as_chunks_mut().0;
        for (tile, to) in block.tiles().zip(to) {
            let found = if self.edges.len() <= FEW {
                self.by_counting(tile)
            } else {
                self.by_halving(tile)
            };
            *to = self.with_specials(tile, &found);
        }
        totals.add(block);
    }

    #[inline(always)]
    fn by_counting(&self, numbers: &[f64; TILE]) -> [u64; TILE] {
        let mut found = [0; TILE];
        for edge in &self.edges {
            for (bin, x) in found.iter_mut().zip(numbers) {
                *bin += u64::from(edge <= x);
            }
        }
        found
    }

    #[inline(always)]
    fn by_halving(&self, numbers: &[f64; TILE]) -> [u64; TILE] {
        let mut found = [0; TILE];
        for (bin, x) in found.iter_mut().zip(numbers) {
            *bin = self.edges.partition_point(|edge| edge <= x) as u64;
        }
        found
    }

    #[inline(always)]
    fn with_specials(&self, numbers: &[f64; TILE], found: &[u64; TILE]) -> [u64; TILE] {
        let mut places = [0; TILE];
        for ((place, x), bin) in places.iter_mut().zip(numbers).zip(found) {
            let special = if *x > 0.0 {
                ABSENT
            } else if *x < 0.0 {
                NAN
            } else {
                NULL
            };
            *place = if x.abs() < f64::INFINITY {
                *bin
            } else {
                self.bins + special
            };
        }
        places
    }
}

/// Sums and extremes of the finite numbers of a column, in [`TILE`] parts; one would wait for the addition before.
pub struct Totals {
    sums: [f64; TILE],
    sumsqs: [f64; TILE],
    minima: [f64; TILE],
    maxima: [f64; TILE],
}

impl Totals {
    pub fn new() -> Self {
        Totals {
            sums: [0.0; TILE],
            sumsqs: [0.0; TILE],
            minima: [f64::INFINITY; TILE],
            maxima: [f64::NEG_INFINITY; TILE],
        }
    }

    #[inline(always)]
    fn add(&mut self, block: &Block) {
        let Totals {
            mut sums,
            mut sumsqs,
            mut minima,
            mut maxima,
        } = *self;
        for tile in block.tiles() {
            for (i, x) in tile.iter().enumerate() {
                let finite = x.abs() < f64::INFINITY;
                let number = if finite { *x } else { 0.0 };
                let low = if finite { *x } else { f64::INFINITY };
                let high = if finite { *x } else { f64::NEG_INFINITY };
                sums[i] += number;
                sumsqs[i] += number * number;
                minima[i] = if low < minima[i] { low } else { minima[i] };
                maxima[i] = if high > maxima[i] { high } else { maxima[i] };
            }
        }
        *self = Totals {
            sums,
            sumsqs,
            minima,
            maxima,
        };
    }

    /// Add these to the totals of a cell, in the place of the signal's number.
    pub fn add_to(
        &self,
        sums: &[Cell<f64>],
        sumsqs: &[Cell<f64>],
        minima: &[Cell<f64>],
        maxima: &[Cell<f64>],
        number: usize,
    ) {
        let low = self.minima.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self
            .maxima
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let (sum, sumsq) = (&sums[number], &sumsqs[number]);
        let (minimum, maximum) = (&minima[number], &maxima[number]);
        sum.set(sum.get() + self.sums.iter().sum::<f64>());
        sumsq.set(sumsq.get() + self.sumsqs.iter().sum::<f64>());
        minimum.set(minimum.get().min(low));
        maximum.set(maximum.get().max(high));
    }
}
