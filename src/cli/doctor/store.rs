//! Whether the store says what was written: every row and every chain, as far as there is time.

use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout_at};

use super::{Finding, Health};
use crate::config::Config;
use crate::io::StoreError;
use crate::io::store::Chains;
use crate::limits::DOCTOR_WITHIN;

/// Reads beside the service if it runs, and takes no lock.
pub(super) async fn verified(config: &Config) -> Finding {
    let finding = |health, text: String| Finding::new("store", health, text);
    let dir = config.store.sqlite.clone();
    let until = sleep(DOCTOR_WITHIN).deadline();
    let open = move || dir.join("lazaret.db").exists().then(|| Chains::open(&dir));
    let store = match timeout_at(until, spawn_blocking(open)).await {
        Ok(Ok(Some(Ok(store)))) => store,
        Ok(Ok(Some(Err(why)))) => return finding(Health::Fail, why.to_string()),
        Ok(Ok(None)) => return finding(Health::Ok, "none yet; `lazaret run` makes it".into()),
        Ok(Err(why)) => return finding(Health::Fail, why.to_string()),
        Err(_) => {
            let text = "it hangs: it could not even be opened; look at `dmesg`";
            return finding(Health::Fail, text.into());
        }
    };
    let stopper = store.stopper();
    let walk = spawn_blocking(move || -> Result<Vec<String>, StoreError> {
        let mut faults = store.verify(&[])?.all_faults();
        faults.extend(store.verify_rows()?);
        Ok(faults)
    });
    match timeout_at(until, walk).await {
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
