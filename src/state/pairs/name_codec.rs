//! Packs names of downloaded files. Such a name consists of time, mailbox, UIDVALIDITY, UID and
//! host name (`maildir::format::file_name`), most of which is equal for all files of a mailbox and
//! stored once in the table `origin`. Other names are stored as they are.

use crate::model::MaildirId;
use rusqlite::{Connection, OptionalExtension, params};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

/// The first byte of a packed name; no file name contains it.
const PACKED: u8 = 0;

/// The part that the names of files share.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct NameOrigin {
    tag: u32,
    uid_validity: i64,
    host: String,
}

/// The remainder of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Rest {
    at: u64,
    uid: u32,
    again: u32,
}

/// Packs and unpacks names, with a cache of origins for one query or transaction.
pub(in crate::state) struct NameCodec<'c> {
    db: &'c Connection,
    numbers: RefCell<BTreeMap<NameOrigin, i64>>,
    moulds: RefCell<BTreeMap<i64, NameTemplate>>,
}

impl<'c> NameCodec<'c> {
    pub fn of(db: &'c Connection) -> NameCodec<'c> {
        NameCodec {
            db,
            numbers: RefCell::default(),
            moulds: RefCell::default(),
        }
    }

    /// Packs a name, and stores its origin.
    pub fn pack(&self, file: &MaildirId) -> Result<Vec<u8>, rusqlite::Error> {
        let Some((origin, rest)) = split(file.as_bytes()) else {
            return Ok(file.as_bytes().to_vec());
        };
        let number = match self.find(&origin)? {
            Some(number) => number,
            None => self.add(origin)?,
        };
        Ok(packed(number, rest))
    }

    /// Packs a name if its origin is stored; `None`: no such name is stored.
    pub fn known(&self, file: &MaildirId) -> Result<Option<Vec<u8>>, rusqlite::Error> {
        match split(file.as_bytes()) {
            None => Ok(Some(file.as_bytes().to_vec())),
            Some((origin, rest)) => Ok(self.find(&origin)?.map(|number| packed(number, rest))),
        }
    }

    /// Unpacks a name.
    pub fn unpack(&self, stored: &[u8]) -> Result<MaildirId, rusqlite::Error> {
        let Some((&PACKED, mut values)) = stored.split_first() else {
            return Ok(MaildirId::new(stored));
        };
        let wrong = || rusqlite::Error::InvalidQuery;
        let mut next = || take(&mut values).ok_or_else(wrong);
        let number = i64::try_from(next()?).map_err(|_| wrong())?;
        let (at, uid, again) = (next()?, next()?, next()?);
        let rest = Rest {
            at,
            uid: u32::try_from(uid).map_err(|_| wrong())?,
            again: u32::try_from(again).map_err(|_| wrong())?,
        };
        match self.moulds.borrow_mut().entry(number) {
            Entry::Occupied(known) => Ok(known.get().name(rest)),
            Entry::Vacant(new) => Ok(new.insert(self.mould(number)?).name(rest)),
        }
    }

    fn find(&self, origin: &NameOrigin) -> Result<Option<i64>, rusqlite::Error> {
        if let Some(number) = self.numbers.borrow().get(origin) {
            return Ok(Some(*number));
        }
        let sql = "SELECT id FROM origin WHERE tag = ?1 AND epoch = ?2 AND host = ?3";
        let values = params![origin.tag, origin.uid_validity, origin.host];
        let mut select = self.db.prepare_cached(sql)?;
        let found = select.query_row(values, |row| row.get(0)).optional()?;
        let known = found.map(|number| (origin.clone(), number));
        self.numbers.borrow_mut().extend(known);
        Ok(found)
    }

    fn add(&self, origin: NameOrigin) -> Result<i64, rusqlite::Error> {
        let sql = "INSERT INTO origin (tag, epoch, host) VALUES (?1, ?2, ?3)";
        let values = params![origin.tag, origin.uid_validity, origin.host];
        self.db.prepare_cached(sql)?.execute(values)?;
        let number = self.db.last_insert_rowid();
        self.numbers.borrow_mut().insert(origin, number);
        Ok(number)
    }

    fn mould(&self, number: i64) -> Result<NameTemplate, rusqlite::Error> {
        let sql = "SELECT tag, epoch, host FROM origin WHERE id = ?1";
        let mut select = self.db.prepare_cached(sql)?;
        select.query_row([number], |row| {
            Ok(NameTemplate::of(&NameOrigin {
                tag: row.get(0)?,
                uid_validity: row.get(1)?,
                host: row.get(2)?,
            }))
        })
    }
}

/// Packs the names of all pairs, in a migration.
pub(in crate::state) fn pack_all(db: &Connection) -> Result<(), rusqlite::Error> {
    let names = NameCodec::of(db);
    let mut select = db.prepare("SELECT id, file FROM pair")?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let rows = select.query_map([], read)?;
    let rows: Vec<(i64, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
    for (id, file) in rows {
        let packed = names.pack(&MaildirId::new(file))?;
        let mut update = db.prepare_cached("UPDATE pair SET file = ?2 WHERE id = ?1")?;
        update.execute(params![id, packed])?;
    }
    Ok(())
}

/// Splits the name of a downloaded file, if joining the parts restores it.
fn split(name: &[u8]) -> Option<(NameOrigin, Rest)> {
    let text = std::str::from_utf8(name).ok()?;
    let (at, others) = text.split_once('.')?;
    let (token, host) = others.split_once('.')?;
    let mut parts = token.split('_');
    let (tag, uid, uid_validity) = (parts.next()?, parts.next()?, parts.next()?);
    let again = parts.next().map_or(Some(0), |text| text.parse().ok())?;
    let origin = NameOrigin {
        tag: u32::from_str_radix(tag, 16).ok()?,
        uid_validity: i64::from_str_radix(uid_validity, 16).ok()?,
        host: host.to_owned(),
    };
    let rest = Rest {
        at: at.parse().ok()?,
        uid: u32::from_str_radix(uid, 16).ok()?,
        again,
    };
    let same = NameTemplate::of(&origin).name(rest).as_bytes() == name;
    same.then_some((origin, rest))
}

/// An origin as the text in names.
struct NameTemplate {
    tag: String,
    uid_validity: String,
    host: String,
}

impl NameTemplate {
    fn of(origin: &NameOrigin) -> NameTemplate {
        let NameOrigin {
            tag,
            uid_validity,
            host,
        } = origin;
        NameTemplate {
            tag: format!(".{tag:08x}_"),
            uid_validity: format!("_{uid_validity:x}"),
            host: format!(".{host}"),
        }
    }

    fn name(&self, rest: Rest) -> MaildirId {
        let Rest { at, uid, again } = rest;
        let around = self.tag.len() + self.uid_validity.len() + self.host.len();
        // Seconds have ten digits until 2286.
        let mut name = String::with_capacity(10 + 8 + around);
        // Writing to a string cannot fail.
        let _ = write!(name, "{at}{}", self.tag);
        let hex = |shift: u32| char::from_digit(uid >> shift & 0xf, 16).unwrap_or('0');
        name.extend((0..8).rev().map(|place| hex(place * 4)));
        name.push_str(&self.uid_validity);
        if again > 0 {
            let _ = write!(name, "_{again}");
        }
        name.push_str(&self.host);
        MaildirId::new(name)
    }
}

fn packed(number: i64, rest: Rest) -> Vec<u8> {
    let mut packed = vec![PACKED];
    let number = u64::try_from(number).unwrap_or(0);
    for value in [number, rest.at, rest.uid.into(), rest.again.into()] {
        put(value, &mut packed);
    }
    packed
}

/// Writes a number: 7 bits a byte, lowest first; all bytes but the last have the highest bit.
fn put(mut value: u64, to: &mut Vec<u8>) {
    while value > 0x7f {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn take(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    /// As `maildir::format::file_name` makes them.
    fn downloaded(uid: u32, uid_validity: u64, again: u32) -> MaildirId {
        let again = if again == 0 {
            String::new()
        } else {
            format!("_{again}")
        };
        let text = format!("1764170000.000000be_{uid:08x}_{uid_validity:x}{again}.laptop.home");
        MaildirId::new(text.into_bytes())
    }

    #[test]
    fn names_of_downloaded_files_take_few_bytes_and_come_back() {
        let state = State::in_memory().unwrap();
        let names = NameCodec::of(&state.db);
        for file in [
            downloaded(1, 1, 0),
            downloaded(u32::MAX, 0x7fff_ffff_ffff_ffff, u32::MAX),
            downloaded(70_000, 1_700_000_000, 3),
        ] {
            assert_eq!(NameCodec::of(&state.db).known(&file).unwrap(), None);
            let packed = names.pack(&file).unwrap();
            assert!(packed.len() < 20, "{packed:?}");
            assert_eq!(names.known(&file).unwrap().as_ref(), Some(&packed));
            assert_eq!(names.unpack(&packed).unwrap(), file);
            assert_eq!(NameCodec::of(&state.db).unpack(&packed).unwrap(), file);
        }
        let count = |sql| state.db.query_row(sql, [], |row| row.get::<_, i64>(0));
        assert_eq!(count("SELECT count(*) FROM origin").unwrap(), 3);
        let again = NameCodec::of(&state.db).pack(&downloaded(9, 1, 0)).unwrap();
        assert_eq!(
            count("SELECT count(*) FROM origin").unwrap(),
            3,
            "{again:?}"
        );
        assert!(again.len() < 10, "{again:?}");
    }

    #[test]
    fn other_names_stay_as_they_are() {
        let state = State::in_memory().unwrap();
        let names = NameCodec::of(&state.db);
        for text in [
            "1764170000.M1P2Q3.laptop",
            "01764170000.000000be_00000001_1.laptop",
            "1764170000.be_1_1.laptop",
            "1764170000.000000BE_00000001_1.laptop",
            "1764170000.000000be_00000001_01.laptop",
            "1764170000.000000be_00000001_1_0.laptop",
            "1764170000.000000be_00000001_1_2_3.laptop",
            "1764170000.000000be_00000001_+1.laptop",
            "1764170000.000000be_00000001_ffffffffffffffff.laptop",
            "1764170000.000000be_00000001_1",
            "+1.000000be_00000001_1.laptop",
            "x",
            "",
        ] {
            let file = MaildirId::new(text.as_bytes());
            assert_eq!(names.pack(&file).unwrap(), text.as_bytes(), "{text}");
            assert_eq!(names.known(&file).unwrap().unwrap(), text.as_bytes());
            assert_eq!(names.unpack(text.as_bytes()).unwrap(), file);
        }
    }

    #[test]
    fn what_is_stored_wrongly_is_an_error() {
        let state = State::in_memory().unwrap();
        let names = NameCodec::of(&state.db);
        let packed = names.pack(&downloaded(1, 1, 0)).unwrap();
        for end in 1..packed.len() {
            assert!(names.unpack(&packed[..end]).is_err(), "{end}");
        }
        assert!(names.unpack(&[PACKED, 99, 1, 1, 0]).is_err());
    }
}
