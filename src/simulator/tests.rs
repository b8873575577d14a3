//! The simulator over real HTTP: what it refuses, what it scripts, and what it remembers.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

const MACHINE: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
const SHA1: &str = "87662bc3d60e4200ceaf7aae249d1c343f4b83c9";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const SCOPE: &str = "https://api.securitycenter.microsoft.com/.default";

/// A client without manners: it sends what a test wants sent.
struct Client {
    simulator: Simulator,
    http: reqwest::Client,
    token: String,
}

impl Client {
    async fn new(settings: Settings) -> Self {
        let simulator = Simulator::bind(settings).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut client = Self { simulator, http, token: String::new() };
        let (status, answer) = client.login(&form("lazaret", "secret", SCOPE)).await;
        assert_eq!(status, 200, "{answer}");
        client.token = answer["access_token"].as_str().unwrap().to_owned();
        client
    }

    async fn login(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{}/{TENANT}/oauth2/v2.0/token", self.simulator.url());
        told(self.http.post(url).form(form)).await
    }

    async fn quarantine(&self, machine: &str, body: &Value) -> (u16, Value) {
        let base = self.simulator.url();
        let url = format!("{base}/api/machines/{machine}/StopAndQuarantineFile");
        told(self.http.post(url).bearer_auth(&self.token).json(body)).await
    }

    async fn cancel(&self, id: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/machineactions/{id}/cancel", self.simulator.url());
        told(self.http.post(url).bearer_auth(&self.token).json(body)).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.url());
        told(self.http.get(url).bearer_auth(&self.token)).await
    }
}

async fn told(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

fn form<'a>(client: &'a str, secret: &'a str, scope: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("client_secret", secret),
        ("scope", scope),
    ]
}

fn body() -> Value {
    json!({"Comment": "because", "Sha1": SHA1})
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or("(none)"))
}

#[tokio::test]
async fn a_body_has_exactly_the_two_names_in_their_case() {
    let client = Client::new(Settings::default()).await;
    for (body, expected) in [
        (json!({"comment": "because", "Sha1": SHA1}), "MissingRequiredParameter"),
        (json!({"Comment": "because", "sha1": SHA1}), "MissingRequiredParameter"),
        (json!({"Comment": "because", "SHA1": SHA1}), "MissingRequiredParameter"),
        (json!({"Comment": "because"}), "MissingRequiredParameter"),
        (json!({"Comment": "", "Sha1": SHA1}), "MissingRequiredParameter"),
        (json!({"Comment": 5, "Sha1": SHA1}), "InvalidRequestBody"),
        (json!({"Comment": "a", "Sha1": SHA1, "ExternalId": "x"}), "InvalidRequestBody"),
        (json!([body()]), "InvalidRequestBody"),
        (json!({"Comment": "a", "Sha1": "zzz"}), "InvalidHashValue"),
        (json!({"Comment": "a", "Sha1": "a".repeat(64)}), "InvalidHashValue"),
    ] {
        assert_eq!(code(&client.quarantine(MACHINE, &body).await), (400, expected), "{body}");
    }
    assert_eq!(client.simulator.machine_actions(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_machine_id_is_40_hex_digits_and_known_where_that_is_asked() {
    let settings = Settings { unknown_machines: UnknownMachines::NotFound, ..Settings::default() };
    let client = Client::new(settings).await;
    for machine in ["win11.contoso.com", MACHINE] {
        let answer = client.quarantine(machine, &body()).await;
        assert_eq!(code(&answer), (404, "ResourceNotFound"));
        let text = format!("Machine {machine} was not found");
        assert_eq!(answer.1["error"]["message"], text);
    }
    let lacks = [SHA1.to_owned()].into();
    client.simulator.set_machine(MACHINE, Machine { lacks, ..Machine::default() });
    let answer = client.quarantine(MACHINE, &body()).await;
    let text = format!("Sha1 {SHA1} was not found in machine {MACHINE}");
    assert_eq!((code(&answer).0, &answer.1["error"]["message"]), (404, &json!(text)));
    client.simulator.set_machine(MACHINE, Machine::default());
    assert_eq!(client.quarantine(MACHINE, &body()).await.0, 201);
}

#[tokio::test]
async fn a_token_is_one_that_was_issued_here_and_lives() {
    let settings = Settings { token_life: Duration::ZERO, ..Settings::default() };
    let mut client = Client::new(settings).await;
    assert_eq!(code(&client.quarantine(MACHINE, &body()).await), (401, "Unauthorized"));
    client.token = "made.up.token".to_owned();
    assert_eq!(code(&client.get("/api/machineactions").await), (401, "Unauthorized"));
}

#[tokio::test]
async fn a_token_is_issued_to_those_who_may() {
    let app = App {
        tenant: TENANT.to_owned(),
        client_id: "lazaret".to_owned(),
        secret: "secret".to_owned(),
        roles: vec!["Machine.StopAndQuarantine".to_owned()],
    };
    let client = Client::new(Settings { apps: vec![app], ..Settings::default() }).await;
    let mut incomplete = form("lazaret", "secret", SCOPE);
    incomplete[0].1 = "";
    for (form, status, error) in [
        (form("lazaret", "guess", SCOPE), 401, "invalid_client"),
        (form("stranger", "secret", SCOPE), 400, "unauthorized_client"),
        (form("lazaret", "secret", "https://graph.microsoft.com/.default"), 400, "invalid_scope"),
        (form("lazaret", "", SCOPE), 401, "invalid_client"),
        (incomplete, 400, "invalid_request"),
    ] {
        let (got, answer) = client.login(&form).await;
        assert_eq!((got, answer["error"].as_str()), (status, Some(error)), "{answer}");
    }
    // Microsoft's page says one role is enough; in practice both are needed.
    let answer = client.quarantine(MACHINE, &body()).await;
    assert_eq!(code(&answer), (403, "Forbidden"));
    let text = answer.1["error"]["message"].as_str().unwrap();
    assert!(text.contains("(Machine.Read.All, Machine.ReadWrite.All)"), "{text}");
}

#[tokio::test]
async fn a_full_window_answers_429_and_each_application_has_its_own() {
    for reckoning in [Reckoning::Sliding, Reckoning::Fixed, Reckoning::TokenBucket] {
        let limit = Limit { calls: 2, per: Duration::from_secs(3600) };
        let quarantine = vec![limit];
        let mut client =
            Client::new(Settings { quarantine, reckoning, ..Settings::default() }).await;
        for _ in 0..2 {
            client.quarantine(MACHINE, &body()).await;
        }
        let base = client.simulator.url();
        let url = format!("{base}/api/machines/{MACHINE}/StopAndQuarantineFile");
        let post = client.http.post(url).bearer_auth(&client.token).json(&body());
        let response = post.send().await.unwrap();
        assert_eq!(response.status(), 429);
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1700..=3600).contains(&wait), "{reckoning:?}: {wait}");
        let answer: Value = response.json().await.unwrap();
        let text = "API calls quota exceeded! maximum allowed 2 per 01:00:00";
        assert_eq!(answer["error"]["message"], text);
        assert_eq!(client.get("/api/machineactions").await.0, 200, "endpoints count apart");
        let (_, other) = client.login(&form("other", "secret", SCOPE)).await;
        client.token = other["access_token"].as_str().unwrap().to_owned();
        assert_ne!(client.quarantine(MACHINE, &body()).await.0, 429);
        let window = Duration::from_secs(3600);
        assert_eq!(client.simulator.worst_window(Endpoint::Quarantine, window), 3);
    }
}

#[tokio::test]
async fn the_list_is_filtered_and_paged_and_strict_about_its_options() {
    let client = Client::new(Settings { busy: Busy::File, ..Settings::default() }).await;
    for digit in ["a", "b", "c"] {
        let body = json!({"Comment": digit, "Sha1": digit.repeat(40)});
        assert_eq!(client.quarantine(MACHINE, &body).await.0, 201);
    }
    let comments = async |query: &str| {
        let (status, answer) = client.get(&format!("/api/machineactions?{query}")).await;
        let page = answer["value"].as_array().cloned().unwrap_or_default();
        let comment = |action: &Value| action["requestorComment"].as_str().unwrap().to_owned();
        (status, page.iter().map(comment).collect::<String>())
    };
    assert_eq!(comments("").await, (200, "cba".into()));
    assert_eq!(comments("$top=2&$skip=1").await, (200, "ba".into()));
    assert_eq!(comments("$filter=status%20eq%20'Failed'").await, (200, String::new()));
    let filter = format!("%24filter=type+eq+'StopAndQuarantineFile'+and+machineId+eq+'{MACHINE}'");
    assert_eq!(comments(&filter).await, (200, "cba".into()));
    assert_eq!(comments("own=option").await, (200, "cba".into()));
    for query in ["$top=10001", "$top=many", "$stop=1", "$filter=sha1%20eq%20'a'"] {
        let answer = client.get(&format!("/api/machineactions?{query}")).await;
        assert_eq!(code(&answer), (400, ""), "{query}");
        assert_eq!(answer.1["error"]["details"], json!([]));
    }
    let id = client.simulator.machine_actions()[0]["id"].as_str().unwrap().to_owned();
    let (status, action) = client.get(&format!("/api/machineactions/{id}")).await;
    assert_eq!((status, action["id"].as_str()), (200, Some(id.as_str())));
    assert_eq!(client.get("/api/machineactions/none").await.0, 404);
}

#[tokio::test]
async fn others_control_it_over_http_and_read_its_record() {
    let client = Client::new(Settings::default()).await;
    let control = |path: &str| format!("{}/_simulator/{path}", client.simulator.url());
    let fault = json!([{"endpoint": "quarantine", "machine": MACHINE, "effect": "done",
        "trouble": {"answer": {"status": 503, "retry-after": "soon", "body": "<html>"}}}]);
    let added = client.http.post(control("faults")).json(&fault).send().await.unwrap();
    assert_eq!(added.status(), 204);
    let offline = json!({"offline": true, "ends": "Failed"});
    let path = control(&format!("machines/{MACHINE}"));
    assert_eq!(client.http.put(path).json(&offline).send().await.unwrap().status(), 204);
    assert_eq!(client.quarantine(MACHINE, &body()).await, (503, Value::Null));
    let (_, actions) = client.get("/_simulator/actions").await;
    assert_eq!(actions["actions"][0]["status"], "Pending");
    let (_, calls) = client.get("/_simulator/calls?endpoint=quarantine").await;
    let call = &calls["calls"][0];
    assert_eq!((&call["status"], &call["method"]), (&json!(503), &json!("POST")));
    assert_eq!(call["caller"], json!([TENANT, "lazaret"]));
    assert_eq!(call["machine_action"], actions["actions"][0]["id"]);
    assert_eq!(call["body"], body().to_string());
    let text = client.get("/_simulator/calls").await.1.to_string();
    assert!(!text.contains(&client.token) && !text.contains("secret"), "{text}");
    let (_, worst) = client.get("/_simulator/worst-window?endpoint=quarantine&seconds=60").await;
    assert_eq!(worst, json!({"calls": 1}));
    let tokens = client.http.delete(control("tokens")).send().await.unwrap();
    assert_eq!(tokens.status(), 204);
    assert_eq!(client.quarantine(MACHINE, &body()).await.0, 401);
    let help = client.http.get(format!("{}/_simulator", client.simulator.url()));
    assert!(help.send().await.unwrap().text().await.unwrap().contains("/_simulator/faults"));
}

#[tokio::test]
async fn a_stopped_simulator_cuts_its_connections() {
    let client = Client::new(Settings::default()).await;
    client.simulator.fault(Fault::next(Endpoint::Quarantine, Effect::Done, Trouble::Hang));
    let url = format!("{}/api/machines/{MACHINE}/StopAndQuarantineFile", client.simulator.url());
    let mut answered = client.simulator.subscribe();
    let hanging = client.http.post(url).bearer_auth(&client.token).json(&body()).send();
    let hanging = tokio::spawn(hanging);
    while client.simulator.machine_actions().is_empty() {
        tokio::task::yield_now().await;
    }
    client.simulator.stop();
    assert!(hanging.await.unwrap().is_err());
    assert_eq!(client.simulator.calls_to(Endpoint::Quarantine)[0].status, None);
    assert!(answered.try_recv().is_err(), "a call that hung was never answered");
}

#[tokio::test]
async fn a_machine_action_is_cancelled_once_by_its_own_tenant_within_its_own_budget() {
    let reads = vec![Limit { calls: 7, per: Duration::from_secs(60) }];
    let client = Client::new(Settings { reads, ..Settings::default() }).await;
    let offline = Machine { offline: true, ..Machine::default() };
    client.simulator.set_machine(MACHINE, offline);
    let (_, made) = client.quarantine(MACHINE, &body()).await;
    let id = made["id"].as_str().unwrap();
    let why = json!({"Comment": "a false positive"});
    for (wrong, expected) in [
        (json!({}), "MissingRequiredParameter"),
        (json!({"comment": "x"}), "MissingRequiredParameter"),
        (json!({"Comment": "x", "Sha1": SHA1}), "InvalidRequestBody"),
    ] {
        assert_eq!(code(&client.cancel(id, &wrong).await), (400, expected), "{wrong}");
    }
    assert_eq!(code(&client.cancel("ma-1", &why).await), (404, "ResourceNotFound"));
    let (status, cancelled) = client.cancel(id, &why).await;
    assert_eq!(
        (status, &cancelled["status"], &cancelled["id"]),
        (200, &json!("Cancelled"), &made["id"])
    );
    assert_eq!(cancelled["cancellationComment"], "a false positive");
    assert_eq!(code(&client.cancel(id, &why).await), (400, "BadRequest"));
    let fault = Fault::next(Endpoint::Cancel, Effect::None, Trouble::status(500));
    client.simulator.fault(fault.on_machine(MACHINE));
    assert_eq!(client.cancel(id, &why).await.0, 500);
    assert_eq!(code(&client.cancel(id, &why).await), (429, "429"), "the eighth call");
    assert_eq!(client.get(&format!("/api/machineactions/{id}")).await.1["status"], "Cancelled");
    assert_eq!(client.simulator.calls_to(Endpoint::Cancel).len(), 8);
}

#[tokio::test]
async fn an_alert_shows_its_evidence_only_where_it_is_asked_for() {
    let client = Client::new(Settings::default()).await;
    let put = async |id: &str, body: &Value| {
        let url = format!("{}/_simulator/alerts/{id}", client.simulator.url());
        client.http.put(url).json(body).send().await.unwrap().status().as_u16()
    };
    let evidence = json!([{"entityType": "File", "sha1": SHA1}]);
    assert_eq!(put("da1_1", &json!({"title": "t", "evidence": evidence})).await, 204);
    assert_eq!(put("da1_2", &json!({"title": "t"})).await, 204);
    assert_eq!(put("da1_3", &json!([])).await, 422, "no object, no alert");
    let (status, alert) = client.get("/api/alerts/da1_1?$expand=evidence").await;
    assert_eq!((status, &alert["id"], &alert["title"]), (200, &json!("da1_1"), &json!("t")));
    assert_eq!(alert["evidence"], evidence);
    let context = alert["@odata.context"].as_str().unwrap();
    assert!(context.ends_with("/api/$metadata#Alerts/$entity"), "{context}");
    let bare = client.get("/api/alerts/da1_1").await.1;
    assert_eq!((&bare["title"], &bare["evidence"]), (&json!("t"), &json!([])));
    let none = client.get("/api/alerts/da1_2?$expand=evidence").await.1;
    assert_eq!(none["evidence"], json!([]));
    let unknown = client.get("/api/alerts/da1_3?$expand=evidence").await;
    assert_eq!(code(&unknown), (404, "ResourceNotFound"));
    for query in ["$expand=files", "$select=id"] {
        assert_eq!(code(&client.get(&format!("/api/alerts/da1_1?{query}")).await), (400, ""));
    }
    client.simulator.put_alert("da1_1", json!({"title": "u"}));
    assert_eq!(client.get("/api/alerts/da1_1").await.1["title"], "u");
    assert_eq!(client.simulator.calls_to(Endpoint::Alerts).len(), 7);
    let (_, kept) = client.get("/_simulator/calls?endpoint=alerts").await;
    assert_eq!(kept["calls"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn machines_are_listed_by_the_names_they_were_given() {
    let reads = vec![Limit { calls: 8, per: Duration::from_secs(60) }];
    let client = Client::new(Settings { reads, ..Settings::default() }).await;
    let named = json!({"computerDnsName": "win11.contoso.com", "healthStatus": "NoSensorData",
        "onboardingStatus": "InsufficientInfo", "offline": true});
    let url = format!("{}/_simulator/machines/{MACHINE}", client.simulator.url());
    assert_eq!(client.http.put(url).json(&named).send().await.unwrap().status(), 204);
    let other = "ab".repeat(20);
    client.simulator.set_machine(&other, Machine { offline: true, ..Machine::default() });
    let (_, made) = client.quarantine(MACHINE, &body()).await;
    assert_eq!(made["computerDnsName"], "win11.contoso.com");
    let list = async |query: &str| {
        let (status, answer) = client.get(&format!("/api/machines?{query}")).await;
        (status, answer["value"].as_array().cloned().unwrap_or_default())
    };
    let (status, found) = list("$filter=startswith(computerDnsName,'win11')&$top=1000").await;
    assert_eq!((status, found.len()), (200, 1));
    assert_eq!(
        (&found[0]["id"], &found[0]["computerDnsName"]),
        (&json!(MACHINE), &json!("win11.contoso.com"))
    );
    assert_eq!(found[0]["healthStatus"], "NoSensorData");
    assert_eq!(found[0]["onboardingStatus"], "InsufficientInfo");
    let (_, found) = list("$filter=computerDnsName%20eq%20'simulated-abababab'").await;
    assert_eq!((found[0]["id"].as_str(), found.len()), (Some(other.as_str()), 1));
    assert_eq!(found[0]["healthStatus"], "Inactive");
    assert_eq!(found[0]["onboardingStatus"], "Onboarded");
    assert_eq!(list("$filter=startswith(computerDnsName,'x')").await, (200, Vec::new()));
    assert_eq!(list("").await.1.len(), 2);
    assert_eq!(list("$top=1&$skip=1").await.1[0]["id"], other);
    for query in ["$filter=contains(computerDnsName,'w')", "$top=10001", "$search=w"] {
        let answer = client.get(&format!("/api/machines?{query}")).await;
        assert_eq!(code(&answer), (400, ""), "{query}");
    }
    assert_eq!(code(&client.get("/api/machines").await), (429, "429"), "the ninth call");
    assert_eq!(client.get("/api/alerts/a").await.0, 404, "endpoints count apart");
}

#[tokio::test]
async fn of_a_file_that_nobody_has_set_it_tells_that_nobody_has_signed_it() {
    use crate::domain::alert::Ask;
    use crate::domain::candidate::{Field, Value as Known};
    use crate::domain::ids::Sha1;
    let client = Client::new(Settings::default()).await;
    let signer = async |sha1: &str| {
        let (status, told) = client.get(&format!("/api/files/{sha1}")).await;
        assert_eq!(status, 200, "{told}");
        let ask = Ask::File(Sha1::parse(sha1).unwrap());
        let fields = crate::formats::facts(&ask, &told.to_string()).unwrap();
        fields.get(Field::FileSigner).clone()
    };
    assert_eq!(signer(SHA1).await, Known::Empty);
    // As the page on its control says.
    let page = control::help().await;
    let (_, example) = page.split_once("the file's JSON object, such as ").unwrap();
    let (example, _) = example.split_once(';').unwrap();
    client.simulator.put_file(SHA1, serde_json::from_str(example).unwrap());
    assert_eq!(signer(SHA1).await, Known::Text("Contoso".into()));
    assert_eq!(code(&client.get("/api/files/none").await), (404, "ResourceNotFound"));
    let settings = Settings { unknown_files: UnknownFiles::NotFound, ..Settings::default() };
    let answer = Client::new(settings).await.get(&format!("/api/files/{SHA1}")).await;
    assert_eq!(code(&answer), (404, "ResourceNotFound"));
}

#[tokio::test]
async fn who_may_quarantine_may_not_read_alerts_or_machines_for_that() {
    let app = App {
        tenant: TENANT.to_owned(),
        client_id: "lazaret".to_owned(),
        secret: "secret".to_owned(),
        roles: vec!["Machine.StopAndQuarantine".to_owned()],
    };
    let client = Client::new(Settings { apps: vec![app], ..Settings::default() }).await;
    for (path, roles) in [
        ("/api/alerts/a?$expand=evidence", "(Alert.Read.All, Alert.ReadWrite.All)"),
        ("/api/machines", "(Machine.Read.All, Machine.ReadWrite.All)"),
    ] {
        let answer = client.get(path).await;
        assert_eq!(code(&answer), (403, "Forbidden"), "{path}");
        assert!(answer.1["error"]["message"].as_str().unwrap().contains(roles), "{answer:?}");
    }
}
