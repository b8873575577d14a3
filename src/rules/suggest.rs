//! "Did you mean": the nearest of the names that would have been right.

/// `; did you mean NAME?` for the nearest candidate, or nothing where none is near.
pub(super) fn did_you_mean<'c>(
    written: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> String {
    let lower = written.to_lowercase();
    // Of `alert.severity` only the last part tells names apart.
    let telling = lower.rsplit('.').next().unwrap_or(&lower).chars().count();
    let most = (telling / 3).clamp(1, 3);
    let far = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let begun = telling >= 3 && candidate.starts_with(&lower);
        if begun { 1 } else { distance(&lower, &candidate) }
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
    }
}
