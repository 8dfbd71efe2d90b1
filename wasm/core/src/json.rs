//! JSON semantics that follow references: members, numbers and texts of values, equality, order, look-up.
//!
//! schema/README.md section 5 defines each of them. Nothing recurses: nesting is walked with small explicit stacks,
//! and what is deeper than `value_depth` is a LimitExceeded.

use crate::abi::{error_code, kind, limits_layout, space, value_at};
use crate::machine::Machine;
use crate::read::{put, slice};
use crate::value::{Number, Value};
use crate::{decimal, text};
use core::cmp::Ordering;

const DEPTH: usize = limits_layout::VALUE_DEPTH;

impl<'a> Machine<'a> {
    #[inline(never)]
    pub(crate) fn heap(&self, of: u8) -> &[u8] {
        match of {
            space::CONFIG => self.config.heap,
            space::ARENA => self.work.arena.get(..self.arena_used).unwrap_or(&[]),
            _ => self.request.heap,
        }
    }

    /// The bytes of a text, wherever it lies.
    #[inline(never)]
    pub(crate) fn text(&self, value: Value) -> &[u8] {
        slice(self.heap(value.space()), value.at(), value.len() as usize)
    }

    /// The Value at byte `at` of the heap that `parent` lies in. Null if it is not there.
    #[inline(never)]
    fn stored(&self, parent: Value, at: usize) -> Value {
        let mut value = Value::read(self.heap(parent.space()), at);
        if parent.space() != space::ARENA {
            value = value.in_space(parent.space());
        }
        if value.kind() == kind::MISSING || !value.fits(self.heap(value.space()).len()) {
            return Value::NULL;
        }
        value
    }

    /// Member number `index` of a list.
    #[inline(never)]
    pub(crate) fn member(&self, list: Value, index: u32) -> Value {
        self.stored(list, list.at().wrapping_add((index as usize).wrapping_mul(value_at::SIZE)))
    }

    /// Key and member number `index` of an object.
    #[inline(never)]
    pub(crate) fn pair(&self, object: Value, index: u32) -> (Value, Value) {
        let at = object.at().wrapping_add((index as usize).wrapping_mul(2 * value_at::SIZE));
        (self.stored(object, at), self.stored(object, at.wrapping_add(value_at::SIZE)))
    }

    /// Room in the arena; the offset of its first byte, a multiple of 8.
    #[inline(never)]
    pub(crate) fn reserve(&mut self, size: usize) -> usize {
        let at = self.arena_used.wrapping_add(7) & !7;
        match at.checked_add(size) {
            Some(end) if end <= limits_layout::ARENA => self.arena_used = end,
            _ => self.stop(error_code::LIMIT_EXCEEDED),
        }
        at
    }

    /// Room for a list of `count` Values. An empty one has its own place too, so that it is no other list.
    pub(crate) fn reserve_list(&mut self, count: usize) -> usize {
        self.reserve(count.max(1).saturating_mul(value_at::SIZE))
    }

    /// Writes a Value into room that was reserved.
    #[inline(never)]
    pub(crate) fn store(&mut self, at: usize, value: Value) {
        put(&mut self.work.arena, at, &value.to_bytes());
    }

    /// Appends bytes to the text that ends the arena.
    #[inline(never)]
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        if put(&mut self.work.arena, self.arena_used, bytes) {
            self.arena_used = self.arena_used.wrapping_add(bytes.len());
        } else {
            self.stop(error_code::LIMIT_EXCEEDED);
        }
    }

    /// Appends the bytes of a text to the text that ends the arena.
    #[inline(never)]
    pub(crate) fn append_text(&mut self, value: Value) {
        self.spend(value.len() as usize / 256);
        if value.space() != space::ARENA {
            return self.append(self.fixed_text(value));
        }
        // The text lies below what is appended, so the two halves of the arena do not overlap.
        let (from, len) = (value.at(), value.len() as usize);
        let (below, above) = self.work.arena.split_at_mut(self.arena_used.min(limits_layout::ARENA));
        if put(above, 0, slice(below, from, len)) && value.fits(below.len()) {
            self.arena_used = self.arena_used.wrapping_add(len);
        } else {
            self.stop(error_code::LIMIT_EXCEEDED);
        }
    }

    /// The number of a value.
    #[inline(never)]
    pub(crate) fn number(&mut self, value: Value) -> Number {
        self.numeric(value).scalar_number()
    }

    /// The number of a value as a Value; a Bool stays one. Text is read as Python's float() reads it.
    pub(crate) fn numeric(&mut self, value: Value) -> Value {
        let mut value = value;
        for _ in 0..=DEPTH {
            return match value.kind() {
                kind::BOOL | kind::INT | kind::FLOAT => value,
                kind::TEXT => {
                    self.spend(value.len() as usize / 64);
                    Value::float(decimal::parse_float(self.text(value)).unwrap_or(f64::NAN))
                }
                kind::LIST if value.len() == 1 => {
                    value = self.member(value, 0);
                    continue;
                }
                kind::LIST if value.len() > 1 => Value::float(f64::NAN),
                kind::OBJECT => Value::float(f64::NAN),
                _ => Value::int(0),
            };
        }
        self.stop(error_code::LIMIT_EXCEEDED);
        Value::int(0)
    }

    /// The text of a value, as a Text.
    #[inline(never)]
    pub(crate) fn text_of(&mut self, value: Value) -> Value {
        if value.kind() == kind::TEXT {
            return value;
        }
        let start = self.reserve(0);
        self.append_text_of(value);
        Value::reference(kind::TEXT, space::ARENA, start, self.arena_used.wrapping_sub(start))
    }

    /// Appends the text of a value to the text that ends the arena.
    pub(crate) fn append_text_of(&mut self, value: Value) {
        let mut pending = [(Value::NULL, 0_u32); DEPTH];
        let mut depth = 0_usize;
        let mut current = Some(value);
        loop {
            if let Some(value) = current.take() {
                if value.kind() == kind::LIST {
                    match pending.get_mut(depth) {
                        Some(room) if !self.is_over() => *room = (value, 0),
                        _ => return self.too_deep(),
                    }
                    depth = depth.wrapping_add(1);
                } else {
                    self.append_scalar(value);
                }
            }
            let (list, next) = match depth.checked_sub(1).and_then(|top| pending.get_mut(top)) {
                None => return,
                Some(top) => top,
            };
            if *next == list.len() {
                depth = depth.wrapping_sub(1);
                continue;
            }
            let (list, index) = (*list, *next);
            *next = index.wrapping_add(1);
            self.spend(1);
            if index > 0 {
                self.append(b",");
            }
            current = Some(self.member(list, index));
        }
    }

    fn append_scalar(&mut self, value: Value) {
        match value.kind() {
            kind::TEXT => self.append_text(value),
            kind::INT => self.append(decimal::int(value.as_int()).as_bytes()),
            kind::FLOAT => self.append(decimal::general15(value.as_float()).as_bytes()),
            kind::BOOL => self.append(if value.bits != 0 { b"True" } else { b"False" }),
            kind::OBJECT => self.append(b"[object Object]"),
            _ => self.append(b"null"),
        }
    }

    /// A value nests deeper than `value_depth`, or the budget ended on the way down.
    pub(crate) fn too_deep(&mut self) {
        if !self.is_over() {
            self.stop(error_code::LIMIT_EXCEEDED);
        }
    }

    /// Strictly or loosely equal.
    #[inline(never)]
    pub(crate) fn equal(&mut self, a: Value, b: Value, strictly: bool) -> bool {
        if a.kind() == kind::TEXT && b.kind() == kind::TEXT {
            self.spend(a.len() as usize / 64);
            return a.len() == b.len() && self.text(a) == self.text(b);
        }
        let (a, b) = (not_missing(a), not_missing(b));
        if strictly {
            return self.equal_deep(a, b);
        }
        if a.is_numeric() || b.is_numeric() {
            let (x, y) = (self.number(a), self.number(b));
            return x.compare(y) == Some(Ordering::Equal);
        }
        if a.kind() == b.kind() {
            // Two lists or objects are equal only if they are one; of the other kinds only null is left.
            return a.is_null() || a == b;
        }
        match (a.kind(), b.kind()) {
            (kind::TEXT, kind::LIST | kind::OBJECT) | (kind::LIST | kind::OBJECT, kind::TEXT) => {
                let (x, y) = (self.text_of(a), self.text_of(b));
                self.text(x) == self.text(y)
            }
            _ => false,
        }
    }

    /// Python's ==, member by member.
    fn equal_deep(&mut self, a: Value, b: Value) -> bool {
        let mut pending = [(Value::NULL, Value::NULL, 0_u32); DEPTH];
        let mut depth = 0_usize;
        let mut current = Some((a, b));
        loop {
            if let Some((a, b)) = current.take() {
                match self.equal_flat(a, b) {
                    Some(true) => {}
                    Some(false) => return false,
                    None => {
                        match pending.get_mut(depth) {
                            Some(room) if !self.is_over() => *room = (a, b, 0),
                            _ => {
                                self.too_deep();
                                return false;
                            }
                        }
                        depth = depth.wrapping_add(1);
                    }
                }
            }
            let (a, b, next) = match depth.checked_sub(1).and_then(|top| pending.get_mut(top)) {
                None => return true,
                Some(top) => top,
            };
            if *next == a.len() {
                depth = depth.wrapping_sub(1);
                continue;
            }
            let (a, b, index) = (*a, *b, *next);
            *next = index.wrapping_add(1);
            self.spend(1);
            current = if a.kind() == kind::LIST {
                Some((self.member(a, index), self.member(b, index)))
            } else {
                let (key, member) = self.pair(a, index);
                match self.find_member(b, key) {
                    Some(other) => Some((member, other)),
                    None => return false,
                }
            };
        }
    }

    /// Equality without members; None if it depends on them.
    fn equal_flat(&mut self, a: Value, b: Value) -> Option<bool> {
        if a.is_numeric() && b.is_numeric() {
            let equal = a.scalar_number().compare(b.scalar_number()) == Some(Ordering::Equal);
            return Some(equal);
        }
        if a.kind() != b.kind() {
            return Some(false);
        }
        match a.kind() {
            kind::TEXT => {
                self.spend(a.len() as usize / 64);
                Some(a.len() == b.len() && self.text(a) == self.text(b))
            }
            kind::LIST | kind::OBJECT if a.len() != b.len() => Some(false),
            kind::LIST | kind::OBJECT if a.len() == 0 => Some(true),
            kind::LIST | kind::OBJECT => None,
            _ => Some(true),
        }
    }

    /// The member of an object with this key; the last, if there are several.
    pub(crate) fn find_member(&mut self, object: Value, key: Value) -> Option<Value> {
        self.spend((object.len() as usize).saturating_mul(key.len() as usize / 64 + 1));
        let mut index = object.len();
        while index > 0 {
            index = index.wrapping_sub(1);
            let (name, member) = self.pair(object, index);
            if name.kind() == kind::TEXT && name.len() == key.len() && self.text(name) == self.text(key) {
                return Some(member);
            }
        }
        None
    }

    /// The order of two values; None if they have none.
    #[inline(never)]
    pub(crate) fn order(&mut self, a: Value, b: Value) -> Option<Ordering> {
        let numeric = a.is_numeric() || b.is_numeric();
        if numeric || (a.kind() != kind::TEXT && b.kind() != kind::TEXT) {
            let (x, y) = (self.number(a), self.number(b));
            return x.compare(y);
        }
        let (x, y) = (self.text_of(a), self.text_of(b));
        self.spend(x.len().min(y.len()) as usize / 256);
        Some(self.text(x).cmp(self.text(y)))
    }

    /// JsonLogic's `in`: a member of a list, or a part of a text.
    pub(crate) fn contains(&mut self, haystack: Value, needle: Value) -> bool {
        match haystack.kind() {
            kind::LIST => {
                for index in 0..haystack.len() {
                    self.spend(1);
                    let member = self.member(haystack, index);
                    if self.equal(needle, member, true) || self.is_over() {
                        return true;
                    }
                }
                false
            }
            kind::TEXT => {
                let needle = self.text_of(needle);
                let mut steps = self.steps;
                let found = text::find(self.text(haystack), self.text(needle), &mut steps);
                self.steps = steps;
                found
            }
            _ => false,
        }
    }
}

/// Missing reads as Null.
pub(crate) fn not_missing(value: Value) -> Value {
    match value.kind() {
        kind::MISSING => Value::NULL,
        _ => value,
    }
}
