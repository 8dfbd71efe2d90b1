//! MurmurHash3 against published vectors, and its streaming form against the one-shot form.

use pyflagwasm_core::hash::{murmur3, Murmur3};

#[test]
fn published_vectors() {
    let vectors: [(&[u8], u32, u32); 9] = [
        (b"", 0, 0),
        (b"", 1, 0x514E_28B7),
        (b"", 0xFFFF_FFFF, 0x81F1_6F39),
        (b"\0\0\0\0", 0, 0x2362_F9DE),
        (b"\x21\x43\x65\x87", 0x5082_EDEE, 0x2362_F9DE),
        (b"test", 0, 0xBA6B_D213),
        (b"test", 0x9747_B28C, 0x704B_81DC),
        (b"Hello, world!", 0x9747_B28C, 0x2488_4CBA),
        (b"The quick brown fox jumps over the lazy dog", 0x9747_B28C, 0x2FA8_26CD),
    ];
    for (bytes, seed, expected) in vectors {
        assert_eq!(murmur3(bytes, seed), expected, "{bytes:?}");
    }
}

#[test]
fn any_cut_gives_the_same_hash() {
    let text = b"0123456789abcdefghi";
    for end in 0..=text.len() {
        for first in 0..=end {
            for second in first..=end {
                let mut hash = Murmur3::new(3);
                hash.update(&text[..first]);
                hash.update(&text[first..second]);
                hash.update(&text[second..end]);
                assert_eq!(hash.finish(), murmur3(&text[..end], 3), "{first} {second} {end}");
            }
        }
    }
}

#[test]
fn backslashes_stand_for_units_beyond_ascii() {
    let pairs = [
        ("", ""),
        ("plain ascii text", "plain ascii text"),
        ("gr\u{fc}n", "gr\\n"),
        ("\u{20ac}1", "\\1"),
        ("a\u{1f600}b", "a\\\\b"),
        ("\u{1f600}\u{7ff}\u{800}\u{ffff}\u{10ffff}\u{7f}", "\\\\\\\\\\\\\\\u{7f}"),
    ];
    for (text, units) in pairs {
        let bytes = text.as_bytes();
        for cut in 0..=bytes.len() {
            let mut hash = Murmur3::new(1);
            hash.update_backslash(&bytes[..cut]);
            hash.update_backslash(&bytes[cut..]);
            assert_eq!(hash.finish(), murmur3(units.as_bytes(), 1), "{text:?} {cut}");
        }
    }
}

#[test]
fn damaged_text_is_hashed_all_the_same() {
    let mut hash = Murmur3::new(0);
    hash.update_backslash(&[0xFF, 0x80, 0xC3, b'a', 0xF0]);
    assert_eq!(hash.finish(), murmur3(b"\\\\\\a\\\\", 0));
}
