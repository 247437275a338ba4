//! Docker Compose: every command that rscale runs against it, and why exactly so.
//!
//! docs/compose-semantics.md tells the whole story; the reasons beside the flags here are its short form.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::claims::Claims;
use super::docker_claims::{DockerClaims, Thing};
use super::identity::Identity;
use super::launcher::Launcher;
use super::{Containers, Control, Engine, EngineInfo, Milestone};
use crate::error::{Error, Result};
use crate::exec::{CommandSpec, OnInterrupt};
use crate::plan::{Counts, Create, Pull, Start};
use crate::project::Project;
use crate::project::declared::Hook;
use crate::project::observed::{
    Handle, LISTING_FORMAT, Observed, USAGE_FORMAT, VITALS_FORMAT, Vitals, parse_listing,
    parse_vitals,
};
use crate::project::workload::Place;

/// Time limit of commands that only read.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit of `up`, which may pull and build images and wait for dependencies.
const UP_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Time limit of short changes, on top of what they are told to wait.
pub(super) const CHANGE_TIMEOUT: Duration = Duration::from_secs(120);

/// `docker inspect --format`: a container's id, then its address on every network.
const ADDRESSES_FORMAT: &str =
    "{{.ID}}{{range .NetworkSettings.Networks}} {{.IPAddress}} {{.GlobalIPv6Address}}{{end}}";
/// The label that Compose puts on every container of a project.
const PROJECT_LABEL: &str = "com.docker.compose.project";

/// Which Compose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// `docker-compose` 1.29, in Python.
    V1,
    /// Compose v2 and v5, in Go.
    V2,
}

/// Compose on one Docker engine.
#[derive(Debug, Clone)]
pub struct Compose {
    /// The program and its leading arguments: `docker compose`, or a binary.
    pub command: Vec<String>,
    pub generation: Generation,
    /// The project options of the command line, passed on as they were typed.
    pub project_options: Vec<OsString>,
}

impl Compose {
    /// Asks a Compose for its version, to tell v1 from v2.
    pub fn version(command: &[String]) -> CommandSpec {
        let args = command[1..]
            .iter()
            .cloned()
            .chain(["version".into(), "--short".into()]);
        CommandSpec::new(&command[0], args, READ_TIMEOUT)
    }

    /// Prints the names of all services, for the shell's completion.
    pub fn services(&self) -> CommandSpec {
        let profile: &[&str] = match self.generation {
            Generation::V2 => &["--profile", "*"],
            Generation::V1 => &[],
        };
        self.compose(profile, ["config", "--services"], READ_TIMEOUT)
    }

    /// Reads what `version --short` printed: `1.29.2`, `2.26.1-4`, `v2.40.3`, `5.1.0`.
    pub fn parse_version(stdout: &str) -> Generation {
        let major = stdout.trim().trim_start_matches('v').split('.').next();
        if major == Some("1") {
            Generation::V1
        } else {
            Generation::V2
        }
    }

    fn compose<'a>(
        &self,
        extra_options: &[&str],
        args: impl IntoIterator<Item = &'a str>,
        timeout: Duration,
    ) -> CommandSpec {
        let mut words: Vec<OsString> = self.command[1..].iter().map(Into::into).collect();
        words.extend(self.project_options.iter().cloned());
        words.extend(extra_options.iter().map(Into::into));
        words.extend(args.into_iter().map(Into::into));
        let mut spec = CommandSpec::new(&self.command[0], words, timeout);
        for (name, value) in [
            // Plain lines, on stderr, whatever the terminal and the .env file say.
            ("COMPOSE_ANSI", "never"),
            ("COMPOSE_PROGRESS", "plain"),
            ("COMPOSE_STATUS_STDOUT", "false"),
            ("COMPOSE_MENU", "false"),
            // `up` would delete the containers of services that left the file.
            ("COMPOSE_REMOVE_ORPHANS", "false"),
            // It would warn of them at every run; `rscale status` lists them.
            ("COMPOSE_IGNORE_ORPHANS", "true"),
        ] {
            spec.env.insert(name.into(), value.into());
        }
        spec
    }

    /// The project's folder as Compose takes it from its options; `None` is the current one.
    fn folder(&self) -> Option<PathBuf> {
        let option = |name: &str| {
            let mut words = self.project_options.iter();
            words.find(|word| *word == name).and_then(|_| words.next())
        };
        if let Some(folder) = option("--project-directory") {
            return Some(folder.into());
        }
        let folder = Path::new(option("--file")?).parent()?;
        (!folder.as_os_str().is_empty()).then(|| folder.to_owned())
    }

    fn docker<'a>(args: impl IntoIterator<Item = &'a str>, timeout: Duration) -> CommandSpec {
        CommandSpec::new("docker", args, timeout)
    }

    /// Between project, service and number in the names that Compose gives.
    pub fn separator(&self) -> char {
        match self.generation {
            Generation::V1 => '_',
            Generation::V2 => '-',
        }
    }

    fn unreadable(command: &str, error: &serde_json::Error) -> Error {
        Error::unusable(format!("what `{command}` printed cannot be read"))
            .detail(error.to_string())
            .hint("see whether the docker client is a current one: docker version")
    }
}

impl Engine for Compose {
    fn name(&self) -> &'static str {
        "compose"
    }

    fn control(&self) -> Control<'_> {
        Control::Containers(self)
    }

    fn declared(&self, every_profile: bool) -> Option<CommandSpec> {
        // v1 lists the services of every profile anyway.
        let profile: &[&str] = match self.generation {
            Generation::V2 if every_profile => &["--profile", "*"],
            _ => &[],
        };
        Some(self.compose(profile, ["config"], READ_TIMEOUT))
    }

    fn parse_identification(&self, stdout: &str, before: Option<&str>) -> Option<String> {
        Identity::parse(stdout)?.word(&Identity::parse(before?)?)
    }

    fn claims(&self, project: &str) -> Box<dyn Claims + '_> {
        Box::new(DockerClaims {
            thing: Thing::Volume,
            project: project.to_owned(),
        })
    }

    fn listing(&self, project: &str) -> Vec<CommandSpec> {
        let filter = format!("label={PROJECT_LABEL}={project}");
        vec![Self::docker(
            [
                "ps",
                "--all",
                "--no-trunc",
                "--filter",
                &filter,
                "--format",
                LISTING_FORMAT,
            ],
            READ_TIMEOUT,
        )]
    }

    fn parse_listing(&self, _project: &str, outputs: &[String]) -> Result<Observed> {
        let replicas = parse_listing(outputs.first().map_or("", String::as_str));
        Ok(replicas
            .map_err(|error| Self::unreadable("docker ps", &error))?
            .into())
    }

    fn exec(&self, container: &Handle, hook: &Hook, timeout: Duration) -> CommandSpec {
        exec(container, hook, timeout)
    }

    fn launcher(&self, place: &Place, container: &Handle) -> Result<Launcher> {
        // The time limit is set with the command.
        let compose = |args: &[&str]| self.compose(&[], args.iter().copied(), READ_TIMEOUT);
        Ok(match place {
            Place::Local => {
                let mut spec = CommandSpec::new("", [""; 0], READ_TIMEOUT);
                spec.cwd = self.folder();
                Launcher::Local(spec)
            }
            // `docker compose exec` may choose a container of `docker compose run`, which is about to end.
            Place::Exec(_) => {
                Launcher::Exec(Self::docker(["exec"], READ_TIMEOUT), container.clone())
            }
            Place::Run(service) => Launcher::Run {
                // Without `--no-deps` it would start, and recreate where the file changed, what the service
                // depends on.
                spec: compose(&["run", "--rm", "--no-deps", "-T"]),
                service: service.clone(),
                removal: self.remove(&[], true),
            },
        })
    }

    fn look_at(&self, name: &str) -> String {
        format!("docker inspect {name}")
    }

    fn replace(&self, names: &[&str]) -> String {
        format!("docker restart {}", names.join(" "))
    }

    fn logs(&self, id: &str, name: &str, lines: u32) -> CommandSpec {
        let container = Handle {
            id: id.to_owned(),
            name: name.to_owned(),
        };
        Self::docker(["logs", "--tail", &lines.to_string()], READ_TIMEOUT).of(&[container])
    }
}

impl Containers for Compose {
    fn supports_pull_policy(&self) -> bool {
        self.generation == Generation::V2
    }

    fn inspection(&self, ids: &[&str]) -> CommandSpec {
        let args = ["inspect", "--type", "container", "--format", VITALS_FORMAT];
        Self::docker(args.into_iter().chain(ids.iter().copied()), READ_TIMEOUT)
    }

    fn parse_inspection(&self, stdout: &str) -> Result<Vec<Vitals>> {
        parse_vitals(stdout).map_err(|error| Self::unreadable("docker inspect", &error))
    }

    fn addresses(&self, ids: &[&str]) -> CommandSpec {
        let args = [
            "inspect",
            "--type",
            "container",
            "--format",
            ADDRESSES_FORMAT,
        ];
        Self::docker(args.into_iter().chain(ids.iter().copied()), READ_TIMEOUT)
    }

    fn parse_addresses(&self, stdout: &str) -> BTreeMap<String, Vec<IpAddr>> {
        stdout
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let id = words.next()?.to_owned();
                Some((id, words.filter_map(|word| word.parse().ok()).collect()))
            })
            .collect()
    }

    fn hashes(&self) -> CommandSpec {
        self.compose(&[], ["config", "--hash", "*"], READ_TIMEOUT)
    }

    fn resolved_hashes(&self, project: &str, resolved: &str) -> Option<CommandSpec> {
        if self.generation == Generation::V1 {
            return None;
        }
        // Without the options of the command line: the model is what came of them. It may hold secrets, so that it goes
        // neither into a file nor into an argument.
        let alone = Self {
            project_options: Vec::new(),
            ..self.clone()
        };
        let options = ["--file", "-", "--project-name", project, "--profile", "*"];
        let mut spec = alone.compose(&options, ["config", "--hash", "*"], READ_TIMEOUT);
        spec.stdin = Some(resolved.into());
        Some(spec)
    }

    fn parse_hashes(&self, stdout: &str) -> BTreeMap<String, String> {
        stdout
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(service, hash)| (service.to_owned(), hash.trim().to_owned()))
            .collect()
    }

    fn image_id(&self, project: &Project, service: &str) -> CommandSpec {
        let declared = project
            .service(service)
            .and_then(|service| service.image.clone());
        // Compose names what it builds after project and service, in the way it names replicas.
        let image =
            declared.unwrap_or_else(|| format!("{}{}{service}", project.name(), self.separator()));
        Self::docker(
            ["image", "inspect", "--format", "{{.Id}}", &image],
            READ_TIMEOUT,
        )
    }

    fn replica_name(&self, project: &str, service: &str, number: u32) -> String {
        let separator = self.separator();
        format!("{project}{separator}{service}{separator}{number}")
    }

    fn info(&self) -> CommandSpec {
        Self::docker(
            ["info", "--format", "{{.MemTotal}} {{.SystemTime}}"],
            READ_TIMEOUT,
        )
    }

    fn parse_info(&self, stdout: &str) -> EngineInfo {
        let mut words = stdout.split_whitespace();
        EngineInfo {
            memory_bytes: words.next().and_then(|word| word.parse().ok()).unwrap_or(0),
            time: words.next().and_then(|word| word.parse().ok()),
        }
    }

    fn create(&self, step: &Create) -> CommandSpec {
        let mut args: Vec<String> = vec!["up".into()];
        args.push(match step.start {
            Start::ByRscale | Start::ByCompose => "--no-start".into(),
            Start::WithDependencies => "--detach".into(),
        });
        // Running replicas are kept even when the file changed; never `compose scale`, which recreates
        // them and drops their anonymous volumes.
        args.push("--no-recreate".into());
        if step.build {
            args.push("--build".into());
        }
        if let Some(policy) = step.pull {
            args.push("--pull".into());
            args.push(
                match policy {
                    Pull::Always => "always",
                    Pull::Missing => "missing",
                    Pull::Never => "never",
                }
                .into(),
            );
        }
        // Every dependency is pinned to what it has: without that `up` resets it to the file's count.
        // Not `--no-deps`, which changes the configuration hash before Compose 2.29.3, so that the
        // next plain `up` recreates every replica.
        args.extend(scale_options(&step.counts));
        args.extend(scale_options(&step.pins));
        args.extend(step.counts.keys().cloned());
        let spec = self.compose(&[], args.iter().map(String::as_str), UP_TIMEOUT);
        spec.on_interrupt(OnInterrupt::Ask)
    }

    fn launch(&self, counts: &Counts) -> CommandSpec {
        // The replicas exist, with the hash that belongs to them, so that `--no-deps` cannot change it any
        // more; without it Compose would start every stopped dependency and run finished jobs again.
        let mut args: Vec<String> = ["up", "--detach", "--no-deps", "--no-recreate"]
            .map(str::to_owned)
            .to_vec();
        args.extend(scale_options(counts));
        args.extend(counts.keys().cloned());
        let spec = self.compose(&[], args.iter().map(String::as_str), UP_TIMEOUT);
        spec.on_interrupt(OnInterrupt::Ask)
    }

    fn milestone<'l>(&self, line: &'l str) -> Option<(&'l str, Milestone)> {
        let mut words = line.split_whitespace();
        match (words.next()?, words.next()?, words.next()?) {
            ("Container", name, "Created" | "Recreated") => Some((name, Milestone::Created)),
            ("Container", name, "Started" | "Running") => Some((name, Milestone::Started)),
            // v1: `Creating shop_web_2 ... done`; its `up` starts what it creates.
            ("Creating", name, "...") if line.ends_with("done") => Some((name, Milestone::Created)),
            ("Container", name, "Creating") | ("Creating", name, "...") => {
                Some((name, Milestone::Creating))
            }
            ("Starting", name, "...") if line.ends_with("done") => Some((name, Milestone::Started)),
            _ => None,
        }
    }

    fn start(&self, containers: &[Handle]) -> CommandSpec {
        Self::docker(["start"], CHANGE_TIMEOUT)
            .of(containers)
            .on_interrupt(OnInterrupt::Finish)
    }

    fn stop(&self, containers: &[Handle], grace: Option<Duration>) -> CommandSpec {
        // Compose rounds a grace up to whole seconds, too.
        let seconds =
            grace.map(|grace| (grace.as_secs() + u64::from(grace.subsec_nanos() > 0)).to_string());
        let mut args = vec!["stop"];
        if let Some(seconds) = &seconds {
            args.extend(["-t", seconds]);
        }
        // Without a grace of ours the container's own applies, which this cannot know.
        let limit = CHANGE_TIMEOUT + grace.unwrap_or(UP_TIMEOUT);
        Self::docker(args, limit)
            .of(containers)
            .on_interrupt(OnInterrupt::Finish)
    }

    fn remove(&self, containers: &[Handle], volumes: bool) -> CommandSpec {
        let mut args = vec!["rm", "--force"];
        if volumes {
            args.push("--volumes");
        }
        Self::docker(args, CHANGE_TIMEOUT)
            .of(containers)
            .on_interrupt(OnInterrupt::Finish)
    }

    fn usage(&self, ids: &[&str]) -> CommandSpec {
        let args = [
            "stats",
            "--no-stream",
            "--no-trunc",
            "--format",
            USAGE_FORMAT,
        ];
        Self::docker(args.into_iter().chain(ids.iter().copied()), READ_TIMEOUT)
    }

    fn parse_usage(&self, stdout: &str) -> BTreeMap<String, f64> {
        let lines = stdout.lines().filter_map(|line| {
            let (id, percent) = line.split_once(' ')?;
            let percent = percent.trim().trim_end_matches('%').parse().ok()?;
            Some((id.to_owned(), percent))
        });
        lines.collect()
    }
}

/// `docker exec` of a hook.
pub(super) fn exec(container: &Handle, hook: &Hook, timeout: Duration) -> CommandSpec {
    let mut args = vec!["exec".to_owned()];
    if let Some(user) = &hook.user {
        args.extend(["--user".into(), user.clone()]);
    }
    if let Some(folder) = &hook.working_dir {
        args.extend(["--workdir".into(), folder.clone()]);
    }
    if hook.privileged {
        args.push("--privileged".into());
    }
    // Everybody on the machine can read a command's arguments, and rscale prints them: the values of a hook's
    // variables go to the client in its own environment, from where `--env NAME` takes them.
    let (given, written): (Vec<_>, Vec<_>) = hook
        .environment
        .iter()
        .partition(|(name, _)| !is_read_by_the_client(name));
    for (name, value) in written.into_iter().chain(&hook.told) {
        args.extend(["--env".into(), format!("{name}={value}")]);
    }
    for (name, _) in &given {
        args.extend(["--env".into(), (*name).clone()]);
    }
    let mut spec = CommandSpec::new("docker", args, timeout)
        .of(std::slice::from_ref(container))
        .on_interrupt(OnInterrupt::Finish);
    spec.args.extend(hook.command.iter().map(Into::into));
    let given = given.into_iter();
    spec.env
        .extend(given.map(|(name, value)| (name.clone(), value.clone())));
    spec
}

/// Whether the docker client itself, or the system on its behalf, goes by a variable: given to it, the client would
/// be another one, or look for another engine. Their values are paths and addresses.
fn is_read_by_the_client(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    matches!(
        name.as_str(),
        "PATH" | "HOME" | "USER" | "SHELL" | "TMPDIR" | "TERM" | "TZ" | "LANG" | "NO_COLOR" | "IFS"
    ) || [
        "DOCKER_",
        "COMPOSE_",
        "BUILDX_",
        "BUILDKIT_",
        "XDG_",
        "LC_",
        "LD_",
        "DYLD_",
        "GO",
        "OTEL_",
        "SSL_CERT_",
        "SSH_",
    ]
    .iter()
    .any(|start| name.starts_with(start))
        || name.ends_with("_PROXY")
}

fn scale_options(counts: &Counts) -> impl Iterator<Item = String> {
    counts
        .iter()
        .flat_map(|(service, count)| ["--scale".to_owned(), format!("{service}={count}")])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Compose, Generation};
    use crate::engine::{Containers, Engine, Milestone};
    use crate::hidden::Hidden;
    use crate::plan::{Create, Pull, Start};
    use crate::project::declared::Hook;
    use crate::project::observed::Handle;

    fn compose() -> Compose {
        Compose {
            command: vec!["docker".into(), "compose".into()],
            generation: Generation::V2,
            project_options: vec!["-p".into(), "shop".into()],
        }
    }

    fn create(start: Start) -> Create {
        Create {
            counts: BTreeMap::from([("web".into(), 3), ("api".into(), 2)]),
            pins: BTreeMap::from([("db".into(), 4)]),
            start,
            build: false,
            pull: None,
        }
    }

    #[test]
    fn up_names_the_wish_pins_the_rest_and_recreates_nothing() {
        assert_eq!(
            compose()
                .create(&create(Start::WithDependencies))
                .to_string(),
            "docker compose -p shop up --detach --no-recreate --scale api=2 --scale web=3 --scale db=4 api web"
        );
        let step = Create {
            build: true,
            pull: Some(Pull::Never),
            ..create(Start::ByCompose)
        };
        assert_eq!(
            compose().create(&step).to_string(),
            "docker compose -p shop up --no-start --no-recreate --build --pull never --scale api=2 --scale web=3 --scale db=4 api web"
        );
    }

    #[test]
    fn a_launch_starts_what_exists_and_nothing_else() {
        let counts = BTreeMap::from([("web".into(), 3)]);
        assert_eq!(
            compose().launch(&counts).to_string(),
            "docker compose -p shop up --detach --no-deps --no-recreate --scale web=3 web"
        );
    }

    #[test]
    fn what_would_delete_orphans_is_switched_off() {
        let spec = compose().create(&create(Start::WithDependencies));
        assert_eq!(spec.env["COMPOSE_REMOVE_ORPHANS"], "false");
    }

    #[test]
    fn stop_gives_the_grace_in_whole_seconds() {
        for (grace, line) in [
            (None, "docker stop a b"),
            (Some(Duration::from_secs(90)), "docker stop -t 90 a b"),
            (Some(Duration::from_millis(1500)), "docker stop -t 2 a b"),
            (Some(Duration::ZERO), "docker stop -t 0 a b"),
        ] {
            let both = ["a", "b"].map(Handle::expected);
            assert_eq!(compose().stop(&both, grace).to_string(), line);
        }
    }

    #[test]
    fn a_hook_runs_as_it_is_declared() {
        let hook = Hook {
            command: vec!["touch".into(), "/x".into()],
            user: Some("root".into()),
            working_dir: Some("/srv".into()),
            privileged: true,
            environment: Hidden(BTreeMap::from([
                ("PATH".into(), "/app".into()),
                ("TOKEN".into(), "s3cret".into()),
            ])),
            told: BTreeMap::from([("RSCALE_SERVICE".into(), "web".into())]),
        };
        let spec = compose().exec(&Handle::expected("w-1"), &hook, Duration::from_secs(1));
        assert_eq!(
            spec.to_string(),
            "docker exec --user root --workdir /srv --privileged --env PATH=/app --env RSCALE_SERVICE=web --env TOKEN \
             w-1 touch /x"
        );
        assert_eq!(
            spec.env,
            BTreeMap::from([("TOKEN".into(), "s3cret".into())])
        );
        let shown = format!("{hook:?} {spec:?}");
        assert!(
            shown.contains("TOKEN") && !shown.contains("s3cret"),
            "{shown}"
        );
    }

    #[test]
    fn reads_progress_of_every_generation() {
        for (line, expected) in [
            (
                " Container shop-web-2  Created",
                Some(("shop-web-2", Milestone::Created)),
            ),
            (
                " Container shop-web-2  Creating",
                Some(("shop-web-2", Milestone::Creating)),
            ),
            (
                " Container shop-web-2 Started ",
                Some(("shop-web-2", Milestone::Started)),
            ),
            (" Network shop_default  Created", None),
            (
                "Creating shop_web_2 ... done",
                Some(("shop_web_2", Milestone::Created)),
            ),
            (
                "Creating shop_web_2 ...",
                Some(("shop_web_2", Milestone::Creating)),
            ),
            ("", None),
        ] {
            assert_eq!(compose().milestone(line), expected, "{line}");
        }
    }

    #[test]
    fn tells_v1_from_the_rest() {
        for (text, generation) in [
            ("1.29.2\n", Generation::V1),
            ("2.26.1-4", Generation::V2),
            ("v2.40.3", Generation::V2),
            ("5.1.0", Generation::V2),
            ("dev", Generation::V2),
        ] {
            assert_eq!(Compose::parse_version(text), generation, "{text}");
        }
    }

    #[test]
    fn reads_hashes() {
        let hashes = compose().parse_hashes("db a5d1\nweb b1b4\n");
        assert_eq!(hashes["web"], "b1b4");
    }
}
