//! Whether the store says what was written: every row and every chain, as far as there is time.

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Finding, Health};
use crate::config::Config;
use crate::io::StoreError;
use crate::io::store::Chains;
use crate::limits::DOCTOR_WITHIN;

/// Reads beside the service if it runs, and takes no lock.
pub(super) async fn verified(config: &Config) -> Finding {
    let finding = |health, text: String| Finding::new("store", health, text);
    let dir = config.store.sqlite.clone();
    if !dir.join("lazaret.db").exists() {
        return finding(Health::Ok, "none yet; `lazaret run` makes it".into());
    }
    let store = match Chains::open(&dir) {
        Ok(store) => store,
        Err(why) => return finding(Health::Fail, why.to_string()),
    };
    let stopper = store.stopper();
    let walk = spawn_blocking(move || -> Result<Vec<String>, StoreError> {
        let mut faults = store.verify(&[])?.all_faults();
        faults.extend(store.verify_rows()?);
        Ok(faults)
    });
    match timeout(DOCTOR_WITHIN, walk).await {
        Ok(Ok(Ok(faults))) if faults.is_empty() => {
            finding(Health::Ok, "every checksum and every chain verifies".into())
        }
        Ok(Ok(Ok(faults))) => finding(Health::Fail, damaged(&faults)),
        Ok(Ok(Err(why))) => finding(Health::Fail, why.to_string()),
        Ok(Err(why)) => finding(Health::Fail, why.to_string()),
        Err(_) => {
            stopper.stop();
            let seconds = DOCTOR_WITHIN.as_secs();
            let text = format!(
                "too large to verify within {seconds} s: `lazaret audit verify` takes its time"
            );
            finding(Health::Warn, text)
        }
    }
}

fn damaged(faults: &[String]) -> String {
    const NAMED: usize = 3;
    let named = faults.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    let more = match faults.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(
        "{named}{more}: it was changed outside Lazaret, or the disk was; keep this directory as it \
         is, and compare it with a backup"
    )
}
