//! Dates that were moved may by chance become the day on which somebody was born.

use std::collections::HashSet;

use serde_json::Value;

/// Where which dates are in the data as it was loaded.
pub(super) struct Originals(HashSet<(String, String, String)>);

impl Originals {
    /// Of these resources.
    pub(super) fn of<'a>(resources: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut dates = HashSet::new();
        for resource in resources {
            let ty = resource["resourceType"].as_str().unwrap_or_default();
            collect(resource, ty, &mut String::new(), &mut dates);
        }
        Self(dates)
    }

    /// Whether this day at this JSON Pointer of an answer can only be a date that was moved: no resource of
    /// the type has it there.
    pub(super) fn is_moved(&self, answer: &Value, pointer: &str, day: &str) -> bool {
        let holds_day =
            answer.pointer(pointer).and_then(Value::as_str).is_some_and(|text| text.starts_with(day));
        let (ty, path) = within_resource(answer, pointer);
        holds_day && !self.0.contains(&(ty.to_owned(), path, day.to_owned()))
    }
}

fn collect(value: &Value, ty: &str, path: &mut String, dates: &mut HashSet<(String, String, String)>) {
    match value {
        Value::String(text) => {
            if let Some(day) = text.get(.."2000-01-01".len()) {
                dates.insert((ty.to_owned(), path.clone(), day.to_owned()));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, ty, path, dates)),
        Value::Object(members) => {
            for (name, member) in members {
                let end = path.len();
                path.push('/');
                path.push_str(name);
                collect(member, ty, path, dates);
                path.truncate(end);
            }
        }
        _ => {}
    }
}

/// The type of the resource that a pointer leads into, and the way from there without places in lists.
fn within_resource<'a>(answer: &'a Value, pointer: &str) -> (&'a str, String) {
    let mut here = answer;
    let (mut ty, mut path) = ("", String::new());
    for step in pointer.split('/').skip(1) {
        if here["resourceType"].is_string() && (path.ends_with("/resource") || path.is_empty()) {
            (ty, path) = (here["resourceType"].as_str().unwrap_or_default(), String::new());
        }
        here = match here {
            Value::Array(items) => step.parse::<usize>().ok().and_then(|place| items.get(place)),
            Value::Object(members) => {
                path.push('/');
                path.push_str(step);
                members.get(step)
            }
            _ => None,
        }
        .unwrap_or(here);
    }
    (ty, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_days_that_are_nowhere_in_the_data_are_moved() {
        let condition = json!({"resourceType": "Condition", "onsetDateTime": "2020-01-02T03:04:05Z"});
        let originals = Originals::of([&condition]);
        for (day, moved) in [("2020-01-02", false), ("2020-01-03", true)] {
            let answer = json!({"resourceType": "Condition", "onsetDateTime": format!("{day}T03:04:05Z")});
            assert_eq!(originals.is_moved(&answer, "/onsetDateTime", day), moved);
            let page = json!({"resourceType": "Bundle", "entry": [{"resource": answer}]});
            assert_eq!(originals.is_moved(&page, "/entry/0/resource/onsetDateTime", day), moved);
            let text = json!({"resourceType": "Condition", "note": [{"text": format!("born {day}")}]});
            assert!(!originals.is_moved(&text, "/note/0/text", day), "not a date");
        }
    }
}
