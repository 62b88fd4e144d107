//! Mailbox names that are too long for a directory name: it has a part of the name and a hash, and
//! a file beside the marker has the whole name, so that it survives a lost state.

use crate::maildir::fs::Create;
use crate::maildir::store::MaildirStore;
use crate::maildir::write::flags::failed;
use crate::model::MailboxName;
use crate::store::StoreError;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::PathBuf;

impl MaildirStore {
    fn long_names_path(&self) -> PathBuf {
        self.root.join(self.layout.own()).join("names")
    }

    /// The recorded long names.
    pub(in crate::maildir) fn long_names(&self) -> BTreeSet<MailboxName> {
        let bytes = match self.disk.read(&self.long_names_path()) {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "the file of long names cannot be read");
                }
                return BTreeSet::new();
            }
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let names = text
            .lines()
            .filter_map(|line| self.layout.decode(OsStr::new(line)));
        names.filter_map(|name| MailboxName::parse(&name)).collect()
    }

    fn is_cut(&self, name: &MailboxName) -> bool {
        let path = self.layout.path(name);
        path.to_string_lossy().contains("%~")
    }

    /// Records the names of these mailboxes that are too long, before they are created.
    pub(in crate::maildir) fn note_long_names(
        &self,
        names: &[MailboxName],
    ) -> Result<(), StoreError> {
        let long: Vec<&MailboxName> = names.iter().filter(|name| self.is_cut(name)).collect();
        if long.is_empty() {
            return Ok(());
        }
        let mut all = self.long_names();
        let before = all.len();
        all.extend(long.into_iter().cloned());
        if all.len() == before {
            return Ok(());
        }
        let path = self.long_names_path();
        let tmp = path.with_extension("tmp");
        let write = || -> io::Result<()> {
            let own = self.root.join(self.layout.own());
            self.disk.make_dirs(&own)?;
            let mut file = self.disk.create(&tmp, Create::Anew)?;
            for name in &all {
                writeln!(file, "{}", self.layout.escape(&name.to_string()))?;
            }
            file.sync()?;
            self.disk.replace(&tmp, &path)?;
            self.disk.sync(&own)
        };
        write().map_err(|error| failed(&path, &error))
    }

    /// Whether the directory of a long name exists although its name could not be read: it is
    /// scanned before anything is copied.
    pub(in crate::maildir) fn is_met_anew(&self, name: &MailboxName) -> bool {
        let path = self.root.join(self.layout.path(name));
        self.is_cut(name) && !self.paths.contains_key(name) && self.disk.is_dir(&path.join("cur"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildir::{Claim, Layout};
    use crate::reconcile::Presence;
    use std::collections::BTreeMap;

    fn store(root: &std::path::Path, layout: Layout) -> MaildirStore {
        let mut store = MaildirStore::new(root, layout, Claim::First("uuid".into()));
        store.take_possession().unwrap();
        store
    }

    fn listed(store: &mut MaildirStore) -> Vec<(String, bool)> {
        let all = store.listed(&BTreeMap::new()).unwrap();
        let text = |one: &crate::reconcile::Listed| {
            (one.name.to_string(), one.presence == Presence::Mailbox)
        };
        all.iter().map(text).collect()
    }

    #[test]
    fn long_names_are_read_back_without_any_state() {
        for layout in [Layout::Nested, Layout::MaildirPlusPlus] {
            let dir = tempfile::tempdir().unwrap();
            let name = format!("{}/{}", "漢".repeat(80), "y".repeat(190));
            let name = MailboxName::parse(&name).unwrap();
            let mut one = store(dir.path(), layout);
            one.create_all(std::slice::from_ref(&name))
                .remove(0)
                .unwrap();
            let mut again = MaildirStore::new(dir.path(), layout, Claim::Known("uuid".into()));
            let all = listed(&mut again);
            assert!(all.contains(&(name.to_string(), true)), "{all:?}");
            assert_eq!(again.long_names().len(), 1);
        }
    }

    #[test]
    fn a_directory_of_an_unknown_long_name_is_looked_into_first() {
        let dir = tempfile::tempdir().unwrap();
        let name = MailboxName::parse(&"x".repeat(250)).unwrap();
        let mut one = store(dir.path(), Layout::Nested);
        one.create_all(std::slice::from_ref(&name))
            .remove(0)
            .unwrap();
        std::fs::remove_file(one.long_names_path()).unwrap();
        let mut again = MaildirStore::new(dir.path(), Layout::Nested, Claim::Known("uuid".into()));
        assert!(!listed(&mut again).contains(&(name.to_string(), true)));
        let made = again.create_all(std::slice::from_ref(&name)).remove(0);
        assert!(matches!(made, Err(StoreError::Mailbox(_))));
        assert!(listed(&mut again).contains(&(name.to_string(), true)));
    }
}
