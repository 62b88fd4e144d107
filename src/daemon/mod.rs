//! Keeps accounts in step for ever. So far only what a single cycle needs of it: [`signals`].

mod signals;

pub use signals::stop_on_signals;
