//! The fast lane: the common decisions, over a form of the configuration that was made for them when it was staged.
//!
//! `prepare.rs` makes that form out of the verified configuration, so nothing in it is checked here again; `words.rs` has
//! the arithmetic on eight bytes at once. Everything hot is in `decide`, one function: the engine charges for each
//! call and block and checks each access to memory, so the code reads wide and branches seldom. What the lane does not
//! know it leaves to the machine, at that very node: a value of an unusual kind or space, a long text, the value stack.
//!
//! The lane takes at most `MOST_NODES` nodes and looks at texts of at most 255 bytes, at `MOST_MEMBERS` bounds or segments,
//! at `MOST_PLACES` places of a table. That bounds its work, far below the budget of steps, so it counts none.

mod column;
mod prepare;
mod row;
pub mod words;

use crate::abi::{
    bound_at, decision_layout, kind, limits_layout, order, outcome, request_layout as layout, scratch_layout, value_at,
};
use crate::bucket::{admits, digest_of, percentage, reduced};
use crate::config::View;
use crate::hash::Murmur3;
use crate::machine::BUCKETED;
use crate::read::{slice, u32_at, u64_at};
use crate::request::{HEADER, TABLE};
use crate::text;
use crate::value::{satisfies, Value};
pub use column::Split;
pub use prepare::{prepare, rows};
pub use row::Row;
use row::{how, op, EXACT, MOST_PLACES, STRICT, TYPED};

/// In place of a node: the flag has to be evaluated from its start.
pub const START: u32 = u32::MAX;
/// Nodes that the lane takes in one evaluation.
const MOST_NODES: u32 = 256;
/// Steps that the machine would take at most for what the lane does. Dearest is a list of half a million texts in
/// order: twenty comparisons, of four steps each if they are long.
pub(crate) const MOST_STEPS: u32 = MOST_NODES * 96;
/// The bits of a value's first word that are the kind alone if it is a text in the request of at most 255 bytes.
const SHORT_TEXT: u64 = 0xFFFF_FF00_0000_FFFF;
const LOW: u64 = 0xFFFF_FFFF;
/// Bytes of the longest text that the lane looks at.
const LONGEST: usize = 255;

/// The prepared form of one configuration.
#[derive(Clone, Copy)]
pub struct Lane<'a> {
    /// The first nodes of the configuration, under their own numbers; all of them if there was room.
    pub nodes: &'a [Row],
    /// The buckets, likewise.
    pub buckets: &'a [Row],
    /// Tables of texts.
    pub words: &'a [u64],
}

impl Lane<'_> {
    /// For a configuration that was given no room.
    pub const EMPTY: Lane<'static> = Lane { nodes: &[], buckets: &[], words: &[] };
}

/// The scratch area as words and as bytes: the same memory. The request is at its start; what lies behind that is read
/// along with the end of a text, and masked off.
#[derive(Clone, Copy)]
pub struct Scratch<'a> {
    /// The words.
    pub words: &'a [u64; scratch_layout::SIZE / 8],
    /// The bytes.
    pub bytes: &'a [u8; scratch_layout::SIZE],
}

const WORDS: usize = scratch_layout::REQUEST_SIZE / 8 - 1;
const BYTES: usize = scratch_layout::REQUEST_SIZE - 1;
/// The offsets of slots are 16 bits of a row.
const SLOTS: usize = 0xFFFF;
const _: () = assert!(layout::SLOTS + limits_layout::MAX_SLOTS * value_at::SIZE <= SLOTS);
const _: () = assert!(scratch_layout::REQUEST_OFFSET == 0 && scratch_layout::REQUEST_SIZE.is_power_of_two());
const _: () = assert!(scratch_layout::SIZE >= scratch_layout::REQUEST_SIZE + value_at::SIZE);

impl Scratch<'_> {
    /// Masked, so that it needs no check: the numbers of slots are verified.
    #[inline(always)]
    fn word(&self, index: usize) -> u64 {
        self.words[index & WORDS]
    }

    /// The two words of a slot, given by its offset.
    #[inline(always)]
    fn slot(&self, at: u64) -> (u64, u64) {
        let value = slice(self.bytes, at as usize & SLOTS, value_at::SIZE);
        (u64_at(value, 0), u64_at(value, value_at::BITS))
    }

    /// Eight bytes from anywhere in the request on.
    #[inline(always)]
    fn eight(&self, at: usize) -> u64 {
        u64_at(self.bytes, at & BYTES)
    }
}

/// Where the lane was left, for the machine to go on.
#[derive(Clone, Copy)]
pub struct Left {
    /// The node, or START.
    pub node: u32,
    /// As in `Machine`.
    pub bucket: u64,
    /// The calls under way, 32 bits each, the innermost in the low ones: the node plus one.
    pub calls: u64,
}

/// Decides flag number `flag`, or says where the machine has to go on.
#[inline(always)]
pub fn decide(view: &View<'_>, lane: &Lane<'_>, scratch: Scratch<'_>, flag: u32) -> Result<u64, Left> {
    // The header of a canonical request, in one comparison.
    let slots_size = (view.slot_count as usize).wrapping_mul(value_at::SIZE);
    let heap_length = layout::SLOTS.wrapping_add(slots_size);
    let heap_field = heap_length.wrapping_sub(layout::HEAP_FIELD) as u64;
    let wrong = (scratch.word(0) ^ HEADER[0])
        | (scratch.word(1) ^ HEADER[1])
        | (scratch.word(2) ^ HEADER[2])
        | (scratch.word(layout::ROOT / 8) ^ TABLE)
        | (scratch.word(layout::HEAP_FIELD / 8) ^ heap_field) & LOW
        | (scratch.word(layout::SLOTS_LENGTH / 8) >> 32 ^ u64::from(view.slot_count));
    let heap = heap_length.wrapping_add(4);
    let heap_size = scratch.word(heap_length / 8) & LOW;
    let mut at = match view.entry(flag) {
        Some(entry) if wrong == 0 && heap as u64 + heap_size <= scratch_layout::REQUEST_SIZE as u64 => entry,
        _ => return Err(Left { node: START, bucket: 0, calls: 0 }),
    };
    let nodes = lane.nodes;
    let (mut taken, mut bucket, mut calls) = (0_u32, 0, 0_u64);
    loop {
        taken = taken.wrapping_add(1);
        if taken > MOST_NODES {
            break;
        }
        let row = match nodes.get(at as usize) {
            Some(row) => row,
            None => break,
        };
        let (head, operand) = (row[0], row[3]);
        // The length and the place of a short text in the request. Otherwise it is unknown, or the end of the lane.
        macro_rules! text {
            ($slot:expr) => {{
                let (value, bits) = scratch.slot($slot >> 16);
                let len = value >> 32;
                if !is_short_text(value, bits, heap_size) {
                    if value as u8 == kind::TEXT || head & TYPED == 0 && !is_nothing(value as u8) {
                        break;
                    }
                    at = row[2] as u32;
                    continue;
                }
                (len, heap.wrapping_add(bits as usize))
            }};
        }
        let holds = match head as u8 {
            op::DECIDE => return Ok(operand | position(bucket)),
            op::TEXT => {
                let (len, place) = text!(head);
                if len != head >> 32 || scratch.eight(place) & words::first(len) != operand {
                    false
                } else {
                    len <= 8 || is_text(view, scratch, place, len as usize, (row[1] >> 32) as usize)
                }
            }
            op::TEXT_IN => {
                let (len, place) = text!(head);
                let key = if len < 8 {
                    words::short_key(scratch.eight(place), len)
                } else {
                    words::long_key(len as usize, |from| scratch.eight(place.wrapping_add(from)))
                };
                let (tables, first, mask) = (lane.words, (row[1] >> 32) as usize, (head >> 32) as usize);
                let place_of = words::place(key, head >> 8);
                let mut found = false;
                for step in place_of..place_of.wrapping_add(MOST_PLACES) {
                    let member = tables.get(first.wrapping_add(step & mask)).copied().unwrap_or(0);
                    found = member == key || len >= 8 && is_member(view, scratch, place, len as usize, member ^ key);
                    if found || member == 0 {
                        break;
                    }
                }
                found
            }
            op::SUFFIX | op::PREFIX => {
                let (len, place) = text!(head);
                let size = head >> 32;
                if len < size {
                    false
                } else {
                    // The eight bytes at the very end of the text, and those that its other end needs.
                    let (one, other) = if head as u8 == op::SUFFIX {
                        let end = place.wrapping_add(len as usize);
                        (scratch.eight(end.wrapping_sub(8)) >> (head >> 8 & 63), end.wrapping_sub(size as usize))
                    } else {
                        (scratch.eight(place) << (head >> 8 & 63), place.wrapping_add(size as usize).wrapping_sub(8))
                    };
                    one == operand && (size <= 8 || scratch.eight(other) == u64_at(view.heap, (row[1] >> 32) as usize))
                }
            }
            op::VERSION => {
                let (len, place) = text!(head);
                let mut version = words::short_version(scratch.eight(place) & words::first(len), len);
                if version == words::NO_VERSION {
                    if head & STRICT == 0 {
                        version = words::version(slice(scratch.bytes, place, len as usize));
                    }
                    if version == words::NO_VERSION {
                        break;
                    }
                }
                let version = version >> (head >> 32 & 63);
                let order = u64::from(if version < operand { order::LESS } else { order::EQUAL });
                let order = if version > operand { u64::from(order::GREATER) } else { order };
                head >> 8 & order != 0
            }
            op::SPLIT | op::ROLLOUT => {
                let [record, state, sizes, suffix]: [u64; 4] = match lane.buckets.get(operand as usize) {
                    Some(record) => *record,
                    None => break,
                };
                let how = record as u8;
                let (len, place) = text!(record & LOW);
                if len == 0 && how & how::NOT_EMPTY != 0 {
                    at = row[2] as u32;
                    continue;
                }
                let mut hash = if how & how::DIGEST != 0 {
                    digest_of(view, operand as usize, slice(scratch.bytes, place, len as usize))
                } else {
                    let mut hash = Murmur3::resume(state as u32, (state >> 32) as u32, sizes as u32);
                    if how & how::CBOR != 0 {
                        hash.push(0x60 | len.min(24) as u8);
                        if len >= 24 {
                            hash.push(len as u8);
                        }
                    }
                    let seen = hash.push_text(len as usize, |at| scratch.eight(place.wrapping_add(at)));
                    if seen & words::HIGH != 0 && how & how::ASCII != 0 {
                        break;
                    }
                    if sizes >> 32 != 0 {
                        hash.push_part(suffix, (sizes >> 32) as u32);
                    }
                    hash.finish()
                };
                bucket = BUCKETED | u64::from(hash);
                if record >> 32 != 0 {
                    (hash, bucket) = reduced(hash, (record >> 32) as u32);
                }
                let (first, count) = ((row[1] >> 32) as u32, (head >> 32) as u32);
                if head as u8 == op::ROLLOUT {
                    admits(percentage(view, scratch.word(layout::NOW_US / 8) as i64, first, count), hash)
                } else {
                    at = (row[2] >> 32) as u32;
                    let bounds = slice(
                        view.bounds,
                        (first as usize).wrapping_mul(bound_at::SIZE),
                        (count as usize).wrapping_mul(bound_at::SIZE),
                    );
                    for bound in bounds.chunks_exact(bound_at::SIZE) {
                        if u64::from(hash) < u64_at(bound, bound_at::UPPER) {
                            at = u32_at(bound, bound_at::NODE);
                            break;
                        }
                    }
                    continue;
                }
            }
            op::KIND_IN | op::TRUTHY => {
                let (value, bits) = scratch.slot(head >> 16);
                let kind = value as u8;
                if kind > kind::FLOAT && !is_short_text(value, bits, heap_size) {
                    break;
                }
                if head as u8 == op::KIND_IN {
                    operand >> (kind & 31) & 1 != 0
                } else {
                    match kind {
                        kind::TEXT => value >> 32 != 0,
                        kind::FLOAT => f64::from_bits(bits) < 0.0 || f64::from_bits(bits) > 0.0,
                        kind => kind > kind::NULL && bits != 0,
                    }
                }
            }
            op::BOOL_IN => {
                let (value, bits) = scratch.slot(head >> 16);
                if value as u8 != kind::BOOL {
                    at = row[2] as u32;
                    continue;
                }
                operand >> (bits & 1) & 1 != 0
            }
            op::NUMBER => {
                let (value, bits) = scratch.slot(head >> 16);
                let typed = head & TYPED != 0;
                let exact = typed | ((bits as i64).wrapping_add(EXACT) as u64 <= 2 * EXACT as u64);
                let number = match value as u8 {
                    kind::INT if exact => bits as i64 as f64,
                    kind::FLOAT => f64::from_bits(bits),
                    _ if typed => {
                        at = row[2] as u32;
                        continue;
                    }
                    _ => break,
                };
                satisfies(number.partial_cmp(&f64::from_bits(operand)), (head >> 8) as u8)
            }
            op::SAME => {
                let (value, bits) = scratch.slot(head >> 16);
                if value as u8 != (head >> 8) as u8 {
                    break;
                }
                bits == operand
            }
            op::NOW_AT_LEAST => scratch.word(layout::NOW_US / 8) as i64 >= operand as i64,
            op::JUMP => true,
            op::CALL => {
                if calls >> 32 != 0 {
                    break;
                }
                calls = calls << 32 | u64::from(at.wrapping_add(1));
                at = operand as u32;
                continue;
            }
            op::RETURN => {
                let caller = match nodes.get((calls as u32).wrapping_sub(1) as usize) {
                    Some(caller) => caller,
                    None => break,
                };
                calls >>= 32;
                at = match (head >> 8) as u8 {
                    outcome::NO => (caller[2] >> 32) as u32,
                    outcome::YES => caller[1] as u32,
                    _ => caller[2] as u32,
                };
                continue;
            }
            _ => break,
        };
        // Each from a word of its own, so that it is a branch: a processor guesses it, and does not wait for the answer
        // before it reads the next node.
        at = if holds { row[1] as u32 } else { (row[2] >> 32) as u32 };
    }
    Err(Left { node: at, bucket, calls })
}

/// The bits of a decision that say where the bucket lies.
#[inline(always)]
fn position(bucket: u64) -> u64 {
    use decision_layout as at;
    if bucket == 0 {
        return 0;
    }
    1 << at::BUCKETED_SHIFT | ((bucket & LOW).wrapping_mul(at::BUCKET_SCALE as u64) >> 32) << at::BUCKET_SHIFT
}

/// Whether a slot is a text in the request, inside of its heap and of at most 255 bytes.
#[inline(always)]
fn is_short_text(value: u64, bits: u64, heap_size: u64) -> bool {
    value & SHORT_TEXT == u64::from(kind::TEXT)
        && bits < scratch_layout::REQUEST_SIZE as u64
        && bits.wrapping_add(value >> 32) <= heap_size
}

/// Whether no value is of this kind: an unknown one is read as Missing.
#[inline(always)]
fn is_nothing(kind: u8) -> bool {
    kind <= kind::NULL || kind > kind::OBJECT
}

/// Whether the text at `place` is the constant text of the same length whose last eight bytes are at `last`.
#[inline(never)]
fn is_text(view: &View<'_>, scratch: Scratch<'_>, place: usize, len: usize, last: usize) -> bool {
    let from = last.wrapping_add(8).wrapping_sub(len);
    text::same(slice(scratch.bytes, place, len), slice(view.heap, from, len))
}

/// Whether the text at `place`, of eight bytes or more, is the member of a table that differs by `difference` from its key.
#[inline(never)]
fn is_member(view: &View<'_>, scratch: Scratch<'_>, place: usize, len: usize, difference: u64) -> bool {
    let index = match difference.checked_sub(1) {
        Some(index) if difference >> words::INDEX_BITS == 0 => index as usize,
        _ => return false,
    };
    let member = Value::read(view.values, index.wrapping_mul(value_at::SIZE));
    text::same(slice(scratch.bytes, place, len), slice(view.heap, member.at(), member.len() as usize))
}
