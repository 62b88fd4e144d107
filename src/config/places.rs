//! Default paths (XDG base directories).

use std::path::{Path, PathBuf};

/// Returns the default path of the configuration.
pub fn usual_config() -> PathBuf {
    base_directory("XDG_CONFIG_HOME", ".config").join("mailtide/config.toml")
}

/// Whether this is the path of the default configuration.
pub fn is_usual(config: &Path) -> bool {
    resolved(config) == resolved(&usual_config())
}

/// Returns the state directory of the default configuration.
pub fn usual_state_dir() -> PathBuf {
    base_directory("XDG_STATE_HOME", ".local/state").join("mailtide")
}

/// Returns the default state directory of a configuration: each has its own. Both paths have links
/// resolved.
pub fn state_dir(config: &Path) -> PathBuf {
    match config == resolved(&usual_config()) {
        true => usual_state_dir(),
        false => {
            let name = config.file_stem().unwrap_or_default().to_string_lossy();
            usual_state_dir().join(format!("{name}-{}", short_hash(config)))
        }
    }
}

/// Returns the default path of the control socket: a short name for the default configuration and
/// state directory, a unique one for others.
pub fn control_socket(config: &Path, state_dir: &Path) -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|path| path.is_absolute());
    let directory = match &runtime {
        Some(runtime) => runtime.join("mailtide"),
        None => state_dir.to_owned(),
    };
    let usual = config == resolved(&usual_config());
    let name = match (usual, &runtime) {
        (true, None) => "control.sock".to_owned(),
        (true, Some(_)) if state_dir == usual_state_dir() => "control.sock".to_owned(),
        (true, Some(_)) => format!("control-{}.sock", short_hash(state_dir)),
        (false, _) => format!("control-{}.sock", short_hash(config)),
    };
    directory.join(name)
}

fn short_hash(path: &Path) -> String {
    let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    hash.chars().take(8).collect()
}

/// Resolves links in the part of a path that exists.
pub fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in path.ancestors() {
        if let (Ok(found), Ok(rest)) = (above.canonicalize(), path.strip_prefix(above)) {
            // Joining an empty path would add a slash.
            return match rest.as_os_str().is_empty() {
                true => found,
                false => found.join(rest),
            };
        }
    }
    path
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// Returns a base directory: the variable, or its default.
pub fn base_directory(variable: &str, below_home: &str) -> PathBuf {
    let set = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    set.unwrap_or_else(|| home().join(below_home))
}

/// Expands `~/` to the home directory.
pub fn expand(path: &Path) -> PathBuf {
    match path.strip_prefix("~") {
        Ok(rest) => home().join(rest),
        Err(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_configuration_has_its_own_state_and_socket() {
        let (usual, other) = (resolved(&usual_config()), Path::new("/etc/work.toml"));
        assert_eq!(state_dir(&usual), usual_state_dir());
        let own = state_dir(other);
        assert!(own.starts_with(usual_state_dir()) && own != usual_state_dir());
        assert_ne!(own, state_dir(Path::new("/srv/work.toml")));
        // Also if both name one state directory.
        let socket = |config: &Path| control_socket(config, &usual_state_dir());
        assert_ne!(socket(&usual), socket(other));
        assert_ne!(socket(other), socket(Path::new("/srv/work.toml")));
    }

    #[test]
    fn a_path_is_resolved_as_far_as_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let there = resolved(dir.path());
        std::os::unix::fs::symlink(dir.path(), there.join("link")).unwrap();
        assert_eq!(resolved(&there.join("link/not/yet")), there.join("not/yet"));
        assert_eq!(resolved(&there.join("link")), there);
    }
}
