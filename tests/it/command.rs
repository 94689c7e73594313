//! Runs the built binary.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// Runs `touchline` with these arguments, no standard input, to its end.
pub(crate) fn touchline<S: AsRef<OsStr>>(arguments: &[S]) -> Answer {
    touchline_in(Path::new(env!("CARGO_MANIFEST_DIR")), arguments)
}

/// The same in a folder: paths in outputs are then the same on every machine.
pub(crate) fn touchline_in<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
