//! The part of OData that the machine actions list is asked in: comparisons joined by `and`.

use std::time::Duration;

use jiff::Timestamp;

use super::actions::MachineAction;

/// A parsed `$filter`. The empty one matches everything.
#[derive(Debug, Default)]
pub struct Filter(Vec<Comparison>);

#[derive(Debug)]
enum Comparison {
    Text(Field, String),
    Created(Operator, Timestamp),
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Id,
    Type,
    MachineId,
    Status,
    Requestor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
}

impl Filter {
    /// Reads `field op value and field op value …`. What it does not know it refuses, with a text
    /// for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = words(text)?;
        let mut comparisons = Vec::new();
        for (index, part) in words.chunks(4).enumerate() {
            let last = (index + 1) * 4 >= words.len();
            match part {
                [field, operator, value] if last => {
                    comparisons.push(comparison(field, operator, value)?);
                }
                [field, operator, value, and] if and == "and" && !last => {
                    comparisons.push(comparison(field, operator, value)?);
                }
                _ => return Err(format!("syntax error in the $filter {text:?}")),
            }
        }
        Ok(Self(comparisons))
    }

    pub fn matches(&self, action: &MachineAction, wall: impl Fn(Duration) -> Timestamp) -> bool {
        self.0.iter().all(|comparison| match comparison {
            Comparison::Text(field, text) => {
                text.as_str()
                    == match field {
                        Field::Id => &action.id,
                        Field::Type => "StopAndQuarantineFile",
                        Field::MachineId => &action.machine,
                        Field::Status => action.status(),
                        Field::Requestor => &action.requestor,
                    }
            }
            Comparison::Created(operator, at) => {
                let created = wall(action.created);
                match operator {
                    Operator::Eq => created == *at,
                    Operator::Ge => created >= *at,
                    Operator::Gt => created > *at,
                    Operator::Le => created <= *at,
                    Operator::Lt => created < *at,
                }
            }
        })
    }
}

fn comparison(field: &str, operator: &str, value: &str) -> Result<Comparison, String> {
    let operator = match operator {
        "eq" => Operator::Eq,
        "ge" => Operator::Ge,
        "gt" => Operator::Gt,
        "le" => Operator::Le,
        "lt" => Operator::Lt,
        _ => return Err(format!("the operator {operator:?} is not supported")),
    };
    if field == "creationDateTimeUtc" {
        let at = value.parse().map_err(|_| format!("{value:?} is no Edm.DateTimeOffset"))?;
        return Ok(Comparison::Created(operator, at));
    }
    let field = match field {
        "id" => Field::Id,
        "type" => Field::Type,
        "machineId" => Field::MachineId,
        "status" => Field::Status,
        "requestor" => Field::Requestor,
        _ => return Err(format!("no property {field:?} exists to filter machine actions by")),
    };
    let quoted = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
    match (operator, quoted) {
        (Operator::Eq, Some(text)) => Ok(Comparison::Text(field, text.replace("''", "'"))),
        (Operator::Eq, None) => Err(format!("{value} is no quoted Edm.String")),
        _ => Err("a text can only be compared with eq".to_owned()),
    }
}

/// Splits at spaces outside of quotes. Quotes stay.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let (mut word, mut quoted) = (String::new(), false);
    for c in text.chars() {
        quoted ^= c == '\'';
        if c == ' ' && !quoted {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        } else {
            word.push(c);
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    words.extend((!word.is_empty()).then_some(word));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::actions::{Actions, Wanted};
    use crate::simulator::settings::Settings;

    fn matches(filter: &str) -> bool {
        let mut actions = Actions::default();
        let wanted = Wanted {
            tenant: "contoso",
            requestor: "it's me",
            machine: "1e5bc9d7e413ddd7902c2932e418702b84d0cc07",
            sha1: "87662bc3d60e4200ceaf7aae249d1c343f4b83c9",
            comment: "because",
        };
        let action = actions.make(&wanted, &Settings::default(), Duration::ZERO).unwrap();
        let created: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        Filter::parse(filter).unwrap().matches(action, |_| created)
    }

    #[test]
    fn comparisons_are_joined_by_and() {
        assert!(matches(""));
        assert!(matches("type eq 'StopAndQuarantineFile' and status eq 'Pending'"));
        assert!(!matches("type eq 'StopAndQuarantineFile' and status eq 'Succeeded'"));
        assert!(matches("machineId eq '1e5bc9d7e413ddd7902c2932e418702b84d0cc07'"));
        assert!(matches("requestor eq 'it''s me'"));
        assert!(matches("creationDateTimeUtc ge 2026-01-02T03:04:05.0000000Z"));
        assert!(!matches("creationDateTimeUtc gt 2026-01-02T03:04:05Z"));
        assert!(matches("creationDateTimeUtc le 2026-01-02T03:04:05Z and status eq 'Pending'"));
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        for filter in [
            "sha1 eq 'a'",
            "type eq StopAndQuarantineFile",
            "type ge 'a'",
            "type eq 'a' or status eq 'b'",
            "type eq 'a' and",
            "(type eq 'a')",
            "type eq 'a",
            "creationDateTimeUtc ge '2026-01-02T03:04:05Z'",
            "creationDateTimeUtc ge yesterday",
            "type",
        ] {
            assert!(Filter::parse(filter).is_err(), "{filter}");
        }
    }
}
