//! Timestamps of RFC 3339 as text.

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Reads the numbers of `text` where `pattern` has the digits of their indexes, up to the end of the pattern. In place
/// of a T there may be a small one or a space.
#[inline(never)]
fn numbers(text: &[u8], pattern: &[u8]) -> Option<[i64; 6]> {
    let mut found = [0; 6];
    for (at, wanted) in pattern.iter().enumerate() {
        let byte = *text.get(at)?;
        match found.get_mut(usize::from(wanted.wrapping_sub(b'0'))) {
            Some(number) if byte.is_ascii_digit() => *number = *number * 10 + i64::from(byte & 15),
            None if byte == *wanted || *wanted == b'T' && (byte == b't' || byte == b' ') => {}
            _ => return None,
        }
    }
    Some(found)
}

/// Seconds since 1970 and nanoseconds; a leap second is the second before with a billion nanoseconds more. Digits behind
/// the ninth of a fraction are not read.
#[inline(never)]
#[must_use]
pub fn parse(text: &[u8]) -> Option<(i64, i64)> {
    let [year, month, day, hour, minute, mut second] = numbers(text, b"0000-11-22T33:44:55")?;
    let (mut nanos, mut unit) = (0, SECOND);
    let mut rest = text.get(19..)?;
    if let [b'.', digits @ ..] = rest {
        rest = digits;
        while let [digit @ b'0'..=b'9', digits @ ..] = rest {
            rest = digits;
            unit /= 10;
            nanos += i64::from(digit & 15) * unit;
        }
        if unit == SECOND {
            return None;
        }
    }
    let offset = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), zone @ ..] if zone.len() == 5 => match numbers(zone, b"00:11")? {
            [hours @ 0..=23, minutes @ 0..=59, ..] => (hours * 60 + minutes) * if *sign == b'-' { -60 } else { 60 },
            _ => return None,
        },
        _ => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    if day < 1 || day > days || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if second == 60 {
        second = 59;
        nanos += SECOND;
    }
    // Years begin in March, so that the leap day is their last one.
    let before = i64::from(month <= 2);
    let (year, month) = (year - before, month - 3 + 12 * before);
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = days + (153 * month + 2) / 5 + day - 719_469;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second - offset, nanos))
}
