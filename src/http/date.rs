//! HTTP dates (RFC 9110 §5.6.7): all three forms are read, the preferred one is written.
//!
//! Letters count in any case: RFC 9111 §4.2 says that a cache "SHOULD match the field value case-insensitively". The day
//! of the week says nothing that the date does not, so a wrong one is overlooked, as browsers do. Beyond that the forms
//! are exact. Browsers read more (other zones, dashes and spaces where they like), but what a cache reads into a value
//! that is no date makes others wait for what is new: §4.2 wants a date with another zone than GMT to be taken for
//! invalid, and what is invalid is expired (§5.3).

use crate::time::Timestamp;

/// The last second that a date with a year of four digits can name. Beyond it that one is written.
const SECS_MAX: u64 = 253_402_300_799;
const SECS_PER_DAY: u64 = 86_400;
/// The days from 1 March of the year 0, from where leap days come last in their year, to 1 January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;
/// The days of four centuries, after which the calendar repeats itself.
const DAYS_PER_400_YEARS: u64 = 146_097;

const DAYS: [&[u8]; 7] =
    [b"Sunday", b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday"];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// The three forms, in the letters of `strftime`; all else stands for itself.
const FORMS: [&[u8]; 3] =
    [b"%a, %d %b %Y %H:%M:%S GMT", b"%A, %d-%b-%y %H:%M:%S GMT", b"%a %b %e %H:%M:%S %Y"];

/// Reads a date; none when it is not one. Dates before 1970 are invalid here: no lifetime is that long.
#[must_use]
pub fn parse(value: &[u8]) -> Option<Timestamp> {
    let value = value.trim_ascii();
    FORMS.iter().find_map(|form| read(form, value))
}

/// Writes a time as a date, to the second before.
#[must_use]
pub fn format(time: Timestamp) -> String {
    let secs = time.secs().min(SECS_MAX);
    let (days, of_day) = (secs / SECS_PER_DAY, secs % SECS_PER_DAY);
    let (year, month, day) = civil(days);
    let name = |names: &[&'static [u8]], at: u64| {
        let name = names.get(at as usize).and_then(|name| name.get(..3)).unwrap_or_default();
        String::from_utf8_lossy(name)
    };
    // The first of January 1970 was a Thursday.
    let (weekday, month) = (name(&DAYS, (days + 4) % 7), name(&MONTHS, month - 1));
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Reads a value that has exactly this form.
fn read(form: &[u8], mut value: &[u8]) -> Option<Timestamp> {
    let (mut year, mut month, mut day) = (0, 0, 0);
    let (mut hour, mut minute, mut second) = (0, 0, 0);
    let mut letters = form.iter();
    while let Some(letter) = letters.next() {
        if *letter != b'%' {
            skip(&mut value, *letter)?;
            continue;
        }
        match letters.next()? {
            b'a' => _ = named(&mut value, &DAYS, 3)?,
            b'A' => _ = named(&mut value, &DAYS, usize::MAX)?,
            b'b' => month = named(&mut value, &MONTHS, 3)? + 1,
            b'd' => day = number(&mut value, 2)?,
            // "2DIGIT / ( SP 1DIGIT )"
            b'e' if skip(&mut value, b' ').is_some() => day = number(&mut value, 1)?,
            b'e' => day = number(&mut value, 2)?,
            b'Y' => year = number(&mut value, 4)?,
            b'y' => year = number(&mut value, 2).map(in_full)?,
            b'H' => hour = number(&mut value, 2).filter(|hour| *hour < 24)?,
            b'M' => minute = number(&mut value, 2).filter(|minute| *minute < 60)?,
            // RFC 9111 §4.2 wants the nearest time that is not later where one cannot be represented: a leap second.
            b'S' => second = number(&mut value, 2).filter(|second| *second <= 60)?.min(59),
            _ => return None,
        }
    }
    let days = days(year, month, day).filter(|_| value.is_empty())?;
    Some(Timestamp::from_secs(days * SECS_PER_DAY + hour * 3600 + minute * 60 + second))
}

/// Takes one byte from the front, in any case.
fn skip(value: &mut &[u8], byte: u8) -> Option<()> {
    let (_, rest) = value.split_first().filter(|(first, _)| first.eq_ignore_ascii_case(&byte))?;
    *value = rest;
    Some(())
}

/// Takes one of these names from the front, or so many of its letters; which one it is.
fn named(value: &mut &[u8], names: &[&[u8]], letters_max: usize) -> Option<u64> {
    for (at, name) in (0..).zip(names) {
        let name = name.get(..letters_max).unwrap_or(name);
        if let Some((next, rest)) = value.split_at_checked(name.len())
            && next.eq_ignore_ascii_case(name)
        {
            *value = rest;
            return Some(at);
        }
    }
    None
}

/// Takes a number of exactly so many digits from the front.
fn number(value: &mut &[u8], digits: usize) -> Option<u64> {
    let (number, rest) = value.split_at_checked(digits)?;
    *value = rest;
    number.iter().try_fold(0, |n, digit| digit.is_ascii_digit().then(|| n * 10 + u64::from(digit - b'0')))
}

/// The year of two digits. "Recipients MUST interpret a timestamp that appears to be more than 50 years in the future as
/// representing the most recent year in the past that had the same last two digits": until 2070 this errs to the past.
fn in_full(year: u64) -> u64 {
    if year < 70 { 2000 + year } else { 1900 + year }
}

/// The days since 1 January 1970; none when there is no such day, or it is before that.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years that begin in March.
    let (year_of, month_of) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let (era, of_era) = (year_of / 400, year_of % 400);
    let of_year = (153 * month_of + 2) / 5 + day.checked_sub(1)?;
    let all = era * DAYS_PER_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    all.checked_sub(DAYS_BEFORE_1970).filter(|days| civil(*days) == (year, month, day))
}

/// The year, month and day of a number of days since 1 January 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    let all = days + DAYS_BEFORE_1970;
    let (era, of_era) = (all / DAYS_PER_400_YEARS, all % DAYS_PER_400_YEARS);
    let year_of = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of + year_of / 4 - year_of / 100);
    // Five months, from March or August on, have 153 days.
    let month_of = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_of + 2) / 5 + 1;
    let (month, next) = if month_of < 10 { (month_of + 3, 0) } else { (month_of - 9, 1) };
    (era * 400 + year_of + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const EXAMPLE: Timestamp = Timestamp::from_secs(784_111_777);
    const IN_2050: Timestamp = Timestamp::from_secs(2_544_400_878);

    #[test]
    fn all_three_forms_are_read() {
        for value in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 06 08:49:37 1994",
            "\tSun, 06 Nov 1994 08:49:37 GMT ",
        ] {
            assert_eq!(parse(value.as_bytes()), Some(EXAMPLE), "{value}");
        }
        assert_eq!(parse(b"Thu, 18 Aug 2050 02:01:18 GMT"), Some(IN_2050));
        assert_eq!(parse(b"Thursday, 18-Aug-50 02:01:18 GMT"), Some(IN_2050));
        assert_eq!(parse(b"Tue, 19 Jan 2038 14:14:08 GMT"), Some(Timestamp::from_secs((1 << 31) + 39_600)));
        assert_eq!(parse(b"Sun, 21 Nov 2286 04:46:39 GMT"), Some(Timestamp::from_secs(10_000_039_599)));
    }

    #[test]
    fn neither_case_nor_the_day_of_the_week_matters() {
        for value in [
            "THU, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 AUG 2050 02:01:18 GMT",
            "thu, 18 aug 2050 02:01:18 gmt",
            "Thu, 18 Aug 2050 02:01:18 gMT",
            "Mon, 18 Aug 2050 02:01:18 GMT",
            "MONDAY, 18-aug-50 02:01:18 Gmt",
            "mon AUG 18 02:01:18 2050",
        ] {
            assert_eq!(parse(value.as_bytes()), Some(IN_2050), "{value}");
        }
        // It is a Monday.
        assert_eq!(parse(b"Thu Aug  8 02:01:18 2050"), Some(Timestamp::from_secs(2_544_400_878 - 864_000)));
        assert_eq!(
            parse(b"Thu, 08 Aug 2050 02:01:18 GMT"),
            Some(Timestamp::from_secs(2_544_400_878 - 864_000))
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for value in [
            "",
            "0",
            "-1",
            "never",
            "Thu",
            "Thu, 18 Aug 2050",
            "Thu, 18 Aug 2050 02:01 GMT",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 Z",
            "Thu, 18 Aug 2050 02:01:18 +0000",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18 GMT+1",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu, 18 Aug 0050 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18-Aug-50 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 8 Aug 2050 02:01:18 GMT",
            "Thu,  8 Aug 2050 02:01:18 GMT",
            "Thursday, 18 Aug 2050 02:01:18 GMT",
            "Day, 18 Aug 2050 02:01:18 GMT",
            "18 Aug 2050 02:01:18 GMT",
            "Thu, 18 August 2050 02:01:18 GMT",
            "Thu, 18 Foo 2050 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 32 Aug 2050 02:01:18 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 29 Feb 2100 08:49:37 GMT",
            "Thu, 18 Aug 2050 24:00:00 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
            "Thu, 18 Aug 2050 02:01:61 GMT",
            "Thu, 01 Jan 1969 00:00:00 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
            "Thu, 01 Jan 0000 00:00:00 GMT",
            "2050-08-18T02:01:18Z",
            "2544400878",
            "S\u{fc}n, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
        assert_eq!(parse(b"\xff\xfe"), None);
    }

    #[test]
    fn a_leap_second_is_the_one_before_it() {
        assert_eq!(parse(b"Sat, 31 Dec 2016 23:59:60 GMT"), parse(b"Sat, 31 Dec 2016 23:59:59 GMT"));
    }

    #[test]
    fn writing_and_reading_give_the_same_second() {
        for secs in [0, 951_782_399, 784_111_777, 4_102_444_800, 4_107_542_400, SECS_MAX] {
            let time = Timestamp::from_secs(secs);
            assert_eq!(parse(format(time).as_bytes()), Some(time));
        }
        assert_eq!(format(EXAMPLE), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(format(Timestamp(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(format(Timestamp(u64::MAX)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
