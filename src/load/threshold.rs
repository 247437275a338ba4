//! Conditions under which a load test counts as failed.

use crate::error::{Error, Result};
use crate::report::load_test::LoadTest;

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold;

impl std::str::FromStr for Threshold {
    type Err = Error;

    fn from_str(_: &str) -> Result<Self> {
        Ok(Self)
    }
}

impl Threshold {
    pub fn check(&self, _: &[&str]) -> Result<()> {
        Ok(())
    }

    pub fn missed(&self, _: &LoadTest) -> Option<String> {
        None
    }
}
