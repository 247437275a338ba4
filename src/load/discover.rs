//! Finding the broker in the workers' own environment, and the service that works on a queue. Pure.

use crate::project::Project;
use crate::project::address::Address;
use crate::project::declared::Service;
use crate::project::workload::DriverName;

/// An address, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub address: Address,
    pub service: String,
    /// `BROKER_URL`, or `REDIS_HOST` for one that was put together.
    pub variable: &'static str,
}

/// Names of a broker's address, the most certain first.
const CELERY_BROKERS: [&str; 5] = [
    "CELERY_BROKER_URL",
    "BROKER_URL",
    "CELERY_BROKER",
    "RABBITMQ_URL",
    "AMQP_URL",
];
const CELERY_RESULTS: [&str; 4] = [
    "CELERY_RESULT_BACKEND",
    "CELERY_RESULT_BACKEND_URL",
    "RESULT_BACKEND",
    "RESULT_URL",
];
const REDIS: [&str; 3] = ["REDIS_URL", "QUEUE_URL", "REDIS_URI"];

/// The broker that the workers use. `service` narrows it down to one; otherwise services whose command or
/// environment speaks of the driver come first.
///
/// # Errors
/// Two services name different ones; a line that says so, without passwords.
pub fn broker(
    project: &Project,
    driver: DriverName,
    service: Option<&str>,
) -> Result<Option<Found>, String> {
    let names: &[&'static str] = match driver {
        DriverName::Celery => &CELERY_BROKERS,
        _ => &[],
    };
    let look = |service: &Service| {
        of_names(service, names)
            .or_else(|| of_names(service, &REDIS))
            .or_else(|| of_host_and_port(service))
    };
    one_of(candidates(project, driver, service), look)
}

/// Celery's result backend, as the workers have it; `None` where they have none.
///
/// # Errors
/// As [`broker`].
pub fn results(project: &Project, service: Option<&str>) -> Result<Option<Found>, String> {
    one_of(
        candidates(project, DriverName::Celery, service),
        |service| of_names(service, &CELERY_RESULTS),
    )
}

/// The service whose workers listen on a queue, by its `queue` policy or its command (`-Q a,b`,
/// `--queues=a`); a Celery worker without either listens on `celery`.
pub fn service_of_queue<'p>(
    project: &'p Project,
    driver: DriverName,
    queue: &str,
) -> Option<&'p str> {
    let mut services = project.declared.services.values();
    let by_policy = services.clone().find(|service| {
        let policy = service.policy.queue.as_ref();
        policy.is_some_and(|policy| policy.driver == driver && policy.name == queue)
    });
    let by_command = || match driver {
        DriverName::Celery => services.find(|service| {
            is_celery_worker(service) && queues(service).iter().any(|name| name == queue)
        }),
        _ => None,
    };
    by_policy
        .or_else(by_command)
        .map(|service| service.name.as_str())
}

/// The queues that a Celery worker's command names.
fn queues(service: &Service) -> Vec<String> {
    let words = all_words(service);
    let mut found = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let list = match word.as_str() {
            "-Q" | "--queues" => words.get(place + 1).map(String::as_str),
            word => word
                .strip_prefix("--queues=")
                .or_else(|| word.strip_prefix("-Q").filter(|rest| !rest.is_empty())),
        };
        found.extend(
            list.into_iter()
                .flat_map(|list| list.split(','))
                .map(|name| name.trim().to_owned()),
        );
    }
    if found.is_empty() {
        found.push("celery".into());
    }
    found
}

/// The words of a command; a command line for a shell is taken apart.
fn all_words(service: &Service) -> Vec<String> {
    let words = service.words();
    let split = |word: &&str| match shlex::split(word) {
        Some(parts) if parts.len() > 1 => parts,
        _ => vec![(*word).to_owned()],
    };
    words.iter().flat_map(split).collect()
}

fn is_celery_worker(service: &Service) -> bool {
    let words = all_words(service);
    let has = |name: &str| {
        words
            .iter()
            .any(|word| word == name || word.ends_with(&format!("/{name}")))
    };
    has("celery") && has("worker")
}

/// Services to look at: the one named, else those that are workers of this kind, else all.
fn candidates<'p>(
    project: &'p Project,
    driver: DriverName,
    service: Option<&str>,
) -> Vec<&'p Service> {
    if let Some(service) = service {
        return project.service(service).into_iter().collect();
    }
    let all: Vec<&Service> = project.declared.services.values().collect();
    let workers: Vec<&Service> = all
        .iter()
        .copied()
        .filter(|service| driver == DriverName::Celery && is_celery_worker(service))
        .collect();
    if workers.is_empty() { all } else { workers }
}

fn one_of(
    services: Vec<&Service>,
    look: impl Fn(&Service) -> Option<Found>,
) -> Result<Option<Found>, String> {
    let mut found = services.into_iter().filter_map(look);
    let Some(first) = found.next() else {
        return Ok(None);
    };
    match found.find(|other| other.address != first.address) {
        None => Ok(Some(first)),
        Some(other) => Err(format!(
            "`{}` has {}={}, and `{}` has {}={}",
            first.service,
            first.variable,
            first.address,
            other.service,
            other.variable,
            other.address
        )),
    }
}

fn of_names(service: &Service, names: &[&'static str]) -> Option<Found> {
    names.iter().find_map(|name| {
        let text = service.environment.get(*name)?;
        let address = Address::parse(text).ok()?;
        Some(Found {
            address,
            service: service.name.clone(),
            variable: name,
        })
    })
}

fn of_host_and_port(service: &Service) -> Option<Found> {
    let value = |name: &str| service.environment.get(name).map(String::as_str);
    let host = value("REDIS_HOST").filter(|host| !host.is_empty())?;
    let port = value("REDIS_PORT").and_then(|port| port.parse().ok());
    let address = Address::of_parts("redis", host, port.unwrap_or(6379), value("REDIS_PASSWORD"))?;
    Some(Found {
        address,
        service: service.name.clone(),
        variable: "REDIS_HOST",
    })
}

#[cfg(test)]
mod tests {
    use super::{broker, results, service_of_queue};
    use crate::project::Project;
    use crate::project::declared::Declared;
    use crate::project::workload::DriverName;

    fn project(services: &str) -> Project {
        let yaml = format!("name: shop\nservices:\n{services}");
        Project::new(Declared::parse(&yaml, "").unwrap(), Vec::new())
    }

    #[test]
    fn takes_what_the_workers_themselves_use() {
        for (services, expected) in [
            (
                "  w: {image: a, environment: {CELERY_BROKER_URL: 'redis://r/1', REDIS_URL: 'redis://r/0'}}",
                "w CELERY_BROKER_URL redis://r/1",
            ),
            (
                "  w: {image: a, environment: [BROKER_URL=amqp://guest:guest@mq//]}",
                "w BROKER_URL amqp://guest:***@mq//",
            ),
            (
                "  w: {image: a, environment: {REDIS_URL: 'redis://r'}}",
                "w REDIS_URL redis://r",
            ),
            (
                "  w: {image: a, environment: {REDIS_HOST: r, REDIS_PORT: '7000', REDIS_PASSWORD: secret}}",
                "w REDIS_HOST redis://:***@r:7000",
            ),
            // The web's cache is not the workers' broker.
            (
                "  web: {image: a, environment: {REDIS_URL: 'redis://cache'}}\n  w: {image: a, command: celery -A p worker, environment: {BROKER_URL: 'redis://r'}}",
                "w BROKER_URL redis://r",
            ),
            ("  w: {image: a}", ""),
        ] {
            let found = broker(&project(services), DriverName::Celery, None).unwrap();
            let found = found.map_or(String::new(), |found| {
                format!("{} {} {}", found.service, found.variable, found.address)
            });
            assert_eq!(found, expected, "{services}");
        }
        let two = "  v: {image: a, environment: {BROKER_URL: 'redis://:s3cret@a'}}\n  w: {image: a, environment: {BROKER_URL: 'redis://b'}}";
        let said = broker(&project(two), DriverName::Celery, None).unwrap_err();
        assert!(
            said.contains("redis://:***@a") && said.contains("redis://b"),
            "{said}"
        );
        let one = broker(&project(two), DriverName::Celery, Some("w"))
            .unwrap()
            .unwrap();
        assert_eq!(one.address.host(), "b");
        let backend = "  w: {image: a, environment: {RESULT_URL: 'redis://r/2'}}";
        assert_eq!(
            results(&project(backend), None).unwrap().unwrap().variable,
            "RESULT_URL"
        );
    }

    #[test]
    fn knows_whose_queue_it_is() {
        let project = project(
            "  beat: {image: a, command: celery -A p beat}\n  \
             a: {image: a, command: [celery, -A, p, worker, -Q, 'queue_a,other']}\n  \
             b: {image: a, command: 'sh -c \"celery -A p worker --queues=queue_b\"'}\n  \
             c: {image: a, command: celery -A p worker}\n  \
             d: {image: a, x-rscale: {queue: {driver: bullmq, broker: 'redis://r', name: jobs}}}\n",
        );
        for (driver, queue, expected) in [
            (DriverName::Celery, "queue_a", Some("a")),
            (DriverName::Celery, "other", Some("a")),
            (DriverName::Celery, "queue_b", Some("b")),
            (DriverName::Celery, "celery", Some("c")),
            (DriverName::Celery, "nobody", None),
            (DriverName::Bullmq, "jobs", Some("d")),
        ] {
            assert_eq!(
                service_of_queue(&project, driver, queue),
                expected,
                "{queue}"
            );
        }
    }
}
