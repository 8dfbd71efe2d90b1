//! flagd's fractional over values that are only known while evaluating, and canonical CBOR of any value.

use crate::abi::{kind, limits_layout};
use crate::cbor;
use crate::config::Node;
use crate::hash::{murmur3, Murmur3};
use crate::machine::{Machine, BUCKETED};
use crate::value::Value;
use core::cmp::Ordering;

const MAX_TOTAL: i64 = 2_147_483_647;
const DEPTH: usize = limits_layout::VALUE_DEPTH;

impl<'a> Machine<'a> {
    /// schema/README.md section 5.9.
    pub(crate) fn fractional(&mut self, node: Node<'_>) -> Value {
        let first = self.below(node.a());
        let end = self.height;
        self.height = first;
        if node.a() == 0 {
            return Value::NULL;
        }
        let key = self.peek(first);
        let (hash, entries) = match node.flags() {
            0 if key.kind() == kind::LIST => (self.hash_of_targeting_key(node, true), first),
            0 if key.is_null() => (None, first),
            0 => (Some(self.hash_of(key)), first.wrapping_add(1)),
            _ if key.kind() == kind::TEXT => {
                self.spend(key.len() as usize / 64);
                let hash = murmur3(self.text(key), 0);
                (Some(hash).filter(|_| key.len() > 0), first.wrapping_add(1))
            }
            _ => (self.hash_of_targeting_key(node, false), first),
        };
        let hash = match hash {
            Some(hash) => hash,
            None => return Value::NULL,
        };
        self.bucket = BUCKETED | u64::from(hash);
        let mut total = 0_i64;
        for at in entries..end {
            self.spend(1);
            match self.weight(self.peek(at)) {
                Some(weight) => total = total.saturating_add(weight),
                None => return Value::NULL,
            }
        }
        if total == 0 || total > MAX_TOTAL {
            return Value::NULL;
        }
        let bucket = (i64::from(hash).wrapping_mul(total)) as u64 >> 32;
        let mut upper = 0_u64;
        for at in entries..end {
            let entry = self.peek(at);
            upper = upper.wrapping_add(self.weight(entry).unwrap_or(0) as u64);
            if bucket < upper {
                return self.member(entry, 0);
            }
        }
        Value::NULL
    }

    /// The weight of an entry; None if it is none.
    fn weight(&self, entry: Value) -> Option<i64> {
        if entry.kind() != kind::LIST {
            return None;
        }
        match entry.len() {
            1 => Some(1),
            2 => {
                let weight = self.member(entry, 1);
                match weight.kind() {
                    kind::INT => Some(weight.as_int().max(0)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The hash of flag key and targeting key, as CBOR or joined as text.
    fn hash_of_targeting_key(&mut self, node: Node<'_>, as_cbor: bool) -> Option<u32> {
        let targeting_key = self.slot(node.slot());
        if targeting_key.kind() != kind::TEXT || targeting_key.len() == 0 {
            return None;
        }
        let mut hash = Murmur3::new(0);
        if as_cbor {
            hash.update(cbor::head(cbor::major::LIST, 2).as_bytes());
        }
        for part in [self.constant(node.b()), targeting_key] {
            self.spend(part.len() as usize / 64);
            if as_cbor {
                hash.update(cbor::head(cbor::major::TEXT, u64::from(part.len())).as_bytes());
            }
            hash.update(self.fixed_text(part));
        }
        Some(hash.finish())
    }

    /// murmur3 of the canonical CBOR of a value.
    fn hash_of(&mut self, value: Value) -> u32 {
        let mut hash = Murmur3::new(0);
        // A list or object under way: itself, members done, and the object's pair that came last.
        let mut pending = [(Value::NULL, 0_u32, 0_u32); DEPTH];
        let mut depth = 0_usize;
        let mut current = Some(value);
        loop {
            if let Some(value) = current.take() {
                self.absorb_item(&mut hash, value);
                if matches!(value.kind(), kind::LIST | kind::OBJECT) {
                    match pending.get_mut(depth) {
                        Some(room) if !self.is_over() => *room = (value, 0, u32::MAX),
                        _ => {
                            self.too_deep();
                            return 0;
                        }
                    }
                    depth = depth.wrapping_add(1);
                }
            }
            let (value, done, last) = match depth.checked_sub(1).and_then(|top| pending.get(top)) {
                None => return hash.finish(),
                Some(top) => *top,
            };
            if done == value.len() {
                depth = depth.wrapping_sub(1);
                continue;
            }
            self.spend(1);
            if self.is_over() {
                return 0;
            }
            let mut chosen = done;
            if value.kind() == kind::LIST {
                current = Some(self.member(value, done));
            } else {
                chosen = self.next_key(value, last);
                let (key, member) = self.pair(value, chosen);
                self.absorb_item(&mut hash, key);
                current = Some(member);
            }
            if let Some(top) = pending.get_mut(depth.wrapping_sub(1)) {
                *top = (value, done.wrapping_add(1), chosen);
            }
        }
    }

    /// A whole scalar, or the head of a list or object.
    fn absorb_item(&mut self, hash: &mut Murmur3, value: Value) {
        match value.kind() {
            kind::TEXT => {
                self.spend(value.len() as usize / 64);
                hash.update(cbor::head(cbor::major::TEXT, u64::from(value.len())).as_bytes());
                hash.update(self.text(value));
            }
            kind::INT => hash.update(cbor::int(value.as_int()).as_bytes()),
            kind::FLOAT => hash.update(cbor::float(value.as_float()).as_bytes()),
            kind::BOOL => hash.update(cbor::simple(if value.bits != 0 { cbor::TRUE } else { cbor::FALSE }).as_bytes()),
            kind::LIST => hash.update(cbor::head(cbor::major::LIST, u64::from(value.len())).as_bytes()),
            kind::OBJECT => hash.update(cbor::head(cbor::major::OBJECT, u64::from(value.len())).as_bytes()),
            _ => hash.update(cbor::simple(cbor::NULL).as_bytes()),
        }
    }

    /// The pair whose key follows that of pair `last` in canonical order: shorter keys first, then by bytes.
    fn next_key(&mut self, object: Value, last: u32) -> u32 {
        let mut best = u32::MAX;
        for index in 0..object.len() {
            let after_last = last == u32::MAX || self.key_order(object, index, last) == Ordering::Greater;
            if after_last && (best == u32::MAX || self.key_order(object, index, best) == Ordering::Less) {
                best = index;
            }
        }
        best
    }

    #[inline(never)]
    fn key_order(&mut self, object: Value, a: u32, b: u32) -> Ordering {
        let (x, y) = (self.pair(object, a).0, self.pair(object, b).0);
        self.spend(1);
        x.len().cmp(&y.len()).then_with(|| {
            self.spend(x.len() as usize / 64);
            self.text(x).cmp(self.text(y)).then(a.cmp(&b))
        })
    }
}
