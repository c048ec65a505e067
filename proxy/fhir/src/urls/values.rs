//! URLs inside of search values, and those inside of queries.

use crate::parameters::Parameters;

/// A query or the query of a URL in which `change` has replaced parts of values: it gets the parameter's name and
/// each part between commas. `None`: there was nothing to change. Other parameters keep their bytes.
pub(super) fn in_query(url: &str, change: impl Fn(&str, &str) -> Option<String>) -> Option<String> {
    let (before, query) = url.split_at(url.find('?')? + 1);
    Some(format!("{before}{}", of_query(query, change)?))
}

/// The same for what is a query from its beginning.
pub(super) fn of_query(query: &str, change: impl Fn(&str, &str) -> Option<String>) -> Option<String> {
    let mut changed = false;
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| {
            let other = may_hold_url(pair).then(|| pair_changed(pair, &change)).flatten();
            changed |= other.is_some();
            other.unwrap_or_else(|| pair.to_owned())
        })
        .collect();
    changed.then(|| pairs.join("&"))
}

/// The value with the parts between its commas replaced.
pub(super) fn in_value(value: &str, change: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut changed = false;
    let parts: Vec<String> = parts(value)
        .map(|part| {
            let other = change(part);
            changed |= other.is_some();
            other.unwrap_or_else(|| part.to_owned())
        })
        .collect();
    changed.then(|| parts.join(","))
}

/// A cheap look: `://`, as it is or encoded.
fn may_hold_url(pair: &str) -> bool {
    pair.contains("//") || pair.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f"))
}

fn pair_changed(pair: &str, change: &impl Fn(&str, &str) -> Option<String>) -> Option<String> {
    let parsed = Parameters::parse(pair.as_bytes()).ok()?;
    let (name, value) = parsed.iter().next()?;
    let mut other = Parameters::default();
    other.push(name, in_value(value, |part| change(name, part))?);
    Some(other.serialise())
}

/// The parts between commas; one behind a backslash is a part's own.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    value.split(move |c| {
        let ends = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
}
