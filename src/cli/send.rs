//! `lazaret send`: signs an alert and posts it, as a sender would.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use zeroize::Zeroizing;

use super::client::ConfigArg;
use super::style::prose;
use super::{Failure, Outcome, runtime};
use crate::app::settings;
use crate::config::{Config, Kind, Verify, Webhook};
use crate::domain::decision::{Answered, Fate};
use crate::domain::signature::Message;
use crate::domain::time::Wall;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;

const OLD_ALERTS: &str = "\
Alerts are sent as they stand in the file. One that was created longer ago than
limits.alert_age (24h where not set) is taken and ends as `too old`, as samples
in a file soon are: send those with --now.";

#[derive(Debug, ClapArgs)]
#[command(after_help = OLD_ALERTS)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The webhook source to send to: its scheme and first secret sign
    #[arg(long)]
    source: String,
    /// The alert, or alerts, as JSON
    #[arg(long)]
    file: PathBuf,
    /// Set the times that the alert and its evidence were made and updated at to
    /// the present, where the file has them
    #[arg(long)]
    now: bool,
    /// Where to, when it is not the listener of the configuration
    #[arg(long)]
    url: Option<String>,
    /// PEM file of the authority to trust
    #[arg(long)]
    ca: Option<PathBuf>,
    /// File with a token of Entra, for a source with the scheme `entra`: only
    /// Entra can sign one
    #[arg(long)]
    token: Option<PathBuf>,
    /// PEM file with a certificate and its private key, for a source with the
    /// scheme `mutual-tls`
    #[arg(long)]
    certificate: Option<PathBuf>,
}

/// What a sender may need besides the source's own secrets.
#[derive(Default)]
pub struct Means {
    /// PEM of the authority to trust.
    pub ca: Option<Vec<u8>>,
    /// A token of Entra.
    pub token: Option<SecretString>,
    /// PEM of a certificate and its key.
    pub certificate: Option<Zeroizing<Vec<u8>>>,
}

impl Means {
    fn read(args: &Args) -> Result<Self, Failure> {
        let read = |path: &PathBuf| {
            std::fs::read(path)
                .map_err(|why| Failure::usage(format!("cannot read {}: {why}", path.display())))
        };
        let token = args.token.as_ref().map(read).transpose()?.map(Zeroizing::new);
        let token = token.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned().into());
        let certificate = args.certificate.as_ref().map(read).transpose()?.map(Zeroizing::new);
        Ok(Self { ca: args.ca.as_ref().map(read).transpose()?, token, certificate })
    }
}

/// Says what is missing to send to a source whose scheme needs more than a secret.
fn check_means(webhook: &Webhook, means: &Means) -> Result<(), Failure> {
    match webhook.verify() {
        Verify::Entra { audience, .. } if means.token.is_none() => Err(Failure::usage(format!(
            "this source takes tokens that only Entra can sign: give one with --token FILE, of an \
             application that the source lists. Signed in as that application, and not as a \
             person, Azure's command line prints one: az account get-access-token --resource \
             {audience} --query accessToken -o tsv"
        ))),
        Verify::MutualTls { .. } if means.certificate.is_none() => Err(Failure::usage(
            "this source takes certificates: give one that it lists, with its key, by \
             --certificate PEM",
        )),
        Verify::Entra { .. } => Ok(()),
        _ if means.token.is_some() => {
            Err(Failure::usage("--token is for sources with the scheme entra: leave it out"))
        }
        _ => Ok(()),
    }
}

/// Prints the answer. Exits with 1 when it is no 2xx.
pub fn run(args: Args) -> Outcome {
    let config = args.config.load()?;
    let webhook = find(&config, &args.source)?;
    let body = std::fs::read(&args.file)
        .map_err(|why| Failure::usage(format!("cannot read {}: {why}", args.file.display())))?;
    let body = if args.now { made_now(&body, SystemClock::new().now().wall)? } else { body };
    let url = match &args.url {
        Some(url) => url.clone(),
        None => default_url(&config, &args.source)?,
    };
    let (status, answer) =
        runtime(1)?.block_on(async { post(webhook, &url, body, Means::read(&args)?).await })?;
    println!("{status}\n{}", pretty(&answer));
    if !args.now && is_too_old(&answer) {
        let (source, file) = (&args.source, args.file.display());
        let why = "what is too old leads to nothing, as samples in a file soon are; to try it";
        eprint!("{}", prose(&format!("{why}; to go on: {}", now(source, &file))));
    }
    if status.is_success() { Ok(()) } else { Err(Failure::wrong("the alert was not taken")) }
}

/// The command that sends it as if it had been made just now.
fn now(source: &str, file: &dyn std::fmt::Display) -> String {
    format!("lazaret send --source {source} --file {file} --now")
}

/// Whether the answer says it of any alert.
fn is_too_old(answer: &str) -> bool {
    let answer = serde_json::from_str::<Answered>(answer);
    answer.is_ok_and(|answer| answer.alerts.iter().any(|alert| alert.fate == Fate::TooOld))
}

/// The times of an alert and its evidence that say how old they are. Those of what happened on the
/// machine, such as a process's start, stay.
const MADE_AT: [&str; 5] = [
    "alertCreationTime",
    "lastUpdateTime",
    "evidenceCreationTime",
    // Those of Graph: of alert and evidence, and of the alert.
    "createdDateTime",
    "lastUpdateDateTime",
];

/// The alerts with these times set to `now`. Only whole JSON documents: of lines, each is one.
fn made_now(body: &[u8], now: Wall) -> Result<Vec<u8>, Failure> {
    let mut made = Vec::new();
    let mut set = 0;
    for document in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
        let mut document =
            document.map_err(|why| Failure::usage(format!("--now: the file is no JSON: {why}")))?;
        set += set_times(&mut document, &Value::String(now.to_string()));
        serde_json::to_writer(&mut made, &document).map_err(Failure::wrong)?;
        made.push(b'\n');
    }
    if set == 0 {
        let why = "--now: the file has no alertCreationTime or createdDateTime to set, as alerts \
                   of Defender and Graph have; in others, write the present time yourself";
        return Err(Failure::usage(why));
    }
    Ok(made)
}

/// Sets them however deep they stand; serde_json bounds the depth. Returns how many there were.
fn set_times(value: &mut Value, now: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter_mut().map(|value| set_times(value, now)).sum(),
        Value::Object(fields) => fields.iter_mut().fold(0, |set, (name, value)| {
            if MADE_AT.contains(&name.as_str()) && value.is_string() {
                *value = now.clone();
                return set + 1;
            }
            set + set_times(value, now)
        }),
        _ => 0,
    }
}

/// Indented, where it is JSON.
fn pretty(answer: &str) -> String {
    serde_json::from_str::<Value>(answer)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| answer.to_owned())
}

fn find<'a>(config: &'a Config, name: &str) -> Result<&'a Webhook, Failure> {
    let source = config.sources.iter().find(|source| source.name == name);
    match source.map(|source| source.kind()) {
        Some(Kind::Webhook(webhook)) => Ok(webhook),
        Some(Kind::Kafka(_)) => {
            Err(Failure::usage(format!("source {name} is a Kafka subscription: produce to it")))
        }
        None => Err(Failure::usage(format!("there is no source {name} in the configuration"))),
    }
}

fn default_url(config: &Config, source: &str) -> Result<String, Failure> {
    let listen =
        config.listen.webhooks.as_ref().ok_or_else(|| {
            Failure::usage("the configuration has no webhook listener: give --url")
        })?;
    let scheme = if listen.tls.is_some() { "https" } else { "http" };
    let port = listen.address.port();
    let host = if listen.address.ip().is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        listen.address.ip().to_string()
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(format!("{scheme}://{host}:{port}/webhooks/{source}"))
}

/// What lies at the bottom of an error: those above it only name the URL again.
fn cause(why: &dyn std::error::Error) -> String {
    std::iter::successors(Some(why), |why| why.source()).last().unwrap_or(why).to_string()
}

/// Signs with the source's first secret, posts, and gives back status and body.
pub async fn post(
    webhook: &Webhook,
    url: &str,
    body: Vec<u8>,
    means: Means,
) -> Result<(reqwest::StatusCode, String), Failure> {
    check_means(webhook, &means)?;
    let clock = SystemClock::new();
    let seal = settings::seal(webhook.verify())
        .map_err(|why| Failure::usage(format!("cannot sign for {url}: {why}")))?;
    let id = format!("msg_{}", clock.new_id().simple());
    let headers = seal.sign(&Message { id: &id, at: clock.now().wall, body: &body });
    let mut client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30));
    if let Some(pem) = means.ca {
        let certificate = reqwest::Certificate::from_pem(&pem).map_err(Failure::usage)?;
        client = client.add_root_certificate(certificate);
    }
    if let Some(pem) = means.certificate {
        let identity = reqwest::Identity::from_pem(&pem);
        let wrong = |_| Failure::usage("--certificate: no PEM of a certificate and its key");
        client = client.identity(identity.map_err(wrong)?);
    }
    let client = client.build().map_err(Failure::usage)?;
    let mut request = client.post(url).header("content-type", "application/json").body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if let Some(token) = means.token {
        request = request.bearer_auth(token.expose_secret());
    }
    let failed = |why: reqwest::Error| {
        let cause = cause(&why);
        Failure::wrong(if why.is_connect() {
            format!("{url} can't be reached: {cause}; is the service up? `lazaret run` starts it")
        } else {
            format!("{url} does not answer: {cause}")
        })
    };
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    Ok((status, response.text().await.map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../rules/samples/defender-malware.json");

    #[test]
    fn now_sets_when_things_were_made_and_leaves_what_happened_on_the_machine() {
        let made = made_now(SAMPLE.as_bytes(), Wall(1_800_000_000_000_000)).unwrap();
        let mut expected: Value = serde_json::from_str(SAMPLE).unwrap();
        let now = Value::String(Wall(1_800_000_000_000_000).to_string());
        expected["alertCreationTime"] = now.clone();
        expected["lastUpdateTime"] = now.clone();
        for evidence in expected["evidence"].as_array_mut().unwrap() {
            evidence["evidenceCreationTime"] = now.clone();
        }
        assert_eq!(serde_json::from_slice::<Value>(&made).unwrap(), expected);
    }

    #[test]
    fn now_sets_the_times_of_a_graph_alert_too() {
        let sample = include_str!("../formats/graph_alert/sample.json");
        let made = made_now(sample.as_bytes(), Wall(1_800_000_000_000_000)).unwrap();
        let now = Wall(1_800_000_000_000_000).to_string();
        let made = String::from_utf8(made).unwrap();
        assert_eq!(made.matches(&now).count(), 6, "{made}");
        assert_eq!(made.matches("ActivityDateTime\":\"2026-12-03T08:4").count(), 2, "{made}");
        assert_eq!(made.matches("rocessCreationDateTime\":\"2026-12-03T07:02").count(), 2);
    }

    #[test]
    fn now_takes_arrays_and_lines_and_refuses_what_it_cannot_set() {
        let set = |text: &str| made_now(text.as_bytes(), Wall(0));
        let one = r#"{"alertCreationTime": "2026-01-01T00:00:00Z"}"#;
        for text in [format!("[{one},{one}]"), format!(r#"{{"value": [{one}]}}"#)] {
            assert!(!String::from_utf8(set(&text).unwrap()).unwrap().contains("2026"), "{text}");
        }
        let lines = String::from_utf8(set(&format!("{one}\n{one}\n")).unwrap()).unwrap();
        assert_eq!(lines.lines().count(), 2);
        for text in ["", "{oops", "{}"] {
            assert!(matches!(set(text), Err(Failure::Usage(_))), "{text}");
        }
    }

    /// The source `siem` of the example, with this scheme.
    fn with_scheme(verify: &str) -> Config {
        let signed = "verify: {scheme: standard-webhooks, secrets: [{file: secrets/siem}]}";
        let text = include_str!("../../lazaret.example.yaml");
        let text = text.replacen(signed, &format!("verify: {{{verify}}}"), 1);
        let text = text.replacen("key: tls.key}", "key: tls.key, client_ca: ca.pem}", 1);
        Config::parse(&text, std::path::Path::new("lazaret.yaml")).unwrap()
    }

    #[test]
    fn what_only_others_can_sign_is_asked_for() {
        let id = "11111111-2222-3333-4444-555555555555";
        let entra = format!("scheme: entra, tenant: {id}, audience: api://a, applications: [{id}]");
        let (entra, tls) = (with_scheme(&entra), "scheme: mutual-tls, subjects: [a.example]");
        let (tls, bearer) = (with_scheme(tls), "scheme: bearer, secrets: [{file: secrets/siem}]");
        let said = |config: &Config, means: &Means| {
            let checked = check_means(find(config, "siem").unwrap(), means);
            checked.err().map(|why| why.to_string()).unwrap_or_default()
        };
        let nothing = Means::default();
        let missing = said(&entra, &nothing);
        assert!(missing.contains("--token FILE") && missing.contains("--resource api://a"));
        assert!(said(&tls, &nothing).contains("--certificate PEM"));
        let token = Means { token: Some("a.b.c".into()), ..Means::default() };
        assert_eq!(said(&entra, &token), "");
        assert!(said(&with_scheme(bearer), &token).contains("leave it out"));
        let certificate = Means { certificate: Some(Vec::new().into()), ..Means::default() };
        assert_eq!(said(&tls, &certificate), "");
    }

    #[test]
    fn where_nobody_listens_it_says_how_to_start_the_service() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("secrets")).unwrap();
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        std::fs::write(dir.path().join("secrets/siem"), secret).unwrap();
        let example = include_str!("../../lazaret.example.yaml");
        let config = Config::parse(example, &dir.path().join("lazaret.yaml")).unwrap();
        // Bound and closed again: nobody listens there.
        let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let url = format!("http://{closed}/webhooks/siem");
        let sent = post(find(&config, "siem").unwrap(), &url, b"{}".to_vec(), Means::default());
        let why = runtime(1).unwrap().block_on(sent).unwrap_err().to_string();
        assert!(why.contains("refused") && why.contains("`lazaret run`"), "{why}");
    }

    #[test]
    fn an_answer_that_says_too_old_names_the_way_to_try_it() {
        let answer = |fate: &str| format!(r#"{{"alerts": [{{"alert": "a", "fate": "{fate}"}}]}}"#);
        assert!(is_too_old(&answer("too_old")));
        assert!(!is_too_old(&answer("no_match")) && !is_too_old("busy"));
        assert_eq!(now("siem", &"a.json"), "lazaret send --source siem --file a.json --now");
    }
}
