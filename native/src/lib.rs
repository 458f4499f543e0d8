//! Prediction events from JSON to counts: what `tidegauge.counting.decode.reference` and
//! `tidegauge.counting.cells` do, many times as fast.
//!
//! Events that fit the layout of their model's version are kept as rows until they are taken out as
//! columns, by (layout, variant). Whatever is unusual is left to the caller, so what is kept here
//! must mean the same as there; it may be less. Columns are counted here too,
//! as `tidegauge.counting.cells` counts them, and Arrow batches of numbers without becoming columns
//! first.

mod batch;
mod cell;
mod column;
mod event;
mod kept;
mod layout;
mod names;
mod outcomes;
mod parser;
mod plain;
mod reader;
mod segments;
mod time;
mod values;

use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::event::Row;
use crate::kept::Kept;
use crate::layout::{Layouts, Model};
use crate::time::Times;

/// `(number of the layout, variant, rows)`.
type Group<'a> = (usize, &'a str, usize);

#[pyclass]
struct Decoder {
    layouts: Layouts,
    row: Row,
    kept: Kept,
}

#[pymethods]
impl Decoder {
    /// Make a decoder of `(model, version, numeric, categorical, awaited)`, where `numeric` has
    /// `(name, of the features)` by column and `categorical`
    /// `(name, of the features, type, bin by value, bin if absent, if null, of any other value)`;
    /// the type is "string", "integer" or "boolean". Awaited is the actual: "class", "number" or ""
    /// for none. `dimensions` are the monitored segments.
    #[new]
    fn new(models: Vec<Model>, dimensions: Vec<String>) -> Self {
        Decoder {
            kept: Kept::new(models.len()),
            layouts: Layouts::new(models, dimensions),
            row: Row::default(),
        }
    }

    /// Keep the events of these values that fit; return the event times as float64, NaN for values
    /// that don't fit: those that are longer than `limit` or outside `earliest` to `latest` too.
    /// The values are numbered from `first` on.
    fn decode<'py>(
        &mut self,
        py: Python<'py>,
        values: &Bound<'py, PyList>,
        limit: usize,
        earliest: f64,
        latest: f64,
        first: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let times = Times { earliest, latest };
        let mut taken = Vec::with_capacity(8 * values.len());
        for (number, value) in (first..).zip(values.iter()) {
            let time = match value.downcast::<PyBytes>() {
                Ok(bytes) if bytes.as_bytes().len() <= limit => {
                    // An event that is more than this decoder was made for is the caller's.
                    let keep = AssertUnwindSafe(|| self.keep(bytes.as_bytes(), &times, number));
                    catch_unwind(keep).ok().flatten().unwrap_or(f64::NAN)
                }
                _ => f64::NAN,
            };
            taken.extend_from_slice(&time.to_ne_bytes());
        }
        Ok(PyBytes::new(py, &taken))
    }

    /// Bytes of memory that the rows kept take, and the values of their segments.
    #[getter]
    fn kept_bytes(&self) -> usize {
        self.kept.bytes() + self.layouts.dimensions.bytes() + self.layouts.classes.bytes()
    }

    /// Return the groups of the rows kept, the values of each dimension, and the texts of classes.
    ///
    /// A row's segments are numbers of those values; -1 where it names none, -2 for a value that is
    /// no text of at most 200 characters. Its class is a number of those texts, or -1 without one.
    fn groups(&mut self) -> (Vec<Group<'_>>, Vec<Vec<String>>, Vec<String>) {
        self.kept.arrange();
        let all = self.kept.groups.iter();
        let groups = all.map(|it| (it.layout, it.variant.as_str(), it.rows));
        (
            groups.collect(),
            self.layouts.dimensions.values(),
            self.layouts.classes.texts(),
        )
    }

    /// Return rows `first` to before `end` of a group by column, as many as there are: times and
    /// numeric columns as float64, bin numbers and segments as int64, one whole column after
    /// another; where labels are awaited, then hashes of ids as uint64, numbers of classes as
    /// int64 and those of rows as uint64. The group is a number in what [`Decoder::groups`] returned, since when nothing may
    /// have been decoded. Raises `IndexError` if there are no such rows.
    fn columns<'py>(
        &self,
        py: Python<'py>,
        group: usize,
        first: usize,
        end: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let missing =
            || PyIndexError::new_err(format!("group {group} has no rows {first} to {end}"));
        let size = self.kept.size(group, first, end).ok_or_else(missing)?;
        PyBytes::new_with(py, size, |out| {
            guarded(|| {
                self.kept.columns(group, first, end, out);
                Ok(())
            })
        })
    }

    /// Forget the rows kept.
    fn clear(&mut self) {
        self.kept.clear();
        self.layouts.dimensions.forget();
        self.layouts.classes.forget();
    }
}

impl Decoder {
    /// Keep one event and return its time, or nothing if it doesn't fit.
    fn keep(&mut self, value: &[u8], times: &Times, number: u64) -> Option<f64> {
        let text = std::str::from_utf8(value).ok()?;
        let head = self.row.read(text, &mut self.layouts, times)?;
        self.kept
            .push(head.layout, &head.variant, head.time, &self.row, number);
        Some(head.time)
    }
}

/// Return the hashes of texts as uint64, 0 for one without characters. `offsets` are where each
/// begins in `text`, and where the last one ends. Raises `ValueError` if that is not in the text.
#[pyfunction]
fn id_hashes<'py>(
    py: Python<'py>,
    offsets: PyBuffer<i64>,
    text: PyBuffer<u8>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (offsets, text) = (offsets.to_vec(py)?, text.to_vec(py)?);
    let found = outcomes::hashes(&offsets, &text)
        .ok_or_else(|| PyValueError::new_err("an offset outside of the text"))?;
    let bytes: Vec<u8> = found.iter().flat_map(|it| it.to_ne_bytes()).collect();
    Ok(PyBytes::new(py, &bytes))
}

/// Do what should not panic; if it does, that is a `RuntimeError`, as exceptions are in Python.
/// pyo3 would make it one that no `except Exception` catches.
pub(crate) fn guarded<T>(work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let why = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(PyRuntimeError::new_err(format!(
            "the extension failed: {}",
            why.unwrap_or("no reason given")
        )))
    })
}

#[pymodule]
fn tidegauge_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cell::add_columns, module)?)?;
    module.add_function(wrap_pyfunction!(id_hashes, module)?)?;
    module.add_class::<batch::BatchCounter>()?;
    module.add_class::<Decoder>()
}
