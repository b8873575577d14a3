//! The client against the simulator, and against raw sockets where the simulator is too polite.

#![allow(clippy::disallowed_methods, reason = "these tests wait for real sockets and tasks")]

mod answers;

mod cancel;

mod reads;

mod tokens;

mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use uuid::Uuid;

use super::token::{NoToken, Token, TokenSource};
use super::{Credential, DefenderApi, Http, ReadSecret, Settings};
use crate::domain::action::Call;
use crate::domain::answer::Answer;
use crate::domain::ids::{EffectKey, MachineId, Sha1, TenantName};
use crate::domain::limiter::Permit;
use crate::domain::time::{Boot, BootId, Now, Wall};
use crate::io::{Api, Clock};
use crate::simulator;
use crate::simulator::Simulator;

pub const MACHINE: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
pub const SHA1: &str = "87662bc3d60e4200ceaf7aae249d1c343f4b83c9";
pub const COMMENT: &str = "Stop and quarantine file on machine due to alert 4416_21362";
pub const SECRET: &str = "s3cr3t/with+signs&=";
pub const TENANT: Uuid = Uuid::from_u128(0x11111111_2222_3333_4444_555555555555);
pub const CLIENT: Uuid = Uuid::from_u128(0x66666666_7777_8888_9999_000000000000);

/// A clock that runs, and that a test can put forward.
pub struct TestClock {
    start: Instant,
    ahead_us: AtomicI64,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), ahead_us: AtomicI64::new(0) })
    }

    pub fn put_forward(&self, span: Duration) {
        self.ahead_us.fetch_add(i64::try_from(span.as_micros()).unwrap(), Ordering::SeqCst);
    }

    pub fn soon(&self) -> Boot {
        self.now().boot + Duration::from_secs(10)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let us = i64::try_from(self.start.elapsed().as_micros()).unwrap();
        let us = us + self.ahead_us.load(Ordering::SeqCst);
        Now { boot: Boot(us), wall: Wall(1_700_000_000_000_000 + us) }
    }

    fn boot_id(&self) -> BootId {
        BootId([0; 16])
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// A token that never ends, without a login.
pub struct FixedToken;

impl TokenSource for FixedToken {
    fn fetch(&self) -> BoxFuture<'static, Result<Token, NoToken>> {
        let text = SecretString::from("fixed");
        Box::pin(async { Ok(Token { text, life: Duration::from_secs(3600) }) })
    }
}

/// A client secret that stands nowhere.
pub fn secret(text: &'static str) -> Arc<Credential> {
    let read: ReadSecret = Arc::new(move || Ok(SecretString::from(text)));
    Arc::new(Credential::secret(CLIENT, read, None).unwrap())
}

pub fn settings(url: &str, clock: &Arc<TestClock>) -> Settings {
    Settings {
        tenant: TenantName::new("contoso"),
        entra_tenant: TENANT,
        credential: secret(SECRET),
        api: url.to_owned(),
        login: Some(url.to_owned()),
        scope: "https://api.securitycenter.microsoft.com/.default".to_owned(),
        needs: None,
        token_after: Duration::ZERO,
        http: http(Duration::from_secs(20)),
        clock: clock.clone(),
    }
}

pub fn http(timeout: Duration) -> Http {
    Http::new(timeout, 16).unwrap()
}

pub fn call() -> Call {
    let machine = MachineId::parse(MACHINE).unwrap();
    let key =
        EffectKey { tenant: TenantName::new("contoso"), machine, sha1: Sha1::parse(SHA1).unwrap() };
    Call { key, comment: COMMENT.to_owned() }
}

/// A simulator and a client of it.
pub struct World {
    pub simulator: Simulator,
    pub clock: Arc<TestClock>,
    pub api: DefenderApi,
}

impl World {
    pub async fn new() -> Self {
        Self::with(simulator::Settings::default()).await
    }

    pub async fn with(settings: simulator::Settings) -> Self {
        let simulator = Simulator::bind(settings).await.unwrap();
        let clock = TestClock::new();
        let api = DefenderApi::new(self::settings(&simulator.url(), &clock)).unwrap();
        Self { simulator, clock, api }
    }

    pub async fn quarantine(&self) -> Answer {
        self.api.quarantine(Permit::for_tests(), call(), self.clock.soon()).await
    }
}
