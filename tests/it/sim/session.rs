//! One session of the server: reads commands, answers them, and says by itself what others did.

use super::mail::{Letter, Mailbox};
use super::stage::Stage;
use super::words::{self, Scan, Set, Word};
use std::collections::BTreeMap;

/// Who is at the other end, and what it was told.
#[derive(Debug, Default)]
pub struct Session {
    input: Vec<u8>,
    /// Said and not yet read.
    pub out: Vec<u8>,
    /// Up to where the client was invited to send on.
    invited: usize,
    open: Option<Open>,
    qresync: bool,
    condstore: bool,
    /// The session is over after what is said.
    pub over: bool,
    /// Nothing more is said, and the line stays open.
    pub silent: bool,
}

#[derive(Debug)]
struct Open {
    id: u64,
    /// UIDs in the order of their numbers, with the MODSEQ that was told.
    view: Vec<(u32, u64)>,
    writes: bool,
}

/// What a command came to.
type Done = Result<String, String>;

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
        if stage.chance(stage.chaos.refusals) {
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
                stage.judged(&what, |stage| done = self.run(stage, &verb, &rest));
                done
            }
            false => self.run(stage, &verb, &rest),
        };
        if verb.starts_with("UID") || verb == "NOOP" {
            self.tell(stage);
        }
        super::lies::bend(stage, &verb, &mut self.out);
        if stage.tells {
            eprintln!(
                "       {} {done:?}",
                String::from_utf8_lossy(&self.out).replace("\r\n", " | ")
            );
        }
        said.append(&mut self.out);
        self.out = said;
        match done {
            Ok(text) => self.say(&format!("{tag} OK {text}")),
            Err(text) => self.say(&format!("{tag} {text}")),
        }
        if verb == "LOGOUT" {
            self.over = true;
        }
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
            mailbox.epoch
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
        self.say(&format!("* OK [UIDVALIDITY {}] valid", mailbox.epoch));
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
            if number(0) == Some(mailbox.epoch) {
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
        let profile = stage.profile;
        if profile.ends_lines && !body.ends_with(b"\r\n") {
            body.extend_from_slice(b"\r\n");
        }
        let flags = flags
            .into_iter()
            .filter(|f| profile.keywords || f.starts_with('\\'));
        let letter = stage.mail.letter(body, flags.collect(), date);
        let Some(mailbox) = stage.mail.boxes.get_mut(&name) else {
            return Err("NO [TRYCREATE] no such mailbox".into());
        };
        let uid = mailbox.put(letter);
        Ok(match profile.can("UIDPLUS") {
            true => format!("[APPENDUID {} {uid}] stored", mailbox.epoch),
            false => "stored".into(),
        })
    }

    fn on_messages(&mut self, stage: &mut Stage, verb: &str, rest: &[Word]) -> Done {
        let profile = stage.profile;
        let Some(open) = &self.open else {
            return Err("BAD no mailbox is open".into());
        };
        let (id, writes) = (open.id, open.writes);
        let Some(name) = stage.mail.by_id(id).map(|(name, _)| name.clone()) else {
            return Ok("there is nothing".into());
        };
        let set = Set::parse(&rest.first().map(Word::text).unwrap_or_default());
        let mailbox = stage.mail.boxes[&name].clone();
        let highest = mailbox.letters.last().map_or(0, |letter| letter.uid);
        let chosen: Vec<u32> = mailbox.letters.iter().map(|letter| letter.uid).collect();
        let seen = |open: &Option<Open>, uid: u32| {
            let view = open.iter().flat_map(|open| &open.view);
            view.into_iter().any(|(known, _)| *known == uid)
        };
        let chosen = chosen.into_iter().filter(|uid| set.has(*uid, highest));
        let chosen: Vec<u32> = chosen.filter(|uid| seen(&self.open, *uid)).collect();
        if !writes && !["UID FETCH", "UID SEARCH", "UID COPY"].contains(&verb) {
            return Err("NO [READ-ONLY] it was opened read-only".into());
        }
        match verb {
            "UID FETCH" => {
                let items = rest.get(1).map(Word::raw).unwrap_or_default();
                let since = rest.get(2).map(Word::words).unwrap_or_default();
                let since = since
                    .get(1)
                    .and_then(|w| w.text().parse().ok())
                    .unwrap_or(0);
                for uid in chosen {
                    let at = self.number(uid);
                    if let Some(letter) = mailbox.letter(uid).filter(|l| l.modseq > since) {
                        self.fetched(at, letter, &self.with(stage, &items));
                    }
                }
                Ok("done".into())
            }
            "UID SEARCH" => self.search(stage, &mailbox, rest),
            "UID STORE" => self.store(stage, &name, &chosen, rest),
            "UID EXPUNGE" => {
                if !profile.can("UIDPLUS") {
                    return Err("BAD unknown command".into());
                }
                let mailbox = stage.mail.boxes.get_mut(&name).unwrap();
                for uid in chosen {
                    let marked = mailbox.letter(uid).map(|l| l.flags.contains("\\Deleted"));
                    if marked == Some(true) {
                        mailbox.take(uid);
                    }
                }
                Ok("done".into())
            }
            "UID MOVE" | "UID COPY" => {
                let to = rest.get(1).map(Word::text).unwrap_or_default();
                self.shift(stage, verb == "UID MOVE", (&name, &to), &chosen)
            }
            _ => Err("BAD unknown command".into()),
        }
    }

    /// The number of a message in this session.
    fn number(&self, uid: u32) -> usize {
        let view = self.open.iter().flat_map(|open| &open.view);
        1 + view
            .into_iter()
            .take_while(|(known, _)| *known != uid)
            .count()
    }

    /// Items with MODSEQ, where the client is to see it.
    fn with(&self, stage: &Stage, items: &str) -> String {
        let modseq = self.condstore && stage.profile.can("CONDSTORE");
        let modseq = if modseq { " MODSEQ" } else { "" };
        let sloppy = if stage.profile.sloppy { " SLOPPY" } else { "" };
        format!("{items}{modseq}{sloppy}")
    }

    fn fetched(&mut self, at: usize, letter: &Letter, items: &str) {
        let text = words::fetch(at, letter, items);
        self.out.extend_from_slice(&text);
    }

    fn search(&mut self, stage: &mut Stage, mailbox: &Mailbox, rest: &[Word]) -> Done {
        let compact = rest.first().is_some_and(|word| word.text() == "RETURN");
        let set = match rest.iter().position(|word| word.text() == "UID") {
            Some(at) => Set::parse(&rest.get(at + 1).map(Word::text).unwrap_or_default()),
            None => Set::parse("1:*"),
        };
        let highest = mailbox.letters.last().map_or(0, |letter| letter.uid);
        let view = self.open.iter().flat_map(|open| &open.view);
        let known: Vec<u32> = view.map(|(uid, _)| *uid).collect();
        let found = mailbox.letters.iter().map(|letter| letter.uid);
        let found = found.filter(|uid| set.has(*uid, highest) && known.contains(uid));
        let found: Vec<String> = found.map(|uid| uid.to_string()).collect();
        match compact && stage.profile.can("ESEARCH") {
            true if found.is_empty() => self.say("* ESEARCH UID"),
            true => self.say(&format!("* ESEARCH UID ALL {}", found.join(","))),
            false => self.say(&format!("* SEARCH {}", found.join(" "))),
        }
        Ok("done".into())
    }

    fn store(&mut self, stage: &mut Stage, name: &str, chosen: &[u32], rest: &[Word]) -> Done {
        let condition = rest.get(1).map(Word::words).unwrap_or_default();
        let since: Option<u64> = condition.get(1).and_then(|word| word.text().parse().ok());
        let rest = &rest[1 + usize::from(since.is_some())..];
        let how = rest.first().map(Word::text).unwrap_or_default();
        let profile = stage.profile;
        let flags = rest.get(1).and_then(Word::list).unwrap_or_default();
        let flags: Vec<String> = flags
            .into_iter()
            .filter(|flag| profile.keywords || flag.starts_with('\\'))
            .collect();
        let (mut modified, mut said) = (Vec::new(), BTreeMap::new());
        let mailbox = stage.mail.boxes.get_mut(name).unwrap();
        for uid in chosen {
            let modseq = mailbox.letter(*uid).map_or(0, |letter| letter.modseq);
            if since.is_some_and(|since| modseq > since) {
                modified.push(uid.to_string());
                continue;
            }
            mailbox.flag(*uid, &flags, how.starts_with('+'));
            said.insert(*uid, mailbox.letter(*uid).cloned());
        }
        for (uid, letter) in said {
            let Some(letter) = letter else { continue };
            if let Some(open) = &mut self.open {
                let known = open.view.iter_mut().find(|(known, _)| *known == uid);
                if let Some((_, told)) = known {
                    *told = letter.modseq;
                }
            }
            if self.condstore && profile.can("CONDSTORE") {
                let at = self.number(uid);
                self.fetched(at, &letter, "MODSEQ");
            }
        }
        Ok(match modified.is_empty() {
            true => "done".into(),
            false => format!("[MODIFIED {}] some were changed", modified.join(",")),
        })
    }

    fn shift(
        &mut self,
        stage: &mut Stage,
        moves: bool,
        (from, to): (&str, &str),
        chosen: &[u32],
    ) -> Done {
        let profile = stage.profile;
        if moves && !profile.can("MOVE") {
            return Err("BAD unknown command".into());
        }
        if !stage.mail.boxes.contains_key(to) {
            return Err("NO [TRYCREATE] no such mailbox".into());
        }
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for uid in chosen {
            let source = stage.mail.boxes.get_mut(from).unwrap();
            let letter = match moves {
                true => source.take(*uid),
                false => source.letter(*uid).cloned(),
            };
            if let Some(letter) = letter {
                let target = stage.mail.boxes.get_mut(to).unwrap();
                new.push(target.put(letter).to_string());
                old.push(uid.to_string());
            }
        }
        let epoch = stage.mail.boxes[to].epoch;
        let code = match profile {
            _ if old.is_empty() || !profile.can("UIDPLUS") => String::new(),
            _ if profile.sloppy => format!("[COPYUID {epoch}  ] "),
            _ => format!("[COPYUID {epoch} {} {}] ", old.join(","), new.join(",")),
        };
        if moves {
            if !code.is_empty() {
                self.say(&format!("* OK {code}moved"));
            }
            return Ok("done".into());
        }
        Ok(format!("{code}done"))
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
