//! What is handed on, and what its acknowledgement makes of the answer.

use std::collections::BTreeSet;

use lazaret::domain::action::Coordinates;
use lazaret::domain::decision::{AlertAnswer, Answered, Fate};
use lazaret::io::webhook::WebhookError;
use lazaret::io::{Acknowledged, NotTaken};

use super::*;

type Acked = Result<Acknowledged, NotTaken>;

fn answered() -> Answered {
    let alert = "441688558380765161_2136280442".into();
    let reason = "no rule".into();
    Answered {
        alerts: vec![AlertAnswer { alert, fate: Fate::NoMatch, reason, candidates: vec![] }],
        acts_elsewhere: false,
        waiting: BTreeSet::new(),
    }
}

/// One authentic delivery, acknowledged so; `None` drops it.
async fn answer_to(acked: Option<Acked>) -> Answer {
    let mut listener = start(settings(standard())).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    stream.write_all(&Raw::signed(&standard(), ALERT).bytes()).await.unwrap();
    let delivery = listener.deliveries.recv().await.unwrap();
    match acked {
        Some(acked) => (delivery.ack)(acked),
        None => drop(delivery),
    }
    Answer::read(&mut stream).await
}

#[tokio::test]
async fn what_is_durable_is_202_with_each_alerts_fate() {
    let answer = answer_to(Some(Ok(Acknowledged::Taken(answered())))).await;
    assert_eq!(answer.status, 202);
    assert_eq!(serde_json::from_str::<Answered>(&answer.body).unwrap(), answered());
}

#[tokio::test]
async fn what_was_seen_before_is_200_with_the_first_answer() {
    let answer = answer_to(Some(Ok(Acknowledged::Replayed(answered())))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(serde_json::from_str::<Answered>(&answer.body).unwrap(), answered());
}

#[tokio::test]
async fn what_is_no_json_is_400_and_says_why() {
    let answer = answer_to(Some(Err(NotTaken::NotJson("line 2 is not JSON".into())))).await;
    assert_eq!((answer.status, answer.body.as_str()), (400, r#"{"error":"line 2 is not JSON"}"#));
}

#[tokio::test]
async fn what_is_not_durable_is_503_and_to_be_sent_again() {
    let store = NotTaken::Store("database or disk is full in /secret/path".into());
    for acked in [Some(Err(NotTaken::Full)), Some(Err(store)), None] {
        let answer = answer_to(acked.clone()).await;
        assert_eq!(answer.status, 503, "{acked:?}");
        assert!(answer.head.contains("\r\nretry-after: 5\r\n"), "{}", answer.head);
        assert!(!answer.body.contains("secret"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_full_queue_is_503_at_once() {
    let mut listener = start(settings(standard())).await;
    let request = Raw::signed(&standard(), ALERT).bytes();
    let mut first = TcpStream::connect(listener.address).await.unwrap();
    first.write_all(&request).await.unwrap();
    // The second of them can't be known to come later: one of the two fills the queue.
    let mut second = TcpStream::connect(listener.address).await.unwrap();
    second.write_all(&request).await.unwrap();
    let refused = tokio::select! {
        answer = Answer::read(&mut first) => answer,
        answer = Answer::read(&mut second) => answer,
    };
    assert_eq!(refused.status, 503);
    assert!(listener.deliveries.recv().await.is_some());
}

#[tokio::test]
async fn bodies_take_their_memory_until_they_are_acknowledged() {
    let mut settings = settings(standard());
    settings.memory = Arc::new(Semaphore::new(ALERT.len() + 1));
    let mut listener = start(settings).await;
    let request = Raw::signed(&standard(), ALERT).bytes();
    for _ in 0..2 {
        let mut first = TcpStream::connect(listener.address).await.unwrap();
        first.write_all(&request).await.unwrap();
        let Delivery { ack, body, .. } = listener.deliveries.recv().await.unwrap();
        drop(body);
        let second = listener.ask(&request).await;
        assert_eq!(second.status, 503);
        assert!(second.head.contains("\r\nretry-after: 5\r\n"), "{}", second.head);
        ack(Ok(Acknowledged::Taken(answered())));
        assert_eq!(Answer::read(&mut first).await.status, 202);
    }
}

#[tokio::test]
async fn a_delivery_is_the_bytes_as_signed_with_where_they_came_from() {
    let mut listener = start(settings(standard())).await;
    let body = b" {\"id\" : \"\xff\"}\n";
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    stream.write_all(&Raw::signed(&standard(), body).chunked().bytes()).await.unwrap();
    let delivery = listener.deliveries.recv().await.unwrap();
    assert_eq!(delivery.source, SourceName::new("siem"));
    assert_eq!(&delivery.body[..], body);
    assert_eq!(delivery.received.wall, NOW);
    let replay = delivery.replay.unwrap();
    assert_eq!(replay.keep_until, NOW + Duration::from_secs(15 * 60));
    let id = Some(replay.id);
    assert_eq!(delivery.coordinates, Coordinates::Webhook { source: "siem".into(), id });
    assert!(listener.counted(r#"lazaret_webhook_secret_matched_total{source="siem",index="0"} 1"#));
}

#[tokio::test]
async fn one_connection_carries_many_deliveries() {
    let mut listener = start(settings(standard())).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(&Raw::signed(&standard(), ALERT).bytes()).await.unwrap();
        let delivery = listener.deliveries.recv().await.unwrap();
        (delivery.ack)(Ok(Acknowledged::Taken(answered())));
        let answer = Answer::read(&mut stream).await;
        assert_eq!(answer.status, 202);
        assert!(!answer.closes());
    }
}

#[tokio::test]
async fn every_scheme_is_taken_over_the_wire() {
    for scheme in [Scheme::Github, Scheme::Slack, Scheme::Stripe, Scheme::Bearer, Scheme::None] {
        let secrets: &[&str] = if scheme == Scheme::None { &[] } else { &["s3cret"] };
        let seal = seal(scheme, secrets);
        let mut listener = start(settings(seal.clone())).await;
        let mut stream = TcpStream::connect(listener.address).await.unwrap();
        stream.write_all(&Raw::signed(&seal, ALERT).bytes()).await.unwrap();
        let delivery = listener.deliveries.recv().await.unwrap();
        (delivery.ack)(Ok(Acknowledged::Taken(answered())));
        assert_eq!(Answer::read(&mut stream).await.status, 202, "{seal:?}");
    }
}

#[tokio::test]
async fn a_source_that_verifies_nothing_is_for_loopback_only() {
    let mut settings = settings(seal(Scheme::None, &[]));
    settings.listener.address = "0.0.0.0:0".parse().unwrap();
    let refused = Webhooks::bind(settings).await.err().unwrap();
    assert!(matches!(refused, WebhookError::Open { .. }), "{refused}");
}

#[tokio::test]
async fn two_sources_can_not_share_a_name() {
    let mut settings = settings(standard());
    let (name, seal) = (SourceName::new("siem"), standard());
    settings.sources.push(Source { name, seal, issuer: None, origins: Vec::new() });
    let refused = Webhooks::bind(settings).await.err().unwrap();
    assert!(matches!(refused, WebhookError::SameName(_)), "{refused}");
}
