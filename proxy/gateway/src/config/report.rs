//! Problems in the configuration, shown where they are.

use std::ops::Range;
use std::path::Path;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes; none if it is the whole file.
    pub span: Option<Range<usize>>,
    /// What would be right.
    pub help: Option<String>,
}

impl Problem {
    /// A problem at a place.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span: Some(span), help: None }
    }

    /// With advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Everything that is wrong with one file.
#[derive(Debug)]
pub struct Report {
    faults: Vec<Fault>,
    path: String,
}

#[derive(Debug)]
struct Fault {
    problem: Problem,
    source: NamedSource<String>,
}

impl Report {
    /// A report on the file at `path` that holds `text`.
    pub fn new(path: &Path, text: &str, problems: Vec<Problem>) -> Self {
        let path = path.display().to_string();
        let source = || NamedSource::new(&path, text.to_owned()).with_language("TOML");
        Self {
            faults: problems.into_iter().map(|problem| Fault { problem, source: source() }).collect(),
            path,
        }
    }

    /// Every problem with its line, on one line.
    pub fn one_line(&self) -> String {
        let line = |fault: &Fault| match &fault.problem.span {
            Some(span) => {
                let before = fault.source.inner().get(..span.start).unwrap_or_default();
                format!("{}:{}: {}", self.path, before.matches('\n').count() + 1, fault.problem.message)
            }
            None => format!("{}: {}", self.path, fault.problem.message),
        };
        self.faults.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    /// Every problem with the lines of the file that it is about, uncoloured.
    pub fn text(&self) -> String {
        let handler =
            GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_wrap_lines(false);
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = handler.render_report(&mut text, self);
        text
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.faults.len() == 1 { "" } else { "s" };
        write!(f, "{} has {} problem{plural}", self.path, self.faults.len())
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.faults.iter().map(|fault| fault as &dyn Diagnostic)))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Fault {}

impl Diagnostic for Fault {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.problem.span.is_some().then_some(&self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::at(span, "here"))))
    }
}
