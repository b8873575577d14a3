//! Who may ask, and what keeps the record: its heads go to the log, and so do refused sign-ins go
//! to the record.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{LOCAL_TOKEN_FILE, Parts, StartError};
use crate::config::{AdminToken, Config, TokenKind};
use crate::domain::audit::{Head, Role, What};
use crate::io::admin::{LOCAL, Token, Tokens, note_refused};
use crate::io::clock::SystemClock;
use crate::io::store::SqliteStore;
use crate::io::{ChainHead, Clock as _, Store as _, StoreError};
use crate::limits::{CHAIN_HEADS_EVERY, SIGN_IN_WINDOW};

/// The tokens of the configuration, and the local one. One that has expired is a warning only: the
/// others must still work.
pub(super) fn tokens(config: &Config, parts: &Parts) -> Result<Tokens, StartError> {
    let wrong = |why: &dyn std::fmt::Display| StartError::new("the admin listener", why);
    let now = parts.clock.now().wall;
    let mut tokens = Vec::new();
    for (named, token) in configured(config).map_err(|why| wrong(&why))? {
        let expires = named.expires();
        if let Some(at) = expires.filter(|at| *at < now) {
            tracing::warn!(token = named.name, "it expired on {at}: remove it, or make a new one");
        }
        tokens.push(token.until(expires));
    }
    tokens.push(local_token(config, parts).map_err(|why| wrong(&why))?);
    Ok(Tokens::new(tokens))
}

/// The tokens of the configuration, read; or why a start refuses them.
pub fn configured(config: &Config) -> Result<Vec<(&AdminToken, Token)>, String> {
    let mut tokens: Vec<(&AdminToken, Token)> = Vec::new();
    for named in &config.listen.admin.tokens {
        let (name, role) = (named.name.as_str(), named.role);
        let token = match named.kind() {
            Some(TokenKind::Secret(secret)) => {
                Token::new(name, role, &secret.read().map_err(|why| why.to_string())?)
            }
            Some(TokenKind::Hash(hash)) => Token::hashed(name, role, hash),
            None => return Err(format!("token {name} was not checked")),
        };
        if let Some((other, _)) = tokens.iter().find(|(_, other)| other.is_same_secret(&token)) {
            return Err(format!(
                "tokens {} and {name} are the same: give each person or service one of its own \
                 (lazaret token new), so that the record tells them apart",
                other.name
            ));
        }
        tokens.push((named, token));
    }
    Ok(tokens)
}

/// A fresh token in the data directory: whoever may read that may operate the service.
fn local_token(config: &Config, parts: &Parts) -> std::io::Result<Token> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = config.store.sqlite.join(LOCAL_TOKEN_FILE);
    let secret = parts.clock.new_secret();
    match std::fs::remove_file(&path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(secrecy::ExposeSecret::expose_secret(&secret).as_bytes())?;
    Ok(Token::new(LOCAL, Role::Operate, &secret))
}

/// Until the stop, and once more at it: refused sign-ins go on the record, and the heads of the
/// chains to the log.
pub(super) fn keep(parts: &Parts, tokens: Arc<Tokens>, stop: &CancellationToken) -> JoinHandle<()> {
    let (store, clock, stop) = (parts.store.clone(), parts.clock.clone(), stop.clone());
    tokio::spawn(async move {
        let mut refusals = interval(SIGN_IN_WINDOW);
        let mut heads = interval(CHAIN_HEADS_EVERY);
        refusals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heads.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first in five minutes: the stop has told them.
        heads.reset();
        let mut told = BTreeMap::new();
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                _ = refusals.tick() => false,
                _ = heads.tick() => {
                    let heads = log_heads(&store, &mut told).await;
                    note_heads(&store, &clock, heads, &mut told).await;
                    continue;
                }
            };
            if let Err(why) = note_refused(&tokens, &*store, &*clock).await {
                tracing::error!(%why, "refused sign-ins could not be noted");
            }
            if stopping {
                log_heads(&store, &mut told).await;
                return;
            }
        }
    })
}

/// The head of each chain that has grown since `told` goes to the log. Kept elsewhere, as a log is,
/// it shows that a chain was cut or rewritten: `lazaret audit verify --anchor`.
async fn log_heads(store: &SqliteStore, told: &mut BTreeMap<String, u64>) -> Vec<ChainHead> {
    let grown = grown_heads(store, told).await.unwrap_or_else(|why| {
        tracing::error!(%why, "the heads of the chains could not be read");
        Vec::new()
    });
    for head in &grown {
        tracing::info!(
            target: "lazaret::audit",
            chain = head.chain,
            sequence = head.sequence,
            hash = head.hash,
            at = %head.at,
            "head of a chain"
        );
    }
    grown
}

/// The same heads as one change, for whoever is told of it. That change alone is not told of again.
async fn note_heads(
    store: &SqliteStore,
    clock: &SystemClock,
    heads: Vec<ChainHead>,
    told: &mut BTreeMap<String, u64>,
) {
    if heads.is_empty() {
        return;
    }
    let head = |of: ChainHead| Head { chain: of.chain, sequence: of.sequence, hash: of.hash };
    let heads = heads.into_iter().map(head).collect();
    let change = super::start::note(clock, What::Anchored { heads });
    let noted = store.apply(None, vec![change]).await;
    if let Err(why) = noted.map(|_| ()).and(grown_heads(store, told).await.map(|_| ())) {
        tracing::error!(%why, "the heads of the chains could not be noted");
    }
}

/// Heads that are not those of `told`, which then has them.
async fn grown_heads(
    store: &SqliteStore,
    told: &mut BTreeMap<String, u64>,
) -> Result<Vec<ChainHead>, StoreError> {
    let heads = store.heads_of_chains().await?.into_iter();
    let is_new =
        |head: &ChainHead| told.insert(head.chain.clone(), head.sequence) != Some(head.sequence);
    Ok(heads.filter(is_new).collect())
}
