//! Changes flags on both sides.

pub(in crate::engine) mod local;
pub(in crate::engine) mod remote;
pub(in crate::engine) mod update;
