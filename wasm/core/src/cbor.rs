//! The few CBOR items that a bucket or a fractional split hashes, in canonical (shortest) form.
//!
//! Text, lists and objects are a head and what follows it; walking them is the caller's business.

/// The major types of RFC 8949 that occur.
pub mod major {
    /// A non-negative integer.
    pub const UNSIGNED: u8 = 0;
    /// A negative integer, as -1 - n.
    pub const NEGATIVE: u8 = 1;
    /// Text, followed by that many bytes of UTF-8.
    pub const TEXT: u8 = 3;
    /// A list, followed by that many items.
    pub const LIST: u8 = 4;
    /// An object, followed by that many pairs of items.
    pub const OBJECT: u8 = 5;
    /// A simple value or a float.
    pub const SIMPLE: u8 = 7;
}

/// The simple value `false`.
pub const FALSE: u8 = 20;
/// The simple value `true`.
pub const TRUE: u8 = 21;
/// The simple value `null`.
pub const NULL: u8 = 22;

/// The first bytes of an item: for numbers and simple values the whole of it.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; 9],
    len: u8,
}

impl Head {
    /// The encoded bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// `initial`, then the last `size` (0 to 8) bytes of `value`.
    #[inline(never)]
    fn new(initial: u8, value: u64, size: u8) -> Head {
        let [a, b, c, d, e, f, g, h] = value.wrapping_shl(64u32.wrapping_sub(u32::from(size) * 8)).to_be_bytes();
        Head { bytes: [initial, a, b, c, d, e, f, g, h], len: size.wrapping_add(1) }
    }
}

/// The head of an item: its major type (0 to 7) and a number, which is a value, a length or a count.
#[inline(never)]
#[must_use]
pub fn head(major: u8, value: u64) -> Head {
    let initial = major << 5;
    let (code, size) = match value {
        0..=23 => return Head::new(initial | value as u8, 0, 0),
        24..=0xFF => (24, 1),
        0x100..=0xFFFF => (25, 2),
        0x1_0000..=0xFFFF_FFFF => (26, 4),
        _ => (27, 8),
    };
    Head::new(initial | code, value, size)
}

/// An integer.
#[inline]
#[must_use]
pub fn int(value: i64) -> Head {
    if value < 0 {
        head(major::NEGATIVE, !value as u64)
    } else {
        head(major::UNSIGNED, value as u64)
    }
}

/// A simple value: `FALSE`, `TRUE` or `NULL` (or their first and only byte, which ends in the same five bits).
#[inline]
#[must_use]
pub fn simple(value: u8) -> Head {
    Head::new(0xE0 | (value & 0x1F), 0, 0)
}

/// A float: an integer item if its value is an integer in [-2^63, 2^64), else the shortest float that keeps the value.
#[must_use]
pub fn float(value: f64) -> Head {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if (0.0..2.0 * TWO_63).contains(&value) && (value as u64) as f64 == value {
        return head(major::UNSIGNED, value as u64);
    }
    if (-TWO_63..0.0).contains(&value) && (value as i64) as f64 == value {
        return int(value as i64);
    }
    let single = value as f32;
    let (initial, bits, size) = match half(single) {
        _ if value.is_nan() => (0xF9, 0x7E00, 2),
        _ if f64::from(single) != value => (0xFB, value.to_bits(), 8),
        Some(bits) => (0xF9, u64::from(bits), 2),
        None => (0xFA, u64::from(single.to_bits()), 4),
    };
    Head::new(initial, bits, size)
}

/// The half-precision float of the same value, if there is one.
fn half(single: f32) -> Option<u16> {
    let bits = single.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let exponent = (bits >> 23 & 0xFF) as i32 - 127;
    let fraction = bits & 0x007F_FFFF;
    match exponent {
        128 if fraction == 0 => Some(sign | 0x7C00),
        -14..=15 if fraction & 0x1FFF == 0 => Some(sign | ((exponent + 15) as u16) << 10 | (fraction >> 13) as u16),
        // Subnormal halves are multiples of 2^-24.
        -24..=-15 => {
            let mantissa = fraction | 0x0080_0000;
            let drop = (-1 - exponent) as u32;
            let kept = mantissa >> drop;
            (kept << drop == mantissa).then_some(sign | kept as u16)
        }
        _ => None,
    }
}
