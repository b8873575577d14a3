//! What was found, for people.

use crate::cli::actions::{self, shortened};
use crate::cli::style::{Style, beside, clean};
use crate::domain::decision::{CandidateAnswer, Decision};
use crate::domain::rule::Seen;
use crate::io::ReceiptLine;

use super::report::{Acted, Asked, From, Leaf, OfAlert, OfCandidate, OfPart, OfRule, Report};

/// Longer patterns are cut: they stand in the rule.
const ASKS_CHARS: usize = 48;

/// Places that are shown of one value.
const PLACES: usize = 3;

pub struct Page<'r> {
    pub style: Style,
    /// For the titles of rules.
    pub asked: &'r Asked<'r>,
}

impl Page<'_> {
    pub fn of(&self, report: &Report) -> String {
        let mut text = String::new();
        if let Some(acted) = &report.action {
            text.push_str(&self.acted(acted, &report.ruleset));
        }
        for (at, receipt) in report.receipts.iter().enumerate() {
            if at == 0 {
                text.push_str(&beside("alert ", 6, &clean(&receipt.alert)));
            }
            text.push_str(&self.receipt(receipt, &report.ruleset));
        }
        if report.payload.from != From::File {
            text.push_str(&beside("", 0, &clean(&report.payload.said)));
        }
        if report.payload.from != From::File && !report.alerts.is_empty() {
            text.push_str("What the rules here say of it, with the age that it has now:\n");
        }
        for alert in &report.alerts {
            text.push_str(&self.alert(alert, report));
        }
        text
    }

    fn acted(&self, acted: &Acted, here: &str) -> String {
        let line = &acted.line;
        let mut text = format!("action {}\n", line.id);
        text.push_str(&beside("  machine  ", 11, &line.key.machine.to_string()));
        text.push_str(&beside("  sha1     ", 11, &line.key.sha1.to_string()));
        let then = format!(
            "Decided at {} by {}, of the rule set {}. It is {} now.",
            line.created,
            self.asked.all(&acted.rules),
            set(&acted.ruleset, here),
            line.state.name(),
        );
        text.push_str(&beside("", 0, &clean(&then)));
        text
    }

    fn receipt(&self, line: &ReceiptLine, here: &str) -> String {
        let fate = line.fate.as_str().replace('_', " ");
        let tenant = line.tenant.as_ref().map(|name| format!(" for tenant {name}"));
        let by = line.ruleset.as_ref().map(|by| format!(", by the rule set {}", set(by, here)));
        let (tenant, by) = (tenant.unwrap_or_default(), by.unwrap_or_default());
        let from = actions::delivery_text(&line.delivery);
        let mut said = format!("{}: {fate}{tenant}, from {from}{by}.", line.at);
        let candidates: Vec<CandidateAnswer> =
            serde_json::from_value(line.candidates.clone()).unwrap_or_default();
        if candidates.is_empty() && !line.reason.is_empty() {
            said.push_str(&format!(" {}.", line.reason));
        }
        let mut text = beside("  ", 2, &clean(&said));
        for one in &candidates {
            let named = [("machine", &one.machine), ("file", &one.sha1)];
            let named = named.into_iter().filter(|(_, id)| !id.is_empty());
            let named: Vec<_> = named.map(|(what, id)| format!("{what} {id}")).collect();
            let named = if named.is_empty() { "a file".to_owned() } else { named.join(", ") };
            let said = format!("{named}: {}", self.decision(&one.decision));
            text.push_str(&beside("    ", 4, &clean(&said)));
        }
        text
    }

    fn decision(&self, decision: &Decision) -> String {
        let all = |ids: &[String]| self.asked.all(ids);
        match decision {
            Decision::Act { action, rules, released } => {
                let how = if *released { "let go on" } else { "acted" };
                format!("{how} as action {action}, by {}", all(rules))
            }
            Decision::Hold { action, why, rules } => {
                format!("held as action {action}, by {}: {why}", all(rules))
            }
            Decision::Protected { by } => format!("protected by {}", all(by)),
            Decision::Observe { rules } => format!("observed only, by {}", all(rules)),
            Decision::Duplicate { of, why } => format!("a duplicate of action {of}: {why}"),
            Decision::Incomplete { what } => format!("incomplete: {what}"),
            Decision::TooOld { why } => format!("too old: {why}"),
            Decision::NoMatch { why } => format!("no match: {why}"),
        }
    }

    fn alert(&self, alert: &OfAlert, report: &Report) -> String {
        let mut text = String::new();
        let is_file = report.payload.from == From::File;
        if let (true, Some(format)) = (is_file, &alert.format) {
            text.push_str(&format!("alert {}, as {format}\n", clean(&alert.alert)));
        }
        if alert.candidates.is_empty() {
            text.push_str("It names no file, so there is nothing to judge.\n");
        }
        if let Some(why) = &alert.untraced {
            let said = format!("Where its values stand is not shown: {why}.");
            text.push_str(&beside("", 0, &clean(&said)));
        }
        let all = alert.candidates.len();
        for (at, candidate) in alert.candidates.iter().enumerate() {
            // An action has said which it is.
            if report.action.is_none() {
                let name = candidate.file.as_ref().map(|name| format!(": {}", clean(name)));
                let name = name.unwrap_or_default();
                text.push_str(&format!("\nfile {} of {all}{name}\n", at + 1));
                text.push_str(&beside("  machine  ", 11, &clean(&candidate.machine)));
                text.push_str(&beside("  sha1     ", 11, &clean(&candidate.sha1)));
            }
            text.push_str(&self.candidate(candidate));
        }
        text
    }

    fn candidate(&self, candidate: &OfCandidate) -> String {
        let mut text: String = candidate.rules.iter().map(|rule| self.rule(rule)).collect();
        for count in &candidate.counts {
            let (rule, base) = (self.asked.name(&count.correlation), self.asked.name(&count.rule));
            let counts = format!("It counts for {rule}, since {base} matches.");
            text.push_str(&beside("", 0, &clean(&counts)));
        }
        text.push_str(&beside("", 0, &clean(&candidate.sentence)));
        text
    }

    fn rule(&self, rule: &OfRule) -> String {
        let response = match rule.response {
            "quarantine" => String::new(),
            other => format!("{other}: "),
        };
        let head = format!("  {}  ", self.mark(rule.seen));
        let mut text = beside(&head, 11, &clean(&format!("{response}{}", rule.title)));
        if rule.shown {
            rule.parts.iter().for_each(|part| text.push_str(&self.part(part)));
        }
        text
    }

    fn part(&self, part: &OfPart) -> String {
        let said = match &part.leaf {
            Some(leaf) => said(leaf),
            None => part.part.clone().unwrap_or_default(),
        };
        let width = 13 + 2 * part.depth;
        let indent = " ".repeat(2 * part.depth);
        beside(&format!("    {}  {indent}", self.mark(part.seen)), width, &clean(&said))
    }

    fn mark(&self, seen: Seen) -> String {
        let word = format!("{seen:7}");
        match seen {
            Seen::Pass => self.style.good(word),
            Seen::Fail => self.style.bad(word),
            Seen::Unknown => self.style.notice(word),
        }
    }
}

fn said(leaf: &Leaf) -> String {
    let has = match &leaf.has {
        None => "absent".to_owned(),
        Some(serde_json::Value::Null) => "empty".to_owned(),
        Some(has) => has.to_string(),
    };
    let from = match (leaf.at.len(), leaf.by) {
        (_, Some(by)) => format!(", {by}"),
        (0, None) => String::new(),
        (all, None) if all > PLACES => {
            format!(", at {} and {} more", leaf.at[..PLACES].join(", "), all - PLACES)
        }
        _ => format!(", at {}", leaf.at.join(", ")),
    };
    format!("{} {}: {has}{from}", leaf.field, shortened(&leaf.asks, ASKS_CHARS))
}

/// A rule set by its hash, beside the one that is asked now.
fn set(hash: &str, here: &str) -> String {
    let which = if hash == here { ", the one here" } else { "; the one here is another" };
    format!("{hash:.12}{which}")
}
