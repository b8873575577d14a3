//! What can be set before a simulator starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::windows::{Limit, Reckoning};

/// How strict a simulator is, and how fast. The default is Defender's documented budget, quick
/// machines and any credentials.
#[derive(Clone, Debug)]
pub struct Settings {
    pub address: SocketAddr,
    /// Windows of `StopAndQuarantineFile`, for each tenant and application.
    pub quarantine: Vec<Limit>,
    /// Windows of each other endpoint: the list, one machine action, the cancelling of one, alerts,
    /// machines.
    pub reads: Vec<Limit>,
    pub reckoning: Reckoning,
    /// Who may have a token. With none listed anyone may, with every role.
    pub apps: Vec<App>,
    /// What they may show instead of their secrets, each by a client id.
    pub proofs: Vec<(String, Proof)>,
    pub token_life: Duration,
    /// From creation until the machine begins.
    pub pending_for: Duration,
    /// From then until it ends.
    pub running_for: Duration,
    /// After this long an action on an offline machine ends as `TimeOut`.
    pub offline_for: Duration,
    /// From creation until the list shows an action.
    pub listed_after: Duration,
    pub unknown_machines: UnknownMachines,
    pub unknown_files: UnknownFiles,
    pub busy: Busy,
    pub same_file: SameFile,
}

impl Default for Settings {
    fn default() -> Self {
        let documented = vec![
            Limit { calls: 100, per: Duration::from_secs(60) },
            Limit { calls: 1500, per: Duration::from_secs(3600) },
        ];
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            quarantine: documented.clone(),
            reads: documented,
            reckoning: Reckoning::Sliding,
            apps: Vec::new(),
            proofs: Vec::new(),
            token_life: Duration::from_secs(3599),
            pending_for: Duration::from_secs(1),
            running_for: Duration::from_secs(1),
            offline_for: Duration::from_secs(72 * 3600),
            listed_after: Duration::ZERO,
            unknown_machines: UnknownMachines::Create,
            unknown_files: UnknownFiles::Unsigned,
            busy: Busy::Machine,
            same_file: SameFile::Refused,
        }
    }
}

/// An application that may have tokens for one tenant.
#[derive(Clone, Debug)]
pub struct App {
    pub tenant: String,
    pub client_id: String,
    pub secret: String,
    pub roles: Vec<String>,
}

/// What an application may show, or what is known of its secret.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A certificate that is registered at it: the SHA-256 in base64url, and the modulus of the
    /// RSA key.
    Certificate { sha256: String, modulus: Vec<u8> },
    /// Tokens of another issuer for this subject, signed with this RSA key.
    Federated { issuer: String, subject: String, modulus: Vec<u8> },
    /// The machine's metadata service vouches for it; the client id `system` is the machine's own
    /// identity.
    Managed,
    /// Its secret has expired.
    SecretExpired,
}

/// What becomes of a call for a machine nobody has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownMachines {
    /// It exists from then on, and is online.
    Create,
    /// 404 `ResourceNotFound`.
    NotFound,
}

/// What Defender tells of a file that nobody has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownFiles {
    /// It is a rare program that nobody has signed.
    Unsigned,
    /// 404 `ResourceNotFound`.
    NotFound,
}

/// What an unfinished action holds against others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// The whole machine, as observed.
    Machine,
    /// Only that file on that machine.
    File,
}

/// What a second call for the same file is answered while the first is unfinished. Both were
/// observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameFile {
    /// 400 `ActiveRequestAlreadyExists`.
    Refused,
    /// 201 with the first one's machine action.
    Returned,
}
