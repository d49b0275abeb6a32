//! HTTP dates (RFC 9110 §5.6.7): all three forms are read, the preferred one is written.

use std::time::{Duration, UNIX_EPOCH};

use crate::time::Timestamp;

/// The last second that a date with a year of four digits can name.
const SECS_MAX: u64 = 253_402_300_799;

/// Reads a date; none when it is not one. Dates before 1970 are none: nobody caches that long.
#[must_use]
pub fn parse(value: &[u8]) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(core::str::from_utf8(value).ok()?).ok()?;
    Some(Timestamp::from_secs(date.duration_since(UNIX_EPOCH).ok()?.as_secs()))
}

/// Writes a time as a date, to the second before.
#[must_use]
pub fn format(time: Timestamp) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(time.secs().min(SECS_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn all_three_forms_are_read() {
        for value in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse(value.as_bytes()), Some(Timestamp::from_secs(784_111_777)), "{value}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for value in [
            &b""[..],
            b"0",
            b"-1",
            b"Sun, 06 Nov 1994 08:49:37 UTC",
            b"Sun, 31 Feb 1994 08:49:37 GMT",
            b"Thu, 01 Jan 1969 00:00:00 GMT",
            b"Sun, 06 Nov 0000 08:49:37 GMT",
            b"\xff\xfe",
            "Sün, 06 Nov 1994 08:49:37 GMT".as_bytes(),
        ] {
            assert_eq!(parse(value), None, "{value:?}");
        }
    }

    #[test]
    fn writing_and_reading_give_the_same_second() {
        for secs in [0, 951_782_399, 784_111_777, 4_102_444_800, SECS_MAX] {
            let time = Timestamp::from_secs(secs);
            assert_eq!(parse(format(time).as_bytes()), Some(time));
        }
        assert_eq!(format(Timestamp(u64::MAX)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
