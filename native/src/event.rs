//! One event: its JSON to a row of a layout.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::layout::{Bins, Layout, Layouts, Order, Place, OUTPUTS};
use crate::plain;
use crate::segments::SegmentsReader;
use crate::values::{Skipped, Text, Value};

/// Longest name of a variant, in characters.
const NAME_CHARACTERS: usize = 200;

/// Event times that can be true, epoch seconds.
pub struct Times {
    pub earliest: f64,
    pub latest: f64,
}

/// A row as its columns have it.
#[derive(Clone, Default)]
pub struct Row {
    pub numeric: Vec<f64>,
    pub codes: Vec<i64>,
    /// By dimension.
    pub segments: Vec<i64>,
}

/// What an event says of itself.
pub struct Head<'de> {
    pub layout: usize,
    pub variant: Cow<'de, str>,
    pub time: f64,
}

impl Row {
    /// Read an event into this row; nothing if it doesn't fit.
    pub fn read<'de>(
        &mut self,
        text: &'de str,
        layouts: &mut Layouts,
        times: &Times,
    ) -> Option<Head<'de>> {
        layouts.dimensions.clear(&mut self.segments);
        let event = plain::read(text, self, layouts).or_else(|| self.read_any(text, layouts))?;
        self.complete(event, layouts, times)
    }

    /// As [`Row::read`], by the general parser alone: the two must agree.
    #[cfg(fuzzing)]
    pub fn read_by_parser<'de>(
        &mut self,
        text: &'de str,
        layouts: &mut Layouts,
        times: &Times,
    ) -> Option<Head<'de>> {
        let event = self.read_any(text, layouts)?;
        self.complete(event, layouts, times)
    }

    /// Put into this row what an event has beside its features, and those if they came first.
    fn complete<'de>(
        &mut self,
        event: Event<'de>,
        layouts: &mut Layouts,
        times: &Times,
    ) -> Option<Head<'de>> {
        let time = event.time?;
        if !(times.earliest <= time && time <= times.latest) {
            return None;
        }
        let variant = event.variant.unwrap_or(Cow::Borrowed(""));
        if variant.len() > NAME_CHARACTERS && variant.chars().count() > NAME_CHARACTERS {
            return None;
        }
        let layout = match event.features {
            Features::Read(layout) => layout,
            Features::None | Features::Raw(_) => {
                let layout = layouts.find(event.model.as_deref()?, event.version.as_deref()?)?;
                self.clear(&layouts.all[layout]);
                if let Features::Raw(raw) = event.features {
                    let mut from = serde_json::Deserializer::from_str(raw.get());
                    let layout = &mut layouts.all[layout];
                    from.deserialize_map(FeaturesReader { row: self, layout })
                        .ok()?;
                }
                layout
            }
        };
        for (number, value) in event.outputs.iter().enumerate() {
            if let (Some(place), Some(value)) = (layouts.all[layout].outputs[number], value) {
                self.set(&layouts.all[layout], place, value)?;
            }
        }
        Some(Head {
            layout,
            variant,
            time,
        })
    }

    fn read_any<'de>(&mut self, text: &'de str, layouts: &mut Layouts) -> Option<Event<'de>> {
        layouts.dimensions.clear(&mut self.segments);
        let mut from = serde_json::Deserializer::from_str(text);
        let event = from.deserialize_map(Reader { row: self, layouts }).ok()?;
        from.end().ok()?;
        Some(event)
    }

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
    pub features: Features<'de>,
    /// By number in [`OUTPUTS`]; the last of a name is the one that counts.
    pub outputs: [Option<Value<'de>>; 4],
}

struct Reader<'a> {
    row: &'a mut Row,
    layouts: &'a mut Layouts,
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Event<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut event = Event::default();
        while let Some(Text(key)) = map.next_key::<Text>()? {
            match key.as_ref() {
                "time" => once(&mut event.time, map.next_value::<f64>()?)?,
                "model" => once(&mut event.model, map.next_value::<Text>()?.0)?,
                "version" => once(&mut event.version, map.next_value::<Text>()?.0)?,
                "variant" => once(&mut event.variant, map.next_value::<Text>()?.0)?,
                "features" => {
                    if !matches!(event.features, Features::None) {
                        return Err(A::Error::custom("twice"));
                    }
                    event.features = match (&event.model, &event.version) {
                        (Some(model), Some(version)) => {
                            let found = self.layouts.find(model, version);
                            let number = found.ok_or_else(|| A::Error::custom("unknown"))?;
                            let layout = &mut self.layouts.all[number];
                            self.row.clear(layout);
                            map.next_value_seed(FeaturesReader {
                                row: self.row,
                                layout,
                            })?;
                            Features::Read(number)
                        }
                        _ => Features::Raw(map.next_value()?),
                    };
                }
                "segments" if !self.layouts.dimensions.is_empty() => {
                    map.next_value_seed(SegmentsReader {
                        codes: &mut self.row.segments,
                        dimensions: &mut self.layouts.dimensions,
                    })?;
                }
                key => match OUTPUTS.iter().position(|output| *output == key) {
                    Some(number) => event.outputs[number] = Some(map.next_value()?),
                    None => {
                        let Skipped = map.next_value()?;
                    }
                },
            }
        }
        Ok(event)
    }
}

fn once<T, E: Error>(place: &mut Option<T>, value: T) -> Result<(), E> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("twice")),
    }
}

struct FeaturesReader<'a> {
    row: &'a mut Row,
    layout: &'a mut Layout,
}

impl<'de> DeserializeSeed<'de> for FeaturesReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FeaturesReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("features by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut order = Order::default();
        while let Some(Text(name)) = map.next_key::<Text>()? {
            match self.layout.feature(&name, &mut order) {
                Some(place) => self
                    .row
                    .set(self.layout, place, &map.next_value::<Value>()?)
                    .ok_or_else(|| A::Error::custom("not of the signal's type"))?,
                None => {
                    let Skipped = map.next_value()?;
                }
            }
        }
        Ok(())
    }
}
