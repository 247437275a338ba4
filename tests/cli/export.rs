//! `rscale export`: what is written, what is refused, and what is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::schema::is_valid;
use crate::support::fake::{Answer, Fake, Ran, running};

const SHOP: &str = "
services:
  db: {image: postgres, command: postgres}
  worker_a: {image: app, x-rscale: {min: 1, stop-timeout: 40s}}
";

fn shop() -> Fake {
    Fake::new(SHOP)
        .containers([running("db", 1), running("worker_a", 3)].concat())
        .on("^stack config", Answer::prints("services: {}\n"))
}

/// Everything that is in the project's folder, hidden files included.
fn left(fake: &Fake) -> Vec<String> {
    fn below(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.push(
                path.strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
            if path.is_dir() {
                below(&path, root, found);
            }
        }
    }
    let (folder, mut found) = (fake.project_folder(), Vec::new());
    below(&folder, &folder, &mut found);
    found.sort();
    found
}

fn read(fake: &Fake, path: &str) -> String {
    fs::read_to_string(fake.project_folder().join(path)).unwrap()
}

/// A kubectl that prints what is in `built`.
fn with_kubectl(fake: Fake, script: &str) -> Fake {
    let path = fake.project_folder().parent().unwrap().join("bin/kubectl");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fake
}

#[track_caller]
fn document(ran: &Ran) -> serde_json::Value {
    assert_eq!(ran.status, 0, "{ran:#?}");
    let document = ran.json();
    is_valid("export", &document);
    document
}

#[test]
fn a_stack_is_checked_written_and_what_is_next_is_said() {
    let fake = shop().line("export swarm");
    let ran = fake.output();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:#?}");
    let text = read(&fake, "swarm/stack.yaml");
    let expected = format!(
        "swarm/stack.yaml  {} bytes\nchecked with `docker stack config`\n\
         next: docker stack deploy --compose-file swarm/stack.yaml shop\n",
        text.len()
    );
    assert_eq!(ran.stdout, expected);
    let stack: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(stack["services"]["worker_a"]["deploy"]["replicas"], 3);
    assert_eq!(stack["services"]["worker_a"]["stop_grace_period"], "40s");
    assert_eq!(left(&fake), ["swarm", "swarm/stack.yaml"]);
    assert!(ran.changes().is_empty());
}

#[test]
fn what_is_there_is_not_overwritten_without_force() {
    let fake = shop().line("export swarm --output out");
    let out = fake.project_folder().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("stack.yaml"), "mine").unwrap();
    fs::write(out.join("other"), "mine").unwrap();
    let ran = fake.output();
    assert_eq!(ran.status, 2);
    assert_eq!(
        ran.stderr,
        "error: `out/stack.yaml` is there already\n  hint: overwrite it: rscale export --force ...\n  \
         hint: or write elsewhere: rscale export --output DIR ...\n"
    );
    assert_eq!(read(&fake, "out/stack.yaml"), "mine");
    let fake = fake.line("--force");
    assert_eq!(fake.output().status, 0);
    assert!(read(&fake, "out/stack.yaml").contains("replicas: 3"));
    assert_eq!(left(&fake), ["out", "out/other", "out/stack.yaml"]);
}

#[test]
fn a_stack_that_docker_refuses_is_not_left_behind() {
    let fake = Fake::new(SHOP)
        .on(
            "^stack config",
            Answer::fails("services.db.x must be a list"),
        )
        .line("export swarm --output deep/er");
    let ran = fake.output();
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr
            .contains("docker refuses the stack, so it was not written"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("| services.db.x must be a list"),
        "{}",
        ran.stderr
    );
    assert_eq!(left(&fake), [""; 0]);
}

#[test]
fn a_docker_that_cannot_check_is_said() {
    let ran = Fake::new(SHOP)
        .containers(running("db", 1))
        .on(
            "^stack config",
            Answer::fails("unknown flag: --compose-file\nSee 'docker stack --help'."),
        )
        .line("export swarm --format json")
        .output();
    let document = document(&ran);
    assert_eq!(document["checked_by"], serde_json::Value::Null);
    assert_eq!(
        document["warnings"][0]["message"],
        "not checked: this docker has no `docker stack config`; it came with version 23"
    );
}

#[test]
fn json_names_files_checks_and_warnings() {
    let services =
        "services: {web: {image: app, privileged: true, environment: {DB_PASSWORD: hush}}}";
    let fake = Fake::new(services)
        .on("^stack config", Answer::prints(""))
        .line("export swarm --format json");
    let ran = fake.output();
    let document = document(&ran);
    assert_eq!(
        (
            &document["project"],
            &document["engine"],
            &document["target"],
            &document["checked_by"]
        ),
        (
            &"shop".into(),
            &"compose".into(),
            &"swarm".into(),
            &"docker stack config".into()
        )
    );
    assert_eq!(document["files"][0]["path"], "swarm/stack.yaml");
    assert_eq!(
        document["files"][0]["bytes"],
        read(&fake, "swarm/stack.yaml").len()
    );
    let warnings: Vec<&str> = document["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        warnings,
        [
            "no replica of `shop` runs, so the counts are those of the compose file",
            "`privileged` of `web` cannot go along",
            "in the file in plain text: `DB_PASSWORD` of `web`",
        ]
    );
    assert!(!ran.stdout.contains("hush") && !ran.stderr.contains("hush"));
}

#[test]
fn an_overlay_is_tried_over_the_least_base_where_there_is_none() {
    // Prints the base with what the overlay says of it, as far as it is compared.
    let built = "kind: Deployment
metadata: {name: db}
spec: {replicas: 1}
---
kind: Deployment
metadata: {name: worker-a}
spec: {replicas: 3, template: {metadata: {labels: {io.kompose.service: worker-a}}, spec: {terminationGracePeriodSeconds: 40}}}
";
    let script = format!(
        "[ \"$1 $2 $3\" = 'kustomize --load-restrictor LoadRestrictionsNone' ] && [ -e \"$4/base.yaml\" ] || exit 9\n\
         echo '{built}'"
    );
    let fake = with_kubectl(shop(), &script).line("export kubernetes");
    let ran = fake.output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert!(
        ran.stdout.ends_with(
            "checked with `kubectl kustomize`\nnext: kompose convert --out kubernetes/base.yaml\n\
             next: kubectl apply --kustomize kubernetes\n"
        ),
        "{}",
        ran.stdout
    );
    assert_eq!(
        left(&fake),
        [
            "kubernetes",
            "kubernetes/disruption-budgets.yaml",
            "kubernetes/kustomization.yaml"
        ]
    );
}

#[test]
fn an_overlay_that_changes_nothing_of_its_base_is_not_left_behind() {
    let fake = with_kubectl(shop(), "echo 'kind: Deployment'").line("export kubernetes");
    fs::create_dir(fake.project_folder().join("kubernetes")).unwrap();
    fs::write(
        fake.project_folder().join("kubernetes/base.yaml"),
        "kind: Deployment\n",
    )
    .unwrap();
    let ran = fake.output();
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("| there is no workload `db`\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(left(&fake), ["kubernetes", "kubernetes/base.yaml"]);
}

#[test]
fn without_kubectl_an_overlay_is_written_unchecked() {
    let ran = shop().line("export kubernetes --format json").output();
    let document = document(&ran);
    assert_eq!(document["checked_by"], serde_json::Value::Null);
    let warnings = document["warnings"].as_array().unwrap();
    assert_eq!(
        warnings[0]["message"],
        "not checked: there is no kubectl here"
    );
}

#[test]
fn without_a_compose_file_there_is_nothing_to_export() {
    let ran = with_kubectl(shop(), "echo '{\"items\": []}'")
        .line("--engine kubernetes export swarm")
        .output();
    assert_eq!(ran.status, 4, "{ran:#?}");
    assert!(
        ran.stderr
            .starts_with("error: there is no compose file to export\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_misspelt_export_is_found() {
    let ran = shop().line("exprot").output();
    assert!(
        ran.stderr.contains("did you mean `rscale export`?"),
        "{}",
        ran.stderr
    );
}
