//! What is on disk: names of mailboxes and files, keyword tables, line ends, the marker.

pub mod file_name;
pub mod keywords;
pub mod layout;
pub mod line_ends;
pub mod long_names;
pub mod marker;
pub mod owner;
