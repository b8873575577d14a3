//! A secret that fits its scheme.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::{Scheme, SealError};

/// Never empty. `Debug` does not show it, and it is wiped when dropped.
#[derive(Clone, Debug)]
pub struct Secret(SecretSlice<u8>);

/// Senders print these secrets with and without padding; their own libraries take both.
const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Secret {
    /// Reads the text of secret number `index`. Standard Webhooks writes its keys as `whsec_` and
    /// Base64 of 24 to 64 bytes; every other scheme uses the text as it is, Stripe's `whsec_`
    /// included.
    pub fn new(scheme: &Scheme, index: usize, text: &SecretString) -> Result<Self, SealError> {
        let refuse = |why| SealError::Secret { index, why };
        let text = text.expose_secret();
        if text.trim().is_empty() {
            return Err(refuse("is empty"));
        }
        if text.trim() != text {
            return Err(refuse("begins or ends with white space"));
        }
        if matches!(scheme, Scheme::Bearer) && !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refuse("has characters that a header can't carry"));
        }
        if !matches!(scheme, Scheme::StandardWebhooks) {
            return Ok(Self(text.as_bytes().to_vec().into()));
        }
        let digits = text.strip_prefix("whsec_").unwrap_or(text);
        let key =
            ANY_PADDING.decode(digits).map_err(|_| refuse("is not `whsec_` followed by Base64"))?;
        if !(24..=64).contains(&key.len()) {
            return Err(refuse("is not 24 to 64 bytes, which Standard Webhooks asks for"));
        }
        Ok(Self(key.into()))
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}
