//! Loops over a list: map, filter, all, some, none, reduce. The result grows in the arena, the state is one frame.

use crate::abi::{error_code, kind, loop_kind, space, value_at};
use crate::config::Node;
use crate::machine::Machine;
use crate::value::Value;
use crate::work::Frame;

impl<'a> Machine<'a> {
    pub(crate) fn iterate_begin(&mut self, at: u32, node: Node<'_>) -> u32 {
        let accumulator = if node.flags() == loop_kind::REDUCE { self.pop() } else { Value::NULL };
        let list = self.pop();
        if list.kind() != kind::LIST || list.len() == 0 {
            let nothing = match node.flags() {
                loop_kind::MAP | loop_kind::FILTER => self.make_list(0),
                loop_kind::REDUCE => accumulator,
                other => Value::bool(other == loop_kind::NONE),
            };
            self.push(nothing);
            return self.branch(node, false);
        }
        let collects = node.flags() == loop_kind::MAP || node.flags() == loop_kind::FILTER;
        let result = if collects { self.reserve_list(list.len() as usize) } else { 0 } as u32;
        let item = self.member(list, 0);
        self.push_frame(Frame { node: at, list, index: 0, item, accumulator, result, count: 0 });
        self.branch(node, true)
    }

    pub(crate) fn iterate_next(&mut self, node: Node<'_>) -> u32 {
        let came = self.pop();
        let mut frame = self.pop_frame();
        let begin = match self.config.node(frame.node) {
            Some(begin) if frame.list.kind() == kind::LIST => begin,
            _ => {
                self.stop(error_code::LIMIT_EXCEEDED);
                return node.yes();
            }
        };
        let mut ended = None;
        match begin.flags() {
            loop_kind::MAP => self.keep(&mut frame.count, frame.result, came),
            loop_kind::FILTER if came.is_truthy() => self.keep(&mut frame.count, frame.result, frame.item),
            loop_kind::ALL if !came.is_truthy() => ended = Some(false),
            loop_kind::SOME if came.is_truthy() => ended = Some(true),
            loop_kind::NONE if came.is_truthy() => ended = Some(false),
            loop_kind::REDUCE => frame.accumulator = came,
            _ => {}
        }
        frame.index = frame.index.wrapping_add(1);
        if ended.is_none() && frame.index < frame.list.len() {
            frame.item = self.member(frame.list, frame.index);
            self.push_frame(frame);
            return begin.yes();
        }
        let result = match (begin.flags(), ended) {
            (_, Some(holds)) => Value::bool(holds),
            (loop_kind::MAP | loop_kind::FILTER, None) => {
                Value::reference(kind::LIST, space::ARENA, frame.result as usize, frame.count as usize)
            }
            (loop_kind::REDUCE, None) => frame.accumulator,
            (other, None) => Value::bool(other != loop_kind::SOME),
        };
        self.push(result);
        node.yes()
    }

    fn keep(&mut self, count: &mut u32, result: u32, value: Value) {
        let at = (result as usize).wrapping_add((*count as usize).wrapping_mul(value_at::SIZE));
        self.store(at, value);
        *count = count.wrapping_add(1);
    }
}
