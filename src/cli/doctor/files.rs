//! Who else may read or change what Lazaret trusts: its data, its keys, what it acts by.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Finding, Health};
use crate::config::Config;

/// One finding for each file or directory that is too open, or one that none is. Secrets are
/// looked at one by one, with what they are.
pub(super) fn modes(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tell = |health, text: Option<String>| {
        findings.extend(text.map(|text| Finding::new("files", health, text)));
    };
    let dir = &config.store.sqlite;
    tell(
        Health::Warn,
        is_open(dir, 0o077).map(|_| {
            let dir = dir.display();
            format!("others may read {dir}, and with the token in it act as you: `chmod 700 {dir}`")
        }),
    );
    let webhooks = config.listen.webhooks.as_ref().and_then(|listen| listen.tls.as_ref());
    let admin = config.listen.admin.tls.as_ref();
    let keys = webhooks.map(|tls| &tls.key).into_iter().chain(admin.map(|tls| &tls.key));
    for key in keys {
        tell(
            Health::Warn,
            is_open(key, 0o077).map(|_| {
                let key = key.display();
                format!("others may read the private key {key}: `chmod 600 {key}`")
            }),
        );
    }
    for (what, path) in trusted(config) {
        tell(
            Health::Fail,
            is_open(path, 0o002).map(|_| {
                let path = path.display();
                format!("anyone on this machine may change {what}, {path}: `chmod o-w {path}`")
            }),
        );
    }
    if findings.is_empty() {
        let text = "data and keys are for their own account, and nobody else changes the rules";
        findings.push(Finding::new("files", Health::Ok, text));
    }
    findings
}

/// What decides what is quarantined, and who may say so.
fn trusted(config: &Config) -> BTreeSet<(&'static str, &Path)> {
    let mut paths = BTreeSet::from([("the rules", config.rules.as_path())]);
    paths.extend(config.origin.path().map(|path| ("the configuration", path)));
    let tenants = config.tenants.iter().flat_map(|tenant| tenant.credential().secrets());
    let secrets = tenants.filter_map(|secret| secret.file()?.parent());
    paths.extend(secrets.map(|dir| ("the directory of secrets", dir)));
    paths
}

/// Whether any of these permissions is given. What is not there is told elsewhere. A directory
/// with the sticky bit, such as `/tmp`, lets nobody change what is another's.
fn is_open(path: &Path, bits: u32) -> Option<()> {
    let found = std::fs::metadata(path).ok()?;
    let mode = found.permissions().mode();
    let is_sticky = bits == 0o002 && mode & 0o1000 != 0;
    (mode & bits != 0 && !is_sticky).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_read_or_change_is_named_with_how_to_mend_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let text = include_str!("../../../lazaret.example.yaml");
        let config = Config::parse(text, &at("lazaret.yaml")).unwrap();
        let key = config.listen.webhooks.as_ref().unwrap().tls.as_ref().unwrap().key.clone();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for path in [&config.store.sqlite, &config.rules, &at("secrets")] {
            std::fs::create_dir_all(path).unwrap();
            mode(path, 0o700);
        }
        std::fs::create_dir_all(key.parent().unwrap()).unwrap();
        std::fs::write(&key, "key").unwrap();
        mode(&key, 0o600);
        let found = modes(&config);
        assert!(found.len() == 1 && found[0].health == Health::Ok, "{found:?}");
        for (path, open, back, health, how) in [
            (&config.store.sqlite, 0o750, 0o700, Health::Warn, "chmod 700"),
            (&key, 0o644, 0o600, Health::Warn, "chmod 600"),
            (&config.rules, 0o777, 0o700, Health::Fail, "chmod o-w"),
            (&at("secrets"), 0o703, 0o700, Health::Fail, "chmod o-w"),
        ] {
            mode(path, open);
            let found = modes(&config);
            let says = found[0].text.contains(&format!("`{how} {}`", path.display()));
            assert!(found.len() == 1 && found[0].health == health && says, "{found:?}");
            mode(path, back);
        }
        mode(&config.rules, 0o1777);
        assert_eq!(modes(&config)[0].health, Health::Ok, "as /tmp is");
    }
}
