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

/// A wait that is not told more exactly.
const SOON: Duration = Duration::from_secs(120);

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
    let screen =
        Screen { style, summary: &report.summary, relays: &report.relays, now: report.now };
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
    let screen = Screen { style, summary, relays: &[], now };
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
    now: Wall,
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
    fn ago(&self, at: Wall) -> String {
        rough_span(self.now.since(at))
    }

    fn ahead(&self, at: Wall) -> String {
        match at.since(self.now) {
            soon if soon < SOON => "within two minutes".to_owned(),
            wait => format!("in about {}", rough_span(wait)),
        }
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
            let of_tenant = self.relays.iter().find(|relay| relay.tenant == queue.tenant);
            let ends = of_tenant.and_then(|relay| {
                relay.ends.iter().find(|(class, _)| *class == queue.class).map(|(_, at)| *at)
            });
            let oldest = queue.oldest.map(|at| format!(", the oldest for {}", self.ago(at)));
            let ends = ends.map(|at| format!(", the last starts {}", self.ahead(at)));
            let more = oldest.into_iter().chain(ends).collect::<String>();
            text.push_str(&self.more(&(line + &more)));
        }
        for (tenant, count) in &self.summary.aside {
            text.push_str(&self.more(&format!("{tenant}: {count} queued and paused")));
        }
        for (tenant, count, oldest) in &self.summary.unfetched {
            let wait = format!("since {oldest}; Defender waits up to 72 h");
            text.push_str(&self.more(&format!("{tenant}: {count} no machine has fetched {wait}")));
        }
        for relay in self.relays {
            let queued = self.summary.queues.iter().filter(|queue| queue.tenant == relay.tenant);
            let queued: u64 = queued.map(|queue| queue.depth).sum();
            let windows: Vec<_> = relay
                .windows
                .iter()
                .map(|w| format!("{} of {} per {}", w.used, w.calls, span(w.per_seconds)))
                .collect();
            let done = match (&relay.blocked, relay.ends.iter().map(|(_, at)| *at).max()) {
                (Some(why), _) => match relay.blocked_until {
                    Some(until) => format!("waits until {until}: {why}"),
                    // What stops it stands among the brakes, or among what is wrong.
                    None => "waits".to_owned(),
                },
                (None, _) if queued == 0 => "nothing to call".to_owned(),
                (None, Some(at)) => format!("all called {}", self.ahead(at)),
                (None, None) => "calling".to_owned(),
            };
            let share = match relay.share {
                share if (0.1..100.0).contains(&share) => format!(" ({share} % of it ours)"),
                _ => String::new(),
            };
            text.push_str(&self.more(&format!(
                "{}: {done}; budget used{share}: {}",
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
            || self.summary.people_wait().any(|told| told == problem)
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
mod tests;
