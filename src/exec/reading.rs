//! What a command prints on one of its streams, line by line and whole.

use std::cell::Cell;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::OnLine;

/// Bytes that are read at a time.
const CHUNK: usize = 32 * 1024;

/// What was read so far; reading may be given up at any moment, and nothing of it is lost.
pub(super) struct Said<'a> {
    on_line: Option<OnLine<'a>>,
    /// Whether lines are kept once they were told.
    keep: bool,
    bytes: Vec<u8>,
    /// Where the line begins that has not been told yet.
    untold: usize,
}

impl<'a> Said<'a> {
    pub fn kept(on_line: Option<OnLine<'a>>) -> Self {
        Self {
            on_line,
            keep: true,
            bytes: Vec::new(),
            untold: 0,
        }
    }

    pub fn told_only(on_line: OnLine<'a>) -> Self {
        Self {
            keep: false,
            ..Self::kept(Some(on_line))
        }
    }

    /// Reads a stream to its end and counts the reads. An error ends it as well: what was read before still
    /// counts, and the exit code decides.
    pub async fn read(&mut self, mut stream: impl AsyncRead + Unpin, reads: &Cell<u64>) {
        loop {
            if self.bytes.capacity() - self.bytes.len() < CHUNK {
                self.bytes.reserve(CHUNK);
            }
            let begins = self.bytes.len();
            let Ok(1..) = stream.read_buf(&mut self.bytes).await else {
                return;
            };
            reads.set(reads.get() + 1);
            self.tell(begins);
        }
    }

    /// Tells the lines that end in what was read from `begins` on.
    fn tell(&mut self, mut begins: usize) {
        let Some(on_line) = self.on_line else {
            return;
        };
        while let Some(length) = self.bytes[begins..].iter().position(|byte| *byte == b'\n') {
            let ends = begins + length;
            let line = String::from_utf8_lossy(&self.bytes[self.untold..ends]);
            on_line(line.trim_end());
            begins = ends + 1;
            self.untold = begins;
        }
        if !self.keep {
            self.bytes.drain(..self.untold);
            self.untold = 0;
        }
    }

    /// Tells the last line, which may lack its end, and gives all that was kept.
    pub fn whole(mut self) -> String {
        if let Some(on_line) = self.on_line
            && self.untold < self.bytes.len()
        {
            let line = String::from_utf8_lossy(&self.bytes[self.untold..]);
            on_line(line.trim_end());
        }
        if !self.keep {
            self.bytes.clear();
        }
        // A listing of thousands of pods has tens of megabytes, which are not copied.
        String::from_utf8(self.bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::Said;

    async fn read(chunks: &[&[u8]], keep: bool) -> (Vec<String>, String) {
        let lines = RefCell::new(Vec::new());
        let on_line = |line: &str| lines.borrow_mut().push(line.to_owned());
        let mut said = if keep {
            Said::kept(Some(&on_line))
        } else {
            Said::told_only(&on_line)
        };
        let reads = Cell::new(0);
        for chunk in chunks {
            said.read(*chunk, &reads).await;
        }
        let whole = said.whole();
        (lines.into_inner(), whole)
    }

    #[tokio::test]
    async fn lines_are_told_once_wherever_a_read_ends() {
        let chunks: [&[u8]; 4] = [b"one\ntw", b"o", b"\n\r\nthr\xc3", b"\xa9e"];
        let lines = ["one", "two", "", "thr\u{e9}e"];
        let (told, whole) = read(&chunks, true).await;
        assert_eq!(told, lines);
        assert_eq!(whole, "one\ntwo\n\r\nthr\u{e9}e");
        let (told, whole) = read(&chunks, false).await;
        assert_eq!(
            (told, whole.as_str()),
            (lines.map(str::to_owned).to_vec(), "")
        );
    }
}
