//! Events of the machine: network changes and resume from sleep. Each blocks on the kernel, without
//! polling.

use rustix::event::Timespec;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime,
};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Multicast groups of rtnetlink(7): RTMGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// One network change causes several messages within this time.
const SETTLE: Duration = Duration::from_millis(100);
/// A time that no clock reaches: 2070, seconds since 1970.
const FAR: i64 = 100 * 365 * 24 * 3600;
/// A shorter sleep does not break connections.
const SLEPT: Duration = Duration::from_secs(2);

/// The receiver of one kind of event.
pub type SystemEvents<T> = UnboundedReceiver<T>;

/// Sends when addresses or routes changed. Starts a thread.
pub fn network_changes() -> io::Result<SystemEvents<()>> {
    let (flags, family) = (SocketFlags::CLOEXEC, AddressFamily::NETLINK);
    let socket = rustix::net::socket_with(family, SocketType::RAW, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    let (send, receive) = unbounded_channel();
    let mut before = network();
    spawn("network", move || {
        while drain(&socket, RecvFlags::empty()) {
            // Further messages belong to the same change.
            std::thread::sleep(SETTLE);
            while drain(&socket, RecvFlags::DONTWAIT) {}
            let now = network();
            if now != before && send.send(()).is_err() {
                return;
            }
            before = now;
        }
    })?;
    Ok(receive)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work)?;
    Ok(())
}

/// Receives one message and drops it. ENOBUFS counts too: the kernel dropped messages.
fn drain(socket: &OwnedFd, flags: RecvFlags) -> bool {
    let mut space = [0; 8192];
    match rustix::net::recv(socket, &mut space, flags) {
        Ok(_) | Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::INTR) => true,
        Err(_) => false,
    }
}

/// Hashes addresses and routes without lifetimes and counters, which router advertisements renew
/// every few minutes.
fn network() -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in ["/proc/net/fib_trie", "/proc/net/if_inet6"] {
        std::fs::read(path).unwrap_or_default().hash(&mut hasher);
    }
    let routes = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    for route in routes.lines() {
        let fields: Vec<&str> = route.split_ascii_whitespace().collect();
        if let [to, length, _, _, by, .., device] = fields.as_slice() {
            (to, length, by, device).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Sends the duration of each sleep of the machine. Starts a thread.
///
/// The timer is cancelled when the wall clock is set, which the kernel also does after a sleep.
/// CLOCK_BOOTTIME minus CLOCK_MONOTONIC tells the duration.
pub fn sleeps() -> io::Result<SystemEvents<Duration>> {
    let timer = rustix::time::timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC)?;
    let (send, receive) = unbounded_channel();
    let mut asleep = time_asleep();
    spawn("clock", move || {
        while clock_was_set(&timer).is_ok() {
            let now = time_asleep();
            let slept = now.saturating_sub(asleep);
            asleep = now;
            if slept >= SLEPT && send.send(slept).is_err() {
                return;
            }
        }
    })?;
    Ok(receive)
}

/// Waits until the wall clock was set.
fn clock_was_set(timer: &OwnedFd) -> rustix::io::Result<()> {
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    let zero = Timespec::default();
    let far = Timespec {
        tv_sec: FAR,
        ..zero
    };
    let never = Itimerspec {
        it_interval: zero,
        it_value: far,
    };
    rustix::time::timerfd_settime(timer, flags, &never)?;
    match rustix::io::read(timer, &mut [0; 8]) {
        Ok(_) | Err(rustix::io::Errno::CANCELED | rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The time that the machine slept since boot.
fn time_asleep() -> Duration {
    let read = |id| {
        let time = clock_gettime(id);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    };
    read(ClockId::Boottime).saturating_sub(read(ClockId::Monotonic))
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Logind {
    /// `true`: about to sleep; `false`: awake again.
    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool) -> zbus::Result<()>;
}

/// Calls `tell` with `true` before a sleep and with `false` after it, as logind signals. Returns
/// the error when logind cannot be reached.
pub async fn logind(tell: impl Fn(bool)) -> zbus::Error {
    match watch_logind(tell).await {
        Ok(()) => zbus::Error::Failure("the bus is gone".into()),
        Err(error) => error,
    }
}

async fn watch_logind(tell: impl Fn(bool)) -> zbus::Result<()> {
    use futures_util::StreamExt;
    let bus = zbus::Connection::system().await?;
    let logind = LogindProxy::new(&bus).await?;
    let mut signals = logind.receive_prepare_for_sleep().await?;
    while let Some(signal) = signals.next().await {
        tell(*signal.args()?.start());
    }
    Ok(())
}
