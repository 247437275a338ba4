//! Every JSON document is what docs/schema says, however the run ends.

use std::path::Path;

use serde_json::Value;

use crate::support::fake::{Answer, Container, Fake, Ran, running};

const SHOP: &str = "
services:
  beat: {image: app, command: celery -A app beat}
  db: {image: 'postgres:16', volumes: [{type: volume, source: data, target: /var/lib/postgresql/data}]}
  named: {image: app, container_name: only, x-rscale: {min: 1, max: 4}}
  web: {image: app}
";

#[track_caller]
pub fn is_valid(schema: &str, document: &Value) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{schema}.schema.json"));
    let text = std::fs::read_to_string(path).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}

fn web(count: u32) -> Vec<Container> {
    [running("db", 1), running("web", count)].concat()
}

fn shop() -> Fake {
    Fake::new(SHOP).containers(web(1)).line("--format json")
}

fn created() -> Vec<Container> {
    [web(1), vec![Container::new("web", 2, "created")]].concat()
}

#[track_caller]
fn scale(ran: &Ran, status: i32, outcome: &str) -> Value {
    let document = ran.json();
    is_valid("scale", &document);
    assert_eq!(
        (ran.status, document["outcome"].as_str()),
        (status, Some(outcome)),
        "{ran:#?}"
    );
    assert_eq!(
        (document["schema"].as_u64(), document["project"].as_str()),
        (Some(1), Some("shop"))
    );
    document
}

#[test]
fn scaled() {
    let ran = shop()
        .on("^start ", Answer::makes(web(2)))
        .on("up --no-start", Answer::makes(created()))
        .line("web=2")
        .output();
    let document = scale(&ran, 0, "scaled");
    assert_eq!(document["error"], Value::Null);
    let web = &document["services"][0];
    assert_eq!(
        (
            web["name"].as_str(),
            web["from"].as_u64(),
            web["to"].as_u64()
        ),
        (Some("web"), Some(1), Some(2))
    );
    assert_eq!(web["created"], serde_json::json!(["shop-web-2"]));
    assert_eq!(web["healthy"], Value::Null);
    assert_eq!(
        document["untouched"],
        serde_json::json!({"containers": 1, "changed": []})
    );
    assert_eq!(document["commands"].as_array().unwrap().len(), 2);
}

#[test]
fn unchanged() {
    let document = scale(&shop().line("web=1").output(), 0, "unchanged");
    assert_eq!(document["services"][0]["outcome"], "unchanged");
    assert_eq!(document["commands"], serde_json::json!([]));
}

#[test]
fn planned() {
    let ran = shop().line("web=2 --dry-run").output();
    let document = scale(&ran, 0, "planned");
    assert_eq!(document["dry_run"], true);
    assert_eq!(
        document["commands"],
        serde_json::json!([
            "docker compose up --no-start --no-recreate --scale web=2 web",
            "docker start shop-web-2"
        ])
    );
    assert_eq!(document["services"][0]["running"], 1);
}

#[test]
fn refused() {
    let document = scale(&shop().line("named=2 beat=2").output(), 3, "refused");
    let rules: Vec<&str> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect();
    assert!(
        rules.contains(&"container-name") && rules.contains(&"scheduler"),
        "{rules:?}"
    );
    assert!(document["error"].is_string());
    assert_eq!(document["commands"], serde_json::json!([]));
}

#[test]
fn rolled_back() {
    let crashed = [
        web(1),
        vec![Container::new("web", 2, "exited").exit_code(3)],
    ]
    .concat();
    let ran = shop()
        .on("^start ", Answer::makes(crashed))
        .on("rm --force", Answer::makes(web(1)))
        .on("up --no-start", Answer::makes(created()))
        .line("web=2")
        .output();
    let document = scale(&ran, 1, "rolled_back");
    assert_eq!(document["error"], "`shop-web-2` exited with code 3");
    let web = &document["services"][0];
    assert_eq!(
        (web["outcome"].as_str(), web["error"].as_str()),
        (Some("rolled_back"), Some("`shop-web-2` exited with code 3"))
    );
    assert_eq!(
        (&web["created"], &web["running"]),
        (&serde_json::json!([]), &serde_json::json!(1))
    );
}

#[test]
fn failed_and_kept() {
    let ran = shop()
        .on(
            "up --no-start",
            Answer::fails("no space left on device").leaving(created()),
        )
        .line("web=2 --keep")
        .output();
    let document = scale(&ran, 1, "failed");
    assert_eq!(
        document["services"][0]["created"],
        serde_json::json!(["shop-web-2"])
    );
}

#[test]
fn scale_all_with_what_was_left_alone() {
    let document = scale(&shop().line("scale-all 2 --dry-run").output(), 0, "planned");
    let names: Vec<&str> = document["left_alone"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["beat", "db", "named"]);
}

#[test]
fn status() {
    let mut all = web(1);
    all.push(Container::new("web", 2, "running").health("unhealthy"));
    all.push(Container::new("old", 1, "exited").exit_code(1));
    let ran = shop().containers(all).line("status").output();
    let document = ran.json();
    is_valid("status", &document);
    assert_eq!(ran.status, 0);
    let service = |name: &str| {
        document["services"]
            .as_array()
            .unwrap()
            .iter()
            .find(|service| service["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(service("old")["declared"], Value::Null);
    assert_eq!(service("web")["state"], "degraded");
    assert_eq!(
        (
            service("web")["healthy"].as_u64(),
            service("db")["healthy"].as_u64()
        ),
        (Some(0), None)
    );
    assert_eq!(
        (
            service("named")["min"].as_u64(),
            service("named")["max"].as_u64()
        ),
        (Some(1), Some(4))
    );
    assert_eq!(
        (
            service("named")["scalable"].as_bool(),
            service("web")["scalable"].as_bool()
        ),
        (Some(false), Some(true))
    );
}

#[test]
fn check() {
    for (line, status, findings) in [
        ("check", 0, true),
        ("check named=2", 3, true),
        ("check web=2", 0, false),
    ] {
        let ran = shop().line(line).output();
        let document = ran.json();
        is_valid("check", &document);
        assert_eq!(ran.status, status, "{ran:#?}");
        assert_eq!(
            !document["findings"].as_array().unwrap().is_empty(),
            findings,
            "{document:#}"
        );
    }
}

/// A schema that lets everything through would prove nothing.
#[test]
fn the_schemas_refuse_what_is_no_such_document() {
    let valid = shop().line("web=1").output().json();
    for spoil in [
        |document: &mut Value| document["outcome"] = Value::from(3),
        |document: &mut Value| {
            document.as_object_mut().unwrap().remove("services");
        },
        |document: &mut Value| document["services"][0]["from"] = Value::from("one"),
    ] {
        let mut spoiled = valid.clone();
        spoil(&mut spoiled);
        assert!(
            std::panic::catch_unwind(|| is_valid("scale", &spoiled)).is_err(),
            "{spoiled:#}"
        );
    }
}
