//! What a session of the server does with messages: FETCH, SEARCH, STORE, EXPUNGE, MOVE and COPY,
//! by UID.

use super::habits::Habit;
use super::mail::{Letter, Mailbox};
use super::session::{Done, Open, Session};
use super::stage::Stage;
use super::words::{self, Set, Word};
use std::collections::BTreeMap;

impl Session {
    pub(super) fn on_messages(&mut self, stage: &mut Stage, verb: &str, rest: &[Word]) -> Done {
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
        let poison = |uid: &&u32| {
            let letter = mailbox.letter(**uid);
            letter.is_some_and(|l| profile.habit.breaks_at(Habit::BreaksChange, &l.body))
        };
        let changes = !["UID FETCH", "UID SEARCH"].contains(&verb);
        let breaks = changes && chosen.iter().any(|uid| poison(&uid));
        if breaks && stage.random.one_in(2) {
            return self.hang_up(stage, verb);
        }
        let done = self.with_messages(stage, verb, rest, (&name, mailbox, chosen));
        match breaks {
            true => self.hang_up(stage, verb),
            false => done,
        }
    }

    fn with_messages(
        &mut self,
        stage: &mut Stage,
        verb: &str,
        rest: &[Word],
        (name, mailbox, chosen): (&str, Mailbox, Vec<u32>),
    ) -> Done {
        let profile = stage.profile;
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
                        let body = items.contains("BODY");
                        if body && profile.habit.breaks_at(Habit::BreaksRead, &letter.body) {
                            self.out
                                .extend_from_slice(b"* 1 FETCH (UID 1 BODY[] {900}\r\nSub");
                            return self.hang_up(stage, verb);
                        }
                        self.fetched(at, letter, &self.with(stage, &items));
                    }
                }
                Ok("done".into())
            }
            "UID SEARCH" => self.search(stage, &mailbox, rest),
            "UID STORE" => self.store(stage, name, &chosen, rest),
            "UID EXPUNGE" => {
                if !profile.can("UIDPLUS") {
                    return Err("BAD unknown command".into());
                }
                let mailbox = stage.mail.boxes.get_mut(name).unwrap();
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
                self.shift(stage, verb == "UID MOVE", (name, &to), &chosen)
            }
            _ => Err("BAD unknown command".into()),
        }
    }

    /// The number of a message in this session.
    pub(super) fn number(&self, uid: u32) -> usize {
        let view = self.open.iter().flat_map(|open| &open.view);
        1 + view
            .into_iter()
            .take_while(|(known, _)| *known != uid)
            .count()
    }

    /// Items with MODSEQ, where the client is to see it.
    pub(super) fn with(&self, stage: &Stage, items: &str) -> String {
        let modseq = self.condstore && stage.profile.can("CONDSTORE");
        let modseq = if modseq { " MODSEQ" } else { "" };
        let sloppy = if stage.profile.sloppy { " SLOPPY" } else { "" };
        format!("{items}{modseq}{sloppy}{}", stage.profile.habit.items())
    }

    pub(super) fn fetched(&mut self, at: usize, letter: &Letter, items: &str) {
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
            .filter(|flag| profile.habit != Habit::Forgets || flag != "\\Draft")
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
        let uid_validity = stage.mail.boxes[to].uid_validity;
        let code = match profile {
            _ if old.is_empty() || !profile.can("UIDPLUS") => String::new(),
            _ if profile.sloppy => format!("[COPYUID {uid_validity}  ] "),
            _ => format!(
                "[COPYUID {uid_validity} {} {}] ",
                old.join(","),
                new.join(",")
            ),
        };
        if moves {
            if !code.is_empty() {
                self.say(&format!("* OK {code}moved"));
            }
            return Ok("done".into());
        }
        Ok(format!("{code}done"))
    }
}
