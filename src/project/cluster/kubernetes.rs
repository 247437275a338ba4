//! What a namespace says of its workloads beyond their counts: who else sets them, what bounds them, who may.

use std::collections::{BTreeMap, BTreeSet};

use super::quantity::Quantity;

/// What the pods of a workload are made from, as far as others select and count them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodTemplate {
    pub labels: BTreeMap<String, String>,
    /// What one pod asks for, by resource: `cpu`, `memory`.
    pub requests: BTreeMap<String, Quantity>,
    /// What one pod may take at most.
    pub limits: BTreeMap<String, Quantity>,
}

/// What the preflight has to know of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub autoscalers: Vec<Autoscaler>,
    pub budgets: Vec<Budget>,
    pub quotas: Vec<Quota>,
    /// What the user may not do, by workload (`deployment/web`): verbs on its `scale`.
    pub forbidden: BTreeMap<String, BTreeSet<String>>,
}

/// Who sets the count of a workload by its load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Autoscaler {
    pub name: String,
    /// The workload, as [`super::Deployed::object`] has it.
    pub target: String,
    pub min: u32,
    pub max: u32,
    /// The KEDA ScaledObject that made it.
    pub scaled_object: Option<String>,
}

/// A `PodDisruptionBudget` that asks for a number of pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    pub name: String,
    pub min_available: u32,
    pub selector: Selector,
}

/// Which pods are meant, by their labels; what is empty selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    pub labels: BTreeMap<String, String>,
    pub expressions: Vec<Expression>,
}

/// One of a selector's `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    pub key: String,
    pub operator: Operator,
    pub values: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |key: &String, value: &String| labels.get(key) == Some(value);
        self.labels.iter().all(|(key, value)| has(key, value))
            && self.expressions.iter().all(|one| {
                let value = labels.get(&one.key);
                let listed = value.is_some_and(|value| one.values.contains(value));
                match one.operator {
                    Operator::In => listed,
                    Operator::NotIn => !listed,
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

/// A `ResourceQuota` that counts every pod of its namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    pub name: String,
    /// Used and allowed by resource, as the quota names it: `pods`, `requests.cpu`.
    pub bounds: BTreeMap<String, (Quantity, Quantity)>,
}

impl PodTemplate {
    /// What one pod takes of a quota's resource; `None` where it does not say.
    pub fn takes(&self, resource: &str) -> Option<Quantity> {
        if matches!(resource, "pods" | "count/pods") {
            return Some(Quantity::whole(1));
        }
        if let Some(name) = resource.strip_prefix("limits.") {
            return self.limits.get(name).copied();
        }
        let name = resource.strip_prefix("requests.").unwrap_or(resource);
        // A limit without a request is a request, too.
        self.requests
            .get(name)
            .or_else(|| self.limits.get(name))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Expression, Operator, PodTemplate, Selector};
    use crate::project::cluster::quantity::Quantity;

    #[test]
    fn selectors_are_followed_as_the_api_does() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let expression = |key: &str, operator, values: &[&str]| Selector {
            expressions: vec![Expression {
                key: key.into(),
                operator,
                values: values.iter().map(ToString::to_string).collect(),
            }],
            ..Selector::default()
        };
        for (selector, expected) in [
            (Selector::default(), true),
            (expression("app", Operator::In, &["api", "web"]), true),
            (expression("app", Operator::In, &["api"]), false),
            (expression("app", Operator::NotIn, &["api"]), true),
            (expression("tier", Operator::NotIn, &["api"]), true),
            (expression("app", Operator::Exists, &[]), true),
            (expression("app", Operator::DoesNotExist, &[]), false),
        ] {
            assert_eq!(selector.selects(&labels), expected, "{selector:?}");
        }
        let other = Selector {
            labels: BTreeMap::from([("app".to_owned(), "api".to_owned())]),
            ..Selector::default()
        };
        assert!(!other.selects(&labels));
    }

    #[test]
    fn a_pod_takes_what_the_quota_counts() {
        let amount = |text| Quantity::parse(text).unwrap();
        let pod = PodTemplate {
            requests: [("cpu".to_owned(), amount("100m"))].into(),
            limits: [("memory".to_owned(), amount("64Mi"))].into(),
            ..PodTemplate::default()
        };
        for (resource, expected) in [
            ("pods", Some("1")),
            ("count/pods", Some("1")),
            ("cpu", Some("100m")),
            ("requests.cpu", Some("100m")),
            ("limits.cpu", None),
            ("requests.memory", Some("64Mi")),
            ("limits.memory", Some("64Mi")),
            ("count/services", None),
        ] {
            assert_eq!(pod.takes(resource), expected.map(amount), "{resource}");
        }
    }
}
