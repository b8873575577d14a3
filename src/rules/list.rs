//! Lists: values that rules name as `'%NAME%'`, one on a line, each with an end if it has one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::time::Duration;

use super::problem::{self, Problem, Severity, Source};
use super::suggest::{did_you_mean, quoted};
use crate::domain::time::Wall;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// All lists of a directory of rules, by name.
#[derive(Default)]
pub(super) struct Lists {
    lists: BTreeMap<String, List>,
    next_expiry: Option<Wall>,
    unread: BTreeSet<String>,
    misnamed: BTreeMap<String, String>,
}

/// One list, without what has expired.
pub(super) struct List {
    pub source: Source,
    pub entries: Vec<Entry>,
    /// Whether it has a column `machine_id`.
    pub has_machines: bool,
    /// How many entries are not there any more.
    expired: usize,
}

pub(super) struct Entry {
    pub text: String,
    pub place: Range<usize>,
    /// What the column `machine_id` says, and where.
    pub machine: Option<(String, Range<usize>)>,
    /// From then on it is not there.
    until: Option<Wall>,
}

impl Lists {
    pub fn new(lists: BTreeMap<String, List>, now: Wall) -> Self {
        let ends = lists.values().flat_map(|list| &list.entries).filter_map(|entry| entry.until);
        let next_expiry = ends.filter(|end| *end > now).min();
        Self { lists, next_expiry, ..Self::default() }
    }

    /// With the names of lists that are there and can't be read, and those that other files would
    /// have, with the names of these files.
    pub fn beside(self, unread: BTreeSet<String>, misnamed: BTreeMap<String, String>) -> Self {
        Self { unread, misnamed, ..self }
    }

    pub fn is_unread(&self, name: &str) -> bool {
        self.unread.contains(name)
    }

    /// The file that would be the list of this name, were its ending right.
    pub fn misnamed(&self, name: &str) -> Option<&str> {
        self.misnamed.get(name).map(String::as_str)
    }

    pub fn get(&self, name: &str) -> Option<&List> {
        self.lists.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &List)> {
        self.lists.iter().map(|(name, list)| (name.as_str(), list))
    }

    pub fn next_expiry(&self) -> Option<Wall> {
        self.next_expiry
    }
}

impl List {
    pub fn expired(&self) -> usize {
        self.expired
    }

    pub fn is_csv(&self) -> bool {
        self.source.name.ends_with(".csv")
    }
}

/// Whether a list can have this name: letters, digits, `-` and `_`, so that a rule can write it.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !name.is_empty() && name.bytes().all(fits)
}

/// Reads a list. Nothing of it stops at the first mistake.
pub(super) fn read(source: Source, is_csv: bool, now: Wall) -> (List, Vec<Problem>) {
    let mut reading =
        Reading { source: &source, problems: Vec::new(), entries: Vec::new(), has_machines: false };
    match is_csv {
        true => reading.csv(),
        false => reading.text(),
    }
    let Reading { mut problems, mut entries, has_machines, .. } = reading;
    let all = entries.len();
    entries.retain(|entry| {
        let lives = entry.until.is_none_or(|end| now < end);
        if !lives {
            let why = "this line has expired, and counts as not there; remove it";
            let place = Some(entry.place.clone());
            problems.push(Problem::new(Severity::Warning, &source, place, why));
        }
        lives
    });
    let expired = all - entries.len();
    let problems = problem::few(&source, problems);
    (List { source, entries, has_machines, expired }, problems)
}

struct Reading<'s> {
    source: &'s Source,
    problems: Vec<Problem>,
    entries: Vec<Entry>,
    has_machines: bool,
}

impl Reading<'_> {
    fn error(&mut self, place: Range<usize>, why: impl Into<String>) {
        self.problems.push(Problem::new(Severity::Error, self.source, Some(place), why));
    }

    /// Keeps an entry. `end` is what is said of its end, and where.
    fn keep(&mut self, text: &str, place: Range<usize>, end: Option<(&str, Range<usize>)>) {
        if text.chars().any(char::is_control) {
            self.error(place, "the entry has control characters; remove them");
            return;
        }
        let mut until = None;
        if let Some((date, at)) = end {
            until = after(date);
            if until.is_none() {
                let why = format!("{} is no day; write one as 2026-12-31", quoted(date));
                self.error(at, why);
                return;
            }
        }
        if let Some(why) = odd(text, self.source.name.ends_with(".csv")) {
            let place = Some(place.clone());
            self.problems.push(Problem::new(Severity::Warning, self.source, place, why));
        }
        self.entries.push(Entry { text: text.to_owned(), place, machine: None, until });
    }

    /// One entry a line; `#` begins a comment, alone or after a space.
    fn text(&mut self) {
        let text = self.source.text.clone();
        for (start, line) in lines(&text) {
            let (said, skipped) = trimmed(without_comment(line));
            if said.is_empty() {
                continue;
            }
            let start = start + skipped;
            let whole = start..start + said.len();
            let (before, last) = last_word(said);
            let at_last = whole.end - last.len()..whole.end;
            match (last_word(before), last) {
                (_, "until") => self.error(at_last, "until needs a day, such as 2026-12-31"),
                (("", "until"), _) => self.error(whole, "there is no value before until"),
                ((value, "until"), date) => {
                    self.keep(value, start..start + value.len(), Some((date, at_last)));
                }
                (_, date) if !before.is_empty() && after(date).is_some() => {
                    let value = match last_word(before) {
                        (value, word) if !did_you_mean(word, ["until"]).is_empty() => value,
                        _ => before,
                    };
                    let why = format!("a day follows until: {value} until {date}");
                    let how = "a value that ends so stands in a list that is a .csv";
                    self.error(whole, format!("{why}; {how}"));
                }
                _ => self.keep(said, whole, None),
            }
        }
        self.warn_of_twins();
    }

    /// The first column, and a day in the second; under a header that begins with `value` or
    /// `host`, in the column `until`, wherever it stands. So with `machine_id`, for formats.
    fn csv(&mut self) {
        let text = self.source.text.clone();
        let (mut first, mut end_at, mut has_header) = (true, 1, false);
        let (mut machine_at, mut told) = (None, false);
        for (start, line) in lines(&text) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let cells = match cells(line) {
                Ok(cells) => cells,
                Err(at) => {
                    let why = "this quote is not closed in its line, or goes on after its end; \
                               within quotes \"\" is one";
                    self.error(start + at..start + line.len(), why);
                    continue;
                }
            };
            let head = &cells[0].0;
            let is_header = head.eq_ignore_ascii_case("value") || head.eq_ignore_ascii_case("host");
            let is_header = first && is_header;
            first = false;
            if is_header {
                has_header = true;
                let named = |column: &str| {
                    cells.iter().position(|(name, _)| name.eq_ignore_ascii_case(column))
                };
                end_at = named("until").unwrap_or(usize::MAX);
                machine_at = named("machine_id");
                self.has_machines = machine_at.is_some();
                continue;
            }
            let place = |at: &Range<usize>| start + at.start..start + at.end;
            if cells.len() > 2 && !has_header {
                // Once: it is the first line that is wrong, or is missing.
                if !std::mem::replace(&mut told, true) {
                    let why = "there are more than two columns; name them in a first line that \
                               begins with value, such as value,owner,until";
                    self.error(place(&cells[2].1), why);
                }
                continue;
            }
            if cells[0].0.is_empty() {
                self.error(
                    start..start + line.len(),
                    "the first column is empty; write the value there",
                );
                continue;
            }
            let end = cells.get(end_at).filter(|(date, _)| !date.is_empty());
            let end = end.map(|(date, at)| (date.as_str(), place(at)));
            let kept = self.entries.len();
            self.keep(&cells[0].0, place(&cells[0].1), end);
            let machine = machine_at.and_then(|at| cells.get(at)).filter(|(id, _)| !id.is_empty());
            for entry in self.entries.iter_mut().skip(kept) {
                entry.machine = machine.map(|(id, at)| (id.clone(), place(at)));
            }
        }
        self.warn_of_twins();
    }

    fn warn_of_twins(&mut self) {
        let mut seen = HashMap::new();
        for entry in &self.entries {
            let line = self.source.line(entry.place.start);
            if let Some(first) = seen.insert(entry.text.to_lowercase(), line) {
                let why =
                    format!("this value stands in line {first} too; it counts until the last");
                let place = Some(entry.place.clone());
                self.problems.push(Problem::new(Severity::Warning, self.source, place, why));
            }
        }
    }
}

/// What is most likely a slip, in an entry that some field may have nevertheless. An entry counts
/// as it stands, so a slip protects nothing. A comma in a cell of a `.csv` is within quotes, and so
/// meant.
fn odd(text: &str, is_csv: bool) -> Option<&'static str> {
    let quoted = |mark| text.starts_with(mark) || text.ends_with(mark);
    let hex = text.len() > 24 && text.bytes().all(|b| b.is_ascii_hexdigit());
    Some(match text.len() {
        _ if after(last_word(text).1).is_some() => "a day follows until: VALUE until 2026-12-31",
        32 if hex => "this looks like an MD5, which no field has; give the SHA-1 or SHA-256",
        40 | 64 if hex => return None,
        _ if hex => "this looks like a hash or an id with digits too many or too few: 40, or 64",
        _ if quoted('"') || quoted('\'') => "the quotes are part of this entry; leave them out",
        _ if text.starts_with("- ") => "the - is part of this entry; leave it out",
        _ if text.contains(" //") => "a comment begins with #; this is part of the entry",
        _ if text.contains(';') || (text.contains(',') && !is_csv) => {
            "one entry a line: this is one, with its commas"
        }
        _ => return None,
    })
}

/// The end of a day, in UTC.
fn after(date: &str) -> Option<Wall> {
    let digits = |at: &[u8]| at.iter().all(u8::is_ascii_digit);
    let is_day = match date.as_bytes() {
        [y @ .., b'-', m1, m2, b'-', d1, d2] if y.len() == 4 => {
            digits(y) && digits(&[*m1, *m2, *d1, *d2])
        }
        _ => false,
    };
    is_day.then(|| Wall::parse(&format!("{date}T00:00:00Z")))?.map(|day| day + DAY)
}

/// Each line with the byte that it starts at; without a mark that says how the file is encoded.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    text[mark..].split_inclusive('\n').scan(mark, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line.trim_end_matches(['\n', '\r'])))
    })
}

/// Up to the `#` that begins a comment: in the first column or after a space. Within a word it is
/// part of it.
fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| *at == 0 || line[..*at].ends_with([' ', '\t']);
    let end = line.match_indices('#').find(begins).map_or(line.len(), |(at, _)| at);
    &line[..end]
}

/// Without spaces around, and how many bytes stood before.
fn trimmed(text: &str) -> (&str, usize) {
    (text.trim(), text.len() - text.trim_start().len())
}

fn last_word(text: &str) -> (&str, &str) {
    match text.rfind(char::is_whitespace) {
        None => ("", text),
        Some(at) => {
            let last = text[at..].trim_start();
            (text[..at].trim_end(), last)
        }
    }
}

/// The cells of a line, with their places in it. `Err` is where a quote is wrong.
fn cells(line: &str) -> Result<Vec<(String, Range<usize>)>, usize> {
    let (mut cells, mut at) = (Vec::new(), 0);
    loop {
        let open = at + trimmed(&line[at..]).1;
        let comma = |from: usize| line[from..].find(',').map_or(line.len(), |comma| from + comma);
        let end = if line[open..].starts_with('"') {
            let (cell, close) = quoted_cell(line, open).ok_or(open)?;
            let end = comma(close);
            if !line[close..end].trim().is_empty() {
                return Err(open);
            }
            cells.push((cell.trim().to_owned(), open..close));
            end
        } else {
            let end = comma(at);
            let (cell, skipped) = trimmed(&line[at..end]);
            let start = at + skipped;
            cells.push((cell.to_owned(), start..start + cell.len()));
            end
        };
        if end == line.len() {
            return Ok(cells);
        }
        at = end + 1;
    }
}

/// The text of the cell whose quote opens there, two quotes within it being one, and the byte after
/// its end.
fn quoted_cell(line: &str, open: usize) -> Option<(String, usize)> {
    let (mut cell, mut from) = (String::new(), open + 1);
    loop {
        let quote = from + line[from..].find('"')?;
        cell.push_str(&line[from..quote]);
        if !line[quote + 1..].starts_with('"') {
            return Some((cell, quote + 1));
        }
        cell.push('"');
        from = quote + 2;
    }
}
