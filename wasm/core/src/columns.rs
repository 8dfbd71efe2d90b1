//! The columns of a batch (schema/README.md section 3): in one row, a column is a slot.

use crate::abi::{kind, limits_layout, space};
use crate::read::{slice, u16_at, u32_at, u64_at};
use crate::value::Value;

const RECORD: usize = 24;
const HEADER: usize = 8;

/// The columns of one batch, at one row.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    /// The bytes of the header and all buffers, without the output.
    pub bytes: &'a [u8],
    count: usize,
    /// The row that is read.
    pub row: usize,
}

impl<'a> Columns<'a> {
    /// The header of a batch: number of columns, and where the output begins. None if it cannot be.
    pub fn header(region: &[u8]) -> Option<(usize, usize)> {
        let (count, output) = (u32_at(region, 0) as usize, u32_at(region, 4) as usize);
        let inside = output >= HEADER.wrapping_add(count.wrapping_mul(RECORD)) && output <= region.len();
        if count <= limits_layout::MAX_COLUMNS && inside && output % 8 == 0 {
            Some((count, output))
        } else {
            None
        }
    }

    /// The first row of `count` columns, if all their records can be.
    pub fn new(bytes: &'a [u8], count: usize, slot_count: u32) -> Option<Columns<'a>> {
        let columns = Columns { bytes, count, row: 0 };
        let good = |column: usize| {
            let record = columns.record(column);
            let carried = record.get(2).copied().unwrap_or(kind::MISSING);
            u32::from(u16_at(record, 0)) < slot_count && (kind::BOOL..=kind::TEXT).contains(&carried)
        };
        if (0..count).all(good) {
            Some(columns)
        } else {
            None
        }
    }

    fn record(&self, column: usize) -> &'a [u8] {
        slice(self.bytes, HEADER.wrapping_add(column.wrapping_mul(RECORD)), RECORD)
    }

    /// The value of `slot` in this row, if a column carries it.
    pub fn slot(&self, slot: u16) -> Option<Value> {
        for column in 0..self.count {
            let record = self.record(column);
            if u16_at(record, 0) == slot {
                return Some(self.read(record));
            }
        }
        None
    }

    fn bit(&self, at: usize) -> bool {
        let byte = self.bytes.get(at.wrapping_add(self.row / 8)).copied().unwrap_or(0);
        byte >> (self.row % 8) & 1 != 0
    }

    fn read(&self, record: &[u8]) -> Value {
        let (data, offsets, validity) = (u32_at(record, 4), u32_at(record, 8), u32_at(record, 12));
        if validity != 0 && !self.bit(validity as usize) {
            return Value::NULL;
        }
        let word = (data as usize).wrapping_add(self.row.wrapping_mul(8));
        match record.get(2) {
            Some(&kind::BOOL) => Value::bool(self.bit(data as usize)),
            Some(&kind::INT) => Value::int(u64_at(self.bytes, word) as i64),
            Some(&kind::FLOAT) => Value::float(f64::from_bits(u64_at(self.bytes, word))),
            Some(&kind::TEXT) => {
                let at = (offsets as usize).wrapping_add(self.row.wrapping_mul(4));
                let (start, end) = (u32_at(self.bytes, at), u32_at(self.bytes, at.wrapping_add(4)));
                let begin = (data as usize).wrapping_add(start as usize);
                let text = Value::reference(kind::TEXT, space::BATCH, begin, end.wrapping_sub(start) as usize);
                if end >= start && text.fits(self.bytes.len()) {
                    text
                } else {
                    Value::MISSING
                }
            }
            _ => Value::MISSING,
        }
    }
}
