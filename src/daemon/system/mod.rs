//! The operating system: signals, the network, sleep, systemd, the heap.

pub mod events;

pub mod heartbeat;

pub mod malloc_trim;

pub mod signals;

pub mod systemd;
