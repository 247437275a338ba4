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

pub mod apply;
pub mod cli;
pub mod commands;
pub mod duration;
pub mod engine;
pub mod error;
pub mod exec;
pub mod export;
pub mod gather;
pub mod load;
pub mod lock;
pub mod pipeline;
pub mod plan;
pub mod preflight;
pub mod project;
pub mod report;
pub mod suggest;
pub mod ui;
mod words;
