//! What a row has beside its signals if labels are awaited: the hash of its id, its predicted class.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use xxhash_rust::xxh3::xxh3_64;

use crate::event::whole;
use crate::values::{Skipped, Value};

/// What stands for no id, and for one that is no text. No text has these hashes but by a chance of
/// one in 2^63.
const NO_ID: u64 = 0;
const UNUSABLE_ID: u64 = 1;

/// What stands for no class.
pub const NO_CLASS: i64 = -1;

/// The longest text of a class, in bytes; a longer one may still be a number.
const CLASS_BYTES: usize = 200;

/// What a class takes beside its text, bytes.
const TEXT_BYTES: usize = 48;

/// The id of an event.
#[derive(Default)]
pub enum Id<'de> {
    #[default]
    None,
    Text(Cow<'de, str>),
    Unusable,
}

impl Id<'_> {
    pub fn hash(&self) -> u64 {
        match self {
            Id::Text(text) if !text.is_empty() => xxh3_64(text.as_bytes()),
            Id::Text(_) | Id::None => NO_ID,
            Id::Unusable => UNUSABLE_ID,
        }
    }
}

impl<'de> From<Value<'de>> for Id<'de> {
    fn from(value: Value<'de>) -> Self {
        match value {
            Value::Null => Id::None,
            Value::Text(text) => Id::Text(text),
            _ => Id::Unusable,
        }
    }
}

/// Hashes of texts, of which each ends where the next begins.
pub fn hashes(offsets: &[i64], text: &[u8]) -> Option<Vec<u64>> {
    let of = |ends: &[i64]| {
        let [begin, end] = [ends[0], ends[1]].map(|it| usize::try_from(it).ok());
        let found = text.get(begin?..end?)?;
        Some(if found.is_empty() {
            NO_ID
        } else {
            xxh3_64(found)
        })
    };
    offsets.windows(2).map(of).collect()
}

/// The classes that rows predict, with a number for each text since they were last forgotten.
#[derive(Default)]
pub struct Classes {
    numbers: HashMap<String, i64>,
    bytes: usize,
}

impl Classes {
    /// Memory that the texts take, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of a class; nothing if its text is Python's to write or too long for a class.
    pub fn number(&mut self, value: Option<&Value>) -> Option<i64> {
        match value {
            None | Some(Value::Null) => Some(NO_CLASS),
            Some(Value::Text(text)) if text.len() <= CLASS_BYTES => Some(self.of(text)),
            Some(Value::Bool(truth)) => Some(self.of(if *truth { "true" } else { "false" })),
            Some(Value::Int(number)) => Some(self.of(&number.to_string())),
            Some(Value::Float(number)) => whole(*number).map(|it| self.of(&it.to_string())),
            Some(Value::Text(_)) => None,
        }
    }

    fn of(&mut self, text: &str) -> i64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len() as i64;
        self.numbers.insert(text.to_owned(), number);
        self.bytes += TEXT_BYTES + text.len();
        number
    }

    /// Return the texts in order of their numbers.
    pub fn texts(&self) -> Vec<String> {
        let mut found: Vec<_> = self.numbers.iter().collect();
        found.sort_unstable_by_key(|(_, number)| **number);
        found.into_iter().map(|(text, _)| text.clone()).collect()
    }

    /// Begin with new numbers.
    pub fn forget(&mut self) {
        self.numbers.clear();
        self.bytes = 0;
    }
}

impl<'de> Deserialize<'de> for Id<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl<'de> Visitor<'de> for IdVisitor {
    type Value = Id<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Id<'de>, E> {
        Ok(Id::None)
    }

    fn visit_str<E>(self, value: &str) -> Result<Id<'de>, E> {
        Ok(Id::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Id<'de>, E> {
        Ok(Id::Text(Cow::Borrowed(value)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Id<'de>, E> {
        Ok(Id::Unusable)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Id<'de>, E> {
        Ok(Id::Unusable)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Id<'de>, E> {
        Ok(Id::Unusable)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Id<'de>, E> {
        Ok(Id::Unusable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Id<'de>, A::Error> {
        while values.next_element::<Skipped>()?.is_some() {}
        Ok(Id::Unusable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Id<'de>, A::Error> {
        while map
            .next_entry::<serde::de::IgnoredAny, Skipped>()?
            .is_some()
        {}
        Ok(Id::Unusable)
    }
}
