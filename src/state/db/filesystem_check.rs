//! Detects network file systems: another machine may open the database there, too, but SQLite's
//! shared memory works on one host only (sqlite.org/wal.html), so one machine would not see what
//! the other recorded (H83).

use std::path::Path;

/// Numbers of network file systems (statfs(2)).
const NETWORK: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
    (0x0102_1997, "9P"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x0161_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
];

/// Returns the kind of network file system of a directory; `None`: a local one.
pub fn network_drive(directory: &Path) -> Option<&'static str> {
    kind(rustix::fs::statfs(directory).ok()?.f_type as u32)
}

fn kind(number: u32) -> Option<&'static str> {
    let found = NETWORK.iter().find(|(known, _)| *known == number);
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_drives_are_known_by_their_numbers() {
        assert_eq!(kind(0x6969), Some("NFS"));
        assert_eq!(kind(0xff53_4d42), Some("CIFS"));
        let local = [
            0xef53,
            0x9123_683e,
            0x5846_5342,
            0x0102_1994,
            0x794c_7630,
            0,
        ];
        assert!(local.into_iter().all(|number| kind(number).is_none()));
        assert_eq!(network_drive(Path::new("/proc")), None);
        assert_eq!(network_drive(Path::new("/no such directory")), None);
    }
}
