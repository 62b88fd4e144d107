//! Returns freed heap memory to the system: glibc keeps freed memory per thread, and each account
//! has a thread.

/// Calls malloc_trim(3).
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) may be called from any thread at any time; it touches only free
    // memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
