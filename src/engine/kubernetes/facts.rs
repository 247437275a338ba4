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
