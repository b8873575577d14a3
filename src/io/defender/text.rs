//! Texts from outside, made fit for a log line, a table cell or an error.

use std::error::Error;

/// Characters that are kept of a text from outside.
const TEXT_CHARS: usize = 256;

/// Bounded, and without anything that could steer a terminal or break a line.
pub fn one_line(text: &str) -> String {
    text.chars().take(TEXT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// An error and what caused it, down to the operating system's own words.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    one_line(&text)
}
