//! Certificates for one test: an authority, a server on loopback, one client.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Paths of the PEM files that a client of a TLS test server needs.
#[derive(Debug, Clone)]
pub struct TestTls {
    /// Certificate of the authority that signed both others.
    pub ca: PathBuf,
    /// Certificate of the client, for servers that ask for one.
    pub client_cert: PathBuf,
    /// Key of the client's certificate.
    pub client_key: PathBuf,
    pub(crate) server_cert: PathBuf,
    pub(crate) server_key: PathBuf,
}

impl TestTls {
    /// Makes fresh certificates for `localhost` and the loopback addresses in `folder`.
    ///
    /// # Panics
    /// When the files cannot be made.
    #[must_use]
    pub fn generate(folder: &Path) -> Self {
        match try_generate(folder) {
            Ok(tls) => tls,
            Err(error) => panic!("cannot make test certificates: {error}"),
        }
    }
}

fn try_generate(folder: &Path) -> Result<TestTls, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);

    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map(|()| path)
    };
    let issue = |names: &[&str]| -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let cert = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        Ok((cert.pem(), key.serialize_pem()))
    };
    let (server_cert, server_key) = issue(&["localhost", "127.0.0.1", "::1"])?;
    let (client_cert, client_key) = issue(&["nex-test-client"])?;
    Ok(TestTls {
        ca: write("ca.pem", &authority)?,
        client_cert: write("client.pem", &client_cert)?,
        client_key: write("client-key.pem", &client_key)?,
        server_cert: write("server.pem", &server_cert)?,
        server_key: write("server-key.pem", &server_key)?,
    })
}
