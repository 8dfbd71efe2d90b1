//! The hashes beside MurmurHash3 that buckets are made of: MD5 and FNV-1a.
//!
//! One streaming form for all of them, chosen by a number of the configuration; what is hashed is the caller's business.

use crate::abi::hash_algorithm;

/// A hash of texts that come in pieces; each piece is whole UTF-8.
///
/// ```
/// use pyflagwasm_core::abi::hash_algorithm;
/// use pyflagwasm_core::digest::Digest;
/// let mut hash = Digest::new(hash_algorithm::MD5);
/// hash.update(b"message ");
/// hash.update(b"digest");
/// assert_eq!(hash.finish(), 0xF96B_697D);
/// let mut hash = Digest::new(hash_algorithm::FNV1A);
/// hash.update(b"foobar");
/// assert_eq!(hash.finish(), 0xBF9C_F968);
/// ```
pub struct Digest {
    algorithm: u8,
    /// The four words of MD5, or FNV's one.
    state: [u32; 4],
    /// The block that waits to be full.
    block: [u8; BLOCK],
    len: u32,
}

const BLOCK: usize = 64;
const FNV_BASIS: u32 = 0x811C_9DC5;
const FNV_PRIME: u32 = 0x0100_0193;
const MD5_STATE: [u32; 4] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];
/// RFC 1321: the integer part of 2^32 * abs(sin(i + 1)).
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xD76A_A478, 0xE8C7_B756, 0x2420_70DB, 0xC1BD_CEEE, 0xF57C_0FAF, 0x4787_C62A, 0xA830_4613, 0xFD46_9501,
    0x6980_98D8, 0x8B44_F7AF, 0xFFFF_5BB1, 0x895C_D7BE, 0x6B90_1122, 0xFD98_7193, 0xA679_438E, 0x49B4_0821,
    0xF61E_2562, 0xC040_B340, 0x265E_5A51, 0xE9B6_C7AA, 0xD62F_105D, 0x0244_1453, 0xD8A1_E681, 0xE7D3_FBC8,
    0x21E1_CDE6, 0xC337_07D6, 0xF4D5_0D87, 0x455A_14ED, 0xA9E3_E905, 0xFCEF_A3F8, 0x676F_02D9, 0x8D2A_4C8A,
    0xFFFA_3942, 0x8771_F681, 0x6D9D_6122, 0xFDE5_380C, 0xA4BE_EA44, 0x4BDE_CFA9, 0xF6BB_4B60, 0xBEBF_BC70,
    0x289B_7EC6, 0xEAA1_27FA, 0xD4EF_3085, 0x0488_1D05, 0xD9D4_D039, 0xE6DB_99E5, 0x1FA2_7CF8, 0xC4AC_5665,
    0xF429_2244, 0x432A_FF97, 0xAB94_23A7, 0xFC93_A039, 0x655B_59C3, 0x8F0C_CC92, 0xFFEF_F47D, 0x8584_5DD1,
    0x6FA8_7E4F, 0xFE2C_E6E0, 0xA301_4314, 0x4E08_11A1, 0xF753_7E82, 0xBD3A_F235, 0x2AD7_D2BB, 0xEB86_D391,
];

#[inline(always)]
fn fnv(hash: u32, unit: u32) -> u32 {
    (hash ^ unit).wrapping_mul(FNV_PRIME)
}

impl Digest {
    /// A hash of nothing so far, by a `HashAlgorithm` other than MurmurHash3.
    #[must_use]
    pub fn new(algorithm: u8) -> Digest {
        let state = if algorithm == hash_algorithm::MD5 { MD5_STATE } else { [FNV_BASIS, 0, 0, 0] };
        Digest { algorithm, state, block: [0; BLOCK], len: 0 }
    }

    /// Goes on with a text: MD5 by its bytes, FNV by its code points.
    #[inline(never)]
    pub fn update(&mut self, text: &[u8]) {
        if self.algorithm == hash_algorithm::MD5 {
            return self.update_md5(text);
        }
        let (mut hash, mut point, mut rest) = (self.state[0], 0, text);
        while let [byte, after @ ..] = rest {
            rest = after;
            point = match byte {
                0..=0x7F => u32::from(*byte),
                0x80..=0xBF => point << 6 | u32::from(byte & 0x3F),
                _ => u32::from(byte & (0x7F_u8.wrapping_shr(byte.leading_ones()))),
            };
            // The last byte of a code point is one that is followed by no continuation.
            if *byte <= 0x7F || !matches!(after, [0x80..=0xBF, ..]) {
                hash = fnv(hash, point);
            }
        }
        self.state[0] = hash;
    }

    fn update_md5(&mut self, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let room = self.block.get_mut(self.len as usize % BLOCK..).unwrap_or(&mut []);
            let (now, later) = rest.split_at(room.len().min(rest.len()));
            room.iter_mut().zip(now).for_each(|(to, byte)| *to = *byte);
            self.len = self.len.wrapping_add(now.len() as u32);
            rest = later;
            if self.len as usize % BLOCK == 0 {
                self.compress();
            }
        }
    }

    #[inline(never)]
    fn compress(&mut self) {
        let mut words = [0; 16];
        for (word, bytes) in words.iter_mut().zip(self.block.chunks_exact(4)) {
            if let [a, b, c, d] = *bytes {
                *word = u32::from_le_bytes([a, b, c, d]);
            }
        }
        let [mut a, mut b, mut c, mut d] = self.state;
        // Four steps at a time, after which the four words are in their places again.
        macro_rules! round {
            ($from:literal, $times:literal, $plus:literal, $mix:expr, $shifts:expr) => {
                let mut at = $from;
                while at < $from + 16 {
                    let step = |a: u32, b: u32, c: u32, d: u32, i: usize| {
                        let word = words[($times * (at + i) + $plus) % 16];
                        let mixed = $mix(b, c, d).wrapping_add(SINES[(at + i) % 64]).wrapping_add(word);
                        b.wrapping_add(a.wrapping_add(mixed).rotate_left($shifts[i]))
                    };
                    a = step(a, b, c, d, 0);
                    d = step(d, a, b, c, 1);
                    c = step(c, d, a, b, 2);
                    b = step(b, c, d, a, 3);
                    at += 4;
                }
            };
        }
        round!(0, 1, 0, |b, c, d| d ^ (b & (c ^ d)), [7, 12, 17, 22]);
        round!(16, 5, 1, |b, c, d| c ^ (d & (b ^ c)), [5, 9, 14, 20]);
        round!(32, 3, 5, |b, c, d| b ^ c ^ d, [4, 11, 16, 23]);
        round!(48, 7, 0, |b: u32, c: u32, d: u32| c ^ (b | !d), [6, 10, 15, 21]);
        for (state, more) in self.state.iter_mut().zip([a, b, c, d]) {
            *state = state.wrapping_add(more);
        }
    }

    /// The hash of all that came: the first four bytes of MD5 as a big-endian number, FNV-1a's 32 bits, or those of the
    /// decimal text of FNV-1a's.
    #[inline(never)]
    #[must_use]
    pub fn finish(mut self) -> u32 {
        match self.algorithm {
            hash_algorithm::MD5 => {
                let bits = u64::from(self.len).wrapping_mul(8);
                const ENDING: [u8; BLOCK] = [0; BLOCK];
                self.update(&[0x80]);
                let zeros = (2 * BLOCK - 8).wrapping_sub(self.len as usize % BLOCK) % BLOCK;
                self.update(ENDING.get(..zeros).unwrap_or(&ENDING));
                self.update(&bits.to_le_bytes());
                self.state[0].swap_bytes()
            }
            hash_algorithm::FNV1A_TWICE => {
                let (mut rest, mut power, mut hash) = (self.state[0], 1_000_000_000, FNV_BASIS);
                while power > 1 && power > rest {
                    power /= 10;
                }
                while power > 0 {
                    hash = fnv(hash, rest / power + 0x30);
                    rest %= power;
                    power /= 10;
                }
                hash
            }
            _ => self.state[0],
        }
    }
}
