//! The line to the server: bytes in pieces of any size, cut anywhere.

use super::session::Session;
use super::stage::Shared;
use mailtide::imap::{Connector, Stream};
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

impl Connector for Shared {
    fn dial(&self) -> Result<Box<dyn Stream>> {
        let mut guard = self.lock();
        let stage = &mut *guard;
        if !stage.step("dial") {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        if stage.chance(stage.chaos.refusals) {
            stage.meet("refused connection", "dial");
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let session = Session::greet(stage);
        Ok(Box::new(Line {
            stage: self.clone(),
            session,
            cut: false,
        }))
    }
}

#[derive(Debug)]
struct Line {
    stage: Shared,
    session: Session,
    cut: bool,
}

fn reset() -> Error {
    ErrorKind::ConnectionReset.into()
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let line = &mut *self;
        let mut guard = line.stage.lock();
        let stage = &mut *guard;
        if line.cut || stage.dead {
            return Poll::Ready(Err(reset()));
        }
        let ready = line.session.out.len();
        if ready == 0 {
            // Nobody wakes the reader but its own patience.
            return match line.session.over && !line.session.silent {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            };
        }
        let whole = stage.random.one_in(3);
        let mut count = match whole {
            true => ready,
            false => 1 + stage.random.below(ready),
        };
        count = count.min(buffer.remaining());
        if stage.chance(stage.chaos.cuts) {
            stage.meet("cut", "read");
            line.cut = true;
            count = stage.random.below(count + 1);
            if count == 0 {
                return Poll::Ready(Err(reset()));
            }
        }
        let bytes: Vec<u8> = line.session.out.drain(..count).collect();
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let line = &mut *self;
        let mut guard = line.stage.lock();
        let stage = &mut *guard;
        if line.cut || stage.dead {
            return Poll::Ready(Err(reset()));
        }
        let mut count = bytes.len();
        if stage.chance(stage.chaos.cuts_up) {
            stage.meet("cut", "write");
            line.cut = true;
            count = stage.random.below(count + 1);
        }
        if !line.session.over {
            line.session.hear(stage, &bytes[..count]);
        }
        match line.cut {
            true => Poll::Ready(Err(reset())),
            false => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}
