//! Makes the prepared form of a verified configuration: rows for nodes and buckets, and tables of texts.
//!
//! Runs once for each staged configuration. What an operation needs to be taken by the lane is decided here; everything
//! else becomes LEAVE. The work is bounded by the nodes and by the room: a table takes its room before it is filled.

use super::row::{how, op as prepared, Row, EXACT, MOST_MEMBERS, MOST_PLACES, STRICT, TYPED};
use super::{words, Lane, LONGEST};
use crate::abi::{
    bucket_at, decision_layout, encoding, error_code, hash_algorithm, kind, node_at, op, order, part_at, part_kind,
    reason, request_layout, value_at, version_dialect,
};
use crate::config::{Node, View};
use crate::hash::Murmur3;
use crate::machine::pack;
use crate::read::{array, slice, u32_at, u64_at};
use crate::value::Value;

/// Members of a list in any order.
const MOST_UNSORTED: u32 = 64;
/// Bytes of the literal in front of a bucket's slot.
const MOST_LITERAL: usize = 255;
/// Rows that a configuration needs.
pub fn rows(view: &View<'_>) -> usize {
    (view.nodes.len() / node_at::SIZE).wrapping_add(view.buckets.len() / bucket_at::SIZE)
}

/// Prepares as much of the configuration as there is room for. Both rooms may hold anything.
pub fn prepare<'a>(view: &View<'_>, rows: &'a mut [Row], words: &'a mut [u64]) -> Lane<'a> {
    let bucket_count = (view.buckets.len() / bucket_at::SIZE).min(rows.len());
    let (buckets, nodes) = rows.split_at_mut(bucket_count);
    for (record, room) in view.buckets.chunks_exact(bucket_at::SIZE).zip(buckets.iter_mut()) {
        *room = bucket(view, record);
    }
    let buckets = &*buckets;
    let mut tables = Tables::new(view, words);
    let count = (view.nodes.len() / node_at::SIZE).min(nodes.len());
    let nodes = nodes.split_at_mut(count).0;
    for (bytes, room) in view.nodes.chunks_exact(node_at::SIZE).zip(nodes.iter_mut()) {
        if let Some(from) = Node::read(bytes) {
            *room = node(view, buckets, &mut tables, from);
        }
    }
    Lane { nodes, buckets, words: tables.words }
}

/// Offset of a slot in the request.
fn slot_at(slot: u32) -> u64 {
    request_layout::SLOTS as u64 + u64::from(slot) * value_at::SIZE as u64
}

const TYPED_FLAG: u8 = (TYPED >> 8) as u8;
const STRICT_FLAG: u8 = (STRICT >> 8) as u8;

fn text_of<'a>(view: &View<'a>, value: Value) -> &'a [u8] {
    slice(view.heap, value.at(), value.len() as usize)
}

fn constant(view: &View<'_>, index: u32) -> Value {
    Value::read(view.values, (index as usize).wrapping_mul(value_at::SIZE))
}

/// The first eight bytes of a constant text, 0 behind its end. Most have something behind them in the heap.
#[inline(never)]
fn first_eight(view: &View<'_>, value: Value) -> u64 {
    match array::<8>(view.heap, value.at()) {
        Some(bytes) => u64::from_le_bytes(*bytes) & words::first(u64::from(value.len())),
        None => words::eight(text_of(view, value), 0),
    }
}

/// Bit of a prepared bucket's first word: the lane can hash it.
const HASHED: u64 = 1 << 8;

fn bucket(view: &View<'_>, record: &[u8]) -> Row {
    let byte = |at: usize| record.get(at).copied().unwrap_or(0);
    let backslash = byte(bucket_at::ENCODING) == encoding::BACKSLASH;
    let mut flags = match byte(bucket_at::ENCODING) {
        encoding::CBOR => how::CBOR,
        encoding::BACKSLASH => how::ASCII,
        _ => 0,
    };
    if byte(bucket_at::FLAGS) & 1 != 0 {
        flags |= how::NOT_EMPTY;
    }
    let digest = byte(bucket_at::ALGORITHM) != hash_algorithm::MURMUR3X86;
    if digest {
        flags |= how::DIGEST;
    }
    let (first, count) = (u32_at(record, bucket_at::FIRST_PART), u32_at(record, bucket_at::PART_COUNT));
    let mut hash = Murmur3::new(u32_at(record, bucket_at::SEED));
    let (mut slot, mut behind) = (None, &[][..]);
    let at = |index: u32| (index as usize).wrapping_mul(part_at::SIZE);
    for part in slice(view.parts, at(first), at(count.min(4))).chunks_exact(part_at::SIZE) {
        let arg = u32_at(part, part_at::ARG);
        if part.first() != Some(&part_kind::LITERAL) {
            if slot.is_some() {
                return [0; 4];
            }
            slot = Some(arg);
            continue;
        }
        let literal = text_of(view, constant(view, arg));
        if slot.is_some() {
            if !behind.is_empty()
                || literal.len() > if digest { MOST_LITERAL } else { 8 }
                || (backslash && !literal.is_ascii())
            {
                return [0; 4];
            }
            behind = literal;
        } else if literal.len() > MOST_LITERAL {
            return [0; 4];
        } else if backslash {
            hash.update_backslash(literal);
        } else {
            hash.update(literal);
        }
    }
    let (hash, tail, len) = hash.state();
    match slot {
        Some(slot) if count <= 4 => [
            u64::from(flags) | HASHED | slot_at(slot) << 16 & 0xFFFF_0000 | u64_at(record, bucket_at::MODULUS) << 32,
            u64::from(hash) | u64::from(tail) << 32,
            u64::from(len) | (behind.len() as u64) << 32,
            words::eight(behind, 0),
        ],
        _ => [0; 4],
    }
}

/// What is prepared of an operation: operation, flags and count; second operand; operand.
type Draft = (u64, u32, u64);

/// Of one that the lane does not know.
const UNKNOWN: Draft = (prepared::LEAVE as u64, 0, 0);

#[inline(always)]
fn head(op: u8, flags: u8, count: u32) -> u64 {
    u64::from(op) | u64::from(flags) << 8 | u64::from(count) << 32
}

#[inline(always)]
fn node(view: &View<'_>, buckets: &[Row], tables: &mut Tables<'_>, node: Node<'_>) -> Row {
    let (a, b, flags) = (node.a(), node.b(), node.flags());
    let (mut yes, mut no, mut unknown) = (node.yes(), node.no(), node.unknown());
    let plain = |op: u8, operand: u64| (head(op, flags, 0), 0, operand);
    let (head, second, operand) = match node.op() {
        op::DECIDE => plain(prepared::DECIDE, pack(a, b, flags, error_code::NONE, 0)),
        op::FAIL => plain(prepared::DECIDE, pack(decision_layout::NONE as u32, b, reason::ERROR, a as u8, 0)),
        op::JUMP => plain(prepared::JUMP, 0),
        op::CALL => plain(prepared::CALL, u64::from(a)),
        op::RETURN => plain(prepared::RETURN, 0),
        op::KIND_IN => {
            // "Is it a text" in front of what hashes that text: one node does both.
            let next = view.node(yes).filter(|next| a & 0xFF == 1 << kind::TEXT && hashes(buckets, *next, node));
            match next {
                Some(next) if no == next.unknown() => {
                    (yes, no, unknown) = (next.yes(), next.no(), no);
                    let (head, second, operand) = hashed(buckets, next);
                    (head | TYPED, second, operand)
                }
                _ => plain(prepared::KIND_IN, u64::from(a)),
            }
        }
        op::TRUTHY => plain(prepared::TRUTHY, 0),
        op::BOOL_IN => plain(prepared::BOOL_IN, u64::from(a)),
        op::NOW_AT_LEAST => plain(prepared::NOW_AT_LEAST, constant(view, a).bits),
        op::TEXT_IN if b == 1 => equal_text(view, constant(view, a), TYPED_FLAG),
        // In any order each member costs the machine a step, so that many would not be within MOST_STEPS.
        op::TEXT_IN if b > 0 && (flags & 1 != 0 || b <= MOST_UNSORTED) => match tables.of(view, a, b) {
            Some((first, shift)) => {
                let mask = u32::MAX.wrapping_shr(u32::from(shift).wrapping_sub(32));
                (head(prepared::TEXT_IN, TYPED_FLAG | shift, mask), first, 0)
            }
            None => UNKNOWN,
        },
        op::TEXT_PREFIX | op::TEXT_SUFFIX if b == 1 => affix(view, node.op(), constant(view, a)),
        op::NUMBER_COMPARE if b == 1 => {
            let number = constant(view, a).scalar_number().to_float();
            (head(prepared::NUMBER, TYPED_FLAG | flags, 0), 0, number.to_bits())
        }
        op::COMPARE_CONST => {
            let value = constant(view, a);
            let exact = value.kind() == kind::INT && (-EXACT..=EXACT).contains(&value.as_int());
            if value.kind() == kind::FLOAT || exact {
                plain(prepared::NUMBER, value.scalar_number().to_float().to_bits())
            } else {
                UNKNOWN
            }
        }
        op::VERSION => version(view, node),
        op::EQUAL_CONST => {
            let value = constant(view, a);
            unknown = no;
            match value.kind() {
                kind::TEXT => equal_text(view, value, 0),
                kind::BOOL | kind::INT => (head(prepared::SAME, value.kind(), 0), 0, value.bits),
                _ => UNKNOWN,
            }
        }
        op::ROLLOUT | op::SPLIT => hashed(buckets, node),
        _ => UNKNOWN,
    };
    [
        head | slot_at(u32::from(node.slot())) << 16 & 0xFFFF_0000,
        u64::from(yes) | u64::from(second) << 32,
        u64::from(unknown) | u64::from(no) << 32,
        operand,
    ]
}

/// Whether `next` hashes nothing but the slot of `node`.
#[inline(always)]
fn hashes(buckets: &[Row], next: Node<'_>, node: Node<'_>) -> bool {
    let slot = buckets.get(next.a() as usize).map_or(0, |bucket| bucket[0] as u32 >> 16);
    matches!(next.op(), op::SPLIT | op::ROLLOUT) && u64::from(slot) == slot_at(u32::from(node.slot()))
}

#[inline(always)]
fn hashed(buckets: &[Row], node: Node<'_>) -> Draft {
    let op = if node.op() == op::SPLIT { prepared::SPLIT } else { prepared::ROLLOUT };
    let count = u32::from(node.slot());
    match buckets.get(node.a() as usize) {
        Some(bucket) if bucket[0] & HASHED != 0 && count as usize <= MOST_MEMBERS => {
            (head(op, 0, count), node.b(), u64::from(node.a()))
        }
        _ => UNKNOWN,
    }
}

#[inline(always)]
fn equal_text(view: &View<'_>, value: Value, flags: u8) -> Draft {
    if value.len() as usize > LONGEST {
        return UNKNOWN;
    }
    let last = (value.at() as u32).wrapping_add(value.len()).wrapping_sub(8);
    (head(prepared::TEXT, flags, value.len()), last, first_eight(view, value))
}

#[inline(always)]
fn affix(view: &View<'_>, op: u8, value: Value) -> Draft {
    let (size, at) = (value.len(), value.at() as u32);
    if size == 0 || size > 16 {
        return UNKNOWN;
    }
    let shift = 64_u32.saturating_sub(size.wrapping_mul(8));
    if op == op::TEXT_SUFFIX {
        let last = match size.checked_sub(8) {
            Some(before) => u64_at(view.heap, value.at().wrapping_add(before as usize)),
            None => first_eight(view, value),
        };
        (head(prepared::SUFFIX, TYPED_FLAG | shift as u8, size), at, last)
    } else {
        let last = at.wrapping_add(size).wrapping_sub(8);
        (head(prepared::PREFIX, TYPED_FLAG | shift as u8, size), last, first_eight(view, value) << (shift & 63))
    }
}

#[inline(always)]
fn version(view: &View<'_>, node: Node<'_>) -> Draft {
    let (dialect, flags) = (node.flags() >> 4, node.flags() & 7);
    let sem_ver = dialect == version_dialect::SEM_VER;
    let value = constant(view, node.a());
    let version = match words::short_version(first_eight(view, value), u64::from(value.len())) {
        words::NO_VERSION => match text_of(view, value) {
            [b'v' | b'V', rest @ ..] if sem_ver => words::version(rest),
            text => words::version(text),
        },
        version => version,
    };
    let strict = dialect >= version_dialect::STRICT_SEM_VER;
    let left_out = text_of(view, value).iter().filter(|&&byte| byte == b'.').count() != 2;
    if strict && left_out || node.b() & 0xFFFF != 1 || version == words::NO_VERSION {
        return UNKNOWN;
    }
    // Of the same major version, or major and minor: the numbers behind are not compared.
    let shift = match node.b() >> 16 {
        1 => 2 * words::NUMBER_BITS,
        2 => words::NUMBER_BITS,
        _ => 0,
    };
    let orders = if shift == 0 { flags } else { order::EQUAL };
    let flags = if sem_ver { orders } else { TYPED_FLAG | orders | if strict { STRICT_FLAG } else { 0 } };
    (head(prepared::VERSION, flags, shift as u32), 0, version >> shift)
}

/// Tables of texts, each for a run of constants, in words that may hold anything before.
///
/// A table has two to the power of some number of places, twice as many as texts at least. A text is at the place that
/// its key says or within the next MOST_PLACES: by its key if it is short, else by its key and the number of its
/// constant. At the start of the words there is for each constant the table of the run that begins with it: where it
/// is (32 bits), its shift (8 bits), and the length of the run.
struct Tables<'a> {
    words: &'a mut [u64],
    used: usize,
}

impl<'a> Tables<'a> {
    fn new(view: &View<'_>, words: &'a mut [u64]) -> Self {
        let mut used = view.values.len() / value_at::SIZE;
        match words.get_mut(..used) {
            Some(known) => known.fill(0),
            None => used = usize::MAX,
        }
        Tables { words, used }
    }

    /// Where the table of `count` texts from `first` on is, and its shift.
    fn of(&mut self, view: &View<'_>, first: u32, count: u32) -> Option<(u32, u8)> {
        let known = if self.used == usize::MAX { return None } else { *self.words.get(first as usize)? };
        let found = if known >> 40 == u64::from(count) {
            known
        } else {
            let bits = 63 - u64::from(count).max(2).wrapping_mul(4).wrapping_sub(1).leading_zeros();
            let shift = 64_u32.wrapping_sub(bits);
            let size = 1_usize.wrapping_shl(bits);
            let at = self.used;
            let built = match self.words.get_mut(at..at.wrapping_add(size)) {
                // What was taken stays taken, so that tables that cannot be made cost no more than those that can.
                Some(table) => {
                    self.used = at.wrapping_add(size);
                    fill(view, table, first, count, shift as u8)
                }
                None => false,
            };
            let place = if built { at as u64 } else { u64::from(u32::MAX) };
            let found = place | u64::from(shift) << 32 | u64::from(count) << 40;
            *self.words.get_mut(first as usize)? = found;
            found
        };
        let place = found as u32;
        (place != u32::MAX).then_some((place, (found >> 32) as u8))
    }
}

fn fill(view: &View<'_>, table: &mut [u64], first: u32, count: u32, shift: u8) -> bool {
    let mask = table.len().wrapping_sub(1);
    table.fill(0);
    (first..first.wrapping_add(count)).all(|index| {
        let text = text_of(view, constant(view, index));
        let len = text.len();
        let (key, member) = match len {
            0..=7 => {
                let key = words::short_key(words::eight(text, 0), len as u64);
                (key, key)
            }
            8..=LONGEST => {
                let key = words::long_key(len, |at| u64_at(text, at));
                (key, key | u64::from(index).wrapping_add(1))
            }
            _ => return true,
        };
        let begin = words::place(key, u64::from(shift));
        (begin..begin.wrapping_add(MOST_PLACES)).any(|step| match table.get_mut(step & mask) {
            Some(place) if *place == 0 || *place == member => {
                *place = member;
                true
            }
            _ => false,
        })
    })
}
