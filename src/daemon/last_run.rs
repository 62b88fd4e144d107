//! The record of the last run of an account, a file beside its state database: `mailtide status`
//! reads it while no watcher runs, and it is written even where the state cannot be opened.

use crate::daemon::json::json;
use crate::daemon::open::{now, state_path};
use crate::daemon::progress::Progress;
use crate::daemon::run_summary::RunSummary;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A run that changed nothing is recorded after so many seconds only.
const SELDOM: i64 = 600;

/// What is recorded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LastRun {
    /// The process that began the last run.
    pub pid: u32,
    /// When it began, seconds since 1970.
    pub began_at: i64,
    /// When it ended; `None`: it runs, or was stopped.
    pub ended_at: Option<i64>,
    /// When a run without an error and a held change last ended.
    pub good_at: Option<i64>,
    /// The last run that ended.
    pub summary: Option<RunSummary>,
    /// What the run copied that has not ended.
    pub progress: Option<Progress>,
    /// Sums over all runs.
    pub totals: Totals,
}

/// Sums over all runs of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Runs.
    pub runs: u64,
    /// Messages downloaded.
    pub downloaded: u64,
    /// Messages uploaded.
    pub uploaded: u64,
    /// Bytes of downloaded messages.
    pub bytes_down: u64,
    /// Bytes of uploaded messages.
    pub bytes_up: u64,
    /// Errors.
    pub errors: u64,
    /// Changes that incremental cycles missed.
    pub drift: u64,
}

impl Totals {
    fn add(&mut self, run: &RunSummary) {
        self.runs += 1;
        self.downloaded += run.counts.downloaded as u64;
        self.uploaded += run.counts.uploaded as u64;
        self.bytes_down += run.counts.bytes_down;
        self.bytes_up += run.counts.bytes_up;
        self.errors += run.errors.len() as u64;
        self.drift += run.counts.drift as u64;
    }
}

impl LastRun {
    /// Reads the record; the empty one where none can be read.
    pub fn read(state_dir: &Path, account: &str) -> LastRun {
        let text = std::fs::read(path(state_dir, account)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Whether the run that has not ended is still under way.
    pub fn is_under_way(&self) -> bool {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", self.pid));
        self.ended_at.is_none() && name.is_ok_and(|name| name.starts_with("mailtide"))
    }
}

fn path(state_dir: &Path, account: &str) -> PathBuf {
    state_path(state_dir, account).with_extension("run")
}

/// Records the runs of an account.
pub struct RunRecorder {
    path: PathBuf,
    run: LastRun,
    written_at: i64,
    /// Whether what is recorded differs from the file.
    stale: bool,
    /// Whether a failure was logged.
    complained: bool,
}

impl RunRecorder {
    /// Writes nothing yet.
    pub fn new(state_dir: &Path, account: &str) -> RunRecorder {
        RunRecorder {
            path: path(state_dir, account),
            run: LastRun::read(state_dir, account),
            written_at: 0,
            stale: false,
            complained: false,
        }
    }

    /// Notes that a run begins. [`RunRecorder::flush`] writes it.
    pub fn begin(&mut self) {
        let run = &mut self.run;
        (run.pid, run.began_at) = (std::process::id(), now());
        (run.ended_at, run.progress) = (None, None);
    }

    /// Records what the run has copied.
    pub fn progress(&mut self, progress: Progress) {
        self.run.progress = Some(progress);
        self.stale = true;
        self.flush();
    }

    /// Records the end of a run. One that is as good as the last and changed nothing is written
    /// seldom: a watcher does not keep the disk awake.
    pub fn end(&mut self, summary: &RunSummary) {
        let run = &mut self.run;
        let before = run.summary.take();
        let same = before.is_some_and(|before| {
            (before.ok, before.errors, before.held)
                == (summary.ok, summary.errors.clone(), summary.held.clone())
        });
        run.totals.add(summary);
        let began = run.progress.take().is_some();
        run.ended_at = Some(now());
        if summary.ok {
            run.good_at = run.ended_at;
        }
        run.summary = Some(RunSummary {
            plan: None,
            ..summary.clone()
        });
        self.stale = true;
        let seldom = same && !began && summary.changes == 0;
        if !seldom || now() - self.written_at >= SELDOM {
            self.flush();
        }
    }

    /// Returns the texts of errors that the last recorded run did not have.
    pub fn new_errors(&self, run: &RunSummary) -> Vec<String> {
        let before = self.run.summary.iter().flat_map(|run| &run.errors);
        let before: Vec<&String> = before.map(|error| &error.text).collect();
        let texts = run.errors.iter().map(|error| &error.text);
        let new = texts.filter(|text| !before.contains(text));
        new.cloned().collect()
    }

    /// Returns the sums.
    pub fn totals(&self) -> Totals {
        self.run.totals
    }

    /// Writes what is recorded, if it differs from the file.
    pub fn flush(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        self.written_at = now();
        let text = json(&self.run).map_err(io::Error::other);
        let done = text.and_then(|text| replace(&self.path, text.as_bytes(), 0o600));
        if let Err(error) = &done
            && !std::mem::replace(&mut self.complained, true)
        {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the outcome of the run cannot be recorded");
        }
    }

    /// Notes that a run begins, and writes that.
    pub fn begin_now(&mut self) {
        self.begin();
        self.stale = true;
        self.flush();
    }
}

/// Replaces a file as a whole, so that a reader never finds half of it.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = directory.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        // What a killed process with this number left behind.
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = std::fs::File::options();
        let mut file = options.write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(bytes)?;
        std::fs::rename(&new, path)
    })();
    if written.is_err() {
        // It may not have been made.
        let _gone = std::fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok() -> RunSummary {
        RunSummary {
            ok: true,
            ..RunSummary::default()
        }
    }

    #[test]
    fn runs_without_news_are_written_seldom() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = RunRecorder::new(dir.path(), "a");
        let read = || LastRun::read(dir.path(), "a");
        recorder.begin();
        recorder.end(&ok());
        assert!(read().good_at.is_some() && read().totals.runs == 1);
        recorder.begin();
        recorder.end(&ok());
        assert_eq!(read().totals.runs, 1, "nothing new");
        recorder.flush();
        assert_eq!(read().totals.runs, 2);
        recorder.begin();
        recorder.end(&RunSummary::default());
        let now = read();
        assert!(now.totals.runs == 3 && !now.summary.unwrap().ok);
        let all = std::fs::read_dir(dir.path()).unwrap();
        assert_eq!(all.count(), 1, "no file is left over");
    }

    #[test]
    fn run_that_was_stopped_is_told_from_one_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = RunRecorder::new(dir.path(), "a");
        recorder.begin_now();
        let mut run = LastRun::read(dir.path(), "a");
        assert!(run.ended_at.is_none());
        run.pid = u32::MAX;
        assert!(!run.is_under_way());
    }
}
