//! CPU time and memory of the server (and of this process) from the kernel. Linux only.
use anyhow::{Context, Result};

/// CPU time a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// All threads, ended ones included; exact to the scheduler's clock.
    pub total_us: u64,
    /// The part in user mode, in 10 ms ticks.
    pub user_us: u64,
    /// The part in the kernel, in 10 ms ticks.
    pub sys_us: u64,
}

impl Cpu {
    /// What was used between `before` and this reading.
    pub fn since(self, before: Cpu) -> Cpu {
        Cpu {
            total_us: self.total_us.saturating_sub(before.total_us),
            user_us: self.user_us.saturating_sub(before.user_us),
            sys_us: self.sys_us.saturating_sub(before.sys_us),
        }
    }
}

/// Reads a process's CPU time.
pub fn cpu(pid: u32) -> Result<Cpu> {
    let s = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("pid {pid}"))?;
    let f: Vec<&str> = s[s.rfind(')').context("stat")? + 2..].split(' ').collect();
    let tick = tick_us();
    let (user_us, sys_us) = (f[11].parse::<u64>()? * tick, f[12].parse::<u64>()? * tick);
    Ok(Cpu { total_us: clock_us(pid).unwrap_or(user_us + sys_us), user_us, sys_us })
}

/// One reading per process.
pub fn cpu_all(pids: &[u32]) -> Result<Vec<Cpu>> {
    pids.iter().map(|p| cpu(*p)).collect()
}

/// Resident set (VmRSS), kB.
pub fn rss_kb(pid: u32) -> Result<u64> {
    let s = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let l = s.lines().find(|l| l.starts_with("VmRSS:")).context("VmRSS")?;
    Ok(l.split_whitespace().nth(1).context("VmRSS")?.parse()?)
}

/// The whole machine's clock ticks, from /proc/stat.
#[derive(Clone, Copy, Default)]
pub struct Machine {
    busy: u64,
    steal: u64,
    total: u64,
}

/// How noisy the machine was between two readings, in per cent of all cores.
pub struct Noise {
    /// Not idle, whoever used it.
    pub busy_pct: f64,
    /// Taken by the hypervisor.
    pub steal_pct: f64,
}

/// Reads the whole machine's clocks.
pub fn machine() -> Machine {
    let s = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let v: Vec<u64> =
        s.lines().next().unwrap_or("").split_whitespace().skip(1).filter_map(|x| x.parse().ok()).collect();
    let g = |i: usize| v.get(i).copied().unwrap_or(0);
    let total = (0..8).map(g).sum();
    Machine { busy: total - g(3) - g(4), steal: g(7), total }
}

impl Machine {
    /// The noise between `before` and this reading.
    pub fn since(self, before: Machine) -> Noise {
        let t = self.total.saturating_sub(before.total).max(1) as f64;
        let pct = |a: u64, b: u64| tenths(a.saturating_sub(b) as f64 * 100.0 / t);
        Noise { busy_pct: pct(self.busy, before.busy), steal_pct: pct(self.steal, before.steal) }
    }
}

impl Noise {
    /// The busy share that is neither this process nor the server (`ours_us` over `seconds`): the kernel's own
    /// threads and everybody else on the machine.
    pub fn other_pct(&self, ours_us: u64, seconds: f64) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        tenths((self.busy_pct - ours_us as f64 / 1e4 / seconds.max(1e-3) / cores).max(0.0))
    }
}

/// Raises the limit of open files to the hard limit.
pub fn raise_nofile() {
    // SAFETY: `r` is a plain C struct that both calls only read or fill.
    unsafe {
        let mut r: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut r) == 0 {
            r.rlim_cur = r.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &r);
        }
    }
}

fn tenths(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

fn tick_us() -> u64 {
    // SAFETY: sysconf takes a number and returns a number.
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    1_000_000 / u64::try_from(hz).unwrap_or(100).max(1)
}

/// The process's CPU clock, which has no ticks; `None` where the kernel does not show it.
fn clock_us(pid: u32) -> Option<u64> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    // SAFETY: both calls only write to the two locals given to them.
    unsafe {
        let mut clock: libc::clockid_t = 0;
        let mut t: libc::timespec = std::mem::zeroed();
        if libc::clock_getcpuclockid(pid, &mut clock) != 0 || libc::clock_gettime(clock, &mut t) != 0 {
            return None;
        }
        Some(u64::try_from(t.tv_sec).ok()? * 1_000_000 + u64::try_from(t.tv_nsec).ok()? / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_clock_runs() {
        let me = std::process::id();
        let a = cpu(me).unwrap();
        let mut x = 0u64;
        while cpu(me).unwrap().since(a).total_us < 2_000 {
            x = x.wrapping_add(1);
        }
        assert!(cpu(me).unwrap().since(a).total_us >= 2_000 && x > 0);
        assert!(rss_kb(me).unwrap() > 100);
    }
}
