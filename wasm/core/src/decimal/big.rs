//! Big natural numbers: as much of their arithmetic as exact reading and printing of doubles needs.
//!
//! Everything goes through one division, `ratio`. No tables, no allocation: a number is 88 limbs on the stack.

/// Limbs of 32 bits. The longest integer is 10^0 with 770 digits, or 5^1095, shifted by up to 95 bits.
const LIMBS: usize = 88;

/// A natural number. Limbs from `len` on are zero, the one before is not.
pub(super) struct Big {
    limbs: [u32; LIMBS],
    len: usize,
}

impl Big {
    #[inline(never)]
    pub(super) fn new(value: u64) -> Big {
        let mut big = Big { limbs: [0; LIMBS], len: 0 };
        big.multiply_add(0, (value >> 32) as u32);
        big.shift_left(32);
        big.multiply_add(1, value as u32);
        big
    }

    #[inline(always)]
    fn get(&self, at: usize) -> u32 {
        self.limbs.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn set(&mut self, at: usize, value: u32) {
        if let Some(limb) = self.limbs.get_mut(at) {
            *limb = value;
        }
    }

    #[inline(never)]
    fn bits(&self) -> i32 {
        self.len as i32 * 32 - self.get(self.len.wrapping_sub(1)).leading_zeros() as i32 * (self.len > 0) as i32
    }

    #[inline(never)]
    pub(super) fn multiply_add(&mut self, factor: u32, add: u32) {
        let mut carry = u64::from(add);
        for limb in self.limbs.iter_mut().take(self.len) {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry != 0 && self.len < LIMBS {
            self.set(self.len, carry as u32);
            self.len += 1;
        }
    }

    #[inline(never)]
    fn multiply_power_of_5(&mut self, mut power: u32) {
        while power >= 13 {
            self.multiply_add(1_220_703_125, 0);
            power -= 13;
        }
        let mut factor = 1u32;
        for _ in 0..power {
            factor = factor.wrapping_mul(5);
        }
        self.multiply_add(factor, 0);
    }

    #[inline(never)]
    fn shift_left(&mut self, bits: u32) {
        self.multiply_add(1 << (bits & 31), 0);
        let words = (bits >> 5) as usize;
        if words > 0 && self.len > 0 {
            for at in (0..self.len).rev() {
                self.set(at.wrapping_add(words), self.get(at));
            }
            for limb in self.limbs.iter_mut().take(words) {
                *limb = 0;
            }
            self.len = self.len.wrapping_add(words).min(LIMBS);
        }
    }

    /// Whether `self` is at least `other` shifted left by `at` limbs.
    #[inline(never)]
    fn reaches(&self, other: &Big, at: usize) -> bool {
        if self.get(at.wrapping_add(other.len)) != 0 {
            return true;
        }
        for limb in (0..other.len).rev() {
            let (mine, others) = (self.get(at.wrapping_add(limb)), other.get(limb));
            if mine != others {
                return mine > others;
            }
        }
        true
    }

    /// Subtracts `factor` times `other` shifted left by `at` limbs. Leaves `len` as it is.
    #[inline(never)]
    fn subtract(&mut self, other: &Big, at: usize, factor: u32) {
        let mut carry = 0u64;
        for (mine, others) in self.limbs.iter_mut().skip(at).zip(other.limbs.iter().take(other.len.wrapping_add(1))) {
            carry += u64::from(*others) * u64::from(factor);
            let (low, borrow) = mine.overflowing_sub(carry as u32);
            *mine = low;
            carry = (carry >> 32) + u64::from(borrow);
        }
    }
}

/// floor(`top` / `bottom` * 2^`shift`), which must be below 2^64, and whether that is exact.
#[inline(never)]
fn ratio(top: &mut Big, bottom: &mut Big, shift: i32) -> (u64, bool) {
    // With the highest bit of the divisor set, each digit of the quotient can be estimated closely.
    let lift = bottom.get(bottom.len.wrapping_sub(1)).leading_zeros() as i32;
    let whole = if shift < 0 { shift.wrapping_neg().wrapping_add(31) & !31 } else { 0 };
    bottom.shift_left(lift.wrapping_add(whole) as u32);
    top.shift_left(lift.wrapping_add(whole).wrapping_add(shift) as u32);
    let high = next_digit(top, bottom, 1);
    let low = next_digit(top, bottom, 0);
    (u64::from(high) << 32 | u64::from(low), top.limbs.iter().take(top.len).all(|&limb| limb == 0))
}

/// The limb `at` of the quotient, whose multiple of `bottom` is taken from `top`. The highest bit of `bottom` is set.
#[inline(never)]
fn next_digit(top: &mut Big, bottom: &Big, at: usize) -> u32 {
    let leading = u64::from(bottom.get(bottom.len.wrapping_sub(1))).wrapping_add(1);
    let high = at.wrapping_add(bottom.len);
    let mut digit = 0u32;
    loop {
        let window = u64::from(top.get(high)) << 32 | u64::from(top.get(high.wrapping_sub(1)));
        // Never too much; a few too little at most, which the next rounds find.
        let mut part = window.checked_div(leading).unwrap_or(0) as u32;
        if part == 0 {
            if !top.reaches(bottom, at) {
                return digit;
            }
            part = 1;
        }
        top.subtract(bottom, at, part);
        digit = digit.wrapping_add(part);
    }
}

/// The double nearest to `mantissa` * 2^`exponent`, ties to even. `more`: the true value is a little above that.
fn nearest(mantissa: u64, more: bool, exponent: i32) -> f64 {
    let zeros = mantissa.leading_zeros();
    let mantissa = mantissa.wrapping_shl(zeros);
    // The exponent of the highest bit.
    let high = exponent.wrapping_add(63).wrapping_sub(zeros as i32);
    if high > 1023 {
        return f64::INFINITY;
    }
    let missing = (-1022i32).wrapping_sub(high).max(0);
    if mantissa == 0 || missing > 53 {
        return 0.0;
    }
    let drop = missing.wrapping_add(11) as u32;
    let kept = mantissa.checked_shr(drop).unwrap_or(0);
    let half = 1u64.wrapping_shl(drop.wrapping_sub(1));
    let rest = mantissa & (half << 1).wrapping_sub(1);
    let up = rest > half || (rest == half && (more || kept & 1 == 1));
    // The leading bit of a normal mantissa adds the 1 that its exponent lacks here, as does a carry.
    let base = (high.wrapping_add(1022).max(0) as u64) << 52;
    f64::from_bits(base.wrapping_add(kept).wrapping_add(u64::from(up)))
}

/// The double nearest to `digits` * 10^`power`; `more` as in `nearest`.
#[inline(never)]
pub(super) fn from_big(top: &mut Big, power: i32, more: bool) -> f64 {
    let mut bottom = Big::new(1);
    let larger = if power < 0 { &mut bottom } else { &mut *top };
    larger.multiply_power_of_5(power.unsigned_abs());
    let shift = 63i32.wrapping_add(bottom.bits()).wrapping_sub(top.bits());
    let (mantissa, exact) = ratio(top, &mut bottom, shift);
    nearest(mantissa, more || !exact, power.wrapping_sub(shift))
}

/// floor(`mantissa` * 2^`exponent` * 10^`power`), which must be below 2^64, and whether that is exact.
#[inline(never)]
pub(super) fn scaled(mantissa: u64, exponent: i32, power: i32) -> (u64, bool) {
    let (mut top, mut bottom) = (Big::new(mantissa), Big::new(1));
    let larger = if power < 0 { &mut bottom } else { &mut top };
    larger.multiply_power_of_5(power.unsigned_abs());
    ratio(&mut top, &mut bottom, exponent.wrapping_add(power))
}
