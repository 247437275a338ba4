//! `rscale scale-all`: everything that can have several replicas, and why the rest is left alone.

use crate::support::fake::{Answer, Container, Fake, running};

const MIXED: &str = "
services:
  api: {image: app}
  beat: {image: app, command: celery -A app beat}
  db: {image: 'postgres:16', volumes: [{type: volume, source: data, target: /var/lib/postgresql/data}]}
  few: {image: app, x-rscale: {max: 2}}
  fixed: {image: app, ports: [{target: 80, published: '8080', protocol: tcp}]}
  named: {image: app, container_name: only}
  never: {image: app, x-rscale: {scalable: false}}
  worker: {image: app}
";

fn mixed() -> Fake {
    Fake::new(MIXED).containers(all_but(&[]))
}

/// One replica of every service but these.
fn all_but(left_out: &[&str]) -> Vec<Container> {
    let services = [
        "api", "beat", "db", "few", "fixed", "named", "never", "worker",
    ];
    services
        .iter()
        .filter(|service| !left_out.contains(service))
        .flat_map(|service| running(service, 1))
        .collect()
}

fn left_alone(stdout: &str) -> Vec<&str> {
    stdout
        .lines()
        .filter_map(|line| Some(line.split_once("  left alone: ")?.0))
        .collect()
}

#[test]
fn scales_what_can_be_scaled_in_one_call_and_says_why_not_the_rest() {
    let ran = mixed().line("scale-all 3 --dry-run").output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert!(
        ran.stdout
            .starts_with("api: 1 -> 3\nworker: 1 -> 3\n1. create api up to 3 and worker up to 3\n"),
        "{ran:#?}"
    );
    assert_eq!(
        left_alone(&ran.stdout),
        ["beat", "db", "few", "fixed", "named", "never"]
    );
    for (service, reason) in [
        ("few", "2"),
        ("fixed", "8080"),
        ("named", "only"),
        ("never", "scalable: false"),
    ] {
        let line = ran
            .stdout
            .lines()
            .find(|line| line.starts_with(&format!("{service}  ")))
            .unwrap();
        assert!(line.contains(reason), "{line}");
    }
    let ups: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|line| line.contains(" up --"))
        .collect();
    assert_eq!(
        ups,
        [
            "   $ docker compose up --no-start --no-recreate --scale api=3 --scale worker=3 api worker"
        ]
    );
}

#[test]
fn a_policy_maximum_leaves_alone_only_above_it() {
    let ran = mixed().line("scale-all 2 --dry-run").output();
    assert_eq!(
        left_alone(&ran.stdout),
        ["beat", "db", "fixed", "named", "never"]
    );
    assert!(
        ran.stdout
            .starts_with("api: 1 -> 2\nfew: 1 -> 2\nworker: 1 -> 2\n"),
        "{ran:#?}"
    );
}

#[test]
fn really_scales_all_of_them_together() {
    let rest = || all_but(&["api", "worker"]).into_iter();
    let created = |service| {
        [
            running(service, 1),
            vec![Container::new(service, 2, "created")],
        ]
        .concat()
    };
    let ran = mixed()
        .on(
            "^start ",
            Answer::makes(
                rest()
                    .chain(running("api", 2))
                    .chain(running("worker", 2))
                    .collect(),
            ),
        )
        .on(
            "up --no-start",
            Answer::makes(
                rest()
                    .chain(created("api"))
                    .chain(created("worker"))
                    .collect(),
            ),
        )
        .line("scale-all +1 --except few")
        .output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    let mut changes = ran.changes();
    assert_eq!(
        changes.remove(0),
        "compose up --no-start --no-recreate --scale api=2 --scale worker=2 api worker"
    );
    changes.sort_unstable();
    assert_eq!(changes, ["start api-2-id", "start worker-2-id"]);
    assert!(
        ran.stdout.contains("api     1 -> 2  scaled in "),
        "{ran:#?}"
    );
    assert!(
        ran.stdout
            .ends_with("other services: 6 containers untouched\n"),
        "{ran:#?}"
    );
}

#[test]
fn patterns_narrow_it_down() {
    for (line, services) in [
        ("scale-all 3 --only api", &["api"][..]),
        ("scale-all 3 --only w*", &["worker"]),
        ("scale-all 3 --only ap? --only worker", &["api", "worker"]),
        ("scale-all 3 --except ap*", &["worker"]),
        ("scale-all 3 --only *e* --except b*", &["worker"]),
    ] {
        let ran = mixed().line(line).args(["--dry-run"]).output();
        assert_eq!(ran.status, 0, "{line}: {ran:#?}");
        let changed: Vec<&str> = ran
            .stdout
            .lines()
            .filter(|line| line.ends_with(": 1 -> 3"))
            .map(|line| &line[..line.len() - 8])
            .collect();
        assert_eq!(changed, services, "{line}: {ran:#?}");
    }
}

#[test]
fn options_may_stand_before_and_behind_the_count() {
    for line in [
        "scale-all --dry-run --only api 2",
        "scale-all 2 --dry-run --only api",
        "scale-all --only api +1 --dry-run",
    ] {
        let ran = mixed().line(line).output();
        assert!(ran.stdout.starts_with("api: 1 -> 2\n"), "{line}: {ran:#?}");
    }
}

#[test]
fn a_relative_count_may_be_negative() {
    let ran = mixed()
        .containers(running("api", 3))
        .line("scale-all -1 --only api --dry-run")
        .output();
    assert!(ran.stdout.starts_with("api: 3 -> 2\n"), "{ran:#?}");
}

#[test]
fn a_project_of_which_nothing_can_be_scaled_is_refused_with_every_reason() {
    let ran = Fake::new("services: {named: {image: app, container_name: only}, never: {image: app, x-rscale: {scalable: false}}}")
        .line("scale-all 2")
        .output();
    assert_eq!(ran.status, 3, "{ran:#?}");
    assert!(
        ran.stderr
            .starts_with("error: no service of this project can be scaled\n  hint: "),
        "{ran:#?}"
    );
    assert!(
        ran.stderr.contains("only") && ran.stderr.contains("scalable: false"),
        "{ran:#?}"
    );
    assert!(ran.changes().is_empty());
}

#[test]
fn services_of_inactive_profiles_are_not_meant() {
    let ran = Fake::new("services: {web: {image: app}, debug: {image: app, profiles: [debug]}}")
        .active("services: {web: {image: app}}")
        .line("scale-all 2 --dry-run")
        .output();
    assert!(ran.stdout.starts_with("web: 0 -> 2\n1. "), "{ran:#?}");
}
