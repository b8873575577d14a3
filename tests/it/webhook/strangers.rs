//! Slow clients, many clients, and a listener that stops.

use lazaret::domain::decision::Answered;
use lazaret::io::Acknowledged;

use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_millis(50);

/// Below the deadline that hyper sets by itself.
const LATE: Duration = Duration::from_secs(20);

fn request() -> Vec<u8> {
    Raw::signed(&standard(), ALERT).bytes()
}

#[tokio::test]
async fn a_head_that_does_not_come_closes_the_connection() {
    let mut settings = settings(standard());
    settings.listener.limits.head_within = SOON;
    let listener = start(settings).await;
    for part in [&b""[..], b"POST /webhooks/siem HTTP/1.1\r\nhost: laza"] {
        let answer = timeout(LATE, listener.ask(part)).await.expect("another deadline than ours");
        assert_eq!(answer.status, 0);
    }
}

#[tokio::test]
async fn a_connection_that_idles_is_closed() {
    let mut settings = settings(standard());
    settings.listener.limits.head_within = SOON;
    let listener = start(settings).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let answer = Answer::read(&mut stream).await;
    assert_eq!((answer.status, answer.closes()), (404, false));
    let closed = timeout(LATE, Answer::read(&mut stream)).await;
    assert_eq!(closed.expect("another deadline than ours").status, 0);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let mut settings = settings(standard());
    settings.body.within = SOON;
    let mut listener = start(settings).await;
    let request = request();
    let answer = listener.ask(&request[..request.len() - 1]).await;
    assert_eq!(answer.status, 408);
    assert!(listener.deliveries.try_recv().is_err());
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_no_more() {
    let mut settings = settings(standard());
    settings.listener.limits.per_address = 2;
    let listener = start(settings).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(listener.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(Answer::read(&mut stream).await.status, 404);
        held.push(stream);
    }
    assert!(listener.counted(r#"lazaret_connections_open{listener="webhooks"} 2"#));
    let mut third = TcpStream::connect(listener.address).await.unwrap();
    assert_eq!(Answer::read(&mut third).await.status, 0);
    let refused = r#"lazaret_connections_refused_total{listener="webhooks",reason="address"} 1"#;
    assert!(listener.counted(refused), "{}", listener.metrics.encode());
}

#[tokio::test]
async fn the_listener_has_so_many_connections_and_no_more() {
    let mut settings = settings(standard());
    settings.listener.limits.total = 1;
    let listener = start(settings).await;
    let mut first = TcpStream::connect(listener.address).await.unwrap();
    first.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(Answer::read(&mut first).await.status, 404);
    let mut second = TcpStream::connect(listener.address).await.unwrap();
    assert_eq!(Answer::read(&mut second).await.status, 0);
    let refused = r#"lazaret_connections_refused_total{listener="webhooks",reason="total"} 1"#;
    assert!(listener.counted(refused), "{}", listener.metrics.encode());
}

/// Far more than fits into socket buffers: the answer is there although the body was not read.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let listener = start(settings(standard())).await;
    let large = Raw::signed(&standard(), &vec![b' '; 8 * 1024 * 1024]);
    assert_eq!(listener.ask(&large.bytes()).await.status, 413);
}

#[tokio::test]
async fn what_is_in_hand_at_the_stop_is_finished() {
    let mut listener = start(settings(standard())).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    stream.write_all(&request()).await.unwrap();
    let delivery = listener.deliveries.recv().await.unwrap();
    listener.shutdown.cancel();
    while TcpStream::connect(listener.address).await.is_ok() {}
    (delivery.ack)(Ok(Acknowledged::Taken(Answered::default())));
    assert_eq!(Answer::read(&mut stream).await.status, 202);
    assert_eq!(Answer::read(&mut stream).await.status, 0);
    drop(stream);
    listener.serving.await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_is_cut_at_the_stop() {
    let mut settings = settings(standard());
    settings.listener.limits.finish_within = SOON;
    let mut listener = start(settings).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    stream.write_all(&request()).await.unwrap();
    let _unanswered = listener.deliveries.recv().await.unwrap();
    listener.shutdown.cancel();
    listener.serving.await.unwrap();
    assert_eq!(Answer::read(&mut stream).await.status, 0);
}
