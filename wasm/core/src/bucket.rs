//! Buckets: the hash of constant text and slots, and the predicates that compare it with bounds.

use crate::abi::{bound_at, bucket_at, encoding, hash_algorithm, kind, outcome, part_at, part_kind, value_at};
use crate::cbor;
use crate::config::{Node, View};
use crate::digest::Digest;
use crate::hash::Murmur3;
use crate::machine::{Machine, BUCKETED};
use crate::read::{slice, u32_at, u64_at};
use crate::value::Value;

impl<'a> Machine<'a> {
    /// The bucket number `index`, or None if a part of its key is missing or of the wrong kind.
    #[inline(never)]
    fn bucket(&mut self, index: u32) -> Option<u32> {
        let spec = slice(self.config.buckets, (index as usize).wrapping_mul(bucket_at::SIZE), bucket_at::SIZE);
        let hash = match spec.get(bucket_at::ALGORITHM) {
            Some(&hash_algorithm::MURMUR3X86) => self.murmur(spec),
            _ => self.digest(spec),
        }?;
        let (bucket, kept) = reduced(hash, u32_at(spec, bucket_at::MODULUS));
        self.bucket = kept;
        Some(bucket)
    }

    /// By an algorithm that hashes text alone.
    #[inline(never)]
    fn digest(&mut self, spec: &[u8]) -> Option<u32> {
        let first = u32_at(spec, bucket_at::FIRST_PART);
        let not_empty = spec.get(bucket_at::FLAGS).map_or(false, |flags| flags & 1 != 0);
        let mut hash = Digest::new(spec.get(bucket_at::ALGORITHM).copied().unwrap_or(0));
        for step in 0..u32_at(spec, bucket_at::PART_COUNT) {
            let (kind_of_part, arg) = part(self.config, first.wrapping_add(step));
            let is_slot = kind_of_part == part_kind::SLOT;
            let value = if is_slot { self.slot(arg as u16) } else { self.constant(arg) };
            if value.kind() != kind::TEXT || is_slot && not_empty && value.len() == 0 {
                return None;
            }
            self.spend(value.len() as usize / 8);
            hash.update(self.fixed_text(value));
        }
        Some(hash.finish())
    }

    fn murmur(&mut self, spec: &[u8]) -> Option<u32> {
        let seed = u32_at(spec, bucket_at::SEED);
        let first = u32_at(spec, bucket_at::FIRST_PART);
        let count = u32_at(spec, bucket_at::PART_COUNT);
        let how = spec.get(bucket_at::ENCODING).copied().unwrap_or(0);
        let not_empty = spec.get(bucket_at::FLAGS).map_or(false, |flags| flags & 1 != 0);
        let mut hash = Murmur3::new(seed);
        for step in 0..count {
            let (kind_of_part, arg) = part(self.config, first.wrapping_add(step));
            if kind_of_part == part_kind::LITERAL {
                let literal = self.fixed_text(self.constant(arg));
                self.spend(literal.len() / 64);
                match how {
                    encoding::BACKSLASH => hash.update_backslash(literal),
                    _ => hash.update(literal),
                }
                continue;
            }
            let value = self.slot(arg as u16);
            if value.kind() == kind::TEXT {
                self.spend(value.len() as usize / 64);
            }
            if !self.absorb(&mut hash, value, how, not_empty) {
                return None;
            }
        }
        Some(hash.finish())
    }

    #[inline(never)]
    fn absorb(&self, hash: &mut Murmur3, value: Value, how: u8, not_empty: bool) -> bool {
        match (value.kind(), how) {
            (kind::TEXT, _) if not_empty && value.len() == 0 => return false,
            (kind::TEXT, encoding::BACKSLASH) => hash.update_backslash(self.fixed_text(value)),
            (kind::TEXT, encoding::CBOR) => {
                hash.update(cbor::head(cbor::major::TEXT, u64::from(value.len())).as_bytes());
                hash.update(self.fixed_text(value));
            }
            (kind::TEXT, _) => hash.update(self.fixed_text(value)),
            (kind::INT, encoding::CBOR) => hash.update(cbor::int(value.as_int()).as_bytes()),
            (kind::FLOAT, encoding::CBOR) => hash.update(cbor::float(value.as_float()).as_bytes()),
            (kind::BOOL, encoding::CBOR) => {
                hash.update(cbor::simple(if value.bits != 0 { cbor::TRUE } else { cbor::FALSE }).as_bytes())
            }
            _ => return false,
        }
        true
    }

    /// Whether the bucket lies inside the percentage of now.
    #[inline(never)]
    pub(crate) fn rollout(&mut self, node: Node<'_>) -> Option<bool> {
        self.spend(usize::from(node.slot()));
        let hash = self.bucket(node.a())?;
        Some(admits(percentage(self.config, self.request.now_us, node.b(), u32::from(node.slot())), hash))
    }

    /// Where the bucket leads among the bounds.
    #[inline(never)]
    pub(crate) fn split(&mut self, node: Node<'_>) -> u32 {
        let hash = match self.bucket(node.a()) {
            Some(hash) => u64::from(hash),
            None => {
                self.outcome = outcome::UNKNOWN;
                return node.unknown();
            }
        };
        self.outcome = outcome::YES;
        for step in 0..u32::from(node.slot()) {
            self.spend(1);
            let at = (node.b().wrapping_add(step) as usize).wrapping_mul(bound_at::SIZE);
            if hash < u64_at(self.config.bounds, at.wrapping_add(bound_at::UPPER)) {
                return u32_at(self.config.bounds, at.wrapping_add(bound_at::NODE));
            }
        }
        self.outcome = outcome::NO;
        node.no()
    }
}

/// Kind and argument of part number `index`.
fn part(config: &View<'_>, index: u32) -> (u8, u32) {
    let part = slice(config.parts, (index as usize).wrapping_mul(part_at::SIZE), part_at::SIZE);
    (part.get(part_at::KIND).copied().unwrap_or(0), u32_at(part, part_at::ARG))
}

/// The hash of bucket number `index`, whose one slot has this text and whose other parts are few: for the fast lane.
#[inline(never)]
pub(crate) fn digest_of(config: &View<'_>, index: usize, text: &[u8]) -> u32 {
    let spec = slice(config.buckets, index.wrapping_mul(bucket_at::SIZE), bucket_at::SIZE);
    let first = u32_at(spec, bucket_at::FIRST_PART);
    let mut hash = Digest::new(spec.get(bucket_at::ALGORITHM).copied().unwrap_or(0));
    for step in 0..u32_at(spec, bucket_at::PART_COUNT) {
        let (kind_of_part, arg) = part(config, first.wrapping_add(step));
        let literal = Value::read(config.values, (arg as usize).wrapping_mul(value_at::SIZE));
        let is_slot = kind_of_part == part_kind::SLOT;
        hash.update(if is_slot { text } else { slice(config.heap, literal.at(), literal.len() as usize) });
    }
    hash.finish()
}

/// The bucket that a hash is in, and what is kept of it for the decision and the trace: where it lies, 2^32 being the
/// whole range. In doubles, because a division of 64 bits takes as long as hashing.
#[inline(never)]
pub(crate) fn reduced(hash: u32, modulus: u32) -> (u32, u64) {
    match hash.checked_rem(modulus) {
        None => (hash, BUCKETED | u64::from(hash)),
        Some(bucket) => {
            let position = f64::from(bucket) * 4_294_967_296.0 / f64::from(modulus);
            let floor = position as u32;
            let above = u64::from(f64::from(floor) < position);
            (bucket, BUCKETED | u64::from(floor).wrapping_add(above))
        }
    }
}

/// Whether the hash lies inside the percentage. NaN is none: it fails the second comparison.
#[inline(always)]
pub(crate) fn admits(percentage: f64, hash: u32) -> bool {
    percentage != 0.0 && f64::from(hash) / f64::from(u32::MAX) <= percentage
}

/// The percentage of now, by the `count` segments from `first` on.
#[inline(never)]
pub(crate) fn percentage(config: &View<'_>, now_us: i64, first: u32, count: u32) -> f64 {
    use crate::abi::segment_at as at;
    let now_ms = now_us.div_euclid(1000);
    let read = |index: u32, field: usize| {
        let segment = (index as usize).wrapping_mul(at::SIZE);
        u64_at(config.segments, segment.wrapping_add(field))
    };
    let mut found = None;
    for step in 0..count {
        let index = first.wrapping_add(step);
        if read(index, at::FROM_MS) as i64 > now_ms {
            break;
        }
        found = Some(index);
    }
    match found {
        None => 0.0,
        Some(index) => {
            let double = |field| f64::from_bits(read(index, field));
            let (t0, t1, p0, p1) = (double(at::T0), double(at::T1), double(at::P0), double(at::P1));
            p0 + (p1 - p0) * ((now_ms as f64 - t0) / (t1 - t0))
        }
    }
}
