//! The predicates that compare one slot with a run of constants.

use crate::abi::{kind, op, version_dialect};
use crate::config::Node;
use crate::machine::Machine;
use crate::value::satisfies;
use crate::version::{numeric_matches, SemVer};
use crate::{decimal, network, text, time};

impl<'a> Machine<'a> {
    #[inline(never)]
    pub(crate) fn text_in(&mut self, node: Node<'_>) -> Option<bool> {
        let value = self.slot(node.slot());
        if value.kind() != kind::TEXT {
            return None;
        }
        let wanted = self.fixed_text(value);
        if node.flags() & 1 != 0 {
            return Some(self.text_in_sorted(node, wanted));
        }
        self.spend(node.b() as usize);
        let mut index = node.a();
        let end = node.a().wrapping_add(node.b());
        while index != end {
            let constant = self.constant(index);
            // The length decides most often, so it is looked at before the bytes are.
            if constant.len() == value.len() && text::same(self.fixed_text(constant), wanted) {
                return Some(true);
            }
            index = index.wrapping_add(1);
        }
        Some(false)
    }

    #[inline(never)]
    fn text_in_sorted(&mut self, node: Node<'_>, wanted: &[u8]) -> bool {
        let (mut low, mut high) = (node.a(), node.a().wrapping_add(node.b()));
        while low < high {
            self.spend(wanted.len() / 64 + 1);
            let middle = low.wrapping_add(high.wrapping_sub(low) / 2);
            match self.fixed_text(self.constant(middle)).cmp(wanted) {
                core::cmp::Ordering::Equal => return true,
                core::cmp::Ordering::Less => low = middle.wrapping_add(1),
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    #[inline(never)]
    pub(crate) fn text_affix(&mut self, node: Node<'_>) -> Option<bool> {
        let value = self.slot(node.slot());
        if value.kind() != kind::TEXT {
            return None;
        }
        let whole = self.fixed_text(value);
        let mut index = node.a();
        let end = node.a().wrapping_add(node.b());
        while index != end && !self.is_over() {
            let part = self.fixed_text(self.constant(index));
            self.spend(part.len() / 256 + 1);
            let holds = match node.op() {
                op::TEXT_PREFIX => text::starts(whole, part),
                op::TEXT_SUFFIX => text::ends(whole, part),
                _ => text::find(whole, part, &mut self.steps),
            };
            if holds {
                return Some(true);
            }
            index = index.wrapping_add(1);
        }
        Some(false)
    }

    #[inline(never)]
    pub(crate) fn number_compare(&mut self, node: Node<'_>) -> Option<bool> {
        let value = self.slot(node.slot());
        let number = match value.kind() {
            kind::INT => value.as_int() as f64,
            kind::FLOAT => value.as_float(),
            _ => return None,
        };
        self.spend(node.b() as usize);
        let mut index = node.a();
        let end = node.a().wrapping_add(node.b());
        while index != end {
            let other = self.constant(index).scalar_number().to_float();
            if satisfies(number.partial_cmp(&other), node.flags()) {
                return Some(true);
            }
            index = index.wrapping_add(1);
        }
        Some(false)
    }

    #[inline(never)]
    pub(crate) fn version(&mut self, node: Node<'_>) -> Option<bool> {
        let (dialect, count) = (node.flags() >> 4, node.b() & 0xFFFF);
        let value = self.slot(node.slot());
        // Each constant is read beside the attribute, which the numeric dialects read anew each time.
        let each = if value.kind() == kind::TEXT { value.len() as usize / 32 } else { 0 } + 4;
        self.spend((count as usize).saturating_mul(each));
        for index in node.a()..node.a().wrapping_add(count) {
            self.spend(self.constant(index).len() as usize / 32);
        }
        if self.is_over() {
            return None;
        }
        let printed;
        let version = match value.kind() {
            kind::TEXT => self.fixed_text(value),
            kind::INT if dialect == version_dialect::SEM_VER => {
                printed = decimal::int(value.as_int());
                printed.as_bytes()
            }
            kind::FLOAT if dialect == version_dialect::SEM_VER => {
                printed = decimal::repr(value.as_float());
                printed.as_bytes()
            }
            _ => return None,
        };
        let this = &*self;
        let mut constants = (node.a()..node.a().wrapping_add(count)).map(|index| this.fixed_text(this.constant(index)));
        let strict = dialect >= version_dialect::STRICT_SEM_VER;
        if dialect != version_dialect::SEM_VER && !strict {
            if version.is_empty() {
                return None;
            }
            return Some(numeric_matches(dialect, version, constants, node.flags() & 7));
        }
        let version = SemVer::read(version, strict)?;
        Some(constants.any(|text| match SemVer::read(text, strict) {
            None => false,
            Some(other) => match node.b() >> 16 {
                1 => version.same_major(&other),
                2 => version.same_minor(&other),
                _ => {
                    let builds = dialect == version_dialect::STRICT_SEM_VER_BUILD;
                    satisfies(Some(version.compare(&other, builds)), node.flags() & 7)
                }
            },
        }))
    }

    #[inline(never)]
    pub(crate) fn in_network(&mut self, node: Node<'_>) -> Option<bool> {
        let value = self.slot(node.slot());
        if value.kind() != kind::TEXT {
            return None;
        }
        let address = network::parse(self.fixed_text(value))?;
        let networks = self.fixed_text(self.constant(node.a()));
        self.spend(networks.len() / 4);
        Some(network::contains(networks, &address))
    }

    #[inline(never)]
    pub(crate) fn time_compare(&mut self, node: Node<'_>) -> Option<bool> {
        let value = self.slot(node.slot());
        if value.kind() != kind::TEXT {
            return None;
        }
        let instant = time::parse(self.fixed_text(value))?;
        let (seconds, nanos) = (self.constant(node.a()).as_int(), self.constant(node.a().wrapping_add(1)).as_int());
        Some(satisfies(Some(instant.0.cmp(&seconds).then(instant.1.cmp(&nanos))), node.flags()))
    }

    #[inline(never)]
    pub(crate) fn in_const(&mut self, node: Node<'_>) -> bool {
        let value = self.slot(node.slot());
        let mut index = node.a();
        let end = node.a().wrapping_add(node.b());
        while index != end && !self.is_over() {
            self.spend(1);
            let constant = self.constant(index);
            if self.equal(value, constant, true) {
                return true;
            }
            index = index.wrapping_add(1);
        }
        false
    }
}
