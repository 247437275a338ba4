//! What holds on every engine alike: one table of scenarios, run over Compose, Swarm and Kubernetes.
//!
//! The project is the same everywhere: `web` has two replicas and may have eight, `worker` has one, and `broken` has
//! none, because its replicas crash.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::schema;
use crate::support::engine::{Engine, PATIENCE, Project, Ran, entry, names};
use crate::support::kubernetes::{Behaviour, Cluster, Fate};
use crate::support::swarm::{Stack, Swarm};

/// Names and policies, for every engine; Compose runs it as well.
const SHOP: &str = r#"
services:
  web: {<<: *app, deploy: {<<: *deploy, replicas: 2}, x-rscale: {max: 8}}
  worker: {<<: *app, deploy: {<<: *deploy, replicas: 1}}
  broken: {<<: *app, deploy: {<<: *deploy, replicas: 0}, command: [sh, -c, "echo boom; exit 3"]}
"#;
/// What the file above uses where a test bed does not bring it along.
const APP: &str = "x-app: &app {image: 'busybox:1', init: true, command: sleep 900}\n";
const DEPLOY: &str = "x-deploy: &deploy {endpoint_mode: dnsrr}\n";

/// An engine with the project on it.
trait World {
    /// As JSON names it.
    fn engine(&self) -> &'static str;
    fn rscale(&self, args: &[&str]) -> Ran;
    /// Running replicas by service; services without any may be left out.
    fn running(&self) -> BTreeMap<String, usize>;
    /// The replicas of a service.
    fn ids(&self, service: &str) -> BTreeSet<String>;
    /// Whether the replicas of `broken` crash here.
    fn has_crashes(&self) -> bool {
        true
    }
}

impl World for Project {
    fn engine(&self) -> &'static str {
        "compose"
    }

    fn rscale(&self, args: &[&str]) -> Ran {
        Project::rscale(self, args)
    }

    fn running(&self) -> BTreeMap<String, usize> {
        Project::running(self)
    }

    fn ids(&self, service: &str) -> BTreeSet<String> {
        Project::ids(self, service).into_values().collect()
    }
}

impl World for Stack<'_> {
    fn engine(&self) -> &'static str {
        "swarm"
    }

    fn rscale(&self, args: &[&str]) -> Ran {
        Project::rscale(self, args)
    }

    fn running(&self) -> BTreeMap<String, usize> {
        let services = self.services().into_iter();
        let running = services.map(|(name, (running, _))| (name, running as usize));
        running.collect()
    }

    fn ids(&self, service: &str) -> BTreeSet<String> {
        let tasks = self.tasks(service).into_iter();
        tasks.map(|task| task.id).collect()
    }
}

impl World for Cluster {
    fn engine(&self) -> &'static str {
        "kubernetes"
    }

    fn rscale(&self, args: &[&str]) -> Ran {
        Cluster::rscale(self, args)
    }

    fn running(&self) -> BTreeMap<String, usize> {
        self.counts()
    }

    fn ids(&self, service: &str) -> BTreeSet<String> {
        Cluster::ids(self, service)
    }

    fn has_crashes(&self) -> bool {
        // On a real cluster pods do what their image says.
        std::env::var_os("RSCALE_E2E_KUBECONFIG").is_none()
    }
}

fn on_compose() -> Option<impl World> {
    let project = Engine::project(&format!("{DEPLOY}{SHOP}"))?;
    project.compose(&["up", "--detach"]);
    Some(project)
}

fn on_swarm() -> Option<impl World> {
    let stack = Swarm::shared()?.stack(SHOP);
    stack.show_file();
    Some(stack)
}

fn on_kubernetes() -> Option<impl World> {
    let cluster = Cluster::new()?;
    cluster.compose_file(&format!("{APP}{DEPLOY}{SHOP}"));
    cluster.deploy("web", 2, Behaviour::well());
    cluster.deploy("worker", 1, Behaviour::well());
    cluster.deploy("broken", 0, Behaviour::all(Fate::Crashes).log("boom"));
    Some(cluster)
}

/// The counts, and that `worker` kept its replica.
#[track_caller]
fn there_are(world: &dyn World, web: usize, worker: usize) {
    let running = world.running();
    let count = |service: &str| running.get(service).copied().unwrap_or(0);
    assert_eq!(
        (count("web"), count("worker"), count("broken")),
        (web, worker, 0)
    );
}

#[track_caller]
fn document(world: &dyn World, schema: &str, args: &[&str], status: i32) -> Value {
    let args = [args, &["--format", "json"]].concat();
    let document = world.rscale(&args).exited(status).document();
    schema::is_valid(schema, &document);
    if document.get("engine").is_some() {
        assert_eq!(document["engine"], world.engine());
    }
    document
}

/// Runs a scale that comes to nothing, and proves that nothing changed.
#[track_caller]
fn changes_nothing(world: &dyn World, args: &[&str], status: i32, outcome: &str) -> Value {
    let before = (world.ids("web"), world.ids("worker"));
    let document = document(world, "scale", args, status);
    assert_eq!(document["outcome"], outcome, "{document:#}");
    assert_eq!((world.ids("web"), world.ids("worker")), before);
    there_are(world, 2, 1);
    document
}

mod scenarios {
    use super::*;

    pub fn up(world: &dyn World) {
        let (web, worker) = (world.ids("web"), world.ids("worker"));
        let document = document(world, "scale", &["web=4"], 0);
        let service = entry(&document["services"], "web");
        assert_eq!((&service["from"], &service["to"]), (&2.into(), &4.into()));
        assert_eq!(
            (&service["running"], &service["outcome"]),
            (&4.into(), &"scaled".into())
        );
        assert_eq!(names(&service["created"]).len(), 2);
        there_are(world, 4, 1);
        assert!(world.ids("web").is_superset(&web), "what ran goes on");
        assert_eq!(world.ids("worker"), worker);
    }

    pub fn down(world: &dyn World) {
        let (web, worker) = (world.ids("web"), world.ids("worker"));
        let document = document(world, "scale", &["web=1"], 0);
        assert_eq!(
            names(&entry(&document["services"], "web")["removed"]).len(),
            1
        );
        there_are(world, 1, 1);
        assert!(world.ids("web").is_subset(&web), "what stays goes on");
        assert_eq!(world.ids("worker"), worker);
    }

    pub fn to_zero_and_back(world: &dyn World) {
        world.rscale(&["web=0"]).succeeded();
        there_are(world, 0, 1);
        world.rscale(&["web=1"]).succeeded();
        there_are(world, 1, 1);
    }

    pub fn relative(world: &dyn World) {
        world.rscale(&["web=+1", "worker=+2"]).succeeded();
        there_are(world, 3, 3);
        world.rscale(&["web=-2", "worker=-1"]).succeeded();
        there_are(world, 1, 2);
    }

    pub fn one_up_and_one_down(world: &dyn World) {
        let web = world.ids("web");
        world.rscale(&["web=1", "worker=3"]).succeeded();
        there_are(world, 1, 3);
        assert!(world.ids("web").is_subset(&web));
    }

    pub fn what_is_there_already_is_unchanged(world: &dyn World) {
        changes_nothing(world, &["web=2", "worker=1"], 0, "unchanged");
    }

    pub fn refuses_what_the_policy_forbids(world: &dyn World) {
        let document = changes_nothing(world, &["web=9", "worker=2"], 3, "refused");
        let finding = &document["findings"][0];
        assert_eq!(
            (&finding["rule"], &finding["service"]),
            (&"limits".into(), &"web".into())
        );
    }

    pub fn refuses_when_somebody_else_was_quicker(world: &dyn World) {
        let document = changes_nothing(world, &["web=4", "--current-replicas", "3"], 3, "refused");
        assert_eq!(document["findings"][0]["rule"], "current-replicas");
    }

    pub fn a_service_that_is_not_there_is_a_usage_error(world: &dyn World) {
        let ran = world.rscale(&["wbe=3"]).exited(2);
        ran.says("did you mean `web`?");
        there_are(world, 2, 1);
    }

    pub fn a_replica_that_crashes_rolls_all_back(world: &dyn World) {
        if !world.has_crashes() {
            return;
        }
        let document = changes_nothing(world, &["broken=1", "worker=3"], 1, "rolled_back");
        assert_eq!(
            entry(&document["services"], "worker")["outcome"],
            "rolled_back"
        );
        let ran = world.rscale(&["broken=1"]).exited(1);
        // The last lines of its log.
        ran.says("| boom");
    }

    pub fn a_dry_run_prints_what_would_be_done(world: &dyn World) {
        let document = changes_nothing(world, &["web=4", "worker=0", "--dry-run"], 0, "planned");
        assert!(!document["commands"].as_array().unwrap().is_empty());
        let text = world.rscale(&["web=4", "--dry-run"]).succeeded();
        assert!(text.stdout.starts_with("web: 2 -> 4\n"), "{text}");
    }

    pub fn in_steps(world: &dyn World) {
        world.rscale(&["web=5", "--step", "2"]).succeeded();
        there_are(world, 5, 1);
    }

    pub fn without_waiting(world: &dyn World) {
        let document = document(world, "scale", &["web=4", "--no-wait"], 0);
        assert_eq!(document["outcome"], "scaled");
        let began = Instant::now();
        while world.running().get("web") != Some(&4) && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(100));
        }
        there_are(world, 4, 1);
    }

    pub fn all_of_a_pattern(world: &dyn World) {
        world
            .rscale(&["scale-all", "3", "--only", "w*"])
            .succeeded();
        there_are(world, 3, 3);
    }

    pub fn status_shows_counts_and_policy(world: &dyn World) {
        world.rscale(&["web=3"]).succeeded();
        let document = document(world, "status", &["status"], 0);
        let web = entry(&document["services"], "web");
        let seen = [
            &web["replicas"],
            &web["running"],
            &web["declared"],
            &web["max"],
        ];
        assert_eq!(
            seen.map(Value::as_u64),
            [Some(3), Some(3), Some(2), Some(8)]
        );
        assert_eq!((&web["state"], &web["drift"]), (&"ok".into(), &true.into()));
        let text = world.rscale(&["status"]).succeeded();
        assert!(text.stdout.contains("3/3 (declared 2)"), "{text}");
    }

    pub fn check_says_what_would_stand_in_the_way(world: &dyn World) {
        let document = document(world, "check", &["check", "web=9"], 3);
        assert_eq!(document["findings"][0]["rule"], "limits");
        world.rscale(&["check", "web=3"]).succeeded();
        there_are(world, 2, 1);
    }
}

/// A test for each scenario on an engine.
macro_rules! on {
    ($engine:ident, $world:path) => {
        mod $engine {
            on!(@ $world: up down to_zero_and_back relative one_up_and_one_down
                what_is_there_already_is_unchanged refuses_what_the_policy_forbids
                refuses_when_somebody_else_was_quicker a_service_that_is_not_there_is_a_usage_error
                a_replica_that_crashes_rolls_all_back a_dry_run_prints_what_would_be_done in_steps
                without_waiting all_of_a_pattern status_shows_counts_and_policy
                check_says_what_would_stand_in_the_way);
        }
    };
    (@ $world:path: $($scenario:ident)*) => {
        $(
            #[test]
            fn $scenario() {
                if let Some(world) = $world() {
                    super::scenarios::$scenario(&world);
                }
            }
        )*
    };
}

on!(compose, super::on_compose);
on!(swarm, super::on_swarm);
on!(kubernetes, super::on_kubernetes);
