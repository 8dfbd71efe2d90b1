//! The evaluator: follows the decision graph from a flag's entry to a decision.
//!
//! One loop, no recursion, no allocation. Here are the ends, the flow and the predicates on slots; the operations on the
//! value stack are in `stack.rs`, what needs several values at once in `json.rs`, hashes in `bucket.rs`.

use crate::abi::{decision_layout, error_code, kind, limits_layout, op, outcome, reason, space, value_at};
use crate::config::{Node, View};
use crate::lane::{self, Left};
use crate::read::slice;
use crate::request::Request;
use crate::trace::{shown, Trace};
use crate::value::{satisfies, Value};
use crate::work::{Frame, Work};

/// The state of one evaluation.
pub struct Machine<'a> {
    pub(crate) config: &'a View<'a>,
    pub(crate) request: Request<'a>,
    pub(crate) work: &'a mut Work,
    pub(crate) height: usize,
    pub(crate) depth: usize,
    pub(crate) arena_used: usize,
    pub(crate) steps: u32,
    /// Why the evaluation stops, once it does: an `ErrorCode`. Operations go on with nulls until the next node.
    pub(crate) stopped: u8,
    /// Steps that were left when it was stopped for another reason than having none.
    pub(crate) spare: u32,
    /// The packed decision, once a node leads to DONE.
    pub(crate) decision: u64,
    /// How the last node ended, for a trace.
    pub(crate) outcome: u8,
    /// The last bucket, with bit 63 set once there is one.
    pub(crate) bucket: u64,
}

/// The bit of `Machine::bucket` that says that a bucket was computed.
pub(crate) const BUCKETED: u64 = 1 << 63;

/// Packs a decision (schema/README.md section 6).
pub fn pack(variant: u32, rule: u32, reason: u8, error: u8, bucket: u64) -> u64 {
    use decision_layout as at;
    let mut packed = u64::from(variant & 0xFFFF) << at::VARIANT_SHIFT
        | u64::from(rule & 0xFFFF) << at::RULE_SHIFT
        | u64::from(reason & 15) << at::REASON_SHIFT
        | u64::from(error & 15) << at::ERROR_SHIFT;
    if bucket & BUCKETED != 0 {
        let position = ((bucket & 0xFFFF_FFFF) * at::BUCKET_SCALE as u64) >> 32;
        packed |= 1 << at::BUCKETED_SHIFT | position << at::BUCKET_SHIFT;
    }
    packed
}

/// The packed decision that only says what went wrong.
pub fn pack_error(code: u8) -> u64 {
    pack(decision_layout::NONE as u32, decision_layout::NONE as u32, reason::ERROR, code, 0)
}

/// In place of a node to go to: the decision is made, or the evaluation is stopped.
pub(crate) const DONE: u32 = u32::MAX;

impl<'a> Machine<'a> {
    /// A machine for the requests of one user. `work` is scratch room.
    #[inline(always)]
    pub fn new(config: &'a View<'a>, request: Request<'a>, work: &'a mut Work) -> Machine<'a> {
        Machine {
            config,
            request,
            work,
            height: 0,
            depth: 0,
            arena_used: 0,
            steps: 0,
            stopped: 0,
            spare: 0,
            decision: 0,
            outcome: 0,
            bucket: 0,
        }
    }

    /// Decides flag number `flag`.
    pub fn evaluate(&mut self, flag: u32) -> u64 {
        let entry = self.begin(flag);
        self.run(entry, false);
        self.decision
    }

    /// Goes on in at most `steps` steps where the fast lane was left; from the start where it makes a difference what
    /// the lane's own nodes would have cost.
    pub fn resume(&mut self, flag: u32, left: Left, steps: u32) -> u64 {
        if self.begin(flag) != DONE && left.node != lane::START {
            self.steps = steps;
            self.bucket = left.bucket;
            for call in [left.calls >> 32, left.calls & 0xFFFF_FFFF] {
                if let Some(node) = (call as u32).checked_sub(1) {
                    self.push_frame(Frame { node, ..Frame::CALL });
                }
            }
            self.run(left.node, false);
            if self.steps_left() >= lane::MOST_STEPS {
                return self.decision;
            }
        }
        let entry = self.begin(flag);
        self.steps = steps;
        self.run(entry, false);
        self.decision
    }

    /// Decides flag number `flag` by the same code, node by node, and records each.
    pub fn explain(&mut self, flag: u32, trace: &mut Trace<'_>) -> u64 {
        let mut at = self.begin(flag);
        while at != DONE {
            let next = self.run(at, true);
            if self.stopped == 0 {
                self.observe(at, next, trace);
            }
            at = next;
        }
        self.decision
    }

    /// Steps that the last evaluation had left.
    pub fn steps_left(&self) -> u32 {
        self.steps.max(self.spare)
    }

    /// A fresh start at the entry of a flag.
    #[inline(always)]
    fn begin(&mut self, flag: u32) -> u32 {
        self.height = 0;
        self.depth = 0;
        self.arena_used = 0;
        self.steps = limits_layout::MAX_STEPS as u32;
        self.stopped = 0;
        self.spare = 0;
        self.bucket = 0;
        match self.config.entry(flag) {
            Some(entry) => entry,
            None => {
                self.decision = pack_error(error_code::FLAG_NOT_FOUND);
                DONE
            }
        }
    }

    /// Follows the nodes to the end, or executes one if `single`. Returns the next node.
    fn run(&mut self, entry: u32, single: bool) -> u32 {
        let mut at = entry;
        while at != DONE {
            self.steps = match self.steps.checked_sub(1) {
                Some(left) => left,
                None => return self.give_up(error_code::BUDGET_EXCEEDED),
            };
            at = match self.config.node(at) {
                Some(node) => self.execute(at, node),
                None => self.give_up(error_code::GENERAL),
            };
            if single {
                break;
            }
        }
        if self.stopped != 0 {
            return self.give_up(self.stopped);
        }
        at
    }

    /// The decision that says why there is none.
    #[cold]
    #[inline(never)]
    fn give_up(&mut self, code: u8) -> u32 {
        if self.stopped == 0 {
            self.stopped = code;
        }
        self.decision = pack_error(self.stopped);
        DONE
    }

    /// Stops the evaluation at the next node. Until then operations see nulls and empty texts.
    #[cold]
    #[inline(never)]
    pub(crate) fn stop(&mut self, code: u8) {
        if self.stopped == 0 {
            self.stopped = code;
            self.spare = self.steps;
        }
        self.steps = 0;
    }

    /// Whether the evaluation is stopped or its budget spent: loops that are not bounded by a few members ask.
    #[inline(always)]
    pub(crate) fn is_over(&self) -> bool {
        self.steps == 0
    }

    #[inline(always)]
    fn execute(&mut self, at: u32, node: Node<'_>) -> u32 {
        let holds = match node.op() {
            op::DECIDE => {
                self.decision = pack(node.a(), node.b(), node.flags(), error_code::NONE, self.bucket);
                return DONE;
            }
            op::TEXT_IN => self.text_in(node),
            op::TEXT_PREFIX | op::TEXT_SUFFIX | op::TEXT_CONTAINS => self.text_affix(node),
            op::VERSION => self.version(node),
            op::TEXT_MATCH => self.text_match(node),
            op::SPLIT => return self.split(node),
            op::KIND_IN => Some(node.a() >> (self.slot(node.slot()).kind() & 31) & 1 != 0),
            op::NUMBER_COMPARE => self.number_compare(node),
            op::BOOL_IN => {
                let value = self.slot(node.slot());
                match value.kind() {
                    kind::BOOL => Some(node.a() >> (value.bits & 1) & 1 != 0),
                    _ => None,
                }
            }
            op::TRUTHY => Some(self.slot(node.slot()).is_truthy()),
            op::EQUAL_CONST => {
                let (value, constant) = (self.slot(node.slot()), self.constant(node.a()));
                Some(self.equal(value, constant, node.flags() & 1 != 0))
            }
            op::COMPARE_CONST => {
                let (value, constant) = (self.slot(node.slot()), self.constant(node.a()));
                Some(satisfies(self.order(value, constant), node.flags()))
            }
            op::IN_CONST => Some(self.in_const(node)),
            op::IN_NETWORK => self.in_network(node),
            op::TIME_COMPARE => self.time_compare(node),
            op::CONTAINS_CONST => {
                let (value, constant) = (self.slot(node.slot()), self.constant(node.a()));
                Some(self.contains(value, constant))
            }
            op::NOW_AT_LEAST => Some(self.request.now_us >= self.constant(node.a()).as_int()),
            op::ROLLOUT => self.rollout(node),
            op::JUMP => {
                self.outcome = outcome::NEXT;
                return node.yes();
            }
            op::FAIL => {
                self.fail(node.a() as u8, node.b());
                return DONE;
            }
            op::CALL => {
                self.outcome = outcome::NEXT;
                self.push_frame(Frame { node: at, ..Frame::CALL });
                return node.a();
            }
            op::RETURN => {
                self.outcome = node.flags();
                return self.leave(node.flags());
            }
            _ => return self.stack_operation(at, node),
        };
        let (came_out, next) = match holds {
            Some(true) => (outcome::YES, node.yes()),
            Some(false) => (outcome::NO, node.no()),
            None => (outcome::UNKNOWN, node.unknown()),
        };
        self.outcome = came_out;
        next
    }

    /// No variant, and why. `rule` may be none.
    pub(crate) fn fail(&mut self, code: u8, rule: u32) {
        self.decision = pack(decision_layout::NONE as u32, rule, reason::ERROR, code, self.bucket);
    }

    #[inline(never)]
    fn leave(&mut self, came_out: u8) -> u32 {
        let frame = self.pop_frame();
        let caller = match self.config.node(frame.node) {
            Some(caller) if frame.list.kind() == kind::MISSING && self.stopped == 0 => caller,
            _ => return self.give_up(error_code::LIMIT_EXCEEDED),
        };
        match came_out {
            outcome::NO => caller.no(),
            outcome::YES => caller.yes(),
            _ => caller.unknown(),
        }
    }

    pub(crate) fn push_frame(&mut self, frame: Frame) {
        match self.work.frames.get_mut(self.depth) {
            Some(room) => {
                *room = frame;
                self.depth = self.depth.wrapping_add(1);
            }
            None => self.stop(error_code::LIMIT_EXCEEDED),
        }
    }

    /// The innermost frame, taken off. Without one the evaluation stops.
    pub(crate) fn pop_frame(&mut self) -> Frame {
        let below = self.depth.wrapping_sub(1);
        match self.work.frames.get(below) {
            Some(frame) => {
                self.depth = below;
                *frame
            }
            None => {
                self.stop(error_code::LIMIT_EXCEEDED);
                Frame::CALL
            }
        }
    }

    fn observe(&self, at: u32, next: u32, trace: &mut Trace<'_>) {
        let op = self.config.node(at).map_or(op::JUMP, |node| node.op());
        if next == DONE {
            return trace.record(at, outcome::DECIDED, kind::INT, self.decision);
        }
        let (kind, bits) = match op {
            op::ROLLOUT | op::SPLIT if self.outcome != outcome::UNKNOWN => (kind::INT, self.bucket & 0xFFFF_FFFF),
            _ if op < op::PUSH_CONST => (kind::MISSING, 0),
            _ => {
                // Marks lie on the stack as Missing and are not shown.
                let values = self.work.stack.get(..self.height).unwrap_or(&[]);
                let top = values.iter().rev().find(|value| value.kind() != kind::MISSING);
                top.map_or((kind::MISSING, 0), |value| shown(*value))
            }
        };
        trace.record(at, self.outcome, kind, bits);
    }

    /// Takes `count` steps off the budget; what is left at zero is found out at the next node.
    #[inline(always)]
    pub(crate) fn spend(&mut self, count: usize) {
        self.steps = self.steps.saturating_sub(count as u32);
    }

    /// Slot number `index`; Missing if it is not there or refers outside of its heap.
    #[inline(never)]
    pub(crate) fn slot(&self, index: u16) -> Value {
        let value = Value::read(self.request.slots, usize::from(index).wrapping_mul(value_at::SIZE));
        if value.kind() < kind::TEXT {
            return value;
        }
        self.referring_slot(value)
    }

    /// A slot that refers to a heap: whose heap it is, and whether it lies inside.
    #[inline(always)]
    fn referring_slot(&self, mut value: Value) -> Value {
        let heap = if value.space() == space::CONFIG {
            self.config.heap
        } else {
            value = value.in_space(space::REQUEST);
            self.request.heap
        };
        if value.kind() == kind::TEXT {
            let inside = value.bits.saturating_add(u64::from(value.len())) <= heap.len() as u64;
            return if inside { value } else { Value::MISSING };
        }
        if value.fits(heap.len()) {
            value
        } else {
            Value::MISSING
        }
    }

    /// Constant number `index`.
    #[inline(never)]
    pub(crate) fn constant(&self, index: u32) -> Value {
        Value::read(self.config.values, (index as usize).wrapping_mul(value_at::SIZE)).in_space(space::CONFIG)
    }

    /// The bytes of a text that is not in the arena.
    #[inline(never)]
    pub(crate) fn fixed_text(&self, value: Value) -> &'a [u8] {
        let heap = match value.space() {
            space::CONFIG => self.config.heap,
            _ => self.request.heap,
        };
        slice(heap, value.at(), value.len() as usize)
    }
}
