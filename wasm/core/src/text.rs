//! Texts as UTF-8 bytes: searching, and counting characters. Invalid UTF-8 gives odd answers, never a failure.

use crate::read::array;

/// Needles up to this many bytes are compared at each place; longer ones are found by a rolling hash first.
const SHORT: usize = 32;

/// Whether two texts are the same bytes. Word by word: most are short, and memcmp goes byte by byte.
#[inline(never)]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let len = a.len();
    if len != b.len() {
        return false;
    }
    if len >= 8 {
        return words::<8>(a, b);
    }
    if len >= 2 {
        return words::<2>(a, b);
    }
    a.first() == b.first()
}

/// Compares `N` bytes at a time; the last step overlaps the one before.
#[inline(always)]
fn words<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    let last = a.len().wrapping_sub(N);
    let mut at = 0;
    while at < last {
        if array::<N>(a, at) != array::<N>(b, at) {
            return false;
        }
        at = at.wrapping_add(N);
    }
    array::<N>(a, last) == array::<N>(b, last)
}

/// Whether `whole` begins with `part`.
pub fn starts(whole: &[u8], part: &[u8]) -> bool {
    same(whole.get(..part.len()).unwrap_or(whole), part)
}

/// Whether `whole` ends with `part`.
pub fn ends(whole: &[u8], part: &[u8]) -> bool {
    same(whole.get(whole.len().wrapping_sub(part.len())..).unwrap_or(whole), part)
}

/// Whether `part` occurs in `whole`. Takes off `steps` what it costs, and gives up when nothing is left of them.
///
/// Short parts are compared at each place; long ones where a rolling hash says so. The hash is no secret, so whoever
/// makes it collide pays for each comparison.
#[inline(never)]
pub fn find(whole: &[u8], part: &[u8], steps: &mut u32) -> bool {
    const BASE: u32 = 16_777_619;
    if part.len() > whole.len() {
        return false; // before a part of any length is hashed, which nobody would have paid for
    }
    let long = part.len() > SHORT;
    let per_byte = if long { 1 } else { part.len() };
    *steps = steps.saturating_sub((whole.len().wrapping_mul(per_byte) / 256) as u32);
    let last = match part.last() {
        None => return true,
        Some(last) => *last,
    };
    let roll = |hash: u32, byte: &u8| hash.wrapping_mul(BASE).wrapping_add(u32::from(*byte));
    let wanted = part.iter().fold(0, roll);
    let mut hash = whole.iter().take(part.len().wrapping_sub(1)).fold(0, roll);
    let high = part.iter().skip(1).fold(1_u32, |power, _| power.wrapping_mul(BASE));
    for window in whole.windows(part.len()) {
        if long {
            hash = window.last().map_or(0, |byte| roll(hash, byte));
            if hash == wanted {
                *steps = steps.saturating_sub((part.len() / 64) as u32 + 1);
            }
        }
        if if long { hash == wanted } else { window.last() == Some(&last) } && window == part {
            return true;
        }
        if *steps == 0 {
            return false;
        }
        hash = hash.wrapping_sub(window.first().map_or(0, |byte| u32::from(*byte).wrapping_mul(high)));
    }
    false
}

/// Whether a byte begins a character.
#[inline(always)]
fn begins(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// Characters in a text.
pub fn count(text: &[u8]) -> usize {
    text.iter().filter(|byte| begins(**byte)).count()
}

/// The byte offset of character number `index`, or the length if there are not so many.
pub fn offset(text: &[u8], index: usize) -> usize {
    text.iter().enumerate().filter(|(_, byte)| begins(**byte)).nth(index).map_or(text.len(), |(at, _)| at)
}

/// A number in canonical decimal: no sign, no leading zero.
pub fn index(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 9 || (text.len() > 1 && text.first() == Some(&b'0')) {
        return None;
    }
    text.iter().try_fold(0_usize, |value, byte| match byte {
        b'0'..=b'9' => Some(value.wrapping_mul(10).wrapping_add(usize::from(byte.wrapping_sub(b'0')))),
        _ => None,
    })
}
