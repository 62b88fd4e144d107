//! Converts INTERNALDATE (RFC 9051, date-time) to and from seconds since 1970.
//!
//! The zone is dropped, as Maildir cannot store it; UTC is sent.

use crate::model::Timestamp;
use jiff::civil::{Date, DateTime, date};
use jiff::tz::{Offset, TimeZone};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The start of the year 1, seconds since 1970.
const FIRST: i64 = -62_135_596_800;

/// Parses `" 1-Feb-2024 10:00:00 +0100"`. `None` if invalid (servers send `"00-Jan-0000 ..."`).
pub fn parse(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let mut parts = text.split_ascii_whitespace();
    let (day, time, zone) = (parts.next()?, parts.next()?, parts.next()?);
    let mut day = day.split('-');
    let (d, m, y) = (day.next()?, day.next()?, day.next()?);
    let month = MONTHS
        .iter()
        .position(|name| name.eq_ignore_ascii_case(m))?
        + 1;
    let mut clock = time.split(':').map(|n| n.parse::<i8>().ok());
    let (h, min, s) = (clock.next()??, clock.next()??, clock.next()??);
    let month = i8::try_from(month).ok()?;
    let at = DateTime::new(
        y.parse().ok()?,
        month,
        d.parse().ok()?,
        h,
        min,
        s.min(59),
        0,
    )
    .ok()?;
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let number: i32 = digits.parse().ok().filter(|_| digits.len() == 4)?;
    let offset = Offset::from_seconds(sign * (number / 100 * 3600 + number % 100 * 60)).ok()?;
    let at = offset.to_timestamp(at).ok()?.as_second();
    // A time before the year 1 could not be written.
    (at >= FIRST).then_some(Timestamp(at))
}

/// Formats a date of SEARCH: `1-Feb-2024`.
pub fn day(day: Date) -> String {
    let month = usize::try_from(day.month() - 1).ok();
    let month = month.and_then(|month| MONTHS.get(month)).unwrap_or(&"Jan");
    format!("{}-{month}-{:04}", day.day(), day.year())
}

/// Formats a date-time of APPEND.
pub fn format(at: Timestamp) -> String {
    let epoch = date(1970, 1, 1).at(0, 0, 0, 0);
    let moment = jiff::Timestamp::from_second(at.0).map(|t| t.to_zoned(TimeZone::UTC).datetime());
    let t = moment.unwrap_or(epoch);
    let month = usize::try_from(t.month())
        .ok()
        .and_then(|m| MONTHS.get(m.wrapping_sub(1)));
    format!(
        "{:>2}-{}-{:04} {:02}:{:02}:{:02} +0000",
        t.day(),
        month.unwrap_or(&"Jan"),
        t.year(),
        t.hour(),
        t.minute(),
        t.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (text, seconds) in [
            ("17-Jul-1996 02:44:25 -0700", 837_596_665),
            (" 1-Feb-2024 10:00:00 +0100", 1_706_778_000),
            ("31-Dec-1969 23:59:59 +0000", -1),
        ] {
            let at = parse(text.as_bytes()).unwrap();
            assert_eq!(at.0, seconds);
            assert_eq!(parse(format(at).as_bytes()), Some(at));
        }
        for bad in [
            "00-Jan-0000 00:00:00 +0000",
            "",
            "x",
            "1-Foo-2024 10:00:00 +0000",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
