//! Makes the prepared form of a verified configuration: rows for nodes and buckets, and tables of texts.
//!
//! Runs once for each staged configuration. What an operation needs to be taken by the lane is decided here; everything
//! else becomes LEAVE. The work is bounded by the nodes and by the room: a table takes its room before it is filled.

use super::row::{how, op as prepared, Row, EXACT, MOST_MEMBERS, TYPED};
use super::{words, Lane};
use crate::abi::{
    bucket_at, decision_layout, encoding, error_code, kind, node_at, op, order, part_at, part_kind, reason,
    request_layout, value_at, version_dialect,
};
use crate::config::{Node, View};
use crate::hash::Murmur3;
use crate::machine::pack;
use crate::read::{array, slice, u32_at, u64_at};
use crate::value::Value;

/// Bytes of a constant text that a lane looks at; longer ones equal no text that it takes.
const LONGEST: usize = 255;
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
    for (index, room) in nodes.iter_mut().enumerate() {
        *room = match view.node(index as u32) {
            Some(from) => node(view, buckets, &mut tables, from),
            None => [0; 4],
        };
    }
    Lane { nodes, buckets, words: tables.words }
}

/// Offset of a slot in the request.
fn slot_at(slot: u32) -> u64 {
    request_layout::SLOTS as u64 + u64::from(slot) * value_at::SIZE as u64
}

const TYPED_FLAG: u8 = (TYPED >> 8) as u8;

fn text_of<'a>(view: &View<'a>, value: Value) -> &'a [u8] {
    slice(view.heap, value.at(), value.len() as usize)
}

fn constant(view: &View<'_>, index: u32) -> Value {
    Value::read(view.values, (index as usize).wrapping_mul(value_at::SIZE))
}

/// The first eight bytes of a text, 0 behind its end.
fn first_eight(text: &[u8]) -> u64 {
    match array::<8>(text, 0) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => text.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

fn last_eight(text: &[u8]) -> u64 {
    first_eight(text.get(text.len().saturating_sub(8)..).unwrap_or(&[]))
}

/// Bit of a prepared bucket's first word: the lane can hash it.
const HASHED: u64 = 1 << 8;

fn bucket(view: &View<'_>, record: &[u8]) -> Row {
    const UNKNOWN: Row = [0; 4];
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
    let (first, count) = (u32_at(record, bucket_at::FIRST_PART), u32_at(record, bucket_at::PART_COUNT));
    let mut hash = Murmur3::new(u32_at(record, bucket_at::SEED));
    let (mut slot, mut behind) = (None, &[][..]);
    for index in first..first.wrapping_add(count.min(4)) {
        let at = (index as usize).wrapping_mul(part_at::SIZE);
        let arg = u32_at(view.parts, at.wrapping_add(part_at::ARG));
        if view.parts.get(at.wrapping_add(part_at::KIND)) != Some(&part_kind::LITERAL) {
            if slot.is_some() {
                return UNKNOWN;
            }
            slot = Some(arg);
            continue;
        }
        let literal = text_of(view, constant(view, arg));
        if slot.is_some() {
            if !behind.is_empty() || literal.len() > 8 || (backslash && !literal.is_ascii()) {
                return UNKNOWN;
            }
            behind = literal;
        } else if literal.len() > MOST_LITERAL {
            return UNKNOWN;
        } else if backslash {
            hash.update_backslash(literal);
        } else {
            hash.update(literal);
        }
    }
    let (hash, tail, len) = hash.state();
    match slot {
        Some(slot) if count <= 4 => [
            u64::from(flags) | HASHED | slot_at(slot) << 16,
            u64::from(hash) | u64::from(tail) << 32,
            u64::from(len) | (behind.len() as u64) << 32,
            first_eight(behind),
        ],
        _ => UNKNOWN,
    }
}

/// What a node is prepared from.
#[derive(Clone, Copy)]
struct Operands {
    op: u8,
    flags: u8,
    count: u32,
    yes: u32,
    no: u32,
    unknown: u32,
    second: u32,
    operand: u64,
}

fn node(view: &View<'_>, buckets: &[Row], tables: &mut Tables<'_>, node: Node<'_>) -> Row {
    match operands(view, buckets, tables, node) {
        None => [u64::from(prepared::LEAVE), 0, 0, 0],
        Some(of) => [
            u64::from(of.op) | u64::from(of.flags) << 8 | slot_at(u32::from(node.slot())) << 16 & 0xFFFF_0000
                | u64::from(of.count) << 32,
            u64::from(of.yes) | u64::from(of.second) << 32,
            u64::from(of.unknown) | u64::from(of.no) << 32,
            of.operand,
        ],
    }
}

fn operands(view: &View<'_>, buckets: &[Row], tables: &mut Tables<'_>, node: Node<'_>) -> Option<Operands> {
    let (a, b, flags) = (node.a(), node.b(), node.flags());
    let none = Operands {
        op: 0,
        flags,
        count: 0,
        yes: node.yes(),
        no: node.no(),
        unknown: node.unknown(),
        second: 0,
        operand: u64::from(a),
    };
    let simple = |op: u8| Some(Operands { op, ..none });
    match node.op() {
        op::DECIDE => {
            let operand = pack(a, b, flags, error_code::NONE, 0);
            Some(Operands { op: prepared::DECIDE, operand, ..none })
        }
        op::FAIL => {
            let operand = pack(decision_layout::NONE as u32, b, reason::ERROR, a as u8, 0);
            Some(Operands { op: prepared::DECIDE, operand, ..none })
        }
        op::JUMP => simple(prepared::JUMP),
        op::CALL => simple(prepared::CALL),
        op::RETURN => simple(prepared::RETURN),
        op::KIND_IN => text_hashed(view, buckets, node, none).or_else(|| simple(prepared::KIND_IN)),
        op::TRUTHY => simple(prepared::TRUTHY),
        op::BOOL_IN => simple(prepared::BOOL_IN),
        op::NOW_AT_LEAST => Some(Operands { op: prepared::NOW_AT_LEAST, operand: constant(view, a).bits, ..none }),
        op::TEXT_IN if b == 1 => equal_text(view, constant(view, a), Operands { flags: TYPED_FLAG, ..none }),
        // In any order each member costs the machine a step, so that many would not be within MOST_STEPS.
        op::TEXT_IN if flags & 1 == 0 && b > MOST_UNSORTED => None,
        op::TEXT_IN => {
            let (first, shift) = tables.of(view, a, b)?;
            Some(Operands {
                op: prepared::TEXT_IN,
                flags: TYPED_FLAG | shift,
                count: u32::MAX.wrapping_shr(u32::from(shift).wrapping_sub(32)),
                second: first,
                ..none
            })
        }
        op::TEXT_PREFIX | op::TEXT_SUFFIX if b == 1 => affix(view, node.op(), constant(view, a), none),
        op::NUMBER_COMPARE if b == 1 => {
            let operand = constant(view, a).scalar_number().to_float().to_bits();
            Some(Operands { op: prepared::NUMBER, flags: TYPED_FLAG | flags, operand, ..none })
        }
        op::COMPARE_CONST => {
            let value = constant(view, a);
            let exact = value.kind() == kind::INT && (-EXACT..=EXACT).contains(&value.as_int());
            if value.kind() != kind::FLOAT && !exact {
                return None;
            }
            Some(Operands { op: prepared::NUMBER, operand: value.scalar_number().to_float().to_bits(), ..none })
        }
        op::VERSION => version(view, node, none),
        op::EQUAL_CONST => {
            let value = constant(view, a);
            match value.kind() {
                kind::TEXT => equal_text(view, value, Operands { flags: 0, unknown: node.no(), ..none }),
                kind::BOOL | kind::INT => {
                    Some(Operands { op: prepared::SAME, flags: value.kind(), operand: value.bits, ..none })
                }
                _ => None,
            }
        }
        op::ROLLOUT | op::SPLIT => hashed(buckets, node, none),
        _ => None,
    }
}

fn hashed(buckets: &[Row], node: Node<'_>, none: Operands) -> Option<Operands> {
    let op = if node.op() == op::SPLIT { prepared::SPLIT } else { prepared::ROLLOUT };
    let count = u32::from(node.slot());
    let hashed = buckets.get(node.a() as usize)?[0] & HASHED != 0;
    (hashed && count as usize <= MOST_MEMBERS).then_some(Operands { op, flags: 0, count, second: node.b(), ..none })
}

/// "Is it a text" in front of what hashes that text: one node does both.
fn text_hashed(view: &View<'_>, buckets: &[Row], node: Node<'_>, none: Operands) -> Option<Operands> {
    let next = view.node(node.yes())?;
    let bucket = buckets.get(next.a() as usize)?[0];
    let empty_differs = bucket as u8 & how::NOT_EMPTY != 0 && node.no() != next.unknown();
    let same = bucket >> 16 == slot_at(u32::from(node.slot())) && !empty_differs;
    if node.a() & 0xFF != 1 << kind::TEXT || !same || !matches!(next.op(), op::SPLIT | op::ROLLOUT) {
        return None;
    }
    let none = Operands { yes: next.yes(), no: next.no(), unknown: node.no(), operand: u64::from(next.a()), ..none };
    Some(Operands { flags: TYPED_FLAG, ..hashed(buckets, next, none)? })
}

fn equal_text(view: &View<'_>, value: Value, none: Operands) -> Option<Operands> {
    let text = text_of(view, value);
    (text.len() <= LONGEST).then_some(Operands {
        op: prepared::TEXT,
        count: value.len(),
        second: (value.at() as u32).wrapping_add(value.len()).wrapping_sub(8),
        operand: first_eight(text),
        ..none
    })
}

fn affix(view: &View<'_>, op: u8, value: Value, none: Operands) -> Option<Operands> {
    let text = text_of(view, value);
    let (size, at) = (value.len(), value.at() as u32);
    let shift = 64_u32.saturating_sub(size.wrapping_mul(8));
    let suffix = op == op::TEXT_SUFFIX;
    (1..=16).contains(&size).then_some(Operands {
        op: if suffix { prepared::SUFFIX } else { prepared::PREFIX },
        flags: TYPED_FLAG | shift as u8,
        count: size,
        second: if suffix { at } else { at.wrapping_add(size).wrapping_sub(8) },
        operand: if suffix { last_eight(text) } else { first_eight(text) << (shift & 63) },
        ..none
    })
}

fn version(view: &View<'_>, node: Node<'_>, none: Operands) -> Option<Operands> {
    let (dialect, flags) = (node.flags() >> 4, node.flags() & 7);
    let sem_ver = dialect == version_dialect::SEM_VER;
    let text = match text_of(view, constant(view, node.a())) {
        [b'v' | b'V', rest @ ..] if sem_ver => rest,
        text => text,
    };
    let version = words::version(text);
    if node.b() & 0xFFFF != 1 || version == words::NO_VERSION {
        return None;
    }
    // Of the same major version, or major and minor: the numbers behind are not compared.
    let shift = match node.b() >> 16 {
        1 => 2 * words::NUMBER_BITS,
        2 => words::NUMBER_BITS,
        _ => 0,
    };
    let orders = if shift == 0 { flags } else { order::EQUAL };
    Some(Operands {
        op: prepared::VERSION,
        flags: if sem_ver { orders } else { TYPED_FLAG | orders },
        count: shift as u32,
        operand: version >> shift,
        ..none
    })
}

/// Tables of texts, each for a run of constants, in words that may hold anything before.
///
/// A table has two to the power of some number of places, twice as many as texts at least. A text is at the place that
/// its key says or within the next MOST_MEMBERS: by its key if it is short, else by its key and the number of its
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
        let found = if known >> 40 == u64::from(count) && count > 0 {
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
                let key = words::short_key(first_eight(text), len as u64);
                (key, key)
            }
            8..=LONGEST => {
                let parts = [0, (len / 2).wrapping_sub(4), len.wrapping_sub(8)].map(|at| u64_at(text, at));
                let key = words::long_key(parts, len as u64);
                (key, key | u64::from(index).wrapping_add(1))
            }
            _ => return true,
        };
        let begin = words::place(key, u64::from(shift));
        (begin..begin.wrapping_add(MOST_MEMBERS)).any(|step| match table.get_mut(step & mask) {
            Some(place) if *place == 0 || *place == member => {
                *place = member;
                true
            }
            _ => false,
        })
    })
}
