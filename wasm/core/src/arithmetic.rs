//! Python's arithmetic on numbers: integers while they fit 64 bits, doubles otherwise.

use crate::value::Number;

/// Exact if both are integers and the result fits, else in doubles.
fn either(x: Number, y: Number, exact: fn(i64, i64) -> Option<i64>, rounded: fn(f64, f64) -> f64) -> Number {
    if let (Number::Int(a), Number::Int(b)) = (x, y) {
        if let Some(result) = exact(a, b) {
            return Number::Int(result);
        }
    }
    Number::Float(rounded(x.to_float(), y.to_float()))
}

/// x + y.
pub fn add(x: Number, y: Number) -> Number {
    either(x, y, i64::checked_add, |a, b| a + b)
}

/// x - y.
pub fn subtract(x: Number, y: Number) -> Number {
    either(x, y, i64::checked_sub, |a, b| a - b)
}

/// x * y.
pub fn multiply(x: Number, y: Number) -> Number {
    either(x, y, i64::checked_mul, |a, b| a * b)
}

/// -x.
pub fn negate(x: Number) -> Number {
    match x {
        Number::Int(i) => i.checked_neg().map_or(Number::Float(-(i as f64)), Number::Int),
        Number::Float(f) => Number::Float(-f),
    }
}

/// x / y as a double; y is not zero.
pub fn divide(x: Number, y: Number) -> Number {
    Number::Float(x.to_float() / y.to_float())
}

/// x % y with the sign of y; y is not zero.
pub fn modulo(x: Number, y: Number) -> Number {
    if let (Number::Int(a), Number::Int(b)) = (x, y) {
        // None for zero, which the caller excludes, and for the one overflow, whose rest is 0.
        let rest = a.checked_rem(b).unwrap_or(0);
        return Number::Int(if rest != 0 && (rest < 0) != (b < 0) { rest.wrapping_add(b) } else { rest });
    }
    let (a, b) = (x.to_float(), y.to_float());
    let rest = a % b;
    Number::Float(if rest == 0.0 {
        if b.is_sign_negative() {
            -0.0
        } else {
            0.0
        }
    } else if (rest < 0.0) != (b < 0.0) {
        rest + b
    } else {
        rest
    })
}

/// Towards zero; NaN is 0; None for the infinities. Saturates at 64 bits.
pub fn truncate(x: Number) -> Option<i64> {
    match x {
        Number::Int(i) => Some(i),
        Number::Float(f) if f.is_infinite() => None,
        Number::Float(f) => Some(f as i64),
    }
}
