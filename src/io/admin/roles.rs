//! Which role each route needs.

use axum::http::Method;

use crate::domain::audit::Role;

/// What may be read, by the first part of its path.
const READ: &[&str] = &["status", "actions", "receipts", "audit", "files"];

/// What decides on actions that are held for a person.
const APPROVE: &[&str] = &["/actions/vote"];

/// What else changes something.
const OPERATE: &[&str] = &["/pause", "/resume", "/recall"];

/// The role that a request to this path under `/api/v1` needs. What is not listed needs the highest
/// one: a new route is closed until somebody has decided on it here.
pub(super) fn role_for(method: &Method, path: &str) -> Role {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    match *method {
        Method::GET | Method::HEAD if READ.contains(&first) => Role::View,
        Method::POST if APPROVE.contains(&path) => Role::Approve,
        Method::POST if OPERATE.contains(&path) => Role::Operate,
        _ => Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_needs_the_role_of_what_it_does_and_an_unknown_one_the_highest() {
        for (method, path, role) in [
            (Method::GET, "/status", Role::View),
            (Method::HEAD, "/status", Role::View),
            (Method::GET, "/actions", Role::View),
            (Method::GET, "/actions/0199", Role::View),
            (Method::GET, "/audit", Role::View),
            (Method::POST, "/actions/vote", Role::Approve),
            (Method::POST, "/pause", Role::Operate),
            (Method::POST, "/recall", Role::Operate),
            (Method::POST, "/rules/reload", Role::Admin),
            (Method::GET, "/secrets", Role::Admin),
            (Method::GET, "/", Role::Admin),
            (Method::POST, "/status", Role::Admin),
            (Method::POST, "/actions/vote/", Role::Admin),
            (Method::DELETE, "/pause", Role::Admin),
        ] {
            assert_eq!(role_for(&method, path), role, "{method} {path}");
        }
    }
}
