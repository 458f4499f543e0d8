//! Plain events, as nearly all are: several times as fast as a general JSON parser.
//!
//! Plain is what has no escapes in its strings, a model and version ahead of its features, and
//! nothing nested beside those and its segments. Of anything else nothing is returned, and
//! [`crate::parser`] reads it whole; so this may be strict, but must not accept what is no JSON, nor read it otherwise.

use std::borrow::Cow;

use crate::event::{Event, Features, Row};
use crate::layout::{Layout, Layouts, Order, Place, OUTPUTS};
use crate::segments::Dimensions;
use crate::time;
use crate::values::Value;

/// Powers of ten that are exact as doubles.
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Digits that surely fit a u64.
const DIGITS: usize = 19;

/// Read an event and its features into the row, if it is plain.
pub fn read<'de>(text: &'de str, row: &mut Row, layouts: &mut Layouts) -> Option<Event<'de>> {
    let mut from = Scanner { text, at: 0 };
    let mut event = Event::default();
    from.open(b'{')?;
    let mut first = true;
    while from.more(b'}', &mut first)? {
        let key = from.string()?;
        from.colon()?;
        match key {
            "time" => once(&mut event.time, from.time()?)?,
            "model" => once(&mut event.model, Cow::Borrowed(from.string()?))?,
            "version" => once(&mut event.version, Cow::Borrowed(from.string()?))?,
            "variant" => once(&mut event.variant, Cow::Borrowed(from.string()?))?,
            "id" => event.id = from.value()?.into(),
            "features" => {
                if !matches!(event.features, Features::None) {
                    return None;
                }
                let number = layouts.find(event.model.as_deref()?, event.version.as_deref()?)?;
                let layout = &mut layouts.all[number];
                row.clear(layout);
                from.features(row, layout)?;
                event.features = Features::Read(number);
            }
            "segments" => from.segments(&mut row.segments, &mut layouts.dimensions)?,
            key => match OUTPUTS.iter().position(|output| *output == key) {
                Some(number) => event.outputs[number] = Some(from.value()?),
                None => drop(from.value()?),
            },
        }
    }
    from.space();
    (from.at == text.len()).then_some(event)
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

struct Scanner<'de> {
    text: &'de str,
    at: usize,
}

impl<'de> Scanner<'de> {
    fn features(&mut self, row: &mut Row, layout: &mut Layout) -> Option<()> {
        let mut order = Order::default();
        self.open(b'{')?;
        let mut first = true;
        while self.more(b'}', &mut first)? {
            let found = match layout.expected_feature(&self.text[self.at..], &mut order) {
                Some((place, length)) => {
                    self.at += length;
                    Some(place)
                }
                None => layout.feature(self.string()?, &mut order),
            };
            self.colon()?;
            match found {
                Some(Place::Numeric(column)) if self.peek()? != b'n' => {
                    row.numeric[column as usize] = self.number()?;
                }
                Some(place) => row.set(layout, place, &self.value()?)?,
                None => drop(self.value()?),
            }
        }
        Some(())
    }

    fn segments(&mut self, codes: &mut Vec<i64>, dimensions: &mut Dimensions) -> Option<()> {
        dimensions.clear(codes);
        if self.peek()? != b'{' {
            return self.value().map(drop);
        }
        self.at += 1;
        let mut first = true;
        while self.more(b'}', &mut first)? {
            let name = self.string()?;
            self.colon()?;
            dimensions.set(codes, name, &self.value()?);
        }
        Some(())
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte(self.at) {
            self.at += 1;
        }
    }

    /// The next byte that is not space.
    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.byte(self.at)
    }

    fn open(&mut self, expected: u8) -> Option<()> {
        (self.peek()? == expected).then(|| self.at += 1)
    }

    fn colon(&mut self) -> Option<()> {
        self.open(b':')
    }

    /// Whether another member follows; goes past the comma, or the end.
    fn more(&mut self, end: u8, first: &mut bool) -> Option<bool> {
        let found = self.peek()?;
        if found == end {
            self.at += 1;
            return Some(false);
        }
        if !std::mem::take(first) {
            self.open(b',')?;
        }
        Some(true)
    }

    fn string(&mut self) -> Option<&'de str> {
        self.open(b'"')?;
        let rest = &self.text.as_bytes()[self.at..];
        let length = plain_length(rest);
        let found = self.text.get(self.at..self.at + length)?;
        self.at += length + 1;
        (*rest.get(length)? == b'"').then_some(found)
    }

    fn value(&mut self) -> Option<Value<'de>> {
        match self.peek()? {
            b'"' => Some(Value::Text(Cow::Borrowed(self.string()?))),
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            _ => {
                let began = self.at;
                let number = self.number()?;
                // "-0" is a float, as it is to serde_json.
                let digits = &self.text[began..self.at];
                match digits.parse::<i64>() {
                    Ok(value) if digits != "-0" => Some(Value::Int(value)),
                    _ => Some(Value::Float(number)),
                }
            }
        }
    }

    fn word(&mut self, word: &str, value: Value<'de>) -> Option<Value<'de>> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    /// An event time, epoch seconds.
    fn time(&mut self) -> Option<f64> {
        if self.peek()? == b'"' {
            time::seconds(self.string()?)
        } else {
            self.number()
        }
    }

    /// A number as the nearest double; nothing if none is near.
    fn number(&mut self) -> Option<f64> {
        self.space();
        let began = self.at;
        let negative = self.byte(self.at)? == b'-';
        self.at += usize::from(negative);
        let whole = self.at;
        let mut mantissa = self.digits(0)?;
        if self.at - whole > 1 && self.byte(whole) == Some(b'0') {
            return None;
        }
        let mut count = self.at - whole;
        let mut scale = 0;
        if self.byte(self.at) == Some(b'.') {
            self.at += 1;
            let fraction = self.at;
            mantissa = self.digits(mantissa)?;
            scale = self.at - fraction;
            count += scale;
        }
        let has_exponent = matches!(self.byte(self.at), Some(b'e' | b'E'));
        if has_exponent {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte(self.at) {
                self.at += 1;
            }
            self.digits(0)?;
        }
        // Both operands are exact, so that the quotient is the nearest double (Clinger 1990).
        if !has_exponent && count <= DIGITS && mantissa < 1 << 53 && scale < EXACT.len() {
            let value = mantissa as f64 / EXACT[scale];
            return Some(if negative { -value } else { value });
        }
        let value: f64 = self.text[began..self.at].parse().ok()?;
        value.is_finite().then_some(value)
    }

    /// Read at least one digit on from a mantissa; it is of no use after more than [`DIGITS`].
    fn digits(&mut self, mut mantissa: u64) -> Option<u64> {
        let began = self.at;
        while let Some(digit @ b'0'..=b'9') = self.byte(self.at) {
            mantissa = mantissa
                .wrapping_mul(10)
                .wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        (self.at > began).then_some(mantissa)
    }
}

/// How many bytes come before a quote, a backslash or a control character.
fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let mut length = 0;
    for eight in text.chunks_exact(8) {
        let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
        // The high bit of each byte that is below a bound; exact for the first one, which is all
        // that is wanted (Mycroft 1987).
        let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let ends = below(word, u64::from(b' ')) | is(b'"') | is(b'\\');
        if ends != 0 {
            return length + ends.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let is_end = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    let rest = &text[length..];
    length + rest.iter().position(is_end).unwrap_or(rest.len())
}
