//! Counts comparisons of ids in debug builds, so that tests see how the work of a pass grows with
//! the changed messages.

use std::cell::Cell;

thread_local! {
    static COMPARISONS: Cell<u64> = const { Cell::new(0) };
}

/// Returns the comparisons of this thread; 0 in a release build.
pub fn comparisons() -> u64 {
    COMPARISONS.get()
}

/// Counts a comparison.
#[inline]
pub(super) fn count() {
    if cfg!(debug_assertions) {
        COMPARISONS.set(COMPARISONS.get().wrapping_add(1));
    }
}

/// Implements equality, order and hash of a type by its one field, and counts.
macro_rules! counted {
    ($name:ident) => {
        impl PartialEq for $name {
            #[inline]
            fn eq(&self, other: &$name) -> bool {
                $crate::model::counted::count();
                self.0 == other.0
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            #[inline]
            fn partial_cmp(&self, other: &$name) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            #[inline]
            fn cmp(&self, other: &$name) -> std::cmp::Ordering {
                $crate::model::counted::count();
                self.0.cmp(&other.0)
            }
        }

        impl std::hash::Hash for $name {
            #[inline]
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }
    };
}

pub(super) use counted;
