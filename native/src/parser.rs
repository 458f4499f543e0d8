//! Any event by a general JSON parser: escapes, nested values, features ahead of the model.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::event::{Event, Features, Row};
use crate::layout::{Layout, Layouts, Order, OUTPUTS};
use crate::segments::SegmentsReader;
use crate::time;
use crate::values::{Skipped, Text, Value};

/// Read an event into the row; nothing if it doesn't fit. Its features may be left as they are.
pub fn read<'de>(text: &'de str, row: &mut Row, layouts: &mut Layouts) -> Option<Event<'de>> {
    layouts.dimensions.clear(&mut row.segments);
    let mut from = serde_json::Deserializer::from_str(text);
    let event = from.deserialize_map(Reader { row, layouts }).ok()?;
    from.end().ok()?;
    Some(event)
}

/// Read features into the row; nothing if they don't fit.
pub fn read_features(text: &str, row: &mut Row, layout: &mut Layout) -> Option<()> {
    let mut from = serde_json::Deserializer::from_str(text);
    from.deserialize_map(FeaturesReader { row, layout }).ok()
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
                "time" => {
                    let found = match map.next_value::<Value>()? {
                        Value::Int(seconds) => Some(seconds as f64),
                        Value::Float(seconds) => Some(seconds),
                        Value::Text(text) => time::seconds(&text),
                        Value::Null | Value::Bool(_) => None,
                    };
                    let seconds = found.ok_or_else(|| A::Error::custom("no time"))?;
                    once(&mut event.time, seconds)?;
                }
                "model" => once(&mut event.model, map.next_value::<Text>()?.0)?,
                "version" => once(&mut event.version, map.next_value::<Text>()?.0)?,
                "variant" => once(&mut event.variant, map.next_value::<Text>()?.0)?,
                "id" => event.id = map.next_value()?,
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
