//! What reaches a socket, and what does not.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::io::defender::SettingsError;
use crate::simulator::{Effect, Endpoint, Fault, Trouble};

const CREATED: &[u8] = b"HTTP/1.1 201 Created\r\ncontent-length: 13\r\n\r\n{\"id\": \"abc\"}";

/// A client of a raw listener, with a token that needs no login.
async fn raw() -> (TcpListener, Arc<TestClock>, DefenderApi) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = TestClock::new();
    let api = DefenderApi::with_tokens(settings(&url, &clock), Arc::new(FixedToken)).unwrap();
    (listener, clock, api)
}

/// Reads one request: head and body, as they came.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    while !request.ends_with('}') {
        let length = stream.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "closed after {request:?}");
        request.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    request
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is as good an end as any.
    let _ = stream.read_to_end(&mut rest).await;
    rest
}

#[tokio::test]
async fn a_call_is_exactly_the_documented_one() {
    let (listener, clock, api) = raw().await;
    let answer = tokio::spawn(api.quarantine(Permit::for_tests(), call(), clock.soon()));
    let (mut stream, _) = listener.accept().await.unwrap();
    let request = read_request(&mut stream).await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let line = format!("POST /api/machines/{MACHINE}/StopAndQuarantineFile HTTP/1.1");
    assert_eq!(lines.next(), Some(line.as_str()));
    let mut headers: Vec<_> = lines.collect();
    headers.sort_unstable();
    let length = format!("content-length: {}", body.len());
    let host = format!("host: {}", listener.local_addr().unwrap());
    let agent = concat!("user-agent: lazaret/", env!("CARGO_PKG_VERSION"));
    let expected = [
        "accept: application/json",
        "authorization: Bearer fixed",
        &length,
        "content-type: application/json",
        &host,
        agent,
    ];
    assert_eq!(headers, expected);
    assert_eq!(body, format!(r#"{{"Comment":"{COMMENT}","Sha1":"{SHA1}"}}"#));
    drop(stream);
    assert!(matches!(answer.await.unwrap(), Answer::Unclear { status: None, .. }));
}

/// A token of one tenant, without a login.
struct TokenOf(&'static str);

impl TokenSource for TokenOf {
    fn fetch(&self) -> BoxFuture<'static, Result<Token, NoToken>> {
        let token = Token { text: SecretString::from(self.0), life: Duration::from_secs(3600) };
        Box::pin(async { Ok(token) })
    }
}

#[tokio::test]
async fn tenants_share_connections_and_never_tokens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = TestClock::new();
    let http = http(Duration::from_secs(20));
    let of = |token| {
        let settings = Settings { http: http.clone(), ..settings(&url, &clock) };
        DefenderApi::with_tokens(settings, Arc::new(TokenOf(token))).unwrap()
    };
    let (one, other) = (of("one"), of("other"));
    let mut stream = None;
    for (api, token) in [(&one, "one"), (&other, "other"), (&one, "one")] {
        let answer = tokio::spawn(api.quarantine(Permit::for_tests(), call(), clock.soon()));
        if stream.is_none() {
            stream = Some(listener.accept().await.unwrap().0);
        }
        let stream = stream.as_mut().unwrap();
        let request = read_request(stream).await;
        assert!(request.contains(&format!("authorization: Bearer {token}\r\n")), "{request}");
        stream.write_all(CREATED).await.unwrap();
        assert!(matches!(answer.await.unwrap(), Answer::Accepted { .. }));
    }
    assert!(tokio::time::timeout(Duration::ZERO, listener.accept()).await.is_err());
}

#[tokio::test]
async fn past_send_by_not_a_byte_reaches_a_new_connection() {
    let (listener, clock, api) = raw().await;
    let send_by = clock.now().boot;
    clock.put_forward(Duration::from_micros(1));
    let answer = tokio::spawn(api.quarantine(Permit::for_tests(), call(), send_by));
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(rest(&mut stream).await, b"");
    let Answer::Unsent { text } = answer.await.unwrap() else { panic!("sent") };
    assert!(text.contains("past the time"), "{text}");
}

#[tokio::test]
async fn past_send_by_not_a_byte_reaches_a_connection_in_use() {
    let (listener, clock, api) = raw().await;
    let first = tokio::spawn(api.quarantine(Permit::for_tests(), call(), clock.soon()));
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    stream.write_all(CREATED).await.unwrap();
    assert!(matches!(first.await.unwrap(), Answer::Accepted { .. }));

    let send_by = clock.now().boot;
    clock.put_forward(Duration::from_secs(1));
    let late = tokio::spawn(api.quarantine(Permit::for_tests(), call(), send_by));
    // Closed without a byte: this is the connection it was to go on.
    assert_eq!(rest(&mut stream).await, b"");
    assert!(matches!(late.await.unwrap(), Answer::Unsent { .. }));
}

#[tokio::test]
async fn a_call_that_a_used_connection_swallows_is_not_sent_again() {
    let (listener, clock, api) = raw().await;
    let first = tokio::spawn(api.quarantine(Permit::for_tests(), call(), clock.soon()));
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    stream.write_all(CREATED).await.unwrap();
    assert!(matches!(first.await.unwrap(), Answer::Accepted { .. }));

    let second = tokio::spawn(api.quarantine(Permit::for_tests(), call(), clock.soon()));
    read_request(&mut stream).await;
    drop(stream);
    assert!(matches!(second.await.unwrap(), Answer::Unclear { status: None, .. }));
    assert!(tokio::time::timeout(Duration::ZERO, listener.accept()).await.is_err());
}

#[tokio::test]
async fn an_endless_answer_is_read_to_its_bound() {
    let (listener, clock, api) = raw().await;
    let answer = tokio::spawn(api.quarantine(Permit::for_tests(), call(), clock.soon()));
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    let head = b"HTTP/1.1 201 Created\r\ncontent-length: 999999999999\r\n\r\n";
    stream.write_all(head).await.unwrap();
    // Ends when the client has had enough; what is beyond its bound lies in socket buffers.
    let mut chunks = 0;
    while stream.write_all(&[b' '; 8192]).await.is_ok() {
        chunks += 1;
        assert!(chunks * 8192 < 64 * 1024 * 1024, "still reading");
    }
    assert!(matches!(answer.await.unwrap(), Answer::Unclear { status: Some(201), .. }));
}

/// Connecting takes longer than `send by`: the clock runs on while the handshake waits.
#[tokio::test]
async fn a_connection_that_never_comes_about_leaves_the_call_unsent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let clock = TestClock::new();
    let settings = Settings { http: http(Duration::from_millis(300)), ..settings(&url, &clock) };
    let api = DefenderApi::with_tokens(settings, Arc::new(FixedToken)).unwrap();
    let answer = api.quarantine(Permit::for_tests(), call(), clock.soon()).await;
    assert!(matches!(answer, Answer::Unsent { .. }), "{answer:?}");
}

#[tokio::test]
async fn a_refused_connection_leaves_the_call_unsent() {
    let (listener, clock, api) = raw().await;
    drop(listener);
    let answer = api.quarantine(Permit::for_tests(), call(), clock.soon()).await;
    let Answer::Unsent { text } = answer else { panic!("{answer:?}") };
    assert!(text.contains("onnection refused"), "{text}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (listener, clock, api) = raw().await;
    let answer = tokio::spawn(api.quarantine(Permit::for_tests(), call(), clock.soon()));
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    let url = format!("http://{}/elsewhere", listener.local_addr().unwrap());
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(redirect.as_bytes()).await.unwrap();
    let answer = answer.await.unwrap();
    assert!(matches!(answer, Answer::Unclear { status: Some(302), .. }), "{answer:?}");
    assert_eq!(rest(&mut stream).await, b"");
    assert!(tokio::time::timeout(Duration::ZERO, listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_dropped_answer_is_unclear_whatever_was_done() {
    for (effect, actions) in [(Effect::None, 0), (Effect::Done, 1)] {
        let world = World::new().await;
        world.simulator.fault(Fault::next(Endpoint::Quarantine, effect, Trouble::Drop));
        let answer = world.quarantine().await;
        assert!(matches!(answer, Answer::Unclear { status: None, .. }), "{answer:?}");
        assert_eq!(world.simulator.machine_actions().len(), actions);
        assert_eq!(world.simulator.calls_to(Endpoint::Quarantine).len(), 1, "sent once");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_unclear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = TestClock::new();
    let settings = Settings { http: http(Duration::from_secs(1)), ..settings(&url, &clock) };
    let api = DefenderApi::with_tokens(settings, Arc::new(FixedToken)).unwrap();
    let answer = tokio::spawn(api.quarantine(Permit::for_tests(), call(), clock.soon()));
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    let Answer::Unclear { status: None, text } = answer.await.unwrap() else { panic!("clear") };
    assert!(text.contains("timed out"), "{text}");
}

#[tokio::test]
async fn settings_with_an_open_wire_are_refused() {
    let clock = TestClock::new();
    let api = "http://api.contoso.com".to_owned();
    let refused = DefenderApi::new(Settings { api, ..settings("https://login", &clock) });
    let error = refused.err().unwrap();
    assert!(matches!(error, SettingsError::Url { name: "api", .. }));
    assert!(error.to_string().contains("loopback"), "{error}");
}
