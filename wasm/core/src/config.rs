//! The compiled configuration as typed views over its bytes.
//!
//! [`Sections`] says where its arrays lie and is computed once, when a configuration is staged; [`View`] is the arrays
//! themselves. What the arrays must hold is `verify.rs`'s business.

use crate::abi::{
    bound_at, bucket_at, config_field, flag_at, node_at, part_at, segment_at, status, value_at, FINGERPRINT,
};
use crate::read::{slice, u16_at, u32_at, u64_at};

/// Offset in bytes and number of elements of one array.
#[derive(Clone, Copy, Default)]
pub struct Section {
    /// Bytes from the start of the configuration.
    pub at: u32,
    /// Elements.
    pub count: u32,
}

/// Where the arrays of one verified configuration lie.
#[derive(Clone, Copy, Default)]
pub struct Sections {
    /// Number of slots that a request must have.
    pub slot_count: u32,
    /// Entry points.
    pub flags: Section,
    /// The decision graph.
    pub nodes: Section,
    /// Constants.
    pub values: Section,
    /// Bytes of the constants.
    pub heap: Section,
    /// Bucketing keys.
    pub buckets: Section,
    /// Parts of bucketing keys.
    pub parts: Section,
    /// Bounds of splits.
    pub bounds: Section,
    /// Percentages over time.
    pub segments: Section,
}

impl Sections {
    /// Reads the root table. The error is a `Status` and the number of the vtable field it concerns.
    pub fn parse(bytes: &[u8]) -> Result<Sections, (u8, u32)> {
        let bad_root = (status::BAD_ROOT, 0);
        let table = u32_at(bytes, 0) as usize;
        if slice(bytes, 4, 4) != b"PFCF" || table < 8 || table.wrapping_add(4) > bytes.len() || table % 4 != 0 {
            return Err(bad_root);
        }
        // A table begins with the signed distance back to its vtable.
        let vtable = table.wrapping_sub(u32_at(bytes, table) as usize);
        let vtable_size = u16_at(bytes, vtable) as usize;
        if vtable > bytes.len().wrapping_sub(4) || vtable.wrapping_add(vtable_size) > bytes.len() {
            return Err(bad_root);
        }
        let field = |slot: usize| -> usize {
            if slot.wrapping_add(2) > vtable_size {
                return 0;
            }
            match u16_at(bytes, vtable.wrapping_add(slot)) as usize {
                0 => 0,
                offset => table.wrapping_add(offset),
            }
        };
        let vector = |slot: usize, size: usize| -> Result<Section, (u8, u32)> {
            let bad = (status::BAD_SECTION, (slot as u32).wrapping_sub(4) / 2);
            let at = field(slot);
            if at == 0 || at.wrapping_add(4) > bytes.len() {
                return Err(bad);
            }
            let length_at = at.wrapping_add(u32_at(bytes, at) as usize);
            if length_at < at || length_at > bytes.len().wrapping_sub(4) {
                return Err(bad);
            }
            let count = u32_at(bytes, length_at) as usize;
            let first = length_at.wrapping_add(4);
            if count > bytes.len().wrapping_sub(first) / size {
                return Err(bad);
            }
            Ok(Section { at: first as u32, count: count as u32 })
        };
        let fingerprint = field(config_field::FINGERPRINT);
        if fingerprint == 0 || u64_at(bytes, fingerprint) != FINGERPRINT {
            return Err((status::BAD_FINGERPRINT, 0));
        }
        Ok(Sections {
            slot_count: match field(config_field::SLOT_COUNT) {
                0 => 0,
                at if at.wrapping_add(2) > bytes.len() => return Err(bad_root),
                at => u32::from(u16_at(bytes, at)),
            },
            flags: vector(config_field::FLAGS, flag_at::SIZE)?,
            nodes: vector(config_field::NODES, node_at::SIZE)?,
            values: vector(config_field::VALUES, value_at::SIZE)?,
            heap: vector(config_field::HEAP, 1)?,
            buckets: vector(config_field::BUCKETS, bucket_at::SIZE)?,
            parts: vector(config_field::PARTS, part_at::SIZE)?,
            bounds: vector(config_field::BOUNDS, bound_at::SIZE)?,
            segments: vector(config_field::SEGMENTS, segment_at::SIZE)?,
        })
    }
}

/// One step of the decision graph: its bytes, read field by field as they are needed.
#[derive(Clone, Copy)]
pub struct Node<'a>(&'a [u8; node_at::SIZE]);

impl<'a> Node<'a> {
    /// The node that begins with these bytes.
    #[inline(always)]
    pub fn read(bytes: &'a [u8]) -> Option<Node<'a>> {
        crate::read::array(bytes, 0).map(Node)
    }

    /// `Op`.
    #[inline(always)]
    pub fn op(&self) -> u8 {
        self.0[node_at::OP]
    }

    /// Meaning depends on the operation.
    #[inline(always)]
    pub fn flags(&self) -> u8 {
        self.0[node_at::FLAGS]
    }

    /// Slot number, or a count.
    #[inline(always)]
    pub fn slot(&self) -> u16 {
        u16_at(self.0, node_at::SLOT)
    }

    /// First operand.
    #[inline(always)]
    pub fn a(&self) -> u32 {
        u32_at(self.0, node_at::A)
    }

    /// Second operand.
    #[inline(always)]
    pub fn b(&self) -> u32 {
        u32_at(self.0, node_at::B)
    }

    /// Where to go on yes, or next.
    #[inline(always)]
    pub fn yes(&self) -> u32 {
        u32_at(self.0, node_at::YES)
    }

    /// Where to go on no.
    #[inline(always)]
    pub fn no(&self) -> u32 {
        u32_at(self.0, node_at::NO)
    }

    /// Where to go on unknown.
    #[inline(always)]
    pub fn unknown(&self) -> u32 {
        u32_at(self.0, node_at::UNKNOWN)
    }
}

/// The arrays of a configuration.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Number of slots that a request must have.
    pub slot_count: u32,
    /// `Flag`s.
    pub flags: &'a [u8],
    /// `Node`s.
    pub nodes: &'a [u8],
    /// Constant `Value`s.
    pub values: &'a [u8],
    /// Bytes of the constants.
    pub heap: &'a [u8],
    /// `Bucket`s.
    pub buckets: &'a [u8],
    /// `Part`s.
    pub parts: &'a [u8],
    /// `Bound`s.
    pub bounds: &'a [u8],
    /// `Segment`s.
    pub segments: &'a [u8],
}

impl<'a> View<'a> {
    /// A configuration without anything, for a static.
    pub const EMPTY: View<'static> = View {
        slot_count: 0,
        flags: &[],
        nodes: &[],
        values: &[],
        heap: &[],
        buckets: &[],
        parts: &[],
        bounds: &[],
        segments: &[],
    };

    /// The arrays of the configuration in `bytes`, which `sections` was parsed from.
    pub fn new(bytes: &'a [u8], sections: &Sections) -> View<'a> {
        let part = |s: Section, size: usize| slice(bytes, s.at as usize, (s.count as usize).wrapping_mul(size));
        View {
            slot_count: sections.slot_count,
            flags: part(sections.flags, flag_at::SIZE),
            nodes: part(sections.nodes, node_at::SIZE),
            values: part(sections.values, value_at::SIZE),
            heap: part(sections.heap, 1),
            buckets: part(sections.buckets, bucket_at::SIZE),
            parts: part(sections.parts, part_at::SIZE),
            bounds: part(sections.bounds, bound_at::SIZE),
            segments: part(sections.segments, segment_at::SIZE),
        }
    }

    /// Node number `index`.
    #[inline(always)]
    pub fn node(&self, index: u32) -> Option<Node<'a>> {
        crate::read::array(self.nodes, (index as usize).wrapping_mul(node_at::SIZE)).map(Node)
    }

    /// The entry node of flag `index`.
    #[inline(always)]
    pub fn entry(&self, index: u32) -> Option<u32> {
        let at = (index as usize).checked_mul(flag_at::SIZE)?;
        crate::read::array(self.flags, at.wrapping_add(flag_at::ENTRY)).map(|b| u32::from_le_bytes(*b))
    }
}
