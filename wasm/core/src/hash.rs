//! MurmurHash3 x86 32: the hash behind every bucket.
//!
//! Here live the streaming form, which buckets of several parts need, and the one for a single slice. What is hashed,
//! and what becomes of the 32 bits, is the business of the buckets.

use crate::lane::words::{below_eight, eight};

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

    /// Goes on from a state that another one had.
    #[inline(always)]
    #[must_use]
    pub fn resume(hash: u32, tail: u32, len: u32) -> Self {
        Murmur3 { hash, tail, len }
    }

    /// The hash so far, the bytes that wait for the rest of their word, and the length so far.
    #[inline]
    #[must_use]
    pub fn state(&self) -> (u32, u32, u32) {
        (self.hash, self.tail, self.len)
    }

    /// One byte.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
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
    pub fn push_word(&mut self, word: u32) {
        let both = u64::from(self.tail) | u64::from(word) << ((self.len & 3) * 8);
        self.hash = mix(self.hash, both as u32);
        self.tail = (both >> 32) as u32;
        self.len = self.len.wrapping_add(4);
    }

    /// The first `count` (0 to 8) bytes of a word whose other bytes are 0.
    #[inline(always)]
    pub fn push_part(&mut self, mut word: u64, mut count: u32) {
        if count >= 4 {
            self.push_word(word as u32);
            word >>= 32;
            count = count.wrapping_sub(4);
        }
        self.push_few(word as u32, count);
    }

    /// As `push_part`, for a `count` of 0 to 3.
    #[inline(always)]
    pub fn push_few(&mut self, word: u32, count: u32) {
        let waiting = self.len & 3;
        let both = u64::from(self.tail) | u64::from(word) << (waiting * 8);
        self.len = self.len.wrapping_add(count);
        self.tail = both as u32;
        if waiting.wrapping_add(count) >= 4 {
            self.hash = mix(self.hash, both as u32);
            self.tail = (both >> 32) as u32;
        }
    }

    /// Hashes `len` bytes that are read eight at a time: `eight` gives those from an index on, whatever lies behind the
    /// last one. Returns the bits that any of the bytes has, for whom they must be ASCII.
    #[inline(always)]
    pub fn push_text(&mut self, len: usize, eight: impl Fn(usize) -> u64) -> u64 {
        let (waiting, mut at, mut seen) = (self.len & 3, 0, 0);
        if waiting != 0 && len.wrapping_add(waiting as usize) >= 4 {
            // The word that waits is filled up; all others are as they lie there.
            let word = eight(0);
            at = 4_usize.wrapping_sub(waiting as usize);
            seen = word & below_eight(at as u64);
            self.hash = mix(self.hash, self.tail | (word as u32) << (waiting * 8));
            self.tail = 0;
        }
        let whole = len.wrapping_sub(7);
        while (at as isize) < whole as isize {
            let word = eight(at);
            seen |= word;
            self.hash = mix(mix(self.hash, word as u32), (word >> 32) as u32);
            at = at.wrapping_add(8);
        }
        let rest = len.wrapping_sub(at);
        let mut word = eight(at) & below_eight(rest as u64);
        seen |= word;
        if rest >= 4 {
            self.hash = mix(self.hash, word as u32);
            word >>= 32;
        }
        let len = self.len.wrapping_add(len as u32);
        // Fewer than four bytes in all go on waiting together.
        self.tail |= (word as u32) << (if at == 0 && rest < 4 { waiting * 8 } else { 0 });
        self.len = len;
        seen
    }

    /// Hashes `bytes` as they are.
    pub fn update(&mut self, bytes: &[u8]) {
        self.push_text(bytes.len(), |at| eight(bytes, at));
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
