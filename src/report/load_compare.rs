//! Two results side by side.

use super::load_test::LoadTest;
use super::text::Paint;
use crate::error::{Error, Result};

pub fn read(text: &str, name: &str) -> Result<LoadTest> {
    serde_json::from_str(text).map_err(|error| Error::usage(format!("`{name}`: {error}")))
}

pub fn compare(_: &LoadTest, after: &LoadTest) -> LoadTest {
    after.clone()
}

pub fn text(_: &LoadTest, _: Paint, _: Option<u16>) -> String {
    String::new()
}
