//! Requests as a list of steps, taken on two sides and compared.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use reqwest::{Client, Method};
use serde_json::Value;

use super::normal::{ANSWER_HEADERS, Normaliser};

/// One request, and what of its answer later steps need. In target, headers and body `{me}` stands for the
/// mark of the side and `{name}` for what was kept under that name.
#[derive(Clone)]
pub(crate) struct Step {
    method: Method,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    status: u16,
    put_right: Option<u16>,
    keeps: Vec<(&'static str, Keep)>,
}

#[derive(Clone)]
enum Keep {
    Header(&'static str),
    LocationId,
    Link(&'static str),
}

impl Step {
    /// A request without a body; its answer should be 200.
    pub(crate) fn new(method: Method, target: &str) -> Self {
        let target = target.to_owned();
        Self {
            method,
            target,
            headers: Vec::new(),
            body: None,
            status: 200,
            put_right: None,
            keeps: Vec::new(),
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new(Method::GET, target)
    }

    pub(crate) fn head(target: &str) -> Self {
        Self::new(Method::HEAD, target)
    }

    pub(crate) fn delete(target: &str) -> Self {
        Self::new(Method::DELETE, target)
    }

    pub(crate) fn post(target: &str, body: &Value) -> Self {
        Self::new(Method::POST, target).json(body)
    }

    /// A create; its answer should be 201.
    pub(crate) fn create(target: &str, body: &Value) -> Self {
        Self::post(target, body).gives(201)
    }

    pub(crate) fn put(target: &str, body: &Value) -> Self {
        Self::new(Method::PUT, target).json(body)
    }

    pub(crate) fn fhirpath_patch(target: &str, body: &Value) -> Self {
        Self::new(Method::PATCH, target).json(body)
    }

    pub(crate) fn json_patch(target: &str, body: &Value) -> Self {
        Self::new(Method::PATCH, target).content("application/json-patch+json", body.to_string())
    }

    /// A search by POST.
    pub(crate) fn search(target: &str, form: &str) -> Self {
        Self::new(Method::POST, target).content("application/x-www-form-urlencoded", form)
    }

    /// With a body of this content type.
    pub(crate) fn content(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.with("Content-Type", content_type)
    }

    fn json(self, body: &Value) -> Self {
        self.content("application/fhir+json", body.to_string())
    }

    pub(crate) fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.push((header, value.to_owned()));
        self
    }

    /// The status that both sides should answer.
    pub(crate) fn gives(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The status that Fireguard answers, because HAPI's is not FHIR's; the rest is not compared.
    pub(crate) fn put_right(mut self, status: u16) -> Self {
        self.put_right = Some(status);
        self
    }

    /// Keeps a header.
    pub(crate) fn keeps_header(self, name: &'static str, header: &'static str) -> Self {
        self.keep(name, Keep::Header(header))
    }

    /// Keeps the id in `Location`.
    pub(crate) fn keeps_id(self, name: &'static str) -> Self {
        self.keep(name, Keep::LocationId)
    }

    /// Keeps the URL of the Bundle's link of this relation.
    pub(crate) fn keeps_link(self, name: &'static str, relation: &'static str) -> Self {
        self.keep(name, Keep::Link(relation))
    }

    fn keep(mut self, name: &'static str, keep: Keep) -> Self {
        self.keeps.push((name, keep));
        self
    }
}

/// One way to the server.
pub(crate) struct Side {
    base: String,
    names: BTreeMap<&'static str, String>,
    normaliser: Normaliser,
}

impl Side {
    /// `side` is one letter; with `scenario` it makes the mark `{me}`.
    pub(crate) fn new(side: &str, scenario: &str, base: &str) -> Self {
        let me = format!("zq{side}-{scenario}");
        let normaliser = Normaliser::new(base, &me);
        Self { base: base.to_owned(), names: BTreeMap::from([("me", me)]), normaliser }
    }

    fn fill(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    async fn take(&mut self, client: &Client, step: &Step) -> Answer {
        let target = self.fill(&step.target);
        let url = if target.starts_with("http") { target } else { format!("{}{target}", self.base) };
        let mut request = client.request(step.method.clone(), url).timeout(Duration::from_secs(120));
        for (name, value) in &step.headers {
            request = request.header(*name, self.fill(value));
        }
        if let Some(body) = &step.body {
            request = request.body(match std::str::from_utf8(body) {
                Ok(text) => self.fill(text).into_bytes(),
                Err(_) => body.clone(),
            });
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap().to_vec();
        let answer = Answer { status, headers, body };
        for (name, keep) in &step.keeps {
            let value = answer.find(keep).unwrap_or_else(|| panic!("no {name} in {}", answer.text()));
            self.names.insert(name, value);
        }
        answer
    }

    /// What can be compared of an answer, one thing a line.
    fn comparable(&mut self, answer: &Answer) -> String {
        let mut lines = format!("status {}\n", answer.status);
        for name in ANSWER_HEADERS {
            for value in answer.headers.get_all(name) {
                // A CapabilityStatement that is kept has a tag, and no address as a resource.
                let text = value.to_str().unwrap();
                if text.starts_with("W/\"cs-")
                    || (name == "content-location" && text.contains("/CapabilityStatement/"))
                {
                    continue;
                }
                let value = self.normaliser.header(name, text);
                lines += &format!("{name}: {value}\n");
            }
        }
        lines + &self.normaliser.body(&answer.decoded())
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn decoded(&self) -> Vec<u8> {
        if self.headers.get(CONTENT_ENCODING).is_none() || self.body.is_empty() {
            return self.body.clone();
        }
        let mut body = Vec::new();
        GzDecoder::new(self.body.as_slice()).read_to_end(&mut body).unwrap();
        body
    }

    fn text(&self) -> String {
        format!("{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.decoded()))
    }

    fn find(&self, keep: &Keep) -> Option<String> {
        let json = || serde_json::from_slice::<Value>(&self.decoded()).ok();
        let header = |name: &str| Some(self.headers.get(name)?.to_str().ok()?.to_owned());
        match keep {
            Keep::Header(name) => header(name),
            Keep::LocationId => {
                let location = header("location")?;
                let path = location.split("/_history/").next()?;
                Some(path.rsplit('/').next()?.to_owned())
            }
            Keep::Link(relation) => {
                let bundle = json()?;
                let mut links = bundle["link"].as_array()?.iter();
                Some(links.find(|link| link["relation"] == *relation)?["url"].as_str()?.to_owned())
            }
        }
    }
}

/// Takes every step on both sides; all differences are told together.
pub(crate) async fn compare(
    client: &Client,
    mut direct: Side,
    mut proxied: Side,
    hidden: &str,
    steps: &[Step],
) {
    let mut faults = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let place = format!("step {number}: {} {}", step.method, step.target);
        let straight = direct.take(client, step).await;
        let through = proxied.take(client, step).await;
        if straight.status != step.status {
            faults.push(format!("{place}: HAPI answers {}", straight.text()));
        }
        let (expected, given) = (direct.comparable(&straight), proxied.comparable(&through));
        if let Some(status) = step.put_right {
            if through.status != status {
                faults.push(format!("{place}: Fireguard answers {}", through.text()));
            }
        } else if expected != given {
            faults.push(format!("{place}: differs\n{}", difference(&expected, &given)));
        }
        if let Some(leak) = leak(&through.headers, &through.decoded(), hidden) {
            faults.push(format!("{place}: {leak}"));
        }
    }
    assert!(faults.is_empty(), "{} fault(s)\n{}", faults.len(), faults.join("\n"));
}

/// Says where an answer names the server behind Fireguard, or has a header that is not one of those that pass.
pub(crate) fn leak(headers: &HeaderMap, body: &[u8], hidden: &str) -> Option<String> {
    const OWN: [&str; 7] = [
        "cache-control",
        "content-length",
        "content-security-policy",
        "date",
        "transfer-encoding",
        "x-content-type-options",
        "x-request-id",
    ];
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if value.contains(hidden) {
            return Some(format!("the header {name} names the server: {value}"));
        }
        if !OWN.contains(&name.as_str()) && !ANSWER_HEADERS.contains(&name.as_str()) {
            return Some(format!("the header {name} should not pass: {value}"));
        }
    }
    let body = String::from_utf8_lossy(body);
    let at = body.find(hidden)?;
    let around: String = body[..at].chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect();
    Some(format!("the body names the server after {around}"))
}

/// The lines that only one side has.
pub(crate) fn difference(expected: &str, given: &str) -> String {
    let (expected, given): (Vec<_>, Vec<_>) = (expected.lines().collect(), given.lines().collect());
    let same = expected.iter().zip(&given).take_while(|(a, b)| a == b).count();
    let show = |mark: &str, lines: &[&str]| {
        lines.iter().skip(same).take(8).map(|line| format!("  {mark} {line}\n")).collect::<String>()
    };
    format!("{}{}", show("direct ", &expected), show("proxied", &given))
}
