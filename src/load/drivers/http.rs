//! To be written.

use super::Typed;
use crate::error::Result;
use crate::exec::LocalFuture;
use crate::load::book::Book;
use crate::load::site::Site;
use crate::load::{Checked, Closed, Driver};

#[derive(Debug)]
pub struct Http<'a> {
    types: Vec<Typed>,
    site: &'a Site,
}

impl<'a> Http<'a> {
    pub fn new(types: Vec<Typed>, site: &'a Site) -> Result<Self> {
        Ok(Self { types, site })
    }
}

impl Driver for Http<'_> {
    fn name(&self) -> &'static str {
        "http"
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
