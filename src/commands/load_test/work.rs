//! From what was typed, or what the compose file says, to the task types of a run. Pure.

use serde_json::{Map, Value};

use crate::cli::WorkArgs;
use crate::error::{Error, Result};
use crate::load::discover::{self, Found};
use crate::project::Project;
use crate::project::address::{Address, masked};
use crate::project::workload::{CommandWork, DriverName, HttpWork, Place, Queue, TaskType, Work};

/// What is sent, and what should be said of where that was found.
#[derive(Debug, Default, PartialEq)]
pub struct Workload {
    pub types: Vec<TaskType>,
    pub notes: Vec<String>,
}

/// The task types that options name; without any, those of the compose file.
///
/// # Errors
/// Exit 2: nothing to send, or an option that cannot be read.
pub fn workload(args: &WorkArgs, project: &Project) -> Result<Workload> {
    let mut work = Typed {
        args,
        project,
        workload: Workload::default(),
    };
    work.celery()?;
    work.bullmq()?;
    work.redis()?;
    work.http()?;
    work.command()?;
    let mut workload = work.workload;
    if workload.types.is_empty() {
        workload.types.clone_from(&project.declared.task_types);
    }
    if workload.types.is_empty() {
        return Err(nothing(project));
    }
    name_apart(&mut workload.types);
    Ok(workload)
}

fn nothing(project: &Project) -> Error {
    let mut error = Error::usage("nothing says what is to be sent").hint(
        "in the compose file: x-rscale: {load-test: {tasks: {...}}}, see docs/load-testing.md",
    );
    let found = discover::broker(project, DriverName::Celery, None);
    error = match found {
        Ok(Some(found)) => error.hint(format!(
            "or with options (`{}` has {}={}): rscale load-test --task tasks.add@queue",
            found.service, found.variable, found.address
        )),
        _ => error.hint("or with options: rscale load-test --task tasks.add@queue"),
    };
    error.hint("or for a web service: rscale load-test --http http://SERVICE:PORT/")
}

/// Types of one name are told apart by their queues, then by numbers.
fn name_apart(types: &mut [TaskType]) {
    for place in 0..types.len() {
        let taken =
            |name: &str, types: &[TaskType]| types[..place].iter().any(|other| other.name == name);
        if !taken(&types[place].name, types) {
            continue;
        }
        let mut name = types[place].name.clone();
        if let Some(queue) = types[place].work.queue() {
            name = format!("{name} ({})", queue.name);
        }
        let mut number = 2;
        let stem = name.clone();
        while taken(&name, types) {
            name = format!("{stem} {number}");
            number += 1;
        }
        types[place].name = name;
    }
}

struct Typed<'a> {
    args: &'a WorkArgs,
    project: &'a Project,
    workload: Workload,
}

impl Typed<'_> {
    fn celery(&mut self) -> Result<()> {
        if self.args.task.is_empty() {
            if self.args.celery.is_some() {
                return Err(Error::usage("`--celery` needs a task to send")
                    .hint("rscale load-test --celery URL --task tasks.add@queue"));
            }
            return Ok(());
        }
        let Value::Array(args) = json("--args", self.args.args.as_deref(), "[]")? else {
            return Err(Error::usage("`--args` is no JSON list").hint("--args '[1, 2]'"));
        };
        let Value::Object(kwargs) = json("--kwargs", self.args.kwargs.as_deref(), "{}")? else {
            return Err(Error::usage("`--kwargs` is no JSON object").hint("--kwargs '{\"n\": 1}'"));
        };
        for typed in &self.args.task {
            let (task, name) = name_and_queue(typed, "--task", "tasks.add@queue")?;
            let service = self.service_of(DriverName::Celery, name);
            let queue = match self.of_policy(service.as_deref(), DriverName::Celery, name) {
                Some(queue) if self.args.celery.is_none() => Queue {
                    results: self.results(service.as_deref(), queue.results.as_ref())?,
                    ..queue
                },
                _ => Queue {
                    driver: DriverName::Celery,
                    broker: self.broker(DriverName::Celery, service.as_deref())?,
                    results: self.results(service.as_deref(), None)?,
                    name: name.to_owned(),
                    prefix: None,
                    group: None,
                },
            };
            let work = Work::Celery {
                queue,
                task: task.to_owned(),
                args: args.clone().into(),
                kwargs: Map::clone(&kwargs).into(),
            };
            self.push(task.to_owned(), service, work);
        }
        Ok(())
    }

    fn bullmq(&mut self) -> Result<()> {
        if self.args.job.is_empty() {
            if self.args.bullmq.is_some() {
                return Err(Error::usage("`--bullmq` needs a job to send")
                    .hint("rscale load-test --bullmq URL --job resize@images"));
            }
            return Ok(());
        }
        let data = json("--data", self.args.data.as_deref(), "{}")?;
        for typed in &self.args.job {
            let (job, name) = name_and_queue(typed, "--job", "resize@images")?;
            let service = self.service_of(DriverName::Bullmq, name);
            let queue = match self.of_policy(service.as_deref(), DriverName::Bullmq, name) {
                Some(queue) if self.args.bullmq.is_none() => queue,
                _ => {
                    let broker = self.broker(DriverName::Bullmq, service.as_deref())?;
                    queue_at(DriverName::Bullmq, broker, name)
                }
            };
            let work = Work::Bullmq {
                queue,
                job: job.to_owned(),
                data: data.clone().into(),
                attempts: 0,
            };
            self.push(job.to_owned(), service, work);
        }
        Ok(())
    }

    fn redis(&mut self) -> Result<()> {
        let key = self.args.key.as_deref().unwrap_or_default();
        if let Some(url) = &self.args.redis_list {
            let queue = queue_at(DriverName::RedisList, address("--redis-list", url)?, key);
            let work = Work::RedisList {
                queue,
                payload: self.args.payload.clone().unwrap_or_default().into(),
                right: false,
            };
            self.push(
                key.to_owned(),
                self.service_of(DriverName::RedisList, key),
                work,
            );
        }
        if let Some(url) = &self.args.redis_stream {
            let fields = self.args.field.iter().map(|field| {
                let (name, value) = field.split_once('=').ok_or_else(|| {
                    // Its value may be a secret.
                    Error::usage("a `--field` has no `=`").hint("--field id={id}")
                })?;
                Ok((name.to_owned(), value.to_owned()))
            });
            let fields = fields.collect::<Result<Vec<_>>>()?;
            let queue = Queue {
                group: self.args.group.clone(),
                ..queue_at(
                    DriverName::RedisStream,
                    address("--redis-stream", url)?,
                    key,
                )
            };
            let work = Work::RedisStream {
                queue,
                fields: fields.into(),
            };
            self.push(
                key.to_owned(),
                self.service_of(DriverName::RedisStream, key),
                work,
            );
        }
        Ok(())
    }

    fn http(&mut self) -> Result<()> {
        let headers = self.args.header.iter().map(|header| {
            let (name, value) = header.split_once(':').ok_or_else(|| {
                // Its value may be a secret.
                Error::usage("a `--header` has no `:`").hint("--header 'Accept: text/html'")
            })?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        });
        let headers = headers.collect::<Result<Vec<_>>>()?;
        for url in &self.args.http {
            let url = if url.contains("://") {
                url.clone()
            } else {
                format!("http://{url}")
            };
            let url = address("--http", &url)?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(
                    Error::usage(format!("`--http {url}` is no URL of a web server"))
                        .hint("rscale load-test --http http://web:8000/"),
                );
            }
            let method = self.args.method.to_uppercase();
            let name = format!("{method} {}", url.url().path());
            let service = self.project.service(url.host());
            let work = Work::Http(HttpWork {
                method,
                headers: headers.clone().into(),
                body: self.args.body.clone().unwrap_or_default().into(),
                replica_header: self.args.replica_header.clone(),
                url: url.clone(),
            });
            self.push(name, service.map(|service| service.name.clone()), work);
        }
        Ok(())
    }

    fn command(&mut self) -> Result<()> {
        let Some(line) = &self.args.command else {
            return Ok(());
        };
        let words = shlex::split(line).filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| {
            Error::usage("what `--command` says is no command")
                .hint("rscale load-test --command './bench.sh {id}'")
        })?;
        let name = words[0].clone();
        let work = Work::Command(CommandWork {
            words,
            place: Place::Local,
            once: self.args.once,
        });
        self.push(name, None, work);
        Ok(())
    }

    fn push(&mut self, name: String, service: Option<String>, work: Work) {
        self.workload.types.push(TaskType {
            name,
            service,
            work,
        });
    }

    fn service_of(&self, driver: DriverName, queue: &str) -> Option<String> {
        discover::service_of_queue(self.project, driver, queue).map(str::to_owned)
    }

    /// The queue that a service's policy has.
    fn of_policy(&self, service: Option<&str>, driver: DriverName, name: &str) -> Option<Queue> {
        let queue = self.project.service(service?)?.policy.queue.clone()?;
        (queue.driver == driver && queue.name == name).then_some(queue)
    }

    fn broker(&mut self, driver: DriverName, service: Option<&str>) -> Result<Address> {
        let (flag, typed) = match driver {
            DriverName::Celery => ("--celery", &self.args.celery),
            _ => ("--bullmq", &self.args.bullmq),
        };
        if let Some(url) = typed {
            return address(flag, url);
        }
        let found = discover::broker(self.project, driver, service).map_err(|why| {
            Error::usage(format!("the services name several brokers: {why}"))
                .hint(format!("say which: rscale load-test {flag} URL ..."))
        })?;
        let found = found.ok_or_else(|| {
            Error::usage("no service's environment names a broker")
                .hint(format!("say where it is: rscale load-test {flag} URL ..."))
        })?;
        Ok(self.took("broker", found))
    }

    fn results(
        &mut self,
        service: Option<&str>,
        of_policy: Option<&Address>,
    ) -> Result<Option<Address>> {
        if let Some(url) = &self.args.results {
            return address("--results", url).map(Some);
        }
        if let Some(address) = of_policy {
            return Ok(Some(address.clone()));
        }
        let found = discover::results(self.project, service).map_err(|why| {
            Error::usage(format!("the services name several result backends: {why}"))
                .hint("say which: rscale load-test --results URL ...")
        })?;
        Ok(found.map(|found| self.took("result backend", found)))
    }

    fn took(&mut self, what: &str, found: Found) -> Address {
        let note = format!(
            "took the {what} from `{}`: {}={}",
            found.service, found.variable, found.address
        );
        if !self.workload.notes.contains(&note) {
            self.workload.notes.push(note);
        }
        found.address
    }
}

fn queue_at(driver: DriverName, broker: Address, name: &str) -> Queue {
    Queue {
        driver,
        broker,
        results: None,
        name: name.to_owned(),
        prefix: None,
        group: None,
    }
}

fn address(flag: &str, text: &str) -> Result<Address> {
    Address::parse(text).map_err(|why| Error::usage(format!("`{flag}`: {why}")))
}

fn json(flag: &str, text: Option<&str>, default: &str) -> Result<Value> {
    serde_json::from_str(text.unwrap_or(default))
        .map_err(|error| Error::usage(format!("`{flag}` is no JSON: {error}")))
}

fn name_and_queue<'t>(typed: &'t str, flag: &str, example: &str) -> Result<(&'t str, &'t str)> {
    typed
        .rsplit_once('@')
        .filter(|(name, queue)| !name.is_empty() && !queue.is_empty())
        .ok_or_else(|| {
            Error::usage(format!("`{flag} {}` names no queue", masked(typed)))
                .hint(format!("write it with its queue: {flag} {example}"))
        })
}

#[cfg(test)]
mod tests {
    use super::{Workload, workload};
    use crate::cli::WorkArgs;
    use crate::project::Project;
    use crate::project::declared::Declared;
    use crate::project::workload::Work;

    const YAML: &str = "name: shop
services:
  worker-a: {image: a, command: celery -A p worker -Q queue_a, environment: {BROKER_URL: 'amqp://guest:pa55@mq//', RESULT_URL: 'redis://redis/1'}}
  web: {image: a}
";

    fn of(args: &WorkArgs, yaml: &str) -> Result<Workload, String> {
        let project = Project::new(Declared::parse(yaml, "").unwrap(), Vec::new());
        workload(args, &project)
            .map_err(|error| format!("{} | {}", error.message, error.hints.join(" | ")))
    }

    fn args() -> WorkArgs {
        WorkArgs {
            method: "GET".into(),
            ..WorkArgs::default()
        }
    }

    #[test]
    fn options_alone_are_enough_and_the_environment_says_where() {
        let typed = WorkArgs {
            task: vec![
                "tasks.a@queue_a".into(),
                "tasks.b@queue_a".into(),
                "tasks.b@other".into(),
            ],
            args: Some("[1]".into()),
            ..args()
        };
        let found = of(&typed, YAML).unwrap();
        let names: Vec<&str> = found.types.iter().map(|task| task.name.as_str()).collect();
        assert_eq!(names, ["tasks.a", "tasks.b", "tasks.b (other)"]);
        assert_eq!(found.types[0].service.as_deref(), Some("worker-a"));
        let Work::Celery { queue, args, .. } = &found.types[0].work else {
            panic!()
        };
        assert_eq!(
            (
                queue.broker.host(),
                queue.results.as_ref().unwrap().path().as_ref(),
                args.len()
            ),
            ("mq", "1", 1)
        );
        assert_eq!(
            found.notes,
            [
                "took the broker from `worker-a`: BROKER_URL=amqp://guest:***@mq//",
                "took the result backend from `worker-a`: RESULT_URL=redis://redis/1"
            ]
        );
    }

    #[test]
    fn options_come_before_the_compose_file() {
        let yaml =
            format!("{YAML}x-rscale: {{load-test: {{tasks: {{Home: {{url: 'http://web/'}}}}}}}}\n");
        assert_eq!(of(&args(), &yaml).unwrap().types[0].name, "Home");
        let typed = WorkArgs {
            http: vec!["web:8000/a".into()],
            ..args()
        };
        let found = of(&typed, &yaml).unwrap();
        assert_eq!(
            (found.types.len(), found.types[0].name.as_str()),
            (1, "GET /a")
        );
        assert_eq!(found.types[0].service.as_deref(), Some("web"));
    }

    #[test]
    fn what_cannot_be_read_is_said_without_secrets() {
        let cases: [(WorkArgs, &str); 10] = [
            (
                args(),
                "nothing says what is to be sent | in the compose file",
            ),
            (
                WorkArgs {
                    task: vec!["tasks.a".into()],
                    ..args()
                },
                "`--task tasks.a` names no queue",
            ),
            (
                WorkArgs {
                    task: vec!["t@q".into()],
                    args: Some("{}".into()),
                    ..args()
                },
                "`--args` is no JSON list",
            ),
            (
                WorkArgs {
                    celery: Some("redis://r".into()),
                    ..args()
                },
                "`--celery` needs a task",
            ),
            (
                WorkArgs {
                    celery: Some("pa55".into()),
                    task: vec!["t@q".into()],
                    ..args()
                },
                "`--celery`: it is no URL",
            ),
            (
                WorkArgs {
                    http: vec!["ftp://x".into()],
                    ..args()
                },
                "`--http ftp://x/` is no URL of a web server",
            ),
            (
                WorkArgs {
                    http: vec!["http://x".into()],
                    header: vec!["pa55".into()],
                    ..args()
                },
                "a `--header` has no `:`",
            ),
            (
                WorkArgs {
                    command: Some("pa55 '".into()),
                    ..args()
                },
                "what `--command` says is no command",
            ),
            (
                WorkArgs {
                    redis_stream: Some("redis://r".into()),
                    field: vec!["pa55".into()],
                    ..args()
                },
                "a `--field` has no `=`",
            ),
            (
                WorkArgs {
                    task: vec!["amqp://u:pa55@".into()],
                    ..args()
                },
                "`--task amqp://u:***@` names no queue",
            ),
        ];
        for (typed, expected) in cases {
            let said = of(&typed, YAML).unwrap_err();
            assert!(said.starts_with(expected), "{said}");
            assert!(!said.contains("pa55"), "{said}");
        }
    }
}
