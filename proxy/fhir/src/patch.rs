//! JSON Patch (RFC 6902), applied to a resource. What it does not touch keeps its text.

use crate::json::{Error, Tree};

/// Why a patch cannot be applied. It never quotes the resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch or the resource is not valid JSON.
    #[error("it is not valid JSON: {0}")]
    Json(#[from] Error),
    /// The patch is no list of operations, or one of them has not the form it must have. It counts from one.
    #[error("operation {0} of the patch is not one of RFC 6902")]
    Malformed(usize),
    /// The operation of this number leads to a place that is not there, or may not be changed so.
    #[error("operation {0} of the patch leads to a place that is not there")]
    Place(usize),
    /// A `test` failed.
    #[error("the test in operation {0} of the patch fails")]
    Test(usize),
}

/// Applies a patch.
///
/// # Errors
/// The first operation that cannot be done: then nothing is.
pub fn apply(resource: &[u8], patch: &[u8]) -> Result<Vec<u8>, PatchError> {
    let mut tree = Tree::parse(resource)?;
    let Tree::Array(operations) = Tree::parse(patch)? else { return Err(PatchError::Malformed(1)) };
    for (place, operation) in operations.iter().enumerate() {
        one(&mut tree, operation, place + 1)?;
    }
    Ok(tree.to_bytes())
}

fn one(tree: &mut Tree, operation: &Tree, number: usize) -> Result<(), PatchError> {
    let malformed = || PatchError::Malformed(number);
    let absent = || PatchError::Place(number);
    let text = |name: &str| operation.get(name).and_then(Tree::as_text).ok_or_else(malformed);
    let pointer = |name: &str| tokens(&text(name)?).ok_or_else(malformed);
    let value = || operation.get("value").cloned().ok_or_else(malformed);
    let path = pointer("path")?;
    match &*text("op")? {
        "add" => add(tree, &path, value()?).ok_or_else(absent),
        "remove" => remove(tree, &path).map(|_| ()).ok_or_else(absent),
        "replace" => {
            let value = value()?;
            *at(tree, &path).ok_or_else(absent)? = value;
            Ok(())
        }
        "move" => {
            let from = pointer("from")?;
            // Nothing can be moved into itself.
            if path.len() > from.len() && path.starts_with(&from) {
                return Err(absent());
            }
            let value = remove(tree, &from).ok_or_else(absent)?;
            add(tree, &path, value).ok_or_else(absent)
        }
        "copy" => {
            let value = at(tree, &pointer("from")?).ok_or_else(absent)?.clone();
            add(tree, &path, value).ok_or_else(absent)
        }
        "test" => {
            let found = at(tree, &path).ok_or_else(absent)?;
            if same(found, &value()?) { Ok(()) } else { Err(PatchError::Test(number)) }
        }
        _ => Err(malformed()),
    }
}

/// The reference tokens of a JSON Pointer (RFC 6901).
fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    pointer.strip_prefix('/')?.split('/').map(unescaped).collect()
}

fn unescaped(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut rest = token.chars();
    while let Some(character) = rest.next() {
        out.push(match character {
            '~' => match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(out)
}

fn at<'t>(tree: &'t mut Tree, path: &[String]) -> Option<&'t mut Tree> {
    path.iter().try_fold(tree, |tree, token| match tree {
        Tree::Object(_) => tree.get_mut(token),
        Tree::Array(elements) => {
            let place = index(token, elements.len())?;
            elements.get_mut(place)
        }
        Tree::Scalar(_) => None,
    })
}

fn add(tree: &mut Tree, path: &[String], value: Tree) -> Option<()> {
    let Some((last, parents)) = path.split_last() else {
        *tree = value;
        return Some(());
    };
    match at(tree, parents)? {
        parent @ Tree::Object(_) => parent.set(last, value),
        Tree::Array(elements) if last == "-" => elements.push(value),
        Tree::Array(elements) => {
            // Behind the last is a place to add.
            let place = index(last, elements.len() + 1)?;
            elements.insert(place, value);
        }
        Tree::Scalar(_) => return None,
    }
    Some(())
}

fn remove(tree: &mut Tree, path: &[String]) -> Option<Tree> {
    // A resource is not removed by a patch.
    let (last, parents) = path.split_last()?;
    match at(tree, parents)? {
        parent @ Tree::Object(_) => parent.take(last),
        Tree::Array(elements) => {
            let place = index(last, elements.len())?;
            Some(elements.remove(place))
        }
        Tree::Scalar(_) => None,
    }
}

/// Without leading zeros or signs (RFC 6901 §4).
fn index(token: &str, length: usize) -> Option<usize> {
    let plain = token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    token.parse().ok().filter(|place| plain && *place < length)
}

/// Equal in value: numbers by what they say, members in any order (RFC 6902 §4.6).
fn same(one: &Tree, other: &Tree) -> bool {
    match (one, other) {
        (Tree::Array(one), Tree::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Tree::Object(own), Tree::Object(others)) => {
            own.len() == others.len()
                && own.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        (Tree::Scalar(raw), Tree::Scalar(others)) => {
            let texts = (one.as_text(), other.as_text());
            let number = |raw: &[u8]| std::str::from_utf8(raw).ok()?.parse::<f64>().ok();
            match texts {
                (Some(one), Some(other)) => one == other,
                (None, None) => raw == others || number(raw).is_some_and(|n| number(others) == Some(n)),
                _ => false,
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patched(resource: &str, patch: &str) -> Result<String, PatchError> {
        apply(resource.as_bytes(), patch.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn operations_do_what_rfc_6902_says() {
        for (resource, patch, expected) in [
            (r#"{"a":1.50}"#, r#"[{"op":"add","path":"/b","value":2.0}]"#, r#"{"a":1.50,"b":2.0}"#),
            (r#"{"a":1}"#, r#"[{"op":"add","path":"/a","value":2}]"#, r#"{"a":2}"#),
            (r#"{"a":[1,3]}"#, r#"[{"op":"add","path":"/a/1","value":2}]"#, r#"{"a":[1,2,3]}"#),
            (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/-","value":2}]"#, r#"{"a":[1,2]}"#),
            (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/1","value":2}]"#, r#"{"a":[1,2]}"#),
            (r#"{"a":1}"#, r#"[{"op":"add","path":"","value":{"b":2}}]"#, r#"{"b":2}"#),
            (r#"{"a":1}"#, r#"[{"op":"replace","path":"","value":{"b":2}}]"#, r#"{"b":2}"#),
            (r#"{"a":1,"b":2}"#, r#"[{"op":"remove","path":"/a"}]"#, r#"{"b":2}"#),
            (r#"{"a":[1,2]}"#, r#"[{"op":"remove","path":"/a/0"}]"#, r#"{"a":[2]}"#),
            (r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a/b","path":"/c"}]"#, r#"{"a":{},"c":1}"#),
            (
                r#"{"a":{"b":1}}"#,
                r#"[{"op":"copy","from":"/a","path":"/c"}]"#,
                r#"{"a":{"b":1},"c":{"b":1}}"#,
            ),
            (
                r#"{"a/b":1,"c~d":2}"#,
                r#"[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/c~0d"}]"#,
                "{}",
            ),
            (r#"{"a":1.0}"#, r#"[{"op":"test","path":"/a","value":1},{"op":"remove","path":"/a"}]"#, "{}"),
            (
                r#"{"a":{"b":1,"c":"x"}}"#,
                r#"[{"op":"test","path":"/a","value":{"c":"\u0078","b":1}}]"#,
                r#"{"a":{"b":1,"c":"x"}}"#,
            ),
            (r#"{"a":1}"#, "[]", r#"{"a":1}"#),
        ] {
            assert_eq!(patched(resource, patch).as_deref(), Ok(expected), "{patch}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_not() {
        use PatchError as E;
        for (resource, patch, error) in [
            ("{}", "{}", E::Malformed(1)),
            ("{}", "[1]", E::Malformed(1)),
            ("{}", r#"[{"op":"add","path":"/a"}]"#, E::Malformed(1)),
            ("{}", r#"[{"op":"add","path":"a","value":1}]"#, E::Malformed(1)),
            ("{}", r#"[{"op":"add","path":"/~2","value":1}]"#, E::Malformed(1)),
            ("{}", r#"[{"op":"grow","path":"/a","value":1}]"#, E::Malformed(1)),
            (
                r#"{"a":1}"#,
                r#"[{"op":"test","path":"/a","value":1},{"op":"move","path":"/b"}]"#,
                E::Malformed(2),
            ),
            ("{}", r#"[{"op":"remove","path":""}]"#, E::Place(1)),
            ("{}", r#"[{"op":"remove","path":"/a"}]"#, E::Place(1)),
            ("{}", r#"[{"op":"replace","path":"/a","value":1}]"#, E::Place(1)),
            ("{}", r#"[{"op":"add","path":"/a/b","value":1}]"#, E::Place(1)),
            (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/2","value":1}]"#, E::Place(1)),
            (r#"{"a":[1]}"#, r#"[{"op":"remove","path":"/a/00"}]"#, E::Place(1)),
            (r#"{"a":[1]}"#, r#"[{"op":"remove","path":"/a/-"}]"#, E::Place(1)),
            (r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a","path":"/a/b"}]"#, E::Place(1)),
            (r#"{"a":1}"#, r#"[{"op":"test","path":"/a","value":2}]"#, E::Test(1)),
            (r#"{"a":"1"}"#, r#"[{"op":"test","path":"/a","value":1}]"#, E::Test(1)),
        ] {
            assert_eq!(patched(resource, patch), Err(error), "{patch}");
        }
        assert!(matches!(patched(r#"{"a":1,"a":2}"#, "[]"), Err(PatchError::Json(_))));
        assert!(matches!(patched("{}", r#"[{"op":"add","op":"remove"}]"#), Err(PatchError::Json(_))));
    }

    proptest! {
        #[test]
        fn anything_is_applied_or_refused(patch in "[ \\[\\]{}:,\"a-z0-9/~-]{0,80}") {
            let _ = apply(br#"{"a":[1,{"b":2}]}"#, patch.as_bytes());
        }
    }
}
