//! What an explained evaluation leaves behind, event by event. The evaluator is the same that decides in silence.

use crate::abi::{trace_event_at, trace_layout};
use crate::read::put;
use crate::value::Value;

/// Writes `TraceEvent`s into the output area.
pub struct Trace<'a> {
    output: &'a mut [u8],
    count: u32,
}

impl<'a> Trace<'a> {
    /// An empty trace in `output`.
    pub fn new(output: &'a mut [u8]) -> Trace<'a> {
        put(output, trace_layout::COUNT, &0_u32.to_le_bytes());
        put(output, trace_layout::TRUNCATED, &0_u32.to_le_bytes());
        Trace { output, count: 0 }
    }

    /// Node `node` ended with `outcome`.
    pub fn record(&mut self, node: u32, outcome: u8, kind: u8, bits: u64) {
        if self.count as usize >= trace_layout::MAX_EVENTS {
            put(self.output, trace_layout::TRUNCATED, &1_u32.to_le_bytes());
            return;
        }
        let mut event = [0; trace_event_at::SIZE];
        put(&mut event, trace_event_at::NODE, &node.to_le_bytes());
        put(&mut event, trace_event_at::OUTCOME, &[outcome]);
        put(&mut event, trace_event_at::KIND, &[kind]);
        put(&mut event, trace_event_at::BITS, &bits.to_le_bytes());
        let at = trace_layout::EVENTS.wrapping_add((self.count as usize).wrapping_mul(trace_event_at::SIZE));
        put(self.output, at, &event);
        self.count = self.count.wrapping_add(1);
        put(self.output, trace_layout::COUNT, &self.count.to_le_bytes());
    }
}

/// What a trace shows of a value: the bits of a scalar, the length of anything else.
pub fn shown(value: Value) -> (u8, u64) {
    match value.kind() {
        crate::abi::kind::TEXT | crate::abi::kind::LIST | crate::abi::kind::OBJECT => {
            (value.kind(), u64::from(value.len()))
        }
        kind => (kind, value.bits),
    }
}
