//! Regular expressions (schema/README.md 5.10): a program over classes of characters, run in one pass over a text.
//!
//! A program is a table of states, or instructions for threads. What it was made from is the compiler's business.

use crate::abi::{error_code, kind};
use crate::config::Node;
use crate::machine::Machine;
use crate::read::{slice, u16_at, u32_at, u64_at};

/// Where the classes of ASCII begin, and the ranges behind them.
const ASCII: usize = 8;
const RANGES: usize = ASCII + 128;
/// As many as a range can name.
const MOST_CLASSES: usize = 1 << 11;
/// Targets that are no rows: nothing more to find, and found.
const MATCHED: usize = 1;
const FIRST: usize = 2;
/// Units of work for a step of the budget. A character is one, or four if it is not ASCII; so is each instruction.
const UNITS: usize = 4;

/// A program's parts.
struct Program<'a> {
    bytes: &'a [u8],
    classes: usize,
    ranges: usize,
    /// States or instructions.
    rows: usize,
    /// Sets of classes or of neighbours; none in a table.
    sets: usize,
    /// Where the rows begin.
    body: usize,
    /// Targets in a row.
    width: usize,
    /// Where it says what stands beside a position; the sets follow.
    beside: usize,
}

impl<'a> Program<'a> {
    #[inline(never)]
    fn read(bytes: &'a [u8]) -> Program<'a> {
        let head = u64_at(bytes, 0);
        let part = |shift: u32| (head >> shift & 0xFFFF) as usize;
        let (classes, ranges, rows, sets) = (part(0), part(16), part(32), part(48));
        let body = RANGES.wrapping_add(ranges.wrapping_mul(4));
        let width = if sets == 0 { classes } else { 2 };
        let beside = body.wrapping_add(rows.wrapping_mul(width).wrapping_mul(2));
        Program { bytes, classes, ranges, rows, sets, body, width, beside }
    }

    fn range(&self, index: usize) -> u32 {
        u32_at(self.bytes, RANGES.wrapping_add(index.wrapping_mul(4)))
    }

    /// Where set number `index` begins.
    fn set(&self, index: usize) -> usize {
        let size = (self.classes.wrapping_add(7) / 8).max(8);
        self.beside.wrapping_add(self.classes).wrapping_add(index.wrapping_mul(size))
    }

    /// Whether everything in it lies where it has to.
    #[inline(always)]
    fn is_good(&self) -> bool {
        let classes = self.classes as u32;
        let mut before = 127;
        let ranges = (0..self.ranges).all(|index| {
            let range = self.range(index);
            let good = range >> 11 > before && (range & 0x7FF) < classes;
            before = range >> 11;
            good
        });
        let mut most = self.rows.wrapping_add(FIRST);
        let mut other = most.wrapping_add(self.sets);
        // With so few classes no size below is beyond 32 bits.
        ranges
            && self.classes <= MOST_CLASSES
            && self.rows > 0
            && self.range(0) >> 11 == 128
            && self.set(self.sets) == self.bytes.len()
            && slice(self.bytes, ASCII, 128).iter().all(|class| u32::from(*class) < classes)
            && slice(self.bytes, self.body, self.beside.wrapping_sub(self.body)).chunks_exact(2).all(|target| {
                let good = usize::from(u16_at(target, 0)) < most;
                core::mem::swap(&mut most, &mut other);
                good
            })
    }

    /// The class of a character that is not ASCII, and where the next one begins.
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
    /// Threads need `room`: see there.
    #[inline(always)]
    fn matches(&self, text: &[u8], room: &mut [u8], steps: &mut u32) -> bool {
        let (mut state, mut at, mut work) = (FIRST, 0_usize, 0_usize);
        let mut threads = Threads { room, odd: false, waiting: 0, before: self.byte(self.beside) };
        loop {
            let mut next = at.wrapping_add(1);
            work = work.wrapping_add(1);
            // The end, and the newline that a text ends with, are classes of their own.
            let class = match text.get(at) {
                None => 0,
                Some(b'\n') if next == text.len() => 1,
                Some(byte) if *byte < 128 => self.byte(ASCII.wrapping_add(usize::from(*byte))),
                Some(byte) => {
                    work = work.wrapping_add(3);
                    let (class, behind) = self.far_class(text, next, u32::from(*byte));
                    next = behind;
                    class
                }
            };
            if self.sets == 0 {
                state = self.target(state, class);
            } else {
                work = work.wrapping_add(self.step(&mut threads, class, &mut state));
            }
            *steps = steps.saturating_sub((work / UNITS) as u32);
            work %= UNITS;
            if state < FIRST || at >= text.len() || *steps == 0 {
                return state == MATCHED;
            }
            at = next;
        }
    }

    /// Shows the threads a character. Returns how much was to do.
    #[inline(never)]
    fn step(&self, threads: &mut Threads<'_>, class: usize, state: &mut usize) -> usize {
        let behind = self.rows.wrapping_add(FIRST);
        let (near, far) = (behind, behind.wrapping_mul(5));
        let (here, there) = if threads.odd { (far, near) } else { (near, far) };
        let after = self.byte(self.beside.wrapping_add(class));
        let look = threads.before << 3 & 56 | after & 7;
        let first_set = self.set(0);
        let size = self.set(1).wrapping_sub(first_set);
        let room = &mut *threads.room;
        room.iter_mut().take(behind).for_each(|mark| *mark = 0);
        let (mut height, mut waiting, mut done) = (threads.waiting, 0_usize, behind / 64);
        let mut thread = FIRST; // the search begins anew at each character
        loop {
            if thread == MATCHED {
                *state = thread;
                return done;
            }
            if let Some(mark) = room.get_mut(thread).filter(|mark| thread > 0 && **mark == 0) {
                *mark = 1;
                done = done.wrapping_add(1);
                let row = u32_at(self.bytes, self.body.wrapping_add(thread.wrapping_sub(FIRST).wrapping_mul(4)));
                let (a, b) = ((row & 0xFFFF) as usize, (row >> 16) as usize);
                if b < behind {
                    push(room, here, &mut height, b);
                    push(room, here, &mut height, a);
                } else {
                    let set = first_set.wrapping_add(b.wrapping_sub(behind).wrapping_mul(size));
                    let looks = self.byte(set) & 1 != 0;
                    let bit = if looks { look } else { class };
                    if self.byte(set.wrapping_add(bit / 8)) >> (bit & 7) & 1 != 0 {
                        if looks {
                            push(room, here, &mut height, a);
                        } else {
                            push(room, there, &mut waiting, a);
                        }
                    }
                }
            }
            if height == 0 {
                break;
            }
            height = height.wrapping_sub(1);
            thread = usize::from(u16_at(room, here.wrapping_add(height.wrapping_mul(2))));
        }
        threads.odd = !threads.odd;
        threads.waiting = waiting;
        threads.before = after;
        done
    }

    /// A target of a row.
    fn target(&self, row: usize, index: usize) -> usize {
        let at = row.wrapping_sub(FIRST).wrapping_mul(self.width).wrapping_add(index);
        usize::from(u16_at(self.bytes, self.body.wrapping_add(at.wrapping_mul(2))))
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> usize {
        self.bytes.get(at).map_or(0, |byte| usize::from(*byte))
    }
}

/// The threads between two characters. In the room lie a byte for each instruction, and two stacks of twice as many
/// instructions, 2 bytes each: those that wait for the next character, and those that it is shown to.
struct Threads<'a> {
    room: &'a mut [u8],
    /// Which stack is which.
    odd: bool,
    waiting: usize,
    /// What stands before the character.
    before: usize,
}

#[inline(never)]
fn push(room: &mut [u8], stack: usize, height: &mut usize, thread: usize) {
    let at = stack.wrapping_add(height.wrapping_mul(2));
    if let Some(Ok(room)) = room.get_mut(at..at.wrapping_add(2)).map(<&mut [u8; 2]>::try_from) {
        *room = (thread as u16).to_le_bytes();
    }
    *height = height.wrapping_add(1);
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
        let constant = self.constant(node.a());
        let program = Program::read(slice(self.config.heap, constant.at(), constant.len() as usize));
        let room = self.work.arena.get_mut(self.arena_used..).unwrap_or(&mut []);
        if program.sets > 0 && room.len() / 9 <= program.rows.wrapping_add(FIRST) {
            self.stop(error_code::LIMIT_EXCEEDED);
            return None;
        }
        Some(program.matches(text, room, &mut self.steps))
    }
}
