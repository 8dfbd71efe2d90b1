//! Little-endian reads that cannot fail loudly: outside of the bytes everything is zero or empty.
//!
//! Verification (`verify.rs`) makes sure that they stay inside; these functions make sure that nothing worse than a
//! wrong answer follows if it did not.

/// The `N` bytes at `at`.
#[inline(always)]
pub fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..at.wrapping_add(N))?.try_into().ok()
}

/// An unsigned 16-bit integer, or 0 outside of the bytes.
#[inline(always)]
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    array(bytes, at).map_or(0, |b| u16::from_le_bytes(*b))
}

/// An unsigned 32-bit integer, or 0 outside of the bytes.
#[inline(always)]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    array(bytes, at).map_or(0, |b| u32::from_le_bytes(*b))
}

/// An unsigned 64-bit integer, or 0 outside of the bytes.
#[inline(always)]
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    array(bytes, at).map_or(0, |b| u64::from_le_bytes(*b))
}

/// `len` bytes at `at`; empty if they are not all there.
#[inline(always)]
pub fn slice(bytes: &[u8], at: usize, len: usize) -> &[u8] {
    bytes.get(at..at.wrapping_add(len)).unwrap_or(&[])
}

/// Copies `from` to `at`, if there is room for all of it.
#[inline(never)]
pub fn put(bytes: &mut [u8], at: usize, from: &[u8]) -> bool {
    match bytes.get_mut(at..at.wrapping_add(from.len())) {
        Some(room) => {
            // Not copy_from_slice, which keeps a panic for lengths that differ.
            room.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
            true
        }
        None => false,
    }
}
