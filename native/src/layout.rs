//! Where each signal of a model's version goes, and which bin a category is.

use std::collections::HashMap;

use pyo3::prelude::*;

use crate::segments::Dimensions;

/// `(name, of the features)`.
pub type Numeric = (String, bool);
/// `(name, of the features, type, bin by value, absent, null, any other)`.
pub type Categorical = (String, bool, String, Vec<(Category, i64)>, i64, i64, i64);

/// A category as Python gives it.
#[derive(FromPyObject)]
pub enum Category {
    // Before the integer: Python's bool is one.
    Bool(bool),
    Int(i64),
    Text(String),
}

/// Bins of one categorical signal, by value. A value of another type is left to the caller.
pub enum Bins {
    Text(HashMap<String, i64>),
    Int(HashMap<i64, i64>),
    Bool(HashMap<bool, i64>),
}

pub struct Codes {
    pub bins: Bins,
    pub null: i64,
    pub other: i64,
}

/// A column among the floats or among the bin numbers.
#[derive(Clone, Copy)]
pub enum Place {
    Numeric(usize),
    Code(usize),
}

/// Signals that are not among the features.
pub const OUTPUTS: [&str; 4] = ["prediction", "latency_ms", "status", "label"];

/// A model's version: its signals' names and places.
#[derive(Default)]
pub struct Layout {
    pub model: String,
    pub version: String,
    /// A row in which everything is absent.
    pub absent: (Vec<f64>, Vec<i64>),
    pub codes: Vec<Codes>,
    /// By number in [`OUTPUTS`].
    pub outputs: [Option<Place>; 4],
    features: Vec<Feature>,
    by_name: HashMap<String, usize>,
    /// By feature, which came after it last time; producers keep their order.
    next: Vec<usize>,
}

impl Layout {
    fn new(
        model: String,
        version: String,
        numeric: Vec<Numeric>,
        categorical: Vec<Categorical>,
    ) -> Self {
        let mut it = Layout {
            model,
            version,
            ..Layout::default()
        };
        for (name, of_features) in numeric {
            let place = Place::Numeric(it.absent.0.len());
            it.absent.0.push(f64::INFINITY);
            it.add(name, of_features, place);
        }
        for (name, of_features, kind, values, absent, null, other) in categorical {
            let place = Place::Code(it.codes.len());
            it.absent.1.push(absent);
            let bins = bins(&kind, values);
            it.codes.push(Codes { bins, null, other });
            it.add(name, of_features, place);
        }
        it.next = (1..=it.features.len()).collect();
        it
    }

    fn add(&mut self, name: String, of_features: bool, place: Place) {
        if of_features {
            self.by_name.insert(name.clone(), self.features.len());
            let needs_escapes = |it: char| it < ' ' || matches!(it, '"' | '\\');
            let key = (!name.contains(needs_escapes)).then(|| format!("\"{name}\""));
            self.features.push(Feature { name, key, place });
        } else if let Some(number) = OUTPUTS.iter().position(|output| *output == name) {
            self.outputs[number] = Some(place);
        }
    }

    /// Find a feature by name.
    pub fn feature(&mut self, name: &str, order: &mut Order) -> Option<Place> {
        let mut found = order.expected;
        if self.features.get(found).map(|it| it.name.as_str()) != Some(name) {
            found = *self.by_name.get(name)?;
            if let Some(next) = order.before.and_then(|before| self.next.get_mut(before)) {
                *next = found;
            }
        }
        Some(self.take(found, order))
    }

    /// Return the most likely feature if JSON goes on with its name, and how long that is.
    pub fn expected_feature(&self, text: &str, order: &mut Order) -> Option<(Place, usize)> {
        let found = order.expected;
        let key = self.features.get(found)?.key.as_deref()?;
        text.starts_with(key)
            .then(|| (self.take(found, order), key.len()))
    }

    fn take(&self, found: usize, order: &mut Order) -> Place {
        order.before = Some(found);
        order.expected = self.next[found];
        self.features[found].place
    }
}

struct Feature {
    name: String,
    /// As JSON has it, if it needs no escapes.
    key: Option<String>,
    place: Place,
}

/// Where a reader is in the features: which it expects next, and which it has just read.
#[derive(Default)]
pub struct Order {
    expected: usize,
    before: Option<usize>,
}

fn bins(kind: &str, values: Vec<(Category, i64)>) -> Bins {
    let mut texts = HashMap::new();
    let mut ints = HashMap::new();
    let mut bools = HashMap::new();
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

/// All layouts, by model and version, and the dimensions of all their traffic.
pub struct Layouts {
    pub all: Vec<Layout>,
    pub dimensions: Dimensions,
    by_name: HashMap<String, HashMap<String, usize>>,
    last: usize,
}

impl Layouts {
    pub fn new(
        models: Vec<(String, String, Vec<Numeric>, Vec<Categorical>)>,
        dimensions: Vec<String>,
    ) -> Self {
        let mut it = Layouts {
            all: Vec::new(),
            dimensions: Dimensions::new(dimensions),
            by_name: HashMap::new(),
            last: 0,
        };
        for (model, version, numeric, categorical) in models {
            it.by_name
                .entry(model.clone())
                .or_default()
                .insert(version.clone(), it.all.len());
            it.all
                .push(Layout::new(model, version, numeric, categorical));
        }
        it
    }

    pub fn find(&mut self, model: &str, version: &str) -> Option<usize> {
        let same = |last: &Layout| last.model == model && last.version == version;
        if !self.all.get(self.last).is_some_and(same) {
            self.last = *self.by_name.get(model)?.get(version)?;
        }
        Some(self.last)
    }
}
