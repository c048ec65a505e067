//! The rows of one map, compact: all texts stand in one, and rows know their places in it.

use std::collections::HashMap;

/// Equivalences of <http://hl7.org/fhir/R4/valueset-concept-map-equivalence.html> that say what a code is translated to.
const EQUIVALENCES: [&str; 8] =
    ["relatedto", "equivalent", "equal", "wider", "subsumes", "narrower", "specializes", "inexact"];
/// Those that say that it is translated to nothing.
const NOTHING: [&str; 2] = ["unmatched", "disjoint"];

/// One translation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) system: &'a str,
    pub(super) code: &'a str,
    pub(super) target_system: &'a str,
    pub(super) target_code: &'a str,
    /// Empty: none.
    pub(super) display: &'a str,
    pub(super) equivalence: &'a str,
}

/// What a code is translated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) system: &'a str,
    pub(super) code: &'a str,
    pub(super) display: Option<&'a str>,
    pub(super) equivalence: &'static str,
}

/// What a table does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RowFault {
    /// It is none of FHIR R4's.
    #[error("this equivalence is none of http://hl7.org/fhir/R4/valueset-concept-map-equivalence.html")]
    Equivalence,
    /// Places are counted in 32 bits.
    #[error("the map is over 4 GiB")]
    TooLarge,
}

/// Rows by system and code.
#[derive(Debug, Default)]
pub(super) struct Table {
    text: Box<str>,
    systems: Vec<Box<str>>,
    rows: Box<[Packed]>,
}

/// Collects rows.
#[derive(Default)]
pub(super) struct Builder {
    text: String,
    systems: Vec<Box<str>>,
    by_name: HashMap<Box<str>, u32>,
    rows: Vec<Packed>,
}

/// A row of 36 bytes.
#[derive(Debug, Clone, Copy)]
struct Packed {
    code: Text,
    target: Text,
    display: Text,
    system: u32,
    target_system: u32,
    /// An index of [`EQUIVALENCES`]; none: the code is translated to nothing.
    equivalence: Option<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Text {
    start: u32,
    length: u32,
}

impl Builder {
    /// One row more.
    pub(super) fn row(&mut self, row: Row<'_>) -> Result<(), RowFault> {
        let equivalence = match EQUIVALENCES.iter().position(|known| *known == row.equivalence) {
            Some(index) => u8::try_from(index).ok(),
            None if NOTHING.contains(&row.equivalence) => None,
            None => return Err(RowFault::Equivalence),
        };
        let code = self.text(row.code)?;
        // A code often stays what it is, in another system.
        let target = if row.target_code == row.code { code } else { self.text(row.target_code)? };
        let display = self.text(row.display)?;
        let (system, target_system) = (self.system(row.system)?, self.system(row.target_system)?);
        self.rows.push(Packed { code, target, display, system, target_system, equivalence });
        Ok(())
    }

    /// All rows, made ready for questions.
    pub(super) fn finish(self) -> Table {
        let Builder { mut text, systems, mut rows, by_name: _ } = self;
        text.shrink_to_fit();
        // Stable: the matches of one code stay in the order of the map.
        rows.sort_by(|a, b| (a.system, a.code.of(&text)).cmp(&(b.system, b.code.of(&text))));
        Table { text: text.into(), systems, rows: rows.into() }
    }

    fn text(&mut self, text: &str) -> Result<Text, RowFault> {
        let number = |length: usize| u32::try_from(length).map_err(|_| RowFault::TooLarge);
        let place = Text { start: number(self.text.len())?, length: number(text.len())? };
        self.text.push_str(text);
        Ok(place)
    }

    fn system(&mut self, name: &str) -> Result<u32, RowFault> {
        if let Some(known) = self.by_name.get(name) {
            return Ok(*known);
        }
        let number = u32::try_from(self.systems.len()).map_err(|_| RowFault::TooLarge)?;
        self.systems.push(name.into());
        self.by_name.insert(name.into(), number);
        Ok(number)
    }
}

impl Table {
    /// What the code is translated to; none: the table does not know it.
    pub(super) fn find<'a>(
        &'a self,
        system: &str,
        code: &str,
    ) -> Option<impl Iterator<Item = Target<'a>> + use<'a>> {
        let system = self.systems.iter().position(|known| **known == *system)?;
        let system = u32::try_from(system).ok()?;
        let at = |row: &Packed| (row.system, row.code.of(&self.text)).cmp(&(system, code));
        let begin = self.rows.partition_point(|row| at(row).is_lt());
        let length = self.rows.get(begin..)?.partition_point(|row| at(row).is_eq());
        let rows = self.rows.get(begin..begin + length).filter(|rows| !rows.is_empty())?;
        Some(rows.iter().filter_map(|row| self.target(row)))
    }

    fn target(&self, row: &Packed) -> Option<Target<'_>> {
        let display = row.display.of(&self.text);
        Some(Target {
            system: self.systems.get(row.target_system as usize)?,
            code: row.target.of(&self.text),
            display: (!display.is_empty()).then_some(display),
            equivalence: EQUIVALENCES.get(usize::from(row.equivalence?))?,
        })
    }
}

impl Text {
    fn of(self, text: &str) -> &str {
        // What is in a row was put into the text before it.
        text.get(self.start as usize..(self.start as usize + self.length as usize)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(system: &'a str, code: &'a str, target_code: &'a str, equivalence: &'a str) -> Row<'a> {
        Row { system, code, target_system: "t", target_code, display: "", equivalence }
    }

    #[test]
    fn codes_are_found_in_their_system_and_in_order() {
        let mut builder = Builder::default();
        for added in [
            row("b", "2", "z", "equal"),
            row("a", "1", "y", "wider"),
            Row { display: "Shown", ..row("b", "1", "w", "equivalent") },
            row("a", "1", "x", "narrower"),
            row("a", "3", "", "unmatched"),
            row("a", "12", "12", "equal"),
        ] {
            builder.row(added).unwrap();
        }
        assert_eq!(builder.row(row("a", "1", "q", "same")), Err(RowFault::Equivalence));
        let table = builder.finish();
        let found = |system, code| {
            let targets = table.find(system, code)?;
            Some(targets.map(|t| (t.code, t.display, t.equivalence)).collect::<Vec<_>>())
        };
        assert_eq!(found("a", "1"), Some(vec![("y", None, "wider"), ("x", None, "narrower")]));
        assert_eq!(found("b", "1"), Some(vec![("w", Some("Shown"), "equivalent")]));
        assert_eq!(found("a", "12"), Some(vec![("12", None, "equal")]));
        assert_eq!(found("a", "3"), Some(vec![]), "known, and translated to nothing");
        for (system, code) in [("a", "2"), ("a", ""), ("b", "12"), ("c", "1"), ("t", "y"), ("", "1")] {
            assert_eq!(found(system, code), None, "{system} {code}");
        }
        assert_eq!(Table::default().find("a", "1").map(Iterator::count), None);
    }

    #[test]
    fn half_a_million_rows_take_tens_of_bytes_each() {
        assert!(size_of::<Packed>() <= 36);
        let mut builder = Builder::default();
        for n in 0..500_000u32 {
            let (code, target) = (format!("L{n:06}"), format!("{:08}", u64::from(n) * 7));
            builder.row(row("http://loinc.org", &code, &target, "equivalent")).unwrap();
        }
        let table = builder.finish();
        let bytes = table.text.len() + size_of_val(&*table.rows);
        assert!(bytes < 500_000 * 52, "{bytes}");
        let found = table.find("http://loinc.org", "L123456").unwrap().next().unwrap();
        assert_eq!(found.code, format!("{:08}", 123_456 * 7));
    }
}
