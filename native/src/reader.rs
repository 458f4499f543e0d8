//! From the JSON of an event to a complete row.

use std::borrow::Cow;

use crate::event::{Event, Features, Row};
use crate::layout::{Awaited, Layouts, LABEL};
use crate::outcomes::NO_CLASS;
use crate::time::Times;
use crate::{parser, plain};

/// Longest name of a variant, in characters.
const NAME_CHARACTERS: usize = 200;

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
        let event =
            plain::read(text, self, layouts).or_else(|| parser::read(text, self, layouts))?;
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
        let event = parser::read(text, self, layouts)?;
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
                    parser::read_features(raw.get(), self, &mut layouts.all[layout])?;
                }
                layout
            }
        };
        for (number, value) in event.outputs.iter().enumerate() {
            if let (Some(place), Some(value)) = (layouts.all[layout].outputs[number], value) {
                self.set(&layouts.all[layout], place, value)?;
            }
        }
        self.outcome = match layouts.all[layout].awaited {
            Awaited::Nothing => None,
            Awaited::Number => Some((event.id.hash(), NO_CLASS)),
            Awaited::Class => {
                let class = layouts.classes.number(event.outputs[LABEL].as_ref())?;
                Some((event.id.hash(), class))
            }
        };
        Some(Head {
            layout,
            variant,
            time,
        })
    }
}
