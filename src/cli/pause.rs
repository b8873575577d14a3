//! `lazaret pause` and `lazaret resume`: nothing of a scope leaves after the first has answered.

use clap::Args as ClapArgs;

use super::client::{self, ConfigArg, Service};
use super::style::{COLUMNS, beside, clean, print_json, prose};
use super::votes::{account_voter, tally};
use super::{Failure, Outcome, check_reason, check_tenant, machine, runtime};
use crate::app;
use crate::config::Config;
use crate::domain::audit::Role;
use crate::domain::ids::{Sha1, TenantName};
use crate::domain::scope::Scope;
use crate::io::admin::BrakeRequest;
use crate::io::clock::SystemClock;
use crate::io::store::SqliteStore;
use crate::io::{
    Braked, Clock as _, Pause, Resume, STOP_FILE, braked, pause_and_wait, resume_whole, stop_file,
};
use crate::rules;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    scope: ScopeArg,
    /// Why: goes on the record
    #[arg(long)]
    reason: String,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// One of these; everything where all are left out.
#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
struct ScopeArg {
    /// Only this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only what this rule decided, by its id
    #[arg(long)]
    rule: Option<String>,
    /// Only this machine, by its Defender id, in every tenant
    #[arg(long, value_name = "ID")]
    machine: Option<String>,
    /// Only this file, in every tenant
    #[arg(long, value_name = "HASH")]
    sha1: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Pause,
    Resume,
}

pub fn run(args: Args, direction: Direction) -> Outcome {
    let config = args.config.load()?;
    check_reason(&args.reason)?;
    let scope = args.scope.scope(&config, direction)?;
    runtime(1)?.block_on(async {
        let braked = match client::find(&config, Role::Operate).await? {
            Service::Running(service) => {
                let body = BrakeRequest { scope: scope.key(), reason: args.reason.clone() };
                let path = if direction == Direction::Pause { "/pause" } else { "/resume" };
                service.post::<Braked>(path, &body).await?
            }
            Service::Stopped => on_the_store(&config, scope, &args.reason, direction).await?,
        };
        if args.json {
            print_json(&braked);
        } else {
            print!("{}", screen(&braked, direction));
        }
        Ok(())
    })
}

async fn on_the_store(
    config: &Config,
    scope: Scope,
    reason: &str,
    direction: Direction,
) -> Result<Braked, Failure> {
    let clock = SystemClock::new();
    let (reason, at) = (reason.to_owned(), clock.now().wall);
    if let (Scope::Rule(rule), Direction::Pause) = (&scope, direction)
        && !rules::check(&config.rules, at).rules.iter().any(|listed| listed.id == *rule)
    {
        return Err(Failure::usage(app::no_rule(rule, &config.rules)));
    }
    if direction == Direction::Pause {
        let pause = Pause { scope: scope.clone(), by: client::account(), reason, at };
        let paused = async |store: &SqliteStore| {
            pause_and_wait(store, &clock, pause).await?;
            braked(store, scope, None).await
        };
        return client::with_store(config, paused).await;
    }
    let guard = app::guard(config).map_err(Failure::usage)?;
    let resume = Resume { scope: scope.clone(), by: account_voter(), reason, at };
    let resumed = async |store: &SqliteStore| {
        let found = resume_whole(store, guard, resume).await?;
        match found.found_nothing(&scope) {
            Some(why) => Ok(Err(why)),
            None => braked(store, scope, Some(found)).await.map(Ok),
        }
    };
    client::with_store(config, resumed).await?.map_err(|why| {
        Failure::wrong(match stop_file(&config.store.sqlite.join(STOP_FILE)) {
            Some(by_file) => format!("{why}. But {by_file}"),
            None => why,
        })
    })
}

impl ScopeArg {
    fn scope(&self, config: &Config, direction: Direction) -> Result<Scope, Failure> {
        if let Some(name) = &self.tenant {
            // One that was taken out of the configuration may still be paused, or held.
            if direction == Direction::Pause {
                check_tenant(config, name)?;
            }
            return Ok(Scope::Tenant(TenantName::new(name)));
        }
        if let Some(rule) = &self.rule {
            return Ok(Scope::Rule(rule.clone()));
        }
        if let Some(text) = &self.machine {
            return machine(text).map(Scope::Machine);
        }
        if let Some(sha1) = &self.sha1 {
            let wrong = |why| {
                Failure::usage(format!("--sha1 {sha1:?} {why}: give a SHA-1 of 40 hex digits"))
            };
            return Sha1::parse(sha1).map(Scope::Sha1).map_err(wrong);
        }
        Ok(Scope::All)
    }
}

fn screen(braked: &Braked, direction: Direction) -> String {
    let Braked { scope, standing, pauses, resumption } = braked;
    let word = if direction == Direction::Pause { "paused" } else { "resumed" };
    let doubt = match standing.in_doubt {
        0 => String::new(),
        n => format!("in doubt {n}, "),
    };
    let stands = format!(
        "in flight {}, {doubt}pending at Defender {}, queued {}, held {}",
        standing.in_flight, standing.accepted, standing.queued, standing.held
    );
    let head = format!("{word} {scope}; ");
    let mut text = match head.chars().count() + stands.chars().count() {
        0..=COLUMNS => format!("{head}{stands}\n"),
        _ => prose(&format!("{}\n{stands}", head.trim_end())),
    };
    if let Some(Pause { by, reason, at, .. }) = resumption.as_ref().and_then(|r| r.paused.as_ref())
    {
        let ended = clean(&format!("its pause by {by} at {at}: {reason}"));
        text.push_str(&beside("ended: ", 7, &ended));
    }
    if let Some(resumption) = resumption
        && (resumption.tripped > 0 || !resumption.released.is_empty())
    {
        let released = match &resumption.released[..] {
            [] => "it held nothing any more".to_owned(),
            released => tally(released),
        };
        text.push_str(&prose(&format!("its breaker counts anew from now; {released}")));
    }
    if direction == Direction::Pause && standing.accepted > 0 {
        text.push_str("what is pending at Defender has left: lazaret recall asks to cancel it\n");
    }
    for pause in pauses.iter().filter(|pause| pause.scope != *scope) {
        let Pause { scope, by, reason, at } = pause;
        let still = clean(&format!("{scope}, by {by} at {at}: {reason}"));
        text.push_str(&beside("still paused: ", 14, &still));
    }
    text
}
