//! The page.

use super::load_test::LoadTest;

pub fn load_test(_: &LoadTest) -> String {
    String::new()
}
