//! Claims on Kubernetes: a Lease (coordination.k8s.io/v1), which the API server changes only for whoever has seen its last
//! version.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CHANGE_TIMEOUT, Kubernetes, READ_TIMEOUT};
use crate::engine::claims::{Claim, Claimed, Claims, HOLDER_LABEL, STANDS};
use crate::exec::{CommandError, CommandSpec, OnInterrupt};
use crate::lock::Holder;

/// The claim to a project in a namespace.
#[derive(Debug)]
pub struct LeaseClaims<'a> {
    pub kubernetes: &'a Kubernetes,
    pub project: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lease {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource_version: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    holder_identity: Option<String>,
    renew_time: Option<String>,
    lease_duration_seconds: Option<u64>,
}

impl LeaseClaims<'_> {
    /// Of an RFC 1123 subdomain.
    fn name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let project: String = self.project.to_lowercase().chars().map(plain).collect();
        format!("rscale-lock-{}", project.trim_matches('-'))
    }

    fn change(&self, words: &[&str]) -> CommandSpec {
        let spec = self
            .kubernetes
            .kubectl(words.iter().copied(), CHANGE_TIMEOUT);
        spec.on_interrupt(OnInterrupt::Finish)
    }

    fn send(&self, verb: &str, claim: &Claim, version: Option<&str>) -> CommandSpec {
        let holder = serde_json::to_string(&claim.holder).unwrap_or_default();
        let lease = Lease {
            api_version: "coordination.k8s.io/v1".into(),
            kind: "Lease".into(),
            metadata: Metadata {
                name: self.name(),
                resource_version: version.map(str::to_owned),
                annotations: [(HOLDER_LABEL.into(), holder)].into(),
            },
            spec: Spec {
                holder_identity: Some(claim.run.clone()),
                renew_time: Some(now()),
                lease_duration_seconds: Some(STANDS.as_secs()),
            },
        };
        let mut spec = self.change(&[verb, "--filename", "-"]);
        spec.stdin = serde_json::to_string(&lease).ok().map(Into::into);
        spec
    }
}

/// As `metav1.MicroTime` is written.
fn now() -> String {
    let format = "%Y-%m-%dT%H:%M:%S.%6fZ";
    Timestamp::now().strftime(format).to_string()
}

impl Claims for LeaseClaims<'_> {
    fn claim(&self, claim: &Claim) -> CommandSpec {
        self.send("create", claim, None)
    }

    fn is_claimed(&self, error: &CommandError) -> bool {
        error.stderr().contains("(AlreadyExists)")
    }

    fn look(&self) -> CommandSpec {
        let words = ["get", "lease", &self.name(), "--output", "json"].map(str::to_owned);
        self.kubernetes.request(words, READ_TIMEOUT)
    }

    fn printed_anyway<'e>(&self, error: &'e CommandError) -> Option<&'e str> {
        error.stderr().contains("(NotFound)").then_some("")
    }

    fn parse_look(&self, stdout: &str) -> Option<Claimed> {
        let lease: Lease = serde_json::from_str(stdout).ok()?;
        let holder = lease.metadata.annotations.get(HOLDER_LABEL);
        Some(Claimed {
            claim: Claim {
                run: lease.spec.holder_identity?,
                holder: Holder::read(holder.map_or("", String::as_str)),
            },
            renewal: lease.metadata.resource_version.unwrap_or_default(),
        })
    }

    fn renew(&self, claim: &Claim, _beat: u64) -> Vec<CommandSpec> {
        let patch = serde_json::json!([
            {"op": "test", "path": "/spec/holderIdentity", "value": claim.run},
            {"op": "replace", "path": "/spec/renewTime", "value": now()},
        ])
        .to_string();
        let name = self.name();
        vec![self.change(&["patch", "lease", &name, "--type", "json", "--patch", &patch])]
    }

    fn take_over(&self, claim: &Claim, from: &Claimed) -> Vec<CommandSpec> {
        vec![self.send("replace", claim, Some(&from.renewal))]
    }

    fn release(&self) -> CommandSpec {
        self.change(&["delete", "lease", &self.name(), "--ignore-not-found"])
    }
}

#[cfg(test)]
mod tests {
    use super::LeaseClaims;
    use crate::engine::claims::{Claim, Claimed, Claims};
    use crate::engine::kubernetes::Kubernetes;
    use crate::lock::Holder;

    #[test]
    fn a_lease_says_who_holds_it_and_is_replaced_only_as_it_was_seen() {
        let kubernetes = Kubernetes::default();
        let claims = LeaseClaims {
            kubernetes: &kubernetes,
            project: "My_shop".into(),
        };
        let claim = Claim {
            run: "r1".into(),
            holder: Holder {
                pid: 7,
                command: "rscale web=3".into(),
                ..Holder::default()
            },
        };
        let sent = |spec: &crate::exec::CommandSpec| -> String {
            spec.stdin.clone().map(|text| text.0).unwrap()
        };
        let created = sent(&claims.claim(&claim));
        let lease: serde_json::Value = serde_json::from_str(&created).unwrap();
        assert_eq!(lease["metadata"]["name"], "rscale-lock-my-shop");
        assert_eq!(lease["metadata"].get("resourceVersion"), None);
        let found = claims.parse_look(&created).unwrap();
        assert_eq!(found.claim, claim);
        let seen = Claimed {
            renewal: "42".into(),
            ..found
        };
        let replaced = sent(&claims.take_over(&claim, &seen)[0]);
        let lease: serde_json::Value = serde_json::from_str(&replaced).unwrap();
        assert_eq!(lease["metadata"]["resourceVersion"], "42");
        assert_eq!(claims.parse_look("{}"), None);
    }
}
