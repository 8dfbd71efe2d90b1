//! MurmurHash3 x86 32: the hash behind every bucket.
//!
//! Here live the streaming form, which buckets of several parts need, and the one for a single slice. What is hashed,
//! and what becomes of the 32 bits, is the business of the buckets.

#[inline(always)]
fn mix(hash: u32, word: u32) -> u32 {
    (hash ^ scramble(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xE654_6B64)
}

#[inline(always)]
fn scramble(word: u32) -> u32 {
    word.wrapping_mul(0xCC9E_2D51).rotate_left(15).wrapping_mul(0x1B87_3593)
}

#[inline(always)]
fn finalize(hash: u32, len: u32) -> u32 {
    let hash = hash ^ len;
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85EB_CA6B);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xC2B2_AE35);
    hash ^ (hash >> 16)
}

#[inline(always)]
fn word(chunk: &[u8]) -> u32 {
    match *chunk {
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// The hash of `bytes`.
///
/// ```
/// use pyflagwasm_core::hash::murmur3;
/// assert_eq!(murmur3(b"", 1), 0x514E28B7);
/// assert_eq!(murmur3(b"test", 0), 0xBA6BD213);
/// assert_eq!(murmur3(b"Hello, world!", 0x9747B28C), 0x24884CBA);
/// ```
#[inline]
#[must_use]
pub fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    let mut hash = seed;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        hash = mix(hash, word(chunk));
    }
    let last = match *chunks.remainder() {
        [a] => u32::from_le_bytes([a, 0, 0, 0]),
        [a, b] => u32::from_le_bytes([a, b, 0, 0]),
        [a, b, c] => u32::from_le_bytes([a, b, c, 0]),
        _ => 0,
    };
    finalize(hash ^ scramble(last), bytes.len() as u32)
}

/// The hash of bytes that come in pieces of any length.
///
/// ```
/// use pyflagwasm_core::hash::{murmur3, Murmur3};
/// let mut hash = Murmur3::new(7);
/// hash.update(b"user-");
/// hash.update(b"1");
/// assert_eq!(hash.finish(), murmur3(b"user-1", 7));
/// ```
#[derive(Clone, Debug)]
pub struct Murmur3 {
    hash: u32,
    /// The `len % 4` bytes that wait for the rest of their word.
    tail: u32,
    len: u32,
}

impl Murmur3 {
    /// A hash of nothing so far.
    #[inline]
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Murmur3 { hash: seed, tail: 0, len: 0 }
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        let shift = (self.len & 3) * 8;
        self.tail |= u32::from(byte) << shift;
        self.len = self.len.wrapping_add(1);
        if shift == 24 {
            self.hash = mix(self.hash, self.tail);
            self.tail = 0;
        }
    }

    /// Four bytes at once, at any position.
    #[inline(always)]
    fn push_word(&mut self, word: u32) {
        let both = u64::from(self.tail) | u64::from(word) << ((self.len & 3) * 8);
        self.hash = mix(self.hash, both as u32);
        self.tail = (both >> 32) as u32;
        self.len = self.len.wrapping_add(4);
    }

    /// Hashes `bytes` as they are.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(4);
        for chunk in &mut chunks {
            self.push_word(word(chunk));
        }
        for &byte in chunks.remainder() {
            self.push(byte);
        }
    }

    /// Hashes one byte for each UTF-16 unit of `utf8`: the unit itself up to 127, a backslash for any other.
    ///
    /// Units are counted by the first byte of a sequence, so pieces may be cut anywhere.
    pub fn update_backslash(&mut self, utf8: &[u8]) {
        let mut chunks = utf8.chunks_exact(4);
        for chunk in &mut chunks {
            let word = word(chunk);
            if word & 0x8080_8080 == 0 {
                self.push_word(word);
            } else {
                self.push_units(chunk);
            }
        }
        self.push_units(chunks.remainder());
    }

    #[inline(never)]
    fn push_units(&mut self, utf8: &[u8]) {
        for &byte in utf8 {
            match byte {
                0..=0x7F => self.push(byte),
                0x80..=0xBF => {}
                0xC0..=0xEF => self.push(b'\\'),
                _ => {
                    self.push(b'\\');
                    self.push(b'\\');
                }
            }
        }
    }

    /// The hash of all that came.
    #[inline]
    #[must_use]
    pub fn finish(self) -> u32 {
        finalize(self.hash ^ scramble(self.tail), self.len)
    }
}
