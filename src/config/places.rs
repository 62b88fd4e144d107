//! Where things lie unless the user says otherwise (XDG base directories).

use std::path::{Path, PathBuf};

/// The usual place: for the usual state directory a name that is easy to find, for others one that
/// no other has.
pub fn control_socket(state_dir: &Path) -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|path| path.is_absolute());
    let Some(runtime) = runtime else {
        return state_dir.join("control.sock");
    };
    if state_dir == base_directory("XDG_STATE_HOME", ".local/state").join("mailtide") {
        return runtime.join("mailtide/control.sock");
    }
    let hash = blake3::hash(state_dir.as_os_str().as_encoded_bytes()).to_hex();
    let short: String = hash.chars().take(8).collect();
    runtime.join(format!("mailtide/control-{short}.sock"))
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// A base directory: what the variable says, or its usual place.
pub fn base_directory(variable: &str, below_home: &str) -> PathBuf {
    let set = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    set.unwrap_or_else(|| home().join(below_home))
}

/// A path of the configuration: `~/` is the home directory.
pub fn expand(path: &Path) -> PathBuf {
    match path.strip_prefix("~") {
        Ok(rest) => home().join(rest),
        Err(_) => path.to_owned(),
    }
}
