//! Arrow record batches, counted where they lie: by Arrow's C data interface, without a copy.

use std::cell::Cell;
use std::ffi::c_void;
use std::marker::PhantomData;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::cell::writable;
use crate::column::{Bins, Block, Totals, BLOCK};
use crate::guarded;

/// As https://arrow.apache.org/docs/format/CDataInterface.html has it.
#[repr(C)]
struct ArrowArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *const *const c_void,
    children: *const *const ArrowArray,
    dictionary: *const ArrowArray,
    release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    private_data: *mut c_void,
}

/// `(path, type, edges, offset, number)`.
type Given = (Vec<usize>, String, Vec<f64>, usize, usize);

/// Counts the batches of one schema by one plan.
#[pyclass(frozen)]
pub struct BatchCounter {
    time: usize,
    columns: Vec<Column>,
    places: Vec<usize>,
}

struct Column {
    path: Vec<usize>,
    kind: Kind,
    bins: Bins,
    offset: usize,
    /// Among the plan's numeric signals.
    number: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    F64,
    F32,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
}

#[pymethods]
impl BatchCounter {
    /// Make a counter of batches whose column `time` has float64 event times.
    ///
    /// `columns` are `(path, type, edges, offset, number)`: where the column is among the batch's
    /// and then its struct's columns, Arrow's name of its type, its edges, where its bins begin
    /// among the counts, and its place among the sums. `places` are the counts to which every row
    /// adds one, whatever is in it. Raises `ValueError` for a type that is no number's.
    #[new]
    fn new(time: usize, columns: Vec<Given>, places: Vec<usize>) -> PyResult<Self> {
        let columns: PyResult<_> = columns
            .into_iter()
            .map(|(path, kind, edges, offset, number)| {
                Ok(Column {
                    path,
                    kind: Kind::of(&kind)?,
                    bins: Bins::new(edges.into_iter()),
                    offset,
                    number,
                })
            })
            .collect();
        Ok(BatchCounter {
            time,
            columns: columns?,
            places,
        })
    }

    /// Return the earliest and the latest time of a batch, the capsule of `__arrow_c_array__`.
    ///
    /// None for a batch that can't be counted as it lies: of no rows, with a time that is null or
    /// NaN, or with a struct that is null in some row or a slice of another.
    fn times(&self, batch: &Bound<'_, PyCapsule>) -> PyResult<Option<(f64, f64)>> {
        let Some(batch) = Whole::of(batch)? else {
            return Ok(None);
        };
        let Some(times) = batch.column(&[self.time]).filter(|it| it.nulls.is_none()) else {
            return Ok(None);
        };
        if times.rows == 0
            || self
                .columns
                .iter()
                .any(|it| batch.column(&it.path).is_none())
        {
            return Ok(None);
        }
        let (mut first, mut last, mut sound) = (f64::INFINITY, f64::NEG_INFINITY, true);
        for row in 0..times.rows {
            // SAFETY: the column is of float64, as who made this counter said.
            let time: f64 = unsafe { times.value(row) };
            sound &= !time.is_nan();
            first = if time < first { time } else { first };
            last = if time > last { time } else { last };
        }
        Ok(sound.then_some((first, last)))
    }

    /// Add every row of a batch that [`times`](Self::times) has been found for; return how many.
    #[allow(clippy::too_many_arguments)]
    fn add(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, PyCapsule>,
        counts: PyBuffer<i64>,
        sums: PyBuffer<f64>,
        sumsqs: PyBuffer<f64>,
        minima: PyBuffer<f64>,
        maxima: PyBuffer<f64>,
    ) -> PyResult<i64> {
        let unusable = || PyValueError::new_err("the batch can't be counted as it lies");
        let batch = Whole::of(batch)?.ok_or_else(unusable)?;
        let counts = writable(py, &counts)?;
        let (sums, sumsqs) = (writable(py, &sums)?, writable(py, &sumsqs)?);
        let (minima, maxima) = (writable(py, &minima)?, writable(py, &maxima)?);
        guarded(|| {
            for column in &self.columns {
                let values = batch.column(&column.path).ok_or_else(unusable)?;
                let totals = column.count(&values, &counts[column.offset..]);
                totals.add_to(sums, sumsqs, minima, maxima, column.number);
            }
            let rows = batch.0.length;
            for place in &self.places {
                counts[*place].set(counts[*place].get() + rows);
            }
            Ok(rows)
        })
    }
}

impl Kind {
    fn of(name: &str) -> PyResult<Self> {
        Ok(match name {
            "double" => Kind::F64,
            "float" => Kind::F32,
            "int64" => Kind::I64,
            "int32" => Kind::I32,
            "int16" => Kind::I16,
            "int8" => Kind::I8,
            "uint64" => Kind::U64,
            "uint32" => Kind::U32,
            "uint16" => Kind::U16,
            "uint8" => Kind::U8,
            _ => return Err(PyValueError::new_err(format!("a column of {name}"))),
        })
    }
}

impl Column {
    fn count(&self, values: &Values, counts: &[Cell<i64>]) -> Totals {
        match self.kind {
            Kind::F64 => self.count_as(values, counts, |x: f64| x),
            Kind::F32 => self.count_as(values, counts, |x: f32| f64::from(x)),
            Kind::I64 => self.count_as(values, counts, |x: i64| x as f64),
            Kind::I32 => self.count_as(values, counts, |x: i32| f64::from(x)),
            Kind::I16 => self.count_as(values, counts, |x: i16| f64::from(x)),
            Kind::I8 => self.count_as(values, counts, |x: i8| f64::from(x)),
            Kind::U64 => self.count_as(values, counts, |x: u64| x as f64),
            Kind::U32 => self.count_as(values, counts, |x: u32| f64::from(x)),
            Kind::U16 => self.count_as(values, counts, |x: u16| f64::from(x)),
            Kind::U8 => self.count_as(values, counts, |x: u8| f64::from(x)),
        }
    }

    /// Count values of a type that must be the column's.
    fn count_as<T>(
        &self,
        values: &Values,
        counts: &[Cell<i64>],
        number: impl Fn(T) -> f64,
    ) -> Totals {
        let counts = &counts[..self.bins.width()];
        let mut totals = Totals::new();
        // What `add_columns` calls not finite is -inf, what is null is NaN.
        let number = |row| {
            // SAFETY: the row is one of the column, and T its type.
            let x = number(unsafe { values.value(row) });
            if x.is_finite() {
                x
            } else {
                f64::NEG_INFINITY
            }
        };
        for first in (0..values.rows).step_by(BLOCK) {
            let rows = first..values.rows.min(first + BLOCK);
            let block = if values.nulls.is_none() {
                Block::new(rows.map(number))
            } else {
                let number = |row| {
                    if values.is_null(row) {
                        f64::NAN
                    } else {
                        number(row)
                    }
                };
                Block::new(rows.map(number))
            };
            self.bins.count(&block, counts, &mut totals);
        }
        totals
    }
}

/// A batch: a struct without nulls, from its first row on.
struct Whole<'a>(&'a ArrowArray);

impl<'a> Whole<'a> {
    fn of(capsule: &'a Bound<'_, PyCapsule>) -> PyResult<Option<Self>> {
        if capsule.name()? != Some(c"arrow_array") {
            return Err(PyValueError::new_err("not the capsule of an Arrow array"));
        }
        // SAFETY: that is what the name stands for. Only the capsule's end releases the array.
        let array = unsafe { &*capsule.pointer().cast::<ArrowArray>() };
        Ok(Self::if_sound(array))
    }

    fn if_sound(array: &'a ArrowArray) -> Option<Self> {
        (array.release.is_some() && array.offset == 0 && array.null_count == 0)
            .then_some(Whole(array))
    }

    fn child(&self, number: usize) -> Option<&'a ArrowArray> {
        let there_is = i64::try_from(number).is_ok_and(|it| it < self.0.n_children);
        // SAFETY: there are so many children, and they live as long as their parent.
        there_is.then(|| unsafe { &**self.0.children.add(number) })
    }

    /// The column at a path through structs; nothing if it isn't there, or none of numbers.
    fn column(&self, path: &[usize]) -> Option<Values<'a>> {
        let (last, structs) = path.split_last()?;
        let mut at = Whole(self.0);
        for number in structs {
            at = Whole::if_sound(at.child(*number)?)?;
        }
        let array = at.child(*last)?;
        let alike = array.length == self.0.length && array.n_buffers == 2 && array.n_children == 0;
        // SAFETY: there are two buffers.
        let [nulls, values] = unsafe { *array.buffers.cast::<[*const c_void; 2]>() };
        (alike && array.offset >= 0 && !values.is_null()).then(|| Values {
            of: PhantomData,
            rows: array.length as usize,
            offset: array.offset as usize,
            nulls: (array.null_count != 0 && !nulls.is_null()).then_some(nulls.cast()),
            values,
        })
    }
}

/// The buffers of a column of numbers.
struct Values<'a> {
    of: PhantomData<&'a ArrowArray>,
    rows: usize,
    offset: usize,
    /// A bit for each row, 0 where there is no value.
    nulls: Option<*const u8>,
    values: *const c_void,
}

impl Values<'_> {
    /// The value of a row; the row must be below `rows`, and `T` the column's type.
    #[inline(always)]
    unsafe fn value<T>(&self, row: usize) -> T {
        // A message begins at any address.
        self.values
            .cast::<T>()
            .add(self.offset + row)
            .read_unaligned()
    }

    fn is_null(&self, row: usize) -> bool {
        let at = self.offset + row;
        // SAFETY: a row has a bit.
        self.nulls
            .is_some_and(|bits| unsafe { *bits.add(at / 8) } >> (at % 8) & 1 == 0)
    }
}
