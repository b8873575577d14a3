//! Signing in with tokens, for clients that need no other callbacks.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use secrecy::ExposeSecret as _;

use super::Security;
use crate::io::BrokerTokens;

/// librdkafka asks for a token as soon as a client is made.
const FIRST_POLL: Duration = Duration::from_millis(50);
const FIRST_POLLS: u32 = 40;

/// Signs in where the brokers want tokens, and does nothing else.
pub(super) struct Signer {
    tokens: Option<BrokerTokens>,
    /// How the first request for a token ended.
    first: OnceLock<Result<(), String>>,
}

impl ClientContext for Signer {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let token = token(self.tokens.as_ref());
        self.first.get_or_init(|| token.as_ref().map(drop).map_err(ToString::to_string));
        token
    }
}

impl ConsumerContext for Signer {}

/// In librdkafka's shape. It asks again when four fifths of a token's life are over, and ten
/// seconds after an error, which it reports.
pub(super) fn token(tokens: Option<&BrokerTokens>) -> Result<OAuthToken, Box<dyn Error>> {
    let tokens = tokens.ok_or("the security of these brokers has no credential")?;
    let token = tokens.token()?;
    Ok(OAuthToken {
        token: token.text.expose_secret().to_owned(),
        // Brokers go by the token; librdkafka only wants some name.
        principal_name: "lazaret".to_owned(),
        lifetime_ms: token.until.0 / 1000,
    })
}

/// A consumer that can ask its brokers things at once: librdkafka takes a token only while it is
/// polled, and asking does not poll. Blocks until there is a token, but not for long.
pub(super) fn consumer(
    config: &ClientConfig,
    security: &Security,
) -> Result<BaseConsumer<Signer>, String> {
    let tokens = security.tokens();
    let signs_in = tokens.is_some();
    let signer = Signer { tokens, first: OnceLock::new() };
    let consumer: BaseConsumer<Signer> =
        config.create_with_context(signer).map_err(|why| why.to_string())?;
    for _ in 0..FIRST_POLLS {
        match consumer.context().first.get() {
            _ if !signs_in => break,
            Some(first) => return first.clone().map(|()| consumer),
            // It holds no messages: nothing is subscribed or assigned.
            None => drop(consumer.poll(FIRST_POLL)),
        }
    }
    Ok(consumer)
}
