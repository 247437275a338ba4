//! Results as text and as JSON. Pure: text comes out, `ui` prints it.

pub mod json;
pub mod load_test;
pub mod status;
pub mod table;
pub mod text;
