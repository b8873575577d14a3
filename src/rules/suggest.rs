//! "Did you mean": the nearest of the names that would have been right.

use crate::domain::candidate::Field;

/// How many characters of a text of a file a message repeats.
const QUOTED_CHARS: usize = 60;

/// Names of fields elsewhere, in small letters, and what is asked for here instead.
const ELSEWHERE: [(&str, &str); 28] = [
    ("image", "file.path (the directory) and file.name"),
    ("targetfilename", "file.path (the directory) and file.name"),
    ("folderpath", "file.path"),
    ("commandline", "nothing: an alert has no command line of a file; see alert.title"),
    ("parentimage", "nothing: a rule judges the file itself, not what started it"),
    ("originalfilename", "nothing: the name inside of a file is not known; file.name is on disk"),
    ("user", "machine.users"),
    ("signed", "file.signer, as in file.signer: '*' for signed by somebody"),
    ("signature", "file.signer"),
    ("signaturestatus", "file.signer: one that does not hold counts as none"),
    ("company", "file.publisher"),
    ("product", "nothing: see file.publisher and file.signer"),
    ("process.name", "file.name"),
    ("hashes", "file.sha1 or file.sha256"),
    ("file.hash.sha1", "file.sha1"),
    ("file.hash.sha256", "file.sha256"),
    ("filehash", "file.sha1 or file.sha256"),
    ("devicename", "machine.name"),
    ("computername", "machine.name"),
    ("computerdnsname", "machine.name"),
    ("computer", "machine.name"),
    ("hostname", "machine.name"),
    ("host.name", "machine.name"),
    ("deviceid", "machine.id"),
    ("osplatform", "machine.os"),
    ("threatname", "alert.threat"),
    ("threatfamilyname", "alert.family"),
    ("mitretechniques", "alert.techniques"),
];

/// That there is no field of this name, and which may be meant.
pub(super) fn no_field(name: &str) -> String {
    let names = || Field::ALL.iter().map(|field| field.name());
    let no = format!("there is no field {}", quoted(name).trim_matches('"'));
    if ["alert", "machine", "file"].contains(&name) {
        let example = if name == "alert" { "category" } else { "name" };
        return format!("{no}; fields are written with a dot, as {name}.{example}");
    }
    let meant = did_you_mean(name, names());
    if !meant.is_empty() {
        return no + &meant;
    }
    let small = name.to_lowercase();
    if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == small) {
        return format!("{no}; here it is {ours}");
    }
    let (namespace, last) = small.split_once('.').unwrap_or(("", &small));
    let bare = |text: &str| text.replace('_', "");
    let ends = |name: &&str| name.split_once('.').is_some_and(|(_, end)| bare(end) == bare(last));
    let alike: Vec<&str> = names().filter(ends).collect();
    if namespace.is_empty() && !alike.is_empty() {
        return format!("{no}; did you mean {}?", alike.join(" or "));
    }
    let inside: Vec<&str> =
        names().filter_map(|name| name.strip_prefix(namespace)?.strip_prefix('.')).collect();
    match inside.is_empty() {
        true => format!("{no}; fields are alert.…, machine.… and file.…, such as file.name"),
        false => format!("{no}; {namespace} has {}", inside.join(", ")),
    }
}

/// A text of a file as messages repeat it: as it is written, and not at any length.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        None => format!("\"{text}\""),
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
    }
}

/// `; did you mean NAME?` for the nearest candidate, or nothing where none is near.
pub fn did_you_mean<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    let lower = written.to_lowercase();
    // Of `alert.severity` only the last part tells names apart.
    let telling = lower.rsplit('.').next().unwrap_or(&lower).chars().count();
    let most = (telling / 3).clamp(1, 3);
    let far = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let begun = telling >= 3 && candidate.starts_with(&lower);
        // Who writes quite another word begins it otherwise; who slips rarely does.
        let other = candidate.chars().next() != lower.chars().next();
        match distance(&lower, &candidate) {
            _ if begun => 1,
            far if far > 1 && other => usize::MAX,
            far => far,
        }
    };
    candidates
        .into_iter()
        .map(|candidate| (far(candidate), candidate))
        .filter(|(far, _)| *far <= most)
        .min()
        .map_or_else(String::new, |(_, nearest)| format!("; did you mean {nearest}?"))
}

/// Insertions, deletions, substitutions and swaps of neighbours from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let names = ["alert.severity", "alert.severity_rank", "file.sha1", "file.sha256"];
        assert_eq!(did_you_mean("alert.severty", names), "; did you mean alert.severity?");
        assert_eq!(did_you_mean("file.SHA1", names), "; did you mean file.sha1?");
        assert_eq!(did_you_mean("alert.sev", names), "; did you mean alert.severity?");
        assert_eq!(did_you_mean("titel", ["tests", "title"]), "; did you mean title?");
        assert_eq!(did_you_mean("process.parent", names), "");
        assert_eq!(did_you_mean("created", ["related"]), "");
    }

    #[test]
    fn a_field_of_another_product_is_translated() {
        for (written, wanted) in [
            ("Image", "; here it is file.path (the directory) and file.name"),
            ("severity", "; did you mean alert.severity?"),
            ("name", "; did you mean machine.name or file.name?"),
            ("DetectionStatus", "; did you mean file.detection_status?"),
            ("EventID", "; fields are alert.…, machine.… and file.…, such as file.name"),
        ] {
            assert_eq!(no_field(written), format!("there is no field {written}{wanted}"));
        }
        let listed = no_field("file.status");
        assert!(listed.starts_with("there is no field file.status; file has sha1, sha256, name,"));
    }

    #[test]
    fn a_long_text_is_repeated_in_part() {
        assert_eq!(quoted(r"C:\Temp"), r#""C:\Temp""#);
        let long = quoted(&"ä".repeat(100));
        assert_eq!(long, format!("\"{}…\"", "ä".repeat(60)));
    }
}
