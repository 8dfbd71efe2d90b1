//! Reading and printing doubles, against the standard library where that says the same, else against known answers.

use pyflagwasm_core::decimal::{general15, int, parse_float, repr, Text};

fn text(text: &Text) -> &str {
    core::str::from_utf8(text.as_bytes()).expect("ASCII")
}

/// Numbers that look random and are the same every time.
fn numbers() -> impl Iterator<Item = u64> {
    core::iter::successors(Some(0x9E37_79B9_7F4A_7C15u64), |&last| {
        let next = last ^ (last << 13);
        let next = next ^ (next >> 7);
        Some(next ^ (next << 17))
    })
}

fn doubles(count: usize) -> impl Iterator<Item = f64> {
    let wild = numbers().map(f64::from_bits).filter(|value| value.is_finite());
    let subnormal = numbers().map(|bits| f64::from_bits(bits >> (12 + bits % 50)));
    let powers =
        (0..2047u64).flat_map(|exponent| [0, 1, (1 << 52) - 1].map(|low| f64::from_bits(exponent << 52 | low)));
    let tame = numbers().map(|bits| (bits % 1_000_000) as f64 / [1.0, 8.0, 10.0, 1000.0][(bits >> 40) as usize % 4]);
    wild.take(count).chain(subnormal.take(count)).chain(powers).chain(tame.take(count))
}

#[test]
fn what_is_read() {
    for (given, expected) in [
        ("1", 1.0),
        ("  -2.5\t\n", -2.5),
        ("\u{a0}\u{3000}+7\u{2028}\u{1680}\u{85}", 7.0),
        ("\u{2003}", f64::NAN),
        ("1_000.5_0e1_0", 1000.5e10),
        (".5", 0.5),
        ("5.", 5.0),
        ("5.e3", 5000.0),
        ("-0", -0.0),
        ("0e99999999999999999999", 0.0),
        ("1e99999999999999999999", f64::INFINITY),
        ("-1e99999999999999999999", f64::NEG_INFINITY),
        ("1e-99999999999999999999", 0.0),
        ("Infinity", f64::INFINITY),
        (" -iNFINITY ", f64::NEG_INFINITY),
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("9007199254740993.00000000000000000000000000001", 9_007_199_254_740_994.0),
        ("2.4703282292062327e-324", 0.0),
        ("2.4703282292062328e-324", 5e-324),
        ("1.7976931348623158e308", f64::MAX),
        ("1.7976931348623159e308", f64::INFINITY),
    ] {
        match parse_float(given.as_bytes()) {
            Some(value) => assert_eq!(value.to_bits(), expected.to_bits(), "{given:?}"),
            None => assert!(expected.is_nan(), "{given:?}"),
        }
    }
    assert!(["nan", "-NaN", " +nan\n"].iter().all(|given| parse_float(given.as_bytes()).map_or(false, f64::is_nan)));
}

#[test]
fn long_integers() {
    for (at, bits) in numbers().take(2_000).enumerate() {
        let long = format!("{bits}{}", numbers().nth(at % 40).unwrap_or(0)).repeat(1 + at % 12);
        let given = &long[..1 + at % long.len()];
        assert_eq!(parse_float(given.as_bytes()), given.parse().ok(), "{given}");
    }
    assert_eq!(parse_float("9".repeat(5_000).as_bytes()), Some(f64::INFINITY));
    assert_eq!(parse_float("0".repeat(5_000).as_bytes()), Some(0.0));
}

#[test]
fn what_is_not() {
    for given in [
        "",
        " ",
        "+",
        ".",
        "e1",
        ".e1",
        "1e",
        "1e+",
        "1e1.0",
        "1 2",
        "+-1",
        "- 1",
        "_1",
        "1_",
        "1__0",
        "1_.0",
        "1._0",
        "1_e1",
        "1e_1",
        "1e1_",
        "0x10",
        "inf",
        "+inf",
        " -INF ",
        "in",
        "infinit",
        "infinity_",
        "nan1",
        "1\0",
        "\u{1c}1",
        "1\u{1f}",
        "1\u{200b}",
        "\u{661}",
        "1.2.3",
        "1,5",
        "\u{2212}1",
    ] {
        assert!(parse_float(given.as_bytes()).is_none(), "{given:?}");
    }
    assert!(parse_float(&[0xE2, 0x80]).is_none() && parse_float(&[b'1', 0xFF]).is_none());
}

#[test]
fn reads_what_is_printed() {
    for value in doubles(1_000) {
        for given in [repr(value), repr(-value)] {
            let back = parse_float(given.as_bytes()).expect("readable");
            assert_eq!(back.abs().to_bits(), value.abs().to_bits(), "{}", text(&given));
        }
        let exact = format!("{value:.1100}");
        assert_eq!(parse_float(exact.as_bytes()).map(f64::to_bits), Some(value.to_bits()), "{value:e}");
    }
}

#[test]
fn halfway_goes_to_even_and_a_trace_more_goes_up() {
    for value in doubles(100).filter(|value| *value > 0.0 && *value < f64::MAX / 2.0) {
        let next = f64::from_bits(value.to_bits() + 1);
        // Twice the middle is exact in this scale: print both exactly and add the texts.
        let sum = add(&format!("{value:.1080}"), &format!("{next:.1080}"));
        let middle = halve(&sum);
        let even = if value.to_bits() & 1 == 0 { value } else { next };
        assert_eq!(parse_float(middle.as_bytes()), Some(even), "{value:e}");
        assert_eq!(parse_float(format!("{middle}0000001").as_bytes()), Some(next), "{value:e}");
    }
}

fn add(one: &str, other: &str) -> Vec<u8> {
    let width = one.len().max(other.len()) + 1;
    let [one, other] = [one, other].map(|text| format!("{text:0>width$}").into_bytes());
    let mut carry = 0;
    let mut sum: Vec<u8> = one
        .iter()
        .zip(&other)
        .rev()
        .map(|(&a, &b)| {
            if a == b'.' {
                return b'.';
            }
            let digit = a - b'0' + b - b'0' + carry;
            carry = digit / 10;
            b'0' + digit % 10
        })
        .collect();
    sum.reverse();
    sum
}

fn halve(sum: &[u8]) -> String {
    let mut rest = 0;
    sum.iter()
        .chain(b"0")
        .map(|&byte| {
            if byte == b'.' {
                return '.';
            }
            let now = rest * 10 + (byte - b'0');
            rest = now % 2;
            char::from(b'0' + now / 2)
        })
        .collect()
}

#[test]
fn repr_is_the_shortest() {
    for value in doubles(5_000) {
        let printed = repr(value);
        let digits = |text: &str| -> String {
            let mantissa = text.split('e').next().unwrap_or("");
            let all: String = mantissa.chars().filter(char::is_ascii_digit).collect();
            all.trim_matches('0').to_string()
        };
        // The standard library prints the shortest digits too, but goes up where two are equally near.
        let (ours, theirs) = (digits(text(&printed)), digits(&format!("{value:e}")));
        if ours != theirs {
            assert_eq!(digits(&format!("{value:.1100}")), format!("{ours}5"), "{value:e}");
            assert!(ours.ends_with(['0', '2', '4', '6', '8']) && ours.len() == theirs.len(), "{value:e}");
        }
    }
}

#[test]
fn repr_looks_like_python() {
    for (value, expected) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-1.5, "-1.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e15, "1000000000000000.0"),
        (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
        (9_999_999_999_999_998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (1e22, "1e+22"),
        (0.0001, "0.0001"),
        (0.000_01, "1e-05"),
        (0.000_123, "0.000123"),
        (1.5e300, "1.5e+300"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (9_007_199_254_740_992.0, "9007199254740992.0"),
        (2f64.powi(-44), "5.684341886080802e-14"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
        (-f64::NAN, "nan"),
    ] {
        assert_eq!(text(&repr(value)), expected);
    }
}

#[test]
fn general_looks_like_c() {
    for (value, expected) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (100.0, "100"),
        (-2.5, "-2.5"),
        (0.1 + 0.2, "0.3"),
        (1.0 / 3.0, "0.333333333333333"),
        (999_999_999_999_999.0, "999999999999999"),
        (999_999_999_999_999.5, "1e+15"),
        (100_000_000_000_000.5, "100000000000000"),
        (100_000_000_000_001.5, "100000000000002"),
        (1e15, "1e+15"),
        (123_456_789_012_345_680.0, "1.23456789012346e+17"),
        (0.0001, "0.0001"),
        (0.000_099_999_999_999_999_99, "0.0001"),
        (0.000_01, "1e-05"),
        (5e-324, "4.94065645841247e-324"),
        (f64::MAX, "1.79769313486232e+308"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ] {
        assert_eq!(text(&general15(value)), expected);
    }
}

#[test]
fn general_is_rounded_as_the_standard_library_rounds() {
    for value in doubles(5_000) {
        let printed = parse_float(general15(value).as_bytes());
        assert_eq!(printed, format!("{value:.14e}").parse().ok(), "{value:e}");
    }
}

#[test]
fn integers() {
    for value in [0, 1, -1, 9, 10, -10, 1_234_567_890, i64::MAX, i64::MIN] {
        assert_eq!(text(&int(value)), value.to_string());
    }
    for value in numbers().take(2_000).map(|bits| bits as i64 >> (bits & 63)) {
        assert_eq!(text(&int(value)), value.to_string());
    }
}
