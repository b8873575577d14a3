//! Heads of chains that were kept elsewhere, found again in whatever kept them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde::Deserialize as _;
use serde_json::Value;

use crate::io::ChainHead;

/// Every head in a file: in each line, the JSON objects with a chain, a sequence and a hash,
/// wherever they stand in it. Other lines and other keys do not matter, so a log will do.
pub(super) fn read(file: &Path) -> Result<Vec<ChainHead>, String> {
    let place = file.display();
    let opened = std::fs::File::open(file).map_err(|why| format!("cannot read {place}: {why}"))?;
    let mut heads = Vec::new();
    for line in BufReader::new(opened).split(b'\n') {
        let line = line.map_err(|why| format!("cannot read {place}: {why}"))?;
        let mut rest = &line[..];
        // What stands around the objects is of whoever collected the log.
        while let Some(start) = rest.iter().position(|byte| *byte == b'{') {
            rest = &rest[start..];
            let mut json = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
            let value = json.next();
            let end = json.byte_offset();
            if let Some(Ok(value)) = value {
                find(&value, &mut heads);
                rest = &rest[end..];
            } else {
                rest = &rest[1..];
            }
        }
    }
    if heads.is_empty() {
        return Err(format!(
            "{place} holds no head of a chain: give it lines of `lazaret audit head --json`, or a \
             log that has them"
        ));
    }
    heads.sort_unstable_by(|a, b| (&a.chain, a.sequence).cmp(&(&b.chain, b.sequence)));
    heads.dedup_by(|a, b| (&a.chain, a.sequence, &a.hash) == (&b.chain, b.sequence, &b.hash));
    Ok(heads)
}

fn find(value: &Value, heads: &mut Vec<ChainHead>) {
    match value {
        Value::Object(object) => {
            if let Ok(head) = ChainHead::deserialize(value)
                && head.hash.len() == 64
            {
                heads.push(head);
            }
            object.values().for_each(|inner| find(inner, heads));
        }
        Value::Array(values) => values.iter().for_each(|inner| find(inner, heads)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_in_lines_of_their_own_and_in_logs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("heads");
        let head = |chain: &str, sequence: u64| {
            let hash = "ab".repeat(32);
            format!(
                r#"{{"chain":"{chain}","sequence":{sequence},"hash":"{hash}","at":"2026-11-24"}}"#
            )
        };
        let lines = [
            head("contoso", 41),
            head("contoso", 41),
            format!("2026-11-24 host lazaret[7]: {} trailing", head("fabrikam", 3)),
            format!(r#"{{"level":"INFO","data":{{"heads":[{},{}]}}}}"#, head("*", 1), head("*", 2)),
            head("*", 9).replace('{', r#"{"level":"INFO","target":"lazaret::audit","#),
            "not JSON {at all".to_owned(),
            "{\"chain\":\"contoso\"}".to_owned(),
            format!("[{}, {}]", head("x", 5), head("x", 6)),
        ];
        std::fs::write(&file, lines.join("\n")).unwrap();
        let found = read(&file).unwrap();
        let found: Vec<_> = found.iter().map(|h| (h.chain.as_str(), h.sequence)).collect();
        let none = [("*", 1), ("*", 2), ("*", 9)];
        let named = [("contoso", 41), ("fabrikam", 3), ("x", 5), ("x", 6)];
        assert_eq!(found, [&none[..], &named].concat());
        std::fs::write(&file, "nothing here\n").unwrap();
        assert!(read(&file).unwrap_err().contains("no head"));
        assert!(read(&dir.path().join("none")).unwrap_err().contains("cannot read"));
    }
}
