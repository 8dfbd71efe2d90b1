//! IP addresses as text, and the networks that they are in.

/// An address: its version, 4 or 6, and its bytes, the first four of them for version 4.
pub type Address = (u8, [u8; 16]);

/// Reads an address as RFC 4291 and dotted decimal have it: no zone, no leading zeros in decimal, no white space.
#[inline(never)]
#[must_use]
pub fn parse(text: &[u8]) -> Option<Address> {
    const NONE: usize = usize::MAX;
    let mut out = [0; 16];
    if dotted(text, &mut out, 0) {
        return Some((4, out));
    }
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let (mut at, mut len, mut gap) = (0_usize, 0_usize, NONE);
    while at < text.len() && len < 16 {
        let colon = byte(at) == b':';
        if colon && gap == NONE && byte(at.wrapping_add(1)) == b':' {
            gap = len;
            at = at.wrapping_add(2);
            continue;
        }
        if len != 0 && len != gap {
            if !colon {
                return None;
            }
            at = at.wrapping_add(1);
        }
        if len <= 12 && dotted(text.get(at..).unwrap_or(text), &mut out, len) {
            at = text.len();
            len = len.wrapping_add(4);
            break;
        }
        let (mut group, behind) = (0_u32, at.wrapping_add(4));
        while at < behind && byte(at).is_ascii_hexdigit() {
            let digit = u32::from(byte(at));
            group = group << 4 | (digit & 15).wrapping_add(digit >> 6).wrapping_add(digit >> 6 << 3);
            at = at.wrapping_add(1);
        }
        if at == behind.wrapping_sub(4) {
            return None;
        }
        out[len % 16] = (group >> 8) as u8;
        out[len.wrapping_add(1) % 16] = group as u8;
        len = len.wrapping_add(2);
    }
    let room = 16_usize.wrapping_sub(len);
    if at < text.len() || (gap == NONE) != (room == 0) {
        return None;
    }
    // What came after the gap belongs to the end; the gap stands for one group at least.
    while gap < len {
        len = len.wrapping_sub(1);
        let moved = out[len % 16];
        out[len % 16] = 0;
        out[len.wrapping_add(room) % 16] = moved;
    }
    Some((6, out))
}

/// Writes the four numbers of dotted decimal at `at`, if that is all of the text. Writes something in any case.
#[inline(never)]
fn dotted(text: &[u8], out: &mut [u8; 16], at: usize) -> bool {
    let (mut number, mut digits, mut points) = (0_u32, 0_u32, 0_usize);
    for byte in text {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        if digit <= 9 && (number > 0 || digits == 0) {
            number = number.wrapping_mul(10).wrapping_add(digit);
            digits = digits.wrapping_add(1);
        } else if *byte == b'.' && digits > 0 && points < 3 {
            points = points.wrapping_add(1);
            (number, digits) = (0, 0);
        } else {
            return false;
        }
        if number > 255 {
            return false;
        }
        out[at.wrapping_add(points) % 16] = number as u8;
    }
    points == 3 && digits > 0
}

/// Whether one of the networks - version, length of the prefix, 4 or 16 bytes, each - contains the address.
#[must_use]
pub fn contains(networks: &[u8], address: &Address) -> bool {
    let mut rest = networks;
    while let [version, length, start @ ..] = rest {
        let size = if *version == 4 { 4 } else { 16 };
        let differs = start.iter().zip(address.1).take(size).enumerate().any(|(index, (one, other))| {
            let left = u32::from(*length).saturating_sub(index as u32 * 8).min(8);
            u32::from(one ^ other) >> (8_u32.wrapping_sub(left)) != 0
        });
        if *version == address.0 && !differs {
            return true;
        }
        rest = start.get(size..).unwrap_or(&[]);
    }
    false
}
