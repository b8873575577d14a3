//! `lazaret simulate`: the strict Defender on a port, for anyone's tests.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use super::style::beside;
use crate::domain::ids::MachineId;
use crate::simulator::{
    BindError, Busy, Call, Endpoint, Limit, Reckoning, SameFile, Settings, Simulator, UnknownFiles,
    UnknownMachines,
};

/// How to control it, in short; the whole is what `GET /_simulator` answers.
const CONTROL: &str = r#"Faults are scripted while it runs; bodies need the content type JSON:

  curl -H 'content-type: application/json' \
    http://127.0.0.1:9980/_simulator/faults -d '{"endpoint": "quarantine",
    "effect": "none", "trouble": {"answer": {"status": 429}}}'

  endpoint  token, quarantine, list, one, cancel, alerts, machines or
            files; required
  effect    none (nothing is done) or done (only the answer suffers); required
  trouble   {"answer": {"status": 503}}, "drop", "hang" or
            {"delay": {"millis": 500}}; required. An answer needs status and may
            have retry-after, a text, and body
  times     how many calls it strikes: 1 where left out
  machine   only calls for this machine: any where left out

All of the control interface: curl http://127.0.0.1:9980/_simulator"#;

/// Runs a strict Defender simulator: token endpoint, StopAndQuarantineFile, machine actions,
/// alerts, machines, files.
///
/// What the real Defender refuses it refuses: wrong body names, unknown hashes, missing roles,
/// calls over the budget. It prints each call. Faults can be scripted and the record
/// of all calls read under /_simulator while it runs.
#[derive(Debug, clap::Args)]
#[command(after_help = CONTROL)]
pub struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9980")]
    address: SocketAddr,

    /// Calls to StopAndQuarantineFile that each tenant and application may make, in every window.
    #[arg(long, value_name = "CALLS/TIME,…", value_delimiter = ',', value_parser = limit)]
    #[arg(default_value = "100/60s,1500/1h")]
    calls: Vec<Limit>,

    /// The same for each reading endpoint.
    #[arg(long, value_name = "CALLS/TIME,…", value_delimiter = ',', value_parser = limit)]
    #[arg(default_value = "100/60s,1500/1h")]
    reads: Vec<Limit>,

    /// How windows are counted: sliding, fixed or token-bucket. Which of them Defender does is not
    /// documented.
    #[arg(long, default_value = "sliding", value_parser = reckoning)]
    reckoning: Reckoning,

    /// How long a machine action stays Pending.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    start_after: Duration,

    /// How long it is then InProgress before it has Succeeded.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    finish_after: Duration,

    /// How long a token is good for.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    token_life: Duration,

    /// Answer 404 for machines that were not set under /_simulator/machines.
    #[arg(long)]
    known_machines_only: bool,

    /// Answer 404 for files that were not put under /_simulator/files, and tell of no rare program
    /// that nobody has signed.
    #[arg(long)]
    known_files_only: bool,

    /// Let a machine take actions for several files at once.
    #[arg(long)]
    many_files: bool,

    /// Answer a second call for the same file with the first one's machine action instead of 400.
    #[arg(long)]
    same_file_again: bool,
}

impl Args {
    fn settings(&self) -> Settings {
        Settings {
            address: self.address,
            quarantine: self.calls.clone(),
            reads: self.reads.clone(),
            reckoning: self.reckoning,
            token_life: self.token_life,
            pending_for: self.start_after,
            running_for: self.finish_after,
            unknown_machines: match self.known_machines_only {
                true => UnknownMachines::NotFound,
                false => UnknownMachines::Create,
            },
            unknown_files: match self.known_files_only {
                true => UnknownFiles::NotFound,
                false => UnknownFiles::Unsigned,
            },
            busy: if self.many_files { Busy::File } else { Busy::Machine },
            same_file: match self.same_file_again {
                true => SameFile::Returned,
                false => SameFile::Refused,
            },
            ..Settings::default()
        }
    }
}

/// Why the simulator ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("failed to print the calls: {0}")]
    Print(#[from] io::Error),
}

/// Serves until Ctrl-C.
pub async fn run(args: Args) -> Result<(), SimulateError> {
    let simulator = Simulator::bind(args.settings()).await?;
    let mut calls = simulator.subscribe();
    print(&greeting(&simulator.url()))?;
    loop {
        tokio::select! {
            call = calls.recv() => match call {
                Ok(call) => print(shown(&call).trim_end())?,
                Err(RecvError::Lagged(missed)) => print(&format!("… {missed} calls not shown"))?,
                Err(RecvError::Closed) => return Ok(()),
            },
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

fn greeting(url: &str) -> String {
    format!(
        "\
The strict Defender simulator listens on {url}

To use it, in lazaret.yaml (any ids and any secret will do):

tenants:
  - name: contoso
    id: 11111111-2222-3333-4444-555555555555
    api: {url}
    login: {url}
    credential: {{client_id: 66666666-7777-8888-9999-000000000000, secret: {{env: SECRET}}}}

Faults, machines, alerts, files, the record of calls: curl {url}/_simulator
Ctrl-C ends it.
"
    )
}

/// One call: when, status, and what, with machines by the start of their ids. The record has all.
fn shown(call: &Call) -> String {
    let time = call.time.get(11..23).unwrap_or(&call.time);
    let status = call.status.map_or("cut".to_owned(), |status| status.to_string());
    let what = match call.endpoint {
        Endpoint::Token => format!("token for {}", call.target),
        _ => format!("{} {}", call.method, brief(&call.target)),
    };
    let made = call.machine_action.as_deref().map(|id| format!(" -> {id}")).unwrap_or_default();
    // JSON without spaces could not be cut into lines.
    let spaced = |json: &str| format!("  {}", json.replace("\",\"", "\", \""));
    let body = if call.body.is_empty() { String::new() } else { spaced(&call.body) };
    let refused = call.status.is_some_and(|status| status >= 400);
    let answer = if refused { spaced(&call.answer) } else { String::new() };
    let said = format!("{what}{made}{body}{answer}");
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let head = format!("{time}  {status}  ");
    beside(&head, head.chars().count(), &said)
}

/// A path with the first digits of the machine ids in it.
fn brief(path: &str) -> String {
    let short = |part: &str| match MachineId::parse(part) {
        Ok(_) => format!("{part:.8}…"),
        Err(_) => part.to_owned(),
    };
    path.split('/').map(short).collect::<Vec<_>>().join("/")
}

fn limit(text: &str) -> Result<Limit, String> {
    let (calls, per) = text.split_once('/').ok_or("write CALLS/TIME, as in 100/60s")?;
    let calls = calls.parse().map_err(|_| format!("{calls:?} is no number of calls"))?;
    let per = time(per)?;
    if calls == 0 || per.is_zero() {
        return Err("a window has at least one call and some length".to_owned());
    }
    Ok(Limit { calls, per })
}

fn time(text: &str) -> Result<Duration, String> {
    let span = text.parse::<jiff::SignedDuration>();
    let span = span.map_err(|_| format!("{text:?} is no time such as 500ms, 2s or 1h"))?;
    Duration::try_from(span).map_err(|_| format!("{text:?} is negative"))
}

fn reckoning(text: &str) -> Result<Reckoning, String> {
    match text {
        "sliding" => Ok(Reckoning::Sliding),
        "fixed" => Ok(Reckoning::Fixed),
        "token-bucket" => Ok(Reckoning::TokenBucket),
        _ => Err("it is one of sliding, fixed, token-bucket".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn settings(words: &[&str]) -> Result<Settings, clap::Error> {
        let words = ["simulate"].iter().chain(words);
        Cli::try_parse_from(words).map(|cli| cli.args.settings())
    }

    #[test]
    fn the_defaults_are_defenders_documented_budget() {
        let settings = settings(&[]).unwrap();
        let defaults = Settings::default();
        assert_eq!(settings.quarantine, defaults.quarantine);
        assert_eq!(settings.reads, defaults.reads);
        assert_eq!(settings.address.to_string(), "127.0.0.1:9980");
    }

    #[test]
    fn windows_and_times_are_read_as_people_write_them() {
        let words = ["--calls", "5/2s,9/500ms", "--reckoning", "token-bucket", "--many-files"];
        let settings = settings(&words).unwrap();
        let limits = [
            Limit { calls: 5, per: Duration::from_secs(2) },
            Limit { calls: 9, per: Duration::from_millis(500) },
        ];
        assert_eq!(settings.quarantine, limits);
        assert_eq!(settings.reckoning, Reckoning::TokenBucket);
        assert_eq!(settings.busy, Busy::File);
    }

    #[test]
    fn of_files_that_nobody_has_set_it_tells_unless_that_is_not_wanted() {
        assert_eq!(settings(&[]).unwrap().unknown_files, UnknownFiles::Unsigned);
        let known_only = settings(&["--known-files-only"]).unwrap();
        assert_eq!(known_only.unknown_files, UnknownFiles::NotFound);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_an_example() {
        for (words, says) in [
            (["--calls", "100"], "100/60s"),
            (["--calls", "0/1s"], "at least one"),
            (["--finish-after", "soon"], "500ms"),
            (["--reckoning", "gcra"], "token-bucket"),
        ] {
            let text = settings(&words).unwrap_err().to_string();
            assert!(text.contains(says), "{text}");
        }
    }

    #[tokio::test]
    async fn the_fault_that_help_shows_is_taken_and_each_key_it_calls_required_is() {
        let settings = Settings { address: "127.0.0.1:0".parse().unwrap(), ..Settings::default() };
        let simulator = Simulator::bind(settings).await.unwrap();
        let shown = CONTROL.split('\'').nth(3).unwrap();
        let post = async |body: String| {
            let request = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = request.post(format!("{}/_simulator/faults", simulator.url()));
            let request = request.header("content-type", "application/json").body(body);
            request.send().await.unwrap().status().as_u16()
        };
        assert_eq!(post(shown.to_owned()).await, 204, "{shown}");
        for key in ["endpoint", "effect", "trouble"] {
            let mut fault: serde_json::Value = serde_json::from_str(shown).unwrap();
            fault.as_object_mut().unwrap().remove(key).unwrap();
            assert_eq!(post(fault.to_string()).await, 422, "{key} is required");
        }
        simulator.stop();
    }

    fn call(target: &str, body: &str, answer: &str) -> Call {
        Call {
            seq: 7,
            at_us: 1,
            time: "2026-01-02T03:04:05.1234567Z".to_owned(),
            endpoint: Endpoint::Quarantine,
            method: "POST".to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: body.to_owned(),
            caller: None,
            status: Some(429),
            answer: answer.to_owned(),
            machine_action: None,
        }
    }

    #[test]
    fn a_call_steers_no_terminal() {
        let call = call("/api/machines/1e5b/x", "{\n\u{1b}[31m}", "{\"error\": …}");
        let told = "03:04:05.123  429  POST /api/machines/1e5b/x  {  [31m}  {\"error\": …}\n";
        assert_eq!(shown(&call), told);
    }

    #[test]
    fn a_call_fits_80_columns() {
        let (machine, sha1) = ("1e5bc9d7e413ddd7902c2932e418702b84d0cc07", "c4".repeat(20));
        let comment = "Stop and quarantine file due to alert da637292082891366787_32212";
        let body = format!(r#"{{"Comment":"{comment}","Sha1":"{sha1}"}}"#);
        let target = format!("/api/machines/{machine}/StopAndQuarantineFile");
        let said = "Maximum calls allowed exceeded; try again after the given number of seconds";
        let answer = format!(r#"{{"error":{{"code":"TooManyRequests","message":"{said}"}}}}"#);
        let shown = shown(&call(&target, &body, &answer));
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(shown.starts_with("03:04:05.123  429  POST /api/machines/1e5bc9d7…/Stop"));
        assert!(shown.contains(&sha1), "the file stands there whole: {shown}");
    }
}
