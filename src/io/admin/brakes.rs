//! Pause, resume, approve, reject.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::extract::Body;
use super::{Admin, Caller, failed, refuse};
use crate::domain::scope::Scope;
use crate::domain::vote::{Say, Voter};
use crate::io::{
    ActionFilter, BY_FILE, Ballot, Pause, Resume, StoreError, Which, braked, pause_and_wait,
    resume_whole,
};

/// The body of `/pause` and `/resume`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BrakeRequest {
    /// `all`, `tenant:NAME`, `rule:ID`, `machine:40 HEX DIGITS` or `sha1:40 HEX DIGITS`.
    pub scope: String,
    pub reason: String,
}

/// The body of `/actions/vote`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VoteRequest {
    pub which: Which,
    pub say: Say,
    pub reason: String,
}

/// A reason goes on the record for good.
pub(super) fn check_reason(reason: &str) -> Result<(), Box<Response>> {
    if reason.trim().is_empty() || reason.len() > 1000 {
        let why = "a reason of 1 to 1000 bytes is needed: it goes on the record";
        return Err(Box::new(refuse(StatusCode::BAD_REQUEST, why)));
    }
    Ok(())
}

impl Admin {
    fn no_tenant(&self, name: &str) -> Box<Response> {
        let known: Vec<_> = self.tenants.iter().map(ToString::to_string).collect();
        let why = format!("there is no tenant {name}; known: {}", known.join(", "));
        Box::new(refuse(StatusCode::NOT_FOUND, why))
    }

    /// Refuses a filter that can match nothing, since its tenant is not known.
    pub(super) fn check_tenant(&self, filter: &ActionFilter) -> Result<(), Box<Response>> {
        match &filter.tenant {
            Some(name) if !self.tenants.iter().any(|known| known.as_str() == name) => {
                Err(self.no_tenant(name))
            }
            _ => Ok(()),
        }
    }

    /// The scope, where this service can know what is meant.
    fn scope(&self, request: &BrakeRequest, may_be_gone: bool) -> Result<Scope, Box<Response>> {
        check_reason(&request.reason)?;
        let no = |status, why: String| Err(Box::new(refuse(status, why)));
        let Some(scope) = Scope::from_key(&request.scope) else {
            let why = format!(
                "{:?} is no scope: send all, tenant:NAME, rule:ID, machine:ID or sha1:HASH, the \
                 last two of 40 hex digits",
                request.scope
            );
            return no(StatusCode::BAD_REQUEST, why);
        };
        match &scope {
            Scope::Tenant(name) if !may_be_gone && !self.tenants.contains(name) => {
                Err(self.no_tenant(name.as_str()))
            }
            Scope::Rule(rule) if !may_be_gone => match (self.no_rule)(rule) {
                Some(why) => no(StatusCode::NOT_FOUND, why),
                None => Ok(scope),
            },
            _ => Ok(scope),
        }
    }
}

impl Caller {
    fn voter(&self) -> Voter {
        Voter { name: self.on_record(), personal: self.is_personal() }
    }
}

pub(super) async fn pause(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Body(request): Body<BrakeRequest>,
) -> Response {
    let scope = match admin.scope(&request, false) {
        Ok(scope) => scope,
        Err(refusal) => return *refusal,
    };
    let at = admin.clock.now().wall;
    let by = caller.on_record();
    let pause = Pause { scope: scope.clone(), by, reason: request.reason, at };
    answer(async {
        pause_and_wait(&*admin.store, &*admin.clock, pause).await?;
        braked(&*admin.store, scope, None).await
    })
    .await
}

pub(super) async fn resume(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Body(request): Body<BrakeRequest>,
) -> Response {
    let scope = match admin.scope(&request, true) {
        Ok(scope) => scope,
        Err(refusal) => return *refusal,
    };
    let at = admin.clock.now().wall;
    let by = caller.voter();
    let resume = Resume { scope: scope.clone(), by, reason: request.reason, at };
    let resumption = match resume_whole(&*admin.store, admin.guard.clone(), resume).await {
        Ok(resumption) => resumption,
        Err(why) => return failed(&why),
    };
    if let Some(why) = resumption.found_nothing(&scope) {
        let report = (admin.report)().await;
        let problems = report.map(|report| report.problems).unwrap_or_default();
        let by_file = problems.iter().find(|problem| problem.starts_with(BY_FILE));
        let why = by_file.map_or(why.clone(), |by_file| format!("{why}. But {by_file}"));
        return refuse(StatusCode::CONFLICT, why);
    }
    (admin.resumed)();
    answer(braked(&*admin.store, scope, Some(resumption))).await
}

pub(super) async fn vote(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Body(request): Body<VoteRequest>,
) -> Response {
    if let Err(refusal) = check_reason(&request.reason) {
        return *refusal;
    }
    let VoteRequest { which, say, reason } = request;
    if let Which::All { filter, .. } = &which
        && let Err(refusal) = admin.check_tenant(filter)
    {
        return *refusal;
    }
    let ballot = Ballot { which, say, by: caller.voter(), reason, at: admin.clock.now().wall };
    let voted = admin.store.vote(ballot, admin.guard.clone()).await;
    (admin.resumed)();
    match voted {
        Ok(lines) => Json(lines).into_response(),
        Err(why) => failed(&why),
    }
}

async fn answer<T: Serialize>(made: impl Future<Output = Result<T, StoreError>>) -> Response {
    match made.await {
        Ok(made) => Json(made).into_response(),
        Err(why) => failed(&why),
    }
}
