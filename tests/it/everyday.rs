//! What a new user meets: pipes that close, terminals of all kinds, errors in words.

mod schema;
mod service;
mod status;
mod terminal;
