//! Answers tests/differential/regex.py: a line of JSON with a pattern and texts in, whether each of them matches out, or
//! why the pattern is invalid. As `src/main.rs` of a package that depends on `regex = "1"` and `serde_json = "1"`:
//! `cargo build --release`.

use regex::Regex;
use serde_json::Value;
use std::io::{stdin, stdout, BufRead, Write};

fn answer(ask: &Value) -> Value {
    match Regex::new(ask["pattern"].as_str().expect("a pattern")) {
        Err(error) => error.to_string().into(),
        Ok(regex) => ask["texts"]
            .as_array()
            .expect("texts")
            .iter()
            .map(|text| Value::from(regex.is_match(text.as_str().expect("a text"))))
            .collect(),
    }
}

fn main() {
    for line in stdin().lock().lines() {
        let ask = serde_json::from_str(&line.expect("UTF-8")).expect("JSON");
        println!("{}", answer(&ask));
        stdout().flush().expect("somebody who reads");
    }
}
