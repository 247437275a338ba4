//! What the preflight asks of a namespace: autoscalers, disruption budgets and quotas in one request, what the user may
//! do in another at the same time; only where these leave something open, more.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::object::List;
use crate::engine::Answer;
use crate::exec::CommandError;
use crate::plan::Counts;
use crate::project::Project;
use crate::project::cluster::Deployed;
use crate::project::cluster::kubernetes::{
    Autoscaler, Budget, Expression, Facts, Operator, Quota, Selector,
};
use crate::project::cluster::quantity::Quantity;

/// `kubectl scale --current-replicas` reads the subresource `scale` of a workload and then writes it.
const VERBS: [&str; 2] = ["get", "update"];

/// Words of the commands to run next; none when enough is known.
pub fn enquiries(project: &Project, counts: &Counts, answers: &[Answer]) -> Vec<Vec<String>> {
    let changed: Vec<&Deployed> = changed(project, counts).collect();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    match answers {
        _ if changed.is_empty() => Vec::new(),
        [] => vec![
            words("get horizontalpodautoscalers,poddisruptionbudgets,resourcequotas --output json"),
            words("auth can-i --list"),
        ],
        [bounds, rights] => open_questions(&changed, bounds, rights)
            .iter()
            .map(|question| words(&question.words()))
            .collect(),
        _ => Vec::new(),
    }
}

fn changed<'p>(project: &'p Project, counts: &'p Counts) -> impl Iterator<Item = &'p Deployed> {
    let changed = counts
        .iter()
        .filter(|(service, count)| project.count(service) != **count);
    changed.filter_map(|(service, _)| project.deployed.get(service))
}

/// What the first two answers leave open.
enum Question {
    /// Whether a verb is allowed on the `scale` of an object.
    Right { object: String, verb: &'static str },
    /// The bounds of a KEDA ScaledObject.
    ScaledObject(String),
}

impl Question {
    fn words(&self) -> String {
        match self {
            // `deployments/scale` would ask about a Deployment of the name `scale`.
            Self::Right { object, verb } => {
                format!("auth can-i {verb} {object} --subresource=scale")
            }
            Self::ScaledObject(name) => format!("get scaledobjects.keda.sh {name} --output json"),
        }
    }
}

fn open_questions(changed: &[&Deployed], bounds: &Answer, rights: &Answer) -> Vec<Question> {
    let listed = rights.as_deref().unwrap_or_default();
    let rights = changed.iter().flat_map(|deployed| {
        let open = VERBS
            .iter()
            .filter(|verb| !is_listed(listed, &deployed.object, verb));
        open.map(|verb| Question::Right {
            object: deployed.object.clone(),
            verb,
        })
    });
    let autoscalers = read_bounds(bounds).0;
    let owned = autoscalers.into_iter().filter(|one| {
        let mut changed = changed.iter();
        changed.any(|deployed| deployed.object == one.target)
    });
    let scaled = owned.filter_map(|one| one.scaled_object);
    rights.chain(scaled.map(Question::ScaledObject)).collect()
}

/// Whether the table of `kubectl auth can-i --list` has a right for certain. It may leave out what an authorizer
/// other than RBAC allows, so what it does not have is asked for.
fn is_listed(table: &str, object: &str, verb: &str) -> bool {
    let Some((kind, name)) = object.split_once('/') else {
        return false;
    };
    let resource = format!("{kind}s.apps");
    let fits = [
        "*.*".to_owned(),
        "*.apps".to_owned(),
        format!("{resource}/scale"),
        format!("{kind}s.*/scale"),
        "*.apps/scale".to_owned(),
    ];
    table.lines().any(|line| {
        let Some((resource, rest)) = line.split_once(char::is_whitespace) else {
            return false;
        };
        // Non-resource URLs, resource names, verbs, each in brackets.
        let groups: Vec<&str> = rest
            .split('[')
            .skip(1)
            .map(|group| group.split(']').next().unwrap_or_default())
            .collect();
        let [_, names, verbs] = groups.as_slice() else {
            return false;
        };
        let mut verbs = verbs.split(' ');
        fits.iter().any(|one| one == resource)
            && (names.is_empty() || names.split(' ').any(|one| one == name))
            && verbs.any(|one| one == verb || one == "*")
    })
}

/// Reads all answers. What could not be asked restricts nothing: the API server has the last word.
pub fn read(project: &Project, counts: &Counts, answers: &[Answer]) -> Facts {
    let [bounds, rights, rest @ ..] = answers else {
        return Facts::default();
    };
    let changed: Vec<&Deployed> = changed(project, counts).collect();
    let (mut autoscalers, budgets, quotas) = read_bounds(bounds);
    let mut forbidden: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (question, answer) in open_questions(&changed, bounds, rights)
        .into_iter()
        .zip(rest)
    {
        match question {
            Question::Right { object, verb } if is_no(answer) => {
                forbidden.entry(object).or_default().insert(verb.to_owned());
            }
            Question::Right { .. } => {}
            Question::ScaledObject(name) => {
                let text = answer.as_deref().unwrap_or_default();
                let Ok(scaled) = serde_json::from_str::<ScaledObject>(text) else {
                    continue;
                };
                let own = autoscalers
                    .iter_mut()
                    .filter(|one| one.scaled_object.as_ref() == Some(&name));
                for one in own {
                    one.min = scaled.spec.min_replica_count.unwrap_or(0);
                    one.max = scaled.spec.max_replica_count.unwrap_or(one.max);
                }
            }
        }
    }
    Facts {
        autoscalers,
        budgets,
        quotas,
        forbidden,
    }
}

/// `no`, `no - no RBAC policy matched`; the exit code is 1.
fn is_no(answer: &Answer) -> bool {
    let said = match answer {
        Ok(said) => said,
        Err(CommandError::Failed { stdout, .. }) => stdout,
        Err(_) => return false,
    };
    said.split_whitespace().next() == Some("no")
}

#[derive(Deserialize)]
struct ScaledObject {
    #[serde(default)]
    spec: ScaledObjectSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScaledObjectSpec {
    min_replica_count: Option<u32>,
    max_replica_count: Option<u32>,
}

#[derive(Deserialize)]
struct Bound {
    kind: String,
    metadata: BoundMetadata,
    #[serde(default)]
    spec: BoundSpec,
    #[serde(default)]
    status: BoundStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BoundMetadata {
    name: String,
    #[serde(default)]
    owner_references: Vec<BoundOwner>,
}

#[derive(Deserialize)]
struct BoundOwner {
    kind: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BoundSpec {
    scale_target_ref: Option<BoundOwner>,
    min_replicas: Option<u32>,
    max_replicas: u32,
    min_available: Option<IntOrString>,
    selector: Option<LabelSelector>,
    hard: BTreeMap<String, String>,
    scopes: Vec<String>,
    scope_selector: Option<serde::de::IgnoredAny>,
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/>
#[derive(Deserialize)]
#[serde(untagged)]
enum IntOrString {
    Int(u32),
    String(String),
}

impl IntOrString {
    /// A percentage shrinks along with the count, so it bounds none.
    fn number(&self) -> Option<u32> {
        match self {
            Self::Int(number) => Some(*number),
            Self::String(text) => text.parse().ok(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LabelSelector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Requirement>,
}

#[derive(Deserialize)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BoundStatus {
    hard: BTreeMap<String, String>,
    used: BTreeMap<String, String>,
}

/// Where a kind may not be listed the request fails, and the others are printed all the same.
fn read_bounds(answer: &Answer) -> (Vec<Autoscaler>, Vec<Budget>, Vec<Quota>) {
    let text = match answer {
        Ok(text) => text,
        Err(CommandError::Failed { stdout, .. }) => stdout,
        Err(_) => "",
    };
    let (mut autoscalers, mut budgets, mut quotas) = (Vec::new(), Vec::new(), Vec::new());
    let list: List<Bound> = serde_json::from_str(text).unwrap_or(List { items: Vec::new() });
    for item in list.items {
        match item.kind.as_str() {
            "HorizontalPodAutoscaler" => autoscalers.extend(autoscaler(item)),
            "PodDisruptionBudget" => budgets.extend(budget(item)),
            "ResourceQuota" => quotas.extend(quota(item)),
            _ => {}
        }
    }
    (autoscalers, budgets, quotas)
}

fn autoscaler(item: Bound) -> Option<Autoscaler> {
    let target = item.spec.scale_target_ref?;
    let mut owners = item.metadata.owner_references.into_iter();
    Some(Autoscaler {
        name: item.metadata.name,
        target: format!("{}/{}", target.kind.to_lowercase(), target.name),
        min: item.spec.min_replicas.unwrap_or(1),
        max: item.spec.max_replicas,
        // KEDA scales through an autoscaler of its own making, which it takes away while it is paused.
        // <https://keda.sh/docs/latest/concepts/scaling-deployments/>
        scaled_object: owners
            .find(|owner| owner.kind == "ScaledObject")
            .map(|owner| owner.name),
    })
}

fn budget(item: Bound) -> Option<Budget> {
    let selector = item.spec.selector.unwrap_or_default();
    let expressions = selector.match_expressions.into_iter().map(|one| {
        let operator = match one.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => return None,
        };
        Some(Expression {
            key: one.key,
            operator,
            values: one.values,
        })
    });
    Some(Budget {
        name: item.metadata.name,
        min_available: item.spec.min_available?.number()?,
        selector: Selector {
            expressions: expressions.collect::<Option<_>>()?,
            labels: selector.match_labels,
        },
    })
}

/// Quotas of some scopes count only some pods; of these, only those of long-running ones are sure to count a
/// workload's.
fn quota(item: Bound) -> Option<Quota> {
    let scopes = &item.spec.scopes;
    if item.spec.scope_selector.is_some() || scopes.iter().any(|scope| scope != "NotTerminating") {
        return None;
    }
    let hard = if item.status.hard.is_empty() {
        item.spec.hard
    } else {
        item.status.hard
    };
    let used = &item.status.used;
    let bounds = hard.into_iter().filter_map(|(resource, hard)| {
        let used = used.get(&resource).map_or("0", String::as_str);
        let amounts = (Quantity::parse(used)?, Quantity::parse(&hard)?);
        Some((resource, amounts))
    });
    Some(Quota {
        name: item.metadata.name,
        bounds: bounds.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::{enquiries, is_listed, read};
    use crate::engine::Answer;
    use crate::engine::kubernetes::listing;
    use crate::exec::CommandError;
    use crate::project::Project;
    use crate::project::cluster::kubernetes::Facts;
    use crate::project::cluster::quantity::Quantity;
    use crate::project::declared::Declared;

    fn sample(name: &str) -> String {
        std::fs::read_to_string(format!("tests/samples/kubernetes-1.36/{name}")).unwrap()
    }

    fn shop() -> Project {
        let declared = Declared {
            by_engine: true,
            ..Declared::default()
        };
        Project::new(declared, listing::parse(&sample("shop.json")).unwrap())
    }

    fn failed(stdout: &str, stderr: &str) -> Answer {
        Err(CommandError::Failed {
            command: "kubectl".into(),
            status: "exit status: 1".into(),
            stdout: stdout.into(),
            stderr: stderr.into(),
        })
    }

    fn lines(asked: &[Vec<String>]) -> Vec<String> {
        asked.iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn only_what_the_table_leaves_open_is_asked_one_by_one() {
        let project = shop();
        let counts = [("web".to_owned(), 4), ("db".to_owned(), 3)].into();
        let first = enquiries(&project, &counts, &[]);
        assert_eq!(
            lines(&first),
            [
                "get horizontalpodautoscalers,poddisruptionbudgets,resourcequotas --output json",
                "auth can-i --list",
            ]
        );
        let rights_open = [
            "auth can-i get deployment/web --subresource=scale",
            "auth can-i update deployment/web --subresource=scale",
        ];
        for (table, expected) in [
            ("can-i-list-admin.txt", &[][..]),
            ("can-i-list-scaler.txt", &[]),
            ("can-i-list-restricted.txt", &rights_open),
        ] {
            let mut answers = vec![Ok(sample("bounds.json")), Ok(sample(table))];
            let second = enquiries(&project, &counts, &answers);
            assert_eq!(lines(&second), expected, "{table}");
            answers.extend(second.iter().map(|_| failed("no\n", "")));
            if !second.is_empty() {
                assert!(enquiries(&project, &counts, &answers).is_empty());
            }
            let forbidden = read(&project, &counts, &answers).forbidden;
            assert_eq!(
                forbidden.len(),
                usize::from(!expected.is_empty()),
                "{table}"
            );
        }
        let same = [("web".to_owned(), 3)].into();
        assert!(enquiries(&project, &same, &[]).is_empty());
        assert_eq!(read(&project, &same, &[]), Facts::default());
    }

    #[test]
    fn a_right_is_listed_for_all_or_for_the_name() {
        for (line, expected) in [
            ("deployments.apps/scale  []  []  [get update]", true),
            ("deployments.apps/scale  []  [web api]  [get update]", true),
            ("deployments.apps/scale  []  [api]  [get update]", false),
            ("deployments.apps/scale  []  []  [get]", false),
            ("deployments.apps  []  []  [get update]", false),
            ("statefulsets.apps/scale  []  []  [get update]", false),
            ("*.*  []  []  [*]", true),
            ("*.apps  []  []  [update]", true),
            ("  [/healthz]  []  [update]", false),
            ("", false),
        ] {
            assert_eq!(
                is_listed(line, "deployment/web", "update"),
                expected,
                "{line}"
            );
        }
    }

    #[test]
    fn bounds_are_read_and_what_may_not_be_seen_bounds_nothing() {
        let project = shop();
        let counts = [("web".to_owned(), 4)].into();
        let facts = |bounds| {
            read(
                &project,
                &counts,
                &[bounds, Ok(sample("can-i-list-admin.txt"))],
            )
        };
        let all = facts(Ok(sample("bounds.json")));
        let autoscalers: Vec<_> = all
            .autoscalers
            .iter()
            .map(|one| (one.name.as_str(), one.target.as_str(), one.min, one.max))
            .collect();
        assert_eq!(
            autoscalers,
            [
                ("busy", "deployment/busy", 1, 3),
                ("idle", "deployment/idle", 1, 3),
                ("lost", "statefulset/missing", 1, 3),
                ("web", "deployment/web", 2, 6),
            ]
        );
        // A percentage and a `maxUnavailable` follow the count.
        let budgets: Vec<_> = all
            .budgets
            .iter()
            .map(|one| (one.name.as_str(), one.min_available))
            .collect();
        assert_eq!(budgets, [("stuck", 1)]);
        let amounts = |used, hard| [used, hard].map(|text| Quantity::parse(text).unwrap());
        let [quota] = all.quotas.as_slice() else {
            panic!("{:?}", all.quotas);
        };
        let (used, hard) = quota.bounds["requests.memory"];
        assert_eq!(
            (quota.name.as_str(), [used, hard]),
            ("small", amounts("192Mi", "1Gi"))
        );
        let stderr = sample("errors/restricted-get-all-kinds.txt");
        let partly = facts(failed(&sample("bounds.json"), &stderr));
        assert_eq!(partly, all);
        assert_eq!(facts(failed("", "no")), Facts::default());
    }

    #[test]
    fn what_keda_made_is_told_by_its_scaled_object() {
        let project = shop();
        let counts = [("web".to_owned(), 4)].into();
        let bounds = r#"{"items": [{"kind": "HorizontalPodAutoscaler", "metadata": {"name": "keda-hpa-web-so",
            "ownerReferences": [{"kind": "ScaledObject", "name": "web-so", "controller": true}]},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 9}}]}"#;
        let mut answers = vec![Ok(bounds.to_owned()), Ok(sample("can-i-list-admin.txt"))];
        let asked = enquiries(&project, &counts, &answers);
        assert_eq!(
            lines(&asked),
            ["get scaledobjects.keda.sh web-so --output json"]
        );
        let object = r#"{"spec": {"scaleTargetRef": {"name": "web"}, "maxReplicaCount": 9}}"#;
        answers.push(Ok(object.to_owned()));
        let [one] = read(&project, &counts, &answers)
            .autoscalers
            .try_into()
            .unwrap();
        assert_eq!(
            (one.scaled_object.as_deref(), one.min, one.max),
            (Some("web-so"), 0, 9)
        );
    }
}
