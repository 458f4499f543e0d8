//! What the decoder makes of any bytes: no panic, and plain events are read as all others are.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;

#[path = "../../src/event.rs"]
mod event;
#[path = "../../src/kept.rs"]
mod kept;
#[path = "../../src/layout.rs"]
mod layout;
#[path = "../../src/names.rs"]
mod names;
#[path = "../../src/outcomes.rs"]
mod outcomes;
#[path = "../../src/parser.rs"]
mod parser;
#[path = "../../src/plain.rs"]
mod plain;
#[path = "../../src/reader.rs"]
mod reader;
#[path = "../../src/segments.rs"]
mod segments;
#[path = "../../src/time.rs"]
mod time;
#[path = "../../src/values.rs"]
mod values;

use event::Row;
use kept::Kept;
use layout::{Categorical, Category, Layouts, Numeric};
use serde::de::IgnoredAny;
use time::Times;

const TIMES: Times = Times {
    earliest: 946_684_800.0,
    latest: 1_750_000_320.0,
};

/// As many events as are kept before they are taken out as columns.
const KEPT_BYTES: usize = 1 << 20;

struct State {
    layouts: Layouts,
    fast: Row,
    slow: Row,
    kept: Kept,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::new());
}

impl State {
    fn new() -> Self {
        let texts = [("FR", 0), ("DE", 1)].map(|(it, bin)| (Category::Text(it.into()), bin));
        let ints = [3, -7].map(|it| (Category::Int(it), 0));
        let bools = [(Category::Bool(true), 0), (Category::Bool(false), 1)];
        let numeric: Vec<Numeric> = [
            ("amount", true),
            ("size", true),
            ("prediction", false),
            ("latency_ms", false),
        ]
        .map(|(name, of_features)| (name.to_owned(), of_features))
        .into();
        let categorical =
            |name: &str, of_features, kind: &str, bins: Vec<(Category, i64)>| -> Categorical {
                (name.to_owned(), of_features, kind.to_owned(), bins, 7, 8, 9)
            };
        let all = vec![
            categorical("country", true, "string", texts.into()),
            categorical("rooms", true, "integer", ints.into()),
            categorical("member", true, "boolean", bools.into()),
            categorical(
                "status",
                false,
                "string",
                vec![(Category::Text("ok".into()), 0)],
            ),
        ];
        let models = vec![
            (
                "m".to_owned(),
                "1".to_owned(),
                numeric,
                all,
                "class".to_owned(),
            ),
            (
                "m".to_owned(),
                "2".to_owned(),
                vec![("prediction".to_owned(), false)],
                vec![],
                String::new(),
            ),
        ];
        let kept = Kept::new(models.len());
        let dimensions = vec!["region".to_owned()];
        State {
            layouts: Layouts::new(models, dimensions),
            fast: Row::default(),
            slow: Row::default(),
            kept,
        }
    }

    fn read(&mut self, text: &str) {
        let fast = self.fast.read(text, &mut self.layouts, &TIMES);
        let slow = self.slow.read_by_parser(text, &mut self.layouts, &TIMES);
        match (&fast, &slow) {
            (None, None) => return,
            (Some(a), Some(b)) => {
                let said =
                    |it: &reader::Head| (it.layout, it.variant.to_string(), it.time.to_bits());
                assert_eq!(said(a), said(b));
            }
            // The parser may leave more to the caller, but what was read must be JSON.
            (Some(_), None) => {
                serde_json::from_str::<IgnoredAny>(text).expect("JSON");
                self.slow.clone_from(&self.fast);
            }
            (None, Some(_)) => panic!("read by the parser alone"),
        }
        let bits = |row: &Row| -> Vec<u64> { row.numeric.iter().map(|it| it.to_bits()).collect() };
        assert_eq!(bits(&self.fast), bits(&self.slow));
        assert_eq!(self.fast.codes, self.slow.codes);
        assert_eq!(self.fast.segments, self.slow.segments);
        assert_eq!(self.fast.outcome, self.slow.outcome);
        if let Some(head) = fast {
            self.kept
                .push(head.layout, &head.variant, head.time, &self.fast, 0);
        }
        if self.kept.bytes() + self.layouts.dimensions.bytes() + self.layouts.classes.bytes()
            > KEPT_BYTES {
            self.take();
        }
    }

    fn take(&mut self) {
        self.kept.arrange();
        for group in 0..self.kept.groups.len() {
            let rows = self.kept.groups[group].rows;
            let size = self.kept.size(group, 0, rows).expect("the rows are there");
            let mut out = vec![0; size];
            self.kept.columns(group, 0, rows, &mut out);
        }
        self.kept.clear();
        self.layouts.dimensions.forget();
        self.layouts.classes.forget();
    }
}

fuzz_target!(|value: &[u8]| {
    if let Ok(text) = std::str::from_utf8(value) {
        STATE.with(|state| state.borrow_mut().read(text));
    }
});
