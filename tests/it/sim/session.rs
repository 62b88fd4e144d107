//! One session of the server: reads commands, answers them, and says by itself what others did.

use super::habits::{Habit, plain};
use super::mail::{Letter, Mailbox};
use super::stage::Stage;
use super::words::{self, Scan, Word};

/// Who is at the other end, and what it was told.
#[derive(Debug, Default)]
pub struct Session {
    input: Vec<u8>,
    /// Said and not yet read.
    pub out: Vec<u8>,
    /// Up to where the client was invited to send on.
    invited: usize,
    pub(super) open: Option<Open>,
    qresync: bool,
    pub(super) condstore: bool,
    /// The session is over after what is said.
    pub over: bool,
    /// The line ends in the middle of an answer.
    pub(super) torn: bool,
    /// Nothing more is said, and the line stays open.
    pub silent: bool,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: u64,
    /// UIDs in the order of their numbers, with the MODSEQ that was told.
    pub(super) view: Vec<(u32, u64)>,
    pub(super) writes: bool,
}

/// What a command came to.
pub(super) type Done = Result<String, String>;

impl Session {
    pub fn greet(stage: &mut Stage) -> Session {
        let mut session = Session::default();
        let capabilities = stage.profile.capabilities;
        session.say(&format!("* OK [CAPABILITY {capabilities}] ready"));
        session
    }

    pub fn say(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Takes what the client sends.
    pub fn hear(&mut self, stage: &mut Stage, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while !self.over {
            match words::scan(&self.input) {
                Scan::Whole(end) => {
                    let command: Vec<u8> = self.input.drain(..end).collect();
                    self.invited = 0;
                    self.obey(stage, &command);
                }
                Scan::Literal { at, waits } => {
                    if waits && self.invited < at {
                        self.invited = at;
                        self.say("+ go on");
                    }
                    return;
                }
                Scan::More => return,
            }
        }
    }

    fn obey(&mut self, stage: &mut Stage, command: &[u8]) {
        let words = words::parse(command);
        let (Some(tag), Some(verb)) = (words.first(), words.get(1)) else {
            return self.say("* BAD what?");
        };
        let (tag, mut verb) = (tag.text(), verb.text().to_ascii_uppercase());
        let mut rest = words[2..].to_vec();
        if verb == "UID" && !rest.is_empty() {
            verb = format!("UID {}", rest.remove(0).text().to_ascii_uppercase());
        }
        stage.commands += 1;
        let shown = String::from_utf8_lossy(command);
        let shown = match verb.as_str() {
            "LOGIN" => "LOGIN".into(),
            _ => shown.lines().next().unwrap_or("").to_owned(),
        };
        if !stage.step(&format!("imap {shown}")) {
            self.over = true;
            return;
        }
        // These are rare enough that they would hardly be met otherwise.
        let rare = matches!(verb.as_str(), "UID EXPUNGE" | "UID MOVE" | "UID COPY");
        if stage.chance(stage.chaos.refusals.div_ceil(if rare { 4 } else { 1 })) {
            return self.refuse(stage, &tag, &verb);
        }
        let orders = ["STORE", "EXPUNGE", "MOVE", "COPY"];
        let order = orders.iter().any(|o| verb == format!("UID {o}"))
            || ["APPEND", "CREATE", "DELETE", "RENAME"].contains(&verb.as_str());
        stage.orders += u64::from(order);
        let mut said = std::mem::take(&mut self.out);
        let done = match order {
            true => {
                let what = shown.clone();
                let mut done = Err(String::new());
                if stage.profile.no_epoch && (verb.starts_with("UID ") || verb == "APPEND") {
                    stage.broken(&format!("changed, though UIDs do not last: {what}"));
                }
                stage.judged(&what, |stage| done = self.run(stage, &verb, &rest));
                done
            }
            false => self.run(stage, &verb, &rest),
        };
        if !self.torn && (verb.starts_with("UID") || verb == "NOOP") {
            self.tell(stage);
        }
        if !self.torn {
            super::lies::bend(stage, &verb, &mut self.out);
        }
        if stage.tells {
            eprintln!(
                "       {} {done:?}",
                String::from_utf8_lossy(&self.out).replace("\r\n", " | ")
            );
        }
        said.append(&mut self.out);
        self.out = said;
        if self.torn {
            return;
        }
        match done {
            Ok(text) => self.say(&format!("{tag} OK {text}")),
            Err(text) => self.say(&format!("{tag} {text}")),
        }
        if verb == "LOGOUT" {
            self.over = true;
        }
    }

    /// The connection breaks at a message.
    pub(super) fn hang_up(&mut self, stage: &mut Stage, verb: &str) -> Done {
        stage.meet("break", super::lies::kind(verb));
        (self.torn, self.over) = (true, true);
        Err("broken".into())
    }

    fn refuse(&mut self, stage: &mut Stage, tag: &str, verb: &str) {
        let how = stage.random.below(4);
        let operation = super::lies::kind(verb);
        match how {
            0 => {
                stage.meet("BYE", operation);
                self.say("* BYE Session expired");
                self.over = true;
            }
            1 => {
                stage.meet("NO [UNAVAILABLE]", operation);
                self.say(&format!("{tag} NO [UNAVAILABLE] try again later"));
            }
            2 => {
                stage.meet("NO [LIMIT]", operation);
                self.say(&format!("{tag} NO [LIMIT] Rate limit hit"));
            }
            _ => {
                stage.meet("silence", operation);
                (self.over, self.silent) = (true, true);
            }
        }
    }

    fn run(&mut self, stage: &mut Stage, verb: &str, rest: &[Word]) -> Done {
        let text = |at: usize| rest.get(at).map(Word::text).unwrap_or_default();
        match verb {
            "CAPABILITY" => {
                self.say(&format!("* CAPABILITY {}", stage.profile.capabilities));
                Ok("done".into())
            }
            "LOGIN" => Ok(format!("[CAPABILITY {}] in", stage.profile.capabilities)),
            "LOGOUT" => {
                self.say("* BYE bye");
                Ok("out".into())
            }
            "ID" => {
                self.say("* ID (\"name\" \"stage\")");
                Ok("done".into())
            }
            "ENABLE" => {
                let asked = rest.iter().any(|word| word.text() == "QRESYNC");
                self.qresync = asked && !stage.profile.shy;
                self.condstore = asked;
                self.say(match self.qresync {
                    true => "* ENABLED QRESYNC",
                    false => "* ENABLED",
                });
                Ok("done".into())
            }
            "NAMESPACE" => {
                let (prefix, delimiter) = (stage.profile.prefix, stage.profile.delimiter);
                self.say(&format!(
                    "* NAMESPACE ((\"{prefix}\" \"{delimiter}\")) NIL NIL"
                ));
                Ok("done".into())
            }
            "NOOP" | "SUBSCRIBE" | "UNSUBSCRIBE" => Ok("done".into()),
            "LIST" => self.list(stage, rest),
            "STATUS" => match self.status(stage, &text(0)) {
                true => Ok("done".into()),
                false => Err("NO [NONEXISTENT] no such mailbox".into()),
            },
            "SELECT" | "EXAMINE" => self.select(stage, verb == "SELECT", rest),
            "UNSELECT" => {
                self.open = None;
                Ok("done".into())
            }
            "CREATE" => {
                let now = stage.now() / 1_000_000_000;
                match stage.mail.create(&text(0), now) {
                    true => Ok("done".into()),
                    false => Err("NO [ALREADYEXISTS] it is there".into()),
                }
            }
            "RENAME" => match stage.mail.rename(&text(0), &text(1)) {
                true => Ok("done".into()),
                false => Err("NO [ALREADYEXISTS] cannot be renamed".into()),
            },
            "DELETE" => match stage.mail.boxes.remove(&text(0)) {
                Some(_) => Ok("done".into()),
                None => Err("NO [NONEXISTENT] no such mailbox".into()),
            },
            "APPEND" => self.append(stage, rest),
            _ if verb.starts_with("UID ") => self.on_messages(stage, verb, rest),
            _ => Err("BAD unknown command".into()),
        }
    }

    fn list(&mut self, stage: &mut Stage, rest: &[Word]) -> Done {
        let pattern = rest.get(1).map(Word::text).unwrap_or_default();
        let status = rest.iter().any(|word| word.raw().contains("STATUS"));
        let delimiter = stage.profile.delimiter;
        let names: Vec<String> = stage.mail.boxes.keys().cloned().collect();
        for name in names {
            if pattern != "*" && pattern != name {
                continue;
            }
            let trash = name == "[Gmail]/Trash";
            let uses = if trash { "\\Trash" } else { "" };
            self.say(&format!("* LIST ({uses}) \"{delimiter}\" \"{name}\""));
            if status {
                self.status(stage, &name);
            }
        }
        Ok("done".into())
    }

    fn status(&mut self, stage: &mut Stage, name: &str) -> bool {
        let Some(mailbox) = stage.mail.boxes.get(name) else {
            return false;
        };
        let mut items = format!(
            "MESSAGES {} UIDNEXT {} UIDVALIDITY {}",
            mailbox.letters.len(),
            mailbox.next,
            mailbox.uid_validity
        );
        if stage.profile.can("CONDSTORE") {
            items += &format!(" HIGHESTMODSEQ {}", mailbox.modseq);
        }
        if stage.profile.can("OBJECTID") {
            items += &format!(" MAILBOXID (B{})", mailbox.id);
        }
        self.say(&format!("* STATUS \"{name}\" ({items})"));
        true
    }

    fn select(&mut self, stage: &mut Stage, writes: bool, rest: &[Word]) -> Done {
        self.open = None;
        let name = rest.first().map(Word::text).unwrap_or_default();
        let Some(mailbox) = stage.mail.boxes.get(&name).cloned() else {
            return Err("NO [NONEXISTENT] no such mailbox".into());
        };
        let profile = stage.profile;
        let inner = rest.get(1).map(Word::words).unwrap_or_default();
        let asks = |what: &str| inner.iter().position(|word| word.text() == what);
        self.condstore |= asks("CONDSTORE").is_some() || asks("QRESYNC").is_some();
        self.say("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)");
        let any = if profile.keywords { " \\*" } else { "" };
        self.say(&format!(
            "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft{any})] kept"
        ));
        self.say(&format!("* {} EXISTS", mailbox.letters.len()));
        self.say("* 0 RECENT");
        self.say(&format!(
            "* OK [UIDVALIDITY {}] valid",
            mailbox.uid_validity
        ));
        if profile.uid_next {
            self.say(&format!("* OK [UIDNEXT {}] next", mailbox.next));
        }
        match profile.can("CONDSTORE") {
            true => self.say(&format!("* OK [HIGHESTMODSEQ {}]", mailbox.modseq)),
            false => self.say("* OK [NOMODSEQ] none"),
        }
        let view = mailbox.letters.iter().map(|l| (l.uid, l.modseq)).collect();
        let id = mailbox.id;
        self.open = Some(Open { id, view, writes });
        if let Some(at) = asks("QRESYNC") {
            let since = inner.get(at + 1).map(Word::words).unwrap_or_default();
            let number = |at: usize| since.get(at).and_then(|w| w.text().parse::<u64>().ok());
            if number(0) == Some(mailbox.uid_validity) {
                self.past(&mailbox, number(1).unwrap_or(0));
            }
        }
        Ok(match writes {
            true => "[READ-WRITE] open".into(),
            false => "[READ-ONLY] open".into(),
        })
    }

    fn past(&mut self, mailbox: &Mailbox, since: u64) {
        let gone = mailbox.gone.iter().filter(|(modseq, _)| *modseq > since);
        let gone: Vec<String> = gone.map(|(_, uid)| uid.to_string()).collect();
        if !gone.is_empty() {
            self.say(&format!("* VANISHED (EARLIER) {}", gone.join(",")));
        }
        for (at, letter) in mailbox.letters.iter().enumerate() {
            if letter.modseq > since {
                self.fetched(at + 1, letter, "FLAGS MODSEQ");
            }
        }
    }

    fn append(&mut self, stage: &mut Stage, rest: &[Word]) -> Done {
        let name = rest.first().map(Word::text).unwrap_or_default();
        let flags = rest.iter().find_map(Word::list).unwrap_or_default();
        let date = rest[1..].iter().find_map(Word::quoted);
        let date = date.map_or(0, |date| words::date(&date));
        let Some(mut body) = rest.last().and_then(Word::literal) else {
            return Err("BAD no message".into());
        };
        let (profile, now) = (stage.profile, stage.now() / 1_000_000_000);
        if profile.ends_lines && !body.ends_with(b"\r\n") {
            body.extend_from_slice(b"\r\n");
        }
        let breaks = profile.habit.breaks_at(Habit::BreaksStored, &body);
        if breaks && stage.random.one_in(2) {
            return self.hang_up(stage, "APPEND");
        }
        let forgets = profile.habit == Habit::Forgets;
        let flags = flags
            .into_iter()
            .filter(|f| !forgets && (profile.keywords || f.starts_with('\\')));
        let (flags, date) = (flags.collect(), if forgets { now } else { date });
        let twin = |letter: &&Letter| plain(&letter.body) == plain(&body);
        let Some(mailbox) = stage.mail.boxes.get(&name) else {
            return Err("NO [TRYCREATE] no such mailbox".into());
        };
        let twin = mailbox.letters.iter().find(twin).map(|letter| letter.uid);
        let twin = twin.filter(|_| profile.habit == Habit::Merges);
        let letter = profile.habit.keeps(body);
        let letter = letter.map(|body| stage.mail.letter(body, flags, date));
        let mailbox = stage.mail.boxes.get_mut(&name).unwrap();
        let uid = match (twin, letter) {
            (Some(twin), _) => twin,
            (None, Some(letter)) => mailbox.put(letter),
            (None, None) => {
                mailbox.next += 1;
                mailbox.next - 1
            }
        };
        if breaks {
            return self.hang_up(stage, "APPEND");
        }
        let mailbox = &stage.mail.boxes[&name];
        Ok(match profile.can("UIDPLUS") {
            true => format!("[APPENDUID {} {uid}] stored", mailbox.uid_validity),
            false => "stored".into(),
        })
    }

    /// Says what others did to the mailbox that is open.
    fn tell(&mut self, stage: &mut Stage) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        let Some((_, mailbox)) = stage.mail.by_id(open.id) else {
            // It was deleted.
            match stage.profile.vanishes && self.qresync {
                true => {
                    let all: Vec<String> = open.view.iter().map(|(u, _)| u.to_string()).collect();
                    if !all.is_empty() {
                        self.say(&format!("* VANISHED {}", all.join(",")));
                    }
                    open.view.clear();
                    self.open = Some(open);
                }
                false => {
                    self.say("* BYE the mailbox was deleted");
                    self.over = true;
                }
            }
            return;
        };
        let mailbox = mailbox.clone();
        let gone: Vec<usize> = (0..open.view.len())
            .filter(|at| mailbox.letter(open.view[*at].0).is_none())
            .collect();
        for at in gone.into_iter().rev() {
            let (uid, _) = open.view.remove(at);
            match self.qresync {
                true => self.say(&format!("* VANISHED {uid}")),
                false => self.say(&format!("* {} EXPUNGE", at + 1)),
            }
        }
        let known = open.view.len();
        for letter in &mailbox.letters {
            if !open.view.iter().any(|(uid, _)| *uid == letter.uid) {
                open.view.push((letter.uid, letter.modseq));
            }
        }
        if open.view.len() != known {
            self.say(&format!("* {} EXISTS", open.view.len()));
        }
        for at in 0..open.view.len() {
            let (uid, told) = open.view[at];
            let Some(letter) = mailbox.letter(uid).filter(|l| l.modseq > told) else {
                continue;
            };
            open.view[at].1 = letter.modseq;
            let letter = letter.clone();
            let items = self.with(stage, "FLAGS");
            self.fetched(at + 1, &letter, &items);
        }
        self.open = Some(open);
    }
}
