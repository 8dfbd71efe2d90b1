//! Everything that evaluation relies on, checked once when a configuration is staged.
//!
//! Evaluation reads through checked accessors all the same; this is what turns a damaged configuration into a refusal
//! instead of a wrong answer.

use crate::abi::{
    bound_at, bucket_at, encoding, error_code, hash_algorithm, kind, limits_layout, loop_kind, op, outcome, part_at,
    part_kind, reason, reduce, segment_at, space, status, time_unit, value_at, version_dialect,
};
use crate::config::{Node, Sections, View};
use crate::read::{u32_at, u64_at};
use crate::value::Value;

type Refusal = (u8, u32);

/// What the checks of all nodes may cost together: nodes may share constants, so it is not bounded by the bytes.
/// A step is one constant or bound, or 32 compared bytes.
const BUDGET: u32 = 1 << 25;

/// Checks the configuration in `bytes`. The error is a `Status` and the index of the first bad element.
pub fn verify(bytes: &[u8]) -> Result<View<'_>, Refusal> {
    if bytes.len() > limits_layout::MAX_CONFIG {
        return Err((status::TOO_LARGE, 0));
    }
    let sections = Sections::parse(bytes)?;
    if sections.slot_count as usize > limits_layout::MAX_SLOTS
        || sections.flags.count as usize > limits_layout::MAX_FLAGS
    {
        return Err((status::TOO_LARGE, 0));
    }
    let view = View::new(bytes, &sections);
    all(sections.values.count, status::BAD_VALUE, |i| value(&view, i))?;
    all(sections.parts.count, status::BAD_BUCKET, |i| part(&view, &sections, i))?;
    all(sections.buckets.count, status::BAD_BUCKET, |i| bucket(&view, &sections, i))?;
    let mut budget = BUDGET;
    all(sections.nodes.count, status::BAD_NODE, |i| node(&view, &sections, i, &mut budget)).map_err(|refusal| {
        if budget == 0 {
            (status::TOO_LARGE, refusal.1)
        } else {
            refusal
        }
    })?;
    all(sections.flags.count, status::BAD_FLAG, |i| view.entry(i).map_or(false, |entry| entry < sections.nodes.count))?;
    Ok(view)
}

fn all(count: u32, refusal: u8, mut good: impl FnMut(u32) -> bool) -> Result<(), Refusal> {
    match (0..count).find(|index| !good(*index)) {
        None => Ok(()),
        Some(index) => Err((refusal, index)),
    }
}

/// Whether `first .. first + count` lies inside an array of `size` elements.
fn inside(first: u32, count: u32, size: u32) -> bool {
    first.checked_add(count).map_or(false, |end| end <= size)
}

fn value(view: &View<'_>, index: u32) -> bool {
    let at = (index as usize).wrapping_mul(value_at::SIZE);
    let stored = view.values.get(at.wrapping_add(value_at::KIND)).copied().unwrap_or(u8::MAX);
    let read = Value::read(view.values, at);
    let aligned = read.kind() < kind::LIST || read.bits % 8 == 0;
    stored == read.kind() && read.fits(view.heap.len()) && aligned && read.kind() != kind::MISSING
}

#[inline(never)]
fn constant(view: &View<'_>, index: u32) -> Value {
    let mut value = Value::read(view.values, (index as usize).wrapping_mul(value_at::SIZE));
    value = value.in_space(space::CONFIG);
    value
}

fn part(view: &View<'_>, sections: &Sections, index: u32) -> bool {
    let at = (index as usize).wrapping_mul(part_at::SIZE);
    let arg = u32_at(view.parts, at.wrapping_add(part_at::ARG));
    match view.parts.get(at.wrapping_add(part_at::KIND)) {
        Some(&part_kind::LITERAL) => arg < sections.values.count && constant(view, arg).kind() == kind::TEXT,
        Some(&part_kind::SLOT) => arg < sections.slot_count,
        _ => false,
    }
}

fn bucket(view: &View<'_>, sections: &Sections, index: u32) -> bool {
    let at = (index as usize).wrapping_mul(bucket_at::SIZE);
    let byte = |field: usize| view.buckets.get(at.wrapping_add(field)).copied().unwrap_or(u8::MAX);
    let word = |field: usize| u32_at(view.buckets, at.wrapping_add(field));
    byte(bucket_at::ALGORITHM) == hash_algorithm::MURMUR3X86
        && byte(bucket_at::ENCODING) <= encoding::CBOR
        && byte(bucket_at::REDUCE) == reduce::FULL32
        && byte(bucket_at::FLAGS) <= 1
        && word(bucket_at::PART_COUNT) >= 1
        && inside(word(bucket_at::FIRST_PART), word(bucket_at::PART_COUNT), sections.parts.count)
}

/// Which targets an operation uses, as bits: yes, no, unknown.
const YES: u8 = 1;
const NO: u8 = 2;
const UNKNOWN: u8 = 4;

fn targets(op: u8) -> u8 {
    match op {
        op::DECIDE | op::FAIL | op::RETURN => 0,
        op::DECIDE_TEXT => NO | UNKNOWN,
        op::SPLIT => NO | UNKNOWN,
        op::CALL | op::TEXT_IN..=op::VERSION | op::ROLLOUT => YES | NO | UNKNOWN,
        op::KIND_IN | op::TRUTHY | op::EQUAL_CONST..=op::NOW_AT_LEAST => YES | NO,
        op::BRANCH_TRUTHY..=op::BRANCH_BLANK | op::ITERATE_BEGIN => YES | NO,
        _ => YES,
    }
}

fn node(view: &View<'_>, sections: &Sections, index: u32, budget: &mut u32) -> bool {
    let node = match view.node(index) {
        Some(node) if node.op() <= op::ITERATE_NEXT => node,
        _ => return false,
    };
    let forward = |target: u32| target > index && target < sections.nodes.count;
    let used = targets(node.op());
    (used & YES == 0 || forward(node.yes()))
        && (used & NO == 0 || forward(node.no()))
        && (used & UNKNOWN == 0 || forward(node.unknown()))
        && operands(view, sections, node, &forward, budget)
        && *budget > 0
}

/// Kinds of constants that an operation takes, as bits.
const ANY: u32 = u32::MAX;
const TEXT: u32 = 1 << kind::TEXT;
const INT: u32 = 1 << kind::INT;
const FLOAT: u32 = 1 << kind::FLOAT;

fn operands(
    view: &View<'_>,
    sections: &Sections,
    node: Node<'_>,
    forward: &dyn Fn(u32) -> bool,
    budget: &mut u32,
) -> bool {
    // Whether the operation reads a slot, and how many constants of which kinds from `a` on.
    let (reads_slot, count, kinds) = match node.op() {
        op::KIND_IN | op::TRUTHY | op::BOOL_IN | op::PUSH_SLOT | op::FRACTIONAL => (true, 0, ANY),
        op::TEXT_IN..=op::TEXT_CONTAINS => (true, node.b(), TEXT),
        op::VERSION => (true, node.b() & 0xFFFF, TEXT),
        op::NUMBER_COMPARE => (true, node.b(), INT | FLOAT),
        op::IN_CONST => (true, node.b(), ANY),
        op::EQUAL_CONST | op::COMPARE_CONST | op::CONTAINS_CONST => (true, 1, ANY),
        op::NOW_AT_LEAST => (false, 1, INT),
        op::PUSH_CONST => (false, 1, ANY),
        op::DECIDE_TEXT | op::PATH => (false, node.b(), TEXT),
        _ => (false, 0, ANY),
    };
    let many = u32::from(node.slot());
    let looked_at = if kinds == ANY { many } else { count.min(sections.values.count) };
    *budget = budget.saturating_sub(looked_at);
    if (reads_slot && many >= sections.slot_count) || *budget == 0 || !constants(view, node.a(), count, kinds) {
        return false;
    }
    let most = match node.op() {
        op::DECIDE | op::DECIDE_TEXT => reason::STALE,
        op::RETURN | op::PUSH_ITEM => outcome::UNKNOWN,
        op::TEXT_IN | op::EQUAL_CONST | op::BRANCH_KEEP | op::TRUTH | op::FRACTIONAL => 1,
        op::NUMBER_COMPARE | op::COMPARE_CONST | op::COMPARE => 7,
        op::VERSION => version_dialect::NUMERIC_RAW << 4 | 7,
        op::PUSH_NOW => time_unit::SECOND,
        op::EQUAL => 3,
        op::ITERATE_BEGIN => loop_kind::REDUCE,
        _ => u8::MAX,
    };
    let prefix = node.b() >> 16;
    node.flags() <= most
        && match node.op() {
            op::DECIDE => node.a() <= 0xFFFF && node.b() <= 0xFFFF,
            op::FAIL => node.a() >= 1 && node.a() <= u32::from(error_code::NO_CONFIG) && node.b() <= 0xFFFF,
            op::CALL => forward(node.a()),
            op::TEXT_IN => node.flags() == 0 || sorted(view, node, budget),
            op::NUMBER_COMPARE | op::COMPARE_CONST => node.flags() >= 1,
            op::COMPARE => node.flags() >= 1 && (node.a() == 2 || node.a() == 3),
            op::SUBTRACT => node.a() == 1 || node.a() == 2,
            op::VERSION => {
                node.flags() & 8 == 0
                    && prefix <= 2
                    && (prefix == 0 || node.flags() < 8)
                    && (prefix > 0 || node.flags() & 7 > 0)
            }
            op::FRACTIONAL => constants(view, node.b(), 1, TEXT),
            op::ROLLOUT => {
                node.a() < sections.buckets.count
                    && inside(node.b(), many, sections.segments.count)
                    && ascending(view, node.b(), many)
            }
            op::SPLIT => {
                let bound = |step: u32| {
                    let at = (node.b().wrapping_add(step) as usize).wrapping_mul(bound_at::SIZE);
                    forward(u32_at(view.bounds, at.wrapping_add(bound_at::NODE)))
                };
                node.a() < sections.buckets.count
                    && inside(node.b(), many, sections.bounds.count)
                    && (0..many).all(bound)
            }
            _ => true,
        }
}

/// Whether `count` constants from `first` on are there and of these kinds.
#[inline(never)]
fn constants(view: &View<'_>, first: u32, count: u32, kinds: u32) -> bool {
    count == 0
        || inside(first, count, (view.values.len() / value_at::SIZE) as u32)
            && (kinds == ANY
                || (0..count).all(|step| kinds >> (constant(view, first.wrapping_add(step)).kind() & 31) & 1 != 0))
}

/// Strictly ascending by bytes.
fn sorted(view: &View<'_>, node: Node<'_>, budget: &mut u32) -> bool {
    let text = |step: u32| {
        let value = constant(view, node.a().wrapping_add(step));
        crate::read::slice(view.heap, value.at(), value.len() as usize)
    };
    (1..node.b()).all(|step| {
        let (before, after) = (text(step.wrapping_sub(1)), text(step));
        *budget = budget.saturating_sub(before.len() as u32 / 32);
        *budget > 0 && before < after
    })
}

fn ascending(view: &View<'_>, first: u32, count: u32) -> bool {
    let from = |step: u32| {
        let at = (first.wrapping_add(step) as usize).wrapping_mul(segment_at::SIZE);
        u64_at(view.segments, at.wrapping_add(segment_at::FROM_MS)) as i64
    };
    (1..count).all(|step| from(step.wrapping_sub(1)) < from(step))
}
