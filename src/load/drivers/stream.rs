//! Opening a connection, encrypted or not: the one place where drivers touch sockets and certificates.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::duration;
use crate::error::{Error, Result};
use crate::project::reached::Destination;

/// A connection that drivers read from and write to.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Send + Sync> Duplex for T {}

/// How long a server may take to accept a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects, and encrypts with the server's certificate checked for the host as it was written.
///
/// # Errors
/// Exit 4: nobody answers there, or the certificate is not trusted.
pub async fn open(endpoint: &Destination, encrypted: bool) -> Result<Pin<Box<dyn Duplex>>> {
    let tcp = connect(endpoint).await?;
    if !encrypted {
        return Ok(Box::pin(tcp));
    }
    let host = &endpoint.host;
    let name = ServerName::try_from(host.clone())
        .map_err(|_| Error::unusable(format!("`{host}` is no name that a certificate can have")))?;
    let connector = TlsConnector::from(client_config()?);
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, tcp)).await;
    let stream = stream.map_err(|_| silent(endpoint))?.map_err(|error| {
        Error::unusable(format!("no encrypted connection to `{host}`: {error}"))
            .hint("name the file of the authority that signed the certificate: SSL_CERT_FILE=ca.pem rscale ...")
    })?;
    Ok(Box::pin(stream))
}

/// Connects without encryption.
///
/// # Errors
/// Exit 4: nobody answers there.
pub async fn connect(endpoint: &Destination) -> Result<TcpStream> {
    let Destination { host, port, .. } = endpoint;
    let refused = |error: std::io::Error| {
        let refused = Error::unusable(format!("`{host}:{port}` cannot be reached: {error}"));
        if endpoint.at.is_empty() {
            refused.hint(format!(
                "`{host}` is no service of this project: name it as this machine reaches it, localhost:{port} for a \
                 port that is published"
            ))
        } else {
            refused.hint("see whether it runs: rscale status")
        }
    };
    let opening = async {
        let mut last = std::io::Error::other("no address");
        for address in endpoint.resolve().await? {
            match TcpStream::connect(address).await {
                Ok(tcp) => return Ok(tcp),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    let tcp = tokio::time::timeout(CONNECT_TIMEOUT, opening).await;
    let tcp = tcp.map_err(|_| silent(endpoint))?.map_err(refused)?;
    // Small messages go out at once.
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

fn silent(endpoint: &Destination) -> Error {
    let Destination { host, port, .. } = endpoint;
    let limit = duration::show(CONNECT_TIMEOUT);
    Error::unusable(format!("`{host}:{port}` does not answer within {limit}"))
        .hint("see whether it runs: rscale status")
}

/// Trust in the certificates of the system, or of SSL_CERT_FILE and SSL_CERT_DIR.
///
/// # Errors
/// Exit 4: there are none.
pub fn client_config() -> Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(Error::unusable("no trusted certificates were found")
            .hint("name a file of them: SSL_CERT_FILE=ca.pem rscale ..."));
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}
