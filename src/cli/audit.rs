//! `lazaret audit`: the record, verified and exported. Reads the store itself, whether the service
//! runs or not: nobody has to trust it to tell of itself.

mod anchors;
mod export;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::client::ConfigArg;
use super::style::{Style, beside, clean, print_json};
use super::{Failure, Outcome};
use crate::io::store::Chains;
use crate::io::{ChainReport, Verified};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Walks every hash chain; exits with 1 where an entry is not as it was written
    Verify {
        #[command(flatten)]
        config: ConfigArg,
        /// A file of heads that were kept elsewhere, as `audit head --json` prints them and the log
        /// has them: shows that a chain was cut at its end, or rewritten as a whole
        #[arg(long)]
        anchor: Option<PathBuf>,
        /// Print what was found as JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints the newest entry of every chain, to be kept where nobody here can change it
    Head {
        #[command(flatten)]
        config: ConfigArg,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Prints the entries of a time, in the order of their commits
    Export(export::Args),
}

pub fn run(args: Args) -> Outcome {
    match args.command {
        Command::Verify { config, anchor, json } => verify(&config, anchor, json),
        Command::Head { config, json } => head(&config, json),
        Command::Export(args) => export::run(args),
    }
}

fn open(config: &ConfigArg) -> Result<Chains, Failure> {
    Chains::open(&config.load()?.store.sqlite).map_err(Failure::usage)
}

fn verify(config: &ConfigArg, anchor: Option<PathBuf>, json: bool) -> Outcome {
    let chains = open(config)?;
    let anchors = match &anchor {
        Some(file) => anchors::read(file).map_err(Failure::usage)?,
        None => Vec::new(),
    };
    let found = chains.verify(&anchors).map_err(Failure::wrong)?;
    if json {
        print_json(&found);
    } else {
        print!("{}", page(Style::of_stdout(), &found, anchors.len()));
    }
    match found.all_faults().len() {
        0 => Ok(()),
        faults => Err(Failure::wrong(format!(
            "{faults} faults: the record was changed outside Lazaret, or the disk was; keep this \
             directory as it is, and compare it with a backup"
        ))),
    }
}

fn page(style: Style, found: &Verified, anchors: usize) -> String {
    let mut page = String::new();
    for chain in &found.chains {
        page.push_str(&of_chain(style, chain, anchors > 0));
    }
    for fault in &found.faults {
        page.push_str(&beside(&format!("{}  ", style.bad("FAIL")), 6, &clean(fault)));
    }
    if found.chains.is_empty() {
        page.push_str("No chain yet: nothing has happened.\n");
    } else if anchors == 0 {
        page.push_str("Without --anchor, a chain that was cut at its end can't be told.\n");
    }
    page
}

fn of_chain(style: Style, chain: &ChainReport, anchored: bool) -> String {
    let mark = if chain.faults.is_empty() { style.good("ok  ") } else { style.bad("FAIL") };
    let mut head = format!("{} entries", chain.entries);
    if let (Some(first), Some(last)) = (chain.first, chain.last) {
        head.push_str(&format!(", {first} to {last}"));
    }
    let name = clean(&chain.chain);
    let mut text = beside(&format!("{mark}  {name}  "), 8 + name.chars().count(), &head);
    if chain.entries > 0 {
        text.push_str(&format!("      head {}\n", chain.hash));
    }
    if anchored {
        text.push_str(&format!("      anchors found: {}\n", chain.anchored));
    }
    for fault in &chain.faults {
        text.push_str(&beside("      ", 6, &clean(fault)));
    }
    text
}

fn head(config: &ConfigArg, json: bool) -> Outcome {
    for head in open(config)?.heads().map_err(Failure::wrong)? {
        if json {
            print_json(&head);
        } else {
            let name = clean(&head.chain);
            println!("{name}  entry {}, {}\n  {}", head.sequence, head.at, head.hash);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Wall;

    #[test]
    fn a_verification_fits_80_columns_and_names_each_fault() {
        let at = Some(Wall(1_790_000_000_000_000));
        let chain = ChainReport {
            chain: "contoso".to_owned(),
            entries: 41,
            hash: "ab".repeat(32),
            first: at,
            last: at,
            anchored: 2,
            faults: vec![format!("entry 7 has another hash than its anchor {}", "cd".repeat(32))],
        };
        let faults = vec!["the table of changes is damaged: row 3 missing from index".to_owned()];
        let found = Verified { chains: vec![chain], faults };
        let page = page(Style::plain(), &found, 3);
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
        for said in
            ["FAIL  contoso  41 entries", "anchors found: 2", "entry 7", "missing from index"]
        {
            assert!(page.contains(said), "{said}: {page}");
        }
    }
}
