//! When queued actions are expected to start.

use super::{short_id, shortened};
use crate::cli::style::table;
use crate::domain::action::Class;
use crate::io::{ActionLine, Position};

/// Queued actions, each with when it starts in place of its state, which they all share.
pub(super) fn listing(lines: &[ActionLine]) -> String {
    let heading = ["id", "class", "expected start", "sha1", "alert"].map(String::from).to_vec();
    let rows = lines.iter().map(|line| {
        let start = line.expected.map_or("-".to_owned(), |at| format!("{:.19}", at.to_string()));
        vec![
            short_id(&line.id),
            line.class.as_str().to_owned(),
            start,
            format!("{:.8}…", line.key.sha1.to_string()),
            shortened(&line.alert_id, 9),
        ]
    });
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}

/// When it starts, and behind how many others; `None` where it does not wait for its turn.
pub(super) fn told(line: &ActionLine) -> Option<String> {
    let Position { before, urgent, .. } = line.position?;
    let before = if line.class == Class::Urgent { before } else { urgent + before };
    let others = match before {
        0 => "it is the next".to_owned(),
        1 => "after 1 other".to_owned(),
        n => format!("after {n} others"),
    };
    Some(match line.expected {
        Some(at) => format!("{at}, {others}, if nothing more urgent comes"),
        None => format!("not known while nothing is called; {others}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action::State;
    use crate::domain::ids::{ActionId, EffectKey, MachineId, Sha1, TenantName};
    use crate::domain::time::Wall;

    fn line(class: Class, position: Option<Position>, expected: Option<Wall>) -> ActionLine {
        ActionLine {
            id: ActionId(uuid::Uuid::from_u128(1)),
            key: EffectKey {
                tenant: TenantName::new("contoso"),
                machine: MachineId::from_bytes([1; 20]),
                sha1: Sha1::from_bytes([2; 20]),
            },
            alert_id: "da637472900382838869_1364969609".to_owned(),
            class,
            created: Wall(0),
            changed: Wall(0),
            state: State::Queued { not_before: Wall(0), tries: 0, busy_since: None },
            position,
            expected,
        }
    }

    #[test]
    fn a_queued_action_says_when_it_starts_and_after_how_many() {
        let position = Some(Position { before: 4, urgent: 7, others: 20 });
        let of = |class, expected| told(&line(class, position, expected)).unwrap();
        let at = Some(Wall(1_700_000_000_000_000));
        let said = of(Class::Bulk, at);
        assert!(said.starts_with("2023-11-14T22:13:20.000Z, after 11 others"), "{said}");
        assert!(of(Class::Urgent, None).ends_with("; after 4 others"));
        assert_eq!(told(&line(Class::Bulk, None, None)), None);
        let shown =
            listing(&[line(Class::Normal, position, at), line(Class::Bulk, position, None)]);
        assert!(shown.contains("2023-11-14T22:13:20"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
}
