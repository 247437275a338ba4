//! What a service does, read off the programs that it runs: schedulers and job workers.
//!
//! Only what is sure is detected; what is not can be said in `x-rscale`.

use super::image::last_component;
use super::invocation::Invocation;
use crate::project::declared::Service;

/// A scheduler: what starts jobs at their time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheduler {
    /// Has to be the only one.
    Single(String),
    /// Works beside others of its kind under conditions that the file does not show.
    Shared(String),
}

/// Options of `celery` that stand before the subcommand and take a value.
const CELERY_OPTIONS: &[&str] = &[
    "-A",
    "--app",
    "-b",
    "--broker",
    "--result-backend",
    "--loader",
    "--config",
    "--workdir",
];

/// Programs that are schedulers whatever their arguments are.
const SCHEDULERS: &[&str] = &[
    "celerybeat",
    "clockwork",
    "clockworkd",
    "cron",
    "crond",
    "go-crond",
    "periodiq",
    "rqscheduler",
    "sidekiq-scheduler",
    "supercronic",
];

/// The scheduler that a service is.
pub fn scheduler(service: &Service, invocations: &[Invocation]) -> Option<Scheduler> {
    if let Some(found) = invocations.iter().find_map(scheduling) {
        return Some(found);
    }
    let image = service.image.as_ref()?;
    let name = last_component(image);
    matches!(name.as_str(), "ofelia" | "supercronic" | "go-crond")
        .then(|| Scheduler::Single(image.clone()))
}

fn scheduling(one: &Invocation) -> Option<Scheduler> {
    let program = one.program.as_str();
    let single = |words: &str| Some(Scheduler::Single(words.to_owned()));
    if let Some((subcommand, rest)) = celery(one) {
        // RedBeat keeps a lock, so that a second beat waits for the first to end.
        let locked = one
            .arguments
            .iter()
            .any(|word| word.to_ascii_lowercase().contains("redbeat"));
        return match subcommand {
            _ if locked => None,
            "beat" => single("celery beat"),
            "worker" if rest.iter().any(|word| embeds_beat(word)) => single("celery worker --beat"),
            _ => None,
        };
    }
    let first = one.plain().next().unwrap_or_default();
    match (program, first) {
        _ if SCHEDULERS.contains(&program) || names_celery(program, "beat") => single(program),
        ("celeryd", _) if one.arguments.iter().any(|word| embeds_beat(word)) => {
            single("celeryd --beat")
        }
        ("manage.py", "celerybeat" | "rqscheduler") => single(first),
        ("rq", "scheduler") => single("rq scheduler"),
        ("ofelia", "daemon") => single("ofelia daemon"),
        ("service", "cron" | "crond") if one.has("start") => single("cron"),
        ("airflow", "scheduler") => Some(Scheduler::Shared("airflow scheduler".into())),
        ("php", script) if script.rsplit('/').next() == Some("artisan") => {
            artisan(one.plain().nth(1).unwrap_or_default())
        }
        ("artisan", command) => artisan(command),
        _ => None,
    }
}

fn artisan(command: &str) -> Option<Scheduler> {
    matches!(command, "schedule:work" | "schedule:run")
        .then(|| Scheduler::Single(format!("artisan {command}")))
}

/// Subcommand of `celery`, called by itself or through Django's `manage.py celery`, and what follows it.
fn celery(one: &Invocation) -> Option<(&str, &[String])> {
    let mut rest = match one.program.as_str() {
        "celery" => one.arguments.as_slice(),
        "manage.py" if one.arguments.first().is_some_and(|word| word == "celery") => {
            &one.arguments[1..]
        }
        _ => return None,
    };
    while let Some((word, after)) = rest.split_first() {
        if CELERY_OPTIONS.contains(&word.as_str()) {
            rest = after.get(1..).unwrap_or_default();
        } else if word.starts_with('-') {
            rest = after;
        } else {
            return Some((word, after));
        }
    }
    None
}

/// `-B`, `--beat`, or `B` among other flags without values, as in `-EB`.
fn embeds_beat(word: &str) -> bool {
    word == "--beat"
        || word.strip_prefix('-').is_some_and(|flags| {
            flags.contains('B') && flags.chars().all(|flag| "BDE".contains(flag))
        })
}

/// Whether a program is a script of that name: `start-celerybeat`, `celery_beat.sh`.
fn names_celery(program: &str, what: &str) -> bool {
    let name = program.strip_suffix(".sh").unwrap_or(program);
    let name = name.replace(['-', '_'], "");
    name.strip_suffix(what)
        .is_some_and(|rest| rest.ends_with("celery"))
}

/// The kind of job worker that a service is: jobs are lost when it is killed.
pub fn worker(service: &Service, invocations: &[Invocation]) -> Option<&'static str> {
    invocations
        .iter()
        .find_map(working)
        .or_else(|| mentions_bullmq(service, invocations).then_some("BullMQ"))
}

fn working(one: &Invocation) -> Option<&'static str> {
    let program = one.program.as_str();
    if let Some((subcommand, _)) = celery(one) {
        return (subcommand == "worker").then_some("Celery");
    }
    match (program, one.plain().next().unwrap_or_default()) {
        ("celeryd", _) | ("manage.py", "celeryd") => Some("Celery"),
        _ if names_celery(program, "worker") => Some("Celery"),
        ("rq", "worker" | "worker-pool")
        | ("rqworker", _)
        | ("manage.py", "rqworker" | "rqworker-pool") => Some("RQ"),
        ("sidekiq" | "sidekiqswarm", _) => Some("Sidekiq"),
        ("dramatiq", _) | ("manage.py", "rundramatiq") => Some("Dramatiq"),
        ("huey_consumer" | "huey_consumer.py", _) | ("manage.py", "run_huey") => Some("Huey"),
        ("resque-pool", _) => Some("Resque"),
        ("rake" | "rails", _) if one.has("resque:work") || one.has("resque:workers") => {
            Some("Resque")
        }
        _ if mentions(one, "temporal") && mentions(one, "worker") => Some("Temporal"),
        _ => None,
    }
}

fn mentions(one: &Invocation, text: &str) -> bool {
    std::iter::once(&one.program)
        .chain(&one.arguments)
        .any(|word| word.to_ascii_lowercase().contains(text))
}

fn mentions_bullmq(service: &Service, invocations: &[Invocation]) -> bool {
    let environment = service
        .environment
        .iter()
        .flat_map(|(name, value)| [name, value]);
    invocations.iter().any(|one| mentions(one, "bullmq"))
        || environment
            .chain(&service.image)
            .any(|text| text.to_ascii_lowercase().contains("bullmq"))
}

#[cfg(test)]
mod tests {
    use super::super::invocation::invocations;
    use super::super::testing::Scene;
    use super::{Scheduler, scheduler, worker};

    /// What a service is detected to be; its name must not matter, so it is a misleading one.
    fn detected(declaration: &str) -> (Option<Scheduler>, Option<&'static str>) {
        let scene = Scene::new(&format!("services: {{web: {{{declaration}}}}}"));
        let service = scene.service("web");
        let invocations = invocations(&scene.project, service);
        (
            scheduler(service, &invocations),
            worker(service, &invocations),
        )
    }

    #[test]
    fn knows_schedulers_by_what_they_run() {
        for (declaration, words) in [
            ("command: celery -A x beat", "celery beat"),
            (
                "command: celery --app=x -b redis://r beat -l info",
                "celery beat",
            ),
            ("command: celery beat", "celery beat"),
            ("command: python -m celery -A x beat", "celery beat"),
            ("command: python manage.py celery beat", "celery beat"),
            (
                r#"command: sh -c "sleep 3 && celery -A x beat""#,
                "celery beat",
            ),
            (
                "command: celery -A x beat --scheduler django_celery_beat.schedulers:DatabaseScheduler",
                "celery beat",
            ),
            ("command: celery -A x worker -B", "celery worker --beat"),
            (
                "command: celery -A x worker -l info --beat",
                "celery worker --beat",
            ),
            ("command: celery worker -EB -A x", "celery worker --beat"),
            ("command: python manage.py celerybeat", "celerybeat"),
            ("command: /start-celerybeat", "start-celerybeat"),
            ("command: rqscheduler --host redis", "rqscheduler"),
            ("command: rq scheduler", "rq scheduler"),
            ("command: python manage.py rqscheduler", "rqscheduler"),
            ("command: bundle exec clockwork clock.rb", "clockwork"),
            ("command: crond -f -d 8", "crond"),
            ("command: cron -f", "cron"),
            ("command: cron -L 15 -f", "cron"),
            ("command: service cron start", "cron"),
            (
                "command: [sh, -c, 'crontab /tab && /usr/sbin/cron -f']",
                "cron",
            ),
            ("command: supercronic /etc/crontab", "supercronic"),
            (
                "entrypoint: /usr/local/bin/go-crond, command: /tab",
                "go-crond",
            ),
            (
                "image: 'mcuadros/ofelia:latest', command: daemon --docker",
                "mcuadros/ofelia:latest",
            ),
            (
                "command: php artisan schedule:work",
                "artisan schedule:work",
            ),
            (
                "command: [sh, -c, 'while true; do php /app/artisan schedule:run; sleep 60; done']",
                "artisan schedule:run",
            ),
        ] {
            let found = detected(declaration).0;
            assert_eq!(
                found,
                Some(Scheduler::Single(words.into())),
                "{declaration}"
            );
        }
        let shared = detected("image: apache/airflow, command: airflow scheduler").0;
        assert_eq!(shared, Some(Scheduler::Shared("airflow scheduler".into())));
    }

    #[test]
    fn takes_nothing_else_for_a_scheduler() {
        for declaration in [
            "command: celery -A beat worker",
            "command: celery -A x worker -Q beat",
            "command: celery -A x worker -n B",
            "command: celery -A x flower",
            "command: celery -A x beat -S redbeat.RedBeatScheduler",
            "command: python manage.py runserver",
            "command: tail -f /var/log/cron",
            "command: [sh, -c, 'apt-get install -y cron && gunicorn app']",
            "command: php artisan queue:work",
            "command: rq worker",
            "command: airflow webserver",
            "image: busybox",
            "image: team/celery-beat-app",
            "environment: {ROLE: beat}",
        ] {
            assert_eq!(detected(declaration).0, None, "{declaration}");
        }
    }

    #[test]
    fn knows_job_workers_by_what_they_run() {
        for (declaration, kind) in [
            ("command: celery -A x worker -l info", Some("Celery")),
            (r#"command: sh -c "exec celery worker""#, Some("Celery")),
            ("command: /start-celeryworker", Some("Celery")),
            ("command: rq worker high low", Some("RQ")),
            ("command: python manage.py rqworker default", Some("RQ")),
            (
                "command: bundle exec sidekiq -C config/sidekiq.yml",
                Some("Sidekiq"),
            ),
            ("command: dramatiq tasks", Some("Dramatiq")),
            ("command: huey_consumer.py app.huey", Some("Huey")),
            ("command: python manage.py run_huey", Some("Huey")),
            ("command: bundle exec rake resque:work", Some("Resque")),
            ("command: node bullmq-worker.js", Some("BullMQ")),
            ("image: team/bullmq-jobs", Some("BullMQ")),
            ("environment: {BULLMQ_PREFIX: shop}", Some("BullMQ")),
            ("environment: [QUEUE_DRIVER=bullmq]", Some("BullMQ")),
            ("command: node dist/temporal-worker.js", Some("Temporal")),
            ("command: npm run temporal worker", Some("Temporal")),
            ("command: temporal server start-dev", None),
            ("command: celery -A x beat", None),
            ("command: celery -A x flower", None),
            ("command: gunicorn app", None),
            ("image: busybox", None),
        ] {
            assert_eq!(detected(declaration).1, kind, "{declaration}");
        }
    }
}
