//! Reading `load-test` of the file's own `x-rscale`: the tasks that a load test sends.

use std::collections::BTreeMap;

use serde_yaml::Value;

use super::address::Address;
use super::declared::Service;
use super::place::Place;
use super::queue_section::queue;
use super::workload;
use super::workload::{CommandWork, DriverName, HttpWork, Queue, TaskType, Work};
use crate::error::Result;

/// `load-test` of the file's own `x-rscale`.
///
/// # Errors
/// An unknown key, a missing one, a wrong type; a service that is not there or has no `queue`.
pub fn task_types(
    place: &Place,
    value: &Value,
    services: &BTreeMap<String, Service>,
) -> Result<Vec<TaskType>> {
    let mut types = Vec::new();
    for (key, value) in place.entries(value, &["tasks"])? {
        let place = place.child(key);
        for (name, value) in place.any_entries(value)? {
            types.push(task_type(&place.child(name), name, value, services)?);
        }
    }
    Ok(types)
}

const TASK_KEYS: [&str; 20] = [
    "service",
    "queue",
    "task",
    "args",
    "kwargs",
    "job",
    "data",
    "attempts",
    "payload",
    "push",
    "fields",
    "url",
    "method",
    "headers",
    "body",
    "replica-header",
    "command",
    "exec",
    "run",
    "once",
];

fn task_type(
    place: &Place,
    name: &str,
    value: &Value,
    services: &BTreeMap<String, Service>,
) -> Result<TaskType> {
    let given: BTreeMap<&str, &Value> = place.entries(value, &TASK_KEYS)?.into_iter().collect();
    let entry = Entry { place, given };
    let service = entry.read("service", Place::text)?;
    if let Some(service) = &service
        && !services.contains_key(service)
    {
        let error = place.wrong(&format!("there is no service `{service}`"));
        let nearest = crate::suggest::nearest(service, services.keys().map(String::as_str));
        return Err(match nearest {
            Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
            None => error,
        });
    }
    let work = if entry.given.contains_key("url") {
        entry.http()?
    } else if ["command", "exec", "run"]
        .iter()
        .any(|key| entry.given.contains_key(key))
    {
        entry.command(service.as_deref())?
    } else {
        entry.queued(service.as_deref().and_then(|name| services.get(name)))?
    };
    Ok(TaskType {
        name: name.to_owned(),
        service,
        work,
    })
}

/// One entry of `tasks`.
struct Entry<'a> {
    place: &'a Place,
    given: BTreeMap<&'a str, &'a Value>,
}

impl Entry<'_> {
    fn read<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Place, &Value) -> Result<T>,
    ) -> Result<Option<T>> {
        let value = self.given.get(key);
        value
            .map(|value| read(&self.place.child(key), value))
            .transpose()
    }

    fn require<T>(&self, key: &str, read: impl FnOnce(&Place, &Value) -> Result<T>) -> Result<T> {
        self.read(key, read)?
            .ok_or_else(|| self.place.wrong(&format!("`{key}` is missing")))
    }

    /// Refuses keys that mean nothing to the driver.
    fn only(&self, driver: DriverName, known: &[&str]) -> Result<()> {
        let stranger = self
            .given
            .keys()
            .find(|key| **key != "service" && !known.contains(*key));
        match stranger {
            None => Ok(()),
            Some(key) => Err(self
                .place
                .wrong(&format!("`{key}` means nothing to the driver {driver}"))
                .hint(format!("its keys are service, {}", known.join(", ")))),
        }
    }

    fn queued(&self, service: Option<&Service>) -> Result<Work> {
        let of_service = service.and_then(|service| service.policy.queue.clone());
        let queue = match (self.given.get("queue"), of_service) {
            (Some(Value::String(name)), Some(queue)) => Queue {
                name: name.clone(),
                ..queue
            },
            (Some(value), _) => queue(&self.place.child("queue"), value)?,
            (None, Some(queue)) => queue,
            (None, None) => {
                return Err(self.place.wrong("nothing says where it is to be sent").hint(
                    "give its service a queue: services.SERVICE.x-rscale.queue: {driver: celery, broker: ..., name: ...}",
                ));
            }
        };
        let driver = queue.driver;
        Ok(match driver {
            DriverName::Bullmq => {
                self.only(driver, &["queue", "job", "data", "attempts"])?;
                Work::Bullmq {
                    queue,
                    job: self.require("job", Place::literal)?,
                    data: self
                        .read("data", Place::json)?
                        .unwrap_or_else(|| serde_json::json!({}))
                        .into(),
                    attempts: self.read("attempts", Place::count)?.unwrap_or(0),
                }
            }
            DriverName::RedisList => {
                self.only(driver, &["queue", "payload", "push"])?;
                Work::RedisList {
                    queue,
                    payload: self.require("payload", text_or_json)?.into(),
                    right: self.read("push", side)?.unwrap_or(false),
                }
            }
            DriverName::RedisStream => {
                self.only(driver, &["queue", "fields"])?;
                Work::RedisStream {
                    queue,
                    fields: self.require("fields", pairs)?.into(),
                }
            }
            DriverName::Celery | DriverName::Http | DriverName::Command => {
                self.only(driver, &["queue", "task", "args", "kwargs"])?;
                let list = |place: &Place, value: &Value| match place.json(value)? {
                    serde_json::Value::Array(items) => Ok(items),
                    _ => Err(place.expected("a list", value)),
                };
                let mapping = |place: &Place, value: &Value| match place.json(value)? {
                    serde_json::Value::Object(entries) => Ok(entries),
                    _ => Err(place.expected("a mapping", value)),
                };
                Work::Celery {
                    queue,
                    task: self.require("task", Place::literal)?,
                    args: self.read("args", list)?.unwrap_or_default().into(),
                    kwargs: self.read("kwargs", mapping)?.unwrap_or_default().into(),
                }
            }
        })
    }

    fn http(&self) -> Result<Work> {
        let keys = ["url", "method", "headers", "body", "replica-header"];
        self.only(DriverName::Http, &keys)?;
        let url = |place: &Place, value: &Value| {
            let address: Address = place.address(value)?;
            match address.scheme() {
                "http" | "https" => Ok(address),
                _ => Err(place.wrong("wanted a URL that begins with http:// or https://")),
            }
        };
        Ok(Work::Http(HttpWork {
            url: self.require("url", url)?,
            method: self
                .read("method", Place::literal)?
                .map_or_else(|| "GET".into(), |method| method.to_uppercase()),
            headers: self.read("headers", pairs)?.unwrap_or_default().into(),
            body: self.read("body", text_or_json)?.unwrap_or_default().into(),
            replica_header: self.read("replica-header", Place::literal)?,
        }))
    }

    fn command(&self, service: Option<&str>) -> Result<Work> {
        self.only(DriverName::Command, &["command", "exec", "run", "once"])?;
        let service = || {
            let service = service.map(str::to_owned);
            service.ok_or_else(|| {
                self.place
                    .wrong("`service` is missing: where is it to run?")
            })
        };
        let (key, place) = if self.given.contains_key("exec") {
            ("exec", workload::Place::Exec(service()?))
        } else if self.given.contains_key("run") {
            ("run", workload::Place::Run(service()?))
        } else {
            ("command", workload::Place::Local)
        };
        Ok(Work::Command(CommandWork {
            words: self.require(key, Place::command)?,
            place,
            once: self.read("once", Place::boolean)?.unwrap_or(false),
        }))
    }
}

/// Text as it is; anything else as JSON.
fn text_or_json(place: &Place, value: &Value) -> Result<String> {
    match value {
        Value::String(_) => place.literal(value),
        _ => Ok(place.json(value)?.to_string()),
    }
}

fn side(place: &Place, value: &Value) -> Result<bool> {
    match place.text(value)?.as_str() {
        "left" => Ok(false),
        "right" => Ok(true),
        _ => Err(place.expected("left or right", value)),
    }
}

fn pairs(place: &Place, value: &Value) -> Result<Vec<(String, String)>> {
    let entries = place.any_entries(value)?;
    entries
        .into_iter()
        .map(|(name, value)| {
            let value = text_or_json(&place.child(name), value)?;
            Ok((name.to_owned(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::project::declared::Declared;
    use crate::project::workload::{Place, Work};

    const SERVICES: &str = "name: shop
services:
  a: {image: a, x-rscale: {queue: {driver: celery, broker: 'amqp://guest:pa$$$$word@mq//', results: 'redis://redis/1', name: queue_a}}}
  b: {image: b, x-rscale: {queue: {driver: bullmq, broker: 'redis://redis', name: jobs}}}
  s: {image: s, x-rscale: {queue: {driver: redis-stream, broker: 'redis://redis', name: tasks, group: g}}}
  l: {image: l, x-rscale: {queue: {driver: redis-list, broker: 'redis://redis', name: tasks}}}
  web: {image: w}
";

    fn parse(tasks: &str) -> Result<Declared, String> {
        Declared::parse(
            &format!("{SERVICES}x-rscale: {{load-test: {{tasks: {tasks}}}}}\n"),
            "",
        )
        .map_err(|error| format!("{} ({})", error.message, error.hints.join("; ")))
    }

    #[test]
    fn reads_the_work_of_every_driver() {
        let declared = parse(
            "{Task A: {service: a, task: tasks.a, args: [1, x], kwargs: {k: '$$1'}}, Task B: {service: a, queue: other, task: t}, \
             Job: {service: b, job: resize, data: {n: 1}}, Stream: {service: s, fields: {id: '{id}', n: 1}}, \
             List: {service: l, payload: {id: '{id}'}, push: right}, \
             Home: {service: web, url: 'http://web:8000/', method: post, headers: {X-A: b}, body: {a: 1}, replica-header: X-Replica}, \
             Cmd: {service: web, exec: [python, 'bench.py', '{count}'], once: true}, Local: {command: ./bench.sh}}",
        )
        .unwrap();
        let names: Vec<&str> = declared
            .task_types
            .iter()
            .map(|task| task.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "Task A", "Task B", "Job", "Stream", "List", "Home", "Cmd", "Local"
            ]
        );
        let works: Vec<&Work> = declared.task_types.iter().map(|task| &task.work).collect();
        let Work::Celery {
            queue,
            task,
            args,
            kwargs,
        } = works[0]
        else {
            panic!("{works:?}")
        };
        assert_eq!((task.as_str(), queue.name.as_str()), ("tasks.a", "queue_a"));
        assert_eq!(
            (serde_json::json!(**args), serde_json::json!(**kwargs)),
            (serde_json::json!([1, "x"]), serde_json::json!({"k": "$1"}))
        );
        assert_eq!(queue.broker.password().as_deref(), Some("pa$$word"));
        assert_eq!(works[1].queue().unwrap().name, "other");
        let Work::RedisList { payload, right, .. } = works[4] else {
            panic!("{works:?}")
        };
        assert_eq!((payload.as_str(), *right), (r#"{"id":"{id}"}"#, true));
        let Work::Http(http) = works[5] else {
            panic!("{works:?}")
        };
        assert_eq!(
            (http.method.as_str(), http.body.as_str()),
            ("POST", r#"{"a":1}"#)
        );
        let Work::Command(command) = works[6] else {
            panic!("{works:?}")
        };
        assert_eq!(
            (&command.place, command.once),
            (&Place::Exec("web".into()), true)
        );
    }

    #[test]
    fn refuses_what_it_does_not_know_and_names_the_place() {
        let at = "`x-rscale.load-test.tasks.T";
        let correct = "(correct it in the compose file; every key: docs/policy.md";
        for (tasks, message) in [
            (
                "{T: {service: x, task: t}}",
                format!("{at}`: there is no service `x` {correct})"),
            ),
            (
                "{T: {service: a}}",
                format!("{at}`: `task` is missing {correct})"),
            ),
            (
                "{T: {service: a, tsk: t}}",
                format!("{at}`: unknown key `tsk` (did you mean `task`?)"),
            ),
            (
                "{T: {service: b, task: t}}",
                format!(
                    "{at}`: `task` means nothing to the driver bullmq {correct}; its keys are service, queue, job, data, attempts)"
                ),
            ),
            (
                "{T: {service: web, task: t}}",
                format!(
                    "{at}`: nothing says where it is to be sent {correct}; give its service a queue: services.SERVICE.x-rscale.queue: {{driver: celery, broker: ..., name: ...}})"
                ),
            ),
            (
                "{T: {url: 'ftp://x'}}",
                format!("{at}.url`: wanted a URL that begins with http:// or https:// {correct})"),
            ),
            (
                "{T: {exec: [a]}}",
                format!("{at}`: `service` is missing: where is it to run? {correct})"),
            ),
            (
                "{T: {service: a, task: t, args: 5}}",
                format!("{at}.args`: got `5`, wanted a list {correct})"),
            ),
        ] {
            assert_eq!(parse(tasks).unwrap_err(), message);
        }
        let queue = |queue: &str| {
            let yaml = format!("services: {{a: {{image: a, x-rscale: {{queue: {queue}}}}}}}");
            let error = Declared::parse(&yaml, "").unwrap_err();
            format!("{} ({})", error.message, error.hints.join("; "))
        };
        let said = queue("{driver: celry, broker: 'redis://r', name: q}");
        assert!(
            said.contains("there is no driver `celry`") && said.contains("did you mean `celery`?"),
            "{said}"
        );
        let said = queue("{driver: celery, broker: 's3cret', name: q}");
        assert!(
            said.contains("it is no URL") && !said.contains("s3cret"),
            "{said}"
        );
        assert!(queue("{driver: celery, broker: 'redis://r'}").contains("`name` is missing"));
    }

    #[test]
    fn the_top_level_has_keys_of_its_own() {
        let yaml = "services: {}\nx-rscale: {loadtest: {}}";
        assert_eq!(
            Declared::parse(yaml, "").unwrap_err().hints,
            ["did you mean `load-test`?"]
        );
        assert!(Declared::parse("services: {}\nx-rscale: {load-test: {}}", "").is_ok());
    }
}
