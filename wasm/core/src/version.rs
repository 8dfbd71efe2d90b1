//! Versions: semver.org ones here, dotted numbers in `numeric`.
//!
//! Text in, order out; which texts a value has, and what follows from an unreadable one, is decided by the callers.

mod numeric;

use core::cmp::Ordering;
pub use numeric::numeric_matches;

/// A version as semver.org 2.0 has it.
#[derive(Clone, Copy, Debug)]
pub struct SemVer<'a> {
    /// Digits without leading zeros, each.
    major: &'a [u8],
    minor: &'a [u8],
    patch: &'a [u8],
    /// Empty if there is none.
    pre_release: &'a [u8],
    /// Likewise. No part of the order of precedence.
    build: &'a [u8],
}

/// The largest number of a version where numbers are 64 bits.
const LARGEST: &[u8] = b"18446744073709551615";

impl<'a> SemVer<'a> {
    /// Reads a version. One leading `v` or `V` is dropped; minor and patch may be left out. None if it is malformed.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<SemVer<'a>> {
        Self::read(text, false)
    }

    /// Reads a version; `strict` if nothing may be left out or put before, and numbers have 64 bits.
    #[inline(never)]
    #[must_use]
    pub fn read(text: &'a [u8], strict: bool) -> Option<SemVer<'a>> {
        let text = match text {
            [b'v' | b'V', rest @ ..] if !strict => rest,
            _ => text,
        };
        let (major, rest) = core_number(text, strict)?;
        let (minor, rest) = next_number(rest, strict)?;
        let (patch, rest) = next_number(rest, strict)?;
        let (pre_release, rest) = match rest {
            [b'-', rest @ ..] => identifiers(rest, true)?,
            _ => (&[][..], rest),
        };
        let (build, rest) = match rest {
            [b'+', rest @ ..] => identifiers(rest, false)?,
            _ => (&[][..], rest),
        };
        rest.is_empty().then_some(SemVer { major, minor, patch, pre_release, build })
    }

    /// The order of precedence; with `builds` also of build metadata, behind that.
    #[must_use]
    pub fn compare(&self, other: &SemVer<'_>, builds: bool) -> Ordering {
        compare_naturals(self.major, other.major)
            .then_with(|| compare_naturals(self.minor, other.minor))
            .then_with(|| compare_naturals(self.patch, other.patch))
            .then_with(|| compare_pre_releases(self.pre_release, other.pre_release))
            .then_with(|| if builds { compare_identifiers(self.build, other.build) } else { Ordering::Equal })
    }

    /// Whether the major versions are the same.
    #[must_use]
    pub fn same_major(&self, other: &SemVer<'_>) -> bool {
        self.major == other.major
    }

    /// Whether the major and minor versions are the same.
    #[must_use]
    pub fn same_minor(&self, other: &SemVer<'_>) -> bool {
        self.major == other.major && self.minor == other.minor
    }
}

/// The digits at the start of the text, and the rest. None if there are no digits, or a leading zero too many.
#[inline(never)]
fn core_number(text: &[u8], strict: bool) -> Option<(&[u8], &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = text.get(..len)?;
    match digits {
        [] | [b'0', _, ..] => None,
        _ if strict && compare_naturals(digits, LARGEST) == Ordering::Greater => None,
        _ => Some((digits, text.get(len..)?)),
    }
}

/// The number after a point; 0 if the numbers ended before.
#[inline]
fn next_number(text: &[u8], strict: bool) -> Option<(&[u8], &[u8])> {
    match text {
        [b'.', rest @ ..] => core_number(rest, strict),
        _ if strict => None,
        [] | [b'-' | b'+', ..] => Some((b"0", text)),
        _ => None,
    }
}

/// Identifiers joined by points up to the end or `+`, and the rest. None if one is empty, has a foreign character or,
/// where that is forbidden, is a number with a leading zero.
#[inline(never)]
fn identifiers(text: &[u8], strict: bool) -> Option<(&[u8], &[u8])> {
    let len = text.iter().take_while(|&&byte| byte != b'+').count();
    let (all, rest) = (text.get(..len)?, text.get(len..)?);
    let good = all.split(|&byte| byte == b'.').all(|one| {
        let zero = strict && matches!(one, [b'0', _, ..]) && is_number(one);
        !one.is_empty() && !zero && one.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    good.then_some((all, rest))
}

#[inline(never)]
fn is_number(identifier: &[u8]) -> bool {
    identifier.iter().all(u8::is_ascii_digit)
}

/// A number without its leading zeros.
fn value(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == b'0').count();
    number.get(zeros..).unwrap_or(number)
}

/// Natural numbers without leading zeros, of any length.
#[inline(never)]
fn compare_naturals(one: &[u8], other: &[u8]) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[inline(never)]
fn compare_pre_releases(one: &[u8], other: &[u8]) -> Ordering {
    if one.is_empty() || other.is_empty() {
        return one.is_empty().cmp(&other.is_empty());
    }
    compare_identifiers(one, other)
}

/// Numbers by value and then by length, others by bytes and above the numbers; more of them are more.
#[inline(never)]
fn compare_identifiers(one: &[u8], other: &[u8]) -> Ordering {
    let mut others = other.split(|&byte| byte == b'.');
    for mine in one.split(|&byte| byte == b'.') {
        let found = match others.next() {
            None => Ordering::Greater,
            Some(theirs) => match (is_number(mine), is_number(theirs)) {
                (true, true) => {
                    compare_naturals(value(mine), value(theirs)).then_with(|| mine.len().cmp(&theirs.len()))
                }
                (false, false) => mine.cmp(theirs),
                (mine_is, theirs_is) => theirs_is.cmp(&mine_is),
            },
        };
        if found != Ordering::Equal {
            return found;
        }
    }
    if others.next().is_some() {
        Ordering::Less
    } else {
        Ordering::Equal
    }
}
