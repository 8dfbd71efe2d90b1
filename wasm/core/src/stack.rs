//! The operations on the value stack (schema/README.md section 5.5): push, look up, branch, compute, loop.

use crate::abi::{decision_layout, error_code, kind, op, outcome, time_unit};
use crate::arithmetic;
use crate::config::Node;
use crate::decimal;
use crate::json::not_missing;
use crate::machine::{pack, Machine, DONE};
use crate::value::{satisfies, Value};
use core::cmp::Ordering;

impl<'a> Machine<'a> {
    #[inline(never)]
    pub(crate) fn push(&mut self, value: Value) {
        match self.work.stack.get_mut(self.height) {
            Some(room) => {
                *room = not_missing(value);
                self.height = self.height.wrapping_add(1);
            }
            None => self.stop(error_code::LIMIT_EXCEEDED),
        }
    }

    #[inline(never)]
    pub(crate) fn pop(&mut self) -> Value {
        let below = self.height.wrapping_sub(1);
        match self.work.stack.get(below) {
            Some(value) => {
                self.height = below;
                *value
            }
            None => {
                self.stop(error_code::LIMIT_EXCEEDED);
                Value::NULL
            }
        }
    }

    /// The height below the last `count` values.
    #[inline(never)]
    pub(crate) fn below(&mut self, count: u32) -> usize {
        match self.height.checked_sub(count as usize) {
            Some(height) => height,
            None => {
                self.stop(error_code::LIMIT_EXCEEDED);
                self.height
            }
        }
    }

    #[inline(never)]
    pub(crate) fn peek(&self, at: usize) -> Value {
        self.work.stack.get(at).copied().unwrap_or(Value::NULL)
    }

    #[inline(never)]
    pub(crate) fn stack_operation(&mut self, at: u32, node: Node<'_>) -> u32 {
        self.outcome = outcome::NEXT;
        let value = match node.op() {
            op::PUSH_CONST => self.constant(node.a()),
            op::PUSH_SLOT => self.slot(node.slot()),
            op::PUSH_NOW => Value::int(match node.flags() {
                time_unit::MICROSECOND => self.request.now_us,
                time_unit::MILLISECOND => self.request.now_us.div_euclid(1_000),
                _ => self.request.now_us.div_euclid(1_000_000),
            }),
            op::PUSH_ITEM => self.loop_item(node.flags()),
            op::DROP => {
                self.pop();
                return node.yes();
            }
            op::PATH => self.path(node),
            op::LOOKUP => {
                let key = self.pop();
                let base = self.pop();
                self.look_up(base, key)
            }
            op::COALESCE => {
                let default = self.pop();
                let value = self.pop();
                if value.is_null() {
                    default
                } else {
                    value
                }
            }
            op::BRANCH_TRUTHY => {
                let holds = self.pop().is_truthy();
                return self.branch(node, holds);
            }
            op::BRANCH_BLANK => {
                let blank = self.pop().is_blank();
                return self.branch(node, blank);
            }
            op::BRANCH_KEEP => {
                let top = self.pop();
                let keep = top.is_truthy() == (node.flags() & 1 == 0);
                if keep {
                    self.push(top);
                }
                return self.branch(node, keep);
            }
            op::TRUTH => Value::bool(self.pop().is_truthy() == (node.flags() & 1 == 0)),
            op::EQUAL => {
                let y = self.pop();
                let x = self.pop();
                Value::bool(self.equal(x, y, node.flags() & 1 != 0) == (node.flags() & 2 == 0))
            }
            op::COMPARE => self.compare(node),
            op::IN => {
                let haystack = self.pop();
                let needle = self.pop();
                Value::bool(self.contains(haystack, needle))
            }
            op::ADD | op::MULTIPLY | op::MINIMUM | op::MAXIMUM => self.fold(node),
            op::SUBTRACT => self.subtract(node),
            op::DIVIDE | op::MODULO => {
                let y = self.pop();
                let x = self.pop();
                let (x, y) = (self.number(x), self.number(y));
                if y.is_zero() {
                    return self.general_failure();
                }
                Value::number(if node.op() == op::DIVIDE { arithmetic::divide(x, y) } else { arithmetic::modulo(x, y) })
            }
            op::CONCAT => self.concat(node.a()),
            op::SUBSTRING => match self.substring() {
                Some(value) => value,
                None => return self.general_failure(),
            },
            op::MERGE => self.merge(node.a()),
            op::MAKE_LIST => self.make_list(node.a()),
            op::MARK => {
                // The mark itself lies on the stack: a Missing, which nothing else pushes.
                self.push(Value::NULL);
                if let Some(mark) = self.work.stack.get_mut(self.height.wrapping_sub(1)) {
                    *mark = Value::MISSING;
                }
                return node.yes();
            }
            op::COLLECT => self.collect(),
            op::MISSING => self.missing(),
            op::MISSING_SOME => self.missing_some(),
            op::TEXT_STARTS | op::TEXT_ENDS => {
                let y = self.pop();
                let x = self.pop();
                if x.kind() != kind::TEXT || y.kind() != kind::TEXT {
                    Value::NULL
                } else {
                    self.spend(y.len() as usize / 256);
                    let (x, y) = (self.text(x), self.text(y));
                    Value::bool(if node.op() == op::TEXT_STARTS { x.starts_with(y) } else { x.ends_with(y) })
                }
            }
            op::SEM_VER => self.sem_ver(),
            op::FRACTIONAL => self.fractional(node),
            op::ITERATE_BEGIN => return self.iterate_begin(at, node),
            op::ITERATE_NEXT => return self.iterate_next(node),
            op::DECIDE_TEXT => return self.decide_text(node),
            _ => {
                self.stop(error_code::GENERAL);
                return DONE;
            }
        };
        self.push(value);
        node.yes()
    }

    #[inline(never)]
    pub(crate) fn branch(&mut self, node: Node<'_>, holds: bool) -> u32 {
        self.outcome = if holds { outcome::YES } else { outcome::NO };
        if holds {
            node.yes()
        } else {
            node.no()
        }
    }

    #[inline(never)]
    fn general_failure(&mut self) -> u32 {
        self.fail(error_code::GENERAL, decision_layout::NONE as u32);
        DONE
    }

    fn decide_text(&mut self, node: Node<'_>) -> u32 {
        let value = self.pop();
        let printed;
        let name: &[u8] = match value.kind() {
            kind::TEXT => self.text(value),
            kind::BOOL if value.bits != 0 => b"true",
            kind::BOOL => b"false",
            kind::INT => {
                printed = decimal::int(value.as_int());
                printed.as_bytes()
            }
            kind::FLOAT => {
                printed = decimal::repr(value.as_float());
                printed.as_bytes()
            }
            kind::LIST | kind::OBJECT => return self.no_such_name(node),
            _ => return self.branch(node, false),
        };
        let found = (0..node.b()).find(|index| {
            let constant = self.constant(node.a().wrapping_add(*index));
            self.fixed_text(constant) == name
        });
        self.spend(node.b() as usize);
        match found {
            Some(variant) => {
                self.decision =
                    pack(variant, decision_layout::NONE as u32, node.flags(), error_code::NONE, self.bucket);
                DONE
            }
            None => self.no_such_name(node),
        }
    }

    fn no_such_name(&mut self, node: Node<'_>) -> u32 {
        self.outcome = outcome::UNKNOWN;
        node.unknown()
    }

    fn path(&mut self, node: Node<'_>) -> Value {
        let mut current = self.pop();
        for index in 0..node.b() {
            self.spend(1);
            let part = self.constant(node.a().wrapping_add(index));
            match self.follow(current, part) {
                Some((found, true)) => current = found,
                Some((found, false)) => return found,
                None => return Value::NULL,
            }
        }
        current
    }

    fn compare(&mut self, node: Node<'_>) -> Value {
        let z = if node.a() == 3 { self.pop() } else { Value::NULL };
        let y = self.pop();
        let x = self.pop();
        let mut holds = satisfies(self.order(x, y), node.flags());
        if holds && !z.is_null() {
            holds = satisfies(self.order(y, z), node.flags());
        }
        Value::bool(holds)
    }

    fn fold(&mut self, node: Node<'_>) -> Value {
        let first = self.below(node.a());
        let mut result = match node.op() {
            op::ADD => Value::int(0),
            op::MULTIPLY => Value::int(1),
            _ => Value::float(f64::NAN),
        };
        for at in first..self.height {
            self.spend(1);
            let value = self.numeric(self.peek(at));
            let (so_far, number) = (result.scalar_number(), value.scalar_number());
            let better = |wanted: Ordering| at == first || number.compare(so_far) == Some(wanted);
            result = match node.op() {
                op::ADD => Value::number(arithmetic::add(so_far, number)),
                op::MULTIPLY => Value::number(arithmetic::multiply(so_far, number)),
                op::MINIMUM if better(Ordering::Less) => value,
                op::MAXIMUM if better(Ordering::Greater) => value,
                _ => result,
            };
        }
        self.height = first;
        result
    }

    fn subtract(&mut self, node: Node<'_>) -> Value {
        let y = if node.a() == 2 { self.pop() } else { Value::NULL };
        let x = self.pop();
        let x = self.number(x);
        if y.is_null() {
            return Value::number(arithmetic::negate(x));
        }
        let y = self.number(y);
        Value::number(arithmetic::subtract(x, y))
    }
}
