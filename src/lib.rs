//! rscale scales the services of a Compose project: what was asked, and nothing else.
//!
//! ```text
//! argv -> cli -> project -> preflight -> plan -> apply -> report
//!                (declared + observed)          (through an Executor)
//! ```
//!
//! One way, like water. Pure: `cli`, `project`, `preflight`, `plan`, `report`, and `engine`, which turns
//! steps into commands and output into the model. I/O: `commands` and `apply` through an `exec::Executor`,
//! `exec::host`, `lock` and `ui`, which is the only printer.

mod apply;
pub mod cli;
pub mod commands;
mod duration;
mod engine;
pub mod error;
mod exec;
mod export;
#[cfg(test)]
mod fuzzing;
mod gather;
mod hidden;
mod load;
mod lock;
mod memory;
mod phrase;
mod pipeline;
mod plain;
mod plan;
mod preflight;
mod project;
mod report;
mod suggest;
mod ui;
mod words;

/// What the tests beside the crate look into; no part of its interface.
#[doc(hidden)]
pub mod testing {
    pub use crate::load::distribution::{Distribution, histogram};
    /// Documents of load tests.
    pub mod result {
        pub use crate::load::result::*;
    }
    pub use crate::load::sweep::{Counts, document};
    /// The lock of a project.
    pub mod lock {
        pub use crate::lock::{Attempt, Holder, attempt, path_of};
    }
    pub use crate::project::workload::DriverName;
    /// Pages.
    pub mod html {
        pub use crate::report::html::{load_test, sweep};
    }
}
