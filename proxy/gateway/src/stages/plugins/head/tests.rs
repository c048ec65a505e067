//! Heads as plugins see and change them.

use super::*;
use fireguard_fhir::interaction::{Head as Line, parse};

fn request(method: &str, target: &str, conditions: bool) -> Request {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let fhir = "application/fhir+json";
    let content_type = match (method, path) {
        (_, path) if path.ends_with("_search") => Some("application/x-www-form-urlencoded"),
        ("PATCH", _) => Some("application/json-patch+json"),
        ("POST" | "PUT", _) => Some(fhir),
        _ => None,
    };
    let some = |text| Some(text).filter(|_| conditions);
    parse(&Line {
        method,
        path,
        query,
        content_type,
        prefer: some("return=minimal, handling=strict"),
        if_match: some("W/\"3\"").filter(|_| ["PUT", "PATCH", "DELETE"].contains(&method)),
        if_none_match: some("W/\"4\"").filter(|_| method == "GET"),
        if_none_exist: some("identifier=a|b").filter(|_| method == "POST"),
        ..Line::default()
    })
    .unwrap()
}

const REQUESTS: [(&str, &str); 21] = [
    ("GET", "/metadata"),
    ("GET", "/Patient/1"),
    ("HEAD", "/Patient/1"),
    ("GET", "/Patient/1/_history/2"),
    ("GET", "/Patient/1/_history?_count=2"),
    ("GET", "/Patient/_history"),
    ("GET", "/_history"),
    ("GET", "/Patient?name=a%26b&name:exact=%C3%A4&_sort=-x&_pretty=true"),
    ("GET", "/?_type=Patient"),
    ("GET", "/Patient/1/Observation?code=x"),
    ("GET", "/Patient/1/*"),
    ("GET", "/?_getpages=abc&_getpagesoffset=20&_count=10&_bundletype=searchset"),
    ("GET", "/Patient/1/$everything?_count=1"),
    ("POST", "/Patient"),
    ("PUT", "/Patient/1"),
    ("PUT", "/Patient?identifier=x"),
    ("PATCH", "/Patient/1"),
    ("DELETE", "/Patient/1"),
    ("DELETE", "/Patient?identifier=x"),
    ("POST", "/"),
    ("POST", "/Patient/$validate"),
];

#[test]
fn what_is_not_changed_is_the_same_request() {
    for (method, target) in REQUESTS {
        for conditions in [false, true] {
            let before = request(method, target, conditions && !target.contains('$') && target != "/");
            let after = written(&before, &of(&before), false).map_err(|fault| fault.to_string());
            assert_eq!(after, Ok(before), "{method} {target}");
        }
    }
    let form =
        request("POST", "/Patient/_search?a=1", false).with_form(b"name=x+y&_format=json", false).unwrap();
    assert_eq!(written(&form, &of(&form), false).ok(), Some(form));
}

/// Every request with each of its names changed, one by one: refused, or granted and only that.
#[test]
fn what_names_something_else_is_another_request() {
    for (method, target) in REQUESTS {
        let before = request(method, target, false);
        let changes: [fn(&mut Head); 6] = [
            |head| head.resource_type = Some("Group".to_owned()),
            |head| head.id = Some("other".to_owned()),
            |head| head.version_id = Some("9".to_owned()),
            |head| head.operation = Some("$meta".to_owned()),
            |head| head.extras.iter_mut().for_each(|extra| extra.value.push('x')),
            |head| head.id = Some("1/_history/2".to_owned()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut head = of(&before);
            change(&mut head);
            if head == of(&before) {
                continue;
            }
            assert!(written(&before, &head, false).is_err(), "{method} {target}: {number}");
            if let Ok(granted) = written(&before, &head, true) {
                assert!(of(&granted) == head, "{method} {target}: {number}");
            }
        }
    }
}

#[test]
fn nobody_is_told_who_asks() {
    let names = ["prefer", "if-match", "if-none-match", "if-modified-since", "if-none-exist"];
    for (method, target) in REQUESTS {
        let head = of(&request(method, target, !target.contains('$') && target != "/"));
        assert!(head.headers.iter().all(|field| names.contains(&field.name.as_str())), "{method} {target}");
        assert!(head.parameters.iter().all(|field| field.name != "_getpages"), "{target}");
    }
}
