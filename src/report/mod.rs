//! Results as text and as JSON. Pure: text comes out, `ui` prints it.

mod grid;
pub mod html;
pub mod json;
pub mod load_compare;
pub mod load_sweep;
pub mod load_text;
pub mod status;
pub mod table;
pub mod text;
