//! Tests that need more than one room.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

mod anywhere;
mod cases;
mod contract;
mod convergence;
mod cost;
mod crash;
mod daemon;
mod dovecot;
mod everyday;
mod files;
mod limits;
mod looking;
mod organising;
mod planner;
mod scripted;
mod search;
mod sim;
mod simulated;
mod tidy;
mod watching;
