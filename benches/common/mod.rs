//! What both benchmarks need: CPU time from `/proc` (Linux only), and a table of figures.

use anyhow::{Context as _, bail};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// `/proc/<pid>/stat` counts in hundredths of a second, on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// What a process or a stretch of code cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Of all threads, user and system.
    pub(crate) cpu: Duration,
    /// From start to end.
    pub(crate) wall: Duration,
}

/// Runs `work` on this thread and measures it.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> anyhow::Result<(T, Cost)> {
    let (cpu, started) = (thread_cpu()?, Instant::now());
    let result = work();
    Ok((result, Cost { cpu: thread_cpu()?.saturating_sub(cpu), wall: started.elapsed() }))
}

fn thread_cpu() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("these benchmarks need Linux")?;
    Ok(Duration::from_nanos(text.split(' ').next().unwrap_or_default().parse()?))
}

/// CPU time of a process so far: user, system.
pub(crate) fn process_cpu(pid: u32) -> anyhow::Result<(Duration, Duration)> {
    let (_, [user, system]) = stat(pid)?;
    Ok((TICK * user, TICK * system))
}

/// Waits for the end of a process, and answers its CPU time. While nobody asked for its status it stays a zombie, whose
/// times are complete.
pub(crate) fn ended(child: &mut Child, deadline: Duration) -> anyhow::Result<(ExitStatus, (Duration, Duration))> {
    let end = Instant::now() + deadline;
    while stat(child.id())?.0 != "Z" {
        if Instant::now() > end {
            bail!("the process did not end within {deadline:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let cpu = process_cpu(child.id())?;
    Ok((child.wait()?, cpu))
}

/// Runs a command to its end; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Cost> {
    let started = Instant::now();
    let mut child = command.spawn()?;
    let (status, (user, system)) = ended(&mut child, Duration::from_secs(3_600))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(Cost { cpu: user + system, wall: started.elapsed() })
}

/// State, and the ticks it worked: user, system.
fn stat(pid: u32) -> anyhow::Result<(String, [u32; 2])> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("these benchmarks need Linux")?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = text.rsplit_once(')').context("/proc/<pid>/stat has no name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |index: usize| fields.get(index).copied().context("/proc/<pid>/stat is too short");
    Ok((field(0)?.to_owned(), [field(11)?.parse()?, field(12)?.parse()?]))
}

/// One line of the table: what, how much, and what is asked for.
pub(crate) fn row(what: &str, figure: &str, wanted: &str) {
    println!("{what:<58}{figure:>20}   {wanted}");
}

/// The machine, and how busy it was.
pub(crate) fn machine() {
    let text = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = text("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = text("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let model = model.map_or("unknown processor", |(_, model)| model);
    println!("{model}, {cores} cores; load average {load}");
}

/// How many a second.
pub(crate) fn per_second(count: u64, time: Duration) -> String {
    format!("{:.0} /s", count as f64 / time.as_secs_f64())
}
