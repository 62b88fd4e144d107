//! Where the lines of a listing or a message go: to a pager on a terminal, else to standard output.
//! A reader that has seen enough ends the command, and is no error.

use super::print::complain;
use super::terminal;
use anyhow::Result;
use std::io::{self, IsTerminal, Write, stdout};
use std::process::{Child, Command, Stdio};

/// A page of output.
pub struct Page {
    to: Box<dyn Write>,
    pager: Option<Child>,
    /// Columns of the terminal; `None`: it is none.
    pub width: Option<usize>,
    colour: bool,
    /// Nobody reads any more.
    over: bool,
}

impl Page {
    /// Begins a page. `paged`: a pager may be used.
    pub fn begin(paged: bool) -> Page {
        let terminal = stdout().is_terminal();
        let mut page = Page {
            to: Box::new(io::BufWriter::new(stdout())),
            pager: None,
            width: terminal.then(terminal::columns),
            colour: terminal && terminal::wants_colour(),
            over: false,
        };
        if terminal && paged {
            page.pager = pager();
            let input = page.pager.as_mut().and_then(|pager| pager.stdin.take());
            if let Some(input) = input {
                page.to = Box::new(io::BufWriter::new(input));
            }
        }
        page
    }

    /// Whether lines go to a terminal.
    pub fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Prints a line whose texts are fit to be shown, bold where colour is wanted.
    pub fn row(&mut self, text: &str, bold: bool) -> Result<()> {
        match bold && self.colour {
            true => self.give(format!("\x1b[1m{text}\x1b[0m\n").as_bytes()),
            false => self.give(format!("{text}\n").as_bytes()),
        }
    }

    /// Gives bytes as they are.
    pub fn give(&mut self, bytes: &[u8]) -> Result<()> {
        if self.over {
            return Ok(());
        }
        let written = self.to.write_all(bytes);
        self.note(written)
    }

    /// Whether nobody reads any more.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn note(&mut self, written: io::Result<()>) -> Result<()> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.over = true;
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Ends the page, and waits for the pager.
    pub fn end(mut self) -> Result<()> {
        let flushed = self.to.flush();
        let ended = self.note(flushed);
        // Only with its end the pager knows that this was all.
        self.to = Box::new(io::sink());
        if let Some(mut pager) = self.pager.take() {
            pager.wait()?;
        }
        ended
    }
}

/// The pager of `PAGER`, else less; `None`: there is none.
fn pager() -> Option<Child> {
    let (program, named) = match std::env::var("PAGER") {
        Ok(named) if named.trim().is_empty() => return None,
        Ok(named) => (named, true),
        Err(_) => ("less -R".to_owned(), false),
    };
    let mut command = match named {
        true => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(&program);
            shell
        }
        false => {
            let mut less = Command::new("less");
            less.arg("-R");
            less
        }
    };
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    match command.stdin(Stdio::piped()).spawn() {
        Ok(child) => Some(child),
        Err(error) if named => {
            complain(format!("PAGER={program}: {error}; printing without it"));
            None
        }
        Err(_) => None,
    }
}
