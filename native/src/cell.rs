//! Adding columns to the counts of a cell: what `tidegauge.ingest.cells` does, in one pass a column.

use std::cell::Cell;

use pyo3::buffer::{Element, PyBuffer, ReadOnlyCell};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// With more edges than this, bins are found by halving; with fewer, by counting those below.
const FEW: usize = 32;

/// Places after a signal's bins.
const ABSENT: usize = 0;
const NULL: usize = 1;
const NAN: usize = 2;

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
    let totals = [&sums, &sumsqs, &minima, &maxima];
    let mut places = Vec::with_capacity(4);
    for total in totals {
        places.push(writable(py, total)?);
    }
    for (j, column) in numeric.iter().enumerate() {
        let edges: Vec<f64> = readable(py, &edges[j])?
            .iter()
            .map(ReadOnlyCell::get)
            .collect();
        let column = readable(py, column)?;
        let bins = &counts[offsets[j]..];
        let mut total = Total::new();
        if edges.len() <= FEW {
            total.add(column, bins, edges.len() + 1, |x| {
                edges.iter().map(|edge| usize::from(*edge <= x)).sum()
            });
        } else {
            total.add(column, bins, edges.len() + 1, |x| {
                edges.partition_point(|edge| *edge <= x)
            });
        }
        places[0][j].set(places[0][j].get() + total.sum);
        places[1][j].set(places[1][j].get() + total.sumsq);
        places[2][j].set(places[2][j].get().min(total.minimum));
        places[3][j].set(places[3][j].get().max(total.maximum));
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
}

struct Total {
    sum: f64,
    sumsq: f64,
    minimum: f64,
    maximum: f64,
}

impl Total {
    fn new() -> Self {
        Total {
            sum: 0.0,
            sumsq: 0.0,
            minimum: f64::INFINITY,
            maximum: f64::NEG_INFINITY,
        }
    }

    fn add(
        &mut self,
        column: &[ReadOnlyCell<f64>],
        counts: &[Cell<i64>],
        bins: usize,
        bin_of: impl Fn(f64) -> usize,
    ) {
        for cell in column {
            let x = cell.get();
            let place = if x.is_finite() {
                self.sum += x;
                self.sumsq += x * x;
                self.minimum = self.minimum.min(x);
                self.maximum = self.maximum.max(x);
                bin_of(x)
            } else if x.is_nan() {
                bins + NULL
            } else if x > 0.0 {
                bins + ABSENT
            } else {
                bins + NAN
            };
            counts[place].set(counts[place].get() + 1);
        }
    }
}

fn readable<'a, T: Element>(
    py: Python<'a>,
    buffer: &'a PyBuffer<T>,
) -> PyResult<&'a [ReadOnlyCell<T>]> {
    buffer
        .as_slice(py)
        .ok_or_else(|| PyValueError::new_err("a column is not contiguous"))
}

fn writable<'a, T: Element>(py: Python<'a>, buffer: &'a PyBuffer<T>) -> PyResult<&'a [Cell<T>]> {
    buffer
        .as_mut_slice(py)
        .ok_or_else(|| PyValueError::new_err("counts must be contiguous and writable"))
}
