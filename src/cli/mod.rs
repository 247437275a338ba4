//! What can be typed: the clap structs, their help texts and their environment names.
//!
//! Knows nothing of Docker or files. `commands` turns what was typed into requests; no clap type
//! travels further than that.

mod load_test;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, Resettable};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::duration;
use crate::error::Error;
pub use load_test::{LoadTestArgs, PaceArgs, ResultArgs, SweepArgs, SweepMode, WorkArgs};

/// Exit codes as `--help` prints them; [`crate::error::Exit`] is their source.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    it failed (rolled back where possible)
  2    wrong usage
  3    refused by the preflight
  4    the project or the engine cannot be used
  5    a load-test threshold was missed
  130  interrupted

Every option can be set in the environment: --wait-timeout is RSCALE_WAIT_TIMEOUT.";

/// Scales the services of a Docker Compose project, and changes nothing else
///
/// `rscale web=3 worker=+1` brings `web` to three replicas and starts one more `worker`. What cannot
/// work is refused before the first container is touched; every replica is verified; a failure is
/// rolled back; every other service keeps its containers.
#[derive(Debug, Parser)]
#[command(
    name = "rscale",
    version,
    after_help = EXIT_CODES,
    subcommand_precedence_over_arg = true,
    args_conflicts_with_subcommands = false,
    override_usage = "rscale [OPTIONS] SERVICE=COUNT...\n       rscale [OPTIONS] COMMAND"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to scale: `web=3` (exactly), `web=+2` or `web=-1` (relative to the replicas there are now)
    #[arg(value_name = "SERVICE=COUNT")]
    pub targets: Vec<String>,
    #[command(flatten)]
    pub scaling: ScalingArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
    #[command(flatten)]
    pub general: GeneralArgs,
}

/// What can be typed, with what the environment has: a variable that is set to nothing counts as unset, be it a number, a
/// file or a folder.
pub fn command() -> clap::Command {
    has_values(Cli::command())
}

fn has_values(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|arg| {
            if is_empty(&arg) {
                arg.env(Resettable::Reset)
            } else {
                arg
            }
        })
        .mut_subcommands(has_values)
}

/// The subcommands; without one, `rscale SERVICE=COUNT...` is `rscale scale SERVICE=COUNT...`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Scale the named services
    #[command(after_help = EXIT_CODES)]
    Scale(ScaleArgs),
    /// Scale every service that can have more than one replica
    ///
    /// Leaves alone what cannot or should not have several replicas (a fixed container name or host
    /// port, a database or broker, a scheduler, a job that runs once, `x-rscale: {scalable: false}` or a `max` below COUNT) and says
    /// why; `--force` does not change that. To scale one of them all the same, name it.
    #[command(after_help = EXIT_CODES)]
    ScaleAll(ScaleAllArgs),
    /// Show what runs: replicas, health, ports, restarts
    #[command(after_help = EXIT_CODES)]
    Status(StatusArgs),
    /// Say what would stand in the way, and change nothing
    ///
    /// With targets: the preflight of exactly that scale; exits with 3 when it would be refused.
    /// Without: for every service, what stands in the way of a second replica.
    #[command(after_help = EXIT_CODES)]
    Check(CheckArgs),
    /// Send real work, measure what the workers make of it, find the count that is worth it
    ///
    /// Sends tasks, jobs, messages or requests, waits for their results, and prints throughput, waiting and
    /// execution times, and how evenly the replicas shared the work. What to send stands in the compose
    /// file (`x-rscale: {load-test: ...}`, see docs/load-testing.md) or is given with options. It is real
    /// work: the workers do whatever the tasks say.
    #[command(after_help = EXIT_CODES)]
    LoadTest(Box<LoadTestArgs>),
    /// Write what carries the scale and the policies to Docker Swarm or Kubernetes
    ///
    /// swarm: the resolved compose file, made fit for `docker stack deploy`. kubernetes: a Kustomize overlay
    /// over what `kompose convert` makes of the compose file. Counts are those that services have now. What
    /// cannot go along is said in the files and on stderr; the files are checked with docker and kubectl before
    /// they are left behind.
    #[command(after_help = EXIT_CODES)]
    Export(ExportArgs),
    /// Print a shell's completion script
    ///
    /// bash: `source <(rscale completions bash)` · zsh: `source <(rscale completions zsh)` ·
    /// fish: `rscale completions fish | source`
    Completions(CompletionsArgs),
    /// Print the manual page (roff)
    Man,
    /// Print a generated reference: `cli` (Markdown) or the JSON schema of a command's output
    #[command(hide = true)]
    Reference(ReferenceArgs),
}

#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// What to scale: `web=3` (exactly), `web=+2` or `web=-1` (relative to the replicas there are now)
    #[arg(value_name = "SERVICE=COUNT")]
    pub targets: Vec<String>,
    #[command(flatten)]
    pub scaling: ScalingArgs,
}

#[derive(Debug, Args)]
pub struct ScaleAllArgs {
    /// The count for every service that can be scaled: 3, +1 or -1
    #[arg(value_name = "COUNT", allow_hyphen_values = true)]
    pub count: String,
    /// Only services whose names match PATTERN (`*` and `?` as in a shell); repeatable
    #[arg(
        long,
        value_name = "PATTERN",
        env = "RSCALE_ONLY",
        value_delimiter = ','
    )]
    pub only: Vec<String>,
    /// No services whose names match PATTERN; repeatable
    #[arg(
        long,
        value_name = "PATTERN",
        env = "RSCALE_EXCEPT",
        value_delimiter = ','
    )]
    pub except: Vec<String>,
    #[command(flatten)]
    pub scaling: ScalingArgs,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Refresh every INTERVAL (2s when none is given); piped, print a line per change
    #[arg(long, value_name = "INTERVAL", env = "RSCALE_WATCH", num_args = 0..=1, default_missing_value = "2s", value_parser = duration::parse)]
    pub watch: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The scale to check; none: a second replica of every service
    #[arg(value_name = "SERVICE=COUNT")]
    pub targets: Vec<String>,
    #[command(flatten)]
    pub policy: PreflightArgs,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// What to write it for
    #[arg(value_enum, value_name = "ENGINE")]
    pub target: ExportTarget,
    /// The folder to write to [default: `swarm` or `kubernetes`]
    #[arg(short, long, value_name = "DIR", env = "RSCALE_OUTPUT", value_hint = ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    /// Overwrite files that are there already
    #[arg(long, env = "RSCALE_FORCE", value_parser = FalseyValueParser::new())]
    pub force: bool,
}

/// What `rscale export` writes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportTarget {
    /// A stack: `docker stack deploy`
    Swarm,
    /// An overlay: `kubectl apply --kustomize`
    Kubernetes,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ReferenceArgs {
    #[arg(value_enum)]
    pub what: Reference,
}

/// What `rscale reference` can print.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Reference {
    Cli,
    StatusSchema,
    ScaleSchema,
    CheckSchema,
    ExportSchema,
    LoadTestSchema,
    LoadTestSweepSchema,
    LoadTestCompareSchema,
}

/// What clap lets pass and would be lost: targets and scaling options before a command, and `--pause`
/// without `--step`. Only what was typed counts; a variable in the environment is a default.
pub fn misplaced(matches: &ArgMatches) -> Option<Error> {
    let is_typed = |matches: &ArgMatches, id: &str| {
        matches.try_contains_id(id).is_ok()
            && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    if let Some((command, inner)) = matches.subcommand() {
        let scaling = ScalingArgs::augment_args(clap::Command::new("scaling"));
        let option = scaling
            .get_arguments()
            .find(|arg| is_typed(matches, arg.get_id().as_str()));
        let word = match option {
            Some(arg) => Some(format!("--{}", arg.get_long().unwrap_or_default())),
            None => is_typed(matches, "targets")
                .then(|| matches.get_many::<String>("targets")?.next().cloned())
                .flatten(),
        };
        if let Some(word) = word {
            return Some(
                Error::usage(format!("`{word}` stands before the command")).hint(
                    if word.contains('=') && !matches!(command, "scale" | "check") {
                        format!("rscale scale {word}")
                    } else {
                        format!("put it behind: rscale {command} {word} ...")
                    },
                ),
            );
        }
        return pause_alone(inner, is_typed);
    }
    pause_alone(matches, is_typed)
}

fn pause_alone(
    matches: &ArgMatches,
    is_typed: impl Fn(&ArgMatches, &str) -> bool,
) -> Option<Error> {
    let alone = is_typed(matches, "pause") && matches.get_one::<u32>("step").is_none();
    alone
        .then(|| Error::usage("`--pause` needs `--step`").hint("rscale --step 2 --pause 10s web=6"))
}

/// What bends the preflight, for `scale`, `scale-all` and `check` alike.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Scaling options")]
pub struct PreflightArgs {
    /// Turn preflight errors that are a matter of policy into warnings, allow counts over 1000, and stop
    /// replicas whose drain command fails
    #[arg(long, env = "RSCALE_FORCE", value_parser = FalseyValueParser::new())]
    pub force: bool,
    /// Refuse unless every named service has N replicas now
    #[arg(long, value_name = "N", env = "RSCALE_CURRENT_REPLICAS")]
    pub current_replicas: Option<u32>,
    /// Grace between SIGTERM and SIGKILL for replicas that are removed [default: x-rscale
    /// `stop-timeout`, then the service's stop_grace_period, then 10s]
    #[arg(long, value_name = "DURATION", env = "RSCALE_STOP_TIMEOUT", value_parser = duration::parse)]
    pub stop_timeout: Option<Duration>,
    /// Neither start nor touch dependencies
    #[arg(long, env = "RSCALE_NO_DEPS", value_parser = FalseyValueParser::new())]
    pub no_deps: bool,
}

/// How to scale, for `scale` and `scale-all` alike.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Scaling options")]
pub struct ScalingArgs {
    #[command(flatten)]
    pub preflight: PreflightArgs,
    /// Print the plan and the exact commands; change nothing
    #[arg(long, env = "RSCALE_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub dry_run: bool,
    /// Return without verifying the replicas; only a command that fails is rolled back
    #[arg(long, env = "RSCALE_NO_WAIT", value_parser = FalseyValueParser::new())]
    pub no_wait: bool,
    /// How long the replicas may take to be up and healthy [default: 2m, or as long as the healthcheck allows]
    #[arg(long, value_name = "DURATION", env = "RSCALE_WAIT_TIMEOUT", value_parser = duration::parse)]
    pub wait_timeout: Option<Duration>,
    /// How long a replica without a healthcheck must stay up to count [default: 1s where others of its kind have
    /// been up for long, else 5s or more]
    #[arg(long, value_name = "DURATION", env = "RSCALE_STABLE", value_parser = duration::parse)]
    pub stable: Option<Duration>,
    /// Go gradually: N replicas of each service at a time, each step verified before the next
    #[arg(long, value_name = "N", env = "RSCALE_STEP", value_parser = clap::value_parser!(u32).range(1..))]
    pub step: Option<u32>,
    /// How long to wait between two steps
    #[arg(long, value_name = "DURATION", env = "RSCALE_PAUSE", value_parser = duration::parse)]
    pub pause: Option<Duration>,
    /// Build images before starting new replicas
    #[arg(long, env = "RSCALE_BUILD", value_parser = FalseyValueParser::new())]
    pub build: bool,
    /// Pull images for new replicas: always, missing or never
    #[arg(long, value_name = "POLICY", env = "RSCALE_PULL")]
    pub pull: Option<PullPolicy>,
    /// After a failure leave everything as it is, for inspection: no roll-back
    #[arg(long, env = "RSCALE_KEEP", value_parser = FalseyValueParser::new())]
    pub keep: bool,
    /// How long to wait for another rscale run on this project
    #[arg(long, value_name = "DURATION", env = "RSCALE_LOCK_TIMEOUT", default_value = "60s", value_parser = duration::parse)]
    pub lock_timeout: Duration,
}

/// `docker compose up --pull`'s policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PullPolicy {
    Always,
    Missing,
    Never,
}

/// What runs the project.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Engine options")]
pub struct EngineArgs {
    /// What runs the replicas [default: the compose file's `x-rscale: {engine: ...}`, else compose]
    #[arg(
        long,
        value_enum,
        value_name = "ENGINE",
        global = true,
        env = "RSCALE_ENGINE"
    )]
    pub engine: Option<Engine>,
    /// kubectl's context, with --engine kubernetes [default: the current one]
    #[arg(long, value_name = "NAME", global = true, env = "RSCALE_CONTEXT")]
    pub context: Option<String>,
    /// Namespace, with --engine kubernetes [default: the context's]
    #[arg(
        short,
        long,
        value_name = "NAME",
        global = true,
        env = "RSCALE_NAMESPACE"
    )]
    pub namespace: Option<String>,
}

/// `--engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Docker Compose, on one machine
    Compose,
    /// Docker Swarm: the services of a stack (-p)
    Swarm,
    /// Kubernetes: Deployments and StatefulSets of a namespace
    Kubernetes,
}

/// Which project, as `docker compose` spells it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Project options (as docker compose has them)")]
pub struct ProjectArgs {
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Compose file; repeatable [Compose's own: COMPOSE_FILE]
    #[arg(short, long, value_name = "FILE", global = true, env = "RSCALE_FILE", value_hint = ValueHint::FilePath)]
    pub file: Vec<PathBuf>,
    /// Project name; with --engine swarm the stack [Compose's own: COMPOSE_PROJECT_NAME]
    #[arg(
        short,
        long,
        value_name = "NAME",
        global = true,
        env = "RSCALE_PROJECT_NAME"
    )]
    pub project_name: Option<String>,
    /// Working directory of the project
    #[arg(long, value_name = "DIR", global = true, env = "RSCALE_PROJECT_DIRECTORY", value_hint = ValueHint::DirPath)]
    pub project_directory: Option<PathBuf>,
    /// Profile to enable; repeatable [Compose's own: COMPOSE_PROFILES]
    #[arg(
        long,
        value_name = "PROFILE",
        global = true,
        env = "RSCALE_PROFILE",
        value_delimiter = ','
    )]
    pub profile: Vec<String>,
    /// Environment file for interpolation; repeatable
    #[arg(long, value_name = "FILE", global = true, env = "RSCALE_ENV_FILE", value_hint = ValueHint::FilePath)]
    pub env_file: Vec<PathBuf>,
    /// How to call Compose, such as `docker compose` or a path [default: the Compose plugin, then docker-compose]
    #[arg(long, value_name = "COMMAND", global = true, env = "RSCALE_COMPOSE")]
    pub compose_command: Option<String>,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "General options")]
pub struct GeneralArgs {
    /// How results are printed
    #[arg(long, value_enum, value_name = "FORMAT", global = true, env = "RSCALE_FORMAT", default_value_t = Format::Text)]
    pub format: Format,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, value_enum, value_name = "WHEN", global = true, env = "RSCALE_COLOR", default_value_t = Color::Auto)]
    pub color: Color,
    /// Print results and errors only
    #[arg(short, long, global = true, env = "RSCALE_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,
    /// Say more; -vv logs every command that is run
    #[arg(short, long, global = true, env = "RSCALE_VERBOSE", action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}
