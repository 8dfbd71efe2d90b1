//! Many rows at once: the columns of a batch (schema/README.md section 3), of which each row becomes a request.
//!
//! A row is written into the request area as a host would write it, so whatever evaluates a request evaluates a row.
//! What the columns do not carry stays as the host has written it.

use crate::abi::{kind, limits_layout, request_layout as layout, scratch_layout, value_at};
use crate::read::{array, put, slice, u32_at, u64_at};

const HEADER: usize = 16;
const RECORD: usize = 24;
/// Bits of a record's fourth byte, above those that say where the first bit of `validity` and of `data` lies.
const DICTIONARY: u8 = 0x40;
const FURTHER: u8 = 0x80;

/// One batch, from its header.
#[derive(Clone, Copy)]
pub struct Batch {
    columns: usize,
    flags: usize,
    records: usize,
    /// Where the decisions are written.
    pub output: usize,
    /// Flags that are decided for each row.
    pub count: usize,
    heap_field: usize,
    heap_size: usize,
}

/// One column, from its record.
#[derive(Clone, Copy, Default)]
pub struct Column {
    /// Where its slot lies in the request.
    slot: usize,
    kind: u8,
    how: u8,
    data: usize,
    offsets: usize,
    validity: usize,
    indices: usize,
}

impl Column {
    /// Whether the column says something of a row.
    #[inline(always)]
    pub fn has(&self, region: &[u8], row: usize) -> bool {
        self.validity == 0 || bit(region, self.validity, row.wrapping_add(usize::from(self.how & 7)))
    }

    /// Where the text of a row lies, and its length; more than anything has if it has none.
    #[inline(always)]
    pub fn text(&self, region: &[u8], row: usize) -> (usize, usize) {
        let mut index = row;
        if self.how & DICTIONARY != 0 {
            index = u32_at(region, self.indices.wrapping_add(row.wrapping_mul(4))) as usize;
        }
        let ends = u64_at(region, self.offsets.wrapping_add(index.wrapping_mul(4)));
        let (from, to) = (ends as u32, (ends >> 32) as u32);
        // backwards it is longer than any request
        ((self.data as u32).wrapping_add(from) as usize, to.wrapping_sub(from) as usize)
    }
}

impl Batch {
    /// The batch in `region`, with room for the decisions of `rows` rows, on top of a request with a heap of this size.
    /// None if it cannot be.
    pub fn parse(region: &[u8], heap_size: usize, slot_count: u32, rows: usize) -> Option<Batch> {
        let (columns, count) = (u32_at(region, 0) as usize, u32_at(region, 4) as usize);
        let output = u32_at(region, 8) as usize;
        if columns > limits_layout::MAX_COLUMNS || count == 0 || count > limits_layout::MAX_MANY {
            return None;
        }
        let records = HEADER.wrapping_add(count.wrapping_mul(4).wrapping_add(7) & !7);
        let end = records.wrapping_add(columns.wrapping_mul(RECORD));
        let room = region.len().checked_sub(output)? / 8;
        if output < end || output % 8 != 0 || rows.checked_mul(count)? > room {
            return None;
        }
        let heap_field = layout::SLOTS.wrapping_add((slot_count as usize).wrapping_mul(value_at::SIZE));
        Some(Batch { columns, flags: HEADER, records, output, count, heap_field, heap_size })
    }

    #[inline(always)]
    fn record<'a>(&self, region: &'a [u8], column: usize) -> &'a [u8] {
        slice(region, self.records.wrapping_add(column.wrapping_mul(RECORD)), RECORD)
    }

    /// The flag at `index`.
    #[inline(always)]
    pub fn flag(&self, region: &[u8], index: usize) -> u32 {
        u32_at(region, self.flags.wrapping_add(index.wrapping_mul(4)))
    }

    /// What the records say, read once. None if there is one that cannot be.
    pub fn columns(&self, region: &[u8], slot_count: u32) -> Option<[Column; limits_layout::MAX_COLUMNS]> {
        let mut columns = [Column::default(); limits_layout::MAX_COLUMNS];
        for (index, column) in columns.iter_mut().take(self.columns).enumerate() {
            let record = self.record(region, index);
            let head = u32_at(record, 0);
            let kind = (head >> 16) as u8;
            if head & 0xFFFF >= slot_count || !(kind::NULL..=kind::TEXT).contains(&kind) {
                return None;
            }
            *column = Column {
                slot: layout::SLOTS.wrapping_add((head & 0xFFFF) as usize * value_at::SIZE),
                kind,
                how: (head >> 24) as u8,
                data: u32_at(record, 4) as usize,
                offsets: u32_at(record, 8) as usize,
                validity: u32_at(record, 12) as usize,
                indices: u32_at(record, 16) as usize,
            };
        }
        Some(columns)
    }

    /// Writes a row into the request. False if its texts do not fit.
    #[inline(always)]
    pub fn fill(
        &self,
        columns: &[Column; limits_layout::MAX_COLUMNS],
        region: &[u8],
        area: &mut [u8; scratch_layout::REQUEST_SIZE],
        row: usize,
    ) -> bool {
        let heap = self.heap_field.wrapping_add(4);
        let mut used = self.heap_size;
        for column in columns.iter().take(self.columns) {
            let how = column.how;
            let (word, bits) = if !column.has(region, row) {
                if how & FURTHER != 0 {
                    continue;
                }
                (u64::from(kind::MISSING), 0)
            } else if column.kind == kind::TEXT {
                let (text, len) = column.text(region, row);
                let place = heap.wrapping_add(used);
                if len > area.len().saturating_sub(place) || !copied(region, text, area, place, len) {
                    return false;
                }
                let bits = used as u64;
                used = used.wrapping_add(len);
                (u64::from(kind::TEXT) | (len as u64) << 32, bits)
            } else {
                match column.kind {
                    kind::BOOL => {
                        let set = bit(region, column.data, row.wrapping_add(usize::from(how >> 3 & 7)));
                        (u64::from(kind::BOOL), u64::from(set))
                    }
                    kind::NULL => (u64::from(kind::NULL), 0),
                    number => (u64::from(number), u64_at(region, column.data.wrapping_add(row.wrapping_mul(8)))),
                }
            };
            if let Some(Ok(value)) =
                area.get_mut(column.slot..column.slot.wrapping_add(16)).map(<&mut [u8; 16]>::try_from)
            {
                *value = (u128::from(bits) << 64 | u128::from(word)).to_le_bytes();
            }
        }
        if let Some(Ok(length)) =
            area.get_mut(self.heap_field..self.heap_field.wrapping_add(4)).map(<&mut [u8; 4]>::try_from)
        {
            *length = (used as u32).to_le_bytes();
        }
        true
    }

    /// The column of texts that alone carries the slot at this place of the request.
    pub fn texts(&self, columns: &[Column; limits_layout::MAX_COLUMNS], slot: usize) -> Option<usize> {
        let mut found = None;
        for (index, column) in columns.iter().take(self.columns).enumerate() {
            if column.slot == slot {
                if column.kind != kind::TEXT || found.is_some() {
                    return None;
                }
                found = Some(index);
            }
        }
        found
    }

    /// Leaves the heap of the request as long as it was.
    pub fn restore(&self, area: &mut [u8]) {
        put(area, self.heap_field, &(self.heap_size as u32).to_le_bytes());
    }
}

#[inline(always)]
fn bit(region: &[u8], at: usize, index: usize) -> bool {
    let byte = region.get(at.wrapping_add(index / 8)).copied().unwrap_or(0);
    byte >> (index % 8) & 1 != 0
}

/// Copies a text, sixteen bytes at a time: what is written behind its end is nothing yet.
#[inline(always)]
fn copied(region: &[u8], from: usize, area: &mut [u8], to: usize, len: usize) -> bool {
    let mut at = 0;
    while at < len {
        let (from, to) = (from.wrapping_add(at), to.wrapping_add(at));
        let room = area.get_mut(to..to.wrapping_add(16)).map(<&mut [u8; 16]>::try_from);
        match (array::<16>(region, from), room) {
            (Some(text), Some(Ok(room))) => *room = *text,
            _ => return copied_exactly(region, from, area, to, len.wrapping_sub(at)),
        }
        at = at.wrapping_add(16);
    }
    true
}

/// At the end of the region, or of the area.
#[cold]
#[inline(never)]
fn copied_exactly(region: &[u8], from: usize, area: &mut [u8], to: usize, len: usize) -> bool {
    match region.get(from..from.wrapping_add(len)) {
        Some(text) => put(area, to, text),
        None => false,
    }
}
