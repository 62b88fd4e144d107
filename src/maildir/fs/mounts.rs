//! Finds the other paths of a directory that is mounted several times (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A line of the table.
struct Mount<'a> {
    /// The device number of the file system.
    device: &'a [u8],
    /// The mounted directory of that file system.
    root: PathBuf,
    /// The mount point.
    point: PathBuf,
}

/// Returns the other paths of a directory by the table of mounts. The path has no links.
pub fn other_paths(path: &Path, table: &[u8]) -> Vec<PathBuf> {
    let mounts: Vec<Mount<'_>> = table
        .split(|byte| *byte == b'\n')
        .filter_map(line)
        .collect();
    let over = |mount: &&Mount<'_>| path.starts_with(&mount.point);
    // Of two mounts at one place the later one hides the earlier one.
    let Some(mount) = mounts
        .iter()
        .filter(over)
        .max_by_key(|mount| mount.point.components().count())
    else {
        return Vec::new();
    };
    let inside = mount
        .root
        .join(path.strip_prefix(&mount.point).unwrap_or(path));
    let other = |other: &Mount<'_>| {
        let rest = inside.strip_prefix(&other.root).ok()?;
        let same = other.device == mount.device;
        same.then(|| other.point.join(rest))
            .filter(|other| other != path)
    };
    mounts.iter().filter_map(other).collect()
}

fn line(text: &[u8]) -> Option<Mount<'_>> {
    let mut fields = text.split(|byte| *byte == b' ').skip(2);
    Some(Mount {
        device: fields.next()?,
        root: unescape(fields.next()?),
        point: unescape(fields.next()?),
    })
}

/// Decodes blanks, newlines and backslashes, which are three octal digits.
fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| *first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = match code {
            Some(_) => tail.get(3..).unwrap_or_default(),
            None => tail,
        };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_mount_leads_to_the_paths_of_its_origin() {
        let table = b"20 1 8:1 / / rw - ext4 /dev/a rw\n\
            21 20 8:2 /@home /home rw - btrfs /dev/b rw\n\
            22 20 8:2 /@home/me/Mail/My\\040work /mnt/work rw - btrfs /dev/b rw\n\
            23 20 0:5 / /proc rw - proc proc rw\n";
        let others = |path: &str| other_paths(Path::new(path), table);
        let origin = PathBuf::from("/home/me/Mail/My work/x");
        assert_eq!(others("/mnt/work/x"), [origin]);
        assert_eq!(
            others("/home/me/Mail/My work"),
            [PathBuf::from("/mnt/work/")]
        );
        assert!(others("/home/me/Mail").is_empty() && others("/etc").is_empty());
        assert!(other_paths(Path::new("/x"), b"").is_empty());
    }
}
