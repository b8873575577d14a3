//! What a rule set is made of, so that two of them can be told apart and compared.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::list::Lists;
use super::problem::Source;

/// The hash of each rule, by its id, of each list, as `list NAME`, and of each format of a file, as
/// `format NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents(pub BTreeMap<String, String>);

/// How a set differs from the one before: ids of rules and names of lists and formats, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl Contents {
    pub(super) fn new<'s>(
        rules: impl Iterator<Item = (&'s str, &'s Source)>,
        lists: &Lists,
        formats: &[(String, Source)],
    ) -> Self {
        let rules = rules.map(|(id, source)| (id.to_owned(), hash([source.text.as_bytes()])));
        // What has expired is not in the text.
        let lists = lists.iter().map(|(name, list)| {
            let expired = list.expired().to_string();
            (format!("list {name}"), hash([list.source.text.as_bytes(), expired.as_bytes()]))
        });
        let formats = formats
            .iter()
            .map(|(name, source)| (format!("format {name}"), hash([source.text.as_bytes()])));
        Self(rules.chain(lists).chain(formats).collect())
    }

    /// Over the names, without their directory, and the contents of the rule files, and over the
    /// lists and formats: sets with the same hash judge alike.
    pub(super) fn hash(&self, files: &[Source]) -> String {
        let name = |source: &Source| source.name.rsplit('/').next().unwrap_or_default().to_owned();
        let mut parts: Vec<(String, &str)> = files.iter().map(|s| (name(s), &*s.text)).collect();
        parts.sort_unstable();
        let other = |name: &str| name.starts_with("list ") || name.starts_with("format ");
        let others = self.0.iter().filter(|(name, _)| other(name));
        let files = parts.iter().map(|(name, text)| (name.as_str(), *text));
        let all = files.chain(others.map(|(name, hash)| (name.as_str(), hash.as_str())));
        hash(all.flat_map(|(name, content)| [name.as_bytes(), content.as_bytes()]))
    }

    /// From `before` to this.
    pub fn since(&self, before: &Contents) -> Difference {
        let only = |these: &Contents, those: &Contents| -> Vec<String> {
            these.0.keys().filter(|name| !those.0.contains_key(*name)).cloned().collect()
        };
        let differs = |(name, hash): &(&String, &String)| {
            before.0.get(*name).is_some_and(|before| before != *hash)
        };
        Difference {
            added: only(self, before),
            changed: self.0.iter().filter(differs).map(|(name, _)| name.clone()).collect(),
            removed: only(before, self),
        }
    }
}

fn hash<'b>(parts: impl IntoIterator<Item = &'b [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex::encode(hasher.finalize())
}
