//! Arithmetic on eight bytes of text at once: masks, keys of tables, and versions.

use crate::read::array;

/// The high bit of each byte.
pub const HIGH: u64 = 0x8080_8080_8080_8080;
const LOW_SEVEN: u64 = !HIGH;
const ONES: u64 = 0x0101_0101_0101_0101;
const POINTS: u64 = ONES * b'.' as u64;
const ZEROS: u64 = ONES * b'0' as u64;

/// The first `len` of eight bytes; all of them if there are so many.
#[inline(always)]
pub fn first(len: u64) -> u64 {
    if len < 8 {
        below_eight(len)
    } else {
        u64::MAX
    }
}

/// The first `len & 7` of eight bytes.
#[inline(always)]
pub fn below_eight(len: u64) -> u64 {
    !(u64::MAX << ((len & 7) * 8))
}

/// Eight bytes of a text from `at` on, 0 behind its end.
#[inline(never)]
pub fn eight(text: &[u8], at: usize) -> u64 {
    if let Some(bytes) = array::<8>(text, at) {
        return u64::from_le_bytes(*bytes);
    }
    let rest = text.get(at..).unwrap_or(&[]);
    match array::<8>(text, text.len().wrapping_sub(8)) {
        // The last eight, without those before `at`.
        Some(bytes) if !rest.is_empty() => u64::from_le_bytes(*bytes) >> (64_usize.wrapping_sub(rest.len() * 8) & 63),
        _ => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The high bit of each byte that is 0.
#[inline(always)]
fn zero_bytes(word: u64) -> u64 {
    !((word & LOW_SEVEN).wrapping_add(LOW_SEVEN) | word | LOW_SEVEN)
}

// ------------------------------------------------------------ keys

/// Low bits of a long text's key: there a table has the number of the constant, plus one.
pub const INDEX_BITS: u32 = 24;

/// The key of a text of at most seven bytes, given with what follows it: the text itself, and its length plus one.
#[inline(always)]
pub fn short_key(word: u64, len: u64) -> u64 {
    word & below_eight(len) | len.wrapping_add(1) << 56
}

/// The key of a longer one, which is read eight bytes at a time: texts with the same key may differ.
#[inline(always)]
pub fn long_key(len: usize, eight: impl Fn(usize) -> u64) -> u64 {
    let last = len.wrapping_sub(8);
    let (mut mixed, mut at) = (len as u64, 0);
    while at < last {
        mixed = (mixed.rotate_left(29) ^ eight(at)).wrapping_mul(SPREAD);
        at = at.wrapping_add(8);
    }
    mixed = (mixed.rotate_left(29) ^ eight(last)).wrapping_mul(SPREAD);
    mixed = (mixed ^ mixed >> 29).wrapping_mul(SPREAD);
    0xFF << 56 | mixed >> 32 << INDEX_BITS
}

const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Where the search for a key begins in a table of two to the power of `64 - shift` places.
#[inline(always)]
pub fn place(key: u64, shift: u64) -> usize {
    ((key >> INDEX_BITS ^ key).wrapping_mul(SPREAD) >> (shift & 63)) as usize
}

// ------------------------------------------------------------ versions

/// In place of a version: the text is another one than three plain numbers.
pub const NO_VERSION: u64 = u64::MAX;
/// Bits of each number in a version: five decimal digits, so that versions compare as integers.
pub const NUMBER_BITS: u64 = 20;

/// Three numbers without leading zeros, of at most five digits each, in a text of at most eight bytes, 0 behind them.
#[inline(always)]
pub fn short_version(text: u64, len: u64) -> u64 {
    let points = zero_bytes(text ^ POINTS);
    let second = points & points.wrapping_sub(1);
    // The bits of the points' bytes, all ones. Digits are left as numbers, anything else has a value above 9.
    let point_bytes = (points >> 7).wrapping_mul(0xFF);
    let digits = (text ^ ZEROS) & !point_bytes & first(len);
    let foreign = (digits.wrapping_add(ONES * 0x76) | digits) & HIGH;
    // Where a number begins, there is a digit, and no zero unless it ends at once.
    let end = if len < 8 { 0x80 << (len * 8) } else { 0 };
    let begins = points << 8 | 0x80;
    let ends = points | end;
    let zeros = zero_bytes(text ^ ZEROS);
    let last = (len == 8) as u64;
    let zero_ahead = begins & zeros & !(ends >> 8 | last << 63);
    let bad = foreign | begins & ends | zero_ahead | second & second.wrapping_sub(1) | (points >> 63);
    if bad != 0 || second == 0 || len > 8 {
        return NO_VERSION;
    }
    let (one, two) = (points.trailing_zeros() & !7, second.trailing_zeros() & !7);
    let major = decimal(digits << (64_u32.wrapping_sub(one) & 63));
    let minor = decimal((digits & u64::MAX << one) << (64_u32.wrapping_sub(two) & 63));
    let patch = decimal((digits & u64::MAX << two) << (64_u64.wrapping_sub(len * 8) & 63));
    major << (2 * NUMBER_BITS) | minor << NUMBER_BITS | patch
}

/// Up to four digits, the last one in the highest byte, as a number of four bits a digit.
#[inline(always)]
fn decimal(digits: u64) -> u64 {
    digits >> 56 | digits >> 44 & 0xF0 | digits >> 32 & 0xF00 | digits >> 20 & 0xF000
}

/// One to three numbers without leading zeros, of at most five digits each, in a text of any length; those that are
/// left out are 0.
#[inline(never)]
pub fn version(text: &[u8]) -> u64 {
    let (mut all, mut number, mut digits, mut points) = (0, 0, 0, 0);
    for &byte in text {
        let next = match byte {
            b'.' if digits > 0 && points < 2 => {
                all = (all | number) << NUMBER_BITS;
                points += 1;
                (0, 0)
            }
            b'0'..=b'9' if digits < 5 && (digits == 0 || number != 0) => {
                (number << 4 | u64::from(byte & 15), digits + 1)
            }
            _ => return NO_VERSION,
        };
        number = next.0;
        digits = next.1;
    }
    if digits == 0 {
        return NO_VERSION;
    }
    (all | number) << (NUMBER_BITS * (2 - points))
}
