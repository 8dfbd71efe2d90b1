//! Regular expressions (schema/README.md 5.10): a program over classes of characters, run in one pass over a text.
//!
//! A program is either a table of states or instructions for threads. What it was made from is the compiler's business.

use crate::abi::{error_code, kind};
use crate::config::Node;
use crate::machine::Machine;
use crate::read::{put, slice, u16_at, u32_at, u64_at};

/// Where the table of ASCII begins, and the ranges behind it.
const ASCII: usize = 10;
const RANGES: usize = ASCII + 128;
/// Instructions that the arena has room for.
const MOST_THREADS: usize = 4096;
/// Targets in a table that are no states.
const ENDS: usize = 2;
const MATCHED: usize = 1;
/// What instructions do, by their two highest bits.
const STEP: u32 = 0;
const FORK: u32 = 1;
const LOOK: u32 = 2;
/// Units of work for a step of the budget; one for a character or an instruction, more for what is not ASCII.
const UNITS: usize = 8;
const FAR: usize = 4;

/// A program's parts. Empty or zero where the bytes do not have them.
struct Program<'a> {
    bytes: &'a [u8],
    /// The bytes behind the ranges.
    body: &'a [u8],
    classes: usize,
    ranges: usize,
    /// States or instructions.
    count: usize,
    /// Sets of classes; 0 for a table.
    sets: usize,
    looks: usize,
    /// Bytes of a set.
    width: usize,
}

impl<'a> Program<'a> {
    fn read(bytes: &'a [u8]) -> Program<'a> {
        let head = |at: usize| usize::from(u16_at(bytes, at));
        let ranges = head(2);
        Program {
            bytes,
            body: bytes.get(RANGES.wrapping_add(ranges.wrapping_mul(4))..).unwrap_or(&[]),
            classes: head(0),
            ranges,
            count: head(4),
            sets: head(6),
            looks: head(8),
            width: head(0).wrapping_add(7) / 8,
        }
    }

    fn range(&self, index: usize) -> u32 {
        u32_at(self.bytes, RANGES.wrapping_add(index.wrapping_mul(4)))
    }

    /// Where the threads' other parts begin in the body: what is beside classes, sets, assertions, and the end.
    fn parts(&self) -> [usize; 4] {
        let beside = self.count.wrapping_mul(4);
        let sets = beside.wrapping_add(self.classes);
        let looks = sets.wrapping_add(self.sets.wrapping_mul(self.width));
        [beside, sets, looks, looks.wrapping_add(self.looks.wrapping_mul(8))]
    }

    /// Whether everything in it lies where it has to.
    fn is_good(&self) -> bool {
        let mut before = 0;
        let ascending = (0..self.ranges).all(|index| {
            let range = self.range(index);
            let good = range >> 11 > before && (range & 0x7FF) < self.classes as u32;
            before = range >> 11;
            good
        });
        let classes = slice(self.bytes, ASCII, 128);
        self.count > 0
            && ascending
            && self.range(0) >> 11 == 128
            && self.ranges > 0
            && classes.iter().all(|class| usize::from(*class) < self.classes)
            && if self.sets > 0 { self.good_threads() } else { self.good_table() }
    }

    fn good_table(&self) -> bool {
        self.body.len() == self.count.wrapping_mul(self.classes).wrapping_mul(2)
            && self.body.chunks_exact(2).all(|target| usize::from(u16_at(target, 0)) < self.count.wrapping_add(ENDS))
    }

    fn good_threads(&self) -> bool {
        let [beside, sets, _, end] = self.parts();
        self.body.len() == end
            && self.count <= MOST_THREADS
            && slice(self.body, beside, sets.wrapping_sub(beside)).iter().all(|number| *number < 8)
            && slice(self.body, 0, beside).chunks_exact(4).all(|word| {
                let (does, a, b) = instruction(u32_at(word, 0));
                let most = match does {
                    STEP => self.sets,
                    FORK => self.count,
                    LOOK => self.looks,
                    _ => return true,
                };
                a < self.count && b < most
            })
    }

    /// The class of the character at `at`, and where the next one begins. Behind the end, and for the newline that a
    /// text ends with, it is a class of its own.
    #[inline(always)]
    fn class(&self, text: &[u8], at: usize) -> (usize, usize) {
        let next = at.wrapping_add(1);
        match text.get(at) {
            None => (0, next),
            Some(b'\n') if next == text.len() => (1, next),
            Some(byte) if *byte < 128 => {
                (self.bytes.get(ASCII.wrapping_add(usize::from(*byte))).map_or(0, |class| usize::from(*class)), next)
            }
            Some(byte) => self.far_class(text, next, u32::from(*byte)),
        }
    }

    /// The class of a character that is not ASCII.
    #[inline(never)]
    fn far_class(&self, text: &[u8], mut at: usize, lead: u32) -> (usize, usize) {
        let more = usize::from(lead >= 0xC0) + usize::from(lead >= 0xE0) + usize::from(lead >= 0xF0);
        let mut point = lead & (0x3F >> more);
        for byte in slice(text, at, more) {
            point = point << 6 | u32::from(*byte) & 0x3F;
            at = at.wrapping_add(1);
        }
        let (mut low, mut high) = (0, self.ranges);
        while low < high {
            let middle = low.wrapping_add(high) / 2;
            if self.range(middle) >> 11 <= point {
                low = middle.wrapping_add(1);
            } else {
                high = middle;
            }
        }
        ((self.range(low.wrapping_sub(1)) & 0x7FF) as usize, at)
    }

    /// Whether the text contains a match. Takes off `steps` what it costs, and gives up when nothing is left of them.
    fn table_matches(&self, text: &[u8], steps: &mut u32) -> bool {
        let (mut state, mut at) = (ENDS, 0);
        let mut work = 0;
        loop {
            let (class, next) = self.class(text, at);
            let row = state.wrapping_sub(ENDS).wrapping_mul(self.classes);
            state = usize::from(u16_at(self.body, row.wrapping_add(class).wrapping_mul(2)));
            work = pay(steps, work, if next.wrapping_sub(at) > 1 { FAR } else { 1 });
            if state < ENDS || at >= text.len() || *steps == 0 {
                pay(steps, work, UNITS - 1);
                return state == MATCHED;
            }
            at = next;
        }
    }

    /// The same for threads. `room` is 4 bytes for each instruction twice, and one more bit and two bytes for each.
    #[inline(never)]
    fn threads_match(&self, text: &[u8], room: &mut [u8], steps: &mut u32) -> bool {
        let [beside, sets, looks, _] = self.parts();
        let marks = self.count.wrapping_add(7) / 8;
        let stack = self.count.wrapping_mul(4).wrapping_add(4);
        let (mut here, mut there) = (marks, marks.wrapping_add(stack));
        let (mut height, mut at, mut work) = (0_usize, 0, 0);
        let mut before = self.beside(beside, 0);
        loop {
            let (class, next) = self.class(text, at);
            let after = self.beside(beside, class);
            let look = u32::from(before) * 8 + u32::from(after);
            room.iter_mut().take(marks).for_each(|mark| *mark = 0);
            let (mut waiting, mut done) = (0_usize, FAR + marks / 16);
            // The search begins anew at each character.
            push(room, here, &mut height, 0);
            while height > 0 {
                height = height.wrapping_sub(1);
                let thread = usize::from(u16_at(room, here.wrapping_add(height.wrapping_mul(2))));
                let bit = 1 << (thread & 7);
                match room.get_mut(thread / 8) {
                    Some(mark) if *mark & bit == 0 => *mark |= bit,
                    _ => continue,
                }
                done = done.wrapping_add(1);
                let (does, a, b) = instruction(u32_at(self.body, thread.wrapping_mul(4)));
                match does {
                    STEP => {
                        let byte = sets.wrapping_add(b.wrapping_mul(self.width)).wrapping_add(class / 8);
                        if self.body.get(byte).map_or(false, |set| set >> (class & 7) & 1 != 0) {
                            push(room, there, &mut waiting, a);
                        }
                    }
                    FORK => {
                        push(room, here, &mut height, b);
                        push(room, here, &mut height, a);
                    }
                    LOOK => {
                        if u64_at(self.body, looks.wrapping_add(b.wrapping_mul(8))) >> look & 1 != 0 {
                            push(room, here, &mut height, a);
                        }
                    }
                    _ => return true,
                }
            }
            work = pay(steps, work, done);
            if at >= text.len() || *steps == 0 {
                return false;
            }
            core::mem::swap(&mut here, &mut there);
            height = waiting;
            before = after;
            at = next;
        }
    }

    fn beside(&self, first: usize, class: usize) -> u8 {
        self.body.get(first.wrapping_add(class)).map_or(0, |number| number & 7)
    }
}

/// What it does, its target, and its second target, set or assertion.
fn instruction(word: u32) -> (u32, usize, usize) {
    (word >> 30, (word & 0x7FFF) as usize, (word >> 15 & 0x7FFF) as usize)
}

fn push(room: &mut [u8], stack: usize, height: &mut usize, thread: usize) {
    put(room, stack.wrapping_add(height.wrapping_mul(2)), &(thread as u16).to_le_bytes());
    *height = height.wrapping_add(1);
}

/// Takes whole steps off the budget for `work` units and `more`. What is left of the units.
#[inline(always)]
fn pay(steps: &mut u32, work: usize, more: usize) -> usize {
    let work = work.wrapping_add(more);
    *steps = steps.saturating_sub((work / UNITS) as u32);
    work % UNITS
}

/// Whether the bytes are a program that can be run.
#[inline(never)]
pub fn is_program(bytes: &[u8]) -> bool {
    Program::read(bytes).is_good()
}

impl<'a> Machine<'a> {
    #[inline(never)]
    pub(crate) fn text_match(&mut self, node: Node<'_>) -> Option<bool> {
        let value = self.slot(node.slot());
        if value.kind() != kind::TEXT {
            return None;
        }
        let text = self.fixed_text(value);
        let program = Program::read(self.fixed_text(self.constant(node.a())));
        if program.sets == 0 {
            return Some(program.table_matches(text, &mut self.steps));
        }
        let room = self.work.arena.get_mut(self.arena_used..).unwrap_or(&mut []);
        if room.len() < program.count.wrapping_mul(9).wrapping_add(9) {
            self.stop(error_code::LIMIT_EXCEEDED);
            return None;
        }
        Some(program.threads_match(text, room, &mut self.steps))
    }
}
