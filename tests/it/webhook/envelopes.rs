//! Alerts in envelopes, through the whole service.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::world::{Setting, World, alert, assert_balance, call_of};

fn event(id: &str, data: Value) -> Value {
    let mut event = json!({
        "specversion": "1.0", "id": id, "source": "/soc/soar", "type": "com.contoso.alert",
        "time": "2026-01-13T09:40:52Z", "datacontenttype": "application/json",
    });
    let data = data.as_object().unwrap().clone();
    event.as_object_mut().unwrap().extend(data);
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_cloud_events_acts_and_a_bad_one_stops_none_of_them() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let parsed = |n| serde_json::from_str::<Value>(&alert(n)).unwrap();
    let in_grid = json!({
        "id": "g", "topic": "/t", "subject": "s", "eventType": "Contoso.Alert", "dataVersion": "1",
        "eventTime": "2026-01-13T09:40:52Z", "data": {"value": [parsed(5), parsed(6)]},
    });
    let batch = json!([
        event("e-1", json!({"data": parsed(1)})),
        event("e-2", json!({"data": [parsed(2), {"id": null}]})),
        event("e-3", json!({"data": alert(3)})),
        event("e-4", json!({"data": "<alert/>"})),
        event("e-5", json!({"data_base64": STANDARD.encode(alert(4))})),
        in_grid,
        event("e-6", json!({"data": parsed(1)})),
    ]);
    let (status, answer) = world.post("msg_1", &batch.to_string()).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let fates: Vec<_> = answer["alerts"].as_array().unwrap().iter().map(|a| &a["fate"]).collect();
    assert_eq!(status, 202, "{answer}");
    assert_eq!(
        fates,
        [
            "acted",
            "acted",
            "unreadable",
            "acted",
            "unreadable",
            "acted",
            "acted",
            "acted",
            "duplicate"
        ]
    );
    let reason = answer["alerts"][4]["reason"].as_str().unwrap();
    assert!(reason.contains("the text of data is not JSON"), "{reason}");
    world.until("six calls", async |world| world.calls().len() == 6).await;
    let called: Vec<_> = world.calls().into_iter().collect();
    let wanted: Vec<_> = (1..=6).map(|n| (call_of(n), 1)).collect();
    assert_eq!(called, wanted);
    let again = world.post("msg_1", &batch.to_string()).await.unwrap();
    assert_eq!(again.0, 200, "the signed delivery's id is the replay id");
    assert_balance(&world.report().await.summary);
    world.stop();
}
