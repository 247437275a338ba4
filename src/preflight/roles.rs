//! What a service is for: schedulers and stores that must be alone, workers that need time to end.

use super::detection::{self, Scheduler};
use super::invocation::invocations;
use super::{Finding, Question, Rule, image, replicas};
use crate::plan::grace;
use crate::project::declared::{EngineName, Mount};

/// A scheduler with several replicas.
pub fn scheduler(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.multiplied() {
        let name = &service.name;
        let found = detection::scheduler(service, &invocations(question.project, service));
        let hint =
            |condition: &str| format!("{condition}: services.{name}.x-rscale: {{scalable: true}}");
        let finding = match found {
            None => continue,
            Some(Scheduler::Single(words)) => Finding::policy(
                Rule::Scheduler,
                service,
                format!(
                    "`{name}` runs a scheduler (`{words}`), and with {} each would start the same jobs again",
                    replicas(count)
                ),
                hint("keep one, or, if they take turns by a lock"),
            ),
            Some(Scheduler::Shared(words)) => Finding::warning(
                Rule::Scheduler,
                service,
                format!(
                    "`{name}` runs a scheduler (`{words}`): from Airflow 2 on several can share a PostgreSQL or \
                     MySQL 8, before that each starts the same jobs again"
                ),
                hint("if yours can"),
            ),
        };
        findings.push(finding.unless_scalable(service));
    }
}

/// A job that runs once, with several replicas.
pub fn one_shot(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.multiplied() {
        let name = &service.name;
        let Some(other) = question.overview.waiting_for(name) else {
            continue;
        };
        let finding = Finding::policy(
            Rule::OneShot,
            service,
            format!(
                "`{name}` is a job that runs once (`{other}` waits for it to complete), and each of {} would run it \
                 again",
                replicas(count)
            ),
            match question.project.engine {
                EngineName::Compose => {
                    format!("run it once more instead: docker compose run --rm {name}")
                }
                EngineName::Swarm => "deploy it as a job: `deploy: {mode: replicated-job}`".into(),
                EngineName::Kubernetes => "deploy it as a Job: kubectl create job --help".into(),
            },
        );
        findings.push(finding.unless_scalable(service));
    }
}

/// A database, broker or other store with several replicas.
pub fn stateful(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.multiplied() {
        let name = &service.name;
        let invocations = invocations(question.project, service);
        // `rabbitmq-jobs` may be the name of what takes jobs from RabbitMQ.
        if detection::worker(service, &invocations).is_some() {
            continue;
        }
        let Some(store) = image::store(service, &invocations) else {
            continue;
        };
        let hint = format!(
            "keep one, or, if it is meant to have several: services.{name}.x-rscale: {{scalable: true}}"
        );
        let finding = match service.mounts.iter().find(|mount| holds_data(mount)) {
            Some(mount) => Finding::policy(
                Rule::Stateful,
                service,
                format!(
                    "`{name}` keeps data (`{store}`), and {} would share `{}`: several servers on one data \
                     directory corrupt it",
                    replicas(count),
                    mount.source
                ),
                hint,
            ),
            None if image::is_cache(&store) => continue,
            None => Finding::warning(
                Rule::Stateful,
                service,
                format!(
                    "`{name}` keeps data (`{store}`), and each of {} would hold data of its own",
                    replicas(count)
                ),
                hint,
            ),
        };
        findings.push(finding.unless_scalable(service));
    }
}

/// A job worker whose replicas are killed after the engine's 10 seconds.
pub fn short_grace(question: &Question, findings: &mut Vec<Finding>) {
    let changed = question
        .services()
        .filter(|(service, count)| *count != question.existing(&service.name));
    for (service, _) in changed {
        let name = &service.name;
        if grace(Some(service), question.stop_timeout).is_some() {
            continue;
        }
        let Some(kind) = detection::worker(service, &invocations(question.project, service)) else {
            continue;
        };
        findings.push(Finding::warning(
            Rule::ShortGrace,
            service,
            format!(
                "`{name}` runs {kind} jobs without a grace period: a job that still runs 10s after its replica \
                 was told to stop is {}",
                // It notices that nobody keeps the job's lock.
                if kind == "BullMQ" { "cut off, and started again from its beginning" } else { "lost" }
            ),
            format!(
                "services.{name}.stop_grace_period: 5m, or services.{name}.x-rscale: {{stop-timeout: 5m}}"
            ),
        ));
    }
}

/// Directories and files beside the data, by the last component of their path.
const BESIDE_DATA: &[&str] = &[
    "backup",
    "backups",
    "certs",
    "conf",
    "conf.d",
    "config",
    "docker-entrypoint-initdb.d",
    "initdb.d",
    "localtime",
    "log",
    "logs",
    "plugins",
    "provisioning",
    "scripts",
    "ssl",
    "timezone",
];

/// Endings of files that are mounted one by one.
const SINGLE_FILES: &[&str] = &[
    "acl",
    "cfg",
    "cnf",
    "conf",
    "config",
    "crt",
    "env",
    "ini",
    "json",
    "js",
    "key",
    "pem",
    "properties",
    "sh",
    "sock",
    "sql",
    "toml",
    "txt",
    "xml",
    "yaml",
    "yml",
];

/// Whether the replicas would share a writable directory that a store keeps its data in.
fn holds_data(mount: &Mount) -> bool {
    let target = mount.target.trim_end_matches('/');
    let name = target.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    let is_configuration = ["/etc", "/usr/local/etc", "/var/log", "/run", "/var/run"]
        .iter()
        .any(|place| {
            target
                .strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
    !mount.source.is_empty()
        && !mount.read_only
        && !is_configuration
        && !BESIDE_DATA.contains(&name)
        && !ending.is_some_and(|ending| SINGLE_FILES.contains(&ending))
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::super::testing::Scene;

    #[test]
    fn what_takes_jobs_from_a_store_is_none() {
        for (command, kinds) in [
            ("celery -A x worker", vec![]),
            ("gunicorn app", vec!["error"]),
        ] {
            let scene = Scene::new(&format!(
                "services: {{web: {{image: team/rabbitmq-jobs, command: {command}, volumes: ['data:/data']}}}}"
            ));
            assert_eq!(
                scene.kinds(Rule::Stateful, &[("web", 2)]),
                kinds,
                "{command}"
            );
        }
    }

    #[test]
    fn refuses_several_runs_of_a_job_that_others_wait_for() {
        for (condition, count, kinds) in [
            ("service_completed_successfully", 2, vec!["error"]),
            ("service_completed_successfully", 1, vec![]),
            ("service_started", 2, vec![]),
        ] {
            let scene = Scene::new(&format!(
                "services: {{migrate: {{image: a}}, web: {{image: a, depends_on: \
                 {{migrate: {{condition: {condition}}}}}}}}}"
            ));
            assert_eq!(scene.kinds(Rule::OneShot, &[("migrate", count)]), kinds);
        }
    }

    const DATA: &str = "volumes: ['data:/var/lib/data']";

    fn scene(declaration: &str) -> Scene {
        Scene::new(&format!("services: {{web: {{{declaration}}}}}"))
    }

    #[test]
    fn refuses_a_second_scheduler() {
        for (declaration, existing, count, kinds) in [
            ("image: a, command: celery -A x beat", 1, 2, vec!["error"]),
            ("image: a, command: celery -A x beat", 0, 1, vec![]),
            ("image: a, command: celery -A x beat", 5, 3, vec![]),
            (
                "image: a, command: celery -A x beat, x-rscale: {scalable: true}",
                1,
                2,
                vec!["warning"],
            ),
            (
                "image: a, command: airflow scheduler",
                1,
                2,
                vec!["warning"],
            ),
            ("image: a, command: celery -A x worker", 1, 9, vec![]),
        ] {
            let scene = scene(declaration).running("web", existing);
            let found = scene.kinds(Rule::Scheduler, &[("web", count)]);
            assert_eq!(found, kinds, "{declaration}: {existing} -> {count}");
        }
    }

    #[test]
    fn says_that_x_rscale_overrides_what_was_detected() {
        let scene = scene("image: a, command: celery beat, x-rscale: {scalable: true}");
        let finding = &scene.found(Rule::Scheduler, &[("web", 2)])[0];
        assert_eq!(
            finding.message,
            "`web` runs a scheduler (`celery beat`), and with 2 replicas each would start the same jobs \
             again; allowed, because `x-rscale` says `scalable: true`"
        );
    }

    #[test]
    fn knows_the_scheduler_of_an_image_by_its_observed_command() {
        let scene = scene("image: a").replica("web", |replica| {
            replica.command = "celery -A x beat".into();
        });
        assert_eq!(scene.kinds(Rule::Scheduler, &[("web", 2)]), ["error"]);
        let project = &scene.project;
        assert_eq!(
            super::super::obstacles(&super::super::Bare::new(project), "web", 2).len(),
            1
        );
    }

    #[test]
    fn never_judges_by_the_name_of_the_service() {
        let yaml = "
services:
  postgres: {image: busybox, command: sleep 9, volumes: ['data:/var/lib/postgresql/data']}
  redis: {build: ., volumes: ['data:/data']}
  beat: {image: busybox, command: sleep 9}
  celery_beat: {image: busybox}
  worker: {image: busybox, command: sleep 9}
  cron: {image: busybox, command: 'httpd -f'}
";
        let services = ["postgres", "redis", "beat", "celery_beat", "worker", "cron"];
        let wish = services.map(|service| (service, 3));
        assert_eq!(Scene::new(yaml).examine(&wish, false), []);
    }

    #[test]
    fn refuses_two_stores_on_one_data_directory() {
        for (declaration, kinds) in [
            (format!("image: 'postgres:15', {DATA}"), vec!["error"]),
            (
                "image: 'postgres:15', volumes: ['./data:/var/lib/data']".into(),
                vec!["error"],
            ),
            (
                format!("image: a, command: redis-server --appendonly yes, {DATA}"),
                vec!["error"],
            ),
            (
                format!("image: a, command: [sh, -c, 'exec mongod'], {DATA}"),
                vec!["error"],
            ),
            (format!("image: 'memcached:1', {DATA}"), vec!["error"]),
            (
                format!("image: 'minio/minio', command: server /data, {DATA}"),
                vec!["error"],
            ),
            (
                format!("image: postgres, x-rscale: {{scalable: true}}, {DATA}"),
                vec!["warning"],
            ),
            ("image: 'postgres:15'".into(), vec!["warning"]),
            (
                "image: postgres, volumes: [/var/lib/data]".into(),
                vec!["warning"],
            ),
            (
                "image: postgres, volumes: ['data:/var/lib/data:ro']".into(),
                vec!["warning"],
            ),
            (
                "image: postgres, volumes: ['./p:/etc/postgresql']".into(),
                vec!["warning"],
            ),
            (
                "image: redis, volumes: ['./r:/usr/local/redis.conf']".into(),
                vec!["warning"],
            ),
            (
                "image: postgres, volumes: ['./sql:/docker-entrypoint-initdb.d']".into(),
                vec!["warning"],
            ),
            (
                "image: postgres, tmpfs: /var/lib/data".into(),
                vec!["warning"],
            ),
            ("image: memcached".into(), vec![]),
            (format!("image: postgres-exporter, {DATA}"), vec![]),
            (
                format!("image: postgres, command: pg_dump -h db, {DATA}"),
                vec![],
            ),
            (
                format!("image: redis, command: redis-cli monitor, {DATA}"),
                vec![],
            ),
            (format!("image: nginx, {DATA}"), vec![]),
        ] {
            let scene = scene(&declaration);
            assert_eq!(
                scene.kinds(Rule::Stateful, &[("web", 2)]),
                kinds,
                "{declaration}"
            );
            assert!(scene.kinds(Rule::Stateful, &[("web", 1)]).is_empty());
        }
        let finding = &scene(&format!("image: 'postgres:15', {DATA}"))
            .found(Rule::Stateful, &[("web", 2)])[0];
        assert_eq!(
            finding.message,
            "`web` keeps data (`postgres:15`), and 2 replicas would share `data`: several servers on one \
             data directory corrupt it"
        );
    }

    #[test]
    fn knows_a_store_by_the_observed_command() {
        let scene = scene(&format!("image: a, {DATA}")).replica("web", |replica| {
            replica.command = "docker-entrypoint.sh redis-server".into();
        });
        assert_eq!(scene.kinds(Rule::Stateful, &[("web", 2)]), ["error"]);
    }

    #[test]
    fn warns_when_jobs_have_ten_seconds_to_end() {
        let celery = "image: a, command: celery -A x worker";
        for (scene, existing, count, kinds) in [
            (scene(celery), 3, 1, vec!["warning"]),
            (scene(celery), 1, 3, vec!["warning"]),
            (scene(celery), 3, 3, vec![]),
            (scene(celery).stop_timeout(60), 3, 1, vec![]),
            (
                scene(&format!("{celery}, stop_grace_period: 5m")),
                3,
                1,
                vec![],
            ),
            (
                scene(&format!("{celery}, x-rscale: {{stop-timeout: 5m}}")),
                3,
                1,
                vec![],
            ),
            (scene("image: a, command: gunicorn app"), 3, 1, vec![]),
        ] {
            let found = scene
                .running("web", existing)
                .kinds(Rule::ShortGrace, &[("web", count)]);
            assert_eq!(found, kinds, "{existing} -> {count}");
        }
    }
}
