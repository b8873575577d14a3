//! The line as its user meets it: the program, its commands, and what a sender is told.

use serde_json::Value;

use crate::world::{
    Setting, TENANT_ID, World, alert, assert_balance, call_of, json, run, tenant_id,
};

async fn succeeded(world: &World) {
    world
        .until("the outcome", async |world| {
            let states = world.report().await.summary.states;
            states.iter().any(|s| s.state.as_str() == "succeeded" && s.count == 1)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_becomes_one_call_however_often_it_comes_and_all_of_it_can_be_looked_up() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let (status, answer) = world.post("msg_1", &alert(1)).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    let first: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(first["alerts"][0]["fate"], "acted");
    let id = first["alerts"][0]["candidates"][0]["action"].as_str().unwrap().to_owned();
    succeeded(&world).await;

    let (status, again) = world.post("msg_1", &alert(1)).await.unwrap();
    assert_eq!((status, &again), (200, &answer), "the same delivery: the first answer");
    let (status, other) = world.post("msg_2", &alert(1)).await.unwrap();
    let other: Value = serde_json::from_str(&other).unwrap();
    assert_eq!((status, &other["alerts"][0]["fate"]), (202, &"duplicate".into()));
    assert_eq!(other["alerts"][0]["candidates"][0]["of"], id.as_str());

    world.stop();
    world.start().await;
    let (_, after) = world.post("msg_3", &alert(1)).await.unwrap();
    let after: Value = serde_json::from_str(&after).unwrap();
    assert_eq!(after["alerts"][0]["fate"], "duplicate", "also after a restart");
    assert_eq!(world.calls().into_iter().collect::<Vec<_>>(), [(call_of(1), 1)]);

    let shown = json(&run(&world, &["actions", "show", &id[..13], "--json"]).await);
    assert_eq!(shown["state"], "succeeded");
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(shown["attempts"][0]["status"], 201);
    assert_eq!(shown["candidate"]["file.name"], "bad.exe");
    let steps: Vec<_> = shown["changes"].as_array().unwrap().iter().collect();
    let page = run(&world, &["actions", "show", &id]).await;
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains(&id) && page.contains(shown["ruleset"].as_str().unwrap()), "{page}");
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    assert!(steps.len() >= 4, "created, in flight, accepted, succeeded: {steps:?}");
    assert_balance(&world.report().await.summary);
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_alert_does_not_stop_its_neighbours_and_no_json_keeps_nothing() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let body = format!("[{}, {{\"id\": null}}, 7, {}]", alert(1), alert(2));
    let (status, answer) = world.post("msg_1", &body).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let fates: Vec<_> = answer["alerts"].as_array().unwrap().iter().map(|a| &a["fate"]).collect();
    assert_eq!(status, 202);
    assert_eq!(fates, ["acted", "unreadable", "unreadable", "acted"]);
    let (status, _) = world.post("msg_2", &format!("{}\n{{oops", alert(3))).await.unwrap();
    assert_eq!(status, 400);
    let summary = world.report().await.summary;
    assert_eq!(summary.received, [("siem".to_owned(), 4)], "of the second, nothing is kept");
    assert_balance(&summary);
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_another_name_does_not_begin_with_an_empty_window() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    assert_eq!(world.post("msg_1", &alert(1)).await.unwrap().0, 202);
    succeeded(&world).await;
    world.stop();

    let config = std::fs::read_to_string(world.config()).unwrap();
    let renamed = config.replace("name: contoso\n", "name: contoso-eu\n");
    let renamed = renamed.replace("tenants: [contoso]", "tenants: [contoso-eu]");
    std::fs::write(world.config(), renamed).unwrap();
    world.spawn();
    while world.ended().is_none() {
        assert!(!world.is_ready().await, "it has started");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let log = world.log().split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = "1 calls of the last 1h in the store are of tenant contoso, which the \
                  configuration does not name; it names contoso-eu, which has made none.";
    assert!(log.contains(wanted), "{log}");

    std::fs::write(world.config(), config).unwrap();
    world.start().await;
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_of_a_tenant_that_is_configured_no_more_is_told() {
    let mut world = World::new(Setting { tenants: 2, ..Setting::default() }).await;
    world.start().await;
    assert!(run(&world, &["pause", "--reason", "an exercise"]).await.status.success());
    let of_t1 = alert(1).replace(TENANT_ID, &tenant_id(1));
    assert_eq!(world.post("msg_1", &of_t1).await.unwrap().0, 202);
    world.stop();

    let config = std::fs::read_to_string(world.config()).unwrap();
    let (before, _) = config.split_once("\n  - name: t1\n").unwrap();
    let (_, after) = config.split_once("\nreconcile:").unwrap();
    let without = format!("{before}\nreconcile:{after}").replace("[contoso, t1]", "[contoso]");
    std::fs::write(world.config(), without).unwrap();
    let told = "tenant t1 is not in the configuration: nothing becomes of its 1 actions";
    let says = async |world: &World, command: &str| {
        let said = json(&run(world, &[command, "--json"]).await).to_string();
        assert!(said.contains(told), "{command}: {said}");
    };
    says(&world, "status").await;
    says(&world, "doctor").await;
    world.start().await;
    says(&world, "status").await;
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_alert_is_not_acted_on() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let foreign = alert(1).replace("11111111-2222", "99999999-2222");
    let (status, answer) = world.post("msg_1", &foreign).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["alerts"][0]["fate"]), (202, &"unknown_tenant".into()));
    assert!(world.calls().is_empty());
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_observe_everything_happens_but_the_call() {
    let mut world = World::new(Setting { mode: "observe", ..Setting::default() }).await;
    world.start().await;
    let (_, answer) = world.post("msg_1", &alert(1)).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["alerts"][0]["fate"], "observed");
    assert_eq!(json(&run(&world, &["actions", "list", "--json"]).await), Value::Array(vec![]));
    let listed = json(&run(&world, &["actions", "receipts", "--json"]).await);
    assert_eq!(listed[0]["fate"], "observed");
    assert!(listed[0]["reason"].as_str().unwrap().contains("5f4d8d0a"), "names the rule");
    world.stop();
    assert!(world.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_while_paused_whether_the_service_runs_or_not() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let paused = run(&world, &["pause", "--reason", "an exercise"]).await;
    assert!(paused.status.success(), "{paused:?}");
    let (status, _) = world.post("msg_1", &alert(1)).await.unwrap();
    assert_eq!(status, 202, "alerts are still taken");
    let listed = json(&run(&world, &["actions", "list", "--json"]).await);
    let show = ["actions", "show", listed[0]["id"].as_str().unwrap(), "--json"];
    let shown = json(&run(&world, &show).await);
    let waits = shown["waits_for"].as_str().unwrap();
    assert!(waits.starts_with("the pause of everything, by token local at "), "{waits}");
    assert!(waits.ends_with(": an exercise"), "once: {waits}");
    let status = run(&world, &["status", "--json"]).await;
    assert_eq!(status.status.code(), Some(1), "a pause needs a person");
    assert!(json(&status)["problems"][0].as_str().unwrap().contains("an exercise"));
    assert_eq!(json(&status)["summary"]["pauses"][0]["by"], "token local");
    assert_eq!(world.ready().await, Value::from(vec!["dispatch is paused"]), "and no more");
    world.stop();
    let stopped = json(&run(&world, &show).await);
    assert_eq!(stopped["waits_for"], format!("{waits}; and the service is stopped"));
    world.start().await;
    world.stop();
    assert!(world.calls().is_empty(), "a restart does not end a pause");

    let wrong = run(&world, &["resume", "--tenant", "contoso", "--reason", "over"]).await;
    assert_eq!(wrong.status.code(), Some(1), "only exactly what was paused is resumed");
    let resumed = run(&world, &["resume", "--reason", "over", "--json"]).await;
    assert!(resumed.status.success(), "{resumed:?}");
    assert_eq!(json(&resumed)["pauses"], Value::Array(vec![]));
    let paused = run(&world, &["pause", "--reason", "by hand", "--json"]).await;
    let by = json(&paused)["pauses"][0]["by"].as_str().unwrap().to_owned();
    assert!(by.strip_prefix("uid ").is_some_and(|id| id.parse::<u32>().is_ok()), "{by}");
    assert!(run(&world, &["resume", "--reason", "over"]).await.status.success());
    world.start().await;
    succeeded(&world).await;
    assert_eq!(world.calls().len(), 1);

    let paused = run(&world, &["pause", "--tenant", "contoso", "--reason", "again"]).await;
    assert!(paused.status.success(), "{paused:?}");
    world.post("msg_2", &alert(2)).await.unwrap();
    let resumed = run(&world, &["resume", "--tenant", "contoso", "--reason", "over"]).await;
    assert!(resumed.status.success(), "{resumed:?}");
    world.until("the second call", async |world| world.calls().len() == 2).await;
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_service_on_the_same_store_is_refused() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let second = run(&world, &["run"]).await;
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("lazaret.lock"), "{said}");
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_nowhere_to_be_read() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    world.post("msg_1", &alert(1)).await.unwrap();
    succeeded(&world).await;
    let token = std::fs::read_to_string(world.dir.path().join("data/admin.token")).unwrap();
    let shown = run(&world, &["actions", "list", "--json"]).await;
    world.stop();
    let store = std::fs::read(world.dir.path().join("data/lazaret.db")).unwrap();
    for secret in [crate::world::SECRET, "simulated", &token] {
        let bytes = secret.as_bytes();
        assert!(!world.log().contains(secret), "in the log");
        assert!(!String::from_utf8_lossy(&shown.stdout).contains(secret), "in the output");
        assert!(!store.windows(bytes.len()).any(|window| window == bytes), "in the store");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_the_call_and_ends_well() {
    let world = World::new(Setting::default()).await;
    let demo = run(&world, &["demo", "--once"]).await;
    let said = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{said} {}", String::from_utf8_lossy(&demo.stderr));
    let comment = "Stop and quarantine file on machine due to alert";
    for part in [comment, "441688558380765161_2136280442", "201 Created", "succeeded", "duplicate"]
    {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(!said.contains('\u{1b}'), "plain when piped");
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_each_cause_of_a_refusal_though_another_was_just_logged() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |name: &str, kind: &str| {
        let url = format!("http://127.0.0.1:{}/webhooks/{name}", world.webhooks);
        let request = http.post(url).header("content-type", kind).body("{}");
        request.send().await.unwrap().status().as_u16()
    };
    for _ in 0..2 {
        assert_eq!(post("siem", "application/json").await, 401);
        assert_eq!(post("siem", "text/plain").await, 415);
        assert_eq!(post("other", "application/json").await, 401);
        let (status, _) = world.post("msg_1", "sesame{").await.unwrap();
        assert_eq!(status, 400);
    }
    world.stop();
    let log = world.log();
    let lines: Vec<Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let refused = lines.iter().filter(|line| line["message"] == "refused a request");
    let refused: Vec<_> = refused
        .map(|line| (line["source"].clone(), line["status"].clone(), line["cause"].clone()))
        .collect();
    let wanted = [
        ("siem", 401, "missing"),
        ("siem", 415, "media_type"),
        ("", 401, "unknown_source"),
        ("siem", 400, "not_json"),
    ];
    let wanted = wanted.map(|(source, status, cause)| (source.into(), status.into(), cause.into()));
    assert_eq!(refused, wanted, "each once in ten seconds: {log}");
    assert!(!log.contains("sesame"), "nothing of a body: {log}");
}
