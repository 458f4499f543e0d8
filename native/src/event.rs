//! One event as it is read: what it says of itself, and a row of its layout's values.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::layout::{Bins, Layout, Place};
use crate::outcomes::Id;
use crate::values::Value;

/// A row as its columns have it.
#[derive(Clone, Default)]
pub struct Row {
    pub numeric: Vec<f64>,
    pub codes: Vec<i64>,
    /// By dimension.
    pub segments: Vec<i64>,
    /// The hash of the id and the number of the class, where labels are awaited.
    pub outcome: Option<(u64, i64)>,
}

impl Row {
    /// Begin a row in which everything is absent.
    pub fn clear(&mut self, layout: &Layout) {
        self.numeric.clear();
        self.numeric.extend_from_slice(&layout.absent.0);
        self.codes.clear();
        self.codes.extend_from_slice(&layout.absent.1);
    }

    /// Put a value in its place; nothing if it is not of the signal's type.
    pub fn set(&mut self, layout: &Layout, place: Place, value: &Value) -> Option<()> {
        match place {
            Place::Numeric(column) => self.numeric[column as usize] = value.number()?,
            Place::Code(column) => {
                let codes = &layout.codes[column as usize];
                let found = match (&codes.bins, value) {
                    (_, Value::Null) => Some(&codes.null),
                    (Bins::Text(bins), Value::Text(text)) => bins.get(text.as_ref()),
                    (Bins::Int(bins), Value::Int(number)) => bins.get(number),
                    (Bins::Int(bins), Value::Float(number)) => bins.get(&whole(*number)?),
                    (Bins::Bool(bins), Value::Bool(truth)) => bins.get(truth),
                    _ => return None,
                };
                self.codes[column as usize] = *found.unwrap_or(&codes.other);
            }
        }
        Some(())
    }
}

#[derive(Default)]
pub enum Features<'de> {
    #[default]
    None,
    /// Read into the row, by the layout of this number.
    Read(usize),
    /// They came before the model or its version.
    Raw(&'de RawValue),
}

#[derive(Default)]
pub struct Event<'de> {
    pub time: Option<f64>,
    pub model: Option<Cow<'de, str>>,
    pub version: Option<Cow<'de, str>>,
    pub variant: Option<Cow<'de, str>>,
    /// The last one counts.
    pub id: Id<'de>,
    pub features: Features<'de>,
    /// By number in [`OUTPUTS`]; the last of a name is the one that counts.
    pub outputs: [Option<Value<'de>>; 4],
}

/// A whole number that was written as a float; what frames make of integers with gaps.
pub fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = (1_i64 << 53) as f64;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}
