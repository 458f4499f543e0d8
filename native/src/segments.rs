//! Segments: which value of each monitored dimension an event names.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::values::{Skipped, Text, Value};

/// Longest value, in characters.
const VALUE_CHARACTERS: usize = 200;

/// What a value takes beside its text, bytes.
const VALUE_BYTES: usize = 48;

/// What stands for no value, and for one that can't name a slice.
const NONE: i64 = -1;
const UNUSABLE: i64 = -2;

/// The monitored dimensions, with a number for each value since they were last forgotten.
pub struct Dimensions {
    names: Vec<String>,
    numbers: Vec<HashMap<String, i64>>,
    bytes: usize,
}

impl Dimensions {
    pub fn new(names: Vec<String>) -> Self {
        Dimensions {
            numbers: vec![HashMap::new(); names.len()],
            names,
            bytes: 0,
        }
    }

    /// Memory that the values take, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// An event that names no segment: one place for each dimension.
    pub fn clear(&self, codes: &mut Vec<i64>) {
        codes.clear();
        codes.resize(self.names.len(), NONE);
    }

    /// Put a value in its dimension's place, if that is monitored.
    pub fn set(&mut self, codes: &mut [i64], name: &str, value: &Value) {
        if let Some(place) = self.names.iter().position(|it| it == name) {
            codes[place] = self.code(place, value);
        }
    }

    fn code(&mut self, dimension: usize, value: &Value) -> i64 {
        let text = match value {
            Value::Null => return NONE,
            Value::Text(text) if text.is_empty() => return NONE,
            Value::Text(text) => text.as_ref(),
            _ => return UNUSABLE,
        };
        let numbers = &mut self.numbers[dimension];
        if let Some(number) = numbers.get(text) {
            return *number;
        }
        if text.len() > VALUE_CHARACTERS && text.chars().count() > VALUE_CHARACTERS {
            return UNUSABLE;
        }
        let number = numbers.len() as i64;
        numbers.insert(text.to_owned(), number);
        self.bytes += VALUE_BYTES + text.len();
        number
    }

    /// Return the values by dimension, in order of their numbers.
    pub fn values(&self) -> Vec<Vec<String>> {
        let in_order = |numbers: &HashMap<String, i64>| {
            let mut found: Vec<_> = numbers.iter().collect();
            found.sort_unstable_by_key(|(_, number)| **number);
            found.into_iter().map(|(value, _)| value.clone()).collect()
        };
        self.numbers.iter().map(in_order).collect()
    }

    /// Begin with new numbers.
    pub fn forget(&mut self) {
        self.numbers.iter_mut().for_each(HashMap::clear);
        self.bytes = 0;
    }
}

/// Reads an event's segments; of what is no object there are none.
pub struct SegmentsReader<'a> {
    pub codes: &'a mut Vec<i64>,
    pub dimensions: &'a mut Dimensions,
}

impl<'de> DeserializeSeed<'de> for SegmentsReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.dimensions.clear(self.codes);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SegmentsReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("segments by dimension")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key::<Text>()? {
            if self.dimensions.names.iter().any(|it| *it == name) {
                let value = map.next_value::<Value>()?;
                self.dimensions.set(self.codes, &name, &value);
            } else {
                let Skipped = map.next_value()?;
            }
        }
        Ok(())
    }
}
