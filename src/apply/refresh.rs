//! Tells other containers, load balancers mostly, that a set of replicas changed.

use super::{Event, Run, Stop};
use crate::engine::cause::explain_inside;
use crate::engine::steps::{refresh_hook, running, running_names};
use crate::error::Error;
use crate::plan::RefreshOthers;
use crate::project::Project;
use crate::project::observed::Replica;
use crate::project::policy::Refresh;

impl Run<'_> {
    /// Runs the refresh commands of a service, each in every running container that it is for.
    ///
    /// All are tried; the first failure counts. The replicas are what they should be, so it is not
    /// answered by rolling back.
    pub(super) async fn refresh(&self, step: &RefreshOthers) -> Result<(), Stop> {
        let _turn = self.refreshing.lock().await;
        let now = self.now().await?;
        let mut failure = None;
        for refresh in &step.refresh {
            if let Err(error) = self.refresh_one(&now, &step.service, refresh).await {
                failure.get_or_insert(error);
            }
        }
        self.note_done(&step.service);
        match failure {
            None => Ok(()),
            Some(error) => Err(Stop {
                // Ctrl-C is answered as anywhere else.
                worth_rolling_back: error.is_interrupted(),
                ..Stop::new(error).at(&step.service)
            }),
        }
    }

    async fn refresh_one(
        &self,
        now: &Project,
        service: &str,
        refresh: &Refresh,
    ) -> Result<(), Error> {
        let replicas = running_names(now.replicas(service));
        let hook = refresh_hook(now.name(), service, &replicas, &refresh.exec);
        let containers: Vec<Replica> = match &refresh.project {
            Some(other) if other != now.name() => {
                let others = self.reach.observed(other).await?.replicas.into_iter();
                let others: Vec<Replica> = others
                    .filter(|replica| replica.service == refresh.service)
                    .collect();
                owned(&running(&others))
            }
            _ => owned(&running(now.replicas(&refresh.service))),
        };
        if containers.is_empty() {
            // The preflight has said so, or it ended meanwhile.
            let note = format!(
                "`{}` does not run, so it was not told of the replicas of `{service}`",
                refresh.service
            );
            (self.emit)(Event::Note(note));
        }
        let mut failure = None;
        for container in &containers {
            let name = &container.name;
            (self.emit)(Event::Refreshing {
                service: service.to_owned(),
                container: name.clone(),
            });
            let spec = {
                let engine = self.reach.engine;
                engine.exec(&engine.container(container), &hook, refresh.timeout)
            };
            if let Err(error) = self.change(&spec).await {
                let error = explain_inside(&error, &refresh.exec);
                let message = format!(
                    "the replicas of `{service}` changed, but `{name}` could not be told: {}",
                    error.message
                );
                failure.get_or_insert(
                    error
                        .worded(message)
                        .hint(format!("once it is mended: {spec}")),
                );
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

fn owned(replicas: &[&Replica]) -> Vec<Replica> {
    replicas.iter().map(|replica| (*replica).clone()).collect()
}
