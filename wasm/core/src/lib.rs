//! The core of pyflagwasm: who gets which variant of a flag.
//!
//! A pure function over bytes: a compiled configuration and a request in, packed decisions out. No allocation, no
//! recursion, no imports, no `unsafe`, no panic: each reader is checked, so damaged bytes give a refusal or a wrong answer
//! and nothing worse. What the bytes mean is written in `schema/README.md`; `guest` puts this crate into WebAssembly.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::todo, clippy::unreachable)
)]
#![allow(
    clippy::eq_op,
    clippy::manual_range_contains,
    clippy::len_without_is_empty,
    clippy::needless_lifetimes,
    unknown_lints
)]

pub mod abi;
pub mod arithmetic;
pub mod batch;
mod bucket;
pub mod cbor;
pub mod config;
pub mod decimal;
pub mod digest;
mod fractional;
pub mod hash;
mod iterate;
mod json;
pub mod lane;
mod lists;
mod lookup;
pub mod machine;
pub mod network;
mod predicate;
pub mod read;
pub mod regex;
pub mod request;
mod stack;
pub mod text;
pub mod time;
pub mod trace;
pub mod value;
pub mod verify;
pub mod version;
pub mod work;
