//! `lazaret doctor`: every check a person would make, each with one sentence on how to mend it.

mod checks;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::client::ConfigArg;
use super::style::{Style, beside, clean, print_json};
use super::{Failure, Outcome, runtime};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    Warn,
    Fail,
}

/// One check, and what to do where it is not ok.
#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    health: Health,
    text: String,
}

impl Finding {
    fn new(check: &str, health: Health, text: impl std::fmt::Display) -> Self {
        Self { check: check.to_owned(), health, text: text.to_string() }
    }
}

/// Exits with 1 when any check fails, with 2 when the configuration can't be read at all.
pub fn run(args: Args) -> Outcome {
    let config = args.config.load()?;
    let findings = runtime(2)?.block_on(checks::all(&config));
    if args.json {
        print_json(&findings);
    } else {
        print(Style::of_stdout(), &findings);
    }
    match findings.iter().map(|f| f.health).max() {
        Some(Health::Fail) => Err(Failure::wrong("")),
        _ => Ok(()),
    }
}

fn print(style: Style, findings: &[Finding]) {
    for finding in findings {
        print!("{}", line(style, finding));
    }
}

fn line(style: Style, finding: &Finding) -> String {
    let mark = match finding.health {
        Health::Ok => style.good("ok  "),
        Health::Warn => style.notice("warn"),
        Health::Fail => style.bad("FAIL"),
    };
    let check = format!("{:<16}", finding.check);
    let width = "FAIL".len() + 2 + check.chars().count() + 2;
    beside(&format!("{mark}  {check}  "), width, &clean(&finding.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::simulator;

    #[tokio::test]
    async fn each_channel_has_a_line_with_what_is_wrong_and_how_to_try_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("short"), "c2hvcnQ=").unwrap();
        std::fs::write(dir.path().join("open"), "open-and-long-enough-for-a-key").unwrap();
        let channels = "\
notify:
  - {name: fits, webhook: {url: 'https://soc.example/hook'}}
  - {name: plain, webhook: {url: 'http://soc.example/hook'}}
  - {name: short, webhook: {url: 'https://soc.example/hook', secret: {file: short}}}
  - {name: gone, webhook: {url: {file: gone}}}
  - {name: open, webhook: {url: 'https://soc.example/hook', secret: {file: open}}}
  - {name: topic, kafka: {brokers: ['localhost:1'], topic: outcomes}}
";
        let text = format!("{}\n{channels}", include_str!("../../lazaret.example.yaml"));
        let config = Config::parse(&text, &dir.path().join("lazaret.yaml")).unwrap();
        let findings = checks::channels(&config);
        let wanted = [
            ("notify fits", Health::Ok, "notify test --channel fits"),
            ("notify plain", Health::Fail, "use https://"),
            ("notify short", Health::Fail, "shorter than 24 bytes"),
            ("notify gone", Health::Fail, "there is no file"),
            ("notify open", Health::Warn, "chmod 600"),
            ("notify topic", Health::Ok, "topic"),
        ];
        assert_eq!(findings.len(), wanted.len());
        for (finding, (check, health, says)) in findings.iter().zip(wanted) {
            assert_eq!((finding.check.as_str(), finding.health), (check, health), "{finding:?}");
            assert!(finding.text.contains(says), "{finding:?}");
            let tries = finding.text.contains("`lazaret notify test --channel");
            assert!(tries || health == Health::Warn, "{finding:?}");
        }
    }

    #[tokio::test]
    async fn a_missing_secret_is_told_once_with_how_to_make_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = include_str!("../../lazaret.example.yaml");
        let tls = "    tls: {certificate: tls.crt, key: tls.key}";
        let parsed = |text: &str| Config::parse(text, &dir.path().join("lazaret.yaml")).unwrap();
        let certificate = checks::webhooks(&parsed(text)).unwrap().text;
        assert!(certificate.contains("; certificate and key are PEM files"), "{certificate}");
        let config = parsed(&text.replace(tls, "").replace("0.0.0.0:8443", "127.0.0.1:8443"));
        let mut findings = checks::secrets(&config);
        let named = |findings: &[Finding], file: &str| {
            let path = dir.path().join("secrets").join(file);
            let place = format!("there is no file {}: ", path.display());
            let made = format!("`install -D -m 600 /dev/stdin {}`", path.display());
            let told = findings.iter().filter(|finding| finding.text.contains(&place));
            let told: Vec<_> = told.filter(|finding| finding.text.contains(&made)).collect();
            assert_eq!(told.len(), 1, "{file}: {findings:?}");
            told[0].text.clone()
        };
        findings.extend(checks::webhooks(&config));
        findings.push(checks::token(&config, &config.tenants[0]).await);
        assert!(named(&findings, "siem").contains("openssl rand -base64 32 | sed s/^/whsec_/"));
        assert!(named(&findings, "contoso").contains("client secret of the application in Entra"));
        let how = "`lazaret token new --name dashboard --role ROLE`";
        assert!(named(&findings, "dashboard").contains(how));
        let [.., webhooks, token] = &findings[..] else { panic!("{findings:?}") };
        for other in [webhooks, token] {
            assert_eq!(other.health, Health::Warn, "{other:?}");
            assert!(other.text.contains("a secret that fails above"), "{other:?}");
        }
    }

    #[tokio::test]
    async fn what_is_asked_and_where_senders_post_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = include_str!("../../lazaret.example.yaml")
            .replace("    tls: {certificate: tls.crt, key: tls.key}", "   ")
            .replace("0.0.0.0:8443", "127.0.0.1:8443")
            .replace(
                "    # login: https://login.microsoftonline.com ",
                &format!("    login: http://{closed} #"),
            );
        let config = Config::parse(&text, &dir.path().join("lazaret.yaml")).unwrap();
        std::fs::create_dir(dir.path().join("secrets")).unwrap();
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for secret in ["siem", "soar", "soar-next", "contoso"] {
            std::fs::write(dir.path().join("secrets").join(secret), key).unwrap();
        }
        let webhooks = checks::webhooks(&config).unwrap();
        let posted = "senders post to http://127.0.0.1:8443/webhooks/SOURCE";
        assert!(webhooks.text.ends_with(posted), "{webhooks:?}");
        let token = checks::token(&config, &config.tenants[0]).await;
        assert_eq!(token.health, Health::Fail, "{token:?}");
        let asked = format!("asked of http://{closed}, for calls to https://");
        assert!(token.text.contains(&asked), "{token:?}");
    }

    /// What `doctor` says of the tenant of one source, by the format and the application's roles.
    async fn said_of_roles(format: &str, roles: &[&str]) -> (Health, String) {
        let ids = ("11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000");
        let app = simulator::App {
            tenant: ids.0.to_owned(),
            client_id: ids.1.to_owned(),
            secret: "secret".to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        };
        let settings = simulator::Settings { apps: vec![app], ..Default::default() };
        let simulator = simulator::Simulator::bind(settings).await.unwrap();
        let url = simulator.url();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "secret").unwrap();
        let credential = format!("{{client_id: {}, secret: {{file: secret}}}}", ids.1);
        let tenant = |name, id| {
            format!(
                "{{name: {name}, id: {id}, api: '{url}', login: '{url}', credential: {credential}}}"
            )
        };
        let kafka =
            |format| format!("kafka: {{brokers: ['localhost:1'], topics: [a], format: {format}}}");
        let (of, other) = (kafka(format), kafka("defender-alert"));
        let text = format!(
            "node: a\nlisten: {{admin: {{address: '127.0.0.1:0'}}}}\nstore: {{sqlite: ./data}}\n\
             rules: ./rules\nsources:\n  \
             - {{name: siem, tenants: [contoso], {of}}}\n  \
             - {{name: other, tenants: [fabrikam], {other}}}\ntenants:\n  - {}\n  - {}\n",
            tenant("contoso", ids.0),
            tenant("fabrikam", ids.1),
        );
        let config = Config::parse(&text, &dir.path().join("lazaret.yaml")).unwrap();
        let finding = checks::token(&config, &config.tenants[0]).await;
        (finding.health, finding.text)
    }

    #[tokio::test]
    async fn the_role_for_alerts_is_missed_only_where_a_source_may_need_it() {
        let two = ["Machine.StopAndQuarantine", "Machine.Read.All"];
        for format in ["defender-alert", "sentinel-incident"] {
            let (health, text) = said_of_roles(format, &two).await;
            let says = "the token lacks Alert.Read.All or Alert.ReadWrite.All: grant it";
            assert!(health == Health::Warn && text.starts_with(says), "{format}: {text}");
            let three = [two[0], two[1], "Alert.Read.All"];
            assert_eq!(said_of_roles(format, &three).await.0, Health::Ok, "{format}");
        }
        assert_eq!(said_of_roles("graph-alert", &two).await.0, Health::Ok);
        let (health, text) = said_of_roles("graph-alert", &[]).await;
        let says =
            "lacks Machine.StopAndQuarantine, and Machine.Read.All or Machine.ReadWrite.All:";
        assert!(health == Health::Fail && text.contains(says), "{text}");
    }

    #[test]
    fn findings_fit_80_columns() {
        let long = "the kernel says the clock is not synchronised: run an NTP client, else \
                    signatures are refused and windows wait longer after a reboot";
        for check in ["clock", &format!("tenant {}", "contoso-".repeat(8))] {
            let shown = line(Style::plain(), &Finding::new(check, Health::Warn, long));
            assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
            let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words, format!("warn {check} {long}"));
        }
    }
}
