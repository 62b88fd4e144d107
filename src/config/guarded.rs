//! Checks that other users cannot change a file that controls or is run by mailtide. ssh, sudo and
//! cron refuse such files, too.

use super::account::Account;
use super::{ConfigError, SecretSource};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The sticky bit: only the owner of an entry can remove it.
const STICKY: u32 = 0o1000;

/// Refuses a file that other users can write, own or replace. The text names the command that
/// corrects it.
pub fn file(path: &Path, about: &Metadata) -> Result<(), String> {
    let shown = path.display();
    let link = path.symlink_metadata();
    let mut owners = link.iter().map(Metadata::uid).chain([about.uid()]);
    if let Some(other) = owners.find(|uid| !is_trusted(*uid)) {
        let own = rustix::process::geteuid().as_raw();
        return Err(format!(
            "{shown} belongs to another user ({other}), who could change it; run: \
             chown {own} {shown}"
        ));
    }
    not_writable(path, about)
}

/// Whether others than the owner can write. The user's private group (Debian, Ubuntu, Fedora: equal
/// numbers) does not count as others.
fn is_open(uid: u32, gid: u32, mode: u32) -> bool {
    let own_group = uid == gid && uid != 0;
    mode & 0o002 != 0 || (mode & 0o020 != 0 && !own_group)
}

/// Refuses a file that others can write or replace.
fn not_writable(path: &Path, about: &Metadata) -> Result<(), String> {
    let shown = path.display();
    if about.is_file() && is_open(about.uid(), about.gid(), about.mode()) {
        return Err(format!(
            "{shown} can be written by others; run: chmod go-w {shown}"
        ));
    }
    // Checks the target of a link and the directory of the link.
    let both = [Some(path.to_owned()), path.canonicalize().ok()];
    let mut above = both.iter().flatten().filter_map(|path| path.parent());
    above.try_for_each(place_is_safe)
}

/// Refuses a directory in whose path others can replace an entry. A missing directory is accepted;
/// it is created private.
pub fn place_is_safe(directory: &Path) -> Result<(), String> {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let resolved = absolute.canonicalize();
    let both = [Some(absolute), resolved.ok()].into_iter().flatten();
    for way in both {
        for above in way.ancestors() {
            // A group of several people is the user's choice: only write access for all is refused.
            let Ok(about) = above.metadata() else {
                continue;
            };
            if about.mode() & 0o002 != 0 && about.mode() & STICKY == 0 {
                let above = above.display();
                return Err(format!(
                    "others can replace what lies in {above}; run: chmod o-w {above}"
                ));
            }
        }
    }
    Ok(())
}

/// Refuses a directory that others can write into.
pub fn directory(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let Ok(about) = path.metadata() else {
        return path.parent().map_or(Ok(()), place_is_safe);
    };
    if is_open(about.uid(), about.gid(), about.mode()) {
        return Err(format!(
            "others can write into {shown}; run: chmod go-w {shown}"
        ));
    }
    file(path, &about)
}

/// Refuses programs and files of an account that others can change.
pub fn account(account: &Account) -> Result<(), ConfigError> {
    let hooks = &account.hooks;
    let hooks = [
        ("on_new_mail", &hooks.on_new_mail),
        ("on_change", &hooks.on_change),
        ("on_error", &hooks.on_error),
    ];
    let mut run: Vec<(&str, &[String])> = hooks
        .into_iter()
        .filter_map(|(key, argv)| Some((key, argv.as_deref()?)))
        .collect();
    if let SecretSource::Command(argv) = &account.secret {
        run.push(("password_command", argv));
    }
    let named = run.iter().flat_map(|(key, argv)| {
        let paths = argv.iter().map(PathBuf::from);
        paths
            .filter(|path| path.is_absolute())
            .map(|path| (*key, path))
    });
    let ca = account
        .ca_file
        .iter()
        .map(|path| ("tls_ca_file", path.clone()));
    for (key, path) in named.chain(ca) {
        // A missing file or a device is reported when it is used.
        let about = path.metadata().ok().filter(Metadata::is_file);
        let safe = about.map_or(Ok(()), |about| not_writable(&path, &about));
        safe.map_err(|what| {
            ConfigError::Unsafe(format!("account {}: {key}: {what}", account.name))
        })?;
    }
    Ok(())
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn refused(path: &Path) -> Option<String> {
        file(path, &path.metadata().unwrap()).err()
    }

    #[test]
    fn a_file_that_others_can_write_or_replace_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let (path, link) = (inner.join("config.toml"), dir.path().join("link"));
        std::fs::write(&path, "").unwrap();
        symlink(&path, &link).unwrap();
        let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for (bits, wanted) in [(0o600, false), (0o644, false), (0o620, true), (0o602, true)] {
            mode(&path, bits);
            for path in [&path, &link] {
                let said = refused(path);
                assert_eq!(said.is_some(), wanted, "{bits:o} {said:?}");
                assert!(said.is_none_or(|said| said.contains("chmod go-w")));
            }
        }
        mode(&path, 0o600);
        for (bits, wanted) in [(0o777, true), (0o1777, false), (0o755, false)] {
            mode(&inner, bits);
            for path in [&path, &link] {
                let said = refused(path);
                assert_eq!(said.is_some(), wanted, "{bits:o} {said:?}");
                assert!(said.is_none_or(|said| said.contains("chmod o-w")));
            }
        }
        mode(&inner, 0o1777);
        assert!(directory(&inner).unwrap_err().contains("chmod go-w"));
        mode(&inner, 0o700);
        assert_eq!(directory(&inner), Ok(()));
        assert_eq!(directory(&inner.join("not yet")), Ok(()));
    }

    #[test]
    fn the_group_of_a_user_alone_may_write() {
        assert!(!is_open(1000, 1000, 0o664) && !is_open(1000, 1000, 0o775));
        assert!(is_open(1000, 100, 0o664) && is_open(0, 0, 0o664) && is_open(1000, 1000, 0o666));
        assert!(!is_open(1000, 100, 0o644));
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "").unwrap();
        // Only root can change the owner of a file.
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_ok() {
            assert!(refused(&path).unwrap().contains("another user (65534)"));
        }
        assert!(!is_trusted(65_534) && is_trusted(0));
    }
}
