//! TLS with the combined file.  rustls takes no CA for a server's own certificate, so the certificate is pinned, as agents
//! written in Rust do it.  SPDX-License-Identifier: Apache-2.0
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio_rustls::rustls::{
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{ring::default_provider, verify_tls12_signature, verify_tls13_signature, CryptoProvider},
    pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
};
use tonic::transport::{Channel, Endpoint};

#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(&self, shown: &CertificateDer<'_>, _: &[CertificateDer<'_>], _: &ServerName<'_>, _: &[u8],
                          _: UnixTime) -> Result<ServerCertVerified, Error> {
        if *shown == self.certificate { Ok(ServerCertVerified::assertion()) } else { Err(Error::General("another certificate".into())) }
    }

    fn verify_tls12_signature(&self, message: &[u8], certificate: &CertificateDer<'_>, signature: &DigitallySignedStruct)
                              -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(&self, message: &[u8], certificate: &CertificateDer<'_>, signature: &DigitallySignedStruct)
                              -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

pub async fn connect(address: &str, file: &str) -> Channel {
    let certificate = CertificateDer::from_pem_file(file).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(file).expect("a private key");
    let provider = Arc::new(default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { certificate: certificate.clone(), provider }))
        .with_client_auth_cert(vec![certificate], key)
        .expect("a pair of certificate and key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (tls, address) = (tokio_rustls::TlsConnector::from(Arc::new(config)), address.to_string());
    Endpoint::from_shared(format!("https://{address}"))
        .expect("an address")
        .connect_with_connector(tower::service_fn(move |_| {
            let (tls, address) = (tls.clone(), address.clone());
            async move {
                let stream = tokio::net::TcpStream::connect(address).await?;
                tls.connect(ServerName::try_from("localhost").unwrap(), stream).await.map(TokioIo::new)
            }
        }))
        .await
        .expect("a connection")
}
