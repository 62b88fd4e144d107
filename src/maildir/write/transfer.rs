//! Moves (a rename), copies (a hard link) and restores from quarantine within the disk.

use crate::maildir::format::file_name;
use crate::maildir::format::keywords::Keywords;
use crate::maildir::format::layout::join;
use crate::maildir::fs::{Create, Fs, Kind, unique};
use crate::maildir::scan::{Entry, Subdir};
use crate::maildir::store::MaildirStore;
use crate::maildir::write::flags::{concerns_one, failed};
use crate::model::{FlagChange, Flags, MailboxName, MaildirId, Timestamp};
use crate::reconcile::Identity;
use crate::store::{Delivery, Place, Shift, StoreError, Transfer};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

impl MaildirStore {
    pub(in crate::maildir) fn transfer_files(
        &mut self,
        from: &Place,
        to: &Place,
        how: Transfer,
        shifts: &[Shift<MaildirId>],
    ) -> Result<Vec<(MaildirId, Option<MaildirId>)>, StoreError> {
        let (source, target) = (self.directory(&from.mailbox)?, self.directory(&to.mailbox)?);
        let disk = self.disk.clone();
        let here = Keywords::load(&*disk, &source).map_err(|error| failed(&source, &error))?;
        let mut entries = Vec::new();
        for shift in shifts {
            let entry = self.find(&from.mailbox, &shift.id)?;
            entries.extend(entry.map(|entry| (shift, entry)));
        }
        let flags: Vec<Flags> = entries
            .iter()
            .map(|(shift, entry)| flags_of(shift, entry, &here))
            .collect();
        let there = self.assign(&to.mailbox, &target, &flags)?;
        let (mut done, mut touched) = (Vec::new(), BTreeSet::new());
        for ((shift, entry), flags) in entries.into_iter().zip(&flags) {
            let old = entry.path(&source, &shift.id);
            let landing = match how {
                Transfer::Copy => {
                    let mut delivery = shift.delivery.clone();
                    if let Some(delivery) = &mut delivery {
                        delivery.date = delivery.date.or_else(|| date_of(&*disk, &old));
                    }
                    Landing::fresh(delivery.as_ref(), flags, &there)
                }
                Transfer::Move => {
                    let id = (!shift.renamed).then(|| shift.id.clone());
                    Landing::moved(id, &entry, flags, &there)
                }
            };
            let landed = match how {
                Transfer::Copy if !has_size(&*disk, &old, shift.size) => continue,
                Transfer::Copy => {
                    self.land(&to.mailbox, &landing, |new| second_name(&*disk, &old, new))
                }
                Transfer::Move => {
                    self.land(&to.mailbox, &landing, |new| disk.rename_new(&old, new))
                }
            };
            let id = match landed {
                Ok(id) => id,
                // Another program renamed it: the next scan shows it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.forget_scan(&from.mailbox);
                    continue;
                }
                Err(error) if concerns_one(&error) => {
                    self.note_unmoved(&from.mailbox, &shift.id, &error);
                    continue;
                }
                Err(error) => return Err(failed(&old, &error)),
            };
            touched.insert(target.join(landing.sub.name()));
            if how == Transfer::Move {
                touched.insert(source.join(entry.sub.name()));
                self.note_entry(&from.mailbox, &shift.id, None);
            }
            done.push((shift.id.clone(), Some(id)));
        }
        touched
            .iter()
            .try_for_each(|path| self.sync_directory(path))?;
        Ok(done)
    }

    fn note_unmoved(&mut self, mailbox: &MailboxName, id: &MaildirId, error: &io::Error) {
        self.note_unchanged((mailbox, id), "it cannot be moved or copied", error);
    }

    pub(in crate::maildir) fn recall_file(
        &mut self,
        place: &Place,
        path: &[u8],
        delivery: &Delivery,
    ) -> Result<Option<(MaildirId, u64)>, StoreError> {
        let target = self.directory(&place.mailbox)?;
        let kept = self.quarantine.path(path);
        let disk = self.disk.clone();
        let size = match disk.about(&kept) {
            Ok(about) if about.kind == Kind::File => about.size,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&kept, &error)),
        };
        let flags = std::slice::from_ref(&delivery.flags);
        let keywords = self.assign(&place.mailbox, &target, flags)?;
        let landing = Landing::fresh(Some(delivery), &delivery.flags, &keywords);
        let landed = self.land(&place.mailbox, &landing, |new| disk.rename_new(&kept, new));
        let id = landed.map_err(|error| failed(&kept, &error))?;
        self.sync_directory(&target.join(landing.sub.name()))?;
        Ok(Some((id, size)))
    }

    /// Returns the keywords of a mailbox, after it assigned letters to these flags.
    fn assign(
        &mut self,
        name: &MailboxName,
        mailbox: &Path,
        flags: &[Flags],
    ) -> Result<Keywords, StoreError> {
        let letters = self.scan_of(name)?.letters();
        let disk = self.disk.clone();
        let load = || -> io::Result<Keywords> {
            let mut keywords = Keywords::load(&*disk, mailbox)?;
            let wanted = flags.iter().flat_map(Flags::keywords);
            if keywords.assign(wanted, &letters, &self.common) {
                keywords.save(&*disk, mailbox)?;
            }
            Ok(keywords)
        };
        load().map_err(|error| failed(mailbox, &error))
    }

    /// Gives a file a free base name.
    fn land(
        &mut self,
        name: &MailboxName,
        landing: &Landing,
        put: impl Fn(&Path) -> io::Result<()>,
    ) -> io::Result<MaildirId> {
        let directory = self.path(name).join(landing.sub.name());
        for again in 0_u32.. {
            let id = landing.name(&*self.disk, again, &self.host);
            let taken = self
                .scan_of(name)
                .is_ok_and(|scan| scan.entries.contains_key(&id));
            if taken {
                continue;
            }
            let file = [id.as_bytes(), &landing.suffix].concat();
            match put(&join(&directory, &file)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let (sub, suffix) = (landing.sub, landing.suffix.clone());
                    self.note_entry(name, &id, Some(Entry { sub, suffix }));
                    return Ok(id);
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// The name of a file in the target.
struct Landing {
    /// Its base name, if it keeps it.
    id: Option<MaildirId>,
    /// The parts of a new one otherwise.
    delivery: Option<Delivery>,
    sub: Subdir,
    suffix: Box<[u8]>,
}

impl Landing {
    /// Keeps the name of a file if possible, with the keyword letters of the target.
    fn moved(id: Option<MaildirId>, entry: &Entry, flags: &Flags, there: &Keywords) -> Landing {
        let own = entry.info();
        let end = own.iter().position(|b| *b == b',').unwrap_or(own.len());
        let letter = |(at, letter): &(usize, &u8)| *at < end && letter.is_ascii_lowercase();
        let rest = own.iter().enumerate().filter(|one| !letter(one));
        let rest: Vec<u8> = rest.map(|(_, byte)| *byte).collect();
        let change = FlagChange {
            add: flags.clone(),
            remove: Flags::default(),
        };
        let info = file_name::change(&rest, &change, there);
        let plain = entry.suffix.is_empty() && info.is_empty();
        let (sub, suffix) = match plain {
            true => (entry.sub, Box::default()),
            false if info.is_empty() => (entry.sub, b":2,".to_vec().into_boxed_slice()),
            false => (Subdir::Cur, [b":2,", &*info].concat().into_boxed_slice()),
        };
        Landing {
            id,
            delivery: None,
            sub,
            suffix,
        }
    }

    /// Gives a file the name of a download.
    fn fresh(delivery: Option<&Delivery>, flags: &Flags, there: &Keywords) -> Landing {
        let change = FlagChange {
            add: flags.clone(),
            remove: Flags::default(),
        };
        let info = file_name::change(b"", &change, there);
        let (sub, suffix) = match info.is_empty() {
            true => (Subdir::New, Box::default()),
            false => (Subdir::Cur, [b":2,", &*info].concat().into_boxed_slice()),
        };
        Landing {
            id: None,
            delivery: delivery.cloned(),
            sub,
            suffix,
        }
    }

    fn name(&self, disk: &dyn Fs, again: u32, host: &str) -> MaildirId {
        let origin = self.delivery.as_ref().and_then(|d| d.origin);
        match (&self.id, origin) {
            (Some(id), _) if again == 0 => id.clone(),
            (None, Some(origin)) => {
                let date = self.delivery.as_ref().and_then(|d| d.date);
                MaildirId::new(file_name::downloaded(&origin, date, again, host))
            }
            _ => MaildirId::new(format!("{}.{host}", unique(disk, "m")).into_bytes()),
        }
    }
}

/// Returns the flags of a file that is moved or copied: the requested ones, or those of its name
/// with keywords that have no letter in the source.
fn flags_of(shift: &Shift<MaildirId>, entry: &Entry, here: &Keywords) -> Flags {
    if let Some(delivery) = &shift.delivery {
        return delivery.flags.clone();
    }
    let hidden = shift.agreed.keywords().filter(|keyword| !here.has(keyword));
    let hidden = Flags::from_parts(0, hidden.cloned());
    file_name::flags(entry.info(), |letter| here.name(letter)).union(&hidden)
}

fn date_of(disk: &dyn Fs, path: &Path) -> Option<Timestamp> {
    let about = disk.about(path).ok()?;
    Some(Timestamp(about.modified_seconds()))
}

fn has_size(disk: &dyn Fs, path: &Path, size: Option<u64>) -> bool {
    let now = disk.about(path).map(|about| about.size);
    size.is_none_or(|size| now.is_ok_and(|now| now == size))
}

/// Creates a hard link; on a file system without links, a copy.
fn second_name(disk: &dyn Fs, old: &Path, new: &Path) -> io::Result<()> {
    match disk.link(old, new) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::Unsupported
                    | io::ErrorKind::CrossesDevices
                    | io::ErrorKind::TooManyLinks
            ) =>
        {
            copy(disk, old, new)
        }
        other => other,
    }
}

fn copy(disk: &dyn Fs, old: &Path, new: &Path) -> io::Result<()> {
    let above = parent_of(&parent_of(new));
    let tmp = above.join("tmp").join(unique(disk, "mailtide"));
    let mut from = disk.open(old)?;
    let mut to = disk.create(&tmp, Create::New)?;
    io::copy(&mut from, &mut to)?;
    to.set_modified(from.about()?.modified_seconds())?;
    to.sync()?;
    disk.rename_new(&tmp, new).inspect_err(|_| {
        if let Err(error) = disk.remove(&tmp) {
            tracing::debug!(path = %tmp.display(), %error, "left in tmp");
        }
    })
}

/// Returns the identity of a mailbox's directory: inode and creation time of `cur`. Without a
/// creation time inodes may be reused.
pub(in crate::maildir) fn identity(disk: &dyn Fs, mailbox: &Path) -> Option<Identity> {
    let about = disk.about(&mailbox.join("cur")).ok()?;
    let text = about.born.map_or_else(
        || format!("directory {}", about.inode),
        |born| format!("directory {} {born}", about.inode),
    );
    let proves = about.born.is_some();
    Some(Identity { text, proves })
}

fn parent_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}
