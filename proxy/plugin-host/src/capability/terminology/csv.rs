//! A map as a table: CSV (RFC 4180) in UTF-8, with a header.

use csv::{ErrorKind, Reader, StringRecord};

use super::MapFault;
use super::table::{Builder, Row, Table};

/// The header, word for word. `display` may be empty; an empty `equivalence` is `equivalent`.
pub(super) const HEADER: [&str; 6] =
    ["system", "code", "target_system", "target_code", "display", "equivalence"];

/// Reads a map.
///
/// # Errors
/// The first line that is wrong.
pub(super) fn read(bytes: &[u8]) -> Result<Table, MapFault> {
    // Excel begins its files with a byte order mark.
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader = Reader::from_reader(bytes);
    let header = reader.headers().map_err(malformed)?;
    if header != &StringRecord::from(&HEADER[..]) {
        return Err(MapFault::at_line(1, format!("the header is to be {}", HEADER.join(","))));
    }
    let mut builder = Builder::default();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(malformed)? {
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |message: String| MapFault::at_line(line, message);
        let column = |index: usize| record.get(index).unwrap_or_default();
        let equivalence = if column(5).is_empty() { "equivalent" } else { column(5) };
        let row = Row {
            system: column(0),
            code: column(1),
            target_system: column(2),
            target_code: column(3),
            display: column(4),
            equivalence,
        };
        let nothing = matches!(equivalence, "unmatched" | "disjoint");
        for (index, name) in HEADER.iter().enumerate().take(4) {
            if column(index).is_empty() && !(nothing && index >= 2) {
                return Err(wrong(format!("{name} is empty")));
            }
        }
        builder.row(row).map_err(|fault| wrong(fault.to_string()))?;
    }
    Ok(builder.finish())
}

fn malformed(error: csv::Error) -> MapFault {
    let line = error.position().map_or(0, csv::Position::line);
    let message = match error.kind() {
        ErrorKind::Utf8 { .. } => "it is not UTF-8".to_owned(),
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("there are {len} columns, and {expected_len} in the header")
        }
        _ => "it is no CSV".to_owned(),
    };
    MapFault::at_line(line, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "system,code,target_system,target_code,display,equivalence\n";

    #[test]
    fn a_table_is_read() {
        let text = format!(
            "\u{feff}{HEAD}local,A,http://loinc.org,1-1,\"Glucose, \"\"fasting\"\"\",equal\r\nlocal,B,http://loinc.org,2-2,,\n\
             local,C,,,,unmatched\n"
        );
        let table = read(text.as_bytes()).unwrap();
        let found =
            |code| table.find("local", code).map(|t| t.map(|t| (t.code, t.display, t.equivalence)).collect());
        assert_eq!(found("A"), Some(vec![("1-1", Some("Glucose, \"fasting\""), "equal")]));
        assert_eq!(found("B"), Some(vec![("2-2", None, "equivalent")]));
        assert_eq!(found("C"), Some(vec![]));
    }

    #[test]
    fn faults_have_a_line() {
        let cases = [
            ("".to_owned(), 1, "the header is to be system,code,"),
            ("code,system\n".to_owned(), 1, "the header is to be system,code,"),
            (format!("{HEAD}a,b,c,d,e,equal\na,b\n"), 3, "there are 2 columns, and 6 in the header"),
            (format!("{HEAD}a,,c,d,e,equal\n"), 2, "code is empty"),
            (format!("{HEAD}a,b,c,,e,\n"), 2, "target_code is empty"),
            (format!("{HEAD}a,b,c,d,\"two\nlines\",\na,b,c,d,,same\n"), 4, "this equivalence is none of"),
        ];
        for (text, line, message) in cases {
            let fault = read(text.as_bytes()).unwrap_err();
            assert_eq!(fault.line, line, "{text}");
            assert!(fault.message.starts_with(message), "{fault:?}");
        }
        let latin = [HEAD.as_bytes(), b"a,b,c,d,\xe4,equal\n"].concat();
        assert_eq!(read(&latin).unwrap_err(), MapFault::at_line(2, "it is not UTF-8".to_owned()));
    }

    proptest! {
        #[test]
        fn anything_may_be_read(bytes: Vec<u8>, rest in ".{0,60}") {
            let _ = read(&bytes);
            let _ = read(format!("{HEAD}{rest}").as_bytes());
        }

        #[test]
        fn what_is_written_comes_back(codes in proptest::collection::vec("[^\u{0}]{1,12}", 1..8)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(HEADER).unwrap();
            for code in &codes {
                writer.write_record(["s", code, "t", code, code, "equal"]).unwrap();
            }
            let table = read(&writer.into_inner().unwrap()).unwrap();
            for code in &codes {
                let target = table.find("s", code).unwrap().next().unwrap();
                prop_assert_eq!((target.code, target.display), (&**code, Some(&**code)));
            }
        }
    }
}
