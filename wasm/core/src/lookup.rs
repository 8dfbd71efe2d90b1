//! Look-up of a key in a value: members of objects, items of lists, characters of texts (schema/README.md 5.7).

use crate::abi::kind;
use crate::machine::Machine;
use crate::text;
use crate::value::{Number, Value};

impl<'a> Machine<'a> {
    /// What `key` finds in `base`, or Null (schema/README.md 5.7).
    pub(crate) fn look_up(&mut self, base: Value, key: Value) -> Value {
        if key.is_blank() {
            return base;
        }
        if key.is_numeric() {
            return match key.scalar_number() {
                Number::Int(index) if index >= 0 => self.item(base, index as u64),
                Number::Float(index) if index >= 0.0 && (index as u64) as f64 == index => self.item(base, index as u64),
                _ => Value::NULL,
            };
        }
        let key = self.text_of(key);
        let mut current = base;
        let mut from = 0_usize;
        loop {
            self.spend((key.len() as usize).wrapping_sub(from) / 64 + 1);
            let rest = self.text(key).get(from..).unwrap_or(&[]);
            let dot = rest.iter().position(|byte| *byte == b'.');
            let len = dot.unwrap_or(rest.len());
            let part = Value::reference(kind::TEXT, key.space(), key.at().wrapping_add(from), len);
            match self.follow(current, part) {
                _ if self.is_over() => return Value::NULL,
                Some((found, true)) => current = found,
                Some((found, false)) => return found,
                None => return Value::NULL,
            }
            match dot {
                None => return current,
                Some(dot) => from = from.wrapping_add(dot).wrapping_add(1),
            }
        }
    }

    /// One part of a key. The flag says whether further parts are read.
    pub(crate) fn follow(&mut self, base: Value, part: Value) -> Option<(Value, bool)> {
        match base.kind() {
            kind::LIST | kind::TEXT if self.text(part) == b"length" => {
                let length = if base.kind() == kind::LIST {
                    base.len() as usize
                } else {
                    self.spend(base.len() as usize / 64);
                    text::count(self.text(base))
                };
                Some((Value::int(length as i64), false))
            }
            kind::LIST | kind::TEXT => {
                text::index(self.text(part)).map(|index| self.item(base, index as u64)).map(|item| (item, true))
            }
            kind::OBJECT => Some((self.find_member(base, part).unwrap_or(Value::NULL), true)),
            _ => None,
        }
    }

    /// Member or character number `index`, or Null.
    fn item(&mut self, base: Value, index: u64) -> Value {
        match base.kind() {
            kind::LIST if index < u64::from(base.len()) => self.member(base, index as u32),
            kind::TEXT if index < u64::from(base.len()) => {
                self.spend(base.len() as usize / 64);
                let bytes = self.text(base);
                let start = text::offset(bytes, index as usize);
                let end = text::offset(bytes, (index as usize).wrapping_add(1));
                if start == end {
                    return Value::NULL;
                }
                Value::reference(kind::TEXT, base.space(), base.at().wrapping_add(start), end.wrapping_sub(start))
            }
            _ => Value::NULL,
        }
    }
}
