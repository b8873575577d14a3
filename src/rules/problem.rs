//! What is wrong with a rule file, shown as compilers do: place, message, the line and a caret.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// One file's name, as people should see it, and its text.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub name: Arc<str>,
    pub text: Arc<str>,
    /// Where each line starts, in bytes: found once, however many problems the file has.
    lines: Arc<[usize]>,
}

impl Source {
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { name: name.into(), text, lines }
    }

    /// The line, from 1, of a byte.
    pub fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// The byte that a line, from 1, starts at.
    fn start(&self, line: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len())
    }
}

/// An error keeps the rules from loading, a warning does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    Error,
    Warning,
}

/// For a terminal, or for everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Coloured,
}

/// One thing that is wrong, and where. [`fmt::Display`] is [`Look::Plain`].
#[derive(Clone, Debug)]
pub struct Problem {
    pub severity: Severity,
    /// One sentence: what is wrong and, where it can be said, what to write instead.
    pub message: String,
    /// How many mistakes it tells of: 1, or those that `few` left out.
    pub count: usize,
    /// Whether it tells of a test that failed, which a list of the tests tells too.
    pub is_failed_test: bool,
    source: Source,
    /// Bytes of the text; `None` where the file as a whole is meant.
    place: Option<Range<usize>>,
}

impl Problem {
    pub(super) fn new(
        severity: Severity,
        source: &Source,
        place: Option<Range<usize>>,
        message: impl Into<String>,
    ) -> Self {
        let place = place.map(|place| within(&source.text, place));
        Self {
            severity,
            message: message.into(),
            count: 1,
            is_failed_test: false,
            source: source.clone(),
            place,
        }
    }

    /// That the test of this name, at this place, came out like this instead.
    pub(super) fn failed_test(source: &Source, place: Range<usize>, name: &str, why: &str) -> Self {
        let message = format!("test {name:?} fails: {why}");
        let problem = Self::new(Severity::Error, source, Some(place), message);
        Self { is_failed_test: true, ..problem }
    }

    /// `file:line:column: error: message`, then the line with a caret. Columns count characters.
    pub fn render(&self, look: Look) -> String {
        let title = self.title();
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let renderer = match look {
            Look::Plain => Renderer::plain(),
            Look::Coloured => Renderer::styled(),
        };
        let group = match &self.place {
            None => Group::with_title(level.no_name().primary_title(title)),
            Some(place) => {
                let line = self.source.line(place.start);
                let (start, end) = (self.source.start(line), self.source.start(line + 1));
                let text = self.source.text[start..end].trim_end_matches(['\n', '\r']);
                let within = |at: usize| (at - start).min(text.len());
                let span = within(place.start)..within(place.end);
                level.no_name().primary_title(title).element(
                    Snippet::source(text)
                        .line_start(line)
                        .annotation(AnnotationKind::Primary.span(span)),
                )
            }
        };
        renderer.render(&[group])
    }

    /// The file that it is in.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// The first line of what [`Problem::render`] shows: file, place and message.
    pub fn title(&self) -> String {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        // Text of a file must not steer the terminal that shows it.
        let name = self.source.name.replace(char::is_control, "\u{fffd}");
        let message = self.message.replace(char::is_control, "\u{fffd}");
        match &self.place {
            None => format!("{name}: {severity}: {message}"),
            Some(place) => {
                let line = self.source.line(place.start);
                let before = &self.source.text[self.source.start(line)..place.start];
                let column = 1 + before.chars().count();
                format!("{name}:{line}:{column}: {severity}: {message}")
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Look::Plain))
    }
}

/// Everything that is wrong with a set of rule files, errors and warnings, in the order of the
/// files. Shows itself, one problem below the other.
#[derive(Clone, Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let between = if i == 0 { "" } else { "\n\n" };
            write!(f, "{between}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Problems {
    /// The first error in one line, and how many more there are. Whoever shows it says how all are
    /// seen: where the rules stand is not known here.
    pub fn brief(&self) -> String {
        let errors = self.0.iter().filter(|problem| problem.severity == Severity::Error);
        let first = errors.clone().next().map(Problem::title).unwrap_or_default();
        match errors.map(|problem| problem.count).sum::<usize>() {
            0 | 1 => first,
            2 => format!("{first}; and 1 more error"),
            all => format!("{first}; and {} more errors", all - 1),
        }
    }
}

/// How many problems of one kind a file is shown with.
const ALIKE: usize = 20;

/// The problems of one file with the first [`ALIKE`] of each kind, and in place of the others one
/// that says how many they are. What differs only in what it quotes is of one kind.
pub(super) fn few(source: &Source, problems: Vec<Problem>) -> Vec<Problem> {
    if problems.len() <= ALIKE {
        return problems;
    }
    let mut kinds: HashMap<(Severity, String), (usize, usize)> = HashMap::new();
    let (mut shown, mut more) = (Vec::new(), Vec::<Problem>::new());
    for problem in problems {
        let kind = (problem.severity, kind(&problem.message));
        let (seen, at) = kinds.entry(kind.clone()).or_default();
        *seen += 1;
        if *seen <= ALIKE {
            shown.push(problem);
        } else if *seen == ALIKE + 1 {
            *at = more.len();
            more.push(Problem::new(kind.0, source, None, kind.1));
        } else {
            more[*at].count += 1;
        }
    }
    for rest in &mut more {
        rest.message = format!("and {} more like these: {}", rest.count, rest.message);
    }
    shown.extend(more);
    shown
}

/// A message without what it quotes and without what it advises.
fn kind(message: &str) -> String {
    let mut kind = String::new();
    for (i, part) in message.split('"').enumerate() {
        let (said, advice) = part.split_once(';').unwrap_or((part, ""));
        kind.push_str(if i % 2 == 0 { said } else { "…" });
        if i % 2 == 0 && !advice.is_empty() {
            break;
        }
    }
    kind
}

/// The first line of a span, on character boundaries: a span over many lines would hide the place.
fn within(text: &str, place: Range<usize>) -> Range<usize> {
    let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i));
    let start = boundary(place.start).unwrap_or(0);
    let end = boundary(place.end.max(start)).unwrap_or(start);
    let line = text[start..].find('\n').map_or(text.len(), |i| start + i);
    start..end.min(line).max(start)
}
