//! The exports of `core.wasm`, and the only `unsafe` code: statics, and slices of linear memory.
//!
//! An instance is used by one thread at a time and every export returns before the next is called, so the statics are
//! never aliased; that is the whole safety argument, and schema/README.md section 8 makes it a rule for hosts.
#![no_std]
#![no_main]
#![deny(clippy::undocumented_unsafe_blocks)]

use core::arch::wasm32::{memory_grow, memory_size};
use core::mem::size_of;
use core::ptr::{addr_of, addr_of_mut};
use pyflagwasm_core::abi::{error_code, limits_layout, scratch_layout, status, FINGERPRINT};
use pyflagwasm_core::batch::Batch;
use pyflagwasm_core::config::View;
use pyflagwasm_core::lane::{self, Lane, Left, Row, Split};
use pyflagwasm_core::machine::{pack_error, Machine};
use pyflagwasm_core::read::u32_at;
use pyflagwasm_core::request::Request;
use pyflagwasm_core::trace::Trace;
use pyflagwasm_core::verify::verify;
use pyflagwasm_core::work::Work;

const PAGE: usize = 65536;

/// A region of linear memory above the statics.
#[derive(Clone, Copy)]
struct Region {
    at: usize,
    len: usize,
}

struct State {
    live: Region,
    view: View<'static>,
    lane: Lane<'static>,
    idle: Region,
    staged: Region,
    staged_view: View<'static>,
    staged_lane: Lane<'static>,
    /// While flags are decided together: the steps that they have left, all of them.
    together: Option<u32>,
}

const NOWHERE: Region = Region { at: 0, len: 0 };

#[repr(C, align(16))]
struct Scratch([u8; scratch_layout::SIZE]);

static mut SCRATCH: Scratch = Scratch([0; scratch_layout::SIZE]);
static mut WORK: Work = Work::new();
static mut STATE: State = State {
    live: NOWHERE,
    view: View::EMPTY,
    lane: Lane::EMPTY,
    idle: NOWHERE,
    staged: NOWHERE,
    staged_view: View::EMPTY,
    staged_lane: Lane::EMPTY,
    together: None,
};

extern "C" {
    /// The first byte behind the statics; its address is the linker's.
    static __heap_base: u8;
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

fn state() -> &'static mut State {
    // SAFETY: one thread, and no export calls another while it holds this (module header).
    unsafe { &mut *addr_of_mut!(STATE) }
}

fn work() -> &'static mut Work {
    // SAFETY: one thread, and each export asks for it once (module header).
    unsafe { &mut *addr_of_mut!(WORK) }
}

fn request_area() -> &'static [u8] {
    // SAFETY: the range lies inside SCRATCH and does not overlap the output area; the host writes between calls only.
    unsafe {
        core::slice::from_raw_parts(
            addr_of!(SCRATCH.0).cast::<u8>().add(scratch_layout::REQUEST_OFFSET),
            scratch_layout::REQUEST_SIZE,
        )
    }
}

fn request_area_mut() -> &'static mut [u8; scratch_layout::REQUEST_SIZE] {
    // SAFETY: as above; only a batch asks for it, and holds it while it writes one row and nothing reads.
    unsafe { &mut *addr_of_mut!(SCRATCH.0).cast::<u8>().add(scratch_layout::REQUEST_OFFSET).cast() }
}

fn scratch() -> lane::Scratch<'static> {
    // SAFETY: SCRATCH is aligned for words; `evaluate` alone asks for it, and holds no reference to the output area.
    lane::Scratch { words: unsafe { &*addr_of!(SCRATCH.0).cast() }, bytes: unsafe { &*addr_of!(SCRATCH.0) } }
}

fn output_area() -> &'static mut [u8] {
    // SAFETY: the range lies inside SCRATCH and does not overlap the request area; each export asks for it once.
    unsafe {
        core::slice::from_raw_parts_mut(
            addr_of_mut!(SCRATCH.0).cast::<u8>().add(scratch_layout::OUTPUT_OFFSET),
            scratch_layout::OUTPUT_SIZE,
        )
    }
}

fn region_bytes(region: Region) -> &'static [u8] {
    // SAFETY: regions are made by region_reserve only: above the statics, inside of memory, which never shrinks.
    unsafe { core::slice::from_raw_parts(region.at as *const u8, region.len) }
}

fn region_bytes_mut(region: Region) -> &'static mut [u8] {
    // SAFETY: as above; the idle region never overlaps the live one, and nothing else refers to it.
    unsafe { core::slice::from_raw_parts_mut(region.at as *mut u8, region.len) }
}

/// What lies in a region behind `at`: `count` rows, or as many as there is room for, and the words behind them.
fn room(at: usize, end: usize, count: usize) -> (&'static mut [Row], &'static mut [u64]) {
    let at = align(at).min(end);
    let count = count.min(end.wrapping_sub(at) / size_of::<Row>());
    let words = at.wrapping_add(count.wrapping_mul(size_of::<Row>()));
    // SAFETY: aligned, inside of the idle region, behind the configuration, and apart from each other; the region is
    // not written to again while it is staged or live.
    unsafe {
        (
            core::slice::from_raw_parts_mut(at as *mut Row, count),
            core::slice::from_raw_parts_mut(words as *mut u64, end.wrapping_sub(words) / size_of::<u64>()),
        )
    }
}

fn align(at: usize) -> usize {
    at.wrapping_add(15) & !15
}

/// The live configuration and the request in scratch, or the error that stands for their absence.
#[inline(never)]
fn ready() -> Result<(&'static View<'static>, Request<'static>), u8> {
    let state = state();
    if state.live.len == 0 {
        return Err(error_code::NO_CONFIG);
    }
    match Request::parse(request_area(), state.view.slot_count) {
        Some(request) => Ok((&state.view, request)),
        None => Err(error_code::BAD_REQUEST),
    }
}

/// schema/README.md section 2 tells what each export does.
#[no_mangle]
pub extern "C" fn abi_fingerprint() -> i64 {
    FINGERPRINT as i64
}

/// Address of the scratch.
#[no_mangle]
pub extern "C" fn scratch_base() -> i32 {
    // SAFETY: only the address is taken.
    (unsafe { addr_of!(SCRATCH) }) as usize as i32
}

/// Places the idle region in the gap before the live one, or behind it.
#[no_mangle]
pub extern "C" fn region_reserve(len: i32) -> i32 {
    let state = state();
    state.idle = NOWHERE;
    state.staged = NOWHERE;
    let len = len as u32 as usize;
    // SAFETY: only the address is taken.
    let bottom = align((unsafe { addr_of!(__heap_base) }) as usize);
    let top = memory_size(0).wrapping_mul(PAGE);
    if len == 0 {
        return 0;
    }
    let at = if state.live.len == 0 || len <= state.live.at.wrapping_sub(bottom) {
        bottom
    } else {
        align(state.live.at.wrapping_add(state.live.len))
    };
    let end = match at.checked_add(len) {
        Some(end) => end,
        None => return 0,
    };
    if end > top && memory_grow(0, (end.wrapping_sub(top).wrapping_add(PAGE - 1)) / PAGE) == usize::MAX {
        return 0;
    }
    state.idle = Region { at, len };
    at as i32
}

/// Verifies the configuration in the idle region.
#[no_mangle]
pub extern "C" fn config_stage(len: i32) -> i64 {
    let state = state();
    state.staged = NOWHERE;
    let len = len as u32 as usize;
    if state.idle.len == 0 || len == 0 || len > state.idle.len {
        return i64::from(status::NO_REGION);
    }
    let region = Region { at: state.idle.at, len };
    match verify(region_bytes(region)) {
        Ok(view) => {
            let end = state.idle.at.wrapping_add(state.idle.len);
            let (rows, words) = room(region.at.wrapping_add(len), end, lane::rows(&view));
            state.staged_view = view;
            state.staged_lane = lane::prepare(&view, rows, words);
            state.staged = state.idle;
            i64::from(status::OK)
        }
        Err((refusal, index)) => (u64::from(index) << 32 | u64::from(refusal)) as i64,
    }
}

/// Makes the staged configuration live.
#[no_mangle]
pub extern "C" fn config_commit() -> i32 {
    let state = state();
    if state.staged.len == 0 {
        return i32::from(status::NOT_STAGED);
    }
    state.live = state.staged;
    state.view = state.staged_view;
    state.lane = state.staged_lane;
    state.staged = NOWHERE;
    state.idle = NOWHERE;
    i32::from(status::OK)
}

/// Decides one flag.
#[no_mangle]
pub extern "C" fn evaluate(flag: i32) -> i64 {
    let state = state();
    match lane::decide(&state.view, &state.lane, scratch(), flag as u32) {
        Ok(packed) => packed as i64,
        Err(Left { node, bucket, calls }) => go_on(flag, node, bucket, calls),
    }
}

/// Decides by the machine, from where the lane was left.
#[cold]
#[inline(never)]
fn go_on(flag: i32, node: u32, bucket: u64, calls: u64) -> i64 {
    let together = &mut state().together;
    let left = together.unwrap_or(limits_layout::MAX_STEPS as u32);
    let most = left.min(limits_layout::MAX_STEPS as u32);
    (match ready() {
        Ok((view, request)) => {
            let mut machine = Machine::new(view, request, work());
            let packed = machine.resume(flag as u32, Left { node, bucket, calls }, most);
            let spent = most.wrapping_sub(machine.steps_left());
            *together = together.map(|left| left.wrapping_sub(spent));
            packed
        }
        Err(code) => pack_error(code),
    }) as i64
}

/// Decides the flags whose indices lie in the cells of the output area.
#[no_mangle]
pub extern "C" fn evaluate_many(count: i32) -> i32 {
    let count = (count as u32 as usize).min(limits_layout::MAX_MANY);
    // All of them together have a budget as well, so that a crossing ends no matter how many flags are dear.
    state().together = Some(limits_layout::MAX_MANY_STEPS as u32);
    for index in 0..count {
        // Borrowed anew each time: `evaluate` looks at all of the scratch.
        let cell = index.wrapping_mul(8)..index.wrapping_mul(8).wrapping_add(8);
        let flag = pyflagwasm_core::read::u32_at(output_area(), cell.start);
        let packed = evaluate(flag as i32);
        if let Some(Ok(cell)) = output_area().get_mut(cell).map(<&mut [u8; 8]>::try_from) {
            *cell = packed.to_le_bytes();
        }
    }
    state().together = None;
    count as i32
}

/// Decides one flag and leaves a trace in the output area.
#[no_mangle]
pub extern "C" fn explain(flag: i32) -> i64 {
    let mut trace = Trace::new(output_area());
    (match ready() {
        Ok((view, request)) => Machine::new(view, request, work()).explain(flag as u32, &mut trace),
        Err(code) => pack_error(code),
    }) as i64
}

/// Decides the flags of the batch in the idle region for its rows from `first` on, up to `rows`.
#[no_mangle]
pub extern "C" fn evaluate_batch(first: i32, rows: i32) -> i64 {
    let (idle, first, rows) = (state().idle, first as u32 as usize, rows as u32 as usize);
    let region = region_bytes_mut(idle);
    let parsed = ready().ok().and_then(|(view, request)| {
        let batch = Batch::parse(region, request.heap.len(), view.slot_count, rows)?;
        Some((batch, batch.columns(region.get(..batch.output)?, view.slot_count)?))
    });
    let (batch, columns) = match parsed {
        Some(found) => found,
        None => return i64::from(status::BAD_BATCH),
    };
    let (bytes, decisions) = region.split_at_mut(batch.output);
    state().together = Some(u32::MAX);
    let mut row = first;
    // One flag that splits one column of texts: the rows need no request, but for those that are unusual.
    let alone = if batch.count == 1 { batch.flag(bytes, 0) } else { u32::MAX };
    let split = Split::of(&state().view, &state().lane, alone);
    let texts = columns.get(split.and_then(|split| batch.texts(&columns, split.slot())).unwrap_or(usize::MAX));
    while row < rows {
        let decided = match (&split, texts) {
            (Some(split), Some(texts)) if texts.has(bytes, row) => {
                let (at, len) = texts.text(bytes, row);
                split.decide(len, |from| u32_at(bytes, at.wrapping_add(from)))
            }
            _ => None,
        };
        let fits = decided.is_some() || batch.fill(&columns, bytes, request_area_mut(), row);
        for index in 0..batch.count {
            let packed = match decided {
                Some(packed) => packed as i64,
                None if fits => evaluate(batch.flag(bytes, index) as i32),
                None => pack_error(error_code::BAD_REQUEST) as i64,
            };
            let at = index.wrapping_mul(rows).wrapping_add(row).wrapping_mul(8);
            if let Some(Ok(cell)) = decisions.get_mut(at..at.wrapping_add(8)).map(<&mut [u8; 8]>::try_from) {
                *cell = packed.to_le_bytes();
            }
        }
        row = row.wrapping_add(1);
        if u32::MAX.wrapping_sub(state().together.unwrap_or(0)) > limits_layout::MAX_BATCH_STEPS as u32 {
            break;
        }
    }
    state().together = None;
    batch.restore(request_area_mut());
    ((row as u64) << 32 | u64::from(status::OK)) as i64
}
