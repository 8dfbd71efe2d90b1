//! Dotted numbers as versions, in three dialects: as they are, cleaned, and cleaned as one engine really does it.
//!
//! Texts are cleaned while they are read, by UTF-16 units because that engine counts so; nothing is copied.

use crate::abi::{order, version_dialect};

/// The UTF-16 units of UTF-8 text. Malformed text gives some units, never an error.
#[derive(Clone)]
struct Units<'a> {
    rest: &'a [u8],
    /// The second half of a pair whose first half was given, or 0.
    low: u16,
}

impl Iterator for Units<'_> {
    type Item = u16;

    #[inline(always)]
    fn next(&mut self) -> Option<u16> {
        match self.rest {
            [byte @ 0..=0x7F, rest @ ..] if self.low == 0 => {
                self.rest = rest;
                Some(u16::from(*byte))
            }
            _ => self.next_wide(),
        }
    }
}

impl Units<'_> {
    #[inline(never)]
    fn next_wide(&mut self) -> Option<u16> {
        if self.low != 0 {
            return Some(core::mem::take(&mut self.low));
        }
        let six = |byte: &u8| u32::from(byte & 0x3F);
        let (code, rest) = match self.rest {
            [] => return None,
            [a @ 0xF0..=0xFF, b, c, d, rest @ ..] => {
                (u32::from(a & 7) << 18 | six(b) << 12 | six(c) << 6 | six(d), rest)
            }
            [a @ 0xE0..=0xFF, b, c, rest @ ..] => (u32::from(a & 15) << 12 | six(b) << 6 | six(c), rest),
            [a @ 0xC0..=0xFF, b, rest @ ..] => (u32::from(a & 31) << 6 | six(b), rest),
            [a, rest @ ..] => (u32::from(*a), rest),
        };
        self.rest = rest;
        if code < 0x1_0000 {
            return Some(code as u16);
        }
        let pair = code.wrapping_sub(0x1_0000);
        self.low = 0xDC00 | (pair & 0x3FF) as u16;
        Some(0xD800 | (pair >> 10 & 0x3FF) as u16)
    }
}

const POINT: u16 = b'.' as u16;
const HYPHEN: u16 = b'-' as u16;
const NOWHERE: usize = usize::MAX;

fn is_kept(unit: u16) -> bool {
    // The digits, and ( ) - . | which lie at 40, 41, 45, 46 and 124.
    matches!(unit, 0x30..=0x39 | 0x28 | 0x29 | 0x2D | 0x2E | 0x7C)
}

/// The first unit from the index `from` on that is `wanted`, or if None a foreign one, with its index.
#[inline(never)]
fn find(text: &[u8], from: usize, wanted: Option<u16>) -> Option<(usize, u16)> {
    let units = Units { rest: text, low: 0 };
    (0usize..).zip(units).find(|&(at, unit)| at >= from && wanted.map_or(!is_kept(unit), |wanted| unit == wanted))
}

/// A text as cleaned, unit by unit, without being copied.
#[derive(Clone)]
struct Cleaned<'a> {
    units: Units<'a>,
    /// The index of the next unit in the whole text.
    at: usize,
    /// The unit to leave out.
    drop: usize,
    /// The unit to stop before.
    cut: usize,
    /// Leave out all foreign units and stop before the first hyphen.
    clean: bool,
    ended: bool,
}

enum Part {
    Number(f64),
    End,
    Bad,
}

impl<'a> Cleaned<'a> {
    #[inline(always)]
    fn new(text: &'a [u8], clean: bool) -> Self {
        let units = Units { rest: text, low: 0 };
        Cleaned { units, at: 0, drop: NOWHERE, cut: NOWHERE, clean, ended: false }
    }

    #[inline(always)]
    fn unit(&mut self) -> Option<u16> {
        loop {
            if self.at >= self.cut {
                return None;
            }
            let unit = self.units.next()?;
            let at = self.at;
            self.at = at.wrapping_add(1);
            if self.clean {
                if unit == HYPHEN {
                    self.cut = 0;
                    return None;
                }
                if !is_kept(unit) {
                    continue;
                }
            }
            if at != self.drop {
                return Some(unit);
            }
        }
    }

    /// The number up to the next point. An empty one is 0 if `lenient`, else bad.
    #[inline(never)]
    fn part(&mut self, lenient: bool) -> Part {
        if self.ended {
            return Part::End;
        }
        let mut value = 0.0;
        let mut any = lenient;
        loop {
            match self.unit() {
                Some(unit @ 0x30..=0x39) => {
                    any = true;
                    // Rounded at each digit: beyond 2^53 that is what the engine does whose answers these are.
                    value = value * 10.0 + f64::from(unit & 15);
                }
                Some(POINT) => break,
                Some(_) => return Part::Bad,
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
        if any {
            Part::Number(value)
        } else {
            Part::Bad
        }
    }
}

/// How texts are cleaned; for the quirk its two positions, which outlive each text.
struct Cleaner {
    dialect: u8,
    foreign_from: usize,
    hyphen_from: usize,
}

impl Cleaner {
    #[inline]
    fn clean<'a>(&mut self, text: &'a [u8]) -> Cleaned<'a> {
        match self.dialect {
            version_dialect::NUMERIC_CLEAN_QUIRK => self.quirk(text),
            dialect => Cleaned::new(text, dialect == version_dialect::NUMERIC_CLEAN),
        }
    }

    #[inline(never)]
    fn quirk<'a>(&mut self, text: &'a [u8]) -> Cleaned<'a> {
        let mut cleaned = Cleaned::new(text, false);
        if text.is_empty() {
            return cleaned;
        }
        let found = find(text, self.foreign_from, None);
        self.foreign_from = 0;
        if let Some((at, foreign)) = found {
            self.foreign_from = at.wrapping_add(1);
            cleaned.drop = find(text, 0, Some(foreign)).map_or(NOWHERE, |(first, _)| first);
        }
        // The tail is what a regular expression calls `-.*`: it ends before a line terminator.
        let (mut len, mut end, mut hyphen) = (0usize, None, None);
        let mut rest = cleaned.clone();
        while let Some(unit) = rest.unit() {
            if hyphen.is_some() {
                if end.is_none() && matches!(unit, 0x0A | 0x0D | 0x2028 | 0x2029) {
                    end = Some(len);
                }
            } else if unit == HYPHEN && len >= self.hyphen_from {
                hyphen = Some(rest.at.wrapping_sub(1));
            }
            len = len.wrapping_add(1);
        }
        if len > 0 {
            self.hyphen_from = if hyphen.is_some() { end.unwrap_or(len) } else { 0 };
            // With something behind the tail the text is no number, nor is it if the very tail occurs earlier and is
            // taken out there instead: a hyphen is left. Not to cut has the same effect.
            if end.is_none() {
                cleaned.cut = hyphen.unwrap_or(NOWHERE);
            }
        }
        cleaned
    }
}

/// Whether a dotted number is in one of the orders `order` (bits of `abi::order`) to one of the constants.
///
/// `dialect` is one of the numeric ones of `abi::version_dialect`. The attribute may have fewer parts and empty ones;
/// a constant that is not all numbers never matches, and nothing does if the attribute is not.
#[inline]
#[must_use]
pub fn numeric_matches<'a, I: Iterator<Item = &'a [u8]>>(
    dialect: u8,
    attribute: &[u8],
    constants: I,
    order: u8,
) -> bool {
    let mut cleaner = Cleaner { dialect, foreign_from: 0, hyphen_from: 0 };
    let cleaned = cleaner.clean(attribute);
    for constant in constants {
        let found = compare_parts(cleaned.clone(), cleaner.clean(constant));
        if found.map_or(false, |found| found & order != 0) {
            return true;
        }
    }
    false
}

/// The order of the attribute to the constant as a bit of `abi::order`; None if either is not all numbers.
#[inline(never)]
fn compare_parts(mut attribute: Cleaned<'_>, mut constant: Cleaned<'_>) -> Option<u8> {
    let mut found = order::EQUAL;
    loop {
        let (mine, theirs) = match (attribute.part(true), constant.part(false)) {
            (Part::Bad, _) | (_, Part::Bad) => return None,
            (Part::End, Part::End) => return Some(found),
            (Part::Number(mine), Part::Number(theirs)) => (mine, theirs),
            (Part::Number(mine), Part::End) => (mine, 0.0),
            (Part::End, Part::Number(theirs)) => (0.0, theirs),
        };
        if found == order::EQUAL {
            if mine > theirs {
                found = order::GREATER;
            } else if mine < theirs {
                found = order::LESS;
            }
        }
    }
}
