//! `on_timed_out` and `on_failed`: what becomes of an action that Defender says was not done.

use super::notes::Notes;
use super::suggest::{did_you_mean, quoted};
use super::yaml::{At, Node};
use crate::domain::action::OnEnd;
use crate::limits::RETRIES_MAX;

const WORDS: [&str; 2] = ["give up", "hold"];

/// Reads the value of that key. What is wrong counts as `give up`, beside its error.
pub(super) fn read(notes: &mut Notes<'_>, node: &At<Node>, key: &str) -> OnEnd {
    let how = format!("write {key}: give up, hold, or {{retry: 3}}");
    match &node.value {
        Node::Text(text) if text == "give up" => return OnEnd::GiveUp,
        Node::Text(text) if text == "hold" => return OnEnd::Hold,
        Node::Text(text) if text == "retry" => {
            let why = format!("{key}: retry does not say how often; write {key}: {{retry: 3}}");
            notes.error(&node.place, why);
        }
        Node::Text(text) => {
            let written = text.replace(['_', '-'], " ");
            let meant = did_you_mean(&written, WORDS);
            notes.error(&node.place, format!("{key} is {}; {how}{meant}", quoted(text)));
        }
        Node::Map(entries) if !entries.is_empty() => {
            let mut read = OnEnd::GiveUp;
            for (name, value) in entries {
                match name.value.as_str() {
                    "retry" => read = times(notes, value).map_or(read, OnEnd::Retry),
                    _ => notes.unknown_key(name, key, &["retry"]),
                }
            }
            return read;
        }
        other => notes.error(&node.place, format!("{key} is {}; {how}", other.kind())),
    }
    OnEnd::GiveUp
}

fn times(notes: &mut Notes<'_>, node: &At<Node>) -> Option<u32> {
    let times = match &node.value {
        Node::Integer(times) => u32::try_from(*times).ok(),
        _ => None,
    };
    let times = times.filter(|times| (1..=RETRIES_MAX).contains(times));
    if times.is_none() {
        let why =
            format!("retry is a number from 1 to {RETRIES_MAX}: how often it is called again");
        notes.error(&node.place, format!("{why}, at most"));
    }
    times
}
