//! The lines of a file, or the messages of a topic, in chunks that a thread works on.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Take};
use std::path::{Path, PathBuf};

use super::Failure;
use super::progress::Progress;
use crate::io::kafka::Messages;
use crate::limits::BODIES_IN_MEMORY;

/// Bytes of a chunk, about: small beside the memory, large beside what handing it over takes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A longer line is no delivery that any source would take.
const LINE_BYTES_MAX: usize = BODIES_IN_MEMORY;

/// Where alerts come from.
pub enum Input<'h> {
    File(Lines),
    Topic(Messages<'h>, Progress),
}

/// Some lines or messages.
#[derive(Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

struct Piece {
    /// Its end among the bytes; it begins where the one before ends.
    end: usize,
    place: Place,
    /// Why it can't be read, whatever it is.
    flaw: Option<String>,
}

/// Where a piece stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Line(u64),
    Message { partition: i32, offset: i64 },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(number) => write!(f, "line {number}"),
            Place::Message { partition, offset } => {
                write!(f, "partition {partition}, offset {offset}")
            }
        }
    }
}

impl Chunk {
    /// Each piece with its place, or why it can't be read. Blank lines are none.
    pub fn pieces(&self) -> impl Iterator<Item = (Place, Result<&[u8], &str>)> {
        let mut from = 0;
        self.pieces.iter().map(move |piece| {
            let body = &self.bytes[from..piece.end];
            from = piece.end;
            (piece.place, piece.flaw.as_deref().map_or(Ok(body), Err))
        })
    }

    fn push(&mut self, place: Place, flaw: Option<String>) {
        self.pieces.push(Piece { end: self.bytes.len(), place, flaw });
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }
}

impl Input<'_> {
    /// The next chunk; `None` once there is no more.
    pub fn next(&mut self) -> Result<Option<Chunk>, Failure> {
        let mut chunk = Chunk::default();
        match self {
            Input::File(lines) => lines.fill(&mut chunk)?,
            Input::Topic(messages, progress) => {
                while !chunk.is_full() {
                    let Some(message) = messages.read().map_err(Failure::wrong)? else { break };
                    chunk.bytes.extend_from_slice(&message.body);
                    let (partition, offset) = (message.partition, message.offset);
                    let flaw = message.flaw.map(|flaw| flaw.to_string());
                    chunk.push(Place::Message { partition, offset }, flaw);
                    progress.show(messages.passed());
                }
            }
        }
        Ok((!chunk.pieces.is_empty()).then_some(chunk))
    }
}

/// The lines of a file, as far as it went when it was opened.
pub struct Lines {
    path: PathBuf,
    from: Take<BufReader<File>>,
    /// `None` for what is no file, such as a pipe, and is read to its end.
    bytes: Option<u64>,
    read: u64,
    line: u64,
    line_bytes_max: usize,
    progress: Progress,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let unread = |why| Failure::usage(format!("{} can't be read: {why}", path.display()));
        let file = File::open(path).map_err(unread)?;
        let about = file.metadata().map_err(unread)?;
        if about.is_dir() {
            let why = "is a directory: name a file with one alert a line";
            return Err(Failure::usage(format!("{} {why}", path.display())));
        }
        let bytes = about.is_file().then_some(about.len());
        Ok(Self {
            path: path.to_owned(),
            from: BufReader::with_capacity(CHUNK_BYTES, file).take(bytes.unwrap_or(u64::MAX)),
            bytes,
            read: 0,
            line: 0,
            line_bytes_max: LINE_BYTES_MAX,
            progress: Progress::new(bytes.unwrap_or(0), "MB", 1_000_000),
        })
    }

    fn fill(&mut self, chunk: &mut Chunk) -> Result<(), Failure> {
        while !chunk.is_full() {
            let from = chunk.bytes.len();
            let most = self.line_bytes_max as u64 + 1;
            let came = (&mut self.from).take(most).read_until(b'\n', &mut chunk.bytes);
            let mut bytes = came.map_err(|why| self.failed(&why))? as u64;
            if bytes == 0 {
                return self.ended();
            }
            self.line += 1;
            let mut flaw = None;
            if bytes == most && chunk.bytes.last() != Some(&b'\n') {
                let rest = self.from.skip_until(b'\n').map_err(|why| self.failed(&why))?;
                bytes += rest as u64;
                chunk.bytes.truncate(from);
                let most = self.line_bytes_max;
                flaw = Some(format!("it is {bytes} bytes long, more than {most}"));
            }
            self.read += bytes;
            self.progress.show(self.read);
            let is_blank = chunk.bytes[from..].iter().all(u8::is_ascii_whitespace);
            if flaw.is_none() && is_blank {
                chunk.bytes.truncate(from);
                continue;
            }
            chunk.push(Place::Line(self.line), flaw);
        }
        Ok(())
    }

    /// Half of what was there would be told as if it were all.
    fn ended(&self) -> Result<(), Failure> {
        match self.bytes {
            Some(bytes) if self.read < bytes => Err(Failure::wrong(format!(
                "{} became shorter while it was read: {} of {bytes} bytes were there; run it again",
                self.path.display(),
                self.read
            ))),
            _ => Ok(()),
        }
    }

    fn failed(&self, why: &std::io::Error) -> Failure {
        Failure::wrong(format!("{}, after line {}: {why}", self.path.display(), self.line))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Each piece, with its line.
    fn read(lines: Lines) -> Vec<(String, String)> {
        let mut input = Input::File(lines);
        let mut found = Vec::new();
        while let Some(chunk) = input.next().unwrap() {
            found.extend(chunk.pieces().map(|(place, body)| {
                let body = body.map(|body| String::from_utf8_lossy(body).trim().to_owned());
                (place.to_string(), body.unwrap_or_else(str::to_owned))
            }));
        }
        found
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn lines_have_their_numbers_and_blank_ones_are_none() {
        let file = file("one\r\n\r\n  \nfour\n\nsix");
        let found = read(Lines::open(file.path()).unwrap());
        let pairs = [("line 1", "one"), ("line 4", "four"), ("line 6", "six")];
        assert_eq!(found, pairs.map(|(a, b)| (a.to_owned(), b.to_owned())));
        for nothing in ["", "\n", " \r\n\n"] {
            let file = self::file(nothing);
            assert_eq!(read(Lines::open(file.path()).unwrap()), []);
        }
    }

    #[test]
    fn a_line_that_is_too_long_stops_no_other() {
        let file = file("12345\n123456\n1234567890123\n12345");
        let mut lines = Lines::open(file.path()).unwrap();
        lines.line_bytes_max = 5;
        let found = read(lines);
        assert_eq!(found[0].1, "12345");
        assert_eq!(found[1].1, "it is 7 bytes long, more than 5");
        assert_eq!(found[2], ("line 3".into(), "it is 14 bytes long, more than 5".into()));
        assert_eq!(found[3], ("line 4".into(), "12345".into()));
    }

    #[test]
    fn chunks_are_cut_at_the_ends_of_lines() {
        let line = "x".repeat(CHUNK_BYTES / 3);
        let file = file(&format!("{line}\n{line}\n{line}\n{line}\n{line}\n"));
        let mut input = Input::File(Lines::open(file.path()).unwrap());
        let mut sizes = Vec::new();
        while let Some(chunk) = input.next().unwrap() {
            let whole = |(_, body): (Place, Result<&[u8], &str>)| body.unwrap().len();
            let lengths: Vec<_> = chunk.pieces().map(whole).collect();
            assert!(lengths.iter().all(|length| *length == line.len() + 1));
            sizes.push(lengths.len());
        }
        assert_eq!(sizes, [3, 2]);
    }

    #[test]
    fn what_is_added_meanwhile_does_not_count_and_what_is_gone_is_told() {
        let mut file = file("one\ntwo\n");
        let lines = Lines::open(file.path()).unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(read(lines).len(), 2);
        let lines = Lines::open(file.path()).unwrap();
        file.as_file().set_len(4).unwrap();
        let Err(Failure::Wrong(why)) = Input::File(lines).next() else { panic!("exit code 1") };
        assert!(why.contains("became shorter") && why.contains("4 of 14 bytes"), "{why}");
    }
}
