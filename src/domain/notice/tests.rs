//! Which changes are told, in which words, and that no cut of the record loses or doubles one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::domain::action::{Approvals, StateName};
use crate::domain::breaker::Breaker;
use crate::domain::ids::{MachineId, Sha1};
use crate::domain::scope::Scope;

fn file() -> Sha1 {
    Sha1::from_bytes([0xc4; 20])
}

fn key(machine: u8) -> EffectKey {
    let (tenant, machine) = (TenantName::new("contoso"), MachineId::from_bytes([machine; 20]));
    EffectKey { tenant, machine, sha1: file() }
}

fn change(what: What) -> Change {
    Change {
        tenant: Some(TenantName::new("contoso")),
        actor: Actor::Lazaret,
        reason: "because".to_owned(),
        at: Wall(1_790_000_000_000_000),
        what,
    }
}

fn held(number: u128, why: HoldWhy) -> Change {
    let state = State::Held { why, approvals: Approvals::default() };
    change(What::Created { action: ActionId(Uuid::from_u128(number)), state })
}

fn by_breaker() -> HoldWhy {
    HoldWhy::Breaker { breaker: Breaker::MachinesPerFile, scope: Scope::Sha1(file()) }
}

fn told(changes: &[Change]) -> Vec<Message> {
    let mut batch = Batch::default();
    for (position, change) in (1..).zip(changes) {
        if let Some(notice) = Notice::of(change, Some(&key(1))) {
            batch.add(position, notice);
        }
    }
    batch.messages()
}

#[test]
fn a_storm_is_one_message() {
    let storm: Vec<_> = (0..475).map(|n| held(n, by_breaker())).collect();
    let messages = told(&storm);
    assert_eq!(messages.len(), 1);
    assert_eq!(
        messages[0].summary,
        format!(
            "475 actions of tenant contoso are held: breaker machines_per_file holds file {}; \
             lazaret actions list --held --tenant contoso",
            file()
        )
    );
    assert_eq!(messages[0].examples.len(), 10);
    let json = serde_json::to_value(&messages[0]).unwrap();
    assert_eq!(json["examples"][0]["sha1"], file().to_string());
    assert_eq!(json["examples"][0]["machine"], "01".repeat(20));
}

#[test]
fn each_kind_says_what_happened_and_how_to_go_on() {
    let action = ActionId(Uuid::from_u128(1));
    let moved = |to| What::Moved { action, from: StateName::Accepted, to };
    let rule = || "rule-1".to_owned();
    let fields = || vec!["file.signer".to_owned()];
    let scope = Scope::Tenant(TenantName::new("contoso"));
    for (change, kind, parts) in [
        (held(1, HoldWhy::Returns), Kind::Held, ["1 action of tenant contoso is held", "--held"]),
        (
            held(1, HoldWhy::Protection { rule: rule(), fields: fields(), told: String::new() }),
            Kind::ProtectionUnknown,
            ["rule-1 does not know file.signer", "--held"],
        ),
        (
            change(What::Tripped { breaker: Breaker::TenantActions, scope: scope.clone() }),
            Kind::Breaker,
            ["tenant_actions has tripped", "lazaret resume --tenant contoso --reason"],
        ),
        (
            change(What::Paused { scope }),
            Kind::Paused,
            ["tenant contoso is paused by lazaret: because", "resume --tenant contoso"],
        ),
        (
            change(moved(State::Refused { code: "Forbidden".to_owned() })),
            Kind::Refused,
            ["Defender refused 1 action of tenant contoso: Forbidden", "--state refused"],
        ),
        (
            change(moved(State::Failed { error: "no\u{1b}[2J file\nsecond line".to_owned() })),
            Kind::Failed,
            ["failed on the machine: no", "--state failed"],
        ),
        (
            change(moved(State::TimedOut { error: "0x80190198, never".to_owned() })),
            Kind::TimedOut,
            ["timed out at Defender: 0x80190198, never;", "--state timed_out"],
        ),
        (
            change(moved(State::Cancelled { why: "cancelled by alice".to_owned() })),
            Kind::Cancelled,
            ["was cancelled at Defender: cancelled by alice;", "--state cancelled"],
        ),
        (
            change(What::SourceSilent { source: "siem".to_owned() }),
            Kind::SourceSilent,
            ["source siem is silent: because", "lazaret doctor"],
        ),
        (
            change(What::RulesRefused { dir: "/etc/rules".to_owned() }),
            Kind::RulesRefused,
            ["stay in force: because", "; lazaret rules check /etc/rules"],
        ),
    ] {
        let messages = told(&[change]);
        assert_eq!((messages.len(), messages[0].kind), (1, kind));
        let said = &messages[0].summary;
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(!said.contains('\u{1b}') && !said.contains("second"), "{said}");
    }
    for quiet in [
        moved(State::Succeeded { completed: Wall(0) }),
        What::Approved { action, by: "alice".to_owned() },
        What::ConfigLoaded { hash: "h".to_owned() },
    ] {
        assert_eq!(told(&[change(quiet)]), []);
    }
}

#[test]
fn many_reasons_share_a_digest() {
    let changes: Vec<_> =
        (0..1000).map(|n| held(n, HoldWhy::Approval { rule: format!("rule-{n}") })).collect();
    let messages = told(&changes);
    assert_eq!(messages.len(), MESSAGES);
    let digest = &messages[MESSAGES - 1];
    assert_eq!((digest.kind, digest.severity), (Kind::Digest, Severity::Warning));
    assert_eq!((digest.count, digest.parts.len()), (996, PARTS));
    assert!(digest.summary.starts_with("996 more changes"), "{}", digest.summary);
}

#[test]
fn every_name_of_a_kind_reads_back() {
    for kind in Kind::ALL {
        let name = serde_json::to_value(kind).unwrap();
        assert_eq!(name, kind.as_str());
        assert_eq!(serde_json::from_value::<Kind>(name).unwrap(), kind);
    }
    assert!(serde_json::from_str::<Kind>("\"digest\"").is_err());
}

#[test]
fn a_template_is_json_whatever_a_message_says() {
    let text = r#"{"text": "{{kind}}: {{ summary }}", "n": {{count}}, "who": {{tenant}},
        "all": {{details}}, "as text": "{{details}}", "key": "{{value.key}}", "\"{{at}}": 1}"#;
    let template = Template::parse(text).unwrap();
    assert_eq!(template.secrets().collect::<Vec<_>>(), ["key"]);
    let mut message = Message::test(Wall(0));
    message.summary = "a \"quoted\" \\ line\nand \u{7} {{next}}".to_owned();
    let details = serde_json::to_string(&message).unwrap();
    let values = BTreeMap::from([("key".to_owned(), SecretString::from("hush\""))]);
    let with = Fill { message: &message, id: "m", node: "n", details: &details, values: &values };
    let filled: Value = serde_json::from_str(&template.fill(&with)).unwrap();
    assert_eq!(filled["text"], format!("test: {}", message.summary));
    assert_eq!((&filled["n"], &filled["who"]), (&1.into(), &Value::Null));
    assert_eq!(filled["all"]["kind"], "test");
    assert_eq!(filled["as text"], serde_json::from_str::<Value>(&details).unwrap().to_string());
    assert_eq!(filled["key"], "hush\"");
}

#[test]
fn what_is_no_template_is_refused_with_the_reason() {
    for (text, part) in [
        (r#"{"a": "{{sumary}}"}"#, "no placeholder \"sumary\""),
        (r#"{"a": "{{value.}}"}"#, "value.NAME"),
        (r#"{"a": "{{summary"}"#, "not closed"),
        (r#"{"a": {{summary}}"#, "no JSON"),
        ("plain text {{summary}}", "no JSON"),
    ] {
        let said = Template::parse(text).unwrap_err().to_string();
        assert!(said.contains(part), "{text}: {said}");
    }
}

fn any_notice() -> impl Strategy<Value = Notice> {
    (0..Kind::ALL.len(), 0..3_u8, 0..30_u8, any::<bool>()).prop_map(
        |(kind, tenant, about, acts)| Notice {
            by_file: false,
            kind: Kind::ALL[kind],
            tenant: (tenant > 0).then(|| TenantName::new(&format!("tenant-{tenant}"))),
            about: about.to_string(),
            detail: String::new(),
            action: acts.then(|| ActionId(Uuid::nil())),
            key: None,
            option: String::new(),
            at: Wall(0),
        },
    )
}

proptest! {
    /// Whatever the cuts: each notice is counted once, under its own kind or in a digest, and no
    /// two messages of the record have the same position.
    #[test]
    fn every_notice_is_in_exactly_one_message(
        notices in prop::collection::vec(any_notice(), 0..600),
        cuts in prop::collection::vec(0..600_usize, 0..6),
    ) {
        let mut positions = BTreeSet::new();
        let mut counted: BTreeMap<Kind, u64> = BTreeMap::new();
        let cuts: BTreeSet<_> = cuts.into_iter().filter(|at| *at < notices.len()).collect();
        let ends = cuts.iter().copied().chain([notices.len()]);
        let mut start = 0;
        for end in ends {
            let mut batch = Batch::default();
            for (at, notice) in notices.iter().enumerate().take(end).skip(start) {
                batch.add(at as i64, notice.clone());
            }
            let messages = batch.messages();
            prop_assert!(messages.len() <= MESSAGES);
            prop_assert!(messages.is_sorted_by_key(|message| message.position));
            for message in messages {
                prop_assert!((start..end).contains(&(message.position as usize)));
                prop_assert!(positions.insert(message.position));
                *counted.entry(message.kind).or_default() += message.count;
            }
            start = end;
        }
        prop_assert_eq!(counted.values().sum::<u64>(), notices.len() as u64);
        for kind in Kind::ALL {
            let given = notices.iter().filter(|notice| notice.kind == kind).count() as u64;
            prop_assert!(counted.get(&kind).copied().unwrap_or(0) <= given);
        }
    }
}
