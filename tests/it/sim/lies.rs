//! What servers say that is not so: counts, expunges and MODSEQs that are wrong, data that nobody
//! asked for, lines that end in the middle.

use super::stage::Stage;

/// The kind of an operation, for the table of what met what.
pub fn kind(verb: &str) -> &'static str {
    match verb {
        "LIST" | "STATUS" => "list",
        "SELECT" | "EXAMINE" => "select",
        "UID FETCH" => "fetch",
        "UID SEARCH" => "search",
        "UID STORE" => "store",
        "UID EXPUNGE" => "expunge",
        "UID MOVE" => "move",
        "UID COPY" => "copy",
        "APPEND" => "append",
        "CREATE" | "RENAME" | "DELETE" => "mailbox",
        _ => "other",
    }
}

/// Bends an answer, if it is time to.
pub fn bend(stage: &mut Stage, verb: &str, out: &mut Vec<u8>) {
    if stage.profile.shy && verb == "SELECT" {
        // iCloud sends VANISHED without the parentheses.
        let text = String::from_utf8_lossy(out).replace("VANISHED (EARLIER)", "VANISHED EARLIER");
        *out = text.into_bytes();
    }
    if out.contains(&b'{') || !stage.chance(stage.chaos.lies) {
        return;
    }
    let text = String::from_utf8_lossy(out).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let operation = kind(verb);
    match stage.random.below(8) {
        0 => {
            stage.meet("EXISTS lies", operation);
            let wrong = stage.random.below(6);
            match lines.iter_mut().find(|line| line.ends_with(" EXISTS")) {
                Some(line) => *line = format!("* {wrong} EXISTS"),
                None => lines.push(format!("* {wrong} EXISTS")),
            }
        }
        1 => {
            stage.meet("VANISHED lies", operation);
            let earlier = if verb == "SELECT" { " (EARLIER)" } else { "" };
            let to = 1 + stage.random.below(9);
            lines.push(format!("* VANISHED{earlier} 1:{to}"));
        }
        2 => {
            stage.meet("EXPUNGE lies", operation);
            lines.push("* 1 EXPUNGE".into());
        }
        3 => {
            stage.meet("MODSEQ lies", operation);
            let wrong = stage.random.below(40);
            for line in &mut lines {
                if line.contains("[HIGHESTMODSEQ") {
                    *line = format!("* OK [HIGHESTMODSEQ {wrong}]");
                }
            }
        }
        4 => {
            stage.meet("unasked FETCH", operation);
            let uid = 1 + stage.random.below(12);
            lines.insert(0, format!("* 1 FETCH (UID {uid} FLAGS (\\Flagged))"));
            lines.insert(0, "* 2 FETCH (FLAGS (\\Seen))".into());
        }
        5 => {
            // Cyrus 3.6 says what lies in memory that it has freed.
            stage.meet("wild MAILBOXID", operation);
            let wild = ["tL\u{1a} rU", "~\u{b5}U", "a)b", "sL"][stage.random.below(4)];
            for line in &mut lines {
                if let Some((before, rest)) = line.split_once("MAILBOXID (")
                    && let Some((_, after)) = rest.split_once(')')
                {
                    *line = format!("{before}MAILBOXID ({wild}){after}");
                }
            }
        }
        6 => {
            stage.meet("torn line", operation);
            let at = stage.random.below(lines.len() + 1);
            lines.insert(at, "* 1 FETCH (UID 1 FLAGS (\\Se".into());
        }
        _ => {
            stage.meet("other order", operation);
            for at in (1..lines.len()).rev() {
                let other = stage.random.below(at + 1);
                if lines[at].contains("FETCH") && lines[other].contains("FETCH") {
                    lines.swap(at, other);
                }
            }
        }
    }
    *out = lines
        .iter()
        .flat_map(|line| format!("{line}\r\n").into_bytes())
        .collect();
}
