//! Kubernetes: Deployments and StatefulSets are told counts through kubectl; every command that rscale runs, and
//! why so.

mod facts;
mod lease;
mod listing;
mod object;
mod pod;
mod reach;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::claims::Claims;
use super::compose::Compose;
use super::launcher::Launcher;
use lease::LeaseClaims;

use super::{Answer, Control, Engine, Orchestrator, Telling};
use crate::error::{Error, Result};
use crate::exec::{CommandError, CommandSpec, OnInterrupt};
use crate::plan::{Counts, SetCounts};
use crate::project::Project;
use crate::project::cluster::{Deployed, Facts};
use crate::project::declared::Hook;
use crate::project::observed::{Handle, Observed, Replica};
use crate::project::reached::Host;
use crate::project::workload::Place;

/// Time limit of commands that only read.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit of short changes.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one answer of the API server may take; a listing comes in parts of 500 objects. kubectl itself would
/// wait for ever.
const ANSWER_TIMEOUT: &str = "--request-timeout=10s";
/// What the ReplicaSet controller takes away first: the pods whose deletion costs least; 0 is usual.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost>
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The namespace that kubectl is at.
#[derive(Debug, Clone, Default)]
pub struct Kubernetes {
    /// What reads the compose file; `None` where there is none.
    pub file: Option<Compose>,
    /// `--context`; else kubectl's current one.
    pub context: Option<String>,
    /// `--namespace`; else that of the context.
    pub namespace: Option<String>,
}

impl Kubernetes {
    /// A request that is answered at once.
    fn request<A: Into<String>>(
        &self,
        args: impl IntoIterator<Item = A>,
        timeout: Duration,
    ) -> CommandSpec {
        let mut spec = self.kubectl(args, timeout);
        spec.args.push(ANSWER_TIMEOUT.into());
        spec
    }

    fn kubectl<A: Into<String>>(
        &self,
        args: impl IntoIterator<Item = A>,
        timeout: Duration,
    ) -> CommandSpec {
        let mut words = Vec::new();
        for (option, value) in [
            ("--context", &self.context),
            ("--namespace", &self.namespace),
        ] {
            if let Some(value) = value {
                words.extend([option.to_owned(), value.clone()]);
            }
        }
        words.extend(args.into_iter().map(Into::into));
        CommandSpec::new("kubectl", words, timeout)
    }
}

/// What a pod's shell runs: it takes variables from stdin, then becomes the command.
const READ_VARIABLES: &str = r#"eval "$(cat)"; exec "$@" </dev/null"#;

/// Whether a shell can export a variable of this name.
fn is_name_in_a_shell(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

impl Engine for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn control(&self) -> Control<'_> {
        Control::Counts(self)
    }

    fn declared(&self, every_profile: bool) -> Option<CommandSpec> {
        self.file.as_ref()?.declared(every_profile)
    }

    fn identification(&self) -> CommandSpec {
        // Whoever may list pods need not be allowed to get the namespace, and every namespace has this account.
        let account = ["get", "serviceaccount", "default"];
        let output = ["--output", "jsonpath={.metadata.uid}"];
        self.request(account.into_iter().chain(output), READ_TIMEOUT)
    }

    fn parse_identification(&self, stdout: &str, _before: Option<&str>) -> Option<String> {
        let id = stdout.trim();
        (!id.is_empty()).then(|| id.to_owned())
    }

    fn claims(&self, project: &str) -> Box<dyn Claims + '_> {
        Box::new(LeaseClaims {
            kubernetes: self,
            project: project.to_owned(),
        })
    }

    fn listing(&self, _project: &str) -> Vec<CommandSpec> {
        let kinds = "deployments,statefulsets,pods";
        vec![self.request(["get", kinds, "--output", "json"], READ_TIMEOUT)]
    }

    fn printed_anyway<'e>(&self, error: &'e CommandError) -> Option<&'e str> {
        // Who may see only one of the two kinds has only services of that kind.
        let CommandError::Failed { stdout, stderr, .. } = error else {
            return None;
        };
        let mut lines = stderr.lines().filter(|line| !line.trim().is_empty());
        let line = lines.next()?;
        let one_kind = ["deployments.apps", "statefulsets.apps"]
            .iter()
            .any(|kind| line.starts_with(&format!("Error from server (Forbidden): {kind} ")));
        (one_kind && lines.next().is_none()).then_some(stdout)
    }

    fn existence(&self) -> Option<CommandSpec> {
        // A list of what is in a namespace that does not exist is empty; a single object's namespace is looked for.
        // Every namespace has this one, and whoever may list pods need not be allowed to get namespaces.
        let account = ["get", "serviceaccount", "default", "--output", "name"];
        Some(self.request(account, READ_TIMEOUT))
    }

    fn is_missing(&self, error: &CommandError) -> bool {
        let missing = "Error from server (NotFound): namespaces";
        error.stderr().lines().any(|line| line.starts_with(missing))
    }

    fn parse_listing(&self, _project: &str, outputs: &[String]) -> Result<Observed> {
        let text = outputs.first().map(String::as_str).unwrap_or_default();
        listing::parse(text).map_err(|error| {
            Error::unusable("what `kubectl get` printed cannot be read").detail(error.to_string())
        })
    }

    fn exec(&self, container: &Handle, hook: &Hook, timeout: Duration) -> CommandSpec {
        // kubectl has no option for variables, and its arguments are to be read on this machine and in the cluster's
        // audit log. So a hook's own come on stdin, which a shell in the pod reads.
        let (given, written): (Vec<_>, Vec<_>) = hook
            .environment
            .iter()
            .partition(|(name, _)| is_name_in_a_shell(name));
        let mut words = vec!["exec".to_owned()];
        if !given.is_empty() {
            words.push("--stdin".into());
        }
        words.extend([container.name.clone(), "--".into()]);
        if !given.is_empty() {
            words.extend(["sh", "-c", READ_VARIABLES, "sh"].map(str::to_owned));
        }
        let mut pairs = written.into_iter().chain(&hook.told).peekable();
        if pairs.peek().is_some() {
            words.push("env".into());
            words.extend(pairs.map(|(name, value)| format!("{name}={value}")));
        }
        words.extend(hook.command.iter().cloned());
        let mut spec = self
            .kubectl(words, timeout)
            .on_interrupt(OnInterrupt::Finish);
        if !given.is_empty() {
            let quoted = |value: &str| value.replace('\'', r"'\''");
            let lines = given
                .iter()
                .map(|(name, value)| format!("export {name}='{}'\n", quoted(value)));
            spec.stdin = Some(lines.collect::<String>().into());
        }
        spec
    }

    fn launcher(&self, place: &Place, container: &Handle) -> Result<Launcher> {
        match place {
            Place::Local => Ok(Launcher::Local(CommandSpec::new("", [""; 0], READ_TIMEOUT))),
            Place::Exec(_) => Ok(Launcher::ExecEnv(
                self.kubectl(["exec", &container.name, "--"], READ_TIMEOUT),
            )),
            Place::Run(service) => Err(Error::unusable(format!(
                "a pod of its own for `{service}` cannot be run on kubernetes"
            ))
            .hint("run the command in a replica instead: exec, see docs/drivers.md")),
        }
    }

    fn look_at(&self, name: &str) -> String {
        self.kubectl(["describe", "pod", name], READ_TIMEOUT)
            .to_string()
    }

    fn logs(&self, _id: &str, name: &str, lines: u32) -> CommandSpec {
        self.request(["logs", "--tail", &lines.to_string(), name], READ_TIMEOUT)
    }

    fn earlier_logs(&self, name: &str, lines: u32) -> Option<CommandSpec> {
        let lines = lines.to_string();
        let words = ["logs", "--previous", "--tail", &lines, name];
        Some(self.request(words, READ_TIMEOUT))
    }

    fn replace(&self, names: &[&str]) -> String {
        let words = ["delete", "pod"].into_iter().chain(names.iter().copied());
        self.kubectl(words, CHANGE_TIMEOUT).to_string()
    }
}

impl Orchestrator for Kubernetes {
    fn scale(&self, project: &Project, step: &SetCounts) -> Vec<Telling> {
        let tellings = step.counts.iter().map(|(service, count)| {
            let deployed = project.deployed.get(service);
            let object = deployed.map_or_else(
                || format!("deployment/{service}"),
                |deployed| deployed.object.clone(),
            );
            let mut args = vec!["scale".to_owned(), object, format!("--replicas={count}")];
            // The API server refuses it when somebody else was quicker.
            if let Some(from) = step.from.get(service) {
                args.push(format!("--current-replicas={from}"));
            }
            let spec = self.request(args, CHANGE_TIMEOUT);
            Telling {
                services: vec![service.clone()],
                spec: spec.on_interrupt(OnInterrupt::Finish),
            }
        });
        tellings.collect()
    }

    fn count_found(&self, error: &CommandError) -> Option<u32> {
        // kubectl's own words (pkg/scale, `PreconditionError`): `Expected replicas to be 7, was 3`.
        let said = error.stderr().trim();
        let (_, found) = said
            .split_once("Expected replicas to be ")?
            .1
            .split_once(", was ")?;
        found.trim().parse().ok()
    }

    fn deploy(&self, _: &str) -> String {
        "kubectl apply --kustomize .".to_owned()
    }

    fn supports_choice(&self) -> bool {
        true
    }

    fn prefer(&self, project: &Project, replicas: &[&Replica], first: bool) -> Option<CommandSpec> {
        // StatefulSets always lose their highest number, and where all go there is nothing to choose.
        let all_go = |service: &str| {
            let mut all = project.replicas(service).iter();
            first && all.all(|one| one.leaving || replicas.iter().any(|other| other.id == one.id))
        };
        let chosen: Vec<&str> = replicas
            .iter()
            .filter(|replica| {
                let deployed = project.deployed.get(&replica.service);
                deployed.is_some_and(|deployed| !deployed.highest_goes) && !all_go(&replica.service)
            })
            .map(|replica| replica.name.as_str())
            .collect();
        if chosen.is_empty() {
            return None;
        }
        let mut args = vec!["annotate".to_owned(), "pods".into()];
        args.extend(chosen.into_iter().map(str::to_owned));
        if first {
            args.extend([format!("{DELETION_COST}=-1000000"), "--overwrite".into()]);
        } else {
            args.push(format!("{DELETION_COST}-"));
        }
        let spec = self.request(args, CHANGE_TIMEOUT);
        Some(spec.on_interrupt(OnInterrupt::Finish))
    }

    fn description(&self, _project: &Project) -> Option<CommandSpec> {
        None
    }

    fn parse_description(&self, _project: &Project, _stdout: &str) -> Result<Vec<Deployed>> {
        Ok(Vec::new())
    }

    fn enquiries(
        &self,
        project: &Project,
        counts: &Counts,
        answers: &[Answer],
    ) -> Vec<CommandSpec> {
        let enquiries = facts::enquiries(project, counts, answers).into_iter();
        enquiries
            .map(|words| self.request(words, READ_TIMEOUT))
            .collect()
    }

    fn facts(&self, project: &Project, counts: &Counts, answers: &[Answer]) -> Result<Facts> {
        Ok(Facts {
            kubernetes: facts::read(project, counts, answers),
            ..Facts::default()
        })
    }

    fn names_hosts(&self, host: &str) -> bool {
        reach::is_inside(host)
    }

    fn address_enquiries(
        &self,
        _project: &Project,
        services: &BTreeSet<&str>,
        answers: &[Answer],
    ) -> Vec<CommandSpec> {
        let words = reach::enquiries(services, answers).into_iter();
        words
            .map(|words| self.request(words, READ_TIMEOUT))
            .collect()
    }

    fn hosts(
        &self,
        project: &Project,
        services: &BTreeSet<&str>,
        answers: &[Answer],
    ) -> BTreeMap<String, Host> {
        reach::hosts(project, services, answers)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Kubernetes, listing};
    use crate::engine::{Engine, Orchestrator};
    use crate::exec::CommandError;
    use crate::hidden::Hidden;
    use crate::plan::SetCounts;
    use crate::project::Project;
    use crate::project::declared::{Declared, Hook};
    use crate::project::workload::Place;

    fn kubernetes() -> Kubernetes {
        Kubernetes {
            context: Some("lab".into()),
            namespace: Some("shop".into()),
            ..Kubernetes::default()
        }
    }

    fn sample(name: &str) -> String {
        std::fs::read_to_string(format!("tests/samples/kubernetes-1.36/{name}")).unwrap()
    }

    fn failed(stdout: &str, stderr: &str) -> CommandError {
        CommandError::Failed {
            command: "kubectl".into(),
            status: "exit status: 1".into(),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    fn shop() -> Project {
        let declared = Declared {
            by_engine: true,
            ..Declared::default()
        };
        Project::new(declared, listing::parse(&sample("shop.json")).unwrap())
    }

    #[test]
    fn counts_are_told_one_by_one_with_what_they_were() {
        let step = SetCounts {
            counts: [("db".to_owned(), 1), ("web".to_owned(), 5)].into(),
            from: [("db".to_owned(), 3), ("web".to_owned(), 3)].into(),
            leaving: Vec::new(),
            wait: true,
        };
        let tellings = kubernetes().scale(&shop(), &step);
        let told: Vec<String> = tellings.iter().map(|one| one.spec.to_string()).collect();
        assert_eq!(
            told,
            [
                "kubectl --context lab --namespace shop scale statefulset/db --replicas=1 --current-replicas=3 \
                 --request-timeout=10s",
                "kubectl --context lab --namespace shop scale deployment/web --replicas=5 --current-replicas=3 \
                 --request-timeout=10s",
            ]
        );
        let conflict = failed("", &sample("errors/scale-wrong-expectation.txt"));
        assert_eq!(kubernetes().count_found(&conflict), Some(3));
        let missing = failed("", &sample("errors/scale-missing.txt"));
        assert_eq!(kubernetes().count_found(&missing), None);
    }

    #[test]
    fn pods_are_chosen_where_there_is_a_choice() {
        let project = shop();
        let prefer = |service: &str, count: usize, first| {
            let chosen: Vec<_> = project.replicas(service).iter().take(count).collect();
            let spec = kubernetes().prefer(&project, &chosen, first);
            spec.map(|spec| spec.args[4..].join(" ".as_ref()).into_string().unwrap())
        };
        assert_eq!(
            prefer("web", 1, true).as_deref(),
            Some(
                "annotate pods web-648fdd67-gs6g4 controller.kubernetes.io/pod-deletion-cost=-1000000 --overwrite \
                 --request-timeout=10s"
            )
        );
        assert_eq!(
            prefer("web", 3, false).as_deref(),
            Some(
                "annotate pods web-648fdd67-gs6g4 web-648fdd67-gzzjc web-648fdd67-xzkwd \
                 controller.kubernetes.io/pod-deletion-cost- --request-timeout=10s"
            )
        );
        assert_eq!(
            (prefer("web", 3, true), prefer("db", 1, true)),
            (None, None)
        );
    }

    #[test]
    fn a_hooks_own_variables_are_no_arguments() {
        let hook = Hook {
            command: vec!["sh".into(), "-c".into(), "echo $TOKEN".into()],
            environment: Hidden(
                [("TOKEN", "it's s3cret"), ("with.dot", "b")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..Hook::default()
        };
        let spec = Kubernetes::default().exec(
            &super::Handle::expected("web-0"),
            &hook,
            Duration::from_secs(1),
        );
        assert_eq!(
            spec.args[..4],
            ["exec", "--stdin", "web-0", "--"].map(std::ffi::OsString::from)
        );
        assert!(!format!("{spec:?} {spec}").contains("s3cret"), "{spec}");
        // What follows is what the pod runs.
        #[cfg(unix)]
        {
            use std::io::Write as _;
            use std::process::{Command, Stdio};
            let mut shell = Command::new(&spec.args[4])
                .args(&spec.args[5..])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let stdin = spec.stdin.unwrap();
            shell
                .stdin
                .take()
                .unwrap()
                .write_all(stdin.as_bytes())
                .unwrap();
            let said = shell.wait_with_output().unwrap().stdout;
            assert_eq!(String::from_utf8(said).unwrap(), "it's s3cret\n");
        }
    }

    #[test]
    fn commands_in_pods_get_their_variables_from_env() {
        let hook = Hook {
            command: vec!["reload".into()],
            told: [("A".to_owned(), "1".to_owned())].into(),
            ..Hook::default()
        };
        let engine = Kubernetes::default();
        let spec = engine.exec(
            &super::Handle::expected("web-0"),
            &hook,
            Duration::from_secs(1),
        );
        assert_eq!(spec.to_string(), "kubectl exec web-0 -- env A=1 reload");
        let launcher = engine
            .launcher(
                &Place::Exec("web".into()),
                &super::Handle::expected("web-0"),
            )
            .unwrap();
        let words = ["./bench".to_owned(), "a b".to_owned()];
        let environment = BTreeMap::from([("N".to_owned(), "9".to_owned())]);
        let spec = launcher.command(&words, &environment, "", Duration::from_secs(7));
        assert_eq!(
            spec.to_string(),
            "kubectl exec web-0 -- env N=9 ./bench 'a b'"
        );
        assert!(
            engine
                .launcher(&Place::Run("web".into()), &super::Handle::default())
                .is_err()
        );
    }

    #[test]
    fn who_may_see_one_kind_of_workload_has_those() {
        let engine = Kubernetes::default();
        let forbidden = |kind: &str| {
            format!(
                "Error from server (Forbidden): {kind} is forbidden: User \"u\" cannot list resource\n"
            )
        };
        for (stderr, expected) in [
            (forbidden("statefulsets.apps"), Some("{}")),
            (forbidden("deployments.apps"), Some("{}")),
            (forbidden("pods"), None),
            (
                forbidden("deployments.apps") + &forbidden("statefulsets.apps"),
                None,
            ),
            (String::new(), None),
        ] {
            assert_eq!(
                engine.printed_anyway(&failed("{}", &stderr)),
                expected,
                "{stderr}"
            );
        }
        let missing = failed("", &sample("errors/get-missing-namespace-one.txt"));
        assert!(engine.is_missing(&missing));
        assert!(!engine.is_missing(&failed("", &forbidden("serviceaccounts"))));
    }
}
