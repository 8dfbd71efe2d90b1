//! The evaluation context as the host wrote it: a FlatBuffer in the one form that schema/README.md section 4 allows.

use crate::abi::{request_layout as layout, value_at};
use crate::read::{array, slice, u32_at, u64_at};

/// The constant words of the header: root offset and file identifier, vtable, padding, the table's distance to it.
pub(crate) const HEADER: [u64; 3] = [0x5152_4650_0000_0018, 0x0008_0004_0018_000A, 0x0000_0000_0000_0010];
pub(crate) const TABLE: u64 = 0x0000_0018_0000_0010;

/// A request that has passed the checks.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `Value`s, one for each slot.
    pub slots: &'a [u8],
    /// Bytes of texts, members of lists and objects.
    pub heap: &'a [u8],
    /// Microseconds since 1970.
    pub now_us: i64,
}

impl<'a> Request<'a> {
    /// The request at the start of `area`, if it is canonical and has `slot_count` slots.
    #[inline(never)]
    pub fn parse(area: &'a [u8], slot_count: u32) -> Option<Request<'a>> {
        let fixed: &[u8; layout::SLOTS] = array(area, 0)?;
        let slots_size = (slot_count as usize).wrapping_mul(value_at::SIZE);
        let heap_length = layout::SLOTS.wrapping_add(slots_size);
        let canonical = u64_at(fixed, 0) == HEADER[0]
            && u64_at(fixed, 8) == HEADER[1]
            && u64_at(fixed, 16) == HEADER[2]
            && u64_at(fixed, layout::ROOT) == TABLE
            && u32_at(fixed, layout::HEAP_FIELD) as usize == heap_length.wrapping_sub(layout::HEAP_FIELD)
            && u32_at(fixed, layout::SLOTS_LENGTH) == slot_count;
        if !canonical {
            return None;
        }
        let heap_size = u32::from_le_bytes(*array(area, heap_length)?) as usize;
        let slots = slice(area, layout::SLOTS, slots_size);
        let heap_at = heap_length.wrapping_add(4);
        let heap = area.get(heap_at..heap_at.checked_add(heap_size)?)?;
        let now_us = i64::from_le_bytes(*array(fixed, layout::NOW_US)?);
        Some(Request { slots, heap, now_us })
    }
}

// The second word of the table is the offset of the slots.
const _: () = assert!(layout::SLOTS_FIELD == layout::ROOT + 4 && layout::SLOTS_LENGTH - layout::SLOTS_FIELD == 0x18);
