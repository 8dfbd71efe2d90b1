//! The operations of the value stack that make texts and lists: joined, cut, collected, missing keys, versions.

use crate::abi::{error_code, kind, space, value_at};
use crate::machine::Machine;
use crate::value::{Number, Value};
use crate::version::SemVer;
use crate::{arithmetic, decimal, text};
use core::cmp::Ordering;

impl<'a> Machine<'a> {
    pub(crate) fn concat(&mut self, count: u32) -> Value {
        let first = self.below(count);
        let start = self.reserve(0);
        for at in first..self.height {
            self.spend(1);
            self.append_text_of(self.peek(at));
        }
        self.height = first;
        Value::reference(kind::TEXT, space::ARENA, start, self.arena_used.wrapping_sub(start))
    }

    /// None if index or length is infinite.
    pub(crate) fn substring(&mut self) -> Option<Value> {
        let length = self.pop();
        let index = self.pop();
        let whole = self.pop();
        let whole = self.text_of(whole);
        self.spend(whole.len() as usize / 64);
        let size = text::count(self.text(whole)) as i64;
        let index = self.number(index);
        let start = if index.compare(Number::Int(0)) == Some(Ordering::Less) {
            // Compared before it is cut: -2.5 of two characters is out of reach, -1.5 is not.
            let back = arithmetic::negate(index);
            match (back.compare(Number::Int(size)), arithmetic::truncate(back)) {
                (Some(Ordering::Less), Some(back)) => size.wrapping_sub(back),
                _ => 0,
            }
        } else {
            match arithmetic::truncate(index) {
                None => return None,
                Some(whole_index) => whole_index.min(size),
            }
        };
        let end = if length.is_null() {
            size
        } else {
            let length = self.number(length);
            match (length.compare(length), arithmetic::truncate(length)) {
                (None, _) => start,
                (_, None) => return None,
                (_, Some(length)) if length < 0 => size.saturating_add(length).max(start),
                (_, Some(length)) => start.saturating_add(length).min(size),
            }
        };
        let bytes = self.text(whole);
        let (from, to) = (text::offset(bytes, start as usize), text::offset(bytes, end as usize));
        let at = whole.at().wrapping_add(from);
        Some(Value::reference(kind::TEXT, whole.space(), at, to.wrapping_sub(from)))
    }

    pub(crate) fn make_list(&mut self, count: u32) -> Value {
        let first = self.below(count);
        // What lies there, not what was asked for: on a stack that is too low the evaluation is stopped.
        let count = self.height.wrapping_sub(first);
        self.spend(count);
        let at = self.reserve_list(count);
        for index in 0..count {
            let value = self.peek(first.wrapping_add(index));
            self.store(at.wrapping_add(index.wrapping_mul(value_at::SIZE)), value);
        }
        self.height = first;
        Value::reference(kind::LIST, space::ARENA, at, count)
    }

    pub(crate) fn merge(&mut self, count: u32) -> Value {
        let first = self.below(count);
        let values = first..self.height;
        let length = |value: Value| if value.kind() == kind::LIST { value.len() as usize } else { 1 };
        let total = values.clone().fold(0_usize, |sum, at| sum.saturating_add(length(self.peek(at))));
        self.spend(total);
        let start = self.reserve_list(total);
        let mut at = start;
        for value in values {
            let value = self.peek(value);
            for index in 0..length(value) {
                let member = if value.kind() == kind::LIST { self.member(value, index as u32) } else { value };
                self.store(at, member);
                at = at.wrapping_add(value_at::SIZE);
            }
        }
        self.height = first;
        Value::reference(kind::LIST, space::ARENA, start, total)
    }

    pub(crate) fn collect(&mut self) -> Value {
        let below = self.work.stack.get(..self.height).unwrap_or(&[]);
        let mark = match below.iter().rposition(|value| value.kind() == kind::MISSING) {
            Some(mark) => mark,
            None => {
                self.stop(error_code::LIMIT_EXCEEDED);
                return Value::NULL;
            }
        };
        let list = self.make_list(self.height.wrapping_sub(mark).wrapping_sub(1) as u32);
        self.height = mark;
        list
    }

    pub(crate) fn missing(&mut self) -> Value {
        let mut keys = self.pop();
        let base = self.pop();
        if keys.kind() != kind::LIST {
            self.stop(error_code::GENERAL);
            return Value::NULL;
        }
        if keys.len() > 0 {
            let first = self.member(keys, 0);
            if first.kind() == kind::LIST {
                keys = first;
            }
        }
        let at = self.reserve_list(keys.len() as usize);
        let mut count = 0_usize;
        for index in 0..keys.len() {
            self.spend(1);
            let key = self.member(keys, index);
            if self.is_over() {
                break;
            }
            if self.look_up(base, key).is_blank() {
                self.store(at.wrapping_add(count.wrapping_mul(value_at::SIZE)), key);
                count = count.wrapping_add(1);
            }
        }
        Value::reference(kind::LIST, space::ARENA, at, count)
    }

    pub(crate) fn missing_some(&mut self) -> Value {
        let need = self.pop();
        let total = self.pop();
        let missing = self.pop();
        if missing.kind() != kind::LIST || total.kind() != kind::INT {
            self.stop(error_code::GENERAL);
            return Value::NULL;
        }
        let need = self.number(need);
        let found = Number::Int(total.as_int().wrapping_sub(i64::from(missing.len())));
        match found.compare(need) {
            Some(Ordering::Less) | None => missing,
            Some(_) => self.make_list(0),
        }
    }

    pub(crate) fn sem_ver(&mut self) -> Value {
        let y = self.pop();
        let wanted = self.pop();
        let x = self.pop();
        // Reading two versions costs about as much as eight plain nodes.
        self.spend((x.len().saturating_add(y.len()) as usize / 64).wrapping_add(8));
        let print = |value: Value| match value.kind() {
            kind::INT => decimal::int(value.as_int()),
            _ => decimal::repr(value.as_float()),
        };
        let (printed_x, printed_y) = (print(x), print(y));
        let versionless = |value: Value| !matches!(value.kind(), kind::TEXT | kind::INT | kind::FLOAT);
        if wanted.kind() != kind::TEXT || versionless(x) || versionless(y) {
            return Value::NULL;
        }
        let x_text = if x.kind() == kind::TEXT { self.text(x) } else { printed_x.as_bytes() };
        let y_text = if y.kind() == kind::TEXT { self.text(y) } else { printed_y.as_bytes() };
        let (x, y) = match (SemVer::parse(x_text), SemVer::parse(y_text)) {
            (Some(x), Some(y)) => (x, y),
            _ => return Value::NULL,
        };
        let order = x.compare(&y, false);
        Value::bool(match self.text(wanted) {
            b"=" => order == Ordering::Equal,
            b"!=" => order != Ordering::Equal,
            b"<" => order == Ordering::Less,
            b"<=" => order != Ordering::Greater,
            b">" => order == Ordering::Greater,
            b">=" => order != Ordering::Less,
            b"^" => x.same_major(&y),
            b"~" => x.same_minor(&y),
            _ => return Value::NULL,
        })
    }

    /// The innermost loop's item, accumulator, or both as an object.
    pub(crate) fn loop_item(&mut self, what: u8) -> Value {
        let frames = self.work.frames.get(..self.depth).unwrap_or(&[]);
        let frame = match frames.iter().rev().find(|frame| frame.list.kind() == kind::LIST) {
            Some(frame) => *frame,
            None => {
                self.stop(error_code::LIMIT_EXCEEDED);
                return Value::NULL;
            }
        };
        match what {
            0 => frame.item,
            1 => frame.accumulator,
            _ => {
                let at = self.reserve(4 * value_at::SIZE);
                let (accumulator, current) = (b"accumulator", b"current");
                let start = self.arena_used;
                self.append(accumulator);
                self.append(current);
                let name = |offset: usize, len: usize| {
                    Value::reference(kind::TEXT, space::ARENA, start.wrapping_add(offset), len)
                };
                self.store(at, name(0, accumulator.len()));
                self.store(at.wrapping_add(value_at::SIZE), frame.accumulator);
                self.store(at.wrapping_add(2 * value_at::SIZE), name(accumulator.len(), current.len()));
                self.store(at.wrapping_add(3 * value_at::SIZE), frame.item);
                Value::reference(kind::OBJECT, space::ARENA, at, 2)
            }
        }
    }
}
