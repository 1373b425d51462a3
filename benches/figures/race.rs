//! Programs raced against each other: interleaved in one run, in a new order each round.
//!
//! Absolute times of a shared machine drift by half within an hour; ratios to
//! a baseline in the same rounds, and paired differences, do not.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One program in the race.
#[derive(Clone, Debug)]
pub struct Runner {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub directory: PathBuf,
    /// The exit status that a round must have; another one ends the race.
    pub expected: i32,
    /// How often a round may be run again before that: Debian's crun now and then fails a run with a hook,
    /// whatever the hook is.
    pub patience: usize,
}

/// The times of one program, one for each round, and how many more runs it took to have them.
#[derive(Clone, Debug)]
pub struct Times(Vec<Duration>, usize);

impl Runner {
    pub fn new<const N: usize>(program: impl Into<PathBuf>, arguments: [&str; N]) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.iter().map(Into::into).collect(),
            directory: "/".into(),
            expected: 0,
            patience: 0,
        }
    }

    /// The same, of which a round that fails is run again a few times.
    pub fn patient(self) -> Self {
        Self {
            patience: 5,
            ..self
        }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// One run as it should be, and how many were not.
    fn round(&self) -> (Duration, usize) {
        for failed in 0..=self.patience {
            let mut command = self.command();
            let begin = Instant::now();
            let status = command
                .status()
                .unwrap_or_else(|e| panic!("{}: {e}", self.program.display()));
            let took = begin.elapsed();
            if status.code() == Some(self.expected) {
                return (took, failed);
            }
            assert!(
                failed < self.patience,
                "{} {:?}: {status}",
                self.program.display(),
                self.arguments
            );
        }
        unreachable!("the last run returns or panics")
    }
}

/// Runs every runner once a round.
pub fn race(runners: &[Runner], rounds: usize) -> Vec<Times> {
    let mut times = vec![Times(Vec::with_capacity(rounds), 0); runners.len()];
    let mut order: Vec<usize> = (0..runners.len()).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..rounds + rounds / 10 {
        for at in (1..order.len()).rev() {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            order.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        for &at in &order {
            let (took, failed) = runners[at].round();
            times[at].1 += failed;
            // The first tenth warms caches up and is not counted.
            if round >= rounds / 10 {
                times[at].0.push(took);
            }
        }
    }
    times
}

impl Times {
    /// How many runs failed and were run again.
    pub fn failed(&self) -> usize {
        self.1
    }

    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() - 1) * percent / 100]
    }

    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// Median of this program's time over the baseline's.
    pub fn ratio(&self, baseline: &Self) -> f64 {
        self.median().as_secs_f64() / baseline.median().as_secs_f64()
    }

    /// Median over the rounds of this program's time less the baseline's, in milliseconds.
    pub fn paired_ms(&self, baseline: &Self) -> f64 {
        let pairs = self.0.iter().zip(&baseline.0);
        let mut differences: Vec<f64> = pairs
            .map(|(a, b)| (a.as_secs_f64() - b.as_secs_f64()) * 1e3)
            .collect();
        differences.sort_unstable_by(f64::total_cmp);
        differences[differences.len() / 2]
    }
}
