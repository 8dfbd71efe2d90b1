//! The hashes beside MurmurHash3 that buckets are made of: MD5 and FNV-1a.
//!
//! One streaming form for all of them, chosen by a number of the configuration; what is hashed is the caller's business.

use crate::abi::hash_algorithm;
use crate::decimal;

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
/// Four rotations for each round, a byte each.
const SHIFTS: [u32; 4] = [0x1611_0C07, 0x140E_0905, 0x1710_0B04, 0x150F_0A06];

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
            return text.iter().for_each(|byte| self.push(*byte));
        }
        let mut point = 0;
        for (index, byte) in text.iter().enumerate() {
            point = match byte {
                0x80..=0xBF => point << 6 | u32::from(byte & 0x3F),
                _ => u32::from(byte & (0x7F_u8.wrapping_shr(byte.leading_ones()))),
            };
            let ends = text.get(index.wrapping_add(1)).map_or(true, |next| next & 0xC0 != 0x80);
            if ends {
                self.fnv(point);
            }
        }
    }

    #[inline(always)]
    fn fnv(&mut self, unit: u32) {
        self.state[0] = (self.state[0] ^ unit).wrapping_mul(FNV_PRIME);
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.block[self.len as usize % BLOCK] = byte;
        self.len = self.len.wrapping_add(1);
        if self.len as usize % BLOCK == 0 {
            self.compress();
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
        for (i, sine) in SINES.iter().enumerate() {
            let (mixed, at) = match i / 16 {
                0 => (d ^ (b & (c ^ d)), i),
                1 => (c ^ (d & (b ^ c)), 5 * i + 1),
                2 => (b ^ c ^ d, 3 * i + 5),
                _ => (c ^ (b | !d), 7 * i),
            };
            let shift = SHIFTS[i / 16 % 4] >> (i % 4 * 8);
            let turned = a.wrapping_add(mixed).wrapping_add(*sine).wrapping_add(words[at % 16]).rotate_left(shift & 31);
            (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
        }
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
                self.update(&[0x80]);
                while self.len as usize % BLOCK != BLOCK - 8 {
                    self.update(&[0]);
                }
                self.update(&bits.to_le_bytes());
                self.state[0].swap_bytes()
            }
            hash_algorithm::FNV1A_TWICE => {
                let text = decimal::int(i64::from(self.state[0]));
                self.state[0] = FNV_BASIS;
                self.update(text.as_bytes());
                self.state[0]
            }
            _ => self.state[0],
        }
    }
}
