//! The forms in which one request can come.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::attack::Attack;
use crate::data::Who;
use crate::oracle::Seen;

/// How a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// As it stands.
    Plain,
    Head,
    Post,
    Batch,
    Transaction,
    Pages,
    Xml,
    Gzip,
}

impl Form {
    pub(crate) const ALL: [Self; 8] = [
        Self::Plain,
        Self::Head,
        Self::Post,
        Self::Batch,
        Self::Transaction,
        Self::Pages,
        Self::Xml,
        Self::Gzip,
    ];

    /// Whether an attack can come so.
    pub(crate) fn fits(self, attack: &Attack) -> bool {
        let get = attack.method == "GET";
        let json = attack.body.as_ref().is_none_or(|(kind, _)| *kind == "application/fhir+json");
        match self {
            Self::Plain => true,
            _ if attack.plain => false,
            Self::Head | Self::Xml | Self::Gzip => get && attack.headers.is_empty(),
            Self::Batch | Self::Transaction => {
                json && attack.headers.iter().all(|(name, _)| *name == "If-None-Exist")
            }
            Self::Post => attack.is_search(),
            Self::Pages => attack.is_search() && !attack.target.contains("_count"),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}

/// A request below a base.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Call {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: None }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, kind: &str, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self.header("Content-Type", kind)
    }

    /// All that it says.
    pub(crate) fn text(&self) -> String {
        let decoded = percent_encoding::percent_decode_str(&self.target).decode_utf8_lossy();
        format!("{} {decoded} {:?} {}", self.target, self.headers, self.body.as_deref().unwrap_or_default())
    }
}

/// One way to the server.
pub(crate) struct Side {
    base: String,
    token: Option<String>,
    client: Client,
}

impl Side {
    pub(crate) fn new(base: &str, token: Option<String>) -> Self {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { base: base.to_owned(), token: token.filter(|token| !token.is_empty()), client }
    }

    /// The request of an attack in a form.
    pub(crate) fn call(&self, attack: &Attack, who: Who, form: Form) -> Call {
        let fill = |text: &str| who.fill(text).replace("{base}", &self.base);
        let target = fill(&attack.target);
        let mut call = Call::new(attack.method, &target);
        match form {
            Form::Plain | Form::Pages => {}
            Form::Head => "HEAD".clone_into(&mut call.method),
            Form::Xml => call = call.header("Accept", "application/fhir+xml"),
            Form::Gzip => call = call.header("Accept-Encoding", "gzip"),
            Form::Post => {
                let (path, query) = target.split_once('?').unwrap_or((&target, ""));
                let path = if path.is_empty() { "_search".to_owned() } else { format!("{path}/_search") };
                let form = encoded(query);
                return Call::new("POST", &path).body("application/x-www-form-urlencoded", &form);
            }
            Form::Batch | Form::Transaction => {
                let mut entry = json!({"request": {"method": attack.method, "url": encoded(&target)}});
                for (_, value) in &attack.headers {
                    entry["request"]["ifNoneExist"] = fill(value).into();
                }
                if let Some((_, body)) = &attack.body {
                    match serde_json::from_str::<Value>(&fill(body)) {
                        Ok(body) => entry["resource"] = body,
                        Err(_) => return call,
                    }
                }
                let kind = form.to_string();
                let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
                return Call::new("POST", "").body("application/fhir+json", &bundle.to_string());
            }
        }
        if form == Form::Pages {
            call.target.push_str("&_count=1");
        }
        for (name, value) in &attack.headers {
            call = call.header(name, &fill(value));
        }
        if let Some((kind, body)) = &attack.body {
            call = call.body(kind, &fill(body));
        }
        call
    }

    /// Sends it, and follows to further pages where that is what the form is about.
    pub(crate) async fn take(&self, call: &Call, form: Form) -> Seen {
        let mut seen = self.send(call).await;
        if form != Form::Pages {
            return seen;
        }
        let mut text = seen.text.clone();
        for _ in 0..5 {
            let body = text.split_once("\n\n").map_or("", |(_, body)| body);
            let Some(next) = next(body) else { break };
            let Some(below) = next.strip_prefix(&self.base) else { break };
            let page = self.send(&Call::new("GET", below.trim_start_matches('/'))).await;
            seen.text.push_str(&page.text);
            text = page.text;
        }
        seen
    }

    /// Sends it once.
    pub(crate) async fn send(&self, call: &Call) -> Seen {
        let method: Method = call.method.parse().unwrap();
        let slash = if call.target.starts_with('?') || call.target.is_empty() { "" } else { "/" };
        let url = format!("{}{slash}{}", self.base, call.target);
        let mut request = self.client.request(method, url).timeout(Duration::from_secs(120));
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if !call.headers.iter().any(|(name, _)| name == "Accept") {
            request = request.header("Accept", "application/fhir+json");
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap().to_vec();
        let body = plain(&headers, body);
        let text = format!("{}\n\n{}", told(&headers), String::from_utf8_lossy(&body));
        Seen { status, text }
    }
}

/// The link to the next page.
fn next(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let link = body["link"].as_array()?.iter().find(|link| link["relation"] == "next")?;
    Some(link["url"].as_str()?.to_owned())
}

/// The headers, without those that are of the moment.
fn told(headers: &HeaderMap) -> String {
    // How a body is framed depends on the pieces in which it came.
    const MOMENT: [&str; 8] = [
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "transfer-encoding",
        "x-cache",
        "x-fireguard-attempts",
        "x-request-id",
    ];
    let kept = headers.iter().filter(|(name, _)| !MOMENT.contains(&name.as_str()));
    let mut lines: Vec<_> =
        kept.map(|(name, value)| format!("{name}: {}", told_of(name.as_str(), value.as_bytes()))).collect();
    lines.sort();
    lines.join("\n")
}

/// That of a search is the moment.
fn told_of(name: &str, value: &[u8]) -> String {
    if name == "last-modified" { "#".to_owned() } else { String::from_utf8_lossy(value).into_owned() }
}

fn plain(headers: &HeaderMap, body: Vec<u8>) -> Vec<u8> {
    if headers.get(CONTENT_ENCODING).is_none_or(|coding| coding != "gzip") || body.is_empty() {
        return body;
    }
    let mut plain = Vec::new();
    GzDecoder::new(body.as_slice()).read_to_end(&mut plain).unwrap();
    plain
}

/// As a browser sends it: what is no character of a URL is encoded.
fn encoded(target: &str) -> String {
    target.replace(' ', "%20").replace('|', "%7C").replace('"', "%22")
}
