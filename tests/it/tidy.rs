//! The rules of the house, read from the sources: which room may use which, who alone knows what,
//! how long a file and a function may be, that every configuration key is documented.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const FILE: usize = 600;
const FUNCTION: usize = 70;
const LINE: usize = 100;

/// Room, and the rooms it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("reconcile", &["model"]),
    ("store", &["model", "reconcile"]),
    ("imap", &["model", "reconcile", "store"]),
    ("maildir", &["model", "reconcile", "store"]),
    ("state", &["model", "reconcile"]),
    ("config", &["model", "reconcile"]),
    ("mime", &["model"]),
    (
        "search",
        &["model", "reconcile", "store", "imap", "maildir", "mime"],
    ),
    ("engine", &["model", "reconcile", "store", "state"]),
    (
        "daemon",
        &[
            "model",
            "reconcile",
            "store",
            "imap",
            "maildir",
            "state",
            "config",
            "engine",
            "search",
        ],
    ),
    (
        "browse",
        &[
            "model",
            "reconcile",
            "store",
            "imap",
            "maildir",
            "state",
            "config",
            "daemon",
            "mime",
            "search",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "reconcile",
            "store",
            "imap",
            "maildir",
            "state",
            "config",
            "engine",
            "search",
            "daemon",
            "mime",
            "browse",
        ],
    ),
];

/// A name, and the only rooms that may know it.
const CONFINED: &[(&str, &[&str])] = &[
    ("async_imap", &["imap"]),
    ("tokio_rustls", &["imap"]),
    ("webpki", &["imap"]),
    ("maildir::Maildir::", &["maildir"]),
    ("use notify", &["maildir"]),
    ("rustix::fs", &["maildir", "state"]),
    ("rusqlite", &["state", "search"]),
    ("toml::", &["config"]),
    ("serde::", &["config", "daemon", "engine"]),
    ("signal_hook", &["daemon"]),
    ("sd_notify", &["daemon"]),
    ("zbus::", &["daemon"]),
    ("mail_parser", &["mime"]),
    ("unicode_width", &["cli"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("anyhow", &["cli"]),
];

/// The files of `maildir` that may call the file system; the others have it as a parameter.
const ON_DISK: &[&str] = &["real.rs", "watch.rs", "inspect.rs"];

/// The files that may make JSON: of what leaves the program, and of what is asked of the watcher.
const MAY_ENCODE: &[&str] = &["src/daemon/json.rs", "src/daemon/control/protocol.rs"];

/// Not in `model` and `reconcile`: they are pure.
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "std::fs",
    "std::time",
    "SystemTime",
    "tracing::",
    "std::net",
    "tokio",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn room(path: &Path) -> Option<String> {
    let relative = path.strip_prefix(root().join("src")).ok()?;
    let first = relative
        .components()
        .next()?
        .as_os_str()
        .to_str()?
        .to_owned();
    (!first.ends_with(".rs")).then_some(first)
}

/// The code before the tests of a file, without comments.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    let lines = text[..end]
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn rooms_use_only_what_is_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for path in sources(&root().join("src")) {
        let Some(room) = room(&path) else { continue };
        let may = allowed
            .get(room.as_str())
            .unwrap_or_else(|| panic!("{room} is in no table"));
        seen.insert(room.clone());
        let text = code(&std::fs::read_to_string(&path).unwrap());
        for (other, _) in ROOMS {
            let uses = text.contains(&format!("crate::{other}::"))
                || text.contains(&format!("crate::{other}\n"));
            if uses && *other != room && !may.contains(other) {
                wrong.push(format!("{} uses {other}", path.display()));
            }
        }
        for (name, rooms) in CONFINED {
            if text.contains(name) && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{} knows {name}", path.display()));
            }
        }
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let tests = file.ends_with("_tests.rs") || file == "claims.rs";
        if room == "maildir" && !tests && !ON_DISK.contains(&&*file) && text.contains("std::fs") {
            wrong.push(format!("{} calls the file system", path.display()));
        }
        if ["model", "reconcile"].contains(&room.as_str()) {
            let impure = IMPURE.iter().filter(|word| text.contains(**word));
            wrong.extend(impure.map(|word| format!("{} is not pure: {word}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(seen.len(), ROOMS.len(), "rooms without a file");
}

#[test]
fn files_functions_and_lines_stay_short() {
    let mut wrong = Vec::new();
    for directory in ["src", "tests"] {
        for path in sources(&root().join(directory)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let shown = path.strip_prefix(root()).unwrap().display().to_string();
            let lines = text.lines().count();
            if lines > FILE {
                wrong.push(format!("{shown}: {lines} lines"));
            }
            for (n, line) in text.lines().enumerate() {
                if line.chars().count() > LINE {
                    wrong.push(format!("{shown}:{}: longer than {LINE}", n + 1));
                }
            }
            if directory == "src" {
                wrong.extend(
                    long_functions(&text)
                        .iter()
                        .map(|f| format!("{shown}: {f}")),
                );
                if !text.starts_with("//!") && !shown.ends_with("_tests.rs") {
                    wrong.push(format!("{shown}: does not say what it is for"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn long_functions(text: &str) -> Vec<String> {
    let (mut wrong, mut open): (Vec<String>, Option<(usize, usize, String)>) = (Vec::new(), None);
    for (n, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match &open {
            Some((start, depth, name))
                if line.starts_with(&format!("{}}}", " ".repeat(*depth))) =>
            {
                if n - start + 1 > FUNCTION {
                    wrong.push(format!("{name}: {} lines", n - start + 1));
                }
                open = None;
            }
            // A declaration without a body ends before one begins.
            Some((start, depth, _))
                if n > *start
                    && line.trim_end().ends_with(';')
                    && indent == *depth
                    && line.trim_start().starts_with(')') =>
            {
                open = None;
            }
            Some(_) => {}
            None => {
                let words = line.trim_start();
                let is_function = [
                    "fn ",
                    "pub fn ",
                    "async fn ",
                    "pub async fn ",
                    "pub(super) ",
                ]
                .iter()
                .any(|start| words.starts_with(start))
                    && words.contains("fn ")
                    && !words.ends_with(';');
                if is_function {
                    open = Some((n, indent, words.to_owned()));
                }
            }
        }
    }
    wrong
}

/// Texts from outside are made fit to be shown in one place, which no line can pass by.
#[test]
fn lines_are_printed_in_one_place() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if name.ends_with("src/cli/print.rs") || name.ends_with("claims.rs") {
            continue;
        }
        let text = code(&std::fs::read_to_string(&path).unwrap());
        let ways = ["println!", "print!(", "serde_json::to_string", "temp_dir()"];
        let ways = ways.into_iter().filter(|way| text.contains(way));
        let ways = ways.filter(|way| !way.starts_with("serde") || !MAY_ENCODE.contains(&&*name));
        wrong.extend(ways.map(|way| format!("{name}: {way}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_can_panic_on_purpose() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let text = code(&std::fs::read_to_string(&path).unwrap());
        let name = path.to_str().unwrap();
        if name.ends_with("_tests.rs") || name.ends_with("/claims.rs") {
            continue;
        }
        for word in [
            ".unwrap()",
            ".expect(",
            "panic!(",
            "todo!(",
            "unimplemented!(",
            "unreachable!(",
        ] {
            if text.contains(word) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_key_is_in_the_example_and_in_the_docs() {
    let example = std::fs::read_to_string(root().join("config/example.toml")).unwrap();
    let docs = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    for key in mailtide::config::ACCOUNT_KEYS.iter().chain(&[
        "state_dir",
        "control_socket",
        "metrics_file",
    ]) {
        let set = example.lines().any(|line| {
            line.trim_start_matches("# ")
                .starts_with(&format!("{key} ="))
        });
        assert!(set, "config/example.toml does not show {key}");
        assert!(
            docs.contains(&format!("`{key}`")),
            "docs/configuration.md does not name {key}"
        );
    }
}

#[test]
fn the_example_is_a_configuration() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(root().join("config/example.toml")).unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, &text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = mailtide::config::load(Some(&path)).unwrap();
    assert!(!config.accounts.is_empty());
    // What is commented out is a key and a value too: taken in one by one, each is accepted.
    let is_key = |line: &&str| {
        let key = line
            .strip_prefix("# ")
            .and_then(|rest| rest.split(" = ").next());
        key.is_some_and(|key| {
            key.chars()
                .all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c))
        })
    };
    for line in text
        .lines()
        .filter(is_key)
        .filter(|line| line.contains(" = "))
    {
        let key = line.trim_start_matches("# ");
        let minimal = "host = \"h\"\nuser = \"u\"\nmaildir = \"/m\"\n";
        let given = |name: &str| key.starts_with(&format!("{name} "));
        let secret = [
            "password",
            "password_command",
            "password_file",
            "credential",
        ];
        let pass = if secret.iter().any(|s| given(s)) {
            ""
        } else {
            "password = \"p\"\n"
        };
        let rest: String = minimal
            .lines()
            .filter(|l| !given(l.split(' ').next().unwrap()))
            .map(|l| format!("{l}\n"))
            .collect();
        let whole = match ["state_dir", "control_socket", "metrics_file"]
            .iter()
            .any(|s| given(s))
        {
            true => format!("{key}\n[accounts.a]\n{rest}{pass}"),
            false => format!("[accounts.a]\n{key}\n{rest}{pass}"),
        };
        std::fs::write(&path, &whole).unwrap();
        mailtide::config::load(Some(&path)).unwrap_or_else(|e| panic!("{key}: {e}"));
    }
}
