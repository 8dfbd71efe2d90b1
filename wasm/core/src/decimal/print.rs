//! Numbers as text.

use super::big::scaled;
use super::{EXACT_INTEGERS, FAST_LIMIT};

/// A printed number, in ASCII.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    bytes: [u8; 40],
    len: u8,
}

impl Text {
    /// The characters.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    fn new(negative: bool) -> Text {
        let mut text = Text { bytes: [0; 40], len: 0 };
        if negative {
            text.push(b'-');
        }
        text
    }

    #[inline(never)]
    fn push(&mut self, byte: u8) {
        if let Some(to) = self.bytes.get_mut(usize::from(self.len)) {
            *to = byte;
            self.len = self.len.wrapping_add(1);
        }
    }

    #[inline(never)]
    fn push_natural(&mut self, mut value: u64) {
        let len = count_digits(value);
        let from = usize::from(self.len);
        for to in self.bytes.iter_mut().skip(from).take(len).rev() {
            *to = b'0' | (value % 10) as u8;
            value /= 10;
        }
        self.len = self.len.wrapping_add(len as u8);
    }

    /// `digits` with the decimal point after `exponent` + 1 of them, or in scientific form from 10^`limit` on and
    /// below 10^-4. `python`: a text without point or exponent gets `.0`.
    #[inline(never)]
    fn push_float(&mut self, mut digits: u64, exponent: i32, limit: i32, python: bool) {
        while digits % 10 == 0 && digits != 0 {
            digits /= 10;
        }
        let scientific = exponent < -4 || exponent >= limit;
        let point = if scientific { 0 } else { exponent };
        if point < 0 {
            self.push(b'0');
            self.push(b'.');
            (1..point.wrapping_neg()).for_each(|_| self.push(b'0'));
        }
        let mut plain = Text::new(false);
        plain.push_natural(digits);
        for (at, &digit) in (0i32..).zip(plain.as_bytes()) {
            if at > 0 && at == point.wrapping_add(1) {
                self.push(b'.');
            }
            self.push(digit);
        }
        let last = i32::from(plain.len).wrapping_sub(1);
        if scientific {
            self.push(b'e');
            self.push(if exponent < 0 { b'-' } else { b'+' });
            let size = exponent.unsigned_abs();
            if size < 10 {
                self.push(b'0');
            }
            self.push_natural(u64::from(size));
        } else if point >= last {
            (last..point).for_each(|_| self.push(b'0'));
            if python {
                self.push(b'.');
                self.push(b'0');
            }
        }
    }
}

#[inline(never)]
fn count_digits(value: u64) -> usize {
    let mut count = 1usize;
    let mut limit = 10u64;
    while value >= limit && count < 20 {
        count = count.wrapping_add(1);
        limit = limit.saturating_mul(10);
    }
    count
}

/// The name of a value that is not finite.
#[inline(never)]
fn special(value: f64) -> Option<Text> {
    if value.is_finite() {
        return None;
    }
    let mut text = Text::new(value < 0.0);
    let [a, b, c] = if value.is_nan() { *b"nan" } else { *b"inf" };
    text.push(a);
    text.push(b);
    text.push(c);
    Some(text)
}

/// A finite, positive double as m * 2^e, and the greatest power of ten not above it, or one less.
#[inline(never)]
fn split(value: f64) -> (u64, i32, i32) {
    let bits = value.to_bits();
    let fraction = bits & (EXACT_INTEGERS / 2).wrapping_sub(1);
    let biased = (bits >> 52 & 0x7FF) as i32;
    let (mantissa, exponent) =
        if biased == 0 { (fraction, -1074) } else { (fraction | (EXACT_INTEGERS / 2), biased.wrapping_sub(1075)) };
    let high = exponent.wrapping_add(63).wrapping_sub(mantissa.leading_zeros() as i32);
    // 78913 / 2^18 is a little below log10(2).
    (mantissa, exponent, high.wrapping_mul(78_913) >> 18)
}

/// A double as C prints it with `%.15g`: 15 significant digits, without zeros at the end.
#[must_use]
pub fn general15(value: f64) -> Text {
    if let Some(text) = special(value) {
        return text;
    }
    let size = if value < 0.0 { -value } else { value };
    let mut text = Text::new(value.is_sign_negative());
    if size < 1e15 && (size as u64) as f64 == size {
        text.push_natural(size as u64);
        return text;
    }
    let (mantissa, exponent, mut ten) = split(size);
    // 18 digits, or 19 that begin with 1.
    let (long, exact) = scaled(mantissa, exponent, 17i32.wrapping_sub(ten));
    let mut unit = 1_000;
    if long >= FAST_LIMIT {
        unit = 10_000;
        ten = ten.wrapping_add(1);
    }
    let (mut digits, rest, half) = (long / unit, long % unit, unit / 2);
    if rest > half || (rest == half && (!exact || digits % 2 == 1)) {
        digits = digits.wrapping_add(1);
    }
    if digits == 1_000_000_000_000_000 {
        ten = ten.wrapping_add(1);
    }
    text.push_float(digits, ten, 15, false);
    text
}

/// A double as Python's `repr` prints it: the fewest digits that read back as the same double, and of those the
/// nearest to it.
#[must_use]
pub fn repr(value: f64) -> Text {
    if let Some(text) = special(value) {
        return text;
    }
    let size = if value < 0.0 { -value } else { value };
    let mut text = Text::new(value.is_sign_negative());
    if size < 1e15 && (size as u64) as f64 == size {
        let whole = size as u64;
        text.push_float(whole, count_digits(whole).wrapping_sub(1) as i32, 16, true);
        return text;
    }
    let (mantissa, exponent, ten) = split(size);
    let power = 17i32.wrapping_sub(ten);
    let (digits, removed) = shortest(mantissa, exponent, power);
    let first = count_digits(digits).wrapping_add(removed) as i32;
    text.push_float(digits, first.wrapping_sub(1).wrapping_sub(power), 16, true);
    text
}

/// The shortest decimal in the rounding interval of `mantissa` * 2^`exponent`, whose product with 10^`power` has 18 or
/// 19 digits: those digits without the last ones, and how many were left out. By the method of Ryu (Adams, 2018).
fn shortest(mantissa: u64, exponent: i32, power: i32) -> (u64, usize) {
    let even = mantissa & 1 == 0;
    let center = mantissa << 2;
    let fine = exponent.wrapping_sub(2);
    // Below a power of two the doubles lie twice as close, except at the smallest exponent.
    let below = if mantissa == EXACT_INTEGERS / 2 && exponent > -1074 { 1 } else { 2 };
    let (mut low, low_exact) = scaled(center.wrapping_sub(below), fine, power);
    let (mut mid, mut mid_exact) = scaled(center, fine, power);
    let (mut high, high_exact) = scaled(center.wrapping_add(2), fine, power);
    if high_exact && !even {
        high = high.wrapping_sub(1);
    }
    let mut low_inside = low_exact && even;
    let mut removed = 0usize;
    let mut last = 0;
    while high / 10 > low / 10 || (low_inside && low % 10 == 0 && low != 0) {
        low_inside &= low % 10 == 0;
        mid_exact &= last == 0;
        last = mid % 10;
        low /= 10;
        mid /= 10;
        high /= 10;
        removed = removed.wrapping_add(1);
    }
    let up = if last == 5 && mid_exact { mid % 2 == 1 } else { last >= 5 };
    let round = up || (mid == low && !low_inside);
    (mid.wrapping_add(u64::from(round)), removed)
}

/// An integer in decimal.
#[must_use]
pub fn int(value: i64) -> Text {
    let mut text = Text::new(value < 0);
    text.push_natural(value.unsigned_abs());
    text
}
