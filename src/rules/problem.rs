//! What is wrong with a rule file, shown as compilers do: place, message, the line and a caret.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// One file's name, as people should see it, and its text.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub name: Arc<str>,
    pub text: Arc<str>,
}

/// An error keeps the rules from loading, a warning does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        Self { severity, message: message.into(), source: source.clone(), place }
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
            Some(place) => level.no_name().primary_title(title).element(
                Snippet::source(&*self.source.text)
                    .annotation(AnnotationKind::Primary.span(place.clone())),
            ),
        };
        renderer.render(&[group])
    }

    fn title(&self) -> String {
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
                let before = &self.source.text[..place.start];
                let line = 1 + before.matches('\n').count();
                let column = 1 + before.chars().rev().take_while(|c| *c != '\n').count();
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

/// The first line of a span, on character boundaries: a span over many lines would hide the place.
fn within(text: &str, place: Range<usize>) -> Range<usize> {
    let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i));
    let start = boundary(place.start).unwrap_or(0);
    let end = boundary(place.end.max(start)).unwrap_or(start);
    let line = text[start..].find('\n').map_or(text.len(), |i| start + i);
    start..end.min(line).max(start)
}
