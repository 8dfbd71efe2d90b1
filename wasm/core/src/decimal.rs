//! Decimal text to doubles and back, exactly: what Python's `float()`, `repr()` and C's `%.15g` do.
//!
//! The fast ways serve ordinary numbers, exact division of big integers all others. Which texts count as numbers in
//! which place is decided here only for Python's `float()`.

mod big;
mod print;

use big::{from_big, Big};
pub use print::{general15, int, repr, Text};

/// Significant digits that are kept. No point halfway between two doubles has more than 767.
const MAX_DIGITS: usize = 770;
/// Significant digits that always fit 64 bits.
const FAST_DIGITS: usize = 19;
/// The powers of ten that are exact doubles.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// Up to here every integer is a double.
const EXACT_INTEGERS: u64 = 1 << 53;
/// From here on a number has more than 18 digits.
const FAST_LIMIT: u64 = 1_000_000_000_000_000_000;

/// A natural number that comes digit by digit, the first one not 0.
struct Natural {
    big: Big,
    pending: u32,
    scale: u32,
    digits: usize,
}

impl Natural {
    #[inline(never)]
    fn new() -> Natural {
        Natural { big: Big::new(0), pending: 0, scale: 1, digits: 0 }
    }

    /// Appends the digit of the value `digit`. Beyond the digits that matter it is only counted.
    #[inline(never)]
    fn push(&mut self, digit: u8) {
        self.digits = self.digits.saturating_add(1);
        if self.digits <= MAX_DIGITS {
            self.pending = self.pending.wrapping_mul(10).wrapping_add(u32::from(digit));
            self.scale = self.scale.wrapping_mul(10);
            if self.scale == 1_000_000_000 {
                self.flush();
            }
        }
    }

    #[inline(never)]
    fn flush(&mut self) {
        self.big.multiply_add(self.scale, self.pending);
        self.pending = 0;
        self.scale = 1;
    }
}

/// The text without the white space around it that Python's `float()` ignores. The control characters 0x1C to 0x1F,
/// which `str.strip()` takes away, are none.
#[inline(never)]
fn strip(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [b' ' | 9..=13, rest @ ..] | [rest @ .., b' ' | 9..=13] => rest,
            [0x80..=0xFF, ..] | [.., 0x80..=0xFF] => match strip_wide(text) {
                Some(rest) => rest,
                None => return text,
            },
            _ => return text,
        };
    }
}

/// Takes one white space of two or three bytes away.
#[cold]
#[inline(never)]
fn strip_wide(text: &[u8]) -> Option<&[u8]> {
    match text {
        [0xC2, 0x85 | 0xA0, rest @ ..] | [rest @ .., 0xC2, 0x85 | 0xA0] => Some(rest),
        [a, b, c, rest @ ..] if is_wide_space(*a, *b, *c) => Some(rest),
        [rest @ .., a, b, c] if is_wide_space(*a, *b, *c) => Some(rest),
        _ => None,
    }
}

/// Whether three bytes are the UTF-8 of a white space.
#[inline(never)]
fn is_wide_space(a: u8, b: u8, c: u8) -> bool {
    let code = u32::from_be_bytes([0, a, b, c]);
    matches!(code, 0xE1_9A80 | 0xE2_8080..=0xE2_808A | 0xE2_80A8 | 0xE2_80A9 | 0xE2_80AF | 0xE2_819F | 0xE3_8080)
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// What Python's `float()` makes of a text, except that `inf` (with or without sign) and digits beyond ASCII are
/// refused. Nearest double, ties to even; infinite if too large.
#[must_use]
pub fn parse_float(text: &[u8]) -> Option<f64> {
    let (negative, body) = sign(strip(text));
    if is_word(body, b"nan") {
        return Some(f64::NAN);
    }
    let value = if is_word(body, b"infinity") { f64::INFINITY } else { parse_unsigned(body)? };
    Some(if negative { -value } else { value })
}

/// Whether a text is `word`, which is in lower case, in any case.
#[inline(never)]
fn is_word(text: &[u8], word: &[u8]) -> bool {
    text.len() == word.len() && text.iter().zip(word).all(|(byte, letter)| byte | 0x20 == *letter)
}

fn parse_unsigned(body: &[u8]) -> Option<f64> {
    let mut value = 0u64;
    // Significant digits; the first FAST_DIGITS of them are in `value`, which has to be multiplied by 10^power.
    let mut taken = 0usize;
    let mut power = 0i64;
    let mut point = false;
    let mut any = false;
    let mut last = 0u8;
    let mut rest = body.iter();
    for &byte in &mut rest {
        match byte {
            b'0'..=b'9' => {
                any = true;
                power = power.wrapping_sub(i64::from(point));
                if value != 0 || byte != b'0' {
                    taken = taken.wrapping_add(1);
                    if taken <= FAST_DIGITS {
                        value = value.wrapping_mul(10).wrapping_add(u64::from(byte & 15));
                    } else {
                        power = power.wrapping_add(1);
                    }
                }
            }
            b'_' if last.is_ascii_digit() => {}
            b'.' if !point && last != b'_' => point = true,
            b'e' | b'E' if any && last != b'_' => {
                power = power.wrapping_add(parse_exponent(rest.as_slice())?);
                last = byte;
                break;
            }
            _ => return None,
        }
        last = byte;
    }
    if !any || last == b'_' {
        return None;
    }
    let size = power.wrapping_add(taken.min(FAST_DIGITS) as i64);
    if value == 0 || size < -330 {
        return Some(0.0);
    }
    if size > 310 {
        return Some(f64::INFINITY);
    }
    if taken <= FAST_DIGITS {
        if value <= EXACT_INTEGERS {
            if let Some(&scale) = POWERS.get(power.unsigned_abs() as usize) {
                return Some(if power < 0 { value as f64 / scale } else { value as f64 * scale });
            }
        }
        return Some(from_big(&mut Big::new(value), power as i32, false));
    }
    Some(parse_long(body, size))
}

/// A number of many digits whose point is `size` digits behind the first significant one.
#[cold]
#[inline(never)]
fn parse_long(body: &[u8], size: i64) -> f64 {
    let mut long = Natural::new();
    let mut more = false;
    let digits = body.iter().take_while(|&&byte| byte | 0x20 != b'e').filter(|byte| byte.is_ascii_digit());
    for &digit in digits.skip_while(|&&byte| byte == b'0') {
        more |= long.digits >= MAX_DIGITS && digit != b'0';
        long.push(digit & 15);
    }
    long.flush();
    from_big(&mut long.big, size.wrapping_sub(long.digits.min(MAX_DIGITS) as i64) as i32, more)
}

/// The digits after `e`. Beyond all sizes that a text in memory could make up for, they are cut off.
#[inline(never)]
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    let mut value = 0i64;
    let mut last = 0u8;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => value = value.wrapping_mul(10).wrapping_add(i64::from(byte & 15)).min(1 << 40),
            b'_' if last.is_ascii_digit() => {}
            _ => return None,
        }
        last = byte;
    }
    last.is_ascii_digit().then(|| if negative { value.wrapping_neg() } else { value })
}
