//! `lazaret demo`: the whole line in one process on loopback, shown station by station.

mod stage;

use std::io::Write as _;
use std::time::Duration;

use clap::Args as ClapArgs;
use tokio::signal::unix::{SignalKind, signal};

use super::style::{Style, wrap};
use super::{Failure, Outcome, runtime};
use crate::domain::action::{Progress, State, StateName};
use crate::domain::decision::{Answered, Decision};
use crate::io::ActionReport;
use crate::simulator::Endpoint;

use stage::Stage;

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Exit with 0 once the sample's call was made and followed to its end
    #[arg(long)]
    once: bool,
}

/// The alert that the demo sends itself.
const SAMPLE: &str = include_str!("../../rules/demo/samples/demo-alert.json");

/// How long the demo waits for a station before it says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run(args: Args) -> Outcome {
    runtime(2)?.block_on(async {
        let stage = Stage::set().await?;
        let show = Show { style: Style::of_stdout() };
        let outcome = show.play(&stage).await;
        if outcome.is_ok() && !args.once {
            show.invite(&stage);
            let mut terminate = signal(SignalKind::terminate()).map_err(Failure::usage)?;
            tokio::select! {
                _ = tokio::signal::ctrl_c() => println!(),
                _ = terminate.recv() => {}
            }
        }
        stage.strike().await;
        outcome
    })
}

/// Prints what happens, a station at a time.
struct Show {
    style: Style,
}

impl Show {
    fn station(&self, name: &str, what: &str) {
        println!("  {}  {what}", self.style.accent(format!("{name:<10}")));
        _ = std::io::stdout().flush();
    }

    fn more(&self, what: &str) {
        for line in wrap(what, 66) {
            println!("  {:<10}  {}", "", self.style.dim(line));
        }
    }

    async fn play(&self, stage: &Stage) -> Outcome {
        let style = self.style;
        println!("\n{} from a signed alert to a quarantined file\n", style.bold("lazaret demo:"));
        self.station("simulator", &format!("a strict Defender on {}", stage.simulator.url()));
        self.station("service", &format!("webhooks on {}", stage.webhooks()));
        self.more(&format!("health and metrics on http://{}/metrics", stage.app.admin));
        self.more("rules/demo, mode enforce");
        println!();
        let answer = self.first_delivery(stage).await?;
        let action = self.decisions(stage, &answer)?;
        self.call(stage).await?;
        self.outcome(stage, &action).await?;
        self.second_delivery(stage).await?;
        println!(
            "\n{}\n",
            style.good("One alert, twice delivered; one call; the file is quarantined.")
        );
        Ok(())
    }

    async fn first_delivery(&self, stage: &Stage) -> Result<Answered, Failure> {
        let (status, answer) = stage.send().await?;
        self.station("delivery", &format!("POST /webhooks/demo, {} bytes", SAMPLE.len()));
        self.more("webhook-signature: v1,… (HMAC-SHA256 over id, time and body)");
        self.station("verified", &format!("authentic and durable: answered {status}"));
        serde_json::from_str(&answer)
            .map_err(|why| Failure::wrong(format!("the answer {answer:?} can't be read: {why}")))
    }

    fn decisions(&self, stage: &Stage, answer: &Answered) -> Result<String, Failure> {
        let mut action = None;
        for alert in &answer.alerts {
            self.station("alert", &alert.alert);
            for candidate in &alert.candidates {
                let file =
                    format!("file {:.12}… on machine {:.12}…", candidate.sha1, candidate.machine);
                self.station("candidate", &file);
                match &candidate.decision {
                    Decision::Act { action: id, rules, .. } => {
                        self.station("rule", &format!("{:?} matched", stage.rule()));
                        self.more(&rules.join(", "));
                        self.station("action", &format!("{id}, durable"));
                        action = Some(id.to_string());
                    }
                    Decision::NoMatch { why } => self.more(&format!("left alone: {why}")),
                    other => self.more(&format!("{other:?}")),
                }
            }
        }
        action.ok_or_else(|| Failure::wrong("the sample alert made no action"))
    }

    async fn call(&self, stage: &Stage) -> Outcome {
        let answered = async {
            loop {
                let calls = stage.simulator.calls_to(Endpoint::Quarantine);
                if let Some(call) = calls.into_iter().find(|call| call.status.is_some()) {
                    break call;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let call = tokio::time::timeout(PATIENCE, answered)
            .await
            .map_err(|_| Failure::wrong("no call reached the simulator"))?;
        let (start, end) = call.target.split_at(call.target.len().min(55));
        self.station("call", &format!("{} {start}", call.method));
        if !end.is_empty() {
            println!("  {:<10}       {end}", "");
        }
        for line in call.body.replace("\",\"", "\",\n \"").lines().flat_map(|l| wrap(l, 66)) {
            println!("  {:<10}  {line}", "");
        }
        let status = call.status.map(|s| s.to_string()).unwrap_or_default();
        let id = call.machine_action.unwrap_or_default();
        self.station("answer", &format!("{status} Created: machine action {id}"));
        Ok(())
    }

    async fn outcome(&self, stage: &Stage, action: &str) -> Outcome {
        tokio::time::timeout(PATIENCE, self.follow(stage, action))
            .await
            .unwrap_or_else(|_| Err(Failure::wrong("the action did not end in time")))
    }

    async fn follow(&self, stage: &Stage, action: &str) -> Outcome {
        let mut shown = String::new();
        loop {
            let report = stage.action(action).await?;
            let state = report.line.state.name();
            let text = super::actions::state_text(&report.line.state);
            if !state.is_open() {
                let text = if state == StateName::Succeeded {
                    self.style.good(&text)
                } else {
                    self.style.bad(&text)
                };
                self.station("outcome", &text);
                break if state == StateName::Succeeded { Ok(()) } else { failed(&report) };
            }
            if state == StateName::Accepted && shown != text {
                let how_far = match &report.line.state {
                    State::Accepted { progress: Progress::Running, .. } => "the machine is at it",
                    _ => "pending at Defender: 201 is not yet done",
                };
                self.station("tracker", how_far);
                shown = text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn second_delivery(&self, stage: &Stage) -> Outcome {
        println!();
        let (status, answer) = stage.send().await?;
        self.station("again", &format!("the same alert in a new delivery: answered {status}"));
        let answer: Answered = serde_json::from_str(&answer).map_err(Failure::wrong)?;
        let decisions = answer.alerts.iter().flat_map(|alert| &alert.candidates);
        for candidate in decisions {
            if let Decision::Duplicate { of, why } = &candidate.decision {
                self.station("duplicate", &format!("of action {of}"));
                self.more(why);
            }
        }
        let calls = stage.simulator.calls_to(Endpoint::Quarantine).len();
        self.station("calls", &format!("{calls} at Defender, as before"));
        if calls == 1 { Ok(()) } else { Err(Failure::wrong(format!("{calls} calls were made"))) }
    }

    /// How to go on, for someone whose interest is awake.
    fn invite(&self, stage: &Stage) {
        let style = self.style;
        let config = stage.config_path().display().to_string();
        println!("It goes on running. In another terminal, with your own alert:\n");
        let program = std::env::args().next().unwrap_or_else(|| "lazaret".into());
        println!("  {}", style.bold(format!("export LAZARET_CONFIG={config}")));
        println!(
            "  {}",
            style.bold(format!("{program} send --source demo --file alert.json --now"))
        );
        println!("  {}", style.bold(format!("{program} actions list")));
        println!("  {}", style.bold(format!("{program} status")));
        println!("\nThe sample alert is {}/rules/samples/demo-alert.json.", stage.home().display());
        println!("Ctrl-C ends it.");
    }
}

fn failed(report: &ActionReport) -> Outcome {
    let state = super::actions::state_text(&report.line.state);
    Err(Failure::wrong(format!("the action ended otherwise than expected: {state}")))
}
