//! Texts as UTF-8 bytes: searching, and counting characters. Invalid UTF-8 gives odd answers, never a failure.

use crate::read::array;

/// Needles up to this many bytes are compared at each place; longer ones are found by a rolling hash first.
const SHORT: usize = 32;

/// Whether two texts are the same bytes. Word by word: most are short, and a call to memcmp costs more than they do.
#[inline(always)]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && same_length(a, b)
}

#[inline(always)]
fn same_length(a: &[u8], b: &[u8]) -> bool {
    let len = a.len();
    if len >= 8 {
        return words::<8>(a, b);
    }
    if len >= 4 {
        return words::<4>(a, b);
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
#[inline(always)]
pub fn starts(whole: &[u8], part: &[u8]) -> bool {
    whole.get(..part.len()).map_or(false, |start| same_length(start, part))
}

/// Whether `whole` ends with `part`.
#[inline(always)]
pub fn ends(whole: &[u8], part: &[u8]) -> bool {
    let from = whole.len().wrapping_sub(part.len());
    whole.get(from..).map_or(false, |end| same_length(end, part))
}

/// Steps that a search costs: one for 256 compared bytes.
#[inline(always)]
pub fn find_cost(whole: &[u8], part: &[u8]) -> usize {
    if part.len() > whole.len() {
        return 0;
    }
    whole.len().wrapping_mul(part.len().min(SHORT)) / 256
}

/// Whether `part` occurs in `whole`. Linear for short parts; for long ones linear but for colliding hashes, each of
/// which costs one comparison.
pub fn find(whole: &[u8], part: &[u8]) -> bool {
    let first = match part.first() {
        None => return true,
        Some(first) => *first,
    };
    if part.len() > SHORT {
        return find_long(whole, part);
    }
    let mut rest = whole;
    while rest.len() >= part.len() {
        if rest.first() == Some(&first) && rest.starts_with(part) {
            return true;
        }
        rest = match rest.get(1..) {
            Some(shorter) => shorter,
            None => return false,
        };
    }
    false
}

/// Rabin and Karp's search, modulo a prime so that no input is known in advance to collide often.
fn find_long(whole: &[u8], part: &[u8]) -> bool {
    const PRIME: u64 = 4_294_967_291;
    const BASE: u64 = 1_000_003;
    let step = |hash: u64, byte: u8| (hash.wrapping_mul(BASE).wrapping_add(u64::from(byte))) % PRIME;
    let start = match whole.get(..part.len()) {
        None => return false,
        Some(start) => start,
    };
    let wanted = part.iter().fold(0, |hash, byte| step(hash, *byte));
    let mut hash = start.iter().fold(0, |hash, byte| step(hash, *byte));
    let high = part.iter().skip(1).fold(1_u64, |power, _| power.wrapping_mul(BASE) % PRIME);
    let mut previous: u8 = 0;
    let mut begun = false;
    for window in whole.windows(part.len()) {
        if begun {
            let gone = u64::from(previous).wrapping_mul(high) % PRIME;
            let last = window.last().copied().unwrap_or(0);
            hash = step(hash.wrapping_add(PRIME).wrapping_sub(gone) % PRIME, last);
        }
        if hash == wanted && window == part {
            return true;
        }
        previous = window.first().copied().unwrap_or(0);
        begun = true;
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
