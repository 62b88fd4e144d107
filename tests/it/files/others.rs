//! What other programs do to a Maildir: odd files, and renames in all the time.

use super::*;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn odd_files_are_passed_over_and_never_hang() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    server.phone("u1").append("INBOX", "", DATE, &mail(1, 10));
    home.sync_twice();
    let cur = home.mail().join("INBOX/cur");
    let fifo = Command::new("mkfifo")
        .arg(cur.join("1.pipe.host:2,S"))
        .status();
    assert!(fifo.unwrap().success());
    symlink("/etc/passwd", cur.join("1.link.host:2,")).unwrap();
    symlink(&cur, cur.join("1.loop.host:2,")).unwrap();
    symlink(home.mail(), home.mail().join("Round")).unwrap();
    std::fs::create_dir(cur.join("1.directory.host:2,")).unwrap();
    let began = Instant::now();
    let (code, text) = sync(&home);
    assert!(began.elapsed() < Duration::from_secs(20), "it hung");
    assert!(
        code == 1 && text.contains("is no regular file"),
        "{code} {text}"
    );
    let there = server.phone("u1").read("INBOX");
    assert_eq!(there.len(), 1, "nothing of them was uploaded");
    assert!(!text.contains("root:"), "{text}");
    for odd in ["1.pipe.host:2,S", "1.link.host:2,", "1.loop.host:2,"] {
        std::fs::remove_file(cur.join(odd)).unwrap();
    }
    std::fs::remove_file(home.mail().join("Round")).unwrap();
    home.sync_twice();
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(directory).unwrap();
    all.map(|entry| entry.unwrap().path()).collect()
}

/// Hazard H21: directories are read while mail readers rename in them.
#[test]
fn fifty_renames_a_second_in_a_large_mailbox_delete_nothing() {
    let seconds = std::env::var("MAILTIDE_RENAMES")
        .ok()
        .and_then(|n| n.parse().ok());
    let seconds = Duration::from_secs(seconds.unwrap_or(60));
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    // A server that knows none of all this mail would be asked about first.
    server
        .phone("u1")
        .append("INBOX", "\\Seen", DATE, &mail(1, 1));
    home.sync_twice();
    let inbox = home.mail().join("INBOX/cur");
    for n in 0..20_000 {
        let text = format!("Subject: message {n}\nMessage-ID: <{n}@x>\n\nm{n}\n");
        std::fs::write(inbox.join(format!("17{n:08}.M1P1.me:2,S")), text).unwrap();
    }
    home.sync_twice();
    let stop = AtomicBool::new(false);
    let mut runs = 0;
    std::thread::scope(|threads| {
        let renamer = threads.spawn(|| {
            let (mut renames, all) = (0_u32, files(&inbox));
            let began = Instant::now();
            for file in all.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    return renames;
                }
                let name = file.to_str().unwrap();
                let base = name.rsplit_once(":2,").unwrap().0;
                let (seen, starred) = (format!("{base}:2,S"), format!("{base}:2,FS"));
                let done =
                    std::fs::rename(&seen, &starred).or_else(|_| std::fs::rename(&starred, &seen));
                renames += u32::from(done.is_ok());
                // Fifty a second, whatever a rename takes.
                let due = Duration::from_millis(u64::from(renames) * 20);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            renames
        });
        let began = Instant::now();
        while began.elapsed() < seconds {
            let (_, report) = home.sync();
            for what in ["deleted_remote", "deleted_local", "uploaded", "downloaded"] {
                assert_eq!(report[what], 0, "{report:#}");
            }
            runs += 1;
        }
        stop.store(true, Ordering::Relaxed);
        let renames = renamer.join().unwrap();
        let want = seconds.as_secs() as u32 * 40;
        assert!(renames > want, "{renames} renames are too few");
        eprintln!("{renames} renames, {runs} runs");
    });
    home.sync_twice();
    assert_eq!(files(&inbox).len(), 20_001);
}
