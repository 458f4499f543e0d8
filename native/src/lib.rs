//! Prediction events from JSON to columns: what `tidegauge.ingest.fast` does, several times as fast.
//!
//! Events that fit the layout of their model's version are kept as rows by (layout, variant) until
//! they are taken out as columns. Whatever is unusual is left to the caller, so what is kept here
//! must mean the same as there; it may be less. Columns are counted here too, as
//! `tidegauge.ingest.cells` counts them, and Arrow batches of numbers without becoming columns first.

mod batch;
mod cell;
mod column;
mod event;
mod layout;
mod plain;
mod segments;
mod values;

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::event::{Row, Times};
use crate::layout::{Categorical, Layouts, Numeric};

/// Rows of one layout and variant, one after another.
struct Group {
    layout: usize,
    variant: String,
    times: Vec<f64>,
    numeric: Vec<f64>,
    codes: Vec<i64>,
    segments: Vec<i64>,
}

/// `(model, version, variant, times, numeric, codes, segments)`: bytes of float64, float64, int64
/// and int64, the latter three a whole column after another.
type Taken<'py> = (
    String,
    String,
    String,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
);

#[pyclass]
struct Decoder {
    layouts: Layouts,
    row: Row,
    groups: Vec<Group>,
    /// By layout: the groups by variant.
    found: Vec<HashMap<String, usize>>,
    last: usize,
}

#[pymethods]
impl Decoder {
    /// Make a decoder of `(model, version, numeric, categorical)`, where `numeric` has
    /// `(name, of the features)` by column and `categorical`
    /// `(name, of the features, type, bin by value, bin if absent, if null, of any other value)`;
    /// the type is "string", "integer" or "boolean". `dimensions` are the monitored segments.
    #[new]
    fn new(
        models: Vec<(String, String, Vec<Numeric>, Vec<Categorical>)>,
        dimensions: Vec<String>,
    ) -> Self {
        Decoder {
            found: vec![HashMap::new(); models.len()],
            layouts: Layouts::new(models, dimensions),
            row: Row::default(),
            groups: Vec::new(),
            last: usize::MAX,
        }
    }

    /// Keep the events of these values that fit; return the event times as float64, NaN for values
    /// that don't fit: those that are longer than `limit` or outside `earliest` to `latest` too.
    fn decode<'py>(
        &mut self,
        py: Python<'py>,
        values: &Bound<'py, PyList>,
        limit: usize,
        earliest: f64,
        latest: f64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let times = Times { earliest, latest };
        let mut taken = Vec::with_capacity(8 * values.len());
        for value in values.iter() {
            let time = match value.downcast::<PyBytes>() {
                Ok(bytes) if bytes.as_bytes().len() <= limit => {
                    self.keep(bytes.as_bytes(), &times).unwrap_or(f64::NAN)
                }
                _ => f64::NAN,
            };
            taken.extend_from_slice(&time.to_ne_bytes());
        }
        Ok(PyBytes::new(py, &taken))
    }

    /// Return the rows kept since the last call, by column, and the values of each dimension.
    ///
    /// A row's segments are numbers of those values; -1 where it names none, -2 for a value that is
    /// no text of at most 200 characters.
    fn take<'py>(&mut self, py: Python<'py>) -> PyResult<(Vec<Taken<'py>>, Vec<Vec<String>>)> {
        self.found.iter_mut().for_each(HashMap::clear);
        self.last = usize::MAX;
        let taken: PyResult<Vec<_>> = self
            .groups
            .drain(..)
            .map(|group| {
                let layout = &self.layouts.all[group.layout];
                let rows = group.times.len();
                let numeric = by_column(py, &group.numeric, rows, |v| v.to_ne_bytes())?;
                let codes = by_column(py, &group.codes, rows, |v| v.to_ne_bytes())?;
                let segments = by_column(py, &group.segments, rows, |v| v.to_ne_bytes())?;
                let times = by_column(py, &group.times, rows, |v| v.to_ne_bytes())?;
                Ok((
                    layout.model.clone(),
                    layout.version.clone(),
                    group.variant,
                    times,
                    numeric,
                    codes,
                    segments,
                ))
            })
            .collect();
        Ok((taken?, self.layouts.dimensions.take()))
    }
}

impl Decoder {
    /// Keep one event and return its time, or nothing if it doesn't fit.
    fn keep(&mut self, value: &[u8], times: &Times) -> Option<f64> {
        let text = std::str::from_utf8(value).ok()?;
        let head = self.row.read(text, &mut self.layouts, times)?;
        self.find_group(head.layout, &head.variant);
        let group = &mut self.groups[self.last];
        group.times.push(head.time);
        group.numeric.extend_from_slice(&self.row.numeric);
        group.codes.extend_from_slice(&self.row.codes);
        group.segments.extend_from_slice(&self.row.segments);
        Some(head.time)
    }

    fn find_group(&mut self, layout: usize, variant: &str) {
        let same = |group: &Group| group.layout == layout && group.variant == variant;
        if self.groups.get(self.last).is_some_and(same) {
            return;
        }
        let found = &mut self.found[layout];
        self.last = found.get(variant).copied().unwrap_or_else(|| {
            found.insert(variant.to_owned(), self.groups.len());
            self.groups.push(Group {
                layout,
                variant: variant.to_owned(),
                times: Vec::new(),
                numeric: Vec::new(),
                codes: Vec::new(),
                segments: Vec::new(),
            });
            self.groups.len() - 1
        });
    }
}

/// Rows one after another to the bytes of columns one after another.
fn by_column<'py, T: Copy>(
    py: Python<'py>,
    values: &[T],
    rows: usize,
    bytes_of: impl Fn(T) -> [u8; 8],
) -> PyResult<Bound<'py, PyBytes>> {
    let width = values.len().checked_div(rows).unwrap_or(0);
    PyBytes::new_with(py, 8 * values.len(), |out| {
        for (column, place) in out.chunks_exact_mut(8 * rows.max(1)).enumerate() {
            for (row, cell) in place.chunks_exact_mut(8).enumerate() {
                cell.copy_from_slice(&bytes_of(values[row * width + column]));
            }
        }
        Ok(())
    })
}

#[pymodule]
fn tidegauge_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cell::add_columns, module)?)?;
    module.add_class::<batch::BatchCounter>()?;
    module.add_class::<Decoder>()
}
