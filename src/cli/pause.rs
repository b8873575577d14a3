//! `lazaret pause` and `lazaret resume`: the brakes that this version has.

use clap::Args as ClapArgs;

use super::client::{self, ConfigArg, Service};
use super::{Failure, Outcome, runtime};
use crate::app;
use crate::domain::audit::Role;
use crate::domain::ids::TenantName;
use crate::domain::scope::Scope;
use crate::io::admin::PauseRequest;
use crate::io::clock::SystemClock;
use crate::io::{Clock as _, Pause, Report, Store as _, Summary, pause_and_wait};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Only this tenant; everything where left out
    #[arg(long)]
    tenant: Option<String>,
    /// Why: goes on the record
    #[arg(long)]
    reason: String,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Pause,
    Resume,
}

pub fn run(args: Args, direction: Direction) -> Outcome {
    let config = args.config.load()?;
    if args.reason.trim().is_empty() {
        return Err(Failure::usage("--reason is empty: say why, it goes on the record"));
    }
    if let Some(name) = &args.tenant
        && !config.tenants.iter().any(|t| t.name == *name)
    {
        return Err(Failure::usage(format!("there is no tenant {name} in the configuration")));
    }
    runtime(1)?.block_on(async {
        let summary = match client::find(&config, Role::Operate).await? {
            Service::Running(service) => {
                let body =
                    PauseRequest { tenant: args.tenant.clone(), reason: args.reason.clone() };
                let path = if direction == Direction::Pause { "/pause" } else { "/resume" };
                service.post::<Report>(path, &body).await?.summary
            }
            Service::Stopped => on_the_store(&config, &args, direction).await?,
        };
        print(&args, direction, &summary);
        Ok(())
    })
}

async fn on_the_store(
    config: &crate::config::Config,
    args: &Args,
    direction: Direction,
) -> Result<Summary, Failure> {
    let store = app::open_store(config).map_err(Failure::usage)?;
    let clock = SystemClock::new();
    let scope = args.scope();
    let (by, reason, at) = (client::account(), args.reason.clone(), clock.now().wall);
    match direction {
        Direction::Pause => {
            let pause = Pause { scope, by, reason, at };
            pause_and_wait(&store, &clock, pause).await.map_err(Failure::wrong)?;
        }
        Direction::Resume => {
            if !store.unpause(scope, by, reason, at).await.map_err(Failure::wrong)? {
                return Err(Failure::wrong("that is not paused: nothing to resume"));
            }
        }
    }
    store.summary(at).await.map_err(Failure::wrong)
}

impl Args {
    fn scope(&self) -> Scope {
        match &self.tenant {
            None => Scope::All,
            Some(name) => Scope::Tenant(TenantName::new(name)),
        }
    }
}

fn print(args: &Args, direction: Direction, summary: &Summary) {
    if args.json {
        let line = serde_json::json!({ "pauses": summary.pauses, "states": summary.states });
        println!("{line}");
        return;
    }
    let scope = args.scope();
    let count = |state| {
        let of = |s: &&crate::io::StateCount| {
            s.state == state && args.tenant.as_ref().is_none_or(|t| *t == s.tenant)
        };
        summary.states.iter().filter(of).map(|s| s.count).sum::<u64>()
    };
    use crate::domain::action::StateName::{Accepted, InDoubt, InFlight, Queued};
    let word = if direction == Direction::Pause { "paused" } else { "resumed" };
    println!(
        "{word} {scope}; in flight {}, in doubt {}, pending at Defender {}, queued {}",
        count(InFlight),
        count(InDoubt),
        count(Accepted),
        count(Queued)
    );
    for pause in summary.pauses.iter().filter(|pause| pause.scope != scope) {
        let Pause { scope, by, reason, at } = pause;
        println!("still paused: {scope}, by {by} at {at}: {reason}");
    }
}
