//! What the machine says about a process: CPU time, memory; and where it may run.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::time::Duration;

/// The processors that this process may use, in order.
pub(crate) fn processors() -> Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect())
}

/// Binds the calling thread, and what it starts from now on, to `cpus`.
pub(crate) fn pin_thread(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on the processors {cpus:?}"))
}

/// Raises the limit of open files so that `sockets` fit; servers started later inherit it.
pub(crate) fn allow_open_files(sockets: usize) -> Result<()> {
    /// Standard streams, the epoll sets, files under /proc, and what a server opens besides its sockets.
    const OTHERS: u64 = 200;
    let (wanted, limit) = (sockets as u64 + OTHERS, getrlimit(Resource::Nofile));
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    ensure!(
        limit.maximum.is_none_or(|maximum| maximum >= wanted),
        "{sockets} sockets need {wanted} open files, and the hard limit is {}: raise it or ask for fewer",
        limit.maximum.unwrap_or(u64::MAX)
    );
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })
        .context("cannot raise the limit of open files")
}

/// CPU time that the calling thread has used.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// CPU time that all living threads of a process have used: user and system, to the nanosecond.
///
/// From `/proc/PID/task/*/schedstat`: `utime` and `stime` count in ticks of 10 ms.
pub(crate) fn process_cpu(pid: Pid) -> Result<Duration> {
    let tasks = format!("/proc/{}/task", pid.as_raw_pid());
    let mut nanos = 0;
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        // A thread may end between the listing and the reading.
        if let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) {
            nanos += line.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// CPU time of a process in user mode as a share of all its CPU time, as counters that never fall.
///
/// From `/proc/PID/stat`, which counts in ticks of 10 ms: good for a share over seconds, not for single messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ticks {
    pub(crate) user: u64,
    pub(crate) system: u64,
}

impl Ticks {
    /// Reads the ticks of a process.
    pub(crate) fn of(pid: Pid) -> Result<Self> {
        let path = format!("/proc/{}/stat", pid.as_raw_pid());
        let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Self::parse(&stat).with_context(|| format!("cannot make sense of {path}"))
    }

    /// The share of user mode since `earlier`; 0 if nothing ran.
    pub(crate) fn user_share_since(self, earlier: Self) -> f64 {
        let (user, system) = (self.user.saturating_sub(earlier.user), self.system.saturating_sub(earlier.system));
        user as f64 / (user + system).max(1) as f64
    }

    /// The program's name, in parentheses, may contain anything; the fields count from behind it.
    fn parse(stat: &str) -> Option<Self> {
        let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
        Some(Self { user: fields.next()?.parse().ok()?, system: fields.next()?.parse().ok()? })
    }
}

/// Memory of a process in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// All resident pages.
    pub(crate) resident: u64,
    /// Resident pages that no file backs: heap and stacks.
    pub(crate) anonymous: u64,
}

/// Reads a process's memory from `/proc/PID/status`.
pub(crate) fn process_memory(pid: Pid) -> Result<Memory> {
    let path = format!("/proc/{}/status", pid.as_raw_pid());
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let field = |name: &str| kibibytes(&status, name).with_context(|| format!("{path} has no {name}"));
    Ok(Memory { resident: field("VmRSS:")?, anonymous: field("RssAnon:")? })
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Time that a processor spent on anything, since the start of the machine, in ticks of 10 ms.
pub(crate) fn processor_busy(cpu: usize) -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    busy_ticks(&stat, cpu).map(|ticks| Duration::from_millis(ticks * 10)).context("/proc/stat lacks a processor")
}

/// Everything but idle and waiting for a disk; time that the hypervisor took away counts as busy.
fn busy_ticks(stat: &str, cpu: usize) -> Option<u64> {
    let name = format!("cpu{cpu} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let guest_is_in_user = 8.min(fields.len());
    Some(
        fields[..guest_is_in_user]
            .iter()
            .enumerate()
            .filter(|(at, _)| !matches!(at, 3 | 4))
            .map(|(_, ticks)| ticks)
            .sum(),
    )
}

/// The processor's and the kernel's name, for the head of a report.
pub(crate) fn description() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{}, Linux {}", model.unwrap_or("unknown processor"), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpid;

    #[test]
    fn reads_its_own_memory_and_time() {
        let memory = process_memory(getpid()).expect("own memory");
        assert!(memory.resident >= memory.anonymous && memory.anonymous > 0);

        let (before, start) = (process_cpu(getpid()).expect("own time"), thread_cpu());
        let mut sum = 0u64;
        while thread_cpu() - start < Duration::from_millis(20) {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        assert!(process_cpu(getpid()).expect("own time") - before >= Duration::from_millis(10), "{sum}");
    }

    #[test]
    fn counts_busy_ticks_without_idle_and_guest() {
        let stat = "cpu  9 9 9\ncpu0 1 2 3 1000 500 4 5 6 70 80\ncpu1 0 0 1 2 3 0 0 0 0 0\n";

        assert_eq!(busy_ticks(stat, 0), Some(21));
        assert_eq!(busy_ticks(stat, 1), Some(1));
        assert_eq!(busy_ticks(stat, 2), None);
    }

    #[test]
    fn reads_ticks_behind_any_name() {
        let earlier = Ticks::parse("7 (a) b ) S 1 2 3 4 5 6 7 8 9 10 30 70 0 0").expect("ticks");
        assert_eq!(earlier, Ticks { user: 30, system: 70 });
        assert_eq!(Ticks { user: 60, system: 80 }.user_share_since(earlier), 0.75);
        assert_eq!(earlier.user_share_since(earlier), 0.0);
        assert_eq!(Ticks::parse("7 (a) S 1"), None);
    }

    #[test]
    fn reads_kibibytes_of_a_status_line() {
        assert_eq!(kibibytes("Name:\tx\nVmRSS:\t    1536 kB\n", "VmRSS:"), Some(1536 * 1024));
        assert_eq!(kibibytes("VmRSS:\t none\n", "VmRSS:"), None);
    }
}
