//! One message, or a part of it: from disk, or from the server with no more on the wire than what
//! is wanted.

use super::id::{MessageId, MessageKey};
use super::local::Local;
use super::row::Sides;
use super::server::Remote;
use crate::config::{Account, Config};
use crate::daemon::{OpenError, chosen};
use crate::imap::{Items, ReadError};
use crate::maildir::pieces;
use crate::mime::{Mail, TextPieces, described, file_name};
use crate::model::{MailboxName, Part, Uid};
use crate::store::StoreError;
use std::path::{Path, PathBuf};

use super::Result;

/// A text part of more bytes is not shown.
const TEXT: u64 = 16 << 20;
/// A message of which the structure cannot be had is fetched as a whole up to this size.
const WHOLE: u64 = 256 << 20;

/// Takes bytes as they come.
pub type Give<'a> = dyn FnMut(&[u8]) -> std::result::Result<(), StoreError> + 'a;

/// A message.
pub struct ShownMessage {
    source: MessageSource,
    /// All of it, once it was read.
    whole: Option<Vec<u8>>,
    /// Its parts, as the server tells them.
    parts: Option<Vec<Part>>,
    /// Sentences about what could not be asked or read.
    pub notes: Vec<String>,
}

enum MessageSource {
    File(PathBuf),
    Server {
        remote: Box<Remote>,
        mailbox: MailboxName,
        uid: Uid,
    },
}

/// A message that was named.
pub struct NamedMessage {
    /// The account; `None`: a file of none.
    pub account: Option<Account>,
    /// Its name; `None`: a file outside of all mailboxes.
    pub id: Option<MessageId>,
    /// Its file, if it is here.
    pub path: Option<PathBuf>,
}

/// What a text on the command line names: an id that a listing shows, or a file.
pub async fn named(config: &Config, text: &str) -> Result<NamedMessage> {
    if let Some(path) = as_file(text) {
        return Ok(NamedMessage {
            id: None,
            account: None,
            path: Some(path),
        });
    }
    let Some(id) = MessageId::parse(text) else {
        return Err(StoreError::NeedsUser(format!(
            "\"{text}\" names no message: it is no file, and no id as mailtide list prints it \
             (ACCOUNT/MAILBOX/UID)"
        ))
        .into());
    };
    let account = chosen(config, std::slice::from_ref(&id.account))?;
    let account = account.into_iter().next();
    let lost = || StoreError::Bug("an account was lost".into());
    let account = account.ok_or_else(lost)?;
    let local = Local::open(config, &account).await?;
    let glance = local.find(&id.mailbox, &id.key)?;
    Ok(NamedMessage {
        account: Some(account),
        path: glance.map(|glance| glance.path),
        id: Some(id),
    })
}

/// A path to a file that exists. What looks like an id is one, unless it begins as a path does.
fn as_file(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let begins = ["/", "./", "../"]
        .iter()
        .any(|start| text.starts_with(start));
    let is_path = begins || MessageId::parse(text).is_none();
    Some(path.to_owned()).filter(|path| is_path && path.is_file())
}

impl ShownMessage {
    /// Finds a message.
    pub async fn open(config: &Config, text: &str, sides: Sides) -> Result<ShownMessage> {
        let NamedMessage { account, id, path } = named(config, text).await?;
        let source = match (path, id, account) {
            (Some(path), None, _) => MessageSource::File(path),
            (Some(path), Some(_), _) if sides != Sides::There => MessageSource::File(path),
            (path, Some(id), Some(account)) => there(&id, &account, path.is_some(), sides)?,
            _ => return Err(StoreError::Bug("a message was lost".into()).into()),
        };
        Ok(ShownMessage {
            source,
            whole: None,
            parts: None,
            notes: Vec::new(),
        })
    }

    /// Whether it is read from the server.
    pub fn is_there(&self) -> bool {
        matches!(self.source, MessageSource::Server { .. })
    }

    /// Its parts, each before those within it.
    pub async fn parts(&mut self) -> Result<Vec<Part>> {
        if let Some(parts) = &self.parts {
            return Ok(parts.clone());
        }
        let parts = match (&self.whole, &self.source) {
            (None, MessageSource::Server { .. }) => self.told_parts().await?,
            _ => None,
        };
        let parts = match parts {
            Some(parts) => parts,
            None => Mail::read(self.whole().await?).parts(),
        };
        self.parts = Some(parts.clone());
        Ok(parts)
    }

    /// The parts that BODYSTRUCTURE tells; `None`: it cannot be read.
    async fn told_parts(&mut self) -> Result<Option<Vec<Part>>> {
        let MessageSource::Server {
            remote,
            mailbox,
            uid,
        } = &mut self.source
        else {
            return Ok(None);
        };
        let (reader, _) = remote.examine(mailbox).await?;
        let told = match reader.fetch_uids(&[*uid], Items::Structure).await {
            Ok(told) => told,
            Err(ReadError::Unreadable(what)) => {
                remote.begin_anew();
                self.slow(&what);
                return Ok(None);
            }
            Err(ReadError::Refused(what)) => {
                self.slow(&what);
                return Ok(None);
            }
            Err(ReadError::Store(error)) => return Err(error.into()),
        };
        let Some(told) = told.into_iter().next() else {
            return Err(gone(mailbox, *uid));
        };
        let Some(parts) = told.parts else {
            self.slow("the server tells none");
            return Ok(None);
        };
        let part = |(part, parameters): (Part, Vec<(String, String)>)| Part {
            name: file_name(&parameters),
            ..part
        };
        Ok(Some(parts.into_iter().map(part).collect()))
    }

    fn slow(&mut self, what: &str) {
        self.notes.push(format!(
            "the structure of the message cannot be had from the server ({what}): all of it is \
             fetched"
        ));
    }

    /// All bytes of it.
    pub async fn whole(&mut self) -> Result<&[u8]> {
        if self.whole.is_none() {
            let mut bytes = Vec::new();
            let mut give = |piece: &[u8]| {
                if (bytes.len() + piece.len()) as u64 > WHOLE {
                    let what = "the message is too large to be read as a whole; see --raw";
                    return Err(StoreError::Mailbox(what.into()));
                }
                bytes.extend_from_slice(piece);
                Ok(())
            };
            self.raw(&mut give).await?;
            self.whole = Some(bytes);
        }
        Ok(self.whole.as_deref().unwrap_or_default())
    }

    /// Gives all bytes of it, one piece after another.
    pub async fn raw(&mut self, give: &mut Give<'_>) -> Result<()> {
        if let Some(whole) = &self.whole {
            return Ok(give(whole)?);
        }
        match &mut self.source {
            MessageSource::File(path) => {
                let mut failed = None;
                let mut take = |piece: &[u8]| {
                    give(piece).map_err(|error| {
                        failed = Some(error);
                        std::io::Error::other("not taken")
                    })
                };
                let read = pieces(path, &mut take);
                match (failed, read) {
                    (Some(error), _) => Err(error.into()),
                    (None, read) => read.map_err(|error| unreadable(path, &error)),
                }
            }
            MessageSource::Server {
                remote,
                mailbox,
                uid,
            } => {
                let (reader, _) = remote.examine(mailbox).await?;
                let read = reader.section(*uid, "", give).await;
                match read.map_err(ReadError::of_store)? {
                    Some(_) => Ok(()),
                    None => Err(gone(mailbox, *uid)),
                }
            }
        }
    }

    /// Its header, as it is.
    pub async fn header(&mut self) -> Result<Vec<u8>> {
        if let (
            None,
            MessageSource::Server {
                remote,
                mailbox,
                uid,
            },
        ) = (&self.whole, &mut self.source)
        {
            let (reader, _) = remote.examine(mailbox).await?;
            let header = reader.header(*uid).await.map_err(ReadError::of_store)?;
            return header.ok_or_else(|| gone(mailbox, *uid));
        }
        let whole = self.whole().await?;
        Ok(header_of(whole).to_vec())
    }

    /// The text that a person reads.
    pub async fn text(&mut self) -> Result<String> {
        if self.is_there() && self.whole.is_none() {
            let parts = self.parts().await?;
            if self.whole.is_none() {
                return self.told_text(&parts).await;
            }
        }
        Ok(Mail::read(self.whole().await?).text())
    }

    /// The text, of those parts only that hold it.
    async fn told_text(&mut self, parts: &[Part]) -> Result<String> {
        let mut out = String::new();
        for index in texts(parts) {
            let Some(part) = parts.get(index) else {
                continue;
            };
            if part.size > TEXT {
                out.push_str(&format!(
                    "[part {} is too large to be shown]\n",
                    part.number
                ));
                continue;
            }
            let mut bytes = Vec::new();
            let mut give = |piece: &[u8]| {
                bytes.extend_from_slice(piece);
                Ok(())
            };
            let Some(header) = self.section(parts, index, &mut give).await? else {
                return Ok(Mail::read(self.whole().await?).text());
            };
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&Mail::read(&[header, bytes].concat()).text());
        }
        Ok(out)
    }

    /// Gives the decoded bytes of the part that has this number or file name; answers which it is.
    pub async fn part(&mut self, which: &str, give: &mut Give<'_>) -> Result<Part> {
        let parts = self.parts().await?;
        let Some(index) = Part::find(&parts, which) else {
            return Err(no_part(which, &parts));
        };
        let part = parts.get(index).cloned().unwrap_or_default();
        if self.is_there() && self.whole.is_none() && self.told_part(&parts, index, give).await? {
            return Ok(part);
        }
        let content = Mail::read(self.whole().await?).part(which);
        let content = content.ok_or_else(|| no_part(which, &parts))?;
        give(&content.bytes)?;
        Ok(content.part)
    }

    /// Gives the bytes of one part and nothing else; `false`: the server does not have it, and
    /// nothing was given.
    async fn told_part(
        &mut self,
        parts: &[Part],
        index: usize,
        give: &mut Give<'_>,
    ) -> Result<bool> {
        let told = parts.get(index).cloned().unwrap_or_default();
        let Some(header) = self.part_header(parts, index).await? else {
            return Ok(false);
        };
        let mut pieces = TextPieces::of(&described(&header, &told));
        let mut count = 0;
        {
            let mut decode = |piece: &[u8]| {
                count += piece.len();
                pieces.take(piece, &mut *give)
            };
            if self.bytes(&told.number, &mut decode).await?.is_none() {
                self.slow(&format!("it has no part {}", told.number));
                return Ok(false);
            }
        }
        if count == 0 && told.size > 0 {
            self.slow(&format!("part {} is empty there", told.number));
            return Ok(false);
        }
        pieces.end(&mut *give)?;
        Ok(true)
    }

    /// Gives the bytes of a part as they are in the message; answers its header. `None`: the server
    /// does not have it.
    async fn section(
        &mut self,
        parts: &[Part],
        index: usize,
        give: &mut Give<'_>,
    ) -> Result<Option<Vec<u8>>> {
        let told = parts.get(index).cloned().unwrap_or_default();
        let header = self.part_header(parts, index).await?;
        let read = self.bytes(&told.number, give).await?;
        Ok(header.filter(|_| read.is_some_and(|count| count > 0 || told.size == 0)))
    }

    async fn bytes(&mut self, section: &str, give: &mut Give<'_>) -> Result<Option<u64>> {
        let MessageSource::Server {
            remote,
            mailbox,
            uid,
        } = &mut self.source
        else {
            return Ok(None);
        };
        let (reader, _) = remote.examine(mailbox).await?;
        match reader.section(*uid, section, give).await {
            Ok(count) => Ok(count),
            Err(ReadError::Refused(_)) => Ok(None),
            Err(ReadError::Unreadable(_)) => {
                remote.begin_anew();
                Ok(None)
            }
            Err(ReadError::Store(error)) => Err(error.into()),
        }
    }

    /// The MIME header of a part; where the server has none, one made of BODYSTRUCTURE.
    async fn part_header(&mut self, parts: &[Part], index: usize) -> Result<Option<Vec<u8>>> {
        let MessageSource::Server {
            remote,
            mailbox,
            uid,
        } = &mut self.source
        else {
            return Ok(None);
        };
        let told = parts.get(index).cloned().unwrap_or_default();
        let section = header_section(parts, index);
        let (reader, _) = remote.examine(mailbox).await?;
        let header = match reader.part_header(*uid, &section).await {
            Ok(header) => header,
            Err(ReadError::Refused(_)) => None,
            Err(ReadError::Unreadable(_)) => {
                remote.begin_anew();
                None
            }
            Err(ReadError::Store(error)) => return Err(error.into()),
        };
        Ok(Some(
            header.unwrap_or_else(|| crate::mime::header_of(&told)),
        ))
    }

    /// Ends the connection, if there is one.
    pub async fn end(self) {
        if let MessageSource::Server { remote, .. } = self.source {
            remote.end().await;
        }
    }
}

fn there(id: &MessageId, account: &Account, here: bool, sides: Sides) -> Result<MessageSource> {
    let MessageKey::Uid(uid, _) = &id.key else {
        let where_ = if here { "is only here" } else { "is not here" };
        let what = format!("{id}: the message {where_}, and the server does not have it");
        return Err(StoreError::Stale(what).into());
    };
    if sides == Sides::Here {
        let what = format!("{id}: the message is not here; without --local it is fetched");
        return Err(StoreError::Stale(what).into());
    }
    Ok(MessageSource::Server {
        remote: Box::new(Remote::of(account, sides).expecting(id.clone())),
        mailbox: id.mailbox.clone(),
        uid: *uid,
    })
}

/// The section that holds the header fields of a part: that of the message which it is alone in, or
/// its own.
fn header_section(parts: &[Part], index: usize) -> String {
    let number = parts.get(index).map_or("", |part| &part.number);
    let above = index.checked_sub(1).and_then(|above| parts.get(above));
    match above {
        None => "HEADER".to_owned(),
        Some(above)
            if above.kind == "message/rfc822" && number == format!("{}.1", above.number) =>
        {
            format!("{}.HEADER", above.number)
        }
        Some(_) => format!("{number}.MIME"),
    }
}

/// The indexes of the parts that hold the text of a message: `text/plain` where there is some, else
/// the first HTML.
fn texts(parts: &[Part]) -> Vec<usize> {
    let enclosed = |index: usize| {
        let before = parts.iter().take(index);
        let depth = parts.get(index).map_or(0, |part| part.depth);
        let mut above = depth;
        let before: Vec<&Part> = before.collect();
        before.iter().rev().any(|part| {
            let holds = part.depth < above;
            if holds {
                above = part.depth;
            }
            holds && part.kind == "message/rfc822"
        })
    };
    let of = |kind: &str| -> Vec<usize> {
        let all = parts.iter().enumerate();
        let all = all.filter(|(_, part)| part.kind == kind && !part.is_attachment());
        all.map(|(index, _)| index)
            .filter(|index| !enclosed(*index))
            .collect()
    };
    let plain = of("text/plain");
    match plain.is_empty() {
        true => of("text/html").into_iter().take(1).collect(),
        false => plain,
    }
}

fn header_of(message: &[u8]) -> &[u8] {
    let ends = [&b"\n\r\n"[..], b"\n\n"];
    let ends = ends.iter().filter_map(|end| {
        let at = message
            .windows(end.len())
            .position(|window| window == *end)?;
        Some(at + end.len())
    });
    message
        .get(..ends.min().unwrap_or(message.len()))
        .unwrap_or_default()
}

fn gone(mailbox: &MailboxName, uid: Uid) -> OpenError {
    let what = format!(
        "{mailbox}: the server has no message with the UID {}",
        uid.get()
    );
    StoreError::Stale(what).into()
}

fn unreadable(path: &Path, error: &std::io::Error) -> OpenError {
    StoreError::Mailbox(format!("{}: {error}", path.display())).into()
}

fn no_part(which: &str, parts: &[Part]) -> OpenError {
    let single = parts.iter().filter(|part| !part.is_multipart());
    let shown = |part: &Part| {
        let name = part.name.as_ref().map(|name| format!(" {name}"));
        format!(
            "{} ({}{})",
            part.number,
            part.kind,
            name.unwrap_or_default()
        )
    };
    let all: Vec<String> = single.take(20).map(shown).collect();
    let what = format!(
        "no part, or more than one, is called \"{which}\"; the message has {}",
        all.join(", ")
    );
    StoreError::NeedsUser(what).into()
}
