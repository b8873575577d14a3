//! The configuration as people write it: what is refused, where, and in which words.

use std::path::Path;

use super::values::Place;
use super::*;

const EXAMPLE: &str = include_str!("../../lazaret.example.yaml");

fn refusal(text: &str) -> String {
    Config::parse(text, Path::new("lazaret.yaml")).unwrap_err().to_string()
}

/// The example with one line replaced.
fn with(line: &str, replacement: &str) -> String {
    assert!(EXAMPLE.contains(line), "the example has no {line:?}");
    EXAMPLE.replacen(line, replacement, 1)
}

#[test]
fn the_example_loads_and_shows_the_defaults() {
    let config = Config::parse(EXAMPLE, Path::new("/etc/lazaret/lazaret.yaml")).unwrap();
    assert_eq!(config.rules, Path::new("/etc/lazaret/./rules"));
    let defaults = Limits::default();
    assert_eq!(config.limits.body, defaults.body);
    assert_eq!(config.limits.alert_age, defaults.alert_age);
    assert_eq!(config.limits.no_match_rows, defaults.no_match_rows);
    assert_eq!(config.expire.held, Expire::default().held);
    let (budgets, default) = (&config.tenants[0].budgets, Budgets::default());
    assert_eq!(budgets.quarantine, default.quarantine);
    assert_eq!(budgets.machine_actions, default.machine_actions);
    assert_eq!(budgets.alerts, default.alerts);
    assert_eq!(budgets.machines, default.machines);
    let secret = config.sources[0].kind();
    let Kind::Webhook(webhook) = secret else { panic!("siem is a webhook") };
    let secret = &webhook.verify().secrets()[0];
    assert_eq!(secret.file(), Some(Path::new("/etc/lazaret/secrets/siem")));
    assert_eq!(secret.key(), "sources[siem].webhook.verify.secrets[0]");
}

#[test]
fn an_unknown_key_is_refused_with_its_place() {
    let said = refusal(&with("node: lazaret-1 ", "nodes: lazaret-1 "));
    assert!(said.starts_with("lazaret.yaml:4:1: "), "{said}");
    assert!(said.contains("nodes") && said.contains('^'), "{said}");
}

#[test]
fn what_is_not_in_this_version_is_refused_as_such() {
    let later = "store: {sqlite: ./data, postgres: {url: {env: X}}}";
    let said = refusal(&with("store: {sqlite: ./data}", later));
    assert!(said.contains("not in this version"), "{said}");
}

#[test]
fn what_is_kept_leaves_enough_for_the_rest() {
    let with_budget = |reserve: u32, actions: &str| {
        let text = with("    region: eu ", &format!("    reserve: {reserve}\n    region: eu "));
        let documented = "machine-actions: [{calls: 100, per: 60s}, {calls: 1500, per: 1h}]";
        assert!(text.contains(documented));
        text.replace(documented, &format!("machine-actions: [{actions}]"))
    };
    let enough = "{calls: 2, per: 60s}";
    let config = Config::parse(&with_budget(750, enough), Path::new("lazaret.yaml")).unwrap();
    assert_eq!(config.tenants[0].reserve, 750);
    let said = refusal(&with_budget(751, enough));
    assert!(said.contains("reserve: 751 of 1500 calls leaves too few"), "{said}");
    let said = refusal(&with_budget(0, "{calls: 100, per: 1h}"));
    assert!(said.contains("100 calls per 1h are fewer than the two a minute"), "{said}");
}

fn parsed(line: &str, replacement: &str) -> Config {
    Config::parse(&with(line, replacement), Path::new("lazaret.yaml")).unwrap()
}

#[test]
fn a_share_of_the_fleet_is_a_number_of_machines() {
    let breakers = "    breakers: {actions: 50/30m, share_of_fleet: 2.5%/24h}\n    fleet: 1010 ";
    let config = parsed("    region: eu ", breakers);
    let breakers = config.tenants[0].breakers();
    let said = (breakers.actions.to_string(), breakers.fleet.unwrap().to_string());
    assert_eq!(said, ("50/30m".to_owned(), "25/24h".to_owned()));
    let default = parsed("    region: eu ", "    fleet: 1010 ").tenants[0].breakers();
    assert_eq!((default.actions.to_string().as_str(), default.fleet), ("1000/1h", None));
}

/// Of the source `siem`.
const FIRST_FORMAT: &str = "format: defender-alert";

#[test]
fn origins_are_none_unless_they_are_listed() {
    let origins = |config: Config| {
        let Kind::Webhook(webhook) = config.sources[0].kind() else { panic!("siem is a webhook") };
        webhook.origins.clone()
    };
    let example = Config::parse(EXAMPLE, Path::new("lazaret.yaml")).unwrap();
    assert!(origins(example).is_empty());
    let listed = "origins: [eventgrid.azure.net, \"10.0.0.1:80\"]\n      format: defender-alert";
    let listed = origins(parsed(FIRST_FORMAT, listed));
    assert_eq!(listed, ["eventgrid.azure.net", "10.0.0.1:80"]);
}

#[test]
fn wrong_values_say_what_is_right() {
    for (line, replacement, expected) in [
        ("alert_age: 24h ", "alert_age: 1 day ", "24h"),
        ("body: 1MiB ", "body: 1MB ", "1MiB"),
        ("no_match_rows: 1000/s", "no_match_rows: 1000", "1000/s"),
        ("mode: observe ", "mode: on ", "observe, approve or enforce"),
        ("    region: eu ", "    breakers: {actions: lots} ", "such as 1000/1h"),
        (
            "    region: eu ",
            "    breakers: {share_of_fleet: 2/24h}\n    fleet: 9 ",
            "such as 2%/24h",
        ),
        ("    region: eu ", "    breakers: {share_of_fleet: 2%/24h} ", "needs the key fleet"),
        ("tenants: [contoso]", "tenants: [fabrikam]", "no tenant fabrikam"),
        ("- name: soar", "- name: siem", "named twice"),
        ("calls: 100,", "calls: 0,", "budgets.quarantine"),
        ("alerts: [{calls: 100,", "alerts: [{calls: 0,", "budgets.alerts"),
        ("machines: [{calls: 100,", "machines: [{calls: 0,", "budgets.machines"),
        (FIRST_FORMAT, "origins: [\"*\"]\n      format: defender-alert", "no host name"),
        (FIRST_FORMAT, "origins: [\"\"]\n      format: defender-alert", "no host name"),
        (FIRST_FORMAT, "origins: [https://a.b]\n      format: defender-alert", "eventgrid.azure"),
        (
            FIRST_FORMAT,
            "origins: [a, b, c, d, e, f, g, h, i]\n      format: defender-alert",
            "more than 8",
        ),
    ] {
        let said = refusal(&with(line, replacement));
        assert!(said.contains(expected), "{replacement}: {said}");
    }
}

const VERIFY: &str = "verify: {scheme: standard-webhooks, secrets: [{file: secrets/siem}]}";

#[test]
fn what_is_wrong_with_a_scheme_is_told_with_its_place() {
    let at = EXAMPLE.lines().position(|line| line.contains(VERIFY)).unwrap() + 1;
    let tenant = "tenant: 11111111-2222-3333-4444-555555555555";
    for (verify, expected) in [
        ("scheme: mutual-tls, subjects: [soar.contoso.com]".to_owned(), "tls.client_ca"),
        (format!("scheme: entra, {tenant}, audience: api://a, applications: []"), "client id"),
        (
            format!("scheme: entra, {tenant}, audience: '', applications: [{0}]", &tenant[8..]),
            "api",
        ),
        ("scheme: github, secrets: []".to_owned(), "one to three"),
        ("scheme: none".to_owned(), "none is refused"),
    ] {
        let said = refusal(&with(VERIFY, &format!("verify: {{{verify}}}")));
        let place = format!("lazaret.yaml:{at}:15: source siem: verify: ");
        assert!(said.starts_with(&place), "{verify}: {said}");
        assert!(said.contains(expected), "{verify}: {said}");
        assert_eq!(said.contains('^'), !verify.contains("secrets"), "{verify}: {said}");
    }
    for verify in ["scheme: entra, tenant: contoso, audience: a, applications: []", "scheme: x"] {
        let said = refusal(&with(VERIFY, &format!("verify: {{{verify}}}")));
        assert!(said.starts_with("lazaret.yaml:"), "{verify}: {said}");
    }
}

#[test]
fn subjects_are_names_and_need_an_authority_to_vouch_for_them() {
    let tls = "tls: {certificate: tls.crt, key: tls.key}";
    let asking = with(tls, "tls: {certificate: tls.crt, key: tls.key, client_ca: clients.pem}");
    let listing = |subjects: &str| {
        let verify = format!("verify: {{scheme: mutual-tls, subjects: [{subjects}]}}");
        Config::parse(&asking.replacen(VERIFY, &verify, 1), Path::new("/etc/lazaret.yaml"))
    };
    let config = listing("\"CN=soar,O=Contoso\", soar.contoso.com").unwrap();
    let tls = config.listen.webhooks.unwrap().tls.unwrap();
    assert_eq!(tls.client_ca.as_deref(), Some(Path::new("/etc/clients.pem")));
    for (subjects, expected) in [("", "subjects is empty"), ("'*.contoso.com'", "-nameopt")] {
        let said = listing(subjects).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
    let admin =
        with("    # tls: {certificate: admin.crt", "    tls: {client_ca: a, certificate: b");
    assert!(refusal(&admin).contains("client_ca"), "people come with tokens");
}

#[test]
fn the_sources_that_the_pages_show_load() {
    let page = include_str!("../../docs/azure.md");
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let (mut shown, tls) = (0, "key: tls.key}");
    for block in blocks {
        let sources = block.split_once("sources:\n").map_or(block, |(_, sources)| sources);
        let indent = sources.len() - sources.trim_start().len();
        let lines = sources.lines().map(|line| format!("  {}\n", line.get(indent..).unwrap_or("")));
        let sources = format!("sources:\n{}", lines.collect::<String>());
        let text = with(tls, "key: tls.key, client_ca: clients.pem}");
        let text =
            text.replacen("sources:\n", &sources, 1).replacen("name: soar\n", "name: a\n", 1);
        if let Err(why) = Config::parse(&text, Path::new("lazaret.yaml")) {
            panic!("{why}");
        }
        shown += 1;
    }
    assert_eq!(shown, 3);
}

#[test]
fn no_check_at_all_is_only_for_loopback() {
    let line = "verify: {scheme: standard-webhooks, secrets: [{file: secrets/siem}]}";
    let open = with(line, "verify: {scheme: none}");
    assert!(refusal(&open).contains("none is refused"), "{}", refusal(&open));
    let local = open.replacen("0.0.0.0:8443", "127.0.0.1:8443", 1);
    Config::parse(&local, Path::new("lazaret.yaml")).unwrap();
}

#[test]
fn an_unset_or_empty_secret_is_an_error_and_no_secret_is_shown() {
    assert!(Secret::from(Place::Env("LAZARET_NO_SUCH_VARIABLE".into())).read().is_err());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, " \n").unwrap();
    let said = Secret::from(Place::File(path.clone())).read().unwrap_err().to_string();
    assert!(said.contains("is empty"), "{said}");
    std::fs::write(&path, "hush\n").unwrap();
    let secret = Secret::from(Place::File(path)).read().unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&secret), "hush");
    assert!(!format!("{secret:?}").contains("hush"));
}

#[test]
fn a_secret_that_could_be_guessed_is_refused_with_its_key() {
    let line = "verify: {scheme: standard-webhooks, secrets: [{file: secrets/siem}]}";
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("secrets")).unwrap();
    let read = |scheme: &str, secret: &str| {
        std::fs::write(dir.path().join("secrets/siem"), format!("{secret}\n")).unwrap();
        let verify = format!("verify: {{{scheme}, secrets: [{{file: secrets/siem}}]}}");
        let path = dir.path().join("lazaret.yaml");
        let config = Config::parse(&with(line, &verify), &path).unwrap();
        let Kind::Webhook(webhook) = config.sources[0].kind() else { panic!("it is a webhook") };
        webhook.verify().secrets()[0].read().map_err(|why| why.to_string())
    };
    for scheme in ["github", "slack", "stripe", "bearer", "hmac, header: X-Signature"] {
        let scheme = format!("scheme: {scheme}");
        for short in ["x", &"x".repeat(15)] {
            let said = read(&scheme, short).unwrap_err();
            assert!(said.starts_with("sources[siem].webhook.verify.secrets[0]: "), "{said}");
            assert!(said.contains("16 bytes") && said.contains("openssl rand"), "{said}");
        }
        assert!(read(&scheme, &"x".repeat(16)).is_ok(), "{scheme}");
    }
}

#[test]
fn where_there_is_no_configuration_it_says_where_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    let said = Config::load(&dir.path().join("lazaret.yaml")).unwrap_err().to_string();
    assert!(said.contains("copy lazaret.example.yaml") && said.contains("--config"), "{said}");
}

#[test]
fn budgets_of_reads_are_their_own_and_the_documented_ones_where_left_out() {
    let of = |text: &str| {
        let config = Config::parse(text, Path::new("lazaret.yaml")).unwrap();
        let budgets = &config.tenants[0].budgets;
        let said = |limits: &[Budget]| {
            let one = |limit: &Budget| format!("{}/{}s", limit.calls, limit.per.0.as_secs());
            limits.iter().map(one).collect::<Vec<_>>().join(",")
        };
        (said(&budgets.alerts), said(&budgets.machines))
    };
    let documented = "100/60s,1500/3600s".to_owned();
    let alerts = "      alerts: [{calls: 100, per: 60s}, {calls: 1500, per: 1h}]\n";
    assert_eq!(of(&with(alerts, "")), (documented.clone(), documented.clone()));
    let fewer = of(&with(alerts, "      alerts: [{calls: 5, per: 2s}]\n"));
    assert_eq!(fewer, ("5/2s".to_owned(), documented));
}
