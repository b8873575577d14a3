//! The five questions of three in the morning, each with the command that goes on from it.

use std::time::Duration;

use super::STOPPED;
use crate::cli::style::{COLUMNS, Style, beside, clean, counted};
use crate::domain::action::StateName;
use crate::domain::time::{Wall, rough_span};
use crate::io::{BY_FILE, Pause, RelayLine, Report, Summary, paused};

/// Columns of a question, and of what is said beside it.
const ASIDE: usize = 12;

/// Pauses that are shown with what ends them.
const PAUSES: usize = 3;

/// What goes on from actions that wait for a person.
const HELD: &str = "lazaret actions list --held";

pub(super) fn running(style: Style, report: &Report) -> String {
    let mut text = format!(
        "{} {} on {}, up {}; mode {}, {} ({})\n",
        style.bold("lazaret"),
        report.version,
        clean(&report.node),
        rough_span(report.now.since(report.started)),
        style.bold(&report.mode),
        counted(report.rules, "rule"),
        &report.ruleset[..report.ruleset.len().min(12)],
    );
    let screen = Screen { style, summary: &report.summary, relays: &report.relays };
    text.push_str(&screen.is_it_stopped(&report.mode, &report.problems));
    text.push_str(&screen.what_is_it_doing());
    text.push_str(&screen.who_waits());
    text.push_str(&screen.what_is_wrong(&text, &report.problems));
    text.push_str(&screen.is_a_source_silent(report.now));
    for source in &report.kafka {
        let lag = format!(
            "kafka {}: {}, lag {}",
            source.source,
            counted(source.partitions, "partition"),
            source.lag
        );
        text.push_str(&screen.more(&lag));
    }
    text
}

pub(super) fn stopped(
    style: Style,
    mode: &str,
    summary: &Summary,
    problems: &[String],
    now: Wall,
) -> String {
    let screen = Screen { style, summary, relays: &[] };
    let mut text = screen.row("stopped?", &style.bad("yes, the service does not run"));
    text.push_str(&screen.go_on("lazaret run"));
    text.push_str(&screen.brakes("", problems));
    text.push_str(&screen.more(&format!("mode {mode}; {}", screen.gone_out())));
    text.push_str(&screen.what_is_it_doing());
    text.push_str(&screen.who_waits());
    text.push_str(&screen.what_is_wrong(&text, problems));
    text.push_str(&screen.is_a_source_silent(now));
    text
}

struct Screen<'a> {
    style: Style,
    summary: &'a Summary,
    /// None where the service is stopped.
    relays: &'a [RelayLine],
}

impl Screen<'_> {
    fn row(&self, question: &str, text: &str) -> String {
        beside(&self.style.bold(format!("{question:<ASIDE$}")), ASIDE, text)
    }

    fn more(&self, text: &str) -> String {
        beside(&" ".repeat(ASIDE), ASIDE, &clean(text))
    }

    /// The command that goes on from a row. A long one begins further left, to be copied whole.
    fn go_on(&self, command: &str) -> String {
        let fits = ASIDE + 2 + command.chars().count() <= COLUMNS;
        let indent = if fits { ASIDE } else { 2 };
        format!("{}{}\n", " ".repeat(indent), self.style.dim(format!("→ {command}")))
    }

    fn is_it_stopped(&self, mode: &str, problems: &[String]) -> String {
        let brakes = self.brakes("stopped?", problems);
        let mut text = match (brakes.is_empty(), mode) {
            (false, _) => brakes.clone(),
            (true, "observe") => self.row("stopped?", "mode observe: everything but the call"),
            (true, _) => self.row("stopped?", "no"),
        };
        text.push_str(&self.more(&self.gone_out()));
        if brakes.is_empty() {
            text.push_str(&self.go_on("lazaret pause --reason TEXT"));
        }
        text
    }

    /// The stop file and the pauses, each with the command that ends it.
    fn brakes(&self, question: &str, problems: &[String]) -> String {
        let mut text = String::new();
        let mut question = Some(question);
        let mut question = || question.take().unwrap_or_default();
        if let Some(by_file) = problems.iter().find(|problem| problem.starts_with(BY_FILE)) {
            text.push_str(&self.problem(question(), by_file));
        }
        let pauses = &self.summary.pauses;
        for Pause { scope, by, at, reason } in pauses.iter().take(PAUSES) {
            text.push_str(
                &self.row(question(), &self.style.bad(clean(&format!("paused: {scope}")))),
            );
            text.push_str(&self.more(&format!("by {by} at {at}: {reason}")));
            text.push_str(
                &self.go_on(&clean(&format!("lazaret resume{} --reason TEXT", scope.option()))),
            );
        }
        if pauses.len() > PAUSES {
            text.push_str(&self.more(&format!("and {} more", pauses.len() - PAUSES)));
            text.push_str(&self.go_on("lazaret status --json"));
        }
        text
    }
    /// What has left, and how it ended.
    fn gone_out(&self) -> String {
        use StateName::*;
        let hour = self.relays.iter().filter_map(|relay| relay.windows.last());
        let hour: Vec<_> =
            hour.map(|w| format!("{} calls in the last {}", w.used, span(w.per_seconds))).collect();
        let ended = [Succeeded, Failed, TimedOut, Cancelled, Refused, GaveUp];
        let ended: Vec<_> = ended
            .into_iter()
            .filter(|state| self.count(*state) > 0)
            .map(|state| format!("{} {state}", self.count(state)))
            .collect();
        let ended =
            if ended.is_empty() { "nothing has ended yet".to_owned() } else { ended.join(", ") };
        hour.into_iter().chain([ended]).collect::<Vec<_>>().join("; ")
    }

    fn what_is_it_doing(&self) -> String {
        use StateName::*;
        let [flight, doubt, pending, queued] =
            [InFlight, InDoubt, Accepted, Queued].map(|s| self.count(s));
        let now = format!(
            "{flight} in flight, {doubt} in doubt, {pending} pending at Defender, {queued} queued"
        );
        let mut text = self.row("doing?", &now);
        for queue in self.summary.queues.iter().filter(|queue| queue.depth > 0) {
            let line = format!("{} {}: {} queued", queue.tenant, queue.class.as_str(), queue.depth);
            text.push_str(&self.more(&line));
        }
        for (tenant, count) in &self.summary.aside {
            text.push_str(&self.more(&format!("{tenant}: {count} queued and paused")));
        }
        for relay in self.relays {
            let queued = self.summary.queues.iter().filter(|queue| queue.tenant == relay.tenant);
            let queued: u64 = queued.map(|queue| queue.depth).sum();
            let windows: Vec<_> = relay
                .windows
                .iter()
                .map(|w| format!("{} of {} per {}", w.used, w.calls, span(w.per_seconds)))
                .collect();
            let done = match (&relay.held, relay.done_in(queued)) {
                (Some(_), _) => "waits".to_owned(),
                (None, _) if queued == 0 => "nothing to call".to_owned(),
                (None, wait) if wait < Duration::from_secs(120) => {
                    "done within two minutes".to_owned()
                }
                (None, wait) => format!("done in about {}", rough_span(wait)),
            };
            text.push_str(&self.more(&format!(
                "{}: {done}; budget used: {}",
                relay.tenant,
                windows.join(", ")
            )));
        }
        if queued > 0 {
            text.push_str(&self.go_on("lazaret actions list --state queued"));
        }
        text
    }

    fn who_waits(&self) -> String {
        let held = self.count(StateName::Held);
        if held == 0 {
            return self.row("waiting?", "nobody: nothing is held for a person");
        }
        let whys: Vec<_> = self
            .summary
            .held
            .iter()
            .map(|(tenant, why, n)| format!("{tenant}: {n} for {why}"))
            .collect();
        let mut text =
            self.row("waiting?", &self.style.notice(format!("{held} held for a person")));
        for why in whys {
            text.push_str(&self.more(&why));
        }
        text.push_str(&self.go_on(HELD));
        text
    }

    /// What is not said above, and no command twice.
    fn what_is_wrong(&self, above: &str, problems: &[String]) -> String {
        let mut text = String::new();
        for problem in problems.iter().filter(|problem| !self.is_told(problem)) {
            let question = if text.is_empty() { "wrong?" } else { "" };
            let (what, command) = parts(problem);
            text.push_str(&self.row(question, &clean(what)));
            let next = command.map(|command| self.go_on(&clean(command)));
            text.extend(next.filter(|next| !above.contains(next) && !text.contains(next)));
        }
        match (text.is_empty(), problems.is_empty()) {
            (true, true) => self.row("wrong?", &self.style.good("nothing")),
            (true, false) => self.row("wrong?", "nothing else"),
            (false, _) => text,
        }
    }

    /// Whether another question has been answered with it.
    fn is_told(&self, problem: &str) -> bool {
        // A relay repeats what stops it.
        let relay = problem.strip_prefix("nothing is sent for tenant ");
        let why = relay.and_then(|said| said.split_once(": ")).map_or(problem, |(_, why)| why);
        [BY_FILE, STOPPED, "stopped by the file"].iter().any(|told| why.starts_with(told))
            || why == "paused"
            || why.ends_with(HELD)
            || self.summary.pauses.iter().any(|pause| paused(pause).starts_with(why))
    }

    fn problem(&self, question: &str, problem: &str) -> String {
        let (what, command) = parts(problem);
        let mut text = self.row(question, &clean(what));
        text.extend(command.map(|command| self.go_on(&clean(command))));
        text
    }

    fn is_a_source_silent(&self, now: Wall) -> String {
        let Summary { received, last_received, .. } = self.summary;
        if received.is_empty() {
            return self.row("silent?", "no alert has come yet");
        }
        let mut text = String::new();
        for (at, (source, count)) in received.iter().enumerate() {
            let last = last_received.iter().find(|(name, _)| name == source);
            let last = last
                .map_or("never".into(), |(_, at)| format!("{} ago", rough_span(now.since(*at))));
            let became = super::became(self.summary, source);
            let line = format!("{source}: last alert {last}; {count} so far: {became}");
            let question = if at == 0 { "silent?" } else { "" };
            text.push_str(&self.row(question, &clean(&line)));
        }
        text.push_str(&self.go_on("lazaret actions receipts"));
        text
    }

    fn count(&self, state: StateName) -> u64 {
        self.summary.states.iter().filter(|of| of.state == state).map(|of| of.count).sum()
    }
}

/// A problem ends in the command that goes on from it, where there is one.
fn parts(problem: &str) -> (&str, Option<&str>) {
    match problem.split_once("; to go on: ") {
        Some((what, command)) => (what, Some(command)),
        None => (problem, None),
    }
}

fn span(seconds: f64) -> String {
    match seconds as u64 {
        3600 => "hour".to_owned(),
        60 => "minute".to_owned(),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::breaker::Breaker;
    use crate::domain::ids::{Sha1, TenantName};
    use crate::domain::scope::Scope;
    use crate::io::{StateCount, TripLine, WindowLine};

    const RESUME: &str =
        "lazaret resume --sha1 c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13 --reason TEXT";

    fn report() -> Report {
        let scope = Scope::Sha1(Sha1::parse("c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13").unwrap());
        let state = |state, count| StateCount { tenant: "contoso".to_owned(), state, count };
        let summary = Summary {
            states: vec![state(StateName::Held, 475), state(StateName::Succeeded, 25)],
            pauses: vec![Pause {
                scope: scope.clone(),
                by: "token alice".to_owned(),
                reason: "a false positive".to_owned(),
                at: Wall(1),
            }],
            trips: vec![TripLine {
                tenant: TenantName::new("contoso"),
                breaker: Breaker::MachinesPerFile,
                scope,
                at: Wall(1),
                why: format!("it was met on more machines than 25/1h; to go on: {RESUME}"),
            }],
            held: vec![("contoso".to_owned(), "breaker".to_owned(), 475)],
            received: vec![("siem".to_owned(), 500)],
            last_received: vec![("siem".to_owned(), Wall(1))],
            ..Summary::default()
        };
        let window = |used, calls, per_seconds| WindowLine { used, calls, per_seconds };
        let relays = vec![RelayLine {
            tenant: "contoso".to_owned(),
            windows: vec![window(0, 100, 60.0), window(25, 1500, 3600.0)],
            ..RelayLine::default()
        }];
        Report {
            version: "0.1.0".to_owned(),
            node: "lazaret-1".to_owned(),
            mode: "enforce".to_owned(),
            rules: 3,
            ruleset: "ab".repeat(32),
            started: Wall(1),
            now: Wall(60_000_001),
            problems: summary.problems(),
            summary,
            relays,
            credentials: Vec::new(),
            kafka: Vec::new(),
            channels: Vec::new(),
            rules_refused: None,
            store_trouble: None,
        }
    }

    #[test]
    fn every_question_is_answered_within_80_columns_and_names_a_command() {
        let report = report();
        let stopped =
            stopped(Style::plain(), "enforce", &report.summary, &report.problems, report.now);
        for screen in [running(Style::plain(), &report), stopped] {
            for question in ["stopped?", "doing?", "waiting?", "wrong?", "silent?"] {
                let row = screen.lines().position(|line| line.starts_with(question));
                assert!(row.is_some(), "{question}\n{screen}");
            }
            assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
            assert!(screen.contains("lazaret actions list --held"), "{screen}");
            assert!(screen.contains("lazaret resume --sha1 c41d"), "{screen}");
        }
    }

    #[test]
    fn each_pause_has_its_command_and_nothing_is_said_twice() {
        let mut report = report();
        for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
            let scope = Scope::Tenant(TenantName::new(name));
            let (by, reason) = ("token alice".to_owned(), format!("reason {name}"));
            report.summary.pauses.push(Pause { scope, by, reason, at: Wall(n as i64) });
        }
        report.problems = vec![format!("{BY_FILE} /srv/STOP is there; to go on: rm /srv/STOP")];
        report.problems.extend(report.summary.problems());
        for why in ["stopped by the file /srv/STOP", "paused", "tenant a is paused by token alice"]
        {
            report.problems.push(format!("nothing is sent for tenant contoso: {why}"));
        }
        let down = [vec![format!("{STOPPED}: start it")], report.problems.clone()].concat();
        let stopped = stopped(Style::plain(), "enforce", &report.summary, &down, report.now);
        for screen in [running(Style::plain(), &report), stopped] {
            for once in [RESUME, "resume --tenant a", "resume --tenant b", "STOP is there", HELD] {
                assert_eq!(screen.matches(once).count(), 1, "{once}\n{screen}");
            }
            for once in ["a false positive", "reason a", "reason b", "breaker machines_per_file"] {
                assert_eq!(screen.matches(once).count(), 1, "{once}\n{screen}");
            }
            assert!(screen.contains("and 1 more") && !screen.contains("reason c"));
            assert!(!screen.contains("start it") && !screen.contains("lazaret pause"), "{screen}");
        }
        report.summary.trips.clear();
        report.problems = report.summary.problems();
        assert!(running(Style::plain(), &report).contains("wrong?      nothing else"));
    }

    #[test]
    fn the_time_until_a_backlog_is_called_follows_the_tightest_window() {
        let relay = &report().relays[0];
        assert_eq!(relay.done_in(100), Duration::ZERO);
        assert_eq!(relay.done_in(101), Duration::from_secs(60));
        assert_eq!(relay.done_in(1475), Duration::from_secs(14 * 60));
        assert_eq!(relay.done_in(1476), Duration::from_secs(3600));
    }
}
