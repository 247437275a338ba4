//! The whole pipeline in-process, on a recording executor and a simulated engine; and the planner alone,
//! on random projects.

mod claims;
#[path = "../../../tests/support/container.rs"]
mod container;
mod failure;
mod faults;
mod interruption;
mod order;
mod others;
mod planner;
mod policy;
mod scenario;
mod simulation;
mod told;
mod watching;

/// Compares with what was agreed on: snapshots, by topic and behaviour.
fn agreed(name: &str, story: &str) {
    let (topic, behaviour) = name.split_once('/').expect("a topic and a behaviour");
    let settings = snapshots(&format!("snapshots/{topic}"));
    settings.bind(|| insta::assert_snapshot!(behaviour, story));
}

fn snapshots(folder: &str) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}
