//! What CloudEvents and Event Grid ask before they deliver, and what strangers learn from it.

use lazaret::domain::decision::Answered;
use lazaret::io::Acknowledged;

use super::*;
use crate::world::{Setting, World};

const TOKEN: &str = "sixteen-bytes-and-more";
const CODE: &str = "512d38b6-c7b8-40c8-89fe-f46f9e9622b6";

fn bearer() -> Seal {
    seal(Scheme::Bearer, &[TOKEN])
}

fn validation() -> Vec<u8> {
    let event = serde_json::json!([{
        "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
        "topic": "/subscriptions/xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
        "subject": "",
        "data": {
            "validationCode": CODE,
            "validationUrl": "https://rp-eastus2.eventgrid.azure.net:553/eventsubscriptions/x",
        },
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2022-10-28T04:23:35.1981776Z",
        "metadataVersion": "1",
        "dataVersion": "1",
    }]);
    event.to_string().into_bytes()
}

/// As Event Grid sends it, with the seal of the source.
fn validating(seal: &Seal) -> Raw {
    Raw::signed(seal, &validation()).and("aeg-event-type", "SubscriptionValidation")
}

fn ask(source: &str, origin: &str) -> Raw {
    let raw = Raw { line: String::new(), headers: Vec::new(), body: Vec::new() };
    raw.line(&format!("OPTIONS /webhooks/{source} HTTP/1.1"))
        .and("host", "lazaret")
        .and("webhook-request-origin", origin)
        .and("webhook-request-callback", "https://eventgrid.azure.net/callback?id=1")
        .and("webhook-request-rate", "120")
}

async fn with_origins(origins: &[&str]) -> Listener {
    let mut settings = settings(standard());
    settings.sources[0].origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    start(settings).await
}

#[tokio::test]
async fn an_origin_that_the_source_lists_may_deliver() {
    let listener = with_origins(&["events.example.org", "eventgrid.azure.net"]).await;
    for origin in ["eventgrid.azure.net", "EventGrid.azure.net"] {
        let answer = listener.ask(&ask("siem", origin).bytes()).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        for header in [
            &format!("webhook-allowed-origin: {}", origin.to_lowercase()),
            "webhook-allowed-rate: 6000",
            "allow: post",
        ] {
            assert!(answer.head.contains(&format!("\r\n{header}\r\n")), "{}", answer.head);
        }
    }
    assert!(listener.counted(r#"lazaret_webhook_requests_total{source="siem",status="200"} 2"#));
}

#[tokio::test]
async fn no_other_origin_may_and_none_learns_which_sources_there_are() {
    let listener = with_origins(&["eventgrid.azure.net"]).await;
    let silent = with_origins(&[]).await;
    let unknown = listener.ask(&ask("other", "eventgrid.azure.net").bytes()).await;
    assert_eq!(unknown.status, 403);
    assert!(unknown.body.contains("webhook.origins"), "{}", unknown.body);
    assert!(!unknown.head.contains("webhook-allowed"), "{}", unknown.head);
    let twice = ask("siem", "eventgrid.azure.net");
    let twice = twice.and("webhook-request-origin", "eventgrid.azure.net");
    for raw in [
        ask("siem", "evil.example"),
        ask("siem", "*"),
        ask("siem", ""),
        ask("siem", "eventgrid.azure.net, evil.example"),
        ask("siem", "\u{fc}"),
        ask("%73iem", "eventgrid.azure.net"),
        twice,
    ] {
        let answer = listener.ask(&raw.bytes()).await;
        assert_eq!((answer.status, &answer.body), (403, &unknown.body), "{:?}", raw.headers);
    }
    let answer = silent.ask(&ask("siem", "eventgrid.azure.net").bytes()).await;
    assert_eq!((answer.status, &answer.body), (403, &unknown.body));
    let plain = ask("siem", "x").without("webhook-request-origin");
    assert_eq!(listener.ask(&plain.bytes()).await.status, 405);
}

/// The permission is no proof: each delivery is verified all the same.
#[tokio::test]
async fn an_origin_proves_nothing() {
    let mut listener = with_origins(&["eventgrid.azure.net"]).await;
    let forged = Raw::signed(&standard(), ALERT).without("webhook-signature");
    let forged = forged.and("webhook-request-origin", "eventgrid.azure.net");
    assert_eq!(listener.ask(&forged.bytes()).await.status, 401);
    assert!(listener.deliveries.try_recv().is_err());
}

#[tokio::test]
async fn an_authentic_validation_gets_its_code_back_and_makes_no_delivery() {
    let mut listener = start(settings(bearer())).await;
    let answer = listener.ask(&validating(&bearer()).bytes()).await;
    let code = format!(r#"{{"validationResponse":"{CODE}"}}"#);
    assert_eq!((answer.status, answer.body), (200, code));
    assert!(listener.deliveries.try_recv().is_err(), "it makes no receipt");
    let unfit = validating(&bearer()).set("content-length", "2").body(b"[]");
    assert_eq!(listener.ask(&unfit.bytes()).await.status, 400);
    assert!(listener.deliveries.try_recv().is_err());
}

#[tokio::test]
async fn a_validation_that_is_not_authentic_learns_nothing() {
    let mut listener = start(settings(bearer())).await;
    let foreign = seal(Scheme::Bearer, &["another-secret-of-its-own"]);
    let unknown = listener.ask(&validating(&foreign).path("/webhooks/other").bytes()).await;
    assert_eq!(unknown.status, 401);
    assert!(unknown.body.contains("Event Grid signs nothing"), "{}", unknown.body);
    let signing = start(settings(standard())).await;
    for (listener, raw) in [
        (&listener, validating(&foreign)),
        (&listener, validating(&bearer()).without("authorization")),
        (&signing, validating(&bearer())),
    ] {
        let answer = listener.ask(&raw.bytes()).await;
        assert_eq!((answer.status, &answer.body), (401, &unknown.body));
        assert!(!answer.body.contains(CODE));
    }
    assert!(listener.deliveries.try_recv().is_err());
}

/// Without the header it is an event like any other; with another one too.
#[tokio::test]
async fn what_only_looks_like_a_validation_is_delivered() {
    let mut listener = start(settings(bearer())).await;
    let plain = validating(&bearer()).without("aeg-event-type");
    for raw in [plain.clone(), plain.and("aeg-event-type", "Notification")] {
        let mut stream = TcpStream::connect(listener.address).await.unwrap();
        stream.write_all(&raw.bytes()).await.unwrap();
        let delivery = tokio::select! {
            delivery = listener.deliveries.recv() => delivery.unwrap(),
            answer = Answer::read(&mut stream) => panic!("{answer:?}"),
        };
        assert_eq!(delivery.body, validation());
        (delivery.ack)(Ok(Acknowledged::Taken(Answered::default())));
        assert_eq!(Answer::read(&mut stream).await.status, 202);
    }
}

#[tokio::test]
async fn every_mode_of_cloud_events_is_taken_by_its_content_type() {
    let mut listener = start(settings(standard())).await;
    for content_type in [
        "application/cloudevents+json",
        "application/cloudevents-batch+json; charset=UTF-8",
        "application/json",
    ] {
        let raw = Raw::signed(&standard(), ALERT).set("content-type", content_type);
        let raw = raw.and("ce-specversion", "1.0").and("ce-type", "t").and("ce-id", "e-1");
        let mut stream = TcpStream::connect(listener.address).await.unwrap();
        stream.write_all(&raw.and("ce-source", "/soar").bytes()).await.unwrap();
        let delivery = listener.deliveries.recv().await.unwrap();
        assert_eq!(&delivery.body[..], ALERT, "the binary mode's data is the body");
        (delivery.ack)(Ok(Acknowledged::Taken(Answered::default())));
        assert_eq!(Answer::read(&mut stream).await.status, 202);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_which_option_lets_a_sender_in() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let url = format!("http://127.0.0.1:{}/webhooks/siem", world.webhooks);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    // One line a second at most: sent again until it is there.
    world
        .until("a refused origin in the log", async |world| {
            let ask = http.request(reqwest::Method::OPTIONS, &url);
            let ask = ask.header("webhook-request-origin", "eventgrid.azure.net");
            assert_eq!(ask.send().await.unwrap().status(), 403);
            let log = world.log();
            log.contains("webhook.origins") && log.contains("eventgrid.azure.net")
        })
        .await;
    world
        .until("a refused validation in the log", async |world| {
            let event = http.post(&url).header("content-type", "application/json");
            let event = event.header("aeg-event-type", "SubscriptionValidation");
            assert_eq!(event.body(validation()).send().await.unwrap().status(), 401);
            world.log().contains("Event Grid signs nothing: give the source the scheme bearer")
        })
        .await;
    assert!(world.report().await.summary.received.is_empty(), "neither makes a receipt");
    world.stop();
}
