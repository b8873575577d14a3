//! What `lazaret rules explain` finds, as it is printed with `--json` and as pages are made of it.

use serde::Serialize;
use serde_json::Value as Json;

use super::origin::Origins;
use crate::cli::actions;
use crate::domain::candidate::{Candidate, Field, Fields, Incomplete, Value};
use crate::domain::rule::{
    Explained, Judgement, Mode, Part, Response, Ruleset, Seen, Step, nearest,
};
use crate::io::{ActionLine, ActionReport, ReceiptLine};

/// All of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Content hash of the rules that are asked now.
    pub ruleset: String,
    /// The action that is asked about, as it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Acted>,
    /// What became of the alert that is asked about, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<ReceiptLine>,
    pub payload: Payload,
    /// What the rules say now.
    pub alerts: Vec<OfAlert>,
}

/// An action, and which rules decided on it.
#[derive(Debug, Serialize)]
pub struct Acted {
    #[serde(flatten)]
    pub line: ActionLine,
    pub rules: Vec<String>,
    pub ruleset: String,
}

/// Where the text of the alert is from.
#[derive(Debug, Serialize)]
pub struct Payload {
    pub from: From,
    /// In words, with what is wrong with it.
    pub said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    File,
    /// Kept with an action, or with what waits for answers.
    Store,
    Kafka,
    /// Fields that are kept with an action.
    Snapshot,
    Nowhere,
}

#[derive(Debug, Serialize)]
pub struct OfAlert {
    pub alert: String,
    pub format: Option<String>,
    /// Why values have no places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untraced: Option<String>,
    pub candidates: Vec<OfCandidate>,
}

#[derive(Debug, Serialize)]
pub struct OfCandidate {
    /// The id, or why there is none.
    pub machine: String,
    pub sha1: String,
    pub file: Option<String>,
    pub rules: Vec<OfRule>,
    /// What correlations count of it.
    pub counts: Vec<Counted>,
    /// `no_match`, `protected`, `observe`, `act`, `hold`, `enrich` or `incomplete`.
    pub outcome: &'static str,
    /// The same in a sentence, and what became of the action, where it led to one.
    pub sentence: String,
    /// Id of the rule that is nearest, where none matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Counted {
    pub correlation: String,
    pub rule: String,
}

#[derive(Debug, Serialize)]
pub struct OfRule {
    pub id: String,
    pub title: String,
    /// `quarantine`, `deny` or `count`.
    pub response: &'static str,
    #[serde(serialize_with = "word")]
    pub seen: Seen,
    /// Whether the page shows its parts.
    pub shown: bool,
    pub parts: Vec<OfPart>,
}

#[derive(Debug, Serialize)]
pub struct OfPart {
    /// How many parts it stands in.
    pub depth: usize,
    #[serde(serialize_with = "word")]
    pub seen: Seen,
    /// `not`, `all of`, `any of`, such as `1 of`, or the name of a selection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    #[serde(flatten)]
    pub leaf: Option<Leaf>,
}

#[derive(Debug, Serialize)]
pub struct Leaf {
    pub field: String,
    pub asks: String,
    /// Not there where it is absent; `null` is known to be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has: Option<Json>,
    /// The places of its value in the payload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// Where it is from, if not out of the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'static str>,
}

fn word<S: serde::Serializer>(seen: &Seen, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(seen)
}

/// The rules that are asked, and which of them are to be shown whole.
pub struct Asked<'r> {
    pub rules: &'r Ruleset,
    /// By id or by the start of a title. Empty: whichever matter.
    pub only: &'r [String],
}

impl OfCandidate {
    /// Says what became of the action that it led to, whatever the rules say now.
    pub fn led_to(&mut self, action: &ActionReport) {
        let called = !action.attempts.is_empty();
        let became = actions::became_text(&action.line.state, called);
        let by = match &action.released_by[..] {
            [] => String::new(),
            people => format!(" It was let go on by {}.", people.join(", ")),
        };
        self.sentence.push_str(&format!("{by} What became of it: {became}."));
    }
}

impl Asked<'_> {
    /// How the rules stand to a candidate that was read.
    pub fn candidate(&self, candidate: &Candidate<'_>, origins: &Origins) -> OfCandidate {
        let shown = |of: Result<String, &Incomplete>| of.unwrap_or_else(|why| why.to_string());
        let machine = shown(candidate.machine.as_ref().map(ToString::to_string));
        let sha1 = shown(candidate.sha1.as_ref().map(ToString::to_string));
        let lacks = candidate.machine.as_ref().err().or(candidate.sha1.as_ref().err());
        self.judged(machine, sha1, &candidate.fields, lacks, origins)
    }

    /// How the rules stand to these fields, and what that leads to.
    pub fn judged(
        &self,
        machine: String,
        sha1: String,
        fields: &Fields<'_>,
        lacks: Option<&Incomplete>,
        origins: &Origins,
    ) -> OfCandidate {
        let explained = self.rules.explain(fields);
        let nearest = nearest(&explained);
        let judgement = self.rules.judge(fields, Mode::Enforce);
        let nothing = matches!(judgement, Judgement::NoMatch { .. });
        let lacks = lacks.filter(|_| !nothing);
        let is_shown = |one: &Explained<'_>| match self.only {
            // Nobody asks a deny rule of what nothing would act on.
            [] if one.rule.denies() => one.seen != Seen::Fail && !nothing,
            [] if one.seen != Seen::Fail => true,
            [] => nothing && nearest.is_some_and(|nearest| nearest.rule.id == one.rule.id),
            only => only.iter().any(|name| names(&one.rule.id, &one.rule.title, name)),
        };
        let rules = explained.iter().map(|one| OfRule {
            id: one.rule.id.clone(),
            title: one.rule.title.clone(),
            response: match one.rule.response {
                Response::Deny(_) => "deny",
                Response::Count => "count",
                Response::Quarantine(_) => "quarantine",
            },
            seen: one.seen,
            shown: is_shown(one),
            parts: one.steps.iter().map(|step| part(step, fields, origins)).collect(),
        });
        let counts = self.rules.counts(fields).into_iter();
        OfCandidate {
            machine,
            sha1,
            file: match fields.get(Field::FileName) {
                Value::Text(name) => Some(name.to_string()),
                _ => None,
            },
            rules: rules.collect(),
            counts: counts
                .map(|count| Counted { correlation: count.rule, rule: count.base })
                .collect(),
            outcome: lacks.map_or_else(|| outcome(&judgement), |_| "incomplete"),
            sentence: self.sentence(&judgement, nearest, lacks),
            nearest: nearest.filter(|_| nothing).map(|one| one.rule.id.clone()),
        }
    }

    /// What the rules come to: what they would do now, not what was done.
    fn sentence(
        &self,
        judgement: &Judgement<'_>,
        nearest: Option<&Explained<'_>>,
        lacks: Option<&Incomplete>,
    ) -> String {
        if let Some(lacks) = lacks {
            return format!("So: incomplete, whatever the rules say: {lacks}.");
        }
        match judgement {
            Judgement::NoMatch { why } => match nearest {
                Some(near) => {
                    let against = near.against.iter().find(|one| one.decides);
                    let against = against.map(ToString::to_string).unwrap_or_default();
                    let title = &near.rule.title;
                    let nearest = format!("The nearest is {title:?}: {against}.");
                    format!("So: the rules would do nothing: {why}. {nearest}")
                }
                None => format!("So: the rules would do nothing: {why}."),
            },
            Judgement::Protected { by } => {
                format!("So: the rules would do nothing: {} protects it.", self.all(by))
            }
            Judgement::Observe { rules } => {
                let rules = self.all(rules);
                format!("So: the rules would send nothing: {rules} matches, in mode observe.")
            }
            Judgement::Act(wanted) => {
                format!("So: the rules would let it act, as {} says.", self.name(wanted.by))
            }
            Judgement::Hold { why, .. } => {
                format!("So: the rules would hold it for a person: {why}.")
            }
            Judgement::Enrich { fields, .. } => {
                let fields: Vec<&str> = fields.iter().map(|field| field.name()).collect();
                let fields = fields.join(", ");
                format!(
                    "So: the rules would have Defender asked for {fields}, and hold what then is \
                     unknown."
                )
            }
        }
    }

    /// A rule as people know it, or its id where there is no such rule here.
    pub fn name(&self, id: &str) -> String {
        self.rules.title(id).map_or_else(|| id.to_owned(), |title| format!("{title:?}"))
    }

    /// Several of them.
    pub fn all(&self, ids: &[String]) -> String {
        ids.iter().map(|id| self.name(id)).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a rule is meant by its id, or by the start of its title.
pub fn names(id: &str, title: &str, name: &str) -> bool {
    id == name || title.to_lowercase().starts_with(&name.to_lowercase())
}

fn outcome(judgement: &Judgement<'_>) -> &'static str {
    match judgement {
        Judgement::NoMatch { .. } => "no_match",
        Judgement::Protected { .. } => "protected",
        Judgement::Observe { .. } => "observe",
        Judgement::Act(_) => "act",
        Judgement::Hold { .. } => "hold",
        Judgement::Enrich { .. } => "enrich",
    }
}

fn part(step: &Step, fields: &Fields<'_>, origins: &Origins) -> OfPart {
    let (mut said, mut leaf) = (None, None);
    match &step.part {
        Part::Selection(name) => said = Some(name.clone()),
        Part::Not => said = Some("not".to_owned()),
        Part::All => said = Some("all of".to_owned()),
        Part::Any => said = Some("any of".to_owned()),
        Part::Of(which) => said = Some(format!("{which} of")),
        Part::Leaf { field, asks, has } => {
            let (at, by) = match Field::parse(field).filter(|_| has.is_some()) {
                Some(known) => origins.of(known, fields.get(known)),
                None => (Vec::new(), None),
            };
            let as_json = |text: &String| {
                serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()))
            };
            let (field, asks, has) = (field.clone(), asks.clone(), has.as_ref().map(as_json));
            leaf = Some(Leaf { field, asks, has, at, by });
        }
    }
    OfPart { depth: step.depth, seen: step.seen, part: said, leaf }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::time::Wall;
    use crate::traffic::{RULE, SAMPLE};

    const SPARE: &str = "\
title: Spare the backup
id: 0d9c1b7e-4f5a-4c8d-9b1e-2a3f4c5d6e7f
logsource: {product: microsoft_defender}
detection:
  backup: {file.name: backup.exe}
  condition: backup
response: {action: deny}
";

    #[test]
    fn what_became_of_an_action_is_said_with_who_let_it_go_on_and_whether_it_was_called() {
        let expired = |released_by: &[&str]| -> ActionReport {
            serde_json::from_value(json!({
                "id": "0198c2f4-0000-7000-8000-000000000001", "tenant": "contoso",
                "machine": "a".repeat(40), "sha1": "b".repeat(40), "alert_id": "da1_1",
                "class": "urgent", "created": Wall(0), "changed": Wall(0), "state": "expired",
                "comment": "c", "expires": Wall(9), "rules": [], "ruleset": "", "candidate": {},
                "raw": null, "delivery": {"via": "webhook", "source": "siem", "id": null},
                "attempts": [], "changes": [], "released_by": released_by,
            }))
            .unwrap()
        };
        let said = |action: &ActionReport| {
            let mut of = OfCandidate {
                machine: String::new(),
                sha1: String::new(),
                file: None,
                rules: Vec::new(),
                counts: Vec::new(),
                outcome: "act",
                sentence: "So: the rules would let it act.".to_owned(),
                nearest: None,
            };
            of.led_to(action);
            of.sentence
        };
        let (rules, became) =
            ("So: the rules would let it act.", "What became of it: it expired, and was never");
        assert_eq!(said(&expired(&[])), format!("{rules} {became} called."));
        let by = "It was let go on by token ana, token bo.";
        let released = expired(&["token ana", "token bo"]);
        assert_eq!(said(&released), format!("{rules} {by} {became} called."));
    }

    #[test]
    fn what_rules_hold_is_said_as_what_they_would_do_now() {
        let dir = tempfile::tempdir().unwrap();
        let sample = dir.path().join(SAMPLE.0);
        std::fs::create_dir_all(sample.parent().unwrap()).unwrap();
        std::fs::write(sample, SAMPLE.1).unwrap();
        std::fs::write(dir.path().join("rule.yml"), RULE).unwrap();
        std::fs::write(dir.path().join("spare.yml"), SPARE).unwrap();
        let loaded = crate::rules::load(dir.path(), Wall(0)).unwrap_or_else(|why| panic!("{why}"));
        let asked = Asked { rules: &loaded.ruleset, only: &[] };
        // Nobody knows the file's name.
        let fields = json!({
            "alert.severity": "high", "file.entity": "file", "file.detection_status": "detected",
        });
        let fields = fields.to_string();
        let fields = Fields::from_snapshot(&fields, Wall(0)).unwrap();
        let (machine, sha1) = ("a".repeat(40), "b".repeat(40));
        let of = asked.judged(machine, sha1, &fields, None, &Origins::default());
        assert_eq!(of.outcome, "hold");
        assert!(of.sentence.starts_with("So: the rules would hold it for a person: "), "{of:?}");
    }
}
