//! Secrets: values of services' and hooks' variables, passwords in URLs, headers, payloads. They are where they are needed,
//! and neither in arguments, which everybody on the machine can read, nor in anything that is printed.

use crate::support::fake::{Answer, Fake, Ran, running};

const SECRET: &str = "S3CRET";

fn shop() -> String {
    format!(
        "services:
  web:
    image: a
    environment: {{DATABASE_URL: 'postgres://u:{SECRET}@db/x', TOKEN: {SECRET}}}
    pre_stop: [{{command: [deregister], environment: {{TOKEN: '{SECRET}', API_KEY: 'a {SECRET}'}}}}]
    x-rscale: {{queue: {{driver: redis-list, broker: 'redis://:{SECRET}@127.0.0.1:9', name: q}}}}
x-rscale:
  load-test:
    tasks:
      Home: {{service: web, url: 'http://u:{SECRET}@127.0.0.1:9/?key={SECRET}', headers: {{Authorization: Bearer {SECRET}}}, body: {SECRET}}}"
    )
}

/// Two replicas, of which one can be removed.
fn fake() -> Fake {
    Fake::new(&shop())
        .containers(running("web", 2))
        .on("^rm", Answer::makes(running("web", 1)))
}

#[track_caller]
fn is_kept(line: &str, ran: &Ran) {
    for (place, text) in [
        ("stdout", &ran.stdout),
        ("stderr", &ran.stderr),
        ("arguments", &ran.calls.join("\n")),
    ] {
        assert!(!text.contains(SECRET), "rscale {line}: {place}: {text}");
    }
}

#[test]
fn no_secret_is_printed_logged_or_an_argument() {
    for line in [
        "status -vvv",
        "check -vvv",
        "web=1 --dry-run -vvv",
        "web=1 --dry-run --format json",
        "web=1 -vvv",
        "web=1 --format json -vvv",
        "load-test --tasks 1 -vvv",
        "load-test --tasks 1 --http http://u:S3CRET@127.0.0.1:9/?a=S3CRET --header X-Key:S3CRET --body S3CRET -vvv",
        "load-test --tasks 1 --redis-list redis://u:S3CRET@127.0.0.1:9 --key k --payload S3CRET -vvv",
        "load-test --tasks 1 --celery amqp://u:S3CRET@127.0.0.1:9 --task t@q --args [\"S3CRET\"] -vvv",
        "export swarm --output=/dev/null/x",
    ] {
        let fake = fake().line(line);
        let ran = fake.output();
        is_kept(line, &ran);
        if line.starts_with("web=1 -") && !line.contains("dry") {
            assert_eq!(ran.status, 0, "{ran:#?}");
        }
    }
}

#[test]
fn a_hook_gets_its_variables_from_the_environment_of_the_client() {
    let fake = fake().line("web=1");
    let ran = fake.output();
    assert!(
        ran.calls
            .contains(&"exec --env API_KEY --env TOKEN web-2-id deregister".to_owned()),
        "{:#?}",
        ran.calls
    );
    let environment = fake.environment_of_exec();
    assert!(
        environment.contains("TOKEN='S3CRET'") && environment.contains("API_KEY='a S3CRET'"),
        "{environment}"
    );
}

#[test]
fn a_wrong_value_is_said_without_its_secret() {
    for (policy, message) in [
        (
            "queue: 'amqp://user:S3CRET@rabbitmq//'",
            "`services.web.x-rscale.queue`: got a text, wanted a mapping",
        ),
        (
            "queue: {driver: 'amqp://user:S3CRET@mq', broker: 'redis://r', name: q}",
            "`services.web.x-rscale.queue.driver`: there is no driver `amqp://user:***@mq`",
        ),
        (
            "queue: {'amqp://user:S3CRET@mq': }",
            "`services.web.x-rscale.queue`: unknown key `amqp://user:***@mq`",
        ),
        (
            "queue: {driver: celery, broker: 'user:S3CRET@mq', name: q}",
            "`services.web.x-rscale.queue.broker`: it is no URL (without `://`), wanted one such as redis://redis:6379/0",
        ),
        (
            "max: 'amqp://user:S3CRET@mq'",
            "`services.web.x-rscale.max`: got `amqp://user:***@mq`, wanted a whole number",
        ),
        (
            "connections: 'token S3CRET'",
            "`services.web.x-rscale.connections`: got a text, wanted a mapping",
        ),
        (
            "refresh: {service: 'amqp://u:S3CRET@mq'}",
            "`services.web.x-rscale.refresh`: got a mapping, wanted a list",
        ),
    ] {
        let fake = Fake::new(&format!(
            "services:\n  web: {{image: a, x-rscale: {{{policy}}}}}"
        ));
        let ran = fake.line("status").output();
        assert_eq!(ran.status, 4, "{policy}: {ran:#?}");
        is_kept(policy, &ran);
        let error = format!("error: {message}\n");
        assert!(ran.stderr.starts_with(&error), "{policy}: {}", ran.stderr);
    }
}

#[test]
fn help_does_not_show_what_the_environment_has() {
    let variables = [
        "CELERY",
        "RESULTS",
        "ARGS",
        "KWARGS",
        "BULLMQ",
        "DATA",
        "REDIS_LIST",
        "REDIS_STREAM",
        "PAYLOAD",
        "FIELD",
        "HTTP",
        "HEADER",
        "BODY",
        "COMMAND",
    ];
    for line in ["load-test --help", "load-test -h", "help load-test"] {
        let fake = variables
            .iter()
            .fold(Fake::new("services: {}"), |fake, name| {
                fake.env(&format!("RSCALE_{name}"), SECRET)
            });
        let ran = fake.line(line).output();
        assert_eq!(ran.status, 0);
        is_kept(line, &ran);
    }
}
