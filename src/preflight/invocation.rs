//! What a service runs: its command line, taken out of shells and wrappers, one program at a time.

use crate::project::Project;
use crate::project::declared::Service;

/// One program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The last path component of what is called.
    pub program: String,
    pub arguments: Vec<String>,
}

/// Shells and other programs that take a whole command line as one argument.
const SHELLS: &[&str] = &[
    "sh",
    "bash",
    "ash",
    "dash",
    "zsh",
    "su",
    "runuser",
    "watchfiles",
    "nodemon",
];

/// Words that stand before a program and take no argument of their own, shell keywords included.
const PREFIXES: &[&str] = &[
    "!",
    "--",
    "busybox",
    "catatonit",
    "command",
    "ddtrace-run",
    "do",
    "dumb-init",
    "else",
    "env",
    "exec",
    "if",
    "init",
    "newrelic-admin",
    "nohup",
    "opentelemetry-instrument",
    "run-program",
    "setsid",
    "stdbuf",
    "sudo",
    "then",
    "time",
    "tini",
    "until",
    "while",
    "{",
];

/// Words that stand before a program with one argument of their own.
const PREFIXES_WITH_ARGUMENT: &[&str] = &["gosu", "su-exec", "setuidgid", "timeout"];

/// Tools that run a program of their environment: `poetry run celery`.
const RUNNERS: &[(&str, &str)] = &[
    ("bundle", "exec"),
    ("hatch", "run"),
    ("pdm", "run"),
    ("pipenv", "run"),
    ("poetry", "run"),
    ("rye", "run"),
    ("uv", "run"),
];

/// The programs that a service runs, as far as the file or a replica tells.
///
/// What the file gives counts; where it gives neither command nor entrypoint, the observed command of
/// a replica does. The service's name is not looked at.
pub fn invocations(project: &Project, service: &Service) -> Vec<Invocation> {
    let mut found = Vec::new();
    if service.command.is_some() || service.entrypoint.is_some() {
        collect(
            service.words().into_iter().map(str::to_owned).collect(),
            &mut found,
        );
    } else if let Some(replica) = project
        .replicas(&service.name)
        .iter()
        .find(|replica| !replica.command.is_empty())
    {
        // `docker ps` quotes the whole and so escapes the quotes inside.
        collect(words(&replica.command.replace("\\\"", "\"")), &mut found);
    }
    found
}

impl Invocation {
    /// Whether an argument is exactly this word.
    pub fn has(&self, word: &str) -> bool {
        self.arguments.iter().any(|argument| argument == word)
    }

    /// The arguments that are no options: `beat` of `--app=x beat`. Values of options count too.
    pub fn plain(&self) -> impl Iterator<Item = &str> {
        self.arguments
            .iter()
            .map(String::as_str)
            .filter(|argument| !argument.starts_with('-'))
    }
}

fn words(line: &str) -> Vec<String> {
    shlex::split(line).unwrap_or_else(|| line.split_whitespace().map(str::to_owned).collect())
}

/// Adds the program of one command line; a shell's script is looked into.
fn collect(mut words: Vec<String>, found: &mut Vec<Invocation>) {
    strip(&mut words);
    if words.is_empty() {
        return;
    }
    let program = base(&words[0]).to_owned();
    let arguments = words.split_off(1);
    if SHELLS.contains(&program.as_str()) {
        look_into(&arguments, found);
        return;
    }
    // `wait-for-it db:5432 -- celery ...` runs what follows the dashes.
    if let Some(dashes) = arguments.iter().position(|argument| argument == "--") {
        collect(arguments[dashes + 1..].to_vec(), found);
    }
    // A script that is called with a command line usually ends in `exec "$@"`.
    if is_script(&program) && !arguments.is_empty() {
        collect(arguments.clone(), found);
    }
    found.push(Invocation { program, arguments });
}

/// Adds what a shell is given: scripts after `-c`, or a script's file with arguments.
fn look_into(arguments: &[String], found: &mut Vec<Invocation>) {
    let follows_c = |index: usize| {
        let before = index.checked_sub(1).map_or("", |before| &arguments[before]);
        before.starts_with('-') && before.ends_with('c')
    };
    let scripts: Vec<&String> = arguments
        .iter()
        .enumerate()
        .filter(|(index, argument)| follows_c(*index) || argument.contains(char::is_whitespace))
        .map(|(_, argument)| argument)
        .collect();
    for line in scripts.iter().flat_map(|script| lines(script)) {
        collect(line, found);
    }
    if scripts.is_empty() {
        let file = arguments
            .iter()
            .skip_while(|argument| argument.starts_with('-'));
        collect(file.cloned().collect(), found);
    }
}

/// Takes off what stands before the program itself.
fn strip(words: &mut Vec<String>) {
    loop {
        let Some(first) = words.first() else { return };
        let first = base(first);
        let second = words.get(1).map(String::as_str);
        let count = if PREFIXES.contains(&first) {
            1 + words[1..]
                .iter()
                .take_while(|word| word.starts_with('-'))
                .count()
        } else if PREFIXES_WITH_ARGUMENT.contains(&first)
            || RUNNERS
                .iter()
                .any(|(tool, verb)| first == *tool && second == Some(verb))
        {
            2
        } else if is_assignment(&words[0]) {
            1
        } else if is_python(first) && words.len() > 1 {
            // `python -u -m celery`, `python manage.py`: options that stand before it have no values.
            1 + words[1..]
                .iter()
                .take_while(|word| word.starts_with('-'))
                .count()
        } else {
            return;
        };
        words.drain(..count.min(words.len()));
    }
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

fn is_python(program: &str) -> bool {
    program
        .strip_prefix("python")
        .is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn is_script(program: &str) -> bool {
    program.contains("entrypoint") || [".sh", ".bash"].iter().any(|end| program.ends_with(end))
}

/// Splits a script into command lines at `;`, `&`, `|`, parentheses and line ends outside quotes.
fn lines(script: &str) -> Vec<Vec<String>> {
    let mut lines = vec![String::new()];
    let mut quote = None;
    let mut characters = script.chars();
    while let Some(character) = characters.next() {
        let line = lines.last_mut().expect("there is always a last line");
        match (quote, character) {
            (None | Some('"'), '\\') => match characters.next() {
                Some('\n') => line.push(' '),
                Some(next) => line.extend(['\\', next]),
                None => {}
            },
            (None, '\'' | '"') => {
                quote = Some(character);
                line.push(character);
            }
            (None, ';' | '&' | '|' | '(' | ')' | '\n') => lines.push(String::new()),
            _ => {
                if quote == Some(character) {
                    quote = None;
                }
                line.push(character);
            }
        }
    }
    lines
        .iter()
        .map(|line| words(line))
        .filter(|words| !words.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Scene;
    use super::{Invocation, invocations};

    fn shown(found: &[Invocation]) -> Vec<String> {
        found
            .iter()
            .map(|one| format!("{} {}", one.program, one.arguments.join(" ")))
            .map(|line| line.trim().to_owned())
            .collect()
    }

    #[test]
    fn takes_programs_out_of_shells_and_wrappers() {
        for (declaration, expected) in [
            ("command: celery -A app beat", vec!["celery -A app beat"]),
            ("command: /usr/bin/celery beat", vec!["celery beat"]),
            (r#"command: sh -c "celery beat""#, vec!["celery beat"]),
            (
                "command: [bash, -ec, 'migrate && exec celery beat']",
                vec!["migrate", "celery beat"],
            ),
            ("command: [sh, -c, redis-server]", vec!["redis-server"]),
            (
                "command: [sh, -c, \"celery \\\\\\n -A app beat\"]",
                vec!["celery -A app beat"],
            ),
            (
                "command: [sh, -c, 'echo \"a; b\"; c']",
                vec!["echo a; b", "c"],
            ),
            (
                "command: [sh, -c, 'while ! nc -z db 5432; do sleep 1; done; celery beat']",
                vec!["nc -z db 5432", "sleep 1", "done", "celery beat"],
            ),
            (
                "{entrypoint: [sh, -c], command: ['cron -f']}",
                vec!["cron -f"],
            ),
            ("command: python -m celery beat", vec!["celery beat"]),
            (
                "command: python3.12 -u manage.py rqscheduler",
                vec!["manage.py rqscheduler"],
            ),
            ("command: poetry run celery beat", vec!["celery beat"]),
            ("command: bundle exec sidekiq", vec!["sidekiq"]),
            ("command: env A=1 B=2 celery beat", vec!["celery beat"]),
            ("command: gosu app celery beat", vec!["celery beat"]),
            ("command: tini -g -- celery beat", vec!["celery beat"]),
            (
                "command: ./wait-for-it.sh db:5432 -t 9 -- celery beat",
                vec![
                    "celery beat",
                    "celery beat",
                    "db:5432 -t 9 -- celery beat",
                    "wait-for-it.sh db:5432 -t 9 -- celery beat",
                ],
            ),
            (
                "{entrypoint: [/docker-entrypoint.sh], command: [postgres, -c, a=b]}",
                vec!["postgres -c a=b", "docker-entrypoint.sh postgres -c a=b"],
            ),
            ("command: watchfiles 'celery beat' src", vec!["celery beat"]),
            (
                "entrypoint: [sh, -e, /run.sh], command: celery beat",
                vec!["celery beat", "run.sh celery beat"],
            ),
            (
                "command: watchmedo auto-restart -d . -- celery beat",
                vec!["celery beat", "watchmedo auto-restart -d . -- celery beat"],
            ),
            ("image: postgres", vec![]),
        ] {
            let service = declaration.trim_start_matches('{').trim_end_matches('}');
            let scene = Scene::new(&format!("services: {{beat: {{{service}}}}}"));
            let found = invocations(&scene.project, scene.service("beat"));
            assert_eq!(shown(&found), expected, "{declaration}");
        }
    }

    #[test]
    fn the_observed_command_counts_only_where_the_file_gives_none() {
        for (declaration, expected) in [
            ("image: a", vec!["celery -A app beat"]),
            ("image: a, command: sleep 9", vec!["sleep 9"]),
            ("image: a, entrypoint: [sleep, '9']", vec!["sleep 9"]),
        ] {
            for command in [
                "celery -A app beat",
                r"sh -c 'celery -A app beat'",
                r#"sh -c \"celery -A app beat\""#,
            ] {
                let scene = Scene::new(&format!("services: {{web: {{{declaration}}}}}"))
                    .running("web", 1)
                    .replica("web", |replica| replica.command = command.into());
                let found = invocations(&scene.project, scene.service("web"));
                assert_eq!(shown(&found), expected, "{declaration} {command}");
            }
        }
    }
}
