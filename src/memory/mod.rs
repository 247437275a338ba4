//! What rscale remembers from run to run: the state store, and in it a journal for each project.

mod engines;
mod journal;
mod leftover;
mod past;
mod record;
mod store;
mod whole;

pub use engines::{known, remember};
pub use journal::Journal;
pub use leftover::{HalfDone, Leftover, leftovers};
pub use past::Past;
pub use record::{Ahead, Began, Former, RunId, What};
pub use store::{Store, place};
pub use whole::{Readers, folder_of, write_whole};
