//! The driver `http`: requests over connections that are kept, HTTP/1.1, encrypted or not.
//!
//! Redirects are not followed. A load balancer that drops requests is to be seen: what may have reached the
//! server is not repeated, but for what every client repeats, and that is counted (`sending::Share::serve`).

mod connection;
mod failure;
mod replica;
mod request;
mod sending;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::join_all;
use tokio_rustls::rustls::ClientConfig;

use super::{Typed, stream};
use crate::error::{Error, Result};
use crate::exec::LocalFuture;
use crate::load::book::{Book, Kind};
use crate::load::site::Site;
use crate::load::{Checked, Closed, Driver};
use crate::project::reached::Destination;
use crate::project::workload::Work;
use request::Template;

/// Sends requests of one or several types.
#[derive(Debug)]
pub struct Http<'a> {
    types: Vec<(Kind, Template)>,
    site: &'a Site,
}

impl<'a> Http<'a> {
    /// # Errors
    /// Exit 2: a request that cannot be sent, such as a header with a line break.
    pub fn new(types: Vec<Typed>, site: &'a Site) -> Result<Self> {
        let types = types
            .into_iter()
            .filter_map(|(kind, task)| match task.work {
                Work::Http(work) => Some(Template::of(&task.name, &work).map(|work| (kind, work))),
                _ => None,
            });
        Ok(Self {
            types: types.collect::<Result<_>>()?,
            site,
        })
    }

    fn endpoint(&self, template: &Template) -> Result<Destination> {
        self.site.addresses.endpoint(&template.address)
    }
}

impl Driver for Http<'_> {
    fn name(&self) -> &'static str {
        "http"
    }

    fn check(&self) -> LocalFuture<'_, Result<Checked>> {
        Box::pin(async move {
            let mut seen: Vec<(Destination, bool)> = Vec::new();
            for (_, template) in &self.types {
                let place = (self.endpoint(template)?, template.address.is_encrypted());
                if !seen.contains(&place) {
                    stream::open(&place.0, place.1).await?;
                    seen.push(place);
                }
            }
            Ok(Checked::default())
        })
    }

    fn run<'a>(&'a self, book: &'a Book) -> LocalFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut servers = Vec::new();
            for (_, template) in &self.types {
                servers.push(connection::Server {
                    endpoint: self.endpoint(template)?,
                    turn: std::cell::Cell::default(),
                    tls: tls(template)?,
                    timeout: self.site.timeout,
                });
            }
            let replicas = replica::Replicas::new(&self.site.names, book);
            let types = self.types.iter().zip(&servers);
            let shares = types.map(|((kind, template), server)| sending::Share {
                kind: *kind,
                template,
                server,
                book,
                replicas: &replicas,
                shares: self.types.len(),
            });
            let shares: Vec<_> = shares.collect();
            // A budget of tokio's for each task would be shared by all connections here; they yield by
            // themselves.
            tokio::task::unconstrained(join_all(shares.iter().map(sending::Share::send))).await;
            Ok(())
        })
    }

    fn close<'a>(&'a self, _book: &'a Book, _purge: bool) -> LocalFuture<'a, Closed> {
        // Connections end with `run`, and a server keeps nothing.
        Box::pin(async { Closed::default() })
    }
}

/// The system's trust, and that this client speaks HTTP/1.1 only (RFC 7301).
fn tls(template: &Template) -> Result<Option<Arc<ClientConfig>>> {
    if !template.address.is_encrypted() {
        return Ok(None);
    }
    let mut config = ClientConfig::clone(&*stream::client_config()?);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

/// Exit 2: a task type that cannot be sent as it is written.
fn refused(task: &str, what: &str) -> Error {
    Error::usage(format!("`{task}`: {what}"))
}
