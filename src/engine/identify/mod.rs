//! Finds which new message is which known one, and what the letters in file names mean.

pub(super) mod by_content;
pub(super) mod candidates;
pub(super) mod confirm;
pub(super) mod contents;
pub(super) mod evidence;
pub(super) mod excerpt;
pub(super) mod hash_sink;
pub(super) mod letter_notes;
pub(super) mod letters;
pub(super) mod local;
pub(super) mod made;
pub(super) mod moves;
pub(super) mod relabel;
pub(super) mod sightings;
pub(super) mod stability;
