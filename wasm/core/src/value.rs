//! JSON values as they lie in memory, and what can be said of them without following references.
//!
//! A [`Value`] is sixteen bytes: scalars are in it, texts, lists and objects are referred to. Following a reference
//! needs the heaps, so that lives in `machine.rs` and `json.rs`.

use crate::abi::{kind, order, value_at};
use crate::read::{array, u64_at};
use core::cmp::Ordering;

/// A JSON value, or a reference to one in a heap: two words, so that it is copied with two loads and two stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Kind in bits 0..8, space in bits 8..16, length in bits 32..64: the first eight bytes as they lie in memory.
    head: u64,
    /// The scalar's bits, or an offset.
    pub bits: u64,
}

/// A number as Python has them: integers stay integers.
#[derive(Clone, Copy)]
pub enum Number {
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(f64),
}

impl Value {
    /// No value.
    pub const MISSING: Value = Value { head: kind::MISSING as u64, bits: 0 };
    /// JSON's null.
    pub const NULL: Value = Value { head: kind::NULL as u64, bits: 0 };

    /// true or false.
    #[inline(always)]
    pub fn bool(holds: bool) -> Value {
        Value { head: u64::from(kind::BOOL), bits: u64::from(holds) }
    }

    /// A 64-bit integer.
    #[inline(always)]
    pub fn int(value: i64) -> Value {
        Value { head: u64::from(kind::INT), bits: value as u64 }
    }

    /// A double.
    #[inline(always)]
    pub fn float(value: f64) -> Value {
        Value { head: u64::from(kind::FLOAT), bits: value.to_bits() }
    }

    /// A number of either kind.
    pub fn number(value: Number) -> Value {
        match value {
            Number::Int(i) => Value::int(i),
            Number::Float(f) => Value::float(f),
        }
    }

    /// A text, list or object of `len` at `at` in the heap of `space`.
    pub fn reference(kind: u8, space: u8, at: usize, len: usize) -> Value {
        Value { head: u64::from(kind) | u64::from(space) << 8 | (len as u64) << 32, bits: at as u64 }
    }

    /// The same in the heap of another space.
    #[inline(always)]
    pub fn in_space(self, space: u8) -> Value {
        Value { head: self.head & !0xFF00 | u64::from(space) << 8, bits: self.bits }
    }

    /// Reads sixteen bytes at `at`. An unknown kind is Missing.
    #[inline(always)]
    pub fn read(bytes: &[u8], at: usize) -> Value {
        let raw: &[u8; value_at::SIZE] = match array(bytes, at) {
            Some(raw) => raw,
            None => return Value::MISSING,
        };
        let head = u64_at(raw, 0) & !0xFFFF_0000;
        if head as u8 > kind::OBJECT {
            return Value::MISSING;
        }
        Value { head, bits: u64_at(raw, value_at::BITS) }
    }

    /// The sixteen bytes of this value.
    pub fn to_bytes(self) -> [u8; value_at::SIZE] {
        let mut out = [0; value_at::SIZE];
        out[..value_at::BITS].copy_from_slice(&self.head.to_le_bytes());
        out[value_at::BITS..].copy_from_slice(&self.bits.to_le_bytes());
        out
    }

    /// `Kind`.
    #[inline(always)]
    pub fn kind(&self) -> u8 {
        self.head as u8
    }

    /// `Space` of the heap that `bits` is an offset into.
    #[inline(always)]
    pub fn space(&self) -> u8 {
        (self.head >> 8) as u8
    }

    /// Bytes of a text, members of a list, pairs of an object.
    #[inline(always)]
    pub fn len(&self) -> u32 {
        (self.head >> 32) as u32
    }

    /// Bytes that a reference spans in its heap.
    pub fn span(&self) -> u64 {
        match self.kind() {
            kind::TEXT => u64::from(self.len()),
            kind::LIST => u64::from(self.len()) * 16,
            kind::OBJECT => u64::from(self.len()) * 32,
            _ => 0,
        }
    }

    /// Whether the bytes it refers to lie inside a heap of `size` bytes.
    #[inline(never)]
    pub fn fits(&self, size: usize) -> bool {
        self.kind() < kind::TEXT || self.bits.saturating_add(self.span()) <= size as u64
    }

    /// The offset of a reference.
    #[inline(always)]
    pub fn at(&self) -> usize {
        self.bits as usize
    }

    /// An Int's value.
    #[inline(always)]
    pub fn as_int(&self) -> i64 {
        self.bits as i64
    }

    /// A Float's value.
    #[inline(always)]
    pub fn as_float(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    /// Bool, Int and Float: what Python calls a number.
    pub fn is_numeric(&self) -> bool {
        matches!(self.kind(), kind::BOOL | kind::INT | kind::FLOAT)
    }

    /// Null or Missing.
    pub fn is_null(&self) -> bool {
        self.kind() <= kind::NULL
    }

    /// Neither null, false, zero, NaN, nor empty; every object is truthy.
    #[inline(never)]
    pub fn is_truthy(&self) -> bool {
        match self.kind() {
            kind::BOOL | kind::INT => self.bits != 0,
            kind::FLOAT => {
                let value = self.as_float();
                value != 0.0 && value == value
            }
            kind::TEXT | kind::LIST => self.len() != 0,
            kind::OBJECT => true,
            _ => false,
        }
    }

    /// Null, Missing or the empty text.
    pub fn is_blank(&self) -> bool {
        self.is_null() || (self.kind() == kind::TEXT && self.len() == 0)
    }

    /// The number of a Bool, Int or Float.
    pub fn scalar_number(&self) -> Number {
        match self.kind() {
            kind::FLOAT => Number::Float(self.as_float()),
            _ => Number::Int(self.as_int()),
        }
    }
}

impl Number {
    /// As a double.
    pub fn to_float(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
        }
    }

    /// Exact comparison, also of an integer with a double; None for NaN.
    #[inline(never)]
    pub fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
            (Number::Int(a), Number::Float(b)) => compare_mixed(a, b),
            (Number::Float(a), Number::Int(b)) => compare_mixed(b, a).map(Ordering::reverse),
        }
    }

    /// Whether it is the number zero.
    pub fn is_zero(self) -> bool {
        match self {
            Number::Int(i) => i == 0,
            Number::Float(f) => f == 0.0,
        }
    }
}

fn compare_mixed(a: i64, b: f64) -> Option<Ordering> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if b != b {
        return None;
    }
    if b >= LIMIT {
        return Some(Ordering::Less);
    }
    if b < -LIMIT {
        return Some(Ordering::Greater);
    }
    let whole = b as i64;
    Some(a.cmp(&whole).then_with(|| {
        let rest = b - whole as f64;
        0.0_f64.partial_cmp(&rest).unwrap_or(Ordering::Equal)
    }))
}

/// Whether an order satisfies a set of `Order` bits; unordered (NaN) satisfies none.
#[inline(always)]
pub fn satisfies(found: Option<Ordering>, wanted: u8) -> bool {
    match found {
        Some(Ordering::Less) => wanted & order::LESS != 0,
        Some(Ordering::Equal) => wanted & order::EQUAL != 0,
        Some(Ordering::Greater) => wanted & order::GREATER != 0,
        None => false,
    }
}
