//! The token endpoint, as far as the client credentials flow needs it, and what a token is worth.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use uuid::Uuid;

use super::defender::pairs;
use super::reply::Reply;
use super::settings::Settings;
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
pub fn issue(world: &World, inner: &mut Inner, tenant: &str, form: &[u8]) -> Reply {
    let form = match std::str::from_utf8(form).ok().and_then(pairs) {
        Some(form) => form,
        None => return invalid_request("AADSTS900561: The body is not a form."),
    };
    match granted(&world.settings, tenant, &form) {
        Ok((client_id, audience, roles)) => {
            let now = world.now();
            let bearer =
                Bearer { tenant: tenant.to_owned(), client_id, roles, expires: Duration::ZERO };
            let life = world.settings.token_life;
            let issued = world.wall(now).as_second();
            let token = token(&bearer, audience, issued, life);
            inner.tokens.retain(|_, known| now < known.expires);
            inner.tokens.insert(token.clone(), Bearer { expires: now + life, ..bearer });
            let seconds = life.as_secs();
            let answer = json!({
                "token_type": "Bearer",
                "expires_in": seconds,
                "ext_expires_in": seconds,
                "access_token": token,
            });
            Reply::json(200, &answer)
        }
        Err(refused) => refused,
    }
}

type Granted<'a> = (String, &'a str, Vec<String>);

fn granted<'a>(
    settings: &Settings,
    tenant: &str,
    form: &'a HashMap<String, String>,
) -> Result<Granted<'a>, Reply> {
    let field = |name: &str| form.get(name).map(String::as_str).filter(|text| !text.is_empty());
    match field("grant_type") {
        Some("client_credentials") => {}
        Some(_) => return Err(error(400, "unsupported_grant_type", 70003, "not supported here")),
        None => return Err(invalid_request("AADSTS900144: The 'grant_type' is missing.")),
    }
    let client_id = field("client_id")
        .ok_or_else(|| invalid_request("AADSTS900144: The 'client_id' is missing."))?;
    let secret = field("client_secret").ok_or_else(|| {
        let text = "The request body must contain the following parameter: 'client_secret'.";
        error(401, "invalid_client", 7_000_218, text)
    })?;
    let audience = field("scope")
        .and_then(|scope| scope.strip_suffix("/.default"))
        .filter(|audience| AUDIENCES.contains(audience))
        .ok_or_else(|| {
            let text = "The provided value for the input parameter 'scope' is not valid.";
            error(400, "invalid_scope", 70011, text)
        })?;
    let everything =
        || [STOP_AND_QUARANTINE, READ[0], READ_ALERTS[0], READ_FILES].map(str::to_owned).to_vec();
    if settings.apps.is_empty() {
        return Ok((client_id.to_owned(), audience, everything()));
    }
    let known = |app: &&super::App| app.tenant == tenant && app.client_id == client_id;
    let app = settings.apps.iter().find(known).ok_or_else(|| {
        let text =
            format!("Application with identifier '{client_id}' was not found in the directory.");
        error(400, "unauthorized_client", 700_016, &text)
    })?;
    if app.secret != secret {
        let text = format!("Invalid client secret provided for app '{client_id}'.");
        return Err(error(401, "invalid_client", 7_000_215, &text));
    }
    Ok((client_id.to_owned(), audience, app.roles.clone()))
}

/// A token in the shape of a real one. Its signature is a random number: nobody but this
/// simulator is meant to check it, and it remembers what it issued.
fn token(bearer: &Bearer, audience: &str, issued: i64, life: Duration) -> String {
    let expires = issued.saturating_add(i64::try_from(life.as_secs()).unwrap_or(i64::MAX));
    let mut claims = json!({
        "aud": audience,
        "iss": format!("https://sts.windows.net/{}/", bearer.tenant),
        "iat": issued,
        "nbf": issued,
        "exp": expires,
        "appid": bearer.client_id,
        "appidacr": "1",
        "tid": bearer.tenant,
        "ver": "1.0",
    });
    // A real token of an application without roles lacks the claim.
    if !bearer.roles.is_empty() {
        claims["roles"] = json!(bearer.roles);
    }
    let encode = |text: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = encode(json!({"typ": "JWT", "alg": "none"}).to_string().as_bytes());
    let claims = encode(claims.to_string().as_bytes());
    format!("{header}.{claims}.{}", encode(Uuid::now_v7().as_bytes()))
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
