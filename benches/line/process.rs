//! The program as a process of its own, and what Linux says about it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::wire::Wire;

const READY_WITHIN: Duration = Duration::from_secs(300);

/// The running program. It is killed with this.
pub struct Process(Child);

impl Process {
    /// Returns at once. What it logs is shown where `LAZARET_BENCH_LOG` is set.
    pub fn spawn(config: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_lazaret"))
            .args(["run", "--config"])
            .arg(config)
            .stderr(match std::env::var_os("LAZARET_BENCH_LOG") {
                Some(_) => Stdio::inherit(),
                None => Stdio::null(),
            })
            .spawn()
            .expect("the program was built with the benches");
        Self(child)
    }

    /// Returns once it says that it is ready.
    pub fn start(config: &Path, admin: SocketAddr) -> Self {
        let mut process = Self::spawn(config);
        let began = Instant::now();
        while !is_ready(admin) {
            process.expect_running();
            assert!(began.elapsed() < READY_WITHIN, "the service is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        process
    }

    pub fn expect_running(&mut self) {
        let ended = self.0.try_wait().expect("it is ours");
        assert!(ended.is_none(), "the service ended: {ended:?}");
    }

    /// A line of its status that is in KiB, such as `VmRSS`, in megabytes.
    pub fn megabytes(&self, key: &str) -> f64 {
        let status = self.read("status");
        let line = status.lines().find(|line| line.split(':').next() == Some(key));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) * 1024.0 / 1e6
    }

    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.0.id())).map_or(0, Iterator::count)
    }

    /// What it has used so far; Linux counts hundredths of a second.
    pub fn cpu(&self) -> Duration {
        let stat = self.read("stat");
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = |at| fields.split_whitespace().nth(at).and_then(|t| t.parse::<u64>().ok());
        let ticks = ticks(11).zip(ticks(12)).map_or(0, |(user, system)| user + system);
        Duration::from_millis(ticks * 10)
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
        self.0.wait().expect("it is ours");
    }

    fn read(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.0.id());
        std::fs::read_to_string(path).expect("Linux shows what a process holds")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn is_ready(admin: SocketAddr) -> bool {
    let asked = Wire::connect(admin).and_then(|mut wire| {
        let (status, _) = wire.ask(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        Ok(status)
    });
    asked.is_ok_and(|status| status == 200)
}
