//! `lazaret actions approve` and `reject`: a person's yes or no, to single actions or to all that
//! fit a filter, after a look at them.

use clap::Args as ClapArgs;

use super::actions::{listing, short_id};
use super::client::{self, ConfigArg, Service};
use super::style::{beside, clean, print_json, prose};
use super::{Failure, Outcome, check_reason, check_tenant, machine, runtime};
use crate::app;
use crate::config::Config;
use crate::domain::action::{HoldWhy, StateName};
use crate::domain::audit::Role;
use crate::domain::vote::{Say, Voted, Voter};
use crate::io::admin::{ROWS_MAX, VoteRequest};
use crate::io::clock::SystemClock;
use crate::io::store::SqliteStore;
use crate::io::{ActionFilter, ActionLine, Ballot, Clock as _, Store as _, VoteLine, Which};

/// Rows of a preview.
const SHOWN: usize = 20;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Ids of actions, or unambiguous starts of them
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArg,
    /// Only the oldest so many of those that match
    #[arg(long, value_name = "N")]
    first: Option<usize>,
    /// Do nothing where more match
    #[arg(long, value_name = "N", default_value_t = 50)]
    at_most: usize,
    /// Do it: a filter without this only shows what it would be
    #[arg(long)]
    yes: bool,
    /// Why: goes on the record
    #[arg(long)]
    reason: String,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Which actions, where no ids are given.
#[derive(Debug, ClapArgs)]
pub struct FilterArg {
    /// Those of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Those that this rule decided, by its id
    #[arg(long)]
    rule: Option<String>,
    /// Those on this machine, by its Defender id
    #[arg(long, value_name = "ID")]
    machine: Option<String>,
    /// Those of this file
    #[arg(long, value_name = "HASH")]
    sha1: Option<String>,
    /// Those held for this: approval, breaker, correlation, protection and so on
    #[arg(long, value_name = "WHY")]
    why: Option<String>,
}

impl FilterArg {
    /// The filter, its values checked.
    pub fn filter(
        &self,
        config: &Config,
        state: Option<StateName>,
        limit: usize,
    ) -> Result<ActionFilter, Failure> {
        use crate::domain::ids::Sha1;
        let bad = |what: &str, text: &str, why: &dyn std::fmt::Display| {
            Failure::usage(format!("--{what} {text:?} {why}"))
        };
        self.tenant.as_deref().map_or(Ok(()), |name| check_tenant(config, name))?;
        let machine = self.machine.as_deref().map(machine);
        let sha1 = self
            .sha1
            .as_deref()
            .map(|text| Sha1::parse(text).map_err(|why| bad("sha1", text, &why)));
        if let Some(why) = &self.why
            && !HoldWhy::WORDS.contains(&why.as_str())
        {
            let known = format!("is no reason; there are {}", HoldWhy::WORDS.join(", "));
            return Err(bad("why", why, &known));
        }
        Ok(ActionFilter {
            tenant: self.tenant.clone(),
            state,
            rule: self.rule.clone(),
            machine: machine.transpose()?,
            sha1: sha1.transpose()?,
            why: self.why.clone(),
            oldest: false,
            limit,
        })
    }
}

pub fn run(args: Args, say: Say) -> Outcome {
    let config = args.config.load()?;
    check_reason(&args.reason)?;
    let state = (say == Say::Approve).then_some(StateName::Held);
    let filter = args.filter.filter(&config, state, SHOWN)?;
    if args.ids.iter().any(|id| id.trim().is_empty()) {
        let how = "lazaret actions list --held shows them";
        return Err(Failure::usage(format!("an id is empty: name actions by their ids; {how}")));
    }
    let which = match (args.ids.is_empty(), filter.is_narrow()) {
        (true, false) => {
            return Err(Failure::usage(
                "name actions by their ids, or which with --tenant, --rule, --machine, --sha1 or \
                 --why",
            ));
        }
        (false, true) => return Err(Failure::usage("give ids or a filter, not both")),
        (false, false) => Which::Ids(args.ids.clone()),
        (true, true) => {
            Which::All { filter: filter.clone(), at_most: args.at_most, first: args.first }
        }
    };
    runtime(1)?.block_on(async {
        if matches!(which, Which::All { .. }) && !args.yes {
            return preview(&args, &config, filter, say).await;
        }
        let lines = cast(&args, &config, which, say).await?;
        if args.json {
            print_json(&lines);
        } else {
            print!("{}", outcome(&lines, args.filter.is_given()));
        }
        let through = |line: &VoteLine| {
            matches!(line.voted, Voted::Released | Voted::Rejected | Voted::Counted { .. })
        };
        if !lines.is_empty() && lines.iter().all(through) {
            Ok(())
        } else {
            Err(Failure::wrong(""))
        }
    })
}

impl FilterArg {
    fn is_given(&self) -> bool {
        [&self.tenant, &self.rule, &self.machine, &self.sha1, &self.why].iter().any(|f| f.is_some())
    }
}

async fn cast(
    args: &Args,
    config: &Config,
    which: Which,
    say: Say,
) -> Result<Vec<VoteLine>, Failure> {
    let reason = args.reason.clone();
    match client::find(config, Role::Approve).await? {
        Service::Running(service) => {
            service.post("/actions/vote", &VoteRequest { which, say, reason }).await
        }
        Service::Stopped => {
            let guard = app::guard(config).map_err(Failure::usage)?;
            let at = SystemClock::new().now().wall;
            let ballot = Ballot { which, say, by: account_voter(), reason, at };
            let vote = async |store: &SqliteStore| store.vote(ballot, guard).await;
            client::with_store(config, vote).await
        }
    }
}

/// Who works on the store itself.
pub fn account_voter() -> Voter {
    Voter { name: client::account(), personal: false }
}

async fn preview(args: &Args, config: &Config, filter: ActionFilter, say: Say) -> Outcome {
    // One more than is allowed for, so that the count can be told.
    let most = args.first.unwrap_or(usize::MAX).min(ROWS_MAX);
    let mut lines: Vec<ActionLine> = Vec::new();
    for state in say.states() {
        let filter =
            ActionFilter { state: Some(*state), limit: most, oldest: true, ..filter.clone() };
        lines.extend(super::actions::list(config, filter).await?);
    }
    lines.sort_unstable_by_key(|line| line.id);
    lines.truncate(most);
    if lines.is_empty() {
        return Err(Failure::wrong("no action that waits matches: nothing to do"));
    }
    print!("{}", listing(&lines[..lines.len().min(SHOWN)]));
    let word = if say == Say::Approve { "approve" } else { "reject" };
    let more = if lines.len() == ROWS_MAX { " or more" } else { "" };
    let which = if args.first.is_some() { "the oldest that match" } else { "all that match" };
    let count = lines.len();
    let would = format!("Nothing was done: --yes would {word} them.");
    print!("{}", prose(&format!("{count}{more} actions, {which}. {would}")));
    if count > args.at_most {
        print!(
            "{}",
            prose(&format!("they are more than --at-most {}: allow for {count}", args.at_most))
        );
    }
    Ok(())
}

/// How many came to what, in one line.
pub fn tally(lines: &[VoteLine]) -> String {
    let count = |of: fn(&Voted) -> bool| lines.iter().filter(|line| of(&line.voted)).count();
    let counts = [
        (count(|v| matches!(v, Voted::Released)), "released"),
        (count(|v| matches!(v, Voted::Counted { .. })), "wait for another yes"),
        (count(|v| matches!(v, Voted::Rejected)), "rejected"),
        (
            count(|v| matches!(v, Voted::Protected { .. })),
            "rejected for good, since a deny rule covers them",
        ),
        (count(|v| matches!(v, Voted::CountedBefore)), "had your yes before"),
        (count(|v| matches!(v, Voted::NotPersonal)), "need a token of your own"),
        (count(|v| matches!(v, Voted::Stands { .. })), "do not wait any more"),
        (count(|v| matches!(v, Voted::Expired { .. })), "had expired"),
    ];
    let passed = lines.iter().filter(|line| !line.passed.is_empty()).count();
    let counts = counts.into_iter().chain([(passed, "past deny rules that know too little")]);
    let said: Vec<_> =
        counts.filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if said.is_empty() { "no action matched".to_owned() } else { said.join(", ") }
}

fn outcome(lines: &[VoteLine], many: bool) -> String {
    if many {
        return prose(&tally(lines));
    }
    let line = |line: &VoteLine| {
        let id = format!("{}  ", short_id(&line.id));
        let passed = match &line.passed[..] {
            [] => String::new(),
            rules => format!("; passed over, since it knows too little: rule {}", rules.join(", ")),
        };
        beside(&id, id.chars().count(), &clean(&format!("{}{passed}", said(&line.voted))))
    };
    lines.iter().map(line).collect()
}

fn said(voted: &Voted) -> String {
    match voted {
        Voted::Released => "released: it is queued".to_owned(),
        Voted::Counted { given, of } => format!("counted: {given} of {of} have said yes"),
        Voted::Rejected => "rejected".to_owned(),
        Voted::Protected { by } => {
            let by = by.join(", ");
            format!("not released but rejected for good, since a deny rule covers it: rule {by}")
        }
        Voted::CountedBefore => "you have said yes before: somebody else has to".to_owned(),
        Voted::NotPersonal => {
            "not counted: its rule asks for a token of your own (LAZARET_TOKEN)".to_owned()
        }
        Voted::Stands { state } => format!("nothing done: it is {state}"),
        Voted::Expired { at } => format!("nothing done: its time was over at {at}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ActionId, EffectKey, MachineId, Sha1, TenantName};

    #[test]
    fn a_yes_to_what_a_deny_rule_covers_says_that_it_has_ended_for_good() {
        let id = ActionId(uuid::Uuid::from_u128(1));
        let voted = Voted::Protected { by: vec!["3f0b5c61-7a9e-4d52-8c1f-d4e6a2907b18".into()] };
        let (machine, sha1) = (MachineId::from_bytes([1; 20]), Sha1::from_bytes([2; 20]));
        let key = EffectKey { tenant: TenantName::new("contoso"), machine, sha1 };
        let lines = [VoteLine { id, key, voted, passed: Vec::new() }];
        for many in [false, true] {
            let shown = outcome(&lines, many);
            let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            let why = "rejected for good, since a deny rule covers";
            assert!(words.contains(why), "{words}");
            assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        }
    }
}
