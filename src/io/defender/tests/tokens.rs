//! Where tokens come from, and how long they are used.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::mpsc;

use super::*;
use crate::io::defender::token::Tokens;
use crate::simulator::{App, Effect, Endpoint, Fault, Trouble};

/// A login that gives what it is told to give, and says each time that it was asked.
struct Scripted {
    answers: Mutex<VecDeque<Result<u64, &'static str>>>,
    asked: mpsc::UnboundedSender<()>,
}

impl TokenSource for Scripted {
    fn fetch(&self) -> BoxFuture<'static, Result<Token, NoToken>> {
        let mut answers = self.answers.lock().unwrap();
        let answer = answers.pop_front().unwrap_or(Err("the script is over"));
        let token = answer.map_err(|why| NoToken(why.to_owned())).map(|seconds| Token {
            text: SecretString::from(format!("token-{}", answers.len())),
            life: Duration::from_secs(seconds),
        });
        self.asked.send(()).unwrap();
        Box::pin(async { token })
    }
}

fn scripted(
    answers: &[Result<u64, &'static str>],
) -> (Arc<TestClock>, Tokens, mpsc::UnboundedReceiver<()>) {
    scripted_after(Duration::ZERO, answers)
}

/// The same, where the first token is asked for only after that time.
fn scripted_after(
    after: Duration,
    answers: &[Result<u64, &'static str>],
) -> (Arc<TestClock>, Tokens, mpsc::UnboundedReceiver<()>) {
    let (asked, receiver) = mpsc::unbounded_channel();
    let answers = Mutex::new(answers.iter().copied().collect());
    let clock = TestClock::new();
    let source = Arc::new(Scripted { answers, asked });
    let tenant = TenantName::new("contoso");
    let tokens = Tokens::start(tenant, source, after, clock.clone(), None);
    (clock, tokens, receiver)
}

const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the login was asked once more.
async fn once_more(asked: &mut mpsc::UnboundedReceiver<()>) {
    tokio::time::timeout(PATIENCE, asked.recv()).await.expect("the login is asked again");
}

fn apps(roles: &[&str]) -> simulator::Settings {
    let app = App {
        tenant: TENANT.to_string(),
        client_id: CLIENT.to_string(),
        secret: SECRET.to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    simulator::Settings { apps: vec![app], ..Default::default() }
}

#[tokio::test]
async fn a_first_token_that_nobody_needs_is_asked_for_in_its_turn() {
    let (_, _later, mut not_yet) = scripted_after(Duration::from_secs(3600), &[Ok(3600)]);
    let (_, _tokens, mut asked) = scripted_after(Duration::from_millis(1), &[Ok(3600)]);
    once_more(&mut asked).await;
    assert!(not_yet.try_recv().is_err(), "its turn has not come");
}

#[tokio::test]
async fn a_first_token_that_a_call_needs_is_asked_for_at_once_and_once() {
    let (_, tokens, mut asked) = scripted_after(Duration::from_secs(3600), &[Ok(3600)]);
    let (one, other) = tokio::join!(tokens.bearer(PATIENCE), tokens.bearer(PATIENCE));
    assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
    assert!(asked.try_recv().is_ok());
    tokio::task::yield_now().await;
    assert!(asked.try_recv().is_err(), "one is enough");
}

#[tokio::test]
async fn one_token_serves_many_calls() {
    let world = World::with(apps(&["Machine.StopAndQuarantine", "Machine.Read.All"])).await;
    for _ in 0..5 {
        assert!(!matches!(world.quarantine().await, Answer::Unsent { .. }));
    }
    let calls = world.simulator.calls_to(Endpoint::Token);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].target, format!("/{TENANT}/oauth2/v2.0/token"));
    assert_eq!(calls[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    let roles = world.api.roles().await.unwrap();
    assert_eq!(roles, ["Machine.StopAndQuarantine", "Machine.Read.All"]);
}

#[tokio::test]
async fn a_wrong_secret_leaves_the_call_unsent_and_is_named_but_not_shown() {
    let simulator = Simulator::bind(apps(&[])).await.unwrap();
    let clock = TestClock::new();
    let wrong = Settings { credential: secret("wr0ng"), ..settings(&simulator.url(), &clock) };
    let api = DefenderApi::new(wrong).unwrap();
    let answer = api.quarantine(Permit::for_tests(), call(), clock.soon()).await;
    let Answer::Unsent { text } = answer else { panic!("{answer:?}") };
    let expected = "no token: AADSTS7000215: Invalid client secret provided for app";
    assert!(text.starts_with(expected), "{text}");
    assert!(!text.contains("wr0ng") && !text.contains("Trace ID"), "{text}");
    assert_eq!(simulator.calls_to(Endpoint::Quarantine), []);
}

#[tokio::test]
async fn a_login_in_trouble_leaves_the_call_unsent() {
    let page = |status| {
        let body = "<html>\n<title>Bad \u{1b}[31m</title>".to_owned();
        Trouble::Answer { status, retry_after: None, body }
    };
    for (trouble, says) in [
        (Trouble::status(503), "no token: the login answers 503"),
        (page(502), "no token: the login answers 502: <html> <title>Bad  [31m</title>"),
        (page(200), "no token: the login answers 200: <html> <title>"),
        (Trouble::Drop, "connection"),
    ] {
        let simulator = Simulator::bind(simulator::Settings::default()).await.unwrap();
        simulator.fault(Fault::next(Endpoint::Token, Effect::None, trouble));
        let clock = TestClock::new();
        let api = DefenderApi::new(settings(&simulator.url(), &clock)).unwrap();
        let answer = api.quarantine(Permit::for_tests(), call(), clock.soon()).await;
        let Answer::Unsent { text } = answer else { panic!("{answer:?}") };
        assert!(text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn a_call_waits_for_its_first_token_no_longer_than_its_send_by() {
    let simulator = Simulator::bind(simulator::Settings::default()).await.unwrap();
    simulator.fault(Fault::next(Endpoint::Token, Effect::None, Trouble::Hang));
    let clock = TestClock::new();
    let api = DefenderApi::new(settings(&simulator.url(), &clock)).unwrap();
    let send_by = clock.now().boot + Duration::from_millis(200);
    let answer = api.quarantine(Permit::for_tests(), call(), send_by).await;
    let Answer::Unsent { text } = answer else { panic!("{answer:?}") };
    assert!(text.contains("in time"), "{text}");
}

#[tokio::test]
async fn a_401_costs_its_token_once() {
    let world = World::new().await;
    world.quarantine().await;
    let tokens = || world.simulator.calls_to(Endpoint::Token).len();
    world.simulator.revoke_tokens();
    assert!(matches!(world.quarantine().await, Answer::Unauthorized { .. }));
    let answer = world.quarantine().await;
    assert!(matches!(answer, Answer::Refused { status: 400, .. }), "{answer:?}");
    assert_eq!(tokens(), 2);

    // Refused again at once: the login is not asked again so soon.
    world.simulator.revoke_tokens();
    for _ in 0..3 {
        assert!(matches!(world.quarantine().await, Answer::Unauthorized { .. }));
    }
    assert_eq!(tokens(), 2);
    world.clock.put_forward(Duration::from_secs(30));
    assert!(matches!(world.quarantine().await, Answer::Unauthorized { .. }));
    assert!(matches!(world.quarantine().await, Answer::Refused { status: 400, .. }));
    assert_eq!(tokens(), 3);
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_without_anybody_asking() {
    let (_clock, tokens, mut asked) = scripted(&[Ok(2), Ok(3600)]);
    let first = tokens.bearer(PATIENCE).await.unwrap();
    once_more(&mut asked).await;
    once_more(&mut asked).await;
    let second = loop {
        let bearer = tokens.bearer(PATIENCE).await.unwrap();
        if !Arc::ptr_eq(&first, &bearer) {
            break bearer;
        }
        tokio::task::yield_now().await;
    };
    assert_ne!(first.header(), second.header());
}

#[tokio::test]
async fn an_old_token_is_used_to_its_end_when_no_new_one_comes() {
    let (clock, tokens, mut asked) = scripted(&[Ok(2), Err("down"), Err("still down")]);
    let first = tokens.bearer(PATIENCE).await.unwrap();
    for _ in 0..2 {
        once_more(&mut asked).await;
    }
    assert!(Arc::ptr_eq(&first, &tokens.bearer(PATIENCE).await.unwrap()));
    clock.put_forward(Duration::from_secs(2));
    // The login's own words, as soon as they are known.
    let error = loop {
        match tokens.bearer(PATIENCE).await {
            Err(error) => break error,
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    assert!(error.to_string().ends_with("down"), "{error}");
}

#[tokio::test]
async fn a_token_that_expired_while_the_machine_slept_is_replaced_at_once() {
    let (clock, tokens, mut asked) = scripted(&[Ok(3600), Ok(3600)]);
    let first = tokens.bearer(PATIENCE).await.unwrap();
    once_more(&mut asked).await;
    clock.put_forward(Duration::from_secs(3600));
    let second = tokens.bearer(PATIENCE).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(!format!("{second:?}").contains("token-"), "{second:?}");
}

#[tokio::test]
async fn a_token_that_has_ended_already_is_none_and_asked_for_again_like_after_a_failure() {
    let (_clock, tokens, mut asked) = scripted(&[Ok(0), Ok(3600)]);
    let why = tokens.bearer(PATIENCE).await.unwrap_err();
    assert!(why.to_string().contains("is the clock right?"), "{why}");
    once_more(&mut asked).await;
    once_more(&mut asked).await;
}

/// Panics when it is asked first.
struct Panics(Mutex<u32>);

impl TokenSource for Panics {
    fn fetch(&self) -> BoxFuture<'static, Result<Token, NoToken>> {
        let asked = {
            let mut asked = self.0.lock().unwrap();
            *asked += 1;
            *asked
        };
        assert!(asked > 1, "somebody else's mistake");
        FixedToken.fetch()
    }
}

#[tokio::test]
async fn a_source_that_panics_has_failed_and_is_asked_again() {
    let clock = TestClock::new();
    let source = Arc::new(Panics(Mutex::new(0)));
    let tokens =
        Tokens::start(TenantName::new("contoso"), source, Duration::ZERO, clock.clone(), None);
    let why = tokens.bearer(PATIENCE).await.unwrap_err();
    assert!(why.to_string().contains("panicked"), "{why}");
    let given = async {
        while tokens.bearer(PATIENCE).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given).await.expect("it is asked again");
}
