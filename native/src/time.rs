//! Event times: epoch seconds, or text as of RFC 3339.

/// Event times that can be true, epoch seconds.
pub struct Times {
    pub earliest: f64,
    pub latest: f64,
}

/// Whole microseconds up to here are exact as doubles, so that their quotient is the nearest one.
const EXACT: i64 = 1 << 53;

/// Days from 1 March of the year 0 to 1 January 1970.
const EPOCH_DAY: i64 = 719_468;

/// Epoch seconds of a time such as `2025-06-15T17:06:44.25+02:00`.
///
/// Returns nothing for whatever is unusual (small letters, more than six decimals, a leap second),
/// which is left to the caller, as is what is wrong.
pub fn seconds(text: &str) -> Option<f64> {
    let text = text.as_bytes();
    let (date, rest) = text.split_at_checked(11)?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [.., b'T'] = date else { return None };
    if date[4] != b'-' || date[7] != b'-' || clock[2] != b':' || clock[5] != b':' {
        return None;
    }
    let (year, month, day) = (
        number(&date[..4])?,
        number(&date[5..7])?,
        number(&date[8..10])?,
    );
    let (hour, minute, second) = (
        number(&clock[..2])?,
        number(&clock[3..5])?,
        number(&clock[6..])?,
    );
    let is_sound = (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let (micros, zone) = fraction(rest)?;
    if !is_sound {
        return None;
    }
    let local = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    let found = (local - offset(zone)?) * 1_000_000 + micros;
    (0..=EXACT)
        .contains(&found)
        .then(|| found as f64 / 1_000_000.0)
}

/// A number of digits alone.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |found, digit| {
        digit
            .is_ascii_digit()
            .then(|| 10 * found + i64::from(digit - b'0'))
    })
}

/// The microseconds that a text begins with, and what comes after them.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(text) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let length = text.iter().take_while(|it| it.is_ascii_digit()).count();
    if !(1..=6).contains(&length) {
        return None;
    }
    let (digits, rest) = text.split_at(length);
    Some((number(digits)? * 10_i64.pow(6 - length as u32), rest))
}

/// How many seconds a zone is ahead.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            let (hours, minutes) = (number(&[*a, *b])?, number(&[*c, *d])?);
            let ahead = (hours * 60 + minutes) * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970, of a year from 0 on (Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March, so that the leap day is their last.
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAY
}
