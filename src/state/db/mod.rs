//! The database file: schema, migrations, locks, access rights.

pub mod filesystem_check;
pub mod lock;
pub mod migrate;
pub mod private_files;
