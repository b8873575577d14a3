//! `lazaret token`: tokens of the admin listener, one for each person or service.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::{Failure, Outcome};
use crate::config;
use crate::domain::time::Wall;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a token, and the lines of the configuration that let it in
    New(New),
}

#[derive(Debug, ClapArgs)]
struct New {
    /// Whose it is: stands on the record with all that its holder does
    #[arg(long)]
    name: String,
    /// What it may do; each role includes the ones before it
    #[arg(long)]
    role: RoleName,
    /// Its last day, such as 2027-01-31, or its last moment in RFC 3339
    #[arg(long)]
    expires: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    /// Reads
    View,
    /// Also approves and rejects what is held
    Approve,
    /// Also pauses, resumes and recalls
    Operate,
    /// Also whatever no other role is named for
    Admin,
}

pub fn run(args: Args) -> Outcome {
    let Command::New(new) = args.command;
    let clock = SystemClock::new();
    let snippet = new.check(clock.now().wall)?;
    let token = clock.new_secret();
    let token = token.expose_secret();
    let hash = hex::encode(Sha256::digest(token));
    println!("The token, shown this once. Give it to {} and to nobody else:", new.name);
    println!("\n    {token}\n");
    println!("Its lines under listen.admin.tokens, which hold no secret; they count from the");
    println!("next start of the service:\n\n{}", snippet.replace("HASH", &hash));
    println!("Its holder uses it so, or with --token-file:\n\n    export LAZARET_TOKEN=…");
    Ok(())
}

impl New {
    /// The lines of the configuration, with `HASH` for the hash.
    fn check(&self, now: Wall) -> Result<String, Failure> {
        let name = &self.name;
        if !config::is_name(name) {
            let why = format!("--name {name:?} is no name: use 1 to 64 letters, digits, - and _");
            return Err(Failure::usage(why));
        }
        if config::is_own(name) {
            return Err(Failure::usage(format!("--name: {name} is the service's own name")));
        }
        let role = self.role.to_possible_value().expect("no role is hidden");
        let mut snippet = format!("  - name: {name}\n    role: {}\n", role.get_name());
        snippet.push_str("    sha256: HASH\n");
        if let Some(text) = &self.expires {
            let at = Wall::parse_last(text).ok_or_else(|| {
                let why = "is no date: write 2027-01-31, or 2027-01-31T18:00:00Z";
                Failure::usage(format!("--expires {text:?} {why}"))
            })?;
            if at < now {
                return Err(Failure::usage(format!("--expires {text}: that is past")));
            }
            snippet.push_str(&format!("    expires: {text}\n"));
        }
        Ok(snippet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str, expires: Option<&str>) -> Result<String, Failure> {
        let (name, expires) = (name.to_owned(), expires.map(str::to_owned));
        New { name, role: RoleName::Approve, expires }.check(Wall(1_790_000_000_000_000))
    }

    #[test]
    fn what_it_prints_is_what_the_configuration_reads() {
        let lines = new("alice", Some("2027-01-31")).unwrap();
        let lines = lines.replace("HASH", &"ab".repeat(32));
        assert!(lines.lines().all(|line| line.chars().count() <= 80), "{lines}");
        let read: Vec<config::AdminToken> = serde_saphyr::from_str(&lines).unwrap();
        assert_eq!((read[0].name.as_str(), read.len()), ("alice", 1));
        assert!(matches!(read[0].kind(), Some(config::TokenKind::Hash(hash)) if hash[0] == 0xab));
        assert!(read[0].expires().is_some());
    }

    #[test]
    fn names_and_dates_that_the_configuration_would_refuse_are_refused() {
        for (name, expires) in [
            ("", None),
            ("alice b", None),
            ("local", None),
            ("lazaret", None),
            ("alice", Some("soon")),
            ("alice", Some("2020-01-31")),
        ] {
            assert!(new(name, expires).is_err(), "{name} {expires:?}");
        }
    }
}
