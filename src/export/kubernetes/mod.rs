//! `rscale export kubernetes`: a Kustomize overlay with counts, budgets and graces, over a base that Kompose
//! makes of the compose file.
//!
//! How Kompose names what it makes, and of which services it makes pods, is as in its
//! `pkg/loader/compose/utils.go` and `pkg/transformer/kubernetes`.

mod built;
mod leaving;
mod operation;
mod workload;

pub use built::problems;

use super::part::quoted_list;
use super::yaml::{Entry, Item, Yaml, document};
use super::{Exported, File, Source, Warning, common_warnings};
use crate::error::Result;
use workload::Workload;

/// The overlay, and its budgets.
pub const FILE: &str = "kustomization.yaml";
pub const BUDGETS: &str = "disruption-budgets.yaml";
/// The base where there is none yet: one file, beside the overlay.
pub const BASE: &str = "base.yaml";

/// The label that Kompose writes on what it makes of a service, and on its pods.
const KOMPOSE_LABEL: &str = "io.kompose.service";

/// An overlay, and what has to become of it.
#[derive(Debug)]
pub struct Overlay {
    workloads: Vec<Workload>,
    project: String,
    folder: String,
    warnings: Vec<Warning>,
}

/// Works out the overlay; `folder` is where it will be, for what can be typed.
///
/// # Errors
/// No service goes along.
pub fn overlay(source: Source<'_>, folder: &str) -> Result<Overlay> {
    let (parts, counts) = source.parts()?;
    let mut warnings = common_warnings(source, &parts, counts);
    let workloads: Vec<Workload> = parts.iter().map(Workload::new).collect();
    for (workload, part) in workloads.iter().zip(&parts) {
        warnings.extend(workload.warnings(part));
    }
    Ok(Overlay {
        workloads,
        project: source.project.name().to_owned(),
        folder: folder.to_owned(),
        warnings,
    })
}

impl Overlay {
    /// The files of an overlay over `base`.
    pub fn export(&self, base: &str) -> Exported {
        let mut files = vec![File {
            name: FILE,
            text: self.kustomization(base),
        }];
        files.extend(self.budgets().map(|text| File {
            name: BUDGETS,
            text,
        }));
        Exported {
            files,
            warnings: self.warnings.clone(),
        }
    }

    fn budgets(&self) -> Option<String> {
        let budgets: Vec<String> = self.workloads.iter().filter_map(Workload::budget).collect();
        let head = "# How many replicas of a service stay when nodes are drained and upgraded: `min` of x-rscale.\n\
                    # A scale may go below; that is for `rscale` to refuse.\n";
        (!budgets.is_empty()).then(|| head.to_owned() + &budgets.join("---\n"))
    }

    fn kustomization(&self, base: &str) -> String {
        let mut resources = vec![Item::commented(
            "What Kompose made of the compose file.",
            Yaml::text(base),
        )];
        if self.workloads.iter().any(Workload::has_budget) {
            resources.push(Item::commented(
                "How many replicas stay while nodes are drained.",
                Yaml::text(BUDGETS),
            ));
        }
        let mut entries = vec![
            Entry::new("apiVersion", Yaml::text("kustomize.config.k8s.io/v1beta1")),
            Entry::new("kind", Yaml::text("Kustomization")),
            Entry::new("resources", Yaml::List(resources)),
        ];
        let replicas: Vec<Item> = self
            .workloads
            .iter()
            .filter_map(|one| Some(one.replicas()?.into()))
            .collect();
        if !replicas.is_empty() {
            entries.push(Entry::commented(
                "The counts that they had when this was written. Applying sets them again: where an autoscaler owns \
                 a workload, take its entry out.",
                "replicas",
                Yaml::List(replicas),
            ));
        }
        let patches: Vec<Item> = self.workloads.iter().filter_map(Workload::patch).collect();
        if !patches.is_empty() {
            entries.push(Entry::commented(
                "How replicas leave, and the names that rscale knows services by.",
                "patches",
                Yaml::List(patches),
            ));
        }
        document(&self.head(), &entries)
    }

    fn head(&self) -> Vec<String> {
        let (project, folder) = (&self.project, &self.folder);
        let mut head = vec![
            format!(
                "The scale and the policies of `{project}` for Kubernetes. Written by `rscale export kubernetes`; to \
                 write it anew: --force."
            ),
            String::new(),
            format!(" kompose convert --out {folder}/{BASE}"),
            format!(" kubectl apply --kustomize {folder}"),
            " rscale --engine kubernetes status".to_owned(),
        ];
        let of = |is: fn(&Workload) -> bool| -> Vec<&str> {
            let matching = self.workloads.iter().filter(|one| is(one));
            matching.map(|one| one.service.as_str()).collect()
        };
        let say = |head: &mut Vec<String>, services: &[&str], what: &str| {
            if !services.is_empty() {
                head.push(format!("{}: {what}", quoted_list(services)));
            }
        };
        head.push(String::new());
        say(
            &mut head,
            &of(Workload::is_pod),
            "Kompose makes pods of services that are not restarted, so they have no count and nothing is patched.",
        );
        say(
            &mut head,
            &of(|one| one.refreshes),
            "`refresh` is not here. A Kubernetes Service sends requests to ready pods only, and learns of them by itself.",
        );
        say(
            &mut head,
            &of(|one| one.counts_connections),
            "`connections` and `max-connections` are not here; `rscale --engine kubernetes` reads them in the \
             compose file.",
        );
        say(
            &mut head,
            &of(|one| one.has_max),
            "`max` is not here: kubectl scales beyond it. `rscale --engine kubernetes` reads it in the compose file.",
        );
        if head.last().is_some_and(String::is_empty) {
            head.pop();
        }
        head
    }

    /// A base with nothing but what the overlay is about, to check it where there is no base yet.
    pub fn minimal_base(&self) -> String {
        let bases: Vec<String> = self
            .workloads
            .iter()
            .filter_map(Workload::minimal)
            .collect();
        bases.join("---\n")
    }
}
