//! TLS: certificates are always verified, by the system's roots, a CA file, or pins of the server's
//! key. There is no switch that disables it.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::rustls;

/// The trusted certificates.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// A file of CA certificates (PEM) instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 hashes of keys (SPKI), one of which the server must have. Pins decide alone: they
    /// accept self-signed certificates, and do not depend on a CA.
    pub pins: Vec<[u8; 32]>,
}

/// Makes the TLS configuration. The error names the invalid file.
pub fn client_config(trust: &Trust) -> Result<(Arc<ClientConfig>, SeenKey), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let verifier: Arc<dyn ServerCertVerifier> = if trust.pins.is_empty() {
        let roots = Arc::new(roots(trust.ca_file.as_deref())?);
        WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| format!("no usable certificates: {error}"))?
    } else {
        Arc::new(Pinned {
            pins: trust.pins.clone(),
            provider,
        })
    };
    let key = SeenKey::default();
    let verifier = Arc::new(Noting {
        inner: verifier,
        key: key.clone(),
    });
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok((Arc::new(config.with_no_client_auth()), key))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let unusable = |what: String| format!("tls_ca_file {}: {what}", path.display());
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| unusable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unusable("holds no certificate (PEM)".into()));
            }
        }
        None => {
            let native = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(native.certs);
            if roots.is_empty() {
                return Err("the system has no CA certificates; install the package \
                            ca-certificates, or set tls_ca_file"
                    .into());
            }
        }
    }
    Ok(roots)
}

/// Returns the SHA-256 of a certificate's key.
pub fn spki_sha256(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    Some(Sha256::digest(parsed.subject_public_key_info().as_ref()).into())
}

/// The hash of the key that a server showed, for the text about a certificate that is refused.
#[derive(Clone, Debug, Default)]
pub struct SeenKey(Arc<Mutex<Option<String>>>);

impl SeenKey {
    /// Returns the hash in hex digits; `None`: there was no readable certificate.
    pub fn seen(&self) -> Option<String> {
        let key = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        key.clone()
    }
}

/// Notes the key, and lets another verifier decide.
#[derive(Debug)]
struct Noting {
    inner: Arc<dyn ServerCertVerifier>,
    key: SeenKey,
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let key = spki_sha256(certificate).map(|hash| hex(&hash));
        *self.key.0.lock().unwrap_or_else(PoisonError::into_inner) = key;
        let inner = &self.inner;
        inner.verify_server_cert(certificate, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let inner = &self.inner;
        inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let inner = &self.inner;
        inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Debug)]
struct Pinned {
    pins: Vec<[u8; 32]>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match spki_sha256(certificate) {
            Some(hash) if self.pins.contains(&hash) => Ok(ServerCertVerified::assertion()),
            Some(hash) => {
                let hex = hex(&hash);
                let what = format!("the server's key has SHA-256 {hex}, which is not pinned");
                Err(rustls::Error::General(what))
            }
            None => Err(rustls::Error::General(
                "the certificate cannot be read".into(),
            )),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
/// A valid certificate for another name, as of a captive portal.
pub fn is_for_another(reason: &tokio_rustls::rustls::Error) -> bool {
    use tokio_rustls::rustls::{CertificateError, Error};
    matches!(
        reason,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    )
}
