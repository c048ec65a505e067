//! A whole JSON value as a tree that can be changed. What is not changed keeps the text of its numbers and strings and
//! the order of its members; spacing is lost.
//!
//! It is for what has to be taken apart and put together: patches, and what is merged. Everything else copies spans.

use std::borrow::Cow;

use super::lex::{Kind, Lexer};
use super::rewrite::bounded;
use super::{Error, unescape, write_string};

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Members in their order, with decoded names, each once.
    Object(Vec<(String, Tree)>),
    /// Elements.
    Array(Vec<Tree>),
    /// Text, number, boolean or null, as it is written.
    Scalar(Box<[u8]>),
}

impl Tree {
    /// Reads a whole text.
    ///
    /// # Errors
    /// It is not valid JSON, or an object has two members of one name.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        bounded(text)?;
        let mut lexer = Lexer::new(text);
        let tree = Self::read(&mut lexer)?;
        lexer.end()?;
        Ok(tree)
    }

    /// A text value.
    pub fn text(text: &str) -> Self {
        let mut raw = Vec::with_capacity(text.len() + 2);
        write_string(&mut raw, text);
        Self::Scalar(raw.into())
    }

    /// Writes it, without spaces.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Scalar(raw) => out.extend_from_slice(raw),
            Self::Array(elements) => {
                out.push(b'[');
                for (place, element) in elements.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    element.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (place, (name, value)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    write_string(out, name);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// As text.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// What a text value says.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        let Self::Scalar(raw) = self else { return None };
        unescape(raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?).ok()
    }

    /// The member of this name; none: it is no object, or has none.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Object(members) = self else { return None };
        members.iter_mut().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Puts a member in the place of the one of this name, or at the end. Nothing, if it is no object.
    pub fn set(&mut self, name: &str, value: Self) {
        match (self.get_mut(name).is_some(), self) {
            (true, own) => {
                if let Some(place) = own.get_mut(name) {
                    *place = value;
                }
            }
            (false, Self::Object(members)) => members.push((name.to_owned(), value)),
            (false, _) => {}
        }
    }

    /// Takes the member of this name out.
    pub fn take(&mut self, name: &str) -> Option<Self> {
        let Self::Object(members) = self else { return None };
        let place = members.iter().position(|(own, _)| own == name)?;
        Some(members.remove(place).1)
    }

    /// The elements of an array; none of anything else.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::Array(elements) => elements,
            Self::Object(_) | Self::Scalar(_) => &[],
        }
    }

    fn read(lexer: &mut Lexer<'_>) -> Result<Self, Error> {
        let kind = lexer.kind()?;
        match kind {
            Kind::Object => {
                let mut members = Vec::new();
                let mut more = lexer.open(kind)?;
                while more {
                    let (entry, _) = lexer.key()?;
                    let name = entry.name(lexer.text())?.into_owned();
                    members.push((name, Self::read(lexer)?));
                    more = lexer.comma(kind)?;
                }
                lexer.close(kind)?;
                Ok(Self::Object(members))
            }
            Kind::Array => {
                let mut elements = Vec::new();
                let mut more = lexer.open(kind)?;
                while more {
                    elements.push(Self::read(lexer)?);
                    more = lexer.comma(kind)?;
                }
                lexer.close(kind)?;
                Ok(Self::Array(elements))
            }
            scalar => {
                let start = lexer.at();
                lexer.scalar(scalar)?;
                Ok(Self::Scalar(lexer.text()[start..lexer.at()].into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_changed_keeps_its_text() {
        for (text, expected) in [
            (r#"{"b":1.50,"a":[1e-7,-0.0,"\u0061\n",true,null,{},[]]}"#, None),
            (" { \"a\" : [ 1 , 2 ] } ", Some(r#"{"a":[1,2]}"#)),
            ("1.50", None),
        ] {
            let tree = Tree::parse(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(tree.to_bytes()).unwrap(), expected.unwrap_or(text));
        }
        for text in ["", "{", r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, "[1,]", "1 2", "nul"] {
            assert!(Tree::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Tree::parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn members_are_set_and_taken() {
        let mut tree = Tree::parse(br#"{"a":1,"b":2}"#).unwrap();
        tree.set("a", Tree::text("x\"y"));
        tree.set("c", Tree::Array(Vec::new()));
        assert_eq!(tree.take("b").map(|b| b.to_bytes()), Some(b"2".to_vec()));
        assert_eq!(tree.take("b"), None);
        assert_eq!(tree.to_bytes(), br#"{"a":"x\"y","c":[]}"#);
        assert_eq!(tree.get("a").and_then(Tree::as_text).as_deref(), Some("x\"y"));
    }

    proptest! {
        #[test]
        fn trees_say_what_the_text_says(text in "[ \\[\\]{}:,\"a0-9.\\\\ntrue-]{0,40}") {
            let read = Tree::parse(text.as_bytes());
            prop_assert_eq!(read.is_ok(), super::super::check(text.as_bytes()).is_ok());
            if let Ok(tree) = read {
                let known: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&tree.to_bytes()).unwrap(), known);
            }
        }
    }
}
