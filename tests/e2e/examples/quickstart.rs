//! The example quickstart: its story, which checks by itself what it tells.

use std::path::Path;

use crate::support::engine::{Engine, Ran};

#[test]
fn the_story_is_true() {
    let Some(project) = Engine::example("quickstart") else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/demo.sh");
    let mut command = project.command(script);
    command.arg(env!("CARGO_BIN_EXE_rscale"));
    let ran = Ran::of(command).succeeded();
    assert!(ran.stdout.contains("5. What runs now"), "{ran}");
    assert!(
        ran.stdout
            .trim_end()
            .ends_with("Taking the containers of the demo away."),
        "{ran}"
    );
}
