//! Reading the project: runs the commands whose output `project` parses.

mod addresses;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::engine::cause::{explain, explain_reading};
use crate::engine::launcher::Launcher;
use crate::engine::steps::running;
use crate::engine::warning::warnings;
use crate::engine::{Answer, Containers, Control, Engine, EngineInfo, Orchestrator};
use crate::error::{Error, Result};
use crate::exec::endpoint::Endpoint;
use crate::exec::{CommandError, CommandOutput, CommandSpec, Executor, OnLine};

use crate::plan::Counts;
use crate::project::Project;
use crate::project::cluster::Facts;
use crate::project::declared::Declared;
use crate::project::observed::{Handle, Observed, Replica, Vitals};
use crate::project::workload::Place;
use crate::suggest;

/// Containers that one `docker inspect` is asked about.
const INSPECTED_AT_ONCE: usize = 50;

/// An engine and the executor that reaches it.
#[derive(Clone, Copy)]
pub struct Reach<'a> {
    pub engine: &'a dyn Engine,
    pub executor: &'a dyn Executor,
    pub endpoint: &'a Endpoint,
}

/// What the engine said of itself, and when.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The engine's own time, where it tells it.
    pub engine_time: Option<Timestamp>,
    pub read_at: Instant,
}

impl std::fmt::Debug for Reach<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reach")
            .field("engine", &self.engine.name())
            .finish_non_exhaustive()
    }
}

impl Reach<'_> {
    pub async fn run(
        &self,
        spec: &CommandSpec,
        on_line: Option<OnLine<'_>>,
    ) -> Result<CommandOutput, CommandError> {
        self.executor.run(spec, on_line).await
    }

    async fn read(&self, spec: &CommandSpec) -> Result<String> {
        match self.executor.run(spec, None).await {
            Ok(output) => Ok(output.stdout),
            Err(error) => Err(explain_reading(&error)),
        }
    }

    /// The resolved compose file with the services of every profile; `None` where there is none.
    pub async fn resolved(&self) -> Result<Option<String>> {
        Ok(self.read_file().await?.map(|output| output.stdout))
    }

    /// What Compose says of the file, and what it warns of.
    async fn read_file(&self) -> Result<Option<CommandOutput>> {
        let (Some(every), Some(active)) = (self.engine.declared(true), self.engine.declared(false))
        else {
            return Ok(None);
        };
        match self.executor.run(&every, None).await {
            Ok(output) => Ok(Some(output)),
            // A service of an inactive profile may be broken; the project works without it.
            Err(CommandError::Failed { .. }) => {
                let output = self.executor.run(&active, None).await;
                output.map(Some).map_err(|error| explain_reading(&error))
            }
            Err(error) => Err(explain_reading(&error)),
        }
    }

    /// The declared model, with the services of every profile and a note of which are inactive.
    pub async fn declared(&self, fallback_name: &str) -> Result<Declared> {
        let (Some(output), Some(active)) = (self.read_file().await?, self.engine.declared(false))
        else {
            return Ok(Declared {
                name: fallback_name.to_owned(),
                by_engine: true,
                ..Declared::default()
            });
        };
        let stdout = &output.stdout;
        let mut declared = self.engine.parse_declared(stdout, fallback_name)?;
        declared.warnings = warnings(&output.stderr);
        if declared
            .services
            .values()
            .any(|service| !service.profiles.is_empty())
        {
            // Compose alone knows what is active: COMPOSE_PROFILES may stand in a .env file.
            let active = self.read(&active).await?;
            let active = self.engine.parse_declared(&active, fallback_name)?;
            let inactive = declared
                .services
                .keys()
                .filter(|name| !active.services.contains_key(*name));
            declared.inactive = inactive.cloned().collect();
        }
        Ok(declared)
    }

    /// Both sides at once: what runs of the likely project is listed while Compose reads its file.
    pub async fn project(&self, likely_name: &str) -> Result<Project> {
        let (declared, observed) =
            tokio::join!(self.declared(likely_name), self.observed(likely_name));
        let declared = declared?;
        let observed = if declared.name == likely_name {
            observed?
        } else {
            self.observed(&declared.name).await?
        };
        self.existing(Project::new(declared, observed)).await
    }

    /// The project, unless the engine keeps counts and has nothing of it.
    ///
    /// # Errors
    /// Says which projects there are.
    pub async fn existing(&self, project: Project) -> Result<Project> {
        if let Control::Counts(engine) = self.engine.control()
            && project.deployed.is_empty()
        {
            self.nothing_there(engine, &project).await?;
        }
        Ok(project)
    }

    /// Refuses a project that the engine does not run, and says which it runs.
    async fn nothing_there(&self, engine: &dyn Orchestrator, project: &Project) -> Result<()> {
        let Some(spec) = engine.projects() else {
            return Ok(());
        };
        let said = self.read(&spec).await?;
        let names: Vec<&str> = said.split_whitespace().collect();
        let name = project.name();
        let error = Error::unusable(format!("nothing of `{name}` runs on {}", engine.name()));
        let error = match suggest::nearest(name, names.iter().copied()) {
            Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
            None => error,
        };
        let error = match names.as_slice() {
            [] => error,
            [first, ..] => error.hint(format!(
                "what runs there: {}; name it: rscale --project-name {first} ...",
                names.join(", ")
            )),
        };
        Err(error.hint(format!("deploy it: {}", engine.deploy(name))))
    }

    /// What runs of a project.
    pub async fn observed(&self, project: &str) -> Result<Observed> {
        let specs = self.engine.listing(project);
        let listed = join_all(specs.iter().map(|spec| self.executor.run(spec, None))).await;
        let mut outputs = Vec::new();
        for output in listed {
            match output {
                Ok(output) => outputs.push(output.stdout),
                Err(error) if self.engine.is_nothing(&error) => outputs.push(String::new()),
                Err(error) => match self.engine.printed_anyway(&error) {
                    Some(printed) => outputs.push(printed.to_owned()),
                    None => return Err(self.why(&error).await),
                },
            }
        }
        let observed = self.engine.parse_listing(project, &outputs)?;
        if observed.is_empty()
            && let Some(spec) = self.engine.existence()
            && let Err(error) = self.executor.run(&spec, None).await
            && self.engine.is_missing(&error)
        {
            return Err(explain_reading(&error));
        }
        Ok(observed)
    }

    /// Why a listing failed.
    async fn why(&self, error: &CommandError) -> Error {
        match self.engine.inquiry(error) {
            Some(spec) => {
                let answer = self.executor.run(&spec, None).await;
                self.engine
                    .explain(error, &answer.map(|output| output.stdout))
            }
            None => explain_reading(error),
        }
    }

    /// The engine as one whose containers rscale handles.
    ///
    /// # Errors
    /// It brings and takes replicas itself.
    pub fn containers(&self) -> Result<&dyn Containers> {
        match self.engine.control() {
            Control::Containers(engine) => Ok(engine),
            Control::Counts(engine) => Err(Error::failed(format!(
                "{} starts and stops replicas itself",
                engine.name()
            ))),
        }
    }

    /// The error of telling counts to an engine that takes none.
    pub fn not_told(&self) -> Error {
        Error::failed(format!("{} is not told counts", self.engine.name()))
    }

    /// Adds what an engine that keeps counts knows of its services beyond a listing.
    pub async fn describe(&self, project: &mut Project) -> Result<()> {
        let Control::Counts(engine) = self.engine.control() else {
            return Ok(());
        };
        if let Some(spec) = engine.description(project) {
            let stdout = self.read(&spec).await?;
            let described = engine.parse_description(project, &stdout)?;
            project.describe(described);
        }
        Ok(())
    }

    /// What the preflight has to know of a cluster; nothing where there is none.
    pub async fn facts(&self, project: &Project, counts: &Counts) -> Result<Option<Facts>> {
        let Control::Counts(engine) = self.engine.control() else {
            return Ok(None);
        };
        let answers = self
            .ask(|answers| engine.enquiries(project, counts, answers))
            .await;
        engine.facts(project, counts, &answers).map(Some)
    }

    /// Asks until there is nothing more to ask.
    async fn ask(&self, enquiries: impl Fn(&[Answer]) -> Vec<CommandSpec>) -> Vec<Answer> {
        let mut answers = Vec::new();
        loop {
            let asked = enquiries(&answers);
            if asked.is_empty() {
                return answers;
            }
            let said = join_all(asked.iter().map(|spec| self.executor.run(spec, None))).await;
            answers.extend(said.into_iter().map(|one| one.map(|output| output.stdout)));
        }
    }

    /// How some replicas of a project are, those that are gone left out.
    pub async fn pulses(&self, project: &str, ids: &[&str]) -> Result<Vec<Vitals>> {
        if let Control::Containers(_) = self.engine.control() {
            return self.vitals(ids).await;
        }
        let replicas = self.observed(project).await?.replicas.into_iter();
        let known = replicas.filter(|replica| ids.contains(&replica.id.as_str()));
        Ok(known.map(|replica| Vitals::of(&replica)).collect())
    }

    /// Details of some containers.
    pub async fn vitals(&self, ids: &[&str]) -> Result<Vec<Vitals>> {
        let engine = self.containers()?;
        // The client asks for one container after another, so two clients are faster than one.
        let shares = join_all(
            ids.chunks(INSPECTED_AT_ONCE)
                .map(|ids| self.vitals_of(engine, ids)),
        )
        .await;
        Ok(shares.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    async fn vitals_of(&self, engine: &dyn Containers, ids: &[&str]) -> Result<Vec<Vitals>> {
        match self.executor.run(&engine.inspection(ids), None).await {
            Ok(output) => engine.parse_inspection(&output.stdout),
            // One of them is gone; what is known of the others is printed all the same.
            Err(CommandError::Failed { stdout, stderr, .. })
                if stderr.to_lowercase().contains("no such container") =>
            {
                engine.parse_inspection(&stdout)
            }
            Err(error) => Err(explain(&error)),
        }
    }

    /// How busy containers are, in percent of one core, by id.
    pub async fn usage(&self, ids: &[&str]) -> Result<BTreeMap<String, f64>> {
        let engine = self.containers()?;
        let stdout = self.read(&engine.usage(ids)).await?;
        Ok(engine.parse_usage(&stdout))
    }

    /// What the engine says of itself, and its clock.
    pub async fn info(&self) -> Result<(EngineInfo, Clock)> {
        let engine = self.containers()?;
        let stdout = self.read(&engine.info()).await?;
        let info = engine.parse_info(&stdout);
        let clock = Clock {
            engine_time: info.time,
            read_at: Instant::now(),
        };
        Ok((info, clock))
    }

    /// Notes how often the engine restarted replicas, asking only where a restart can have happened.
    pub async fn add_restarts(&self, project: &mut Project) -> Result<()> {
        if !matches!(self.engine.control(), Control::Containers(_)) {
            // Its listing has told.
            return Ok(());
        }
        let Project {
            declared, replicas, ..
        } = project;
        let may_restart = |replica: &&mut Replica| {
            declared
                .services
                .get(&replica.service)
                .is_none_or(|service| service.restarts)
        };
        let (asked, known): (Vec<&mut Replica>, Vec<&mut Replica>) =
            replicas.values_mut().flatten().partition(may_restart);
        for replica in known {
            replica.restarts = Some(0);
        }
        let ids: Vec<&str> = asked.iter().map(|replica| replica.id.as_str()).collect();
        let vitals = self.vitals(&ids).await?;
        let restarts: BTreeMap<&str, u32> = vitals
            .iter()
            .map(|vitals| (vitals.id.as_str(), vitals.restarts))
            .collect();
        for replica in asked {
            replica.restarts = restarts.get(replica.id.as_str()).copied();
        }
        Ok(())
    }

    /// How commands of the user's are run at these places.
    ///
    /// # Errors
    /// Exit 4: in a service that does not run.
    pub fn launchers(
        &self,
        project: &Project,
        places: &BTreeSet<&Place>,
    ) -> Result<BTreeMap<Place, Launcher>> {
        let launchers = places.iter().map(|place| {
            let replica = match place {
                Place::Exec(service) => {
                    let running = running(project.replicas(service));
                    let here = running
                        .iter()
                        .find(|replica| self.engine.reaches(project, replica));
                    let here = here.ok_or_else(|| match running.first() {
                        Some(replica) => Error::unusable(format!(
                            "a command cannot be run in `{service}` from here: its replicas run on other nodes, \
                             `{}` on {}",
                            replica.name,
                            replica.node.as_deref().unwrap_or("none")
                        ))
                        .hint("give it to the engine of that node: DOCKER_HOST=ssh://NODE docker exec ...")
                        .hint(format!(
                            "or keep a replica on this node: services.{service}.deploy.placement.constraints"
                        )),
                        None => Error::unusable(format!("`{service}` does not run"))
                            .hint(format!("start it: rscale {service}=1")),
                    })?;
                    self.engine.container(here)
                }
                Place::Local | Place::Run(_) => Handle::default(),
            };
            let launcher = self.engine.launcher(place, &replica)?;
            Ok(((*place).clone(), launcher))
        });
        launchers.collect()
    }

    /// The hashes of the resolved model. From Compose 2.22 to 5.4 `config --hash` hashes the model before a service's
    /// `env_file` is read, and `up` the one after it, so that such a service's hash is never that of its replicas
    /// (docker/compose#14001). What is resolved has no `env_file` any more.
    async fn resolved_hashes(
        &self,
        engine: &dyn Containers,
        project: &str,
        hashes: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let Ok(Some(resolved)) = self.resolved().await else {
            return BTreeMap::new();
        };
        let Some(spec) = engine.resolved_hashes(project, &resolved) else {
            return hashes;
        };
        match self.executor.run(&spec, None).await {
            Ok(output) => engine.parse_hashes(&output.stdout),
            Err(_) => BTreeMap::new(),
        }
    }

    /// Marks replicas whose configuration or image changed since they were created, in the services that are to
    /// shrink, where it decides which go first, and in those of which some do not run, where it decides whether
    /// they are started or made anew.
    pub async fn mark_outdated(&self, project: &mut Project, wish: &Counts) -> Result<()> {
        let asked: Vec<String> = wish
            .iter()
            .filter(|(service, count)| {
                let replicas = project.replicas(service);
                let shrinks = **count < project.count(service);
                **count > 0 && (shrinks || replicas.iter().any(Replica::can_start))
            })
            .map(|(service, _)| service.clone())
            .collect();
        let (Control::Containers(engine), false) = (self.engine.control(), asked.is_empty()) else {
            return Ok(());
        };
        let images: Vec<CommandSpec> = asked
            .iter()
            .map(|service| engine.image_id(project, service))
            .collect();
        let hashes = engine.hashes();
        let (hashes, images) = tokio::join!(
            self.executor.run(&hashes, None),
            join_all(images.iter().map(|spec| self.executor.run(spec, None)))
        );
        // Not knowing it only means that the highest numbers go, as with Compose.
        let mut hashes = hashes
            .map(|output| engine.parse_hashes(&output.stdout))
            .unwrap_or_default();
        let differs =
            |has: &str, wanted: &str| !has.is_empty() && !wanted.is_empty() && has != wanted;
        let is_other = |service: &String| {
            let hash = hashes.get(service).map_or("", String::as_str);
            let mut replicas = project.replicas(service).iter();
            replicas.any(|replica| differs(&replica.config_hash, hash))
        };
        if asked.iter().any(is_other) {
            hashes = self.resolved_hashes(engine, project.name(), hashes).await;
        }
        for (service, image) in asked.iter().zip(images) {
            let image = image
                .map(|output| output.stdout.trim().to_owned())
                .unwrap_or_default();
            let hash = hashes.get(service).map_or("", String::as_str);
            for replica in project.replicas.get_mut(service).into_iter().flatten() {
                replica.outdated =
                    differs(&replica.config_hash, hash) || differs(&replica.image_id, &image);
            }
        }
        Ok(())
    }
}
