//! A certificate in place of a client secret: what is signed with its key to get a token.
//!
//! Microsoft's page "Microsoft identity platform application authentication certificate
//! credentials" has the format. azure_identity's own way needs OpenSSL and PKCS#12; what it takes
//! as a finished assertion does not.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use x509_cert::der::Decode;

use crate::domain::time::Wall;

/// How long an assertion is good for. Microsoft recommends five to ten minutes.
const ASSERTION_LIFE: Duration = Duration::from_secs(300);

/// A certificate with its private key.
pub(super) struct Certificate {
    key: Arc<dyn SigningKey>,
    /// SHA-256 of the certificate: how Entra finds it among the application's.
    thumbprint: String,
    /// Its `notAfter`.
    pub expires: Wall,
}

impl Certificate {
    /// Both in PEM; they may be the same text. Of several certificates the first counts. Errors
    /// never quote what they are about.
    pub fn parse(certificate: &SecretString, key: &SecretString) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(certificate.expose_secret().as_bytes()).collect();
        let chain = chain.map_err(|_| "the certificate is not PEM".to_owned())?;
        let first = chain.first().ok_or(
            "there is no certificate in PEM form (-----BEGIN CERTIFICATE-----); of a PKCS#12 file \
             `openssl pkcs12 -in FILE -nodes` makes one",
        )?;
        let der = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()).map_err(|_| {
            "there is no private key in PEM form (-----BEGIN PRIVATE KEY-----), without a \
             password: put it beside the certificate, or name its file with `key`"
        })?;
        let wrong_key = "the private key can't be used: Entra takes RSA keys";
        let key = any_supported_type(&der).map_err(|_| wrong_key)?;
        if key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]).is_none() {
            return Err(wrong_key.to_owned());
        }
        let parsed = x509_cert::Certificate::from_der(first);
        let parsed = parsed.map_err(|_| "the certificate can't be read".to_owned())?;
        let ends = parsed.tbs_certificate().validity().not_after.to_unix_duration().as_micros();
        let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(first));
        let pair = CertifiedKey::new(chain, key.clone());
        pair.keys_match().map_err(|_| {
            "certificate and private key do not belong together: put both of the same pair there"
        })?;
        let expires = Wall(i64::try_from(ends).unwrap_or(i64::MAX));
        Ok(Self { key, thumbprint, expires })
    }

    /// Signed proof that the application has the key, for this token endpoint. `id` must be new.
    pub fn assertion(
        &self,
        client_id: Uuid,
        endpoint: &str,
        now: Wall,
        id: Uuid,
    ) -> Result<SecretString, String> {
        let seconds = now.0.div_euclid(1_000_000);
        let head = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint});
        let claims = json!({
            "aud": endpoint,
            "iss": client_id,
            "sub": client_id,
            "jti": id,
            "iat": seconds,
            "nbf": seconds,
            "exp": seconds + ASSERTION_LIFE.as_secs().cast_signed(),
        });
        let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(head), part(claims));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]);
        let signature = signer.and_then(|signer| signer.sign(signed.as_bytes()).ok());
        let signature = signature.ok_or("the certificate's key did not sign")?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Ok(SecretString::from(format!("{signed}.{signature}")))
    }
}
