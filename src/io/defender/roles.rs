//! What a token says of the application: its roles, and what they lack for Lazaret's work.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::token::NoToken;

/// What Defender is asked, besides machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub alerts: bool,
    pub files: bool,
}

/// What it is asked by the rules and formats of the moment.
pub type Needs = Arc<dyn Fn() -> Reads + Send + Sync>;

const QUARANTINE: &str = "Machine.StopAndQuarantine";
const MACHINES: [&str; 2] = ["Machine.Read.All", "Machine.ReadWrite.All"];
const FILES: &str = "File.Read.All";
const ALERTS: [&str; 2] = ["Alert.Read.All", "Alert.ReadWrite.All"];

/// What the roles lack for Lazaret's work. The first two are needed by every call that quarantines:
/// observed, where Microsoft's page says "one of". The others only where alerts or files are read.
pub fn missing_roles(roles: &[String], reads: Reads) -> Vec<&'static str> {
    let has = |wanted: &str| roles.iter().any(|role| role == wanted);
    let mut missing = Vec::new();
    if !has(QUARANTINE) {
        missing.push(QUARANTINE);
    }
    if !MACHINES.iter().any(|role| has(role)) {
        missing.push("Machine.Read.All or Machine.ReadWrite.All");
    }
    if reads.files && !has(FILES) {
        missing.push(FILES);
    }
    if reads.alerts && !ALERTS.iter().any(|role| has(role)) {
        missing.push("Alert.Read.All or Alert.ReadWrite.All");
    }
    missing
}

/// Whether Defender refuses every call without this one.
pub(super) fn stops_calls(missing: &str) -> bool {
    missing.starts_with("Machine.")
}

/// Reads the `roles` claim without verifying the token: Defender is its audience, not we, and
/// nothing is allowed by it. A token of a shape we don't know has no roles that we know of. One for
/// a person is refused: with what that person may do, and it would end with the session.
pub(super) fn of(token: &str) -> Result<Vec<String>, NoToken> {
    #[derive(Default, Deserialize)]
    struct Claims {
        #[serde(default)]
        roles: Vec<String>,
        scp: Option<String>,
    }
    let claims = token.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|bytes| serde_json::from_slice::<Claims>(&bytes).ok());
    let Claims { roles, scp } = claims.unwrap_or_default();
    if scp.is_some() && roles.is_empty() {
        let how = "sign in as the application itself, with application permissions";
        return Err(NoToken(format!(
            "the login gave a token of a person (it has scp and no roles), which ends with that \
             person's session and rights; {how}"
        )));
    }
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn roles_are_read_and_a_token_of_a_person_is_refused() {
        assert_eq!(of(&token(r#"{"roles": ["a", "b"]}"#)), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(of(&token(r#"{"roles": ["a"], "scp": "x"}"#)), Ok(vec!["a".into()]));
        for unknown in ["fixed", "", "a.b.c", &token("[]"), &token("{}")] {
            assert_eq!(of(unknown), Ok(vec![]), "{unknown}");
        }
        let refused = of(&token(r#"{"scp": "Machine.StopAndQuarantine"}"#)).unwrap_err();
        assert!(refused.to_string().contains("a token of a person"), "{refused}");
        assert!(refused.to_string().contains("application permissions"), "{refused}");
    }

    #[test]
    fn files_and_alerts_need_a_role_only_where_they_are_read() {
        let two: Vec<String> = vec![QUARANTINE.into(), MACHINES[1].into()];
        let missing = |alerts, files| missing_roles(&two, Reads { alerts, files });
        assert_eq!(missing(false, false), [""; 0]);
        assert_eq!(missing(false, true), ["File.Read.All"]);
        assert_eq!(missing(true, false), ["Alert.Read.All or Alert.ReadWrite.All"]);
        let none = missing_roles(&[], Reads::default());
        assert_eq!(none, [QUARANTINE, "Machine.Read.All or Machine.ReadWrite.All"]);
        assert!(none.iter().all(|role| stops_calls(role)));
        assert!(!missing(true, true).iter().any(|role| stops_calls(role)));
    }
}
