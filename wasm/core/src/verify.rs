//! Everything that evaluation relies on, checked once when a configuration is staged.
//!
//! Evaluation reads through checked accessors all the same; this is what turns a damaged configuration into a refusal
//! instead of a wrong answer. Each element is looked at once, by few wide loads, because a swap waits for all of them.

use crate::abi::{
    bound_at, bucket_at, encoding, error_code, flag_at, hash_algorithm, kind, limits_layout, loop_kind, node_at, op,
    outcome, part_at, part_kind, reason, reduce, segment_at, status, time_unit, value_at, version_dialect,
};
use crate::config::{Node, Sections, View};
use crate::read::{slice, u32_at, u64_at};
use crate::regex::is_program;
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
    let (slots, node_count) = (sections.slot_count, sections.nodes.count);
    let heap = view.heap.len() as u64;
    all(view.values, value_at::SIZE, status::BAD_VALUE, |value| good_value(value, heap))?;
    all(view.parts, part_at::SIZE, status::BAD_BUCKET, |part| good_part(&view, slots, part))?;
    all(view.buckets, bucket_at::SIZE, status::BAD_BUCKET, |bucket| good_bucket(sections.parts.count, bucket))?;
    let mut nodes = Nodes { view: &view, sections: &sections, budget: BUDGET, checked: [(0, 0, 0); CHECKED] };
    let mut index = 0_u32;
    all(view.nodes, node_at::SIZE, status::BAD_NODE, |bytes| {
        let good = nodes.good(slots, node_count, index, bytes);
        index = index.wrapping_add(1);
        good
    })
    .map_err(|refusal| if nodes.budget == 0 { (status::TOO_LARGE, refusal.1) } else { refusal })?;
    all(view.flags, flag_at::SIZE, status::BAD_FLAG, |flag| u32_at(flag, flag_at::ENTRY) < node_count)?;
    Ok(view)
}

#[inline(always)]
fn all<'a>(
    elements: &'a [u8],
    size: usize,
    refusal: u8,
    mut good: impl FnMut(&'a [u8]) -> bool,
) -> Result<(), Refusal> {
    match elements.chunks_exact(size).position(|element| !good(element)) {
        None => Ok(()),
        Some(index) => Err((refusal, index as u32)),
    }
}

/// Whether `first .. first + count` lies inside an array of `size` elements.
fn inside(first: u32, count: u32, size: u32) -> bool {
    u64::from(first) + u64::from(count) <= u64::from(size)
}

#[inline(always)]
fn good_value(bytes: &[u8], heap: u64) -> bool {
    let (head, bits) = (u64_at(bytes, 0), u64_at(bytes, value_at::BITS));
    let (kind, len) = (head as u8, head >> 32);
    let unit = match kind {
        kind::TEXT => 1,
        kind::LIST => 16,
        _ => 32,
    };
    let refers = kind >= kind::TEXT;
    kind > kind::MISSING
        && kind <= kind::OBJECT
        && (!refers || bits <= heap && bits + len * unit <= heap && (kind == kind::TEXT || bits % 8 == 0))
}

#[inline(always)]
fn good_part(view: &View<'_>, slots: u32, bytes: &[u8]) -> bool {
    let arg = u32_at(bytes, part_at::ARG);
    match bytes.first() {
        Some(&part_kind::LITERAL) => kind_of(view, arg) == kind::TEXT,
        Some(&part_kind::SLOT) => arg < slots,
        _ => false,
    }
}

/// The kind of constant number `index`; Missing if there is none.
#[inline(always)]
fn kind_of(view: &View<'_>, index: u32) -> u8 {
    u32_at(view.values, (index as usize).wrapping_mul(value_at::SIZE)) as u8
}

#[inline(always)]
fn good_bucket(parts: u32, bytes: &[u8]) -> bool {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(u8::MAX);
    let count = u32_at(bytes, bucket_at::PART_COUNT);
    let modulus = u64_at(bytes, bucket_at::MODULUS);
    let encodings = match byte(bucket_at::ALGORITHM) {
        hash_algorithm::MURMUR3X86 => encoding::UTF8..=encoding::CBOR,
        hash_algorithm::MD5 => encoding::UTF8..=encoding::UTF8,
        hash_algorithm::FNV1A | hash_algorithm::FNV1A_TWICE => encoding::CODE_POINTS..=encoding::CODE_POINTS,
        _ => return false,
    };
    encodings.contains(&byte(bucket_at::ENCODING))
        && match byte(bucket_at::REDUCE) {
            reduce::FULL32 => modulus == 0,
            reduce::MODULO => modulus != 0 && modulus <= u64::from(u32::MAX),
            _ => false,
        }
        && byte(bucket_at::FLAGS) <= 1
        && count >= 1
        && inside(u32_at(bytes, bucket_at::FIRST_PART), count, parts)
}

// ------------------------------------------------------------ what each operation needs

/// Bits of a rule: the targets that are used, and whether there is a slot.
const YES: u32 = 1;
const NO: u32 = 2;
const UNKNOWN: u32 = 4;
const SLOT: u32 = 8;
/// How many constants from `a` on.
const ONE: u32 = 0x10;
const COUNT_B: u32 = 0x20;
const COUNT_LOW_B: u32 = 0x30;
const COUNTS: u32 = 0x30;
/// More has to be looked at.
const MORE: u32 = 0x40;
/// Bits 8..16: the kinds of constants that it takes. Bits 16..24: the highest `flags`.
const ANY: u32 = 0xFE00;
const TEXT: u32 = 0x100 << kind::TEXT;
const INT: u32 = 0x100 << kind::INT;
const FLOAT: u32 = 0x100 << kind::FLOAT;

const fn most(flags: u8) -> u32 {
    (flags as u32) << 16
}

const RULES: [u32; op::ITERATE_NEXT as usize + 1] = {
    let mut rules = [0; op::ITERATE_NEXT as usize + 1];
    let mut op = 0;
    while op < rules.len() {
        rules[op] = rule(op as u8);
        op += 1;
    }
    rules
};

const fn rule(op: u8) -> u32 {
    let all = YES | NO | UNKNOWN;
    match op {
        op::DECIDE => MORE | most(reason::STALE),
        op::FAIL => MORE | most(u8::MAX),
        op::DECIDE_TEXT => NO | UNKNOWN | COUNT_B | TEXT | most(reason::STALE),
        op::CALL => all | MORE | most(u8::MAX),
        op::RETURN => most(outcome::UNKNOWN),
        op::KIND_IN | op::TRUTHY => YES | NO | SLOT | most(u8::MAX),
        op::TEXT_IN => all | SLOT | COUNT_B | TEXT | MORE | most(1),
        op::TEXT_PREFIX..=op::TEXT_CONTAINS => all | SLOT | COUNT_B | TEXT | most(u8::MAX),
        op::NUMBER_COMPARE => all | SLOT | COUNT_B | INT | FLOAT | MORE | most(7),
        op::BOOL_IN => all | SLOT | most(u8::MAX),
        op::VERSION => all | SLOT | COUNT_LOW_B | TEXT | MORE | most(version_dialect::STRICT_SEM_VER_BUILD << 4 | 7),
        op::EQUAL_CONST => YES | NO | SLOT | ONE | ANY | most(1),
        op::COMPARE_CONST => YES | NO | SLOT | ONE | ANY | MORE | most(7),
        op::IN_CONST => YES | NO | SLOT | COUNT_B | ANY | most(u8::MAX),
        op::CONTAINS_CONST => YES | NO | SLOT | ONE | ANY | most(u8::MAX),
        op::TEXT_MATCH => all | SLOT | ONE | TEXT | MORE | most(u8::MAX),
        op::IN_NETWORK => all | SLOT | ONE | TEXT | most(u8::MAX),
        op::TIME_COMPARE => all | SLOT | COUNT_B | INT | MORE | most(7),
        op::NOW_AT_LEAST => YES | NO | ONE | INT | most(u8::MAX),
        op::ROLLOUT => all | MORE | most(u8::MAX),
        op::SPLIT => NO | UNKNOWN | MORE | most(u8::MAX),
        op::PUSH_CONST => YES | ONE | ANY | most(u8::MAX),
        op::PUSH_SLOT => YES | SLOT | most(u8::MAX),
        op::PUSH_NOW => YES | most(time_unit::SECOND),
        op::PUSH_ITEM => YES | most(outcome::UNKNOWN),
        op::PATH => YES | COUNT_B | TEXT | most(u8::MAX),
        op::BRANCH_TRUTHY | op::BRANCH_BLANK => YES | NO | most(u8::MAX),
        op::BRANCH_KEEP => YES | NO | most(1),
        op::TRUTH => YES | most(1),
        op::EQUAL => YES | most(3),
        op::COMPARE => YES | MORE | most(7),
        op::SUBTRACT => YES | MORE | most(u8::MAX),
        op::FRACTIONAL => YES | SLOT | MORE | most(1),
        op::ITERATE_BEGIN => YES | NO | most(loop_kind::REDUCE),
        _ => YES | most(u8::MAX),
    }
}

/// Runs of constants that are remembered as checked: nodes share them.
const CHECKED: usize = 16;

/// Where a run is remembered: its kinds and its order in different places.
fn place(first: u32, what: u32) -> usize {
    (first ^ what << 3) as usize % CHECKED
}

struct Nodes<'a> {
    view: &'a View<'a>,
    sections: &'a Sections,
    budget: u32,
    /// First constant, number of constants, and 1 if they are sorted texts; the bits of their kinds.
    checked: [(u32, u32, u32); CHECKED],
}

impl Nodes<'_> {
    #[inline(always)]
    fn good(&mut self, slots: u32, node_count: u32, index: u32, bytes: &[u8]) -> bool {
        let node = match Node::read(bytes) {
            Some(node) => node,
            None => return false,
        };
        let rule = match RULES.get(usize::from(node.op())) {
            Some(rule) => *rule,
            None => return false,
        };
        // Targets lie behind the node.
        let behind = index.wrapping_add(1);
        let room = node_count.wrapping_sub(behind);
        let far = |target: u32| target.wrapping_sub(behind) >= room;
        let bad = (rule & YES != 0) & far(node.yes())
            | (rule & NO != 0) & far(node.no())
            | (rule & UNKNOWN != 0) & far(node.unknown())
            | (rule & SLOT != 0) & (u32::from(node.slot()) >= slots)
            | (u32::from(node.flags()) > rule >> 16);
        let count = match rule & COUNTS {
            0 => 0,
            ONE => 1,
            COUNT_B => node.b(),
            _ => node.b() & 0xFFFF,
        };
        // One that is not there is of no kind.
        let fits = match count {
            0 => true,
            1 => rule >> 8 >> (kind_of(self.view, node.a()) & 7) & 1 != 0,
            _ => self.constants(node.a(), count, rule & ANY),
        };
        !bad && fits && (rule & MORE == 0 || self.more(index, node))
    }

    /// Takes steps off the budget. Whether there are any left.
    fn spend(&mut self, steps: u32) -> bool {
        self.budget = self.budget.saturating_sub(steps);
        self.budget > 0
    }

    /// Whether `count` constants from `first` on are there and of these kinds.
    #[inline(never)]
    fn constants(&mut self, first: u32, count: u32, kinds: u32) -> bool {
        let here = inside(first, count, self.sections.values.count);
        if !here || kinds == ANY || self.is_checked(first, count, kinds) {
            return here && self.spend(1);
        }
        let good = self.spend(count)
            && (first..first.wrapping_add(count)).all(|index| kinds >> 8 >> (kind_of(self.view, index) & 31) & 1 != 0);
        self.remember(good, first, count, kinds)
    }

    fn is_checked(&self, first: u32, count: u32, what: u32) -> bool {
        self.checked.get(place(first, what)) == Some(&(first, count, what))
    }

    fn remember(&mut self, good: bool, first: u32, count: u32, what: u32) -> bool {
        if let (true, Some(room)) = (good, self.checked.get_mut(place(first, what))) {
            *room = (first, count, what);
        }
        good
    }

    #[inline(always)]
    fn more(&mut self, index: u32, node: Node<'_>) -> bool {
        let (a, b, flags) = (node.a(), node.b(), node.flags());
        let many = u32::from(node.slot());
        let prefix = b >> 16;
        match node.op() {
            op::DECIDE => a <= 0xFFFF && b <= 0xFFFF,
            op::FAIL => a >= 1 && a <= u32::from(error_code::NO_CONFIG) && b <= 0xFFFF,
            op::CALL => self.is_target(index, a),
            op::TEXT_IN => flags == 0 || self.sorted(a, b),
            op::NUMBER_COMPARE | op::COMPARE_CONST => flags >= 1,
            op::TIME_COMPARE => flags >= 1 && b == 2,
            op::COMPARE => flags >= 1 && (a == 2 || a == 3),
            op::SUBTRACT => a == 1 || a == 2,
            op::VERSION => flags & 8 == 0 && prefix <= 2 && (prefix == 0 || flags < 8) && (prefix > 0 || flags & 7 > 0),
            op::TEXT_MATCH => self.program(a),
            op::FRACTIONAL => self.constants(b, 1, TEXT),
            op::ROLLOUT => {
                a < self.sections.buckets.count
                    && inside(b, many, self.sections.segments.count)
                    && self.spend(many)
                    && ascending(slice(self.view.segments, at(b, segment_at::SIZE), at(many, segment_at::SIZE)))
            }
            op::SPLIT => {
                a < self.sections.buckets.count
                    && inside(b, many, self.sections.bounds.count)
                    && self.spend(many)
                    && slice(self.view.bounds, at(b, bound_at::SIZE), at(many, bound_at::SIZE))
                        .chunks_exact(bound_at::SIZE)
                        .all(|bound| self.is_target(index, u32_at(bound, bound_at::NODE)))
            }
            _ => true,
        }
    }

    fn is_target(&self, index: u32, target: u32) -> bool {
        target > index && target < self.sections.nodes.count
    }

    /// Whether the constant is a program of `regex.rs`.
    #[inline(never)]
    fn program(&mut self, constant: u32) -> bool {
        if self.is_checked(constant, 1, TEXT | 2) {
            return true;
        }
        let value = Value::read(self.view.values, at(constant, value_at::SIZE));
        let program = slice(self.view.heap, value.at(), value.len() as usize);
        let good = self.spend(program.len() as u32 / 32) && is_program(program);
        self.remember(good, constant, 1, TEXT | 2)
    }

    /// Whether the texts are strictly ascending by bytes.
    #[inline(never)]
    fn sorted(&mut self, first: u32, count: u32) -> bool {
        if self.is_checked(first, count, TEXT | 1) {
            return true;
        }
        let view = self.view;
        let text = |index: u32| {
            let value = Value::read(view.values, at(index, value_at::SIZE));
            slice(view.heap, value.at(), value.len() as usize)
        };
        let good = (first.wrapping_add(1)..first.wrapping_add(count)).all(|index| {
            let (before, after) = (text(index.wrapping_sub(1)), text(index));
            self.spend(before.len() as u32 / 32) && before < after
        });
        self.remember(good, first, count, TEXT | 1)
    }
}

fn at(index: u32, size: usize) -> usize {
    (index as usize).wrapping_mul(size)
}

fn ascending(segments: &[u8]) -> bool {
    let mut from = segments.chunks_exact(segment_at::SIZE).map(|segment| u64_at(segment, segment_at::FROM_MS) as i64);
    let first = from.next();
    first.map_or(true, |first| from.try_fold(first, |before, next| (before < next).then_some(next)).is_some())
}
