//! Versions: the examples of semver.org, and dotted numbers as each dialect cleans them.

use core::cmp::Ordering;
use pyflagwasm_core::abi::order::{EQUAL, GREATER, LESS};
use pyflagwasm_core::abi::version_dialect::{NUMERIC_CLEAN, NUMERIC_CLEAN_QUIRK, NUMERIC_RAW};
use pyflagwasm_core::version::{numeric_matches, SemVer};

fn compare(one: &str, other: &str) -> Ordering {
    let [one, other] = [one, other].map(|text| SemVer::parse(text.as_bytes()).expect("readable"));
    one.compare(&other, false)
}

#[test]
fn precedence() {
    let rising = [
        "0.0.0-0",
        "0.0.0-0.0",
        "0.0.0",
        "0.0.9",
        "0.0.10",
        "0.2.0",
        "1.0.0-1",
        "1.0.0-9",
        "1.0.0-10",
        "1.0.0-99999999999999999999999",
        "1.0.0-100000000000000000000000",
        "1.0.0-0a",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "9.0.0",
        "99999999999999999999998.0.0",
        "99999999999999999999999.0.0",
    ];
    for (at, one) in rising.iter().enumerate() {
        for (other_at, other) in rising.iter().enumerate() {
            assert_eq!(compare(one, other), at.cmp(&other_at), "{one} {other}");
        }
    }
    assert_eq!(compare("1.0.0--", "1.0.0-1"), Ordering::Greater);
    assert_eq!(compare("1.0.0+a", "1.0.0+b.c"), Ordering::Equal);
}

#[test]
fn padding_and_prefix() {
    for (one, other) in
        [("v1", "1.0.0"), ("V1.2", "1.2.0"), ("1-rc", "1.0.0-rc"), ("1.2+b-x", "1.2.0+y"), ("0", "0.0.0")]
    {
        assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
    }
}

#[test]
fn malformed() {
    let texts = [
        "",
        "v",
        "vv1",
        "1.",
        ".1",
        "1..2",
        "1.2.3.4",
        "01",
        "1.02",
        "1.2.03",
        "1.2.3-",
        "1.2.3-a..b",
        "1.2.3-01",
        "1.2.3-a.",
        "1.2.3+",
        "1.2.3+a+b",
        "1.2.3-a_b",
        "1.2.3 ",
        " 1.2.3",
        "1.2.x",
        "-1",
        "+1",
        "1.2.3\n",
        "\u{661}.0.0",
        "1.2.3-\u{e9}",
        "1,2",
    ];
    for text in texts {
        assert!(SemVer::parse(text.as_bytes()).is_none(), "{text:?}");
    }
    for text in ["1.2.3-0a", "1.2.3--1", "1.2.3+01", "1.2.3+-", "1.2.3-a+0.0"] {
        assert!(SemVer::parse(text.as_bytes()).is_some(), "{text:?}");
    }
}

#[test]
fn sameness() {
    let parse = |text: &'static str| SemVer::parse(text.as_bytes()).expect("readable");
    assert!(parse("1.2.3").same_major(&parse("1.9.0-rc")) && !parse("1.2.3").same_minor(&parse("1.9.0")));
    assert!(parse("1.2").same_minor(&parse("1.2.9")) && !parse("1.2.3").same_major(&parse("11.2.3")));
    assert!(!parse("1.2.3").same_minor(&parse("2.2.3")));
}

fn matches(dialect: u8, attribute: &str, constants: &[&str], order: u8) -> bool {
    numeric_matches(dialect, attribute.as_bytes(), constants.iter().map(|text| text.as_bytes()), order)
}

/// The order of two dotted numbers, from three questions.
fn found(dialect: u8, attribute: &str, constant: &str) -> u8 {
    [LESS, EQUAL, GREATER].iter().filter(|&&order| matches(dialect, attribute, &[constant], order)).sum()
}

#[test]
fn dotted_numbers() {
    let long = "9".repeat(400);
    let cases = [
        ("1.2.3", "1.2.3", EQUAL),
        ("1.2", "1.2.0", EQUAL),
        ("1.2.3", "1.10", LESS),
        ("2", "1.9.9.9", GREATER),
        ("1.0.0.0.1", "1", GREATER),
        ("1..2", "1.0.2", EQUAL),
        ("", "0", EQUAL),
        (".", "0.0", EQUAL),
        ("1", "1.", 0),
        ("1", "", 0),
        ("1", "1..0", 0),
        ("1.a", "2", 0),
        ("1 ", "1", 0),
        ("9007199254740993", "9007199254740992", EQUAL),
        ("00000000000000000000001", "1", EQUAL),
        ("18446744073709551617", "18446744073709551616", EQUAL),
        // Equal when rounded once.
        ("53183099930020517", "53183099930020515", EQUAL),
        ("70061154844746950", "70061154844746948", EQUAL),
        ("100000000000000000000", "99999999999999900000", GREATER),
        (&long, &long[1..], EQUAL),
        (&long, &long[..300], GREATER),
    ];
    for (attribute, constant, expected) in cases {
        for dialect in [NUMERIC_RAW, NUMERIC_CLEAN, NUMERIC_CLEAN_QUIRK] {
            if dialect == NUMERIC_RAW || !attribute.contains(|c: char| c != '.' && !c.is_ascii_digit()) {
                assert_eq!(found(dialect, attribute, constant), expected, "{dialect} {attribute} {constant}");
            }
        }
    }
}

#[test]
fn one_constant_is_enough() {
    assert!(matches(NUMERIC_RAW, "1.5", &["x", "", "3", "1.2"], GREATER));
    assert!(!matches(NUMERIC_RAW, "1.5", &["x", "", "3"], GREATER));
    assert!(matches(NUMERIC_RAW, "1.5", &["1.5.0"], EQUAL | LESS));
    assert!(!matches(NUMERIC_RAW, "1.5", &[], LESS | EQUAL | GREATER));
}

#[test]
fn cleaning() {
    for (attribute, constant, expected) in [
        ("v1.2.3-beta", "1.2.3", EQUAL),
        ("v 1.2 \u{e9}\u{1f600}3", "1.23", EQUAL),
        ("1.2.3", "v1.2.3-9", EQUAL),
        ("beta", "0", EQUAL),
        ("1", "beta", 0),
        ("1", "(1)", 0),
        ("1|", "1", 0),
        ("-1", "0.0", EQUAL),
    ] {
        assert_eq!(found(NUMERIC_CLEAN, attribute, constant), expected, "{attribute} {constant}");
    }
}

#[test]
fn the_quirk() {
    // One foreign unit is dropped in each text, but only from where the last search ended.
    assert_eq!(found(NUMERIC_CLEAN_QUIRK, "v1.0.1", "1.0.0"), GREATER);
    assert_eq!(found(NUMERIC_CLEAN_QUIRK, "v1.0.1", "v1.0.0"), 0);
    assert!(matches(NUMERIC_CLEAN_QUIRK, "v1.0.1", &["v1.0.0", "v1.0.0"], GREATER));
    assert_eq!(found(NUMERIC_CLEAN_QUIRK, "vv1", "1"), 0);
    // An empty constant leaves the positions alone.
    assert!(!matches(NUMERIC_CLEAN_QUIRK, "v1.0.1", &["", "v1.0.0"], GREATER));
    // The first such unit of the whole text goes, not the one found; the cut is made afterwards.
    assert!(matches(NUMERIC_CLEAN_QUIRK, "1a", &["1", "1a2-a"], LESS));
    assert_eq!(found(NUMERIC_CLEAN_QUIRK, "1.1.1-beta", "1.1.1"), EQUAL);
    assert_eq!(found(NUMERIC_CLEAN_QUIRK, "1.1-", "1.1-1"), 0);
    assert!(matches(NUMERIC_CLEAN_QUIRK, "1.1-", &["1.1-1", "1.1-1"], EQUAL));
    // The half of a pair that stays is no digit, unless it is cut off.
    assert_eq!(found(NUMERIC_CLEAN_QUIRK, "\u{1f600}1", "1"), 0);
    assert_eq!(found(NUMERIC_CLEAN_QUIRK, "1-\u{1f600}", "1"), EQUAL);
    // A cut ends before a line terminator.
    assert_eq!(found(NUMERIC_CLEAN_QUIRK, "1a-b\nc", "1"), 0);
    assert_eq!(found(NUMERIC_CLEAN_QUIRK, "1-\n", "1"), EQUAL);
}
