//! Searches mail: the language of queries.
//!
//! Reading order: [`words`] (what is a word), [`query`] (a query as a tree), [`mod@parse`] (how it
//! is written).
//!
//! No decision of a sync depends on what is found.

mod words;

mod query;

mod parse;

pub use parse::{QueryError, parse};
pub use query::{Field, Mark, Query, Term, Text};
pub use words::{holds, spaced, words};
