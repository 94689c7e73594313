//! Runs the built binary.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
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

/// The same with bytes on standard input.
pub(crate) fn touchline_fed<S: AsRef<OsStr>>(arguments: &[S], input: &[u8]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Small enough for a pipe to hold.
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
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

/// What an admin server on this machine answers; nothing while there is none.
pub(crate) fn get(port: u16, path: &str) -> String {
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_or(String::new(), |_| answer)
}
