//! Where each signal of a model's version goes, and which bin a category is.

#[cfg(not(fuzzing))]
use pyo3::prelude::*;

use crate::names::Names;
use crate::outcomes::Classes;
use crate::segments::Dimensions;

/// `(name, of the features)`.
pub type Numeric = (String, bool);
/// `(name, of the features, type, bin by value, absent, null, any other)`.
pub type Categorical = (String, bool, String, Vec<(Category, i64)>, i64, i64, i64);

/// What is kept of the outcome of an event.
#[derive(Clone, Copy, Default, PartialEq)]
pub enum Awaited {
    /// Nothing: no labels are awaited.
    #[default]
    Nothing,
    /// Its id.
    Number,
    /// Its id and its class.
    Class,
}

/// `(model, version, numeric, categorical, awaited)`; the last is "", "number" or "class".
pub type Model = (String, String, Vec<Numeric>, Vec<Categorical>, String);

/// A category as Python gives it.
#[cfg_attr(not(fuzzing), derive(FromPyObject))]
pub enum Category {
    // Before the integer: Python's bool is one.
    Bool(bool),
    Int(i64),
    Text(String),
}

/// Bins of one categorical signal, by value. A value of another type is left to the caller.
pub enum Bins {
    Text(Names<String, i64>),
    Int(Names<i64, i64>),
    Bool(Names<bool, i64>),
}

pub struct Codes {
    pub bins: Bins,
    pub null: i64,
    pub other: i64,
}

/// A column among the floats or among the bin numbers.
#[derive(Clone, Copy)]
pub enum Place {
    Numeric(u32),
    Code(u32),
}

/// Signals that are not among the features.
pub const OUTPUTS: [&str; 4] = ["prediction", "latency_ms", "status", "label"];
/// The number of `label` among them.
pub const LABEL: usize = 3;

/// A model's version: its signals' names and places.
#[derive(Default)]
pub struct Layout {
    pub version: String,
    /// A row in which everything is absent.
    pub absent: (Vec<f64>, Vec<i64>),
    pub codes: Vec<Codes>,
    /// By number in [`OUTPUTS`].
    pub outputs: [Option<Place>; 4],
    pub awaited: Awaited,
    features: Vec<Feature>,
    /// The features' names as JSON has them, one after another: many models take turns, and the
    /// less of each is looked at, the more of them stay in the processor's cache.
    keys: String,
    by_name: Names<String, u32>,
}

impl Layout {
    fn new(
        version: String,
        numeric: Vec<Numeric>,
        categorical: Vec<Categorical>,
        awaited: &str,
    ) -> Self {
        let mut it = Layout {
            version,
            awaited: match awaited {
                "" => Awaited::Nothing,
                "class" => Awaited::Class,
                _ => Awaited::Number,
            },
            ..Layout::default()
        };
        for (name, of_features) in numeric {
            let place = Place::Numeric(it.absent.0.len() as u32);
            it.absent.0.push(f64::INFINITY);
            it.add(name, of_features, place);
        }
        for (name, of_features, kind, values, absent, null, other) in categorical {
            let place = Place::Code(it.codes.len() as u32);
            it.absent.1.push(absent);
            let bins = bins(&kind, values);
            it.codes.push(Codes { bins, null, other });
            it.add(name, of_features, place);
        }
        it
    }

    fn add(&mut self, name: String, of_features: bool, place: Place) {
        if of_features {
            let number = self.features.len() as u32;
            let needs_escapes = |it: char| it < ' ' || matches!(it, '"' | '\\');
            let begin = self.keys.len();
            if !name.contains(needs_escapes) {
                self.keys.extend(["\"", &name, "\""]);
            }
            self.features.push(Feature {
                key: (begin as u32, self.keys.len() as u32),
                next: number + 1,
                place,
            });
            self.by_name.insert(name, number);
        } else if let Some(number) = OUTPUTS.iter().position(|output| *output == name) {
            self.outputs[number] = Some(place);
        }
    }

    /// Find a feature by name.
    pub fn feature(&mut self, name: &str, order: &mut Order) -> Option<Place> {
        let found = *self.by_name.get(name)?;
        if let Some(before) = order.before {
            self.features[before as usize].next = found;
        }
        Some(self.take(found, order))
    }

    /// Return the most likely feature if JSON goes on with its name, and how long that is.
    pub fn expected_feature(&self, text: &str, order: &mut Order) -> Option<(Place, usize)> {
        let (begin, end) = self.features.get(order.expected as usize)?.key;
        let key = &self.keys.as_bytes()[begin as usize..end as usize];
        (!key.is_empty() && text.as_bytes().starts_with(key))
            .then(|| (self.take(order.expected, order), key.len()))
    }

    fn take(&self, found: u32, order: &mut Order) -> Place {
        let feature = &self.features[found as usize];
        order.before = Some(found);
        order.expected = feature.next;
        feature.place
    }
}

struct Feature {
    /// Where its name is in the keys: nowhere, if it needs escapes.
    key: (u32, u32),
    /// Which came after it last time; producers keep their order.
    next: u32,
    place: Place,
}

/// Where a reader is in the features: which it expects next, and which it has just read.
#[derive(Default)]
pub struct Order {
    expected: u32,
    before: Option<u32>,
}

fn bins(kind: &str, values: Vec<(Category, i64)>) -> Bins {
    let mut texts = Names::default();
    let mut ints = Names::default();
    let mut bools = Names::default();
    for (value, bin) in values {
        match value {
            Category::Text(value) => drop(texts.insert(value, bin)),
            Category::Int(value) => drop(ints.insert(value, bin)),
            Category::Bool(value) => drop(bools.insert(value, bin)),
        }
    }
    match kind {
        "integer" => Bins::Int(ints),
        "boolean" => Bins::Bool(bools),
        _ => Bins::Text(texts),
    }
}

/// All layouts, by model and version, and the dimensions and classes of all their traffic.
pub struct Layouts {
    pub all: Vec<Layout>,
    pub dimensions: Dimensions,
    pub classes: Classes,
    by_name: Names<String, Versions>,
}

/// The layouts of a model by version, and the one that was found last.
#[derive(Default)]
struct Versions {
    all: Names<String, usize>,
    last: usize,
}

impl Layouts {
    pub fn new(models: Vec<Model>, dimensions: Vec<String>) -> Self {
        let mut it = Layouts {
            all: Vec::new(),
            dimensions: Dimensions::new(dimensions),
            classes: Classes::default(),
            by_name: Names::default(),
        };
        for (model, version, numeric, categorical, awaited) in models {
            let versions = it.by_name.entry(model).or_default();
            versions.all.insert(version.clone(), it.all.len());
            versions.last = it.all.len();
            it.all
                .push(Layout::new(version, numeric, categorical, &awaited));
        }
        it
    }

    pub fn find(&mut self, model: &str, version: &str) -> Option<usize> {
        let versions = self.by_name.get_mut(model)?;
        if self.all[versions.last].version != version {
            versions.last = *versions.all.get(version)?;
        }
        Some(versions.last)
    }
}
