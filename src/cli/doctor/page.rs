//! The findings as a tired person reads them: one line each, many of a kind in few, and at the end
//! what to mend first.

use super::{Finding, Health};
use crate::cli::style::{Style, beside, clean};
use crate::limits::{DOCTOR_LINES, DOCTOR_SAMPLES};

/// Longer names of checks push what is said of them to the right.
const NAME_COLUMNS: usize = 22;

/// The whole page.
pub(super) fn page(style: Style, findings: &[Finding]) -> String {
    let shown = folded(findings);
    let widest = shown.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let names = widest.min(NAME_COLUMNS);
    let mut page: String = shown.iter().map(|finding| line(style, finding, names)).collect();
    page.push('\n');
    page.push_str(&summary(style, findings));
    page
}

/// `names` is how wide the names of checks are.
fn line(style: Style, finding: &Finding, names: usize) -> String {
    let mark = match finding.health {
        Health::Ok => style.good("ok  "),
        Health::Warn => style.notice("warn"),
        Health::Fail => style.bad("FAIL"),
    };
    let check = format!("{:<names$}", finding.check);
    let width = "FAIL".len() + 2 + check.chars().count() + 2;
    beside(&format!("{mark}  {check}  "), width, &clean(&finding.text))
}

/// `3 fail, 2 warn, 14 ok`, and the first of what is worst: later checks may fail because of it.
fn summary(style: Style, findings: &[Finding]) -> String {
    let count = |health| findings.iter().filter(|finding| finding.health == health).count();
    let (fail, warn, ok) = (count(Health::Fail), count(Health::Warn), count(Health::Ok));
    let counts = format!("{fail} fail, {warn} warn, {ok} ok");
    let worst = findings.iter().map(|finding| finding.health).max().unwrap_or(Health::Ok);
    if worst == Health::Ok {
        return format!("{}\n", style.good(counts));
    }
    let Some(first) = findings.iter().find(|finding| finding.health == worst) else {
        return String::new();
    };
    let counts = if worst == Health::Fail { style.bad(counts) } else { style.notice(counts) };
    let which = if worst == Health::Fail { "Mend first" } else { "Look first at" };
    let head = format!("{which}: ");
    let text = clean(&format!("{}: {}", first.check, first.text));
    format!("{counts}\n{}", beside(&head, head.chars().count(), &text))
}

/// Of more than [`DOCTOR_LINES`] findings of one kind, such as tenants, [`DOCTOR_SAMPLES`] that
/// fail and as many that warn are shown each; the others stand in a line for each health.
fn folded(findings: &[Finding]) -> Vec<Finding> {
    let kind = |finding: &Finding| finding.check.split(' ').next().unwrap_or_default().to_owned();
    let mut shown = Vec::new();
    for group in findings.chunk_by(|a, b| kind(a) == kind(b)) {
        if group.len() <= DOCTOR_LINES {
            shown.extend(group.iter().cloned());
            continue;
        }
        for health in [Health::Fail, Health::Warn, Health::Ok] {
            let of: Vec<_> = group.iter().filter(|finding| finding.health == health).collect();
            let samples = if health == Health::Ok { 0 } else { DOCTOR_SAMPLES };
            shown.extend(of.iter().take(samples).map(|finding| (*finding).clone()));
            let rest = &of[samples.min(of.len())..];
            if !rest.is_empty() {
                shown.push(rest_of(&kind(rest[0]), health, rest, group.len()));
            }
        }
    }
    shown
}

fn rest_of(kind: &str, health: Health, rest: &[&Finding], all: usize) -> Finding {
    let count = rest.len();
    let text = match health {
        Health::Ok => format!("{count} of {all} are ok"),
        Health::Warn | Health::Fail => {
            let same = rest.iter().filter(|finding| finding.text == rest[0].text).count();
            let more = if health == Health::Fail { "fail" } else { "warn" };
            let names = rest.iter().filter_map(|finding| finding.check.split_once(' '));
            let names: Vec<_> = names.map(|(_, name)| name).take(DOCTOR_LINES).collect();
            let names = match names.is_empty() {
                true => String::new(),
                false if names.len() < count => format!(", as {}, …", names.join(", ")),
                false => format!(": {}", names.join(", ")),
            };
            let how = if same == count { " for one reason" } else { "" };
            format!("{count} more {more}{how}{names}; `lazaret doctor --json` has all of them")
        }
    };
    Finding::new(kind, health, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(count: usize, health: Health) -> Vec<Finding> {
        (0..count).map(|n| Finding::new(&format!("tenant t{n}"), health, "a token")).collect()
    }

    #[test]
    fn findings_fit_80_columns() {
        let long = "the kernel says the clock is not synchronised: run an NTP client, else \
                    signatures are refused and windows wait longer after a reboot";
        for check in ["clock", &format!("tenant {}", "contoso-".repeat(8))] {
            let shown = line(Style::plain(), &Finding::new(check, Health::Warn, long), 16);
            assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
            let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words, format!("warn {check} {long}"));
        }
    }

    #[test]
    fn the_end_counts_and_names_the_first_of_the_worst() {
        let of = |check: &str, health| Finding::new(check, health, format!("mend {check}"));
        let findings = [
            of("rules", Health::Ok),
            of("clock", Health::Warn),
            of("store", Health::Fail),
            of("tenant a", Health::Fail),
        ];
        let end = summary(Style::plain(), &findings);
        assert_eq!(end, "2 fail, 1 warn, 1 ok\nMend first: store: mend store\n");
        let end = summary(Style::plain(), &findings[..2]);
        assert_eq!(end, "0 fail, 1 warn, 1 ok\nLook first at: clock: mend clock\n");
        assert_eq!(summary(Style::plain(), &findings[..1]), "0 fail, 0 warn, 1 ok\n");
    }

    #[test]
    fn a_thousand_tenants_are_a_sample_and_a_count() {
        let mut findings = many(990, Health::Ok);
        findings.extend(many(7, Health::Fail));
        findings.extend(many(3, Health::Warn));
        let page = page(Style::plain(), &findings);
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
        assert_eq!(page.matches("FAIL  tenant t").count(), DOCTOR_SAMPLES, "{page}");
        let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("4 more fail for one reason: t3, t4, t5, t6;"), "{page}");
        assert!(words.contains("ok tenant 990 of 1000 are ok"), "{page}");
        assert!(words.contains("7 fail, 3 warn, 990 ok"), "{page}");
        assert_eq!(folded(&many(DOCTOR_LINES, Health::Ok)).len(), DOCTOR_LINES);
    }
}
