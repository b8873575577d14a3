//! Calls that change nothing: machine actions, an alert, machines by their names, what Defender
//! knows of a machine or a file.

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::AUTHORIZATION;

use super::{Inner, text};
use crate::domain::answer::{Fetched, ListQuery, Listing, MACHINES_PAGE, Machines};
use crate::domain::ids::{MachineId, Sha1};
use crate::domain::limiter::Permit;

/// Bytes of one page of machine actions: 10,000 entries, the most a page has, take about 8 MiB.
const ACTIONS_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one alert. One piece of evidence takes about 1 KiB.
const ALERT_BYTES: usize = 1024 * 1024;

/// Bytes of one machine, which has a tag or an address more than others, or of one file.
const FACTS_BYTES: usize = 256 * 1024;

/// Bytes of one page of machines, which take one or two KiB each.
const MACHINES_BYTES: usize = 4 * 1024 * 1024;

/// Status, `Retry-After` and body.
type Read = (u16, Option<String>, Bytes);

/// Each spends its permit, whatever becomes of the call.
impl Inner {
    pub(super) async fn machine_actions(&self, _spent: Permit, query: ListQuery) -> Listing {
        let ListQuery { since, skip, top } = query;
        let mut url = self.api.machine_actions();
        url.set_query(Some(&format!(
            "$filter=type eq 'StopAndQuarantineFile' and creationDateTimeUtc ge {since}\
             &$top={top}&$skip={skip}"
        )));
        match self.get(url, ACTIONS_BYTES).await {
            Ok((status, wait, body)) => {
                Listing::read(status, wait.as_deref(), &body, self.clock.now().wall)
            }
            Err(text) => Listing::Failed { text },
        }
    }

    pub(super) async fn alert(&self, _spent: Permit, id: &str) -> Fetched<String> {
        let Some(url) = self.api.alert(id) else {
            return not_asked(
                "the alert's id can stand in no URL: it is 1 to 128 letters, digits, \
                              _ . : or -",
            );
        };
        self.object(url, ALERT_BYTES).await
    }

    pub(super) async fn machine(&self, _spent: Permit, id: MachineId) -> Fetched<String> {
        self.object(self.api.machine(id), FACTS_BYTES).await
    }

    pub(super) async fn file(&self, _spent: Permit, sha1: Sha1) -> Fetched<String> {
        self.object(self.api.file(sha1), FACTS_BYTES).await
    }

    async fn object(&self, url: Url, bytes_max: usize) -> Fetched<String> {
        match self.get(url, bytes_max).await {
            Ok((status, wait, body)) => {
                Fetched::<String>::read(status, wait.as_deref(), &body, self.clock.now().wall)
            }
            Err(text) => Fetched::Failed { text },
        }
    }

    pub(super) async fn machines(&self, _spent: Permit, label: &str) -> Fetched<Machines> {
        let Some(url) = self.api.machines(label, MACHINES_PAGE) else {
            return not_asked(
                "no machine has such a name: its first label is 1 to 63 letters, \
                              digits, _ or -",
            );
        };
        match self.get(url, MACHINES_BYTES).await {
            Ok((status, wait, body)) => {
                Fetched::<Machines>::read(status, wait.as_deref(), &body, self.clock.now().wall)
            }
            Err(text) => Fetched::Failed { text },
        }
    }

    /// One GET, or why nothing was answered.
    async fn get(&self, url: Url, bytes_max: usize) -> Result<Read, String> {
        let bearer =
            self.tokens.bearer(self.http.timeout).await.map_err(|error| error.to_string())?;
        match self.http.client.get(url).header(AUTHORIZATION, bearer.header()).send().await {
            Ok(response) => Ok(self.read(response, bytes_max, &bearer).await),
            Err(error) => Err(text::chain(&error.without_url())),
        }
    }
}

fn not_asked<T>(text: &str) -> Fetched<T> {
    Fetched::Refused { status: 0, code: String::new(), text: text.to_owned() }
}
