//! FHIR dates: `date`, `dateTime` and `instant` as text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a day: `2020-02-29`.
pub(crate) const DAY_LENGTH: usize = 10;

/// A calendar day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day {
    year: i32,
    month: u32,
    day: u32,
}

/// A FHIR date, taken apart. Only what FHIR allows parses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FhirDate<'t> {
    /// With month and day 1 where the text has none.
    day: Day,
    /// Whether the text has a day.
    exact: bool,
    /// What follows the day: empty, or `T` and a time of day.
    time: &'t str,
}

impl<'t> FhirDate<'t> {
    /// Reads `2020`, `2020-02`, `2020-02-29`, `2020-02-29T10:00:00.000+01:00`.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let bytes = text.as_bytes();
        let year = digits(bytes.get(..4)?)?;
        let month = if bytes.len() > 4 { part(bytes, 4)? } else { 1 };
        let day = if bytes.len() > 7 { part(bytes, 7)? } else { 1 };
        let time = text.get(10..).unwrap_or("");
        let whole = matches!(bytes.len(), 4 | 7 | 10) || is_time(time);
        let day = Day { year: i32::try_from(year).ok()?, month, day };
        (whole && day.is_valid()).then_some(Self { day, exact: bytes.len() > 7, time })
    }

    /// The year alone; none when it tells an age that reaches 90 this year, or did.
    pub(crate) fn year(&self, today: Day) -> Option<String> {
        (!self.is_over_89(today)).then(|| format!("{:04}", self.day.year))
    }

    /// Whether it may move: it has a day, tells no age that reaches 90 this year, and stays among the years
    /// that FHIR can write, even ten years off.
    pub(crate) fn is_movable(&self, today: Day) -> bool {
        self.exact && !self.is_over_89(today) && (11..=9988).contains(&self.day.year)
    }

    /// The number of its day, which [`write_day`] takes, moved or not.
    pub(crate) fn day_number(&self) -> i32 {
        self.day.number() as i32
    }

    /// Appends the date with room for a day in it and with a zeroed time of day.
    pub(crate) fn write_moved(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"0000-00-00");
        let zone = self.time.rfind(['Z', '+', '-']).unwrap_or(self.time.len());
        let (clock, zone) = self.time.as_bytes().split_at(zone);
        out.extend(clock.iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte }));
        out.extend_from_slice(zone);
    }

    /// By years alone: a date that vanished on the birthday itself would tell that day to whoever asks every
    /// day.
    fn is_over_89(&self, today: Day) -> bool {
        today.year - self.day.year > 89
    }
}

/// Writes a day over its place holder. False if it is not in the years from 1 to 9999.
pub(crate) fn write_day(number: i32, place: &mut [u8]) -> bool {
    let Day { year, month, day } = Day::from_number(i64::from(number));
    let fits = (1..=9999).contains(&year) && place.len() == DAY_LENGTH;
    if fits {
        let year = year as u32;
        for (at, digit) in [
            (0, year / 1000),
            (1, year / 100 % 10),
            (2, year / 10 % 10),
            (3, year % 10),
            (5, month / 10),
            (6, month % 10),
            (8, day / 10),
            (9, day % 10),
        ] {
            place[at] = b'0' + digit as u8;
        }
    }
    fits
}

impl Day {
    /// The day of a time, in UTC.
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self::from_number(i64::try_from(since.as_secs() / 86_400).unwrap_or(i64::MAX / 2))
    }

    fn is_valid(self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let length = match self.month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return false,
        };
        (1..=length).contains(&self.day)
    }

    /// Days since 1970-01-01, in the proleptic Gregorian calendar.
    fn number(self) -> i64 {
        // Years begin in March here, so that the leap day is the last day of a year.
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month = i64::from((self.month + 9) % 12);
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    fn from_number(number: i64) -> Self {
        let shifted = number + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * month + 2) / 5 + 1) as u32;
        let month = if month < 10 { month + 3 } else { month - 9 } as u32;
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Self { year: i32::try_from(year).unwrap_or(i32::MAX), month, day }
    }
}

/// `-01` at this offset.
fn part(bytes: &[u8], at: usize) -> Option<u32> {
    digits(bytes.get(at..at + 3)?.strip_prefix(b"-")?)
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |number, byte| Some(number * 10 + char::from(*byte).to_digit(10)?))
}

/// `T10:00`, seconds and their fraction optional, with a zone or none.
fn is_time(text: &str) -> bool {
    let Some(text) = text.strip_prefix('T') else { return false };
    let zone = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(zone);
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, rest)| (clock, Some(rest)));
    let pairs = |text: &str| {
        text.split(':').all(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let clock_fits = matches!((clock.len(), fraction), (5, None) | (8, _)) && pairs(clock);
    let fraction_fits =
        fraction.is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let zone_fits = matches!(zone, "" | "Z") || (zone.len() == 6 && pairs(&zone[1..]));
    clock_fits && fraction_fits && zone_fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TODAY: Day = Day { year: 2026, month: 11, day: 21 };

    fn shifted(text: &str, days: i32) -> Option<String> {
        let date = FhirDate::parse(text).filter(|date| date.is_movable(TODAY))?;
        let mut out = Vec::new();
        date.write_moved(&mut out);
        write_day(date.day_number() + days, &mut out[..DAY_LENGTH]).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn shifts() {
        for (text, days, expected) in [
            ("2015-02-07", -21, Some("2015-01-17")),
            ("2015-02-07T13:28:17-05:00", -21, Some("2015-01-17T00:00:00-05:00")),
            ("2015-02-07T13:28:17Z", -21, Some("2015-01-17T00:00:00Z")),
            ("2015-02-07T13:28:17.12345-05:00", -21, Some("2015-01-17T00:00:00.00000-05:00")),
            ("2021-06-30T23:59:60+02:00", 1, Some("2021-07-01T00:00:00+02:00")),
            ("2021-06-30T23:59Z", 1, Some("2021-07-01T00:00Z")),
            ("2020-02-28", 1, Some("2020-02-29")),
            ("2019-12-31", 1, Some("2020-01-01")),
            ("9989-01-01", 1, None),
            ("9988-12-31", 3_652, Some("9998-12-31")),
            ("9988-12-31", 9_999, None),
            ("2020", 1, None),
            ("2020-02", 1, None),
            ("1936-12-31", 1, None),
            ("1937-01-01", 1, Some("1937-01-02")),
        ] {
            assert_eq!(shifted(text, days).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn years() {
        for (text, expected) in [
            ("1984-03-09", Some("1984")),
            ("1984-03", Some("1984")),
            ("1984", Some("1984")),
            ("1937", Some("1937")),
            ("1937-01-01", Some("1937")),
            ("1936", None),
            ("1936-12", None),
            ("1936-12-31T23:59:59Z", None),
            ("2021-02-03T04:05:06Z", Some("2021")),
        ] {
            assert_eq!(FhirDate::parse(text).unwrap().year(TODAY).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn nothing_vanishes_but_at_new_year() {
        let on = |year, month, day| Day { year, month, day };
        for (today, visible) in [(on(2025, 12, 31), true), (on(2026, 1, 1), false), (on(2026, 12, 31), false)]
        {
            for text in ["1936", "1936-06", "1936-01-01", "1936-06-15", "1936-12-31"] {
                let date = FhirDate::parse(text).unwrap();
                assert_eq!(date.year(today).is_some(), visible, "{text} on {today:?}");
                assert_eq!(date.is_movable(today), visible && text.len() == 10, "{text} on {today:?}");
            }
        }
    }

    #[test]
    fn what_is_no_date_does_not_parse() {
        for text in [
            "",
            "20",
            "020-01-01",
            "2020-",
            "2020-1",
            "2020-13",
            "2020-00",
            "2021-02-29",
            "2020-02-30",
            "2020-01-01T",
            "2020-01-01T10",
            "2020-01-01T10:00:00.",
            "2020-01-01T10:00:00+1",
            "2020-01-01T1:00:00",
            "2020-01-01 10:00",
            "2020-01-01T10:00.5Z",
            "2020-01-01T10:00:00ZZ",
            "2020-01-01John",
            "2020-01-01T10:00:00 Jo",
            "2020é",
            "２０２０",
            "2020-01-01T10:00:00+aa:bb",
            "2020/01/01",
            "2020-01/01",
            "John Smith",
        ] {
            assert_eq!(FhirDate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn days_of_times() {
        let day = |seconds| Day::of(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(day(0), Day { year: 1970, month: 1, day: 1 });
        assert_eq!(day(1_795_219_200 + 86_399), TODAY);
    }

    proptest! {
        #[test]
        fn day_numbers_go_both_ways(number in -700_000i64..3_000_000) {
            let day = Day::from_number(number);
            prop_assert!(day.is_valid());
            prop_assert_eq!(day.number(), number);
            prop_assert!(Day::from_number(number + 1) > day);
        }

        #[test]
        fn never_panics(text in "\\PC{0,14}|[0-9T:Z+.-]{0,32}", days in -4_000..4_000) {
            if let Some(date) = FhirDate::parse(&text) {
                let _ = date.year(TODAY);
            }
            let _ = shifted(&text, days);
        }
    }
}
