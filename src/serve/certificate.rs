//! The certificate of a listener, which changes while it serves.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// PEM files: the chain with the server's certificate first, and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The authorities whose certificates clients may bring. With it, clients are asked for one:
    /// who has none may connect all the same, who brings another may not.
    pub client_ca: Option<PathBuf>,
}

/// The certificate that new connections are greeted with. Those already open keep theirs.
pub struct Certificate {
    files: CertificateFiles,
    loaded: ArcSwap<Loaded>,
}

struct Loaded {
    /// Of all files, so that the key is not kept a second time.
    digest: [u8; 32],
    config: Arc<ServerConfig>,
}

/// What a look at the files brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    Changed,
    Unchanged,
}

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("can't read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no certificate in PEM form", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} is not PEM: {why}", path.display())]
    NotPem { path: PathBuf, why: String },
    #[error("{} holds no private key in PEM form that can be used", path.display())]
    NoKey { path: PathBuf },
    #[error("{} holds a certificate that can't be an authority: {source}", path.display())]
    NoAuthority { path: PathBuf, source: rustls::Error },
    #[error("{} and {} don't serve together: {source}", certificate.display(), key.display())]
    Unusable { certificate: PathBuf, key: PathBuf, source: rustls::Error },
}

impl Certificate {
    pub fn load(files: CertificateFiles) -> Result<Self, CertificateError> {
        let loaded = ArcSwap::from_pointee(read(&files, None)?.expect("nothing is loaded yet"));
        Ok(Self { files, loaded })
    }

    /// Reads the files again, and takes them if they changed. On an error the old certificate
    /// stays, and the next look tries again: one of the files may have been replaced before the
    /// other.
    pub fn reload(&self) -> Result<Reload, CertificateError> {
        let Some(loaded) = read(&self.files, Some(self.loaded.load().digest))? else {
            return Ok(Reload::Unchanged);
        };
        self.loaded.store(Arc::new(loaded));
        Ok(Reload::Changed)
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.loaded.load().config)
    }
}

/// `None` when the files are those of `known`.
fn read(
    files: &CertificateFiles,
    known: Option<[u8; 32]>,
) -> Result<Option<Loaded>, CertificateError> {
    let content = |path: &PathBuf| {
        fs::read(path).map_err(|source| CertificateError::Read { path: path.clone(), source })
    };
    let chain_pem = content(&files.certificate)?;
    let key_pem = Zeroizing::new(content(&files.key)?);
    let hash = |bytes: &[u8]| Sha256::digest(bytes);
    let authorities_pem = files.client_ca.as_ref().map(content).transpose()?;
    let digest = Sha256::new().chain_update(hash(&chain_pem)).chain_update(hash(&key_pem));
    let digest = digest.chain_update(hash(authorities_pem.as_deref().unwrap_or_default()));
    let digest = digest.finalize().into();
    if known == Some(digest) {
        return Ok(None);
    }
    let chain = certificates(&files.certificate, &chain_pem)?;
    // What the parser has to say could quote the key: left out.
    let key = PrivateKeyDer::from_pem_slice(&key_pem)
        .map_err(|_| CertificateError::NoKey { path: files.key.clone() })?;
    let clients = match files.client_ca.as_ref().zip(authorities_pem) {
        Some((path, pem)) => verifier(path, certificates(path, &pem)?)?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let unusable = |source| {
        let CertificateFiles { certificate, key, .. } = files.clone();
        CertificateError::Unusable { certificate, key, source }
    };
    let config = config(chain, key, clients).map_err(unusable)?;
    Ok(Some(Loaded { digest, config }))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let path = path.to_owned();
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, pem::Error>>() {
        Ok(found) if found.is_empty() => Err(CertificateError::NoCertificate { path }),
        Ok(found) => Ok(found),
        Err(error) => Err(CertificateError::NotPem { path, why: error.to_string() }),
    }
}

/// Lets in who has no certificate, or one that these authorities have signed and that is valid now.
fn verifier(
    path: &Path,
    authorities: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        let refused = |source| CertificateError::NoAuthority { path: path.to_owned(), source };
        roots.add(authority).map_err(refused)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.allow_unauthenticated().build();
    Ok(verifier.expect("there is an authority, and there are no revocation lists"))
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
