//! To be written.

use super::Typed;
use crate::error::Result;
use crate::exec::LocalFuture;
use crate::load::book::Book;
use crate::load::depth::Depth;
use crate::load::site::Site;
use crate::load::{Checked, Closed, Driver};
use crate::project::workload::Queue;

#[derive(Debug)]
pub struct Bullmq<'a> {
    types: Vec<Typed>,
    site: &'a Site,
}

impl<'a> Bullmq<'a> {
    pub fn new(types: Vec<Typed>, site: &'a Site) -> Result<Self> {
        Ok(Self { types, site })
    }
}

impl Driver for Bullmq<'_> {
    fn name(&self) -> &'static str {
        "bullmq"
    }

    fn check(&self) -> LocalFuture<'_, Result<Checked>> {
        let _ = (&self.types, self.site);
        unimplemented!()
    }

    fn run<'a>(&'a self, _book: &'a Book) -> LocalFuture<'a, Result<()>> {
        unimplemented!()
    }

    fn close<'a>(&'a self, _book: &'a Book, _purge: bool) -> LocalFuture<'a, Closed> {
        unimplemented!()
    }
}

pub async fn depth(_queue: &Queue, _site: &Site) -> Result<Depth> {
    unimplemented!()
}

pub async fn running(
    _queue: &Queue,
    _site: &Site,
) -> Result<Option<std::collections::BTreeMap<String, u32>>> {
    unimplemented!()
}
