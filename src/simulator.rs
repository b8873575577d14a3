//! A strict Defender on loopback, for demos and for anyone's tests: what the real one refuses it
//! refuses, and it keeps a record of every call.
//!
//! It knows nothing of the rest of the program, so that it can't share its mistakes. Facts come
//! from Microsoft's pages "Stop and quarantine file API", "MachineAction resource type", "List
//! machineActions API", "Cancel machine action API", "Get alert information by ID API", "List
//! machines API" and "Common REST API error codes"; where those are silent, from what clients have
//! observed, or a setting decides.

#![allow(
    clippy::disallowed_methods,
    reason = "it shares nothing with the rest, its clock included"
)]

mod actions;

mod api;

mod assertion;

mod control;

mod defender;

mod entra;

mod faults;

mod filter;

mod reads;

mod record;

mod reply;

mod settings;

mod windows;

mod wire;

mod world;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{delete, get, post, put};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

pub use self::actions::{Ending, Machine};
pub use self::faults::{Effect, Fault, Trouble};
pub use self::record::{Call, Endpoint};
pub use self::settings::{App, Busy, Proof, SameFile, Settings, UnknownFiles, UnknownMachines};
pub use self::windows::{Limit, Reckoning};

use self::wire::{Cut, Wires};
use self::world::World;

/// The address can't be served on.
#[derive(Debug, thiserror::Error)]
#[error("the simulator can't listen on {address}: {error}")]
pub struct BindError {
    address: SocketAddr,
    error: std::io::Error,
}

/// A running simulator, with the means to watch it and to make trouble. Dropped, it ends: every
/// connection is cut.
pub struct Simulator {
    address: SocketAddr,
    world: Arc<World>,
    stop: CancellationToken,
}

impl Simulator {
    /// Listens and serves from a task of its own. Port 0 takes a free one.
    pub async fn bind(settings: Settings) -> Result<Self, BindError> {
        let address = settings.address;
        let refused = |error| BindError { address, error };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let world = Arc::new(World::new(settings));
        let stop = CancellationToken::new();
        let wires = Wires::new(listener, stop.clone());
        let service = router(world.clone()).into_make_service_with_connect_info::<Cut>();
        let until = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            if let Err(error) = axum::serve(wires, service).with_graceful_shutdown(until).await {
                tracing::error!(%error, "the simulator's listener failed");
            }
        });
        Ok(Self { address, world, stop })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Base URL of the API and of the login: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every call so far, in order of arrival, refused and dropped ones included. The oldest are
    /// forgotten once there are a million.
    pub fn calls(&self) -> Vec<Call> {
        self.world.lock().record.calls().to_vec()
    }

    /// The same from a number on.
    pub fn calls_from(&self, seq: u64) -> Vec<Call> {
        self.world.lock().record.calls_from(seq).to_vec()
    }

    /// Calls to one endpoint.
    pub fn calls_to(&self, endpoint: Endpoint) -> Vec<Call> {
        self.world.lock().record.calls_to(endpoint)
    }

    /// The most calls that one application of one tenant made to the endpoint in any window of
    /// this length, refused ones included: found by looking at every window.
    pub fn worst_window(&self, endpoint: Endpoint, window: Duration) -> usize {
        self.world.lock().record.worst_window(endpoint, window)
    }

    /// Calls as they are answered. A receiver that is far behind is told how many it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<Call> {
        self.world.lock().record.subscribe()
    }

    /// Machine actions as the list shows them, oldest first.
    pub fn machine_actions(&self) -> Vec<serde_json::Value> {
        self.world.shown_actions()
    }

    /// Queues a fault; of those that match a call, the first one strikes.
    pub fn fault(&self, fault: Fault) {
        self.world.lock().faults.push(fault);
    }

    /// Makes or changes a machine. `id` is 40 hex digits, else no action will find it.
    pub fn set_machine(&self, id: &str, machine: Machine) {
        self.world.set_machine(id, machine);
    }

    /// Makes or changes an alert: its JSON object, with its evidence. It goes by this id, whatever
    /// the object says.
    ///
    /// # Panics
    ///
    /// Where `alert` is no object.
    pub fn put_alert(&self, id: &str, alert: serde_json::Value) {
        let serde_json::Value::Object(alert) = alert else { panic!("no alert: {alert}") };
        self.world.put_alert(id, alert);
    }

    /// Makes Defender know a file.
    ///
    /// # Panics
    ///
    /// Where `file` is no object.
    pub fn put_file(&self, sha1: &str, file: serde_json::Value) {
        let serde_json::Value::Object(file) = file else { panic!("no file: {file}") };
        self.world.put_file(sha1, file);
    }

    /// Every token issued so far is answered with 401 from now on.
    pub fn revoke_tokens(&self) {
        self.world.lock().tokens.clear();
    }

    /// Tokens of this application have these roles from now on.
    pub fn set_roles(&self, client_id: &str, roles: &[&str]) {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        self.world.lock().roles.insert(client_id.to_owned(), roles);
    }

    /// Ends it: no connection is taken any more, and those there are, are cut.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for [`Simulator::stop`].
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/_simulator", get(control::help))
        .route("/_simulator/calls", get(control::calls))
        .route("/_simulator/calls", delete(control::forget_calls))
        .route("/_simulator/worst-window", get(control::worst_window))
        .route("/_simulator/actions", get(control::actions))
        .route("/_simulator/faults", get(control::faults))
        .route("/_simulator/faults", post(control::add_faults))
        .route("/_simulator/faults", delete(control::forget_faults))
        .route("/_simulator/machines/{id}", put(control::set_machine))
        .route("/_simulator/alerts/{id}", put(control::put_alert))
        .route("/_simulator/files/{sha1}", put(control::put_file))
        .route("/_simulator/tokens", delete(control::revoke_tokens))
        .fallback(api::serve)
        .with_state(world)
}
