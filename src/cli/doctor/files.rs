//! Who else may read or change what Lazaret trusts: its data, its keys, what it acts by.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{Finding, Health};
use crate::config::{Config, Kind};
use crate::rules;

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
    for key in keys(config) {
        tell(
            Health::Warn,
            is_open(key, 0o077).map(|_| {
                let key = key.display();
                format!("others may read the private key {key}: `chmod 600 {key}`")
            }),
        );
    }
    for (what, paths) in trusted(config) {
        if let Some((health, text)) = changed_by(what, &paths) {
            tell(health, Some(text));
        }
    }
    if findings.is_empty() {
        let text = "data and keys are for their own account, and nobody else changes them or rules";
        findings.push(Finding::new("files", Health::Ok, text));
    }
    findings
}

/// What decides what is quarantined, and who may say so: each with what it consists of.
fn trusted(config: &Config) -> Vec<(&'static str, Vec<PathBuf>)> {
    let mut all = vec![("the rules", rules::places(&config.rules).collect())];
    all.extend(config.origin.path().map(|path| ("the configuration", vec![path.to_owned()])));
    let sources = config.sources.iter().flat_map(|source| match source.kind() {
        Kind::Webhook(webhook) => webhook.verify().secrets().iter().collect::<Vec<_>>(),
        Kind::Kafka(kafka) => kafka.security.password.iter().collect(),
    });
    let tenants = config.tenants.iter().flat_map(|tenant| tenant.credential().secrets());
    let tokens = config.listen.admin.tokens.iter().filter_map(|token| token.secret());
    let channels = config.notify.iter().flat_map(|channel| channel.secrets());
    let secrets = sources.chain(tenants).chain(tokens).chain(channels);
    let secrets = secrets.filter_map(|secret| secret.file());
    let dirs: BTreeSet<_> = secrets.chain(keys(config)).filter_map(Path::parent).collect();
    all.extend(dirs.into_iter().map(|dir| {
        // That of a relative name is empty.
        let is_here = dir.as_os_str().is_empty();
        let dir = if is_here { PathBuf::from(".") } else { dir.to_owned() };
        ("the directory of secrets", vec![dir])
    }));
    all
}

/// Private keys of the listeners.
fn keys(config: &Config) -> impl Iterator<Item = &Path> {
    let webhooks = config.listen.webhooks.as_ref().and_then(|listen| listen.tls.as_ref());
    let admin = config.listen.admin.tls.as_ref();
    let keys = webhooks.map(|tls| &tls.key).into_iter().chain(admin.map(|tls| &tls.key));
    keys.map(PathBuf::as_path)
}

/// Who may change one of these besides its owner: everybody fails, its group is a warning, since a
/// team may share them on purpose.
fn changed_by(what: &str, paths: &[PathBuf]) -> Option<(Health, String)> {
    for (health, who, bit, mode) in [
        (Health::Fail, "anyone on this machine", 0o002, "o-w"),
        (Health::Warn, "a whole group", 0o020, "g-w"),
    ] {
        let open: Vec<_> = paths.iter().filter(|path| is_open(path, bit).is_some()).collect();
        let Some(first) = open.first() else { continue };
        let path = first.display();
        let more = match open.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more of them"),
        };
        let text = format!("{who} may change {what}, {path}{more}: `chmod {mode} {path}`");
        return Some((health, text));
    }
    None
}

/// That somebody else looks than who runs the service.
pub(super) fn account(config: &Config) -> Option<Finding> {
    let owner = std::fs::metadata(&config.store.sqlite).ok().map(|found| found.uid());
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    judged_account(rustix::process::geteuid().as_raw(), owner, &accounts)
}

/// `uid` is who looks, `owner` whose the data directory is. Before the first start there is none;
/// root is told all the same.
fn judged_account(uid: u32, owner: Option<u32>, accounts: &str) -> Option<Finding> {
    let how = match owner {
        Some(owner) if owner == uid => return None,
        None if uid != 0 => return None,
        None => "run it as the account of the service, with `sudo -u`".to_owned(),
        Some(owner) => {
            let name = name_of(owner, accounts).unwrap_or_else(|| format!("#{owner}"));
            format!("the data directory is {name}'s; `sudo -u '{name}' lazaret doctor`")
        }
    };
    let text = format!("run as uid {uid}: what it can read is not what the service can; {how}");
    Some(Finding::new("account", Health::Warn, text))
}

/// By the lines of `/etc/passwd`.
fn name_of(uid: u32, accounts: &str) -> Option<String> {
    let of = |line: &str| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)? == uid.to_string()).then(|| name.to_owned())
    };
    accounts.lines().find_map(of)
}

/// Whether any of these permissions is given. What is not there is told elsewhere. A directory
/// with the sticky bit, such as `/tmp`, lets nobody change what is another's.
fn is_open(path: &Path, bits: u32) -> Option<()> {
    let found = std::fs::metadata(path).ok()?;
    let mode = found.permissions().mode();
    let is_sticky = found.is_dir() && mode & 0o1000 != 0 && bits & 0o055 == 0;
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
        let text = text.replacen("key: tls.key", "key: keys/tls.key", 1);
        let text = text.replacen("secrets/dashboard", "dashboards/token", 1);
        let config = Config::parse(&text, &at("lazaret.yaml")).unwrap();
        let lists = config.rules.join("lists");
        let (rule, list) = (config.rules.join("rule.yml"), lists.join("servers.txt"));
        let key = config.listen.webhooks.as_ref().unwrap().tls.as_ref().unwrap().key.clone();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for path in [
            &config.store.sqlite,
            &config.rules,
            &lists,
            &at("secrets"),
            &at("keys"),
            &at("dashboards"),
        ] {
            std::fs::create_dir_all(path).unwrap();
            mode(path, 0o700);
        }
        for (file, bits) in [(&key, 0o600), (&rule, 0o640), (&list, 0o640)] {
            std::fs::write(file, "text").unwrap();
            mode(file, bits);
        }
        let found = modes(&config);
        assert!(found.len() == 1 && found[0].health == Health::Ok, "{found:?}");
        for (path, open, back, health, how) in [
            (&config.store.sqlite, 0o750, 0o700, Health::Warn, "chmod 700"),
            (&key, 0o644, 0o600, Health::Warn, "chmod 600"),
            (&config.rules, 0o777, 0o700, Health::Fail, "chmod o-w"),
            (&at("secrets"), 0o703, 0o700, Health::Fail, "chmod o-w"),
            (&at("secrets"), 0o720, 0o700, Health::Warn, "chmod g-w"),
            (&rule, 0o646, 0o640, Health::Fail, "chmod o-w"),
            (&list, 0o664, 0o640, Health::Warn, "chmod g-w"),
            (&lists, 0o775, 0o750, Health::Warn, "chmod g-w"),
            (&at("keys"), 0o707, 0o700, Health::Fail, "chmod o-w"),
            (&at("dashboards"), 0o707, 0o700, Health::Fail, "chmod o-w"),
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

    #[test]
    fn who_looks_with_other_eyes_than_the_service_is_told_whose_to_take() {
        let accounts = "root:x:0:0::/root:/bin/sh\nlazaret:x:1000:1000::/:/bin/false\n";
        assert_eq!(judged_account(1000, Some(1000), accounts).map(|of| of.text), None);
        assert_eq!(judged_account(1000, None, accounts).map(|of| of.text), None);
        for (uid, owner, says) in [
            (0, Some(1000), "run as uid 0: what it can read is not what the service can; the"),
            (0, Some(1000), "`sudo -u 'lazaret' lazaret doctor`"),
            (1001, Some(1002), "`sudo -u '#1002' lazaret doctor`"),
            (0, None, "run it as the account of the service"),
        ] {
            let found = judged_account(uid, owner, accounts).unwrap();
            assert!(found.health == Health::Warn && found.text.contains(says), "{found:?}");
        }
        assert_eq!(judged_account(0, Some(0), accounts).map(|of| of.text), None);
    }
}
