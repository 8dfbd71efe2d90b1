//! CBOR heads against the examples of RFC 8949, appendix A, and floats by decoding them again.

use pyflagwasm_core::cbor::{float, head, int, major, simple, FALSE, NULL, TRUE};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn integers() {
    let examples = [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (1000, "1903e8"),
        (65_535, "19ffff"),
        (65_536, "1a00010000"),
        (1_000_000, "1a000f4240"),
        (4_294_967_296, "1b0000000100000000"),
        (1_000_000_000_000, "1b000000e8d4a51000"),
        (-1, "20"),
        (-24, "37"),
        (-25, "3818"),
        (-1000, "3903e7"),
        (i64::MAX, "1b7fffffffffffffff"),
        (i64::MIN, "3b7fffffffffffffff"),
    ];
    for (value, expected) in examples {
        assert_eq!(hex(int(value).as_bytes()), expected, "{value}");
    }
    assert_eq!(hex(head(major::UNSIGNED, u64::MAX).as_bytes()), "1bffffffffffffffff");
}

#[test]
fn heads_and_simple_values() {
    assert_eq!(hex(head(major::TEXT, 0).as_bytes()), "60");
    assert_eq!(hex(head(major::TEXT, 300).as_bytes()), "79012c");
    assert_eq!(hex(head(major::LIST, 3).as_bytes()), "83");
    assert_eq!(hex(head(major::OBJECT, 24).as_bytes()), "b818");
    assert_eq!([FALSE, TRUE, NULL].map(|value| hex(simple(value).as_bytes())), ["f4", "f5", "f6"]);
    assert_eq!(hex(simple(0xF5).as_bytes()), "f5");
}

#[test]
fn floats() {
    let examples = [
        (0.0, "00"),
        (-0.0, "00"),
        (1.0, "01"),
        (-4.0, "23"),
        (1.1, "fb3ff199999999999a"),
        (1.5, "f93e00"),
        (-4.1, "fbc010666666666666"),
        (65_504.5, "fa477fe080"),
        (100_000.0, "1a000186a0"),
        (5.960_464_477_539_063e-8, "f90001"),
        (2.980_232_238_769_531_2e-8, "fa33000000"),
        (0.000_061_035_156_25, "f90400"),
        (6.097_555_160_522_461e-5, "f903ff"),
        (3.402_823_466_385_288_6e38, "fa7f7fffff"),
        (1.0e300, "fb7e37e43c8800759c"),
        (5e-324, "fb0000000000000001"),
        (f64::INFINITY, "f97c00"),
        (f64::NEG_INFINITY, "f9fc00"),
        (f64::NAN, "f97e00"),
        (9_223_372_036_854_775_808.0, "1b8000000000000000"),
        (-9_223_372_036_854_775_808.0, "3b7fffffffffffffff"),
        (18_446_744_073_709_551_616.0, "fa5f800000"),
        (-9_223_372_036_854_777_856.0, "fbc3e0000000000001"),
    ];
    for (value, expected) in examples {
        assert_eq!(hex(float(value).as_bytes()), expected, "{value:e}");
    }
}

/// The value of a half, from the definition of its format.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 => f64::INFINITY,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 {
        -size
    } else {
        size
    }
}

#[test]
fn every_half_is_found_and_no_other_value_is() {
    for bits in 0..=u16::MAX {
        let value = half(bits);
        if bits & 0x7C00 == 0x7C00 && bits & 1023 != 0 || value == value.trunc() && value.is_finite() {
            continue;
        }
        assert_eq!(hex(float(value).as_bytes()), format!("f9{bits:04x}"));
        let next = f32::from_bits((value as f32).to_bits() + 1);
        if next.is_finite() {
            assert_eq!(hex(float(f64::from(next)).as_bytes()), format!("fa{:08x}", next.to_bits()));
        }
    }
}
