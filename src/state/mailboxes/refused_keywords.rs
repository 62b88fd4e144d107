//! Keywords that the server refused in a mailbox although PERMANENTFLAGS has `\*`.

use crate::model::{Flags, Keyword, MailboxKey};
use crate::state::{State, StateError, doing};
use rusqlite::params;

impl State {
    /// Returns the refused keywords of a mailbox.
    pub fn refused_keywords(&self, key: MailboxKey) -> Result<Flags, StateError> {
        let what = doing("read which keywords were refused");
        let sql = "SELECT keyword FROM refused_keyword WHERE mailbox = ?1";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([key.0], |row| row.get::<_, String>(0));
        let names = rows.map_err(&what)?.collect::<Result<Vec<String>, _>>();
        let names = names.map_err(&what)?;
        let keywords = names.iter().filter_map(|name| Keyword::new(name));
        Ok(Flags::from_parts(0, keywords))
    }

    /// Records a refused keyword.
    pub fn refuse_keyword(&mut self, key: MailboxKey, keyword: &Keyword) -> Result<(), StateError> {
        let sql = "INSERT OR IGNORE INTO refused_keyword (mailbox, keyword) VALUES (?1, ?2)";
        self.db
            .execute(sql, params![key.0, keyword.as_str()])
            .map_err(doing("remember that a keyword was refused"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MailboxName;

    #[test]
    fn refused_keywords_belong_to_a_mailbox_and_go_with_it() {
        let mut state = State::in_memory().unwrap();
        let key = state.add_mailbox(&MailboxName::inbox(), 1).unwrap();
        let other = MailboxName::parse("A").unwrap();
        let other = state.add_mailbox(&other, 2).unwrap();
        for name in ["work", "WORK"] {
            let keyword = Keyword::new(name).unwrap();
            state.refuse_keyword(key, &keyword).unwrap();
        }
        assert_eq!(state.refused_keywords(key).unwrap().to_string(), "work");
        assert!(state.refused_keywords(other).unwrap().is_empty());
    }
}
