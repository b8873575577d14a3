//! TLS with the service's own admin listener. The configuration names its certificate, so that just
//! this one is trusted: whatever name is in it, and whoever has issued it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::cli::Failure;

/// How to speak with a listener that has the first certificate of this file.
pub(super) fn to(file: &Path) -> Result<ClientConfig, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        let place = format!("listen.admin.tls.certificate: {}", file.display());
        let how = "the service is known by it, so that its first certificate has to be readable";
        Failure::usage(format!("{place}: {why}; {how}"))
    };
    let certificate = CertificateDer::from_pem_file(file).map_err(|why| wrong(&why))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let pinned = Pinned { file: file.to_owned(), certificate, algorithms };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| wrong(&why))?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(pinned));
    Ok(config.with_no_client_auth())
}

#[derive(Debug)]
struct Pinned {
    file: PathBuf,
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(format!(
            "its certificate is not the one in {}: where that was just changed, the service takes \
             it within a minute; else something other than Lazaret listens there",
            self.file.display()
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
