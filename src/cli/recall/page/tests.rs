use super::*;
use crate::cli::csv::cell as cell_of;
use crate::domain::ids::{ActionId, MachineId, Sha1};
use crate::domain::time::Wall;
use crate::io::Pause;
use crate::io::recall::{CancelCount, CancelLine, Recalled, Withdrawn};

fn wall() -> Wall {
    Wall(1_790_000_000_000_000)
}

fn line(machine: u8, state: State) -> FileLine {
    FileLine {
        id: ActionId(uuid::Uuid::from_u128(machine.into())),
        tenant: "contoso".to_owned(),
        machine: MachineId::from_bytes([machine; 20]),
        name: Some(format!("pc{machine}")),
        changed: wall(),
        state,
        cancel: None,
        others: Vec::new(),
    }
}

fn done(machine: u8) -> FileLine {
    line(machine, State::Succeeded { completed: wall() })
}

fn shown(actions: Vec<FileLine>) -> Shown {
    let sha1 = Sha1::from_bytes([0xc4; 20]);
    let mut states: Vec<(StateName, u64)> = Vec::new();
    for line in &actions {
        match states.iter_mut().find(|(state, _)| *state == line.state.name()) {
            Some((_, count)) => *count += 1,
            None => states.push((line.state.name(), 1)),
        }
    }
    let pause = Pause {
        scope: Scope::Sha1(sha1),
        by: "token alice".to_owned(),
        reason: "recalled: harmless".to_owned(),
        at: wall(),
    };
    let file = FileReport {
        sha1,
        name: Some("setup.exe".to_owned()),
        pause: Some(pause),
        states,
        cancels: CancelCount::default(),
        actions,
        next: None,
    };
    let recalled = Some(Recalled { withdrawn: Withdrawn::default(), file: file.clone() });
    Shown { recalled, file, running: true }
}

/// The one line that may be longer than the screen: it is there to be copied.
fn is_command(line: &str) -> bool {
    line.contains("MpCmdRun.exe")
}

#[test]
fn the_first_line_says_what_is_true_and_the_rest_fits_the_screen() {
    let mut other = done(1);
    let name = Some("an unusually long name of a file.exe".to_owned());
    other.others =
        (1..9).map(|n| OtherFile { sha1: Sha1::from_bytes([n; 20]), name: name.clone() }).collect();
    let mut actions: Vec<_> = (2..40).map(done).collect();
    actions.insert(0, other);
    actions.push(line(50, State::Rejected { by: "token alice".to_owned() }));
    let mut shown = shown(actions);
    shown.file.cancels = CancelCount { asked: 2, open: 1 };
    let page = page(Style::plain(), &shown);
    let first =
        "file c4c4c4c4… (setup.exe) is recalled: paused\n0 in flight, 1 rejected, 2 cancels";
    assert!(page.starts_with(first), "{page}");
    assert!(page.contains("39 quarantined already"), "{page}");
    for line in page.lines().filter(|line| !is_command(line)) {
        assert!(line.chars().count() <= COLUMNS, "{line}");
    }
    assert_eq!(page.matches("2026-").count(), MACHINES, "{page}");
    assert!(page.contains("and on 19 machines"), "{page}");
    assert!(page.contains("On 1 machine Lazaret quarantined others too"), "{page}");
    assert!(page.contains("5 more"), "{page}");
    let command = "\"%ProgramFiles%\\Windows Defender\\MpCmdRun.exe\" -Restore -Name \
                   EUS:Win32/CustomEnterpriseBlock -All";
    assert_eq!(page.lines().find(|line| is_command(line)).unwrap().trim(), command);
    let (portal, prompt) = (page.find("Action center").unwrap(), page.find(command).unwrap());
    assert!(portal < prompt, "the portal comes first");
    assert!(
        page.trim_end().ends_with("--reason TEXT") && page.contains("lazaret resume --sha1 c4")
    );
}

#[test]
fn a_file_never_seen_is_said_to_be_so() {
    let mut never = shown(Vec::new());
    never.file.name = None;
    let text = page(Style::plain(), &never);
    assert!(text.contains("Nothing was ever sent for it."), "{text}");
    assert!(text.contains("From now on nothing will be."), "{text}");
    assert!(!text.contains("MpCmdRun"), "{text}");
    (never.recalled, never.file.pause) = (None, None);
    let text = page(Style::plain(), &never);
    assert!(text.contains("is not paused") && text.contains("may still act"), "{text}");
}

#[test]
fn with_the_service_stopped_the_cancels_are_said_to_wait() {
    let mut stopped = shown(vec![done(1)]);
    stopped.file.cancels = CancelCount { asked: 1, open: 1 };
    stopped.running = false;
    let text = page(Style::plain(), &stopped);
    assert!(text.contains("The service is stopped"), "{text}");
}

#[test]
fn the_csv_is_quoted_and_no_cell_is_a_formula() {
    let mut bad = done(1);
    bad.name = Some("=cmd|' /C calc'!A0,\"x\"".to_owned());
    bad.cancel = Some(CancelLine { at: wall(), trouble: Some("503".to_owned()), answer: None });
    let csv = csv(&shown(vec![bad, done(2)]).file);
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(lines.len(), 4, "{csv}");
    assert!(lines[1].starts_with("\"'=cmd|' /C calc'!A0,\"\"x\"\"\",0101"), "{csv}");
    assert!(lines[1].contains(",503,"), "{csv}");
    for (text, cell) in
        [("+1", "'+1"), ("@x", "'@x"), ("-1", "'-1"), ("a\nb", "\"a\nb\""), ("a", "a")]
    {
        assert_eq!(cell_of(text), cell);
    }
}
