//! Adding columns to the counts of a cell: what `tidegauge.counting.cells` does, a block at a time.

use std::cell::Cell;

use pyo3::buffer::{Element, PyBuffer, ReadOnlyCell};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::column::{Bins, Block, Totals, BLOCK};
use crate::guarded;

/// Add rows given by column to a cell.
///
/// `numeric` are float64 columns in which inf, -inf and NaN stand for absent, not finite and null,
/// `edges` and `offsets` where their bins are in `counts`; `sums`, `sumsqs`, `minima` and `maxima`
/// are by column. `codes` are int64 columns of bin numbers, specials included, counted from
/// `code_offsets`. Raises `ValueError` for a buffer that is not contiguous, or not writable.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn add_columns(
    py: Python<'_>,
    numeric: Vec<PyBuffer<f64>>,
    edges: Vec<PyBuffer<f64>>,
    offsets: Vec<usize>,
    codes: Vec<PyBuffer<i64>>,
    code_offsets: Vec<usize>,
    counts: PyBuffer<i64>,
    sums: PyBuffer<f64>,
    sumsqs: PyBuffer<f64>,
    minima: PyBuffer<f64>,
    maxima: PyBuffer<f64>,
) -> PyResult<()> {
    let counts = writable(py, &counts)?;
    let (sums, sumsqs) = (writable(py, &sums)?, writable(py, &sumsqs)?);
    let (minima, maxima) = (writable(py, &minima)?, writable(py, &maxima)?);
    guarded(|| {
        for (j, column) in numeric.iter().enumerate() {
            let bins = Bins::new(readable(py, &edges[j])?.iter().map(ReadOnlyCell::get));
            let totals = count(readable(py, column)?, &bins, &counts[offsets[j]..]);
            totals.add_to(sums, sumsqs, minima, maxima, j);
        }
        for (column, offset) in codes.iter().zip(code_offsets) {
            let bins = &counts[offset..];
            for code in readable(py, column)? {
                let bin = usize::try_from(code.get())
                    .map_err(|_| PyValueError::new_err("a bin number below 0"))?;
                bins[bin].set(bins[bin].get() + 1);
            }
        }
        Ok(())
    })
}

fn count(column: &[ReadOnlyCell<f64>], bins: &Bins, counts: &[Cell<i64>]) -> Totals {
    let counts = &counts[..bins.width()];
    let mut totals = Totals::new();
    for some in column.chunks(BLOCK) {
        let block = Block::new(some.iter().map(ReadOnlyCell::get));
        bins.count(&block, counts, &mut totals);
    }
    totals
}

fn readable<'a, T: Element>(
    py: Python<'a>,
    buffer: &'a PyBuffer<T>,
) -> PyResult<&'a [ReadOnlyCell<T>]> {
    buffer
        .as_slice(py)
        .ok_or_else(|| PyValueError::new_err("a column is not contiguous"))
}

pub fn writable<'a, T: Element>(
    py: Python<'a>,
    buffer: &'a PyBuffer<T>,
) -> PyResult<&'a [Cell<T>]> {
    buffer
        .as_mut_slice(py)
        .ok_or_else(|| PyValueError::new_err("counts must be contiguous and writable"))
}
