//! A run and a sweep to draw, with names that mean harm.

use rscale::testing::DriverName;
use rscale::testing::result::{
    ErrorCount, LoadTest, ReplicaShare, ServiceCount, Sweep, TaskResult, Timeline,
};
use rscale::testing::{Counts, document};
use rscale::testing::{Distribution, histogram};

/// Would run, or break out of its place, if it were not escaped.
pub const HARMFUL: &str = r#"<script>document.title="harmed"</script>"><img src=x onerror='document.title="harmed"'>&amp;"#;

/// Numbers that look random and are always the same.
struct Noise(u64);

impl Noise {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 33).unwrap()) / f64::from(1_u32 << 31)
    }
}

fn task(name: &str, mean: f64, count: u32, noise: &mut Noise) -> TaskResult {
    let mut times = |scale: f64| -> Vec<f64> {
        let time = |_| scale * (0.4 - (1.0 - noise.next()).ln() * 0.6);
        let mut times: Vec<f64> = (0..count).map(time).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let mut end_to_end = times(mean);
    let letters = name.len() as u64;
    let completed: Vec<u64> = (0..24)
        .map(|place: u64| match place {
            0 => 3,
            20.. => 12 - (place - 20) * 3,
            _ => 10 + letters / 3 + (place * 7 + letters) % 6,
        })
        .collect();
    TaskResult {
        name: name.to_owned(),
        driver: DriverName::Celery,
        queue: Some(format!("queue_{}", name.to_lowercase().replace(' ', "_"))),
        service: Some("worker-a".into()),
        sent: u64::from(count),
        completed: u64::from(count),
        throughput_per_second: 27.3 / mean,
        histogram: histogram(&end_to_end),
        execution_seconds: Distribution::of(&mut times(mean / 9.0)),
        queue_wait_seconds: Distribution::of(&mut times(mean * 0.8)),
        end_to_end_seconds: Distribution::of(&mut end_to_end),
        timeline: Timeline {
            interval_seconds: 0.5,
            failed: vec![0; completed.len()],
            completed,
        },
        ..TaskResult::default()
    }
}

fn replicas(service: &str, completed: &[u64]) -> Vec<ReplicaShare> {
    let all: u64 = completed.iter().sum();
    let shares = completed.iter().enumerate().map(|(place, done)| {
        #[allow(clippy::cast_precision_loss)]
        let share = *done as f64 / all as f64;
        ReplicaShare {
            service: Some(service.to_owned()),
            name: format!("shop-{service}-{}", place + 1),
            completed: *done,
            share,
        }
    });
    shares.collect()
}

/// A run in which something went wrong, as it does.
pub fn run() -> LoadTest {
    let mut noise = Noise(3);
    let mut a = task("Task A", 0.9, 500, &mut noise);
    let mut b = task("Resize images", 2.1, 500, &mut noise);
    a.failed = 7;
    a.completed -= 7;
    a.retried = 4;
    a.errors = vec![
        ErrorCount {
            class: "ValueError".into(),
            count: 5,
        },
        ErrorCount {
            class: "TimeLimitExceeded".into(),
            count: 2,
        },
    ];
    a.timeline.failed[6] = 4;
    a.timeline.failed[7] = 3;
    b.lost = 2;
    b.completed -= 2;
    b.queued = Some(1);
    b.service = Some("worker-b".into());
    LoadTest {
        schema: 1,
        project: "shop".into(),
        began_at: "2026-11-21T08:41:07.250Z".into(),
        warmup_tasks: 20,
        sent: 1000,
        completed: 991,
        failed: 7,
        lost: 2,
        total_seconds: 11.87,
        throughput_per_second: 83.49,
        events: Some(true),
        end_to_end_seconds: b.end_to_end_seconds,
        tasks: vec![a, b],
        replicas: [
            replicas("worker-a", &[170, 161, 162]),
            replicas("worker-b", &[312, 186]),
        ]
        .concat(),
        counts: ["worker-a", "worker-b"]
            .into_iter()
            .zip([3, 2])
            .map(|(service, replicas)| ServiceCount {
                service: service.into(),
                replicas,
            })
            .collect(),
        missed_thresholds: vec!["task_a.p95_seconds > 0.5: it is 2.07".into()],
        ..LoadTest::default()
    }
}

/// A run whose every text means harm, and is long.
pub fn harmful() -> LoadTest {
    let mut run = run();
    let text = || HARMFUL.to_owned();
    run.project = text();
    run.began_at = text();
    run.error = Some(text());
    run.died = vec![text()];
    run.missed_thresholds = vec![text()];
    for task in &mut run.tasks {
        task.name = text();
        task.queue = Some(text());
        task.service = Some(text());
    }
    run.tasks[0].errors[0].class = text();
    for replica in &mut run.replicas {
        replica.name = format!("{HARMFUL}{}", "x".repeat(80));
        replica.service = Some(text());
    }
    for count in &mut run.counts {
        count.service = text();
    }
    run
}

/// Tasks that take from 10 microseconds to an hour, and more types than lines can be told apart.
pub fn many_times() -> LoadTest {
    let mut noise = Noise(5);
    let mut run = LoadTest {
        total_seconds: 8000.0,
        throughput_per_second: 123_456.7,
        ..run()
    };
    run.tasks = [0.000_05, 0.004, 0.11, 0.13, 1.4, 35.0, 700.0]
        .into_iter()
        .map(|mean| task("Task", mean, 3000, &mut noise))
        .collect();
    let mut all = [1e-5, 0.001, 0.02, 0.2, 0.3, 0.4, 7.0, 300.0, 3600.0];
    run.tasks[0].histogram = histogram(&all);
    run.tasks[0].end_to_end_seconds = Distribution::of(&mut all);
    for task in &mut run.tasks {
        task.timeline.interval_seconds = 300.0;
        for completed in &mut task.timeline.completed {
            *completed *= 1_000_000;
        }
    }
    run
}

/// A sweep that has a knee.
pub fn sweep() -> Sweep {
    let throughputs = [5.1, 9.6, 13.4, 16.2, 16.9, 17.3, 17.1, 16.6];
    let points = (1..).zip(throughputs).map(|(count, throughput)| {
        let mut noise = Noise(u64::from(count));
        let result = LoadTest {
            throughput_per_second: throughput,
            total_seconds: 1000.0 / throughput,
            tasks: vec![task("Task A", 4.0 / throughput, 60, &mut noise)],
            ..run()
        };
        let result = LoadTest {
            end_to_end_seconds: result.tasks[0].end_to_end_seconds,
            failed: 0,
            lost: u64::from(count / 8),
            missed_thresholds: Vec::new(),
            ..result
        };
        (Counts::from([("worker-a".to_owned(), count)]), result)
    });
    Sweep {
        restored: true,
        ..document("shop", points.collect())
    }
}
