//! Flags that are nothing but one split of a text, for many texts: what all of them share is looked at once.

use super::row::{how, op};
use super::{position, Lane, Row, BUCKETED, LONGEST, LOW};
use crate::abi::bound_at;
use crate::bucket::reduced;
use crate::config::View;
use crate::hash::Murmur3;
use crate::read::{slice, u32_at, u64_at};

/// One split by MurmurHash3 at the entry of a flag.
#[derive(Clone, Copy)]
pub struct Split<'a> {
    nodes: &'a [Row],
    bucket: Row,
    bounds: &'a [u8],
    otherwise: u32,
}

impl<'a> Split<'a> {
    /// The split that the flag is; None if it is something else.
    pub fn of(view: &View<'a>, lane: &Lane<'a>, flag: u32) -> Option<Split<'a>> {
        let node = lane.nodes.get(view.entry(flag)? as usize)?;
        let bucket = *lane.buckets.get(node[3] as usize)?;
        if node[0] as u8 != op::SPLIT || bucket[0] as u8 & (how::DIGEST | how::ASCII) != 0 || bucket[2] >> 32 != 0 {
            return None;
        }
        let (first, count) = ((node[1] >> 32) as usize, (node[0] >> 32) as usize);
        let bounds = slice(view.bounds, first.wrapping_mul(bound_at::SIZE), count.wrapping_mul(bound_at::SIZE));
        Some(Split { nodes: lane.nodes, bucket, bounds, otherwise: (node[2] >> 32) as u32 })
    }

    /// Where the slot of the text lies in the request.
    pub fn slot(&self) -> usize {
        (self.bucket[0] & LOW) as usize >> 16
    }

    /// The decision for a text, given four bytes at a time; None where the lane has to look at a request.
    #[inline(always)]
    pub fn decide(&self, len: usize, four: impl Fn(usize) -> u32) -> Option<u64> {
        let [record, state, sizes, _] = self.bucket;
        let how = record as u8;
        if len == 0 || len > LONGEST {
            return None;
        }
        let mut hash = Murmur3::resume(state as u32, (state >> 32) as u32, sizes as u32);
        if how & how::CBOR != 0 {
            let (head, size) = if len < 24 { (0x60 | len as u32, 1) } else { (0x78 | (len as u32) << 8, 2) };
            hash.push_few(head, size);
        }
        let mut at = 0;
        while at < len & !3 {
            hash.push_word(four(at));
            at = at.wrapping_add(4);
        }
        let rest = len as u32 & 3;
        hash.push_few(four(at) & !(u32::MAX << (rest * 8)), rest);
        let mut hash = hash.finish();
        let mut bucket = BUCKETED | u64::from(hash);
        if record >> 32 != 0 {
            (hash, bucket) = reduced(hash, (record >> 32) as u32);
        }
        let mut at = self.otherwise;
        for bound in self.bounds.chunks_exact(bound_at::SIZE) {
            if u64::from(hash) < u64_at(bound, bound_at::UPPER) {
                at = u32_at(bound, bound_at::NODE);
                break;
            }
        }
        let end = self.nodes.get(at as usize)?;
        (end[0] as u8 == op::DECIDE).then_some(end[3] | position(bucket))
    }
}
