//! What the line costs: each figure stands beside a floor or a naive counterpart that is measured in
//! the same run, in turns with it.
//!
//! `cargo bench --bench line` measures everything; `-- decode latency webhook kafka memory stream
//! judge tenants restart write-ahead` only those parts; `--quick` a small version that proves nothing
//! but that it runs.
//! The Kafka parts need `LAZARET_TEST_KAFKA`, which `./test --prepare` prints.
#![expect(clippy::disallowed_methods, reason = "a load program measures by the system's clock")]

mod alerts;
#[path = "../../tests/it/broker.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod broker;
mod decode;
mod judge;
mod kafka;
mod latency;
mod memory;
mod naive;
mod process;
mod queue;
mod restart;
mod site;
mod stream;
mod table;
mod tenants;
mod webhook;
mod wire;
mod write_ahead;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Rounds of each side.
    pub pairs: usize,
    /// Everything else is this much smaller.
    pub divisor: usize,
}

type Part = (&'static str, fn(Scale));

/// In the order of their numbers in the printed result.
const PARTS: [Part; 10] = [
    ("decode", decode::run),
    ("latency", latency::run),
    ("webhook", webhook::run),
    ("kafka", kafka::run),
    ("memory", memory::run),
    ("stream", stream::run),
    ("judge", judge::run),
    ("tenants", tenants::run),
    ("restart", restart::run),
    ("write-ahead", write_ahead::run),
];

fn main() {
    let mut scale = Scale { pairs: 5, divisor: 1 };
    let mut chosen = Vec::new();
    // Cargo adds `--bench`.
    for argument in std::env::args().skip(1).filter(|argument| argument != "--bench") {
        match argument.as_str() {
            "--quick" => scale = Scale { pairs: 2, divisor: 20 },
            name if PARTS.iter().any(|(part, _)| *part == name) => chosen.push(argument),
            other => {
                let parts = PARTS.map(|(name, _)| name).join(", ");
                eprintln!("unknown argument {other}: expected --quick or some of {parts}");
                std::process::exit(2);
            }
        }
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores, {} rounds of each side in turns: median and range", scale.pairs);
    for (name, run) in PARTS {
        if chosen.is_empty() || chosen.iter().any(|one| one == name) {
            run(scale);
        }
    }
}

/// A runtime as `lazaret run` has it.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads start")
}
