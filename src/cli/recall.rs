//! `lazaret recall`: a file was harmless. Nothing more is sent for it, and what was done is shown
//! with how to undo it.

mod page;

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::client::{self, Client, ConfigArg, Service};
use super::style::{Style, print_json};
use super::{Failure, Outcome, check_reason, runtime};
use crate::domain::audit::Role;
use crate::domain::ids::Sha1;
use crate::io::admin::RecallRequest;
use crate::io::clock::SystemClock;
use crate::io::recall::{FileReport, Recall, RecallStore as _, Recalled, recall_and_wait};
use crate::io::store::SqliteStore;
use crate::io::{Clock as _, StoreError};
use crate::limits;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The file, by the 40 hex digits of its SHA-1
    #[arg(long, value_name = "SHA1", value_parser = sha1)]
    sha1: Sha1,
    /// Why: goes on the record, and to Defender with each cancel
    #[arg(long, required_unless_present = "status")]
    reason: Option<String>,
    /// Only show how it stands
    #[arg(long, conflicts_with = "reason")]
    status: bool,
    /// Also write all actions of the file here, as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print it all as JSON
    #[arg(long)]
    json: bool,
}

fn sha1(text: &str) -> Result<Sha1, String> {
    Sha1::parse(text).map_err(|why| format!("it {why}"))
}

/// What was done, where something was, and whether there is a service that goes on with it.
struct Shown {
    recalled: Option<Recalled>,
    file: FileReport,
    running: bool,
}

pub fn run(args: Args) -> Outcome {
    let config = args.config.load()?;
    args.reason.as_deref().map_or(Ok(()), check_reason)?;
    if let Some(path) = &args.csv {
        // Before anything is done: a mistyped path is then all that is wrong.
        open(path)?;
    }
    let role = if args.status { Role::View } else { Role::Operate };
    let shown = runtime(1)?.block_on(async {
        match client::find(&config, role).await? {
            Service::Running(service) => from_service(&service, &args).await,
            Service::Stopped => {
                client::with_store(&config, async |store| on_the_store(store, &args).await).await
            }
        }
    })?;
    if args.json {
        match &shown.recalled {
            Some(recalled) => {
                print_json(&Recalled { file: shown.file.clone(), ..recalled.clone() })
            }
            None => print_json(&shown.file),
        }
    } else {
        print!("{}", page::page(Style::of_stdout(), &shown));
    }
    if let Some(path) = &args.csv {
        use std::io::Write as _;
        let failed = |why| Failure::wrong(format!("{} is not written: {why}", path.display()));
        let mut file = open(path)?;
        file.set_len(0)
            .and_then(|()| file.write_all(page::csv(&shown.file).as_bytes()))
            .map_err(failed)?;
    }
    Ok(())
}

fn open(path: &Path) -> Result<std::fs::File, Failure> {
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path);
    opened.map_err(|why| Failure::usage(format!("--csv {}: {why}", path.display())))
}

async fn from_service(service: &Client, args: &Args) -> Result<Shown, Failure> {
    let path = format!("/files/{}", args.sha1);
    let (recalled, mut file) = match &args.reason {
        Some(reason) => {
            let request = RecallRequest { sha1: args.sha1.to_string(), reason: reason.clone() };
            let recalled: Recalled = service.post("/recall", &request).await?;
            (Some(recalled.clone()), recalled.file)
        }
        None => (None, service.get(&path, client::NO_QUERY).await?),
    };
    while let Some(after) = file.next {
        let piece: FileReport = service.get(&path, &[("after", after.to_string())]).await?;
        append(&mut file, piece);
    }
    Ok(Shown { recalled, file, running: true })
}

async fn on_the_store(store: &SqliteStore, args: &Args) -> Result<Shown, StoreError> {
    let (recalled, mut file) = match &args.reason {
        Some(reason) => {
            let clock = SystemClock::new();
            let (by, at) = (client::account(), clock.now().wall);
            let recall = Recall { sha1: args.sha1, by, reason: reason.clone(), at };
            let recalled = recall_and_wait(store, store, &clock, recall).await?;
            (Some(recalled.clone()), recalled.file)
        }
        None => (None, store.file(args.sha1, 0, limits::FILE_PAGE).await?),
    };
    while let Some(after) = file.next {
        append(&mut file, store.file(args.sha1, after, limits::FILE_PAGE).await?);
    }
    Ok(Shown { recalled, file, running: false })
}

fn append(file: &mut FileReport, piece: FileReport) {
    file.next = piece.next;
    file.actions.extend(piece.actions);
}
