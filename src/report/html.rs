//! The page.

use super::load_test::LoadTest;

pub fn load_test(_: &LoadTest) -> String {
    String::new()
}

pub fn sweep(_: &super::load_test::Sweep) -> String {
    String::new()
}
