//! A mistake in the file, shown with its place: never with what may be a secret. Errors end in logs
//! and on screens, and people paste secrets where none belongs.

use std::path::Path;

use serde_saphyr::Location;

/// Values that are longer may be secrets: of those only the first [`KEPT`] characters are shown.
const PLAIN: usize = 20;
const KEPT: usize = 4;

/// On a line with one of these, or somewhere below it, values are not shown at all.
const SENSITIVE: [&str; 5] = ["secret", "token", "password", "credential", "notify"];

/// `file:line:column: message`, the line, and a caret under the place.
pub(super) fn located(path: &Path, text: &str, why: &serde_saphyr::Error) -> String {
    let why = why.without_snippet();
    let message = why.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let message = message.lines().next().unwrap_or_default();
    let Some(at) = why.location() else {
        return format!("{}: {}", path.display(), masked(&unquoted(message)));
    };
    // Where somebody has written a secret itself, the message must not carry it into a log.
    let line = text.lines().nth(index(at)).unwrap_or_default();
    if is_sensitive(line) || (message.contains("file") && message.contains("env")) {
        let message = "this line is wrong, and not shown since it may hold a secret: a secret is \
                       written {file: PATH} or {env: NAME}";
        return format!("{}:{}:{}: {message}", path.display(), at.line(), at.column());
    }
    let message = message.split(" at line ").next().unwrap_or(message);
    let message = match may_hold_secret(text, at) {
        true => masked(&unquoted(message)),
        false => masked(message),
    };
    placed(path, text, at, &message)
}

/// The same with a message of our own, which holds no secret; the line might.
pub(super) fn placed(path: &Path, text: &str, at: Location, message: &str) -> String {
    let said = format!("{}:{}:{}: {message}", path.display(), at.line(), at.column());
    if may_hold_secret(text, at) {
        return said;
    }
    let line = text.lines().nth(index(at)).unwrap_or_default();
    let before: String = line.chars().take((at.column() as usize).saturating_sub(1)).collect();
    let caret = " ".repeat(masked(&before).chars().count());
    format!("{said}\n  | {}\n  | {caret}^", masked(line))
}

fn index(at: Location) -> usize {
    (at.line() as usize).saturating_sub(1)
}

fn is_sensitive(line: &str) -> bool {
    SENSITIVE.iter().any(|word| line.contains(word))
}

/// Whether the line, or one of those that it lies below by their indentation, says so. Entries of a
/// list may stand as far to the left as its key.
fn may_hold_secret(text: &str, at: Location) -> bool {
    let indent = |line: &str| {
        let rest = line.trim_start();
        2 * (line.len() - rest.len()) + usize::from(rest.starts_with("- "))
    };
    let lines: Vec<_> = text.lines().take(index(at) + 1).collect();
    let mut left = usize::MAX;
    let is_blank = |line: &&&str| line.trim().is_empty() || line.trim_start().starts_with('#');
    lines.iter().rev().filter(|line| !is_blank(line)).any(|line| {
        let is_above = indent(line) < left;
        left = left.min(indent(line));
        is_above && is_sensitive(line)
    })
}

/// Without what stands in quotes: the values of which a parser complains.
fn unquoted(message: &str) -> String {
    let parts = message.split('"').enumerate();
    let parts: Vec<_> = parts.map(|(at, part)| if at % 2 == 1 { "…" } else { part }).collect();
    parts.join("\"")
}

/// Without long words.
fn masked(text: &str) -> String {
    let word = |word: &str| match word.chars().nth(PLAIN) {
        Some(_) => word.chars().take(KEPT).chain(['…']).collect(),
        None => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const EXAMPLE: &str = include_str!("../../lazaret.example.yaml");
    /// Of the kind that people paste, and a short one.
    const SECRETS: [&str; 2] = ["eyJ0eXAiOiJKV1QiLCJhbGciOi", "hunter2"];

    /// What is said where this part of the example is replaced.
    fn said(part: &str, by: &str) -> String {
        assert!(EXAMPLE.contains(part), "the example has no {part:?}");
        let text = EXAMPLE.replacen(part, by, 1);
        Config::parse(&text, Path::new("lazaret.yaml")).unwrap_err().to_string()
    }

    #[test]
    fn what_was_pasted_into_the_wrong_place_is_not_repeated() {
        for secret in SECRETS {
            let credential = "      secret: {file: secrets/contoso}\n";
            let token = "      - name: alice ";
            for (part, by, says) in [
                (
                    credential,
                    format!("      workload_identity: {secret}\n"),
                    "true, or {file: PATH}",
                ),
                (credential, format!("      managed_identity: {secret}\n"), "write system"),
                (
                    token,
                    format!("      - {{name: eve, role: boss, sha256: {secret}}}\n{token}"),
                    "boss",
                ),
                (
                    "# notify:\n",
                    format!(
                        "notify:\n- name: soc\n  webhook: {{url: 'https://a/{secret}', uri: x}}\n#"
                    ),
                    "uri",
                ),
                ("node: lazaret-1 ", format!("node: a\nnodes: {} ", SECRETS[0]), "nodes"),
            ] {
                let said = said(part, &by);
                assert!(said.starts_with("lazaret.yaml:") && said.contains(says), "{by}: {said}");
                assert!(SECRETS.iter().all(|secret| !said.contains(secret)), "{by}: {said}");
            }
        }
    }

    #[test]
    fn what_is_long_is_cut_in_the_line_and_the_caret_still_points() {
        let said = said("    region: eu ", "    regions: https://eu.api.contoso.example ");
        let lines: Vec<_> = said.lines().collect();
        assert!(lines[1].starts_with("  |     regions: http… "), "{said}");
        assert_eq!(lines[2], "  |     ^", "{said}");
    }
}
