//! Arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = lazaret::cli::Cli::parse();
    if cli.only_prints() {
        // `lazaret status | head` ends quietly, as other commands do.
        // SAFETY: nothing else runs yet, and the default action needs no handler.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    cli.run()
}
