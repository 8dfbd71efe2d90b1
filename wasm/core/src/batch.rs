//! Many rows at once: one flag for the columns in the idle region, row after row.

use crate::abi::status;
use crate::columns::Columns;
use crate::config::View;
use crate::machine::Machine;
use crate::read::put;
use crate::request::Request;
use crate::work::Work;

/// Decides `flag` for `rows` rows of the batch in `region`. Returns a `Status` and the number of rows done.
pub fn evaluate_batch(
    config: &View<'_>,
    request: Request<'_>,
    region: &mut [u8],
    work: &mut Work,
    flag: u32,
    rows: u32,
) -> (u8, u32) {
    let (count, output) = match Columns::header(region) {
        Some(header) => header,
        None => return (status::BAD_BATCH, 0),
    };
    let (bytes, results) = region.split_at_mut(output);
    let mut columns = match Columns::new(bytes, count, config.slot_count) {
        Some(columns) if rows as usize <= results.len() / 8 => columns,
        _ => return (status::BAD_BATCH, 0),
    };
    for row in 0..rows as usize {
        columns.row = row;
        let packed = Machine::new(config, request, Some(columns), work).evaluate(flag);
        put(results, row.wrapping_mul(8), &packed.to_le_bytes());
    }
    (status::OK, rows)
}
