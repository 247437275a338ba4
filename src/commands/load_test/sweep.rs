//! `--sweep`: scale, wait, warm up, measure, save, count after count; the counts go back at the end.

use std::time::Duration;

use tokio::time::Instant;

use super::measuring::{Measured, Measurement};
use super::request::Request;
use super::{amount, files, show};
use crate::apply::ApplyOptions;
use crate::cli::{self, SweepArgs};
use crate::commands::scale::host_facts;
use crate::commands::session::Session;
use crate::commands::status::tell_of;
use crate::error::{Error, Exit, Kind, Result};
use crate::exec::Executor;
use crate::exec::process::ProcessExecutor;
use crate::gather::Reach;
use crate::load::drivers;
use crate::load::result::{LoadTest, Sweep};
use crate::load::run::{LoadEvent, Warmup};
use crate::load::site::Site;
use crate::load::sweep::{self, Counts, SweepMode};
use crate::lock::Holder;
use crate::memory::{Began, Former, RunId};
use crate::phrase;
use crate::pipeline::identity::engine_id;
use crate::pipeline::keeping::Keeping;
use crate::pipeline::remembering::Memory;
use crate::pipeline::scaling::{self, Scaled, Scaling};
use crate::pipeline::selection::{Asked, known_services};
use crate::plan::PlanOptions;
use crate::plan::outcome::Outcome;
use crate::project::Project;
use crate::project::target::{Count, Targets};
use crate::project::workload::TaskType;
use crate::report::{html, json, load_sweep};
use crate::ui::Format;

/// Tasks of each type that warm new replicas up, unless something else is typed.
const WARMUP: u32 = 5;
/// How long new workers may take to listen on their queues once their replicas are healthy.
const LISTENING: Duration = Duration::from_secs(60);
/// How long an answer of a broker may take meanwhile.
const ANSWER: Duration = Duration::from_secs(5);
/// How long another run on the project is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// Measures at every count and says which one is worth it.
pub async fn run(session: &Session<'_>, request: &Request<'_>, args: &SweepArgs) -> Result<Exit> {
    let mode = match args.sweep_mode {
        cli::SweepMode::Step => SweepMode::Step,
        cli::SweepMode::Crossed => SweepMode::Crossed,
    };
    let points = sweep::parse(&args.sweep, mode)?;
    let reach = session.reach();
    let project = reach.project(&session.likely_name).await?;
    let names: Vec<&String> = points.iter().flat_map(Counts::keys).collect();
    known_services(&project.declared, names.iter().copied())?;
    // What the tasks are is found out first, then what would be refused, before anything is changed.
    let measurement = Measurement::prepare(reach, &session.likely_name, request).await?;
    session.ui.notes(&measurement.notes);
    let mut sweeping = Sweeping {
        session,
        request,
        warnings: &project.declared.warnings,
        wait_timeout: args.wait_timeout,
        points: &points,
        before: Counts::new(),
        run: None,
    };
    sweeping.announce(&measurement);
    for point in &points {
        sweeping.refuse_early(point).await?;
    }
    let mut measured = Vec::new();
    let kept = sweeping.kept(&project, &names, command(args), &mut measured);
    let (ended, restored) = kept.await?;
    let before = &sweeping.before;
    let mut document = sweep::document(project.name(), measured);
    document.restored = matches!(restored, Ok(true));
    document.interrupted = session.executor.interrupted();
    document.error = ended.as_ref().err().map(|error| error.message.clone());
    session.ui.clear_bars();
    match session.ui.format() {
        Format::Json => session.ui.data(&json::render(&document)),
        Format::Text if document.points.is_empty() => {}
        Format::Text => {
            let ui = session.ui;
            ui.data(&load_sweep::sweep(&document, ui.paint(), ui.width()));
        }
    }
    let saved = sweeping.save(&document);
    match restored {
        Ok(true) => session
            .ui
            .note(&format!("back to {}", sweep::typed(before))),
        // What others set was said.
        Ok(false) => {}
        Err(error) => {
            session.ui.error(&error);
            // What went wrong first decides the exit code.
            return Ok(ended.err().map_or(Exit::Failed, |error| error.exit()));
        }
    }
    ended?;
    saved?;
    Ok(verdict(session, &document))
}

/// Exit 5 where a point missed a threshold.
fn verdict(session: &Session<'_>, document: &Sweep) -> Exit {
    let mut exit = Exit::Done;
    for point in &document.points {
        for missed in &point.result.missed_thresholds {
            let name = load_sweep::configuration(point);
            session
                .ui
                .always(&format!("threshold missed at {name}: {missed}"));
            exit = Exit::Threshold;
        }
    }
    exit
}

struct Sweeping<'a> {
    session: &'a Session<'a>,
    request: &'a Request<'a>,
    warnings: &'a [String],
    wait_timeout: Option<Duration>,
    points: &'a [Counts],
    /// The counts before the first point.
    before: Counts,
    /// What the scales are a part of, once the project is kept.
    run: Option<RunId>,
}

/// The sweep as it could be typed, for whoever has to wait for it.
fn command(args: &SweepArgs) -> String {
    let sweeps = args.sweep.iter().map(|sweep| format!(" --sweep {sweep}"));
    format!("rscale load-test{}", sweeps.collect::<String>())
}

fn of_services(project: &Project, names: &[&String]) -> Counts {
    let count = |name: &&String| ((*name).clone(), project.count(name));
    names.iter().map(count).collect()
}

impl Sweeping<'_> {
    /// What is sent, and what is left out of the compose file's tasks.
    fn announce(&self, measurement: &Measurement) {
        let all = &measurement.plan.types;
        let swept = of_swept(all, &self.points[0]);
        let left_out: Vec<String> = all
            .iter()
            .filter(|task| !swept.contains(task))
            .map(|task| format!("`{}`", task.name))
            .collect();
        if !left_out.is_empty() {
            self.session.ui.note(&format!(
                "not sent: {}; no service that is swept does that work",
                phrase::list(&left_out)
            ));
        }
    }

    /// The point as a dry run of the scaler sees it.
    async fn refuse_early(&self, point: &Counts) -> Result<()> {
        let scaled = self
            .scale(self.session.executor, point, true, false)
            .await?;
        refusal(&scaled, point).map_or(Ok(()), Err)
    }

    /// Measures while the project is kept, and brings the counts back. How measuring ended, and whether they are back.
    async fn kept(
        &mut self,
        project: &Project,
        names: &[&String],
        command: String,
        measured: &mut Vec<(Counts, LoadTest)>,
    ) -> Result<(Result<()>, Result<bool>)> {
        let (session, reach, host) = (self.session, self.session.reach(), host_facts(self.session));
        let engine = engine_id(reach, &host).await?;
        let on_note = |note: &str| session.ui.note(note);
        let keeping = Keeping {
            reach,
            lock_folder: &host.lock_folder,
            engine: &engine,
            command: command.clone(),
            timeout: LOCK_TIMEOUT,
            note: &on_note,
        };
        let guard = keeping.keep(project.name(), None).await?;
        let memory = Memory::of(&host, &engine, project.name(), None);
        let worked = guard
            .during(self.remembered(project, names, command, &memory, measured))
            .await;
        guard.release().await;
        worked
    }

    /// The same, written down: a sweep that is killed is found, with the counts before it.
    async fn remembered(
        &mut self,
        project: &Project,
        names: &[&String],
        command: String,
        memory: &Memory,
        measured: &mut Vec<(Counts, LoadTest)>,
    ) -> Result<(Result<()>, Result<bool>)> {
        let (session, reach) = (self.session, self.session.reach());
        // As they are now that nobody else changes them.
        let observed = reach.observed(project.name()).await?;
        let now = Project::new(project.declared.clone(), observed);
        self.before = of_services(&now, names);
        tell_of(session.ui, &memory.leftovers(&now));
        let former = |name: &&String| ((*name).clone(), Former::new(&now, name, None));
        let record = memory.begin_as(Began {
            by: Holder::this_run(command),
            within: None,
            services: names.iter().map(former).collect(),
        });
        let run = record.as_ref().map(|record| record.id().clone());
        self.run = Some(run.unwrap_or_default());
        if let Some(trouble) = memory.trouble() {
            session.ui.note(&trouble);
        }
        let ended = self.go(measured).await;
        session.ui.clear_bars();
        let restored = self.restore().await;
        if let Some(record) = record {
            let outcome = match &restored {
                Ok(_) => Outcome::RolledBack,
                Err(_) => Outcome::Failed,
            };
            record.end(outcome, Counts::new());
        }
        Ok((ended, restored))
    }

    async fn go(&self, measured: &mut Vec<(Counts, LoadTest)>) -> Result<()> {
        let ui = self.session.ui;
        for (place, point) in self.points.iter().enumerate() {
            let name = sweep::typed(point);
            ui.note(&format!("[{}/{}] {name}", place + 1, self.points.len()));
            let scaled = self
                .scale(self.session.executor, point, false, false)
                .await?;
            if let Some(error) = failure(&scaled, point) {
                return Err(error);
            }
            ui.clear_bars();
            let Measured { result, failure } = self.measure(point).await?;
            ui.clear_bars();
            ui.note(&format!(
                "    {:.2} tasks/sec, {} completed, {} failed",
                result.throughput_per_second, result.completed, result.failed
            ));
            // What was measured until then counts too; it says of itself that it did not end.
            measured.push((point.clone(), result));
            if let Some(error) = failure {
                return Err(error);
            }
            // A later failure must not lose what was measured.
            let mut so_far = sweep::document(&measured[0].1.project, measured.clone());
            so_far.restored = *point == self.before;
            self.save(&so_far)?;
        }
        Ok(())
    }

    async fn measure(&self, point: &Counts) -> Result<Measured> {
        let (session, reach) = (self.session, self.session.reach());
        let mut measurement =
            Measurement::prepare(reach, &session.likely_name, self.request).await?;
        let plan = &mut measurement.plan;
        plan.warmup.get_or_insert(Warmup::Tasks(WARMUP));
        plan.types = of_swept(&plan.types, point);
        self.wait_for_workers(&measurement, point).await?;
        let emit = |event| match event {
            LoadEvent::Starting => session.ui.note(&format!(
                "    sending {} to {}",
                amount(&measurement),
                sweep::typed(point)
            )),
            event => show(session.ui, &measurement, event),
        };
        measurement.carry_out(reach, self.request, &emit).await
    }

    /// A replica is healthy before its worker listens on the queue: waits until as many listen as there are
    /// replicas, where the queue tells it.
    async fn wait_for_workers(&self, measurement: &Measurement, point: &Counts) -> Result<()> {
        let site = Site {
            timeout: ANSWER,
            ..measurement.site(self.session.reach(), self.request).await?
        };
        for task in &measurement.plan.types {
            let (Some(queue), Some(service)) = (task.work.queue(), &task.service) else {
                continue;
            };
            let Some(wanted) = point.get(service).map(|count| u64::from(*count)) else {
                continue;
            };
            let began = Instant::now();
            loop {
                let mut late = false;
                let listening =
                    match tokio::time::timeout(ANSWER, drivers::depth(queue, &site)).await {
                        Ok(Ok(depth)) => depth.consumers,
                        // What is wrong with it is said by the check before the measurement.
                        Ok(Err(_)) => break,
                        // A broker that is busy tells later.
                        Err(_) => {
                            late = true;
                            Some(0)
                        }
                    };
                // A queue that does not tell is not waited for; fewer listeners than wanted are.
                let Some(listening) = listening.filter(|now| *now < wanted) else {
                    break;
                };
                if began.elapsed() > LISTENING {
                    let name = &queue.name;
                    self.session.ui.note(&if late {
                        format!("warning: how many workers listen on `{name}` is not known: its broker does not answer")
                    } else {
                        format!("warning: only {listening} of {wanted} workers listen on `{name}`")
                    });
                    break;
                }
                if self.session.executor.interrupted() {
                    return Err(Error::interrupted());
                }
                self.session
                    .executor
                    .pause(Duration::from_millis(200))
                    .await;
            }
        }
        Ok(())
    }

    /// Brings the counts back; whether they are. What somebody else set meanwhile stays. An interruption has been heard by
    /// then; another one ends this as well.
    async fn restore(&self) -> Result<bool> {
        let by_hand = || format!("bring them back: rscale {}", sweep::typed(&self.before));
        let not_back = |error: Error| {
            let message = format!(
                "the counts are not what they were before: {}",
                error.message
            );
            Error::failed(message).hint(by_hand())
        };
        let executor = ProcessExecutor::listening().map_err(|error| {
            Error::failed(format!("signals cannot be listened for: {error}")).hint(by_hand())
        })?;
        let back = self.own(&executor).await.map_err(not_back)?;
        let all = back.len() == self.before.len();
        if back.is_empty() {
            return Ok(all);
        }
        // A policy must not keep the counts from being what they were.
        let scaled = self.scale(&executor, &back, false, true).await;
        let failed = match scaled {
            Ok(scaled) => failure(&scaled, &back),
            Err(error) => Some(error),
        };
        failed.map_or(Ok(all), |error| Err(not_back(error)))
    }

    /// The former counts of the services whose count is one that this sweep asked for.
    async fn own(&self, executor: &ProcessExecutor<'_>) -> Result<Counts> {
        let reach = Reach {
            executor,
            ..self.session.reach()
        };
        let project = reach.project(&self.session.likely_name).await?;
        let mut own = self.before.clone();
        own.retain(|service, before| {
            let now = project.count(service);
            let mut asked = self.points.iter().filter_map(|point| point.get(service));
            let is_own = now == *before || asked.any(|count| *count == now);
            if !is_own {
                self.session.ui.note(&format!(
                    "warning: `{service}` has {now} replicas, which this sweep did not ask for: somebody else did, so they stay \
                     (before it were {before})"
                ));
            }
            is_own
        });
        Ok(own)
    }

    async fn scale(
        &self,
        executor: &dyn Executor,
        counts: &Counts,
        dry_run: bool,
        force: bool,
    ) -> Result<Scaled> {
        let session = self.session;
        let reach = Reach {
            executor,
            ..session.reach()
        };
        let targets = counts
            .iter()
            .map(|(service, count)| (service.clone(), Count::Exactly(*count)));
        let scaling = Scaling {
            asked: Asked::Named(Targets(targets.collect())),
            dry_run,
            force,
            current_replicas: None,
            lock_timeout: LOCK_TIMEOUT,
            within: self.run.clone(),
            plan: PlanOptions {
                verify: true,
                ..PlanOptions::default()
            },
            apply: ApplyOptions {
                wait_timeout: self.wait_timeout,
                stable: None,
                keep: false,
                stop_timeout: None,
                force: false,
            },
        };
        let on_event = |event| session.ui.event(event);
        // What Compose warns of was said before the first point.
        let on_note = |note: &str| {
            if !self.warnings.iter().any(|warning| warning == note) {
                session.ui.note(note);
            }
        };
        scaling::scale(reach, &scaling, &host_facts(session), &on_event, &on_note).await
    }

    fn save(&self, document: &Sweep) -> Result<()> {
        if let Some(file) = &self.request.save {
            files::write(file, &json::render(document))?;
        }
        if let Some(file) = &self.request.report {
            files::write(file, &html::sweep(document))?;
        }
        Ok(())
    }
}

/// The task types that the swept services do: what others do would hide the difference. All of them where
/// none is known to be theirs, requests through a balancer for instance.
fn of_swept(types: &[TaskType], point: &Counts) -> Vec<TaskType> {
    let is_swept = |task: &&TaskType| {
        let service = task.service.as_ref();
        service.is_some_and(|service| point.contains_key(service))
    };
    let swept: Vec<TaskType> = types.iter().filter(is_swept).cloned().collect();
    if swept.is_empty() {
        types.to_vec()
    } else {
        swept
    }
}

/// Why the preflight refuses a point.
fn refusal(scaled: &Scaled, point: &Counts) -> Option<Error> {
    if !scaled.is_refused() {
        return None;
    }
    let name = sweep::typed(point);
    let why = scaled.why().unwrap_or_default();
    let error = Error::new(Kind::Refused, format!("{name} would be refused: {why}"));
    Some(error.hints(scaled.refusal().map(|finding| finding.hint.clone())))
}

/// Why a scale did not get to its counts.
fn failure(scaled: &Scaled, point: &Counts) -> Option<Error> {
    if let Some(refused) = refusal(scaled, point) {
        return Some(refused);
    }
    scaled.failure().map(|failure| {
        let logs = failure.logs.iter();
        let logs: Vec<String> = logs
            .map(|(name, log)| format!("last lines of {name}:\n{log}"))
            .collect();
        failure.error.clone().detail(logs.join("\n"))
    })
}
