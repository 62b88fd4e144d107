//! Memory that a large sync needed and an idle watcher does not: given back to the system. glibc
//! keeps what a thread has freed for that thread, for ever, and every account is a thread.

/// Gives back what is free.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) may be called at any time, from any thread; it touches only memory
    // that nobody holds.
    unsafe {
        libc::malloc_trim(0);
    }
}
