//! The token endpoint, as far as the client credentials flow needs it, the metadata service of a
//! machine, and what a token is worth.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use axum::http::header;
use axum::http::request::Parts;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use uuid::Uuid;

use super::assertion::{self, ASSERTION_TYPE};
use super::defender::pairs;
use super::reply::Reply;
use super::settings::{Proof, Settings};
use super::world::{Inner, World};

/// Both are needed to quarantine: observed, where the documentation says "one of".
pub const STOP_AND_QUARANTINE: &str = "Machine.StopAndQuarantine";

/// Either lets an application read machines and their actions.
pub const READ: [&str; 2] = ["Machine.Read.All", "Machine.ReadWrite.All"];

/// Either lets an application read alerts.
pub const READ_ALERTS: [&str; 2] = ["Alert.Read.All", "Alert.ReadWrite.All"];

/// Lets an application read what Defender knows of files.
pub const READ_FILES: &str = "File.Read.All";

/// Audiences of Defender for Endpoint in the clouds there are.
const AUDIENCES: [&str; 3] = [
    "https://api.securitycenter.microsoft.com",
    "https://api-gcc.securitycenter.microsoft.us",
    "https://api-gov.securitycenter.microsoft.us",
];

/// Domains of Event Hubs.
const HUBS: [&str; 2] = [".servicebus.windows.net", ".servicebus.usgovcloudapi.net"];

/// What a token stands for.
#[derive(Clone, Debug)]
pub struct Bearer {
    pub tenant: String,
    pub client_id: String,
    pub roles: Vec<String>,
    expires: Duration,
}

impl Bearer {
    pub fn may_quarantine(&self) -> bool {
        self.roles.iter().any(|role| role == STOP_AND_QUARANTINE)
    }

    pub fn may_read(&self) -> bool {
        self.roles.iter().any(|role| READ.contains(&role.as_str()))
    }

    pub fn may_read_files(&self) -> bool {
        self.roles.iter().any(|role| role == READ_FILES)
    }

    pub fn may_read_alerts(&self) -> bool {
        self.roles.iter().any(|role| READ_ALERTS.contains(&role.as_str()))
    }
}

/// The bearer of an `Authorization` header, if the token was issued here and has not expired.
pub fn bearer(inner: &Inner, authorization: Option<&str>, now: Duration) -> Option<Bearer> {
    let token = authorization?.strip_prefix("Bearer ")?;
    inner.tokens.get(token).filter(|bearer| now < bearer.expires).cloned()
}

/// Answers one token request.
pub fn issue(world: &World, inner: &mut Inner, tenant: &str, parts: &Parts, form: &[u8]) -> Reply {
    let form = match std::str::from_utf8(form).ok().and_then(pairs) {
        Some(form) => form,
        None => return invalid_request("AADSTS900561: The body is not a form."),
    };
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let endpoint = format!("http://{}{}", host.unwrap_or_default(), parts.uri.path());
    let granted = Request { settings: &world.settings, tenant, form: &form, endpoint };
    let granted = granted.granted(&mut inner.assertions);
    let (client_id, audience, roles) = match granted {
        Ok(granted) => granted,
        Err(refused) => return refused,
    };
    let roles = inner.roles.get(&client_id).cloned().unwrap_or(roles);
    let bearer = Bearer { tenant: tenant.to_owned(), client_id, roles, expires: Duration::ZERO };
    let (token, _) = give(world, inner, bearer, audience);
    let seconds = world.settings.token_life.as_secs();
    let answer = json!({
        "token_type": "Bearer",
        "expires_in": seconds,
        "ext_expires_in": seconds,
        "access_token": token,
    });
    Reply::json(200, &answer)
}

/// Answers as the metadata service of a machine in Azure, which vouches for its identities.
pub fn vouch(world: &World, inner: &mut Inner, parts: &Parts) -> Reply {
    let refused = |status, error: &str, text: &str| {
        Reply::json(status, &json!({"error": error, "error_description": text}))
    };
    if parts.headers.get("metadata").is_none_or(|value| value != "true") {
        return refused(400, "bad_request_102", "Required metadata header not specified");
    }
    let query = parts.uri.query().and_then(pairs).unwrap_or_default();
    let Some(audience) = query.get("resource").filter(|audience| is_audience(audience)) else {
        return refused(400, "invalid_resource", "The resource is not known in the tenant");
    };
    let client_id = query.get("client_id").map_or("system", String::as_str);
    let settings = &world.settings;
    let app = settings.apps.iter().find(|app| app.client_id == client_id);
    let is_managed =
        |(of, proof): &(String, Proof)| of == client_id && matches!(proof, Proof::Managed);
    let (tenant, roles) = match app {
        Some(app) if settings.proofs.iter().any(is_managed) => (&*app.tenant, app.roles.clone()),
        None if settings.apps.is_empty() => ("managed", everything()),
        _ => return refused(400, "invalid_request", "Identity not found"),
    };
    let (tenant, client_id) = (tenant.to_owned(), client_id.to_owned());
    let bearer = Bearer { tenant, client_id, roles, expires: Duration::ZERO };
    let (token, expires) = give(world, inner, bearer, audience);
    // Numbers are texts here.
    let answer = json!({
        "access_token": token,
        "expires_in": settings.token_life.as_secs().to_string(),
        "expires_on": expires.to_string(),
        "resource": audience,
        "token_type": "Bearer",
    });
    Reply::json(200, &answer)
}

/// A new token, and when it ends.
fn give(world: &World, inner: &mut Inner, bearer: Bearer, audience: &str) -> (String, i64) {
    let (now, life) = (world.now(), world.settings.token_life);
    let issued = world.wall(now).as_second();
    let expires = issued.saturating_add(i64::try_from(life.as_secs()).unwrap_or(i64::MAX));
    let token = token(&bearer, audience, issued, expires);
    inner.tokens.retain(|_, known| now < known.expires);
    inner.tokens.insert(token.clone(), Bearer { expires: now + life, ..bearer });
    (token, expires)
}

fn everything() -> Vec<String> {
    [STOP_AND_QUARANTINE, READ[0], READ_ALERTS[0], READ_FILES].map(str::to_owned).to_vec()
}

/// Defender's audiences, and hosts that may be a broker's: of Event Hubs, and this machine.
fn is_audience(audience: &str) -> bool {
    let host = audience.strip_prefix("https://").unwrap_or_default();
    let is_hub = HUBS.iter().any(|domain| host.ends_with(domain)) || host == "localhost";
    AUDIENCES.contains(&audience) || is_hub
}

type Granted<'a> = (String, &'a str, Vec<String>);

struct Request<'a> {
    settings: &'a Settings,
    tenant: &'a str,
    form: &'a HashMap<String, String>,
    /// Where it came to.
    endpoint: String,
}

impl<'a> Request<'a> {
    fn field(&self, name: &str) -> Option<&'a str> {
        self.form.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// `assertions` are the ids of those that were used.
    fn granted(&self, assertions: &mut HashSet<String>) -> Result<Granted<'a>, Reply> {
        match self.field("grant_type") {
            Some("client_credentials") => {}
            Some(_) => {
                return Err(error(400, "unsupported_grant_type", 70003, "not supported here"));
            }
            None => return Err(invalid_request("AADSTS900144: The 'grant_type' is missing.")),
        }
        let client_id = self
            .field("client_id")
            .ok_or_else(|| invalid_request("AADSTS900144: The 'client_id' is missing."))?;
        let assertion = self.field("client_assertion");
        let assertion =
            assertion.filter(|_| self.field("client_assertion_type") == Some(ASSERTION_TYPE));
        let secret = self.field("client_secret");
        if assertion.is_none() && secret.is_none() {
            let text = "The request body must contain the following parameter: \
                        'client_assertion' or 'client_secret'.";
            return Err(error(401, "invalid_client", 7_000_218, text));
        }
        let audience = self
            .field("scope")
            .and_then(|scope| scope.strip_suffix("/.default"))
            .filter(|audience| is_audience(audience))
            .ok_or_else(|| {
                let text = "The provided value for the input parameter 'scope' is not valid.";
                error(400, "invalid_scope", 70011, text)
            })?;
        if self.settings.apps.is_empty() {
            return Ok((client_id.to_owned(), audience, everything()));
        }
        let known = |app: &&super::App| app.tenant == self.tenant && app.client_id == client_id;
        let app = self.settings.apps.iter().find(known).ok_or_else(|| {
            let text = format!(
                "Application with identifier '{client_id}' was not found in the directory."
            );
            error(400, "unauthorized_client", 700_016, &text)
        })?;
        let proofs = self.settings.proofs.iter().filter(|(of, _)| of == client_id);
        let proofs: Vec<_> = proofs.map(|(_, proof)| proof).collect();
        match assertion {
            Some(assertion) => {
                let id = assertion::check(assertion, client_id, &proofs, &self.endpoint);
                let id = id.map_err(|(code, text)| error(401, "invalid_client", code, &text))?;
                if id.is_some_and(|id| !assertions.insert(id)) {
                    let text = "Client assertion contains an identifier that was used before.";
                    return Err(error(401, "invalid_client", 700_027, text));
                }
            }
            None if proofs.iter().any(|proof| matches!(proof, Proof::SecretExpired)) => {
                let text =
                    format!("The provided client secret keys for app '{client_id}' are expired.");
                return Err(error(401, "invalid_client", 7_000_222, &text));
            }
            None if secret != Some(&app.secret) => {
                let text = format!("Invalid client secret provided for app '{client_id}'.");
                return Err(error(401, "invalid_client", 7_000_215, &text));
            }
            None => {}
        }
        Ok((client_id.to_owned(), audience, app.roles.clone()))
    }
}

/// A token in the shape of a real one, but for its signature, which it says it has none of: nobody
/// but this simulator is meant to check it, and it remembers what it issued.
fn token(bearer: &Bearer, audience: &str, issued: i64, expires: i64) -> String {
    let mut claims = json!({
        "aud": audience,
        "iss": format!("https://sts.windows.net/{}/", bearer.tenant),
        "iat": issued,
        "nbf": issued,
        "exp": expires,
        "appid": bearer.client_id,
        "appidacr": "1",
        "sub": bearer.client_id,
        "tid": bearer.tenant,
        "uti": Uuid::now_v7(),
        "ver": "1.0",
    });
    // A real token of an application without roles lacks the claim.
    if !bearer.roles.is_empty() {
        claims["roles"] = json!(bearer.roles);
    }
    let encode = |text: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = encode(json!({"typ": "JWT", "alg": "none"}).to_string().as_bytes());
    format!("{header}.{}.", encode(claims.to_string().as_bytes()))
}

fn invalid_request(text: &str) -> Reply {
    Reply::json(400, &json!({"error": "invalid_request", "error_description": text}))
}

fn error(status: u16, name: &str, code: u32, text: &str) -> Reply {
    let trace = Uuid::now_v7();
    let answer = json!({
        "error": name,
        "error_description": format!("AADSTS{code}: {text} Trace ID: {trace}"),
        "error_codes": [code],
        "trace_id": trace,
        "correlation_id": Uuid::now_v7(),
    });
    Reply::json(status, &answer)
}
