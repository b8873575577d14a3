//! `lazaret run`: the service, until SIGTERM or SIGINT.

use std::io::IsTerminal as _;

use clap::Args as ClapArgs;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::client::ConfigArg;
use super::{Failure, Outcome, runtime};
use crate::app::{App, Tuning, files};
use crate::config::Config;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub fn run(args: Args) -> Outcome {
    harden();
    start_log();
    let config = args.config.load()?;
    warn(&config);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    runtime(threads)?.block_on(serve(&config))
}

async fn serve(config: &Config) -> Outcome {
    let handler =
        |kind| signal(kind).map_err(|why| Failure::usage(format!("cannot handle signals: {why}")));
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let mut hangup = handler(SignalKind::hangup())?;
    let app = App::start(config, Tuning::default()).await.map_err(Failure::usage)?;
    tracing::info!(
        webhooks = app.webhooks.map(tracing::field::display),
        admin = %app.admin,
        "running"
    );
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                app.reload_certificates();
                app.reload_rules();
            }
            () = app.failed() => {
                app.stop().await;
                let why = "a part of the service failed; see the log, then start again";
                return Err(Failure::wrong(why));
            }
        }
    }
    tracing::info!("stopping: what was taken in is finished first");
    app.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Secrets are in memory: no core dump, no ptrace by others, and no file that others may read.
fn harden() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if let Err(why) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        eprintln!("lazaret: core dumps could not be turned off: {why}");
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(why) = setrlimit(Resource::Core, none) {
        eprintln!("lazaret: core dumps could not be limited: {why}");
    }
}

/// Text on a terminal, JSON elsewhere; `LAZARET_LOG` filters, as in `lazaret=debug`.
fn start_log() {
    let filter = EnvFilter::try_from_env("LAZARET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
}

fn warn(config: &Config) {
    let webhooks = config.listen.webhooks.as_ref();
    if webhooks.is_some_and(|l| l.tls.is_none() && !l.address.ip().is_loopback()) {
        tracing::warn!("webhooks are served without TLS beyond loopback: put TLS before them");
    }
    if let Some(why) = files::too_few(config, files::raise()) {
        tracing::warn!("{why}");
    }
}
