//! Moments and lengths of time: their texts, their arithmetic, their parts. Must not know values.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZoneDatabase};

const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// The first moment of the year 1 and the last of the year 9999, in seconds since 1970: what arithmetic may reach.
const MOMENTS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A moment, and the offset from UTC with which it was written. The offset shows in its text only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timestamp {
    /// Since 1970.
    nanos: i128,
    offset_seconds: i32,
}

fn epoch() -> DateTime {
    Date::constant(1970, 1, 1).at(0, 0, 0, 0)
}

impl Timestamp {
    /// Reads an RFC 3339 text: `2021-02-03T04:05:06.5+01:00`. As in SpiceDB the hour may have one digit, a comma may stand for
    /// the point, and digits beyond the ninth are dropped.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('T').filter(|_| text.is_ascii())?;
        let (hour, rest) = time.split_once(':')?;
        let marks_fit =
            |text: &str, marks: &[(usize, u8)]| marks.iter().all(|(at, m)| text.as_bytes().get(*at) == Some(m));
        let shape_fits = date.len() == 10
            && marks_fit(date, &[(4, b'-'), (7, b'-')])
            && (1..=2).contains(&hour.len())
            && rest.len() >= 6
            && marks_fit(rest, &[(2, b':')]);
        if !shape_fits {
            return None;
        }
        let date = Date::new(
            i16::try_from(digits(&date[..4])?).ok()?,
            i8::try_from(digits(&date[5..7])?).ok()?,
            i8::try_from(digits(&date[8..])?).ok()?,
        );
        let (hour, minute, second) = (digits(hour)?, digits(&rest[..2])?, digits(&rest[3..5])?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (fraction, zone) = match rest[5..].strip_prefix(['.', ',']) {
            Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
            None => ("0", &rest[5..]),
        };
        if fraction.is_empty() {
            return None;
        }
        let offset_seconds = if zone == "Z" { 0 } else { parse_offset(zone)? };
        let days = date.ok()?.at(0, 0, 0, 0).duration_since(epoch()).as_secs();
        let seconds = days + i64::from(hour * 3600 + minute * 60 + second) - i64::from(offset_seconds);
        let nanos = format!("{:0<9}", &fraction[..fraction.len().min(9)]).parse::<i128>().ok()?;
        Some(Self { nanos: i128::from(seconds) * NANOS_PER_SECOND + nanos, offset_seconds })
    }

    /// The moment so many seconds after 1970, if it is of the years 1 to 9999.
    pub(super) fn from_seconds(seconds: i64) -> Option<Self> {
        Self { nanos: i128::from(seconds) * NANOS_PER_SECOND, offset_seconds: 0 }.within_years()
    }

    pub(super) fn within_years(self) -> Option<Self> {
        MOMENTS.contains(&self.seconds()).then_some(self)
    }

    pub(super) fn seconds(&self) -> i64 {
        // 64 bits of nanoseconds more or less than four digits of years: it fits.
        self.nanos.div_euclid(NANOS_PER_SECOND) as i64
    }

    pub(super) fn nanos(&self) -> i128 {
        self.nanos
    }

    pub(super) fn is_same_moment(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }

    /// The moment so many nanoseconds later, if it is of the years 1 to 9999.
    pub(super) fn plus(self, nanos: i128) -> Option<Self> {
        Self { nanos: self.nanos + nanos, ..self }.within_years()
    }

    /// The nanoseconds since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Option<i64> {
        i64::try_from(self.nanos - earlier.nanos).ok()
    }

    fn civil(&self, offset_seconds: i32) -> Option<DateTime> {
        let fraction = self.nanos.rem_euclid(NANOS_PER_SECOND) as i32; // Below a thousand million.
        epoch().checked_add(SignedDuration::new(self.seconds() + i64::from(offset_seconds), fraction)).ok()
    }

    /// The date and the time of day in a zone: `""` for UTC, `+01:00`, `Europe/Berlin`. The error says why not.
    pub(super) fn in_zone(&self, zone: &str) -> Result<DateTime, String> {
        let offset = self.zone_offset(zone).ok_or_else(|| format!("no time zone is named {:?}", shortened(zone)))?;
        self.civil(offset).ok_or_else(|| "the date is out of range".to_owned())
    }

    fn zone_offset(&self, zone: &str) -> Option<i32> {
        if matches!(zone, "" | "UTC" | "Local") {
            // What is local to a node must not matter: all nodes are in UTC.
            return Some(0);
        }
        if let Some((hours, minutes)) = zone.split_once(':') {
            let hours_number: i32 = hours.parse().ok()?;
            let minutes: i32 = minutes.parse().ok()?;
            let minutes = if hours.starts_with('-') { minutes.checked_neg()? } else { minutes };
            let total = hours_number.checked_mul(60)?.checked_add(minutes)?.checked_mul(60)?;
            return (total.unsigned_abs() < 100 * 3600).then_some(total);
        }
        // Zone rules end a little before the year 9999 does; what they say last goes on.
        let nearest = jiff::Timestamp::from_nanosecond(self.nanos).unwrap_or(if self.nanos < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        // The zones that this program brings along, by their exact names: every node must give the same answer.
        let found = TimeZoneDatabase::bundled().get(zone).ok()?;
        if found.iana_name() != Some(zone) {
            return None;
        }
        Some(Offset::seconds(found.to_offset(nearest)))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(civil) = self.civil(self.offset_seconds) else { return Err(std::fmt::Error) };
        let (year, month, day) = (civil.year(), civil.month(), civil.day());
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", civil.hour(), civil.minute(), civil.second())?;
        let fraction = format!("{:09}", civil.subsec_nanosecond());
        let fraction = fraction.trim_end_matches('0');
        if !fraction.is_empty() {
            write!(f, ".{fraction}")?;
        }
        if self.offset_seconds == 0 {
            return f.write_str("Z");
        }
        let sign = if self.offset_seconds < 0 { '-' } else { '+' };
        let minutes = self.offset_seconds.abs() / 60;
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn digits(text: &str) -> Option<i32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `+01:00` or `-01:00`, in seconds.
fn parse_offset(text: &str) -> Option<i32> {
    let sign = match text.as_bytes() {
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(&text[1..3])?, digits(&text[4..6])?);
    (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Reads a length of time like `1h30m`, `-1.5s` or `0`, in nanoseconds.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanos, tail) = duration_part(rest)?;
        total = total.checked_add(nanos)?;
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// The first number and unit of `text` in nanoseconds, and what follows.
fn duration_part(text: &str) -> Option<(i128, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, mut rest) = text.split_at(digits(text));
    let mut fraction = "";
    if let Some(tail) = rest.strip_prefix('.') {
        (fraction, rest) = tail.split_at(digits(tail));
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_length = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_length);
    let unit: i128 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3600 * NANOS_PER_SECOND,
        _ => return None,
    };
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits beyond the eighteenth are less than a nanosecond of any unit.
    let kept = &fraction[..fraction.len().min(18)];
    let part: i128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    let scale = 10_i128.pow(u32::try_from(kept.len()).ok()?);
    Some((whole.checked_mul(unit)?.checked_add(part * unit / scale)?, rest))
}

/// A length of time in seconds: `5400s`, `-0.5s`.
pub(super) fn duration_text(nanos: i64) -> String {
    let (sign, magnitude) = (if nanos < 0 { "-" } else { "" }, i128::from(nanos).abs());
    let fraction = format!("{:09}", magnitude % NANOS_PER_SECOND);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}s", magnitude / NANOS_PER_SECOND)
}
