//! The room that an evaluation works in: value stack, frames, and an arena for temporary texts and lists.

use crate::abi::limits_layout;
use crate::value::Value;

/// A pending call, or a loop over a list.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    /// Node of the Call or of the IterateBegin.
    pub node: u32,
    /// The list; Missing for a call.
    pub list: Value,
    /// Number of the current member.
    pub index: u32,
    /// The current member.
    pub item: Value,
    /// Reduce: the accumulator.
    pub accumulator: Value,
    /// Map and Filter: where the result lies in the arena, and how many members it has.
    pub result: u32,
    /// Members of the result so far.
    pub count: u32,
}

impl Frame {
    /// A call; which one, `node` says.
    pub(crate) const CALL: Frame = Frame {
        node: 0,
        list: Value::MISSING,
        index: 0,
        item: Value::MISSING,
        accumulator: Value::MISSING,
        result: 0,
        count: 0,
    };
}

/// Room for one evaluation; kept between evaluations, never read before it is written.
pub struct Work {
    pub(crate) stack: [Value; limits_layout::VALUE_STACK],
    pub(crate) frames: [Frame; limits_layout::FRAMES],
    pub(crate) arena: [u8; limits_layout::ARENA],
}

impl Work {
    /// All zero, so that it costs nothing in the module's file.
    pub const fn new() -> Work {
        Work {
            stack: [Value::MISSING; limits_layout::VALUE_STACK],
            frames: [Frame::CALL; limits_layout::FRAMES],
            arena: [0; limits_layout::ARENA],
        }
    }
}

impl Default for Work {
    fn default() -> Self {
        Work::new()
    }
}
