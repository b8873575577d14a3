//! The screen of a recall, read by somebody tired: what is true now, where the file was
//! quarantined, and how to bring it back. And the same rows as CSV.

use super::Shown;
use crate::cli::actions::{shortened, state_text};
use crate::cli::csv::record;
use crate::cli::style::{COLUMNS, Style, beside, clean, wrap};
use crate::domain::action::{State, StateName};
use crate::domain::scope::Scope;
use crate::io::recall::{FileLine, FileReport, OtherFile};

/// Machines on the screen. The CSV has all.
const MACHINES: usize = 20;

/// Other files that are named for one machine.
const OTHERS: usize = 3;

pub(super) fn page(style: Style, shown: &Shown) -> String {
    let file = &shown.file;
    let mut text = headline(style, shown);
    if file.states.is_empty() {
        text.push_str(&said("Nothing was ever sent for it."));
        text.push_str(&said(match file.pause {
            Some(_) => "From now on nothing will be.",
            None => "It is not paused either: an alert that names it may still act.",
        }));
    }
    text.push_str(&under_way(shown));
    let done: Vec<&FileLine> = file.actions.iter().filter(|line| succeeded(line)).collect();
    if !done.is_empty() {
        text.push_str(&machines(style, &done));
        text.push_str(&restoring(style, &done));
    }
    text.push_str(&afterwards(style, file));
    text
}

/// What is true now.
fn headline(style: Style, shown: &Shown) -> String {
    let file = &shown.file;
    let called = file.name.as_ref().map_or(String::new(), |name| format!(" ({})", clean(name)));
    let now = match (&shown.recalled, &file.pause) {
        (Some(_), _) => "is recalled: paused",
        (None, Some(_)) => "is paused",
        (None, None) => "is not paused",
    };
    let waiting = file.count(&[StateName::Held, StateName::Queued]);
    let counts = [
        (file.count(&[StateName::InFlight, StateName::InDoubt]), "in flight"),
        (waiting, "waiting"),
        (file.count(&[StateName::Rejected]), "rejected"),
        (
            file.cancels.asked,
            if file.cancels.asked == 1 { "cancel asked" } else { "cancels asked" },
        ),
        (file.count(&[StateName::Succeeded]), "quarantined already"),
    ];
    // Nothing waits after a recall, and then that needs no word.
    let counts = counts.iter().filter(|(count, what)| *count > 0 || *what != "waiting");
    let counts: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    let sha1 = file.sha1.to_string();
    let (now, counts) = (format!("file {sha1:.8}…{called} {now}"), counts.join(", "));
    let mut text = format!("{now}; {counts}");
    if text.chars().count() > COLUMNS {
        text = wrap(&now, COLUMNS).join("\n") + "\n" + &counts;
    }
    let lines: Vec<_> = text.lines().map(|line| style.bold(line) + "\n").collect();
    let mut text = lines.concat();
    if let (None, Some(pause)) = (&shown.recalled, &file.pause) {
        text.push_str(&said(&format!("by {} at {}: {}", pause.by, pause.at, pause.reason)));
    }
    text
}

/// What is not over yet, and the command that shows how it ends.
fn under_way(shown: &Shown) -> String {
    let file = &shown.file;
    let mut text = String::new();
    let in_flight = file.count(&[StateName::InFlight, StateName::InDoubt]);
    if in_flight > 0 && file.cancels.open > 0 {
        text.push_str(&said(&format!(
            "{in_flight} calls are not answered yet: what Defender has accepted of them is \
             cancelled too."
        )));
    }
    if file.cancels.asked > 0 {
        let cancelled = file.count(&[StateName::Cancelled]);
        let open = file.cancels.open;
        text.push_str(&said(&format!(
            "Cancels: {} asked, {open} not answered yet; ended as cancelled: {cancelled}. A \
             machine that had begun goes on.",
            file.cancels.asked
        )));
        let trouble = file.actions.iter().find_map(|line| {
            line.cancel.as_ref().filter(|cancel| cancel.answer.is_none())?.trouble.as_ref()
        });
        if let Some(trouble) = trouble {
            text.push_str(&said(&format!("Asked again soon: Defender says {trouble}")));
        }
        if open > 0 && !shown.running {
            text.push_str(&said(
                "The service is stopped: the cancels are sent at its next start. Start it now: \
                 lazaret run",
            ));
        }
        text.push_str(&format!("See how it ends:\n  lazaret recall{} --status\n", option(file)));
    }
    text
}

fn machines(style: Style, done: &[&FileLine]) -> String {
    let title = format!("quarantined on {}", machines_count(done.len()));
    let mut text = format!("\n{}\n", style.bold(title));
    for line in done.iter().take(MACHINES) {
        let name = shortened(&clean(line.name.as_deref().unwrap_or("-")), 18);
        let when = completed(line).get(..16).unwrap_or_default().replace('T', " ");
        text.push_str(&format!("  {name:<18}  {}  {when}\n", line.machine));
        if !line.others.is_empty() {
            text.push_str(&beside("    also there: ", 16, &clean(&others(&line.others))));
        }
    }
    if done.len() > MACHINES {
        let more = machines_count(done.len() - MACHINES);
        text.push_str(&said(&format!("  and on {more}: add --csv FILE to have all of them")));
    }
    text
}

fn machines_count(count: usize) -> String {
    if count == 1 { "1 machine".to_owned() } else { format!("{count} machines") }
}

fn others(others: &[OtherFile]) -> String {
    let mut named: Vec<_> = others.iter().take(OTHERS).map(other).collect();
    if others.len() > OTHERS {
        named.push(format!("{} more", others.len() - OTHERS));
    }
    named.join(", ")
}

fn other(file: &OtherFile) -> String {
    let sha1 = file.sha1.to_string();
    file.name.as_ref().map_or(sha1.clone(), |name| format!("{name} {sha1:.8}…"))
}

/// Microsoft's page "Take response actions on a file" has the command and what it restores;
/// "Address false positives/negatives" has the portal's undo.
fn restoring(style: Style, done: &[&FileLine]) -> String {
    let mut text = format!("\n{}\n", style.bold("to restore it"));
    text.push_str(
        "1. First, for all machines at once, in the Microsoft Defender portal:\n   \
         Action center > History > this file > Apply to more instances > Undo\n\
         2. Where that leaves a machine, on it, in a command prompt run as administrator:\n",
    );
    text.push_str(
        "   \"%ProgramFiles%\\Windows Defender\\MpCmdRun.exe\" -Restore -Name \
         EUS:Win32/CustomEnterpriseBlock -All\n",
    );
    let shared = done.iter().filter(|line| !line.others.is_empty()).count();
    let ours = match shared {
        0 => "Lazaret quarantined no other file on these machines; others may have.".to_owned(),
        n => format!("On {} Lazaret quarantined others too: see above.", machines_count(n)),
    };
    let warning = format!(
        "{} this restores every file that was blocked so on that machine in the last 30 days, not \
         only this one. {ours} Defender may call the threat EUS:Win32/CustomEnterpriseBlock!cl.",
        style.bad("Beware:")
    );
    // The colour takes no column.
    text.push_str(&beside("   ", 3, &warning));
    text
}

fn afterwards(style: Style, file: &FileReport) -> String {
    let option = option(file);
    if file.pause.is_none() {
        return format!("\nTo stop it: lazaret recall{option} --reason TEXT\n");
    }
    let mut text = format!("\n{}\n", style.bold("afterwards"));
    text.push_str(&beside(
        "  ",
        2,
        "So that it stays allowed, put its SHA-1 on a list that a rule with `action: deny` reads, \
         and add an indicator that allows it in the portal: Settings, Indicators.",
    ));
    text.push_str(&said("  Then end the recall; alerts that name the file may act again:"));
    text.push_str(&format!("  lazaret resume{option} --reason TEXT\n"));
    text
}

fn option(file: &FileReport) -> String {
    Scope::Sha1(file.sha1).option()
}

fn said(text: &str) -> String {
    wrap(&clean(text), COLUMNS).iter().map(|line| format!("{line}\n")).collect()
}

fn succeeded(line: &FileLine) -> bool {
    line.state.name() == StateName::Succeeded
}

fn completed(line: &FileLine) -> String {
    match line.state {
        State::Succeeded { completed } => completed.to_string(),
        _ => String::new(),
    }
}

/// Every action of the file, as RFC 4180 has it.
pub(super) fn csv(file: &FileReport) -> String {
    let head = [
        "machine",
        "machine_id",
        "tenant",
        "state",
        "completed",
        "changed",
        "detail",
        "cancel",
        "other_files",
        "action",
    ];
    let mut text = record(head);
    for line in &file.actions {
        let cancel = line.cancel.as_ref().map(|cancel| {
            let open = cancel.trouble.clone().unwrap_or_else(|| "not answered yet".to_owned());
            cancel.answer.clone().unwrap_or(open)
        });
        let others: Vec<_> = line.others.iter().map(|file| file.sha1.to_string()).collect();
        let row = [
            line.name.clone().unwrap_or_default(),
            line.machine.to_string(),
            line.tenant.clone(),
            line.state.name().to_string(),
            completed(line),
            line.changed.to_string(),
            state_text(&line.state),
            cancel.unwrap_or_default(),
            others.join(" "),
            line.id.to_string(),
        ];
        text.push_str(&record(row.iter().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests;
