//! Lets requests in by their token, and puts on the record who was let in and who was not.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::auth::{Caller, Refused};
use super::roles::role_for;
use super::{Admin, Tokens, refuse};
use crate::domain::audit::{Actor, Change, Role, What};
use crate::io::{Clock, Store, StoreError};
use crate::serve::{Guest, Peer, host};

/// Every request under `/api/v1` passes here: a token, its role, and JSON where something changes.
pub(super) async fn authenticate(
    State(admin): State<Admin>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>();
    let from = host(peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip()));
    let caller = match admin.tokens.caller(request.headers(), admin.clock.now().wall) {
        Ok(caller) => caller,
        Err(why) => return admin.turn_away(from, &why),
    };
    if let Some(guest) = request.extensions().get::<Guest>() {
        guest.is_known();
    }
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    // Browsers send no JSON across sites without asking first.
    let kind = request.headers().get(header::CONTENT_TYPE);
    if !reads && !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json");
    }
    let needed = role_for(request.method(), request.uri().path());
    if caller.role < needed {
        let (name, role) = (&caller.name, word(caller.role));
        let why = format!("token {name} has the role {role}: this needs {}", word(needed));
        return refuse(StatusCode::FORBIDDEN, why);
    }
    admin.note_first_use(&caller, from).await;
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn word(role: Role) -> &'static str {
    match role {
        Role::View => "view",
        Role::Approve => "approve",
        Role::Operate => "operate",
        Role::Admin => "admin",
    }
}

impl Admin {
    fn turn_away(&self, from: IpAddr, why: &Refused) -> Response {
        let wait = self.tokens.failed(from, why, self.clock.now().boot);
        let Some(wait) = wait else {
            let mut answer = refuse(StatusCode::UNAUTHORIZED, why.to_string());
            let scheme = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            return answer;
        };
        let why = format!("too many requests from {from} with no good token; {why}");
        let mut answer = refuse(StatusCode::TOO_MANY_REQUESTS, why);
        let seconds = HeaderValue::from(wait.as_secs() + 1);
        answer.headers_mut().insert(header::RETRY_AFTER, seconds);
        answer
    }

    /// A store that can't write must not keep anyone from asking what is wrong with it.
    async fn note_first_use(&self, caller: &Caller, from: IpAddr) {
        if !self.tokens.first_use(caller) {
            return;
        }
        let change = Change {
            tenant: None,
            actor: Actor::Person(caller.on_record()),
            reason: format!("first use since the start, from {from}"),
            at: self.clock.now().wall,
            what: What::SignedIn { role: caller.role },
        };
        if let Err(why) = self.store.apply(None, vec![change]).await {
            tracing::error!(%why, token = caller.name, "a sign-in could not be noted");
            self.tokens.forget_use(caller);
        }
    }
}

/// Puts on the record what was refused since the last time, a bounded number of entries. To be
/// called every [`SIGN_IN_WINDOW`](crate::limits::SIGN_IN_WINDOW), and at the stop.
pub async fn note_refused(
    tokens: &Tokens,
    store: &dyn Store,
    clock: &dyn Clock,
) -> Result<(), StoreError> {
    let now = clock.now();
    let taken = tokens.failures_taken(now.boot).into_iter();
    let changes: Vec<_> = taken
        .map(|(from, tally)| Change {
            tenant: None,
            actor: Actor::Lazaret,
            reason: tally.to_string(),
            at: now.wall,
            what: What::SignInRefused { from, times: tally.times() },
        })
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    store.apply(None, changes).await.map(|_| ())
}
