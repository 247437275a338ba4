//! Claims on a docker engine: a named thing with labels, which say who was first. Labels do not change, so a second thing,
//! made anew each time, says that the run lives.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::claims::{Claim, Claimed, Claims, HOLDER_LABEL};
use super::compose::{CHANGE_TIMEOUT, READ_TIMEOUT};
use crate::exec::{CommandError, CommandSpec, OnInterrupt};
use crate::lock::Holder;

const RUN_LABEL: &str = "rscale.run";
const BEAT_LABEL: &str = "rscale.beat";

/// What claims are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Of one engine. To create one that exists succeeds and changes nothing (Engine API, VolumeCreate).
    Volume,
    /// Of a swarm, whichever manager is asked. To create one that exists fails (ConfigCreate).
    Config,
}

/// The claim to a project.
#[derive(Debug, Clone)]
pub struct DockerClaims {
    pub thing: Thing,
    pub project: String,
}

impl DockerClaims {
    fn name(&self) -> String {
        format!("rscale-lock-{}", self.project)
    }

    fn beat(&self) -> String {
        format!("{}.beat", self.name())
    }

    fn docker<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> CommandSpec {
        let words = [match self.thing {
            Thing::Volume => "volume",
            Thing::Config => "config",
        }];
        CommandSpec::new("docker", words.into_iter().chain(args), CHANGE_TIMEOUT)
            .on_interrupt(OnInterrupt::Finish)
    }

    fn create(&self, name: &str, labels: &[String]) -> CommandSpec {
        let labels = labels.iter().flat_map(|label| ["--label", label.as_str()]);
        let words = ["create"].into_iter().chain(labels).chain([name]);
        match self.thing {
            Thing::Volume => self.docker(words),
            Thing::Config => {
                let mut spec = self.docker(words.chain(["-"]));
                spec.stdin = Some("rscale".to_owned().into());
                spec
            }
        }
    }

    fn remove(&self, names: &[&str]) -> CommandSpec {
        self.docker(["rm"].into_iter().chain(names.iter().copied()))
    }
}

#[derive(Deserialize)]
struct Labelled {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Claims for DockerClaims {
    fn claim(&self, claim: &Claim) -> CommandSpec {
        let holder = serde_json::to_string(&claim.holder).unwrap_or_default();
        let labels = [
            format!("{RUN_LABEL}={}", claim.run),
            format!("{HOLDER_LABEL}={holder}"),
        ];
        self.create(&self.name(), &labels)
    }

    fn is_claimed(&self, error: &CommandError) -> bool {
        error.stderr().contains("AlreadyExists")
    }

    fn look(&self) -> CommandSpec {
        let format = match self.thing {
            Thing::Volume => "{{json .}}",
            Thing::Config => "{{json .Spec}}",
        };
        let (name, beat) = (self.name(), self.beat());
        let mut spec = self.docker(["inspect", "--format", format, &name, &beat]);
        spec.timeout = READ_TIMEOUT;
        spec.on_interrupt(OnInterrupt::Kill)
    }

    fn printed_anyway<'e>(&self, error: &'e CommandError) -> Option<&'e str> {
        // It prints those that are there, and fails for those that are not.
        match error {
            CommandError::Failed { stdout, stderr, .. } => {
                let said = stderr.to_lowercase();
                let missing = ["no such volume", "no such config", "not found"];
                missing
                    .iter()
                    .any(|words| said.contains(words))
                    .then_some(stdout)
            }
            _ => None,
        }
    }

    fn parse_look(&self, stdout: &str) -> Option<Claimed> {
        let things = stdout.lines().map(serde_json::from_str::<Labelled>);
        let things: Vec<Labelled> = things.filter_map(Result::ok).collect();
        let label = |name: &str, label: &str| {
            let thing = things.iter().find(|thing| thing.name == name)?;
            thing.labels.as_ref()?.get(label).cloned()
        };
        Some(Claimed {
            claim: Claim {
                run: label(&self.name(), RUN_LABEL)?,
                holder: Holder::read(&label(&self.name(), HOLDER_LABEL).unwrap_or_default()),
            },
            renewal: label(&self.beat(), BEAT_LABEL).unwrap_or_default(),
        })
    }

    fn renew(&self, claim: &Claim, beat: u64) -> Vec<CommandSpec> {
        let (name, label) = (self.beat(), format!("{BEAT_LABEL}={}:{beat}", claim.run));
        vec![self.remove(&[&name]), self.create(&name, &[label])]
    }

    fn take_over(&self, claim: &Claim, _from: &Claimed) -> Vec<CommandSpec> {
        // By name, because there is no other way: whoever takes it over in the same moment may take away the new one. So it
        // is looked at once more in a while.
        vec![
            self.remove(&[&self.name(), &self.beat()]),
            self.claim(claim),
        ]
    }

    fn release(&self) -> CommandSpec {
        self.remove(&[&self.name(), &self.beat()])
    }
}

#[cfg(test)]
mod tests {
    use super::{DockerClaims, Thing};
    use crate::engine::claims::{Claim, Claims};
    use crate::lock::Holder;

    fn claims(thing: Thing) -> DockerClaims {
        DockerClaims {
            thing,
            project: "shop".into(),
        }
    }

    #[test]
    fn who_was_first_and_whether_it_lives_is_read_from_labels() {
        let claim = Claim {
            run: "r1".into(),
            holder: Holder {
                pid: 7,
                command: "rscale web=3".into(),
                ..Holder::default()
            },
        };
        let created = claims(Thing::Volume).claim(&claim);
        let labels: Vec<String> = created
            .args
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .filter(|word| word.contains('='))
            .collect();
        let pairs = labels.iter().map(|label| label.split_once('=').unwrap());
        let labels = serde_json::json!(pairs.collect::<std::collections::BTreeMap<_, _>>());
        let volume = serde_json::json!({"Name": "rscale-lock-shop", "Labels": labels});
        let found = claims(Thing::Volume)
            .parse_look(&volume.to_string())
            .unwrap();
        assert_eq!((found.claim, found.renewal.as_str()), (claim, ""));
        let beat = r#"{"Name":"rscale-lock-shop.beat","Labels":{"rscale.beat":"r1:2"}}"#;
        let both = format!("{volume}\n{beat}\n");
        let found = claims(Thing::Volume).parse_look(&both).unwrap();
        assert_eq!(found.renewal, "r1:2");
        assert_eq!(claims(Thing::Volume).parse_look(beat), None);
        let foreign = r#"{"Name":"rscale-lock-shop","Labels":null}"#;
        assert_eq!(claims(Thing::Volume).parse_look(foreign), None);
    }

    #[test]
    fn on_a_swarm_it_is_a_config() {
        let command = claims(Thing::Config).claim(&Claim::default());
        let shown = command.to_string();
        assert!(
            shown.starts_with("docker config create --label "),
            "{shown}"
        );
        assert!(shown.ends_with(" rscale-lock-shop -") && command.stdin.is_some());
        assert_eq!(
            claims(Thing::Config).release().to_string(),
            "docker config rm rscale-lock-shop rscale-lock-shop.beat"
        );
    }
}
