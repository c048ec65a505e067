//! What an attack is.

/// One request, with `{x}`, `{X}` where it names somebody's data.
#[derive(Debug, Clone)]
pub(crate) struct Attack {
    /// Its group in the catalogue, from 1.
    pub(crate) group: u8,
    pub(crate) method: &'static str,
    /// Path and query below the base.
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<(&'static str, String)>,
    pub(crate) oracle: Oracle,
    /// Why HAPI shows nothing either.
    pub(crate) inert: Option<&'static str>,
    /// Texts that the caller may know, because they stand in what is theirs.
    pub(crate) knows: Vec<&'static str>,
    /// Claims of the token that differ; `Err`: the token itself.
    pub(crate) token: Token,
    /// Not in forms other than its own.
    pub(crate) plain: bool,
    /// It is a Bundle, and would change something.
    changes: bool,
}

/// How a leak shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oracle {
    /// The answer is another than that about nobody; or something of the other's is in it.
    Twin,
    /// Something of the other's is in the answer.
    Marker,
    /// It must be refused, whoever is named.
    Refused,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// Patient A, who may do everything with what is theirs.
    Usual,
    /// With other claims; `null` takes one away.
    Claims(serde_json::Value),
    /// What is no good token.
    Forged(Forgery),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgery {
    None,
    Unsigned,
    KeyConfusion,
    OtherKey,
    UnknownKey,
    Rubbish,
}

/// A read, or whatever else a GET is.
pub(crate) fn get(group: u8, target: &str) -> Attack {
    Attack {
        group,
        method: "GET",
        target: target.to_owned(),
        headers: Vec::new(),
        body: None,
        oracle: Oracle::Twin,
        inert: None,
        knows: Vec::new(),
        token: Token::Usual,
        plain: false,
        changes: false,
    }
}

/// A write with this body, which is FHIR JSON.
pub(crate) fn write(group: u8, method: &'static str, target: &str, body: &str) -> Attack {
    let body = (!body.is_empty()).then(|| ("application/fhir+json", body.to_owned()));
    Attack { method, body, ..get(group, target) }
}

impl Attack {
    /// The other's data would be seen, but the twin differs for a reason that is no leak.
    pub(crate) fn marker(self) -> Self {
        Self { oracle: Oracle::Marker, ..self }
    }

    /// What is said of the other is what is said of nobody.
    pub(crate) fn twin(self) -> Self {
        Self { oracle: Oracle::Twin, ..self }
    }

    /// A Bundle that does not only ask.
    pub(crate) fn changing(self) -> Self {
        Self { changes: true, ..self }
    }

    /// Nobody with this token may do it, whoever is named.
    pub(crate) fn refused(self) -> Self {
        Self { oracle: Oracle::Refused, ..self }
    }

    /// This HAPI does not do it.
    pub(crate) fn inert(self, why: &'static str) -> Self {
        Self { inert: Some(why), ..self }
    }

    /// The caller may know this, which stands in what is theirs.
    pub(crate) fn knows(mut self, text: &'static str) -> Self {
        self.knows.push(text);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn content(self, kind: &'static str, body: &str) -> Self {
        Self { body: Some((kind, body.to_owned())), ..self }
    }

    pub(crate) fn claims(self, claims: serde_json::Value) -> Self {
        Self { token: Token::Claims(claims), ..self }
    }

    pub(crate) fn forged(self, forgery: Forgery) -> Self {
        Self { token: Token::Forged(forgery), ..self }.plain()
    }

    /// Only as it stands.
    pub(crate) fn plain(self) -> Self {
        Self { plain: true, ..self }
    }

    /// What it is called in the table.
    pub(crate) fn name(&self) -> String {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| format!(" [{name}: {value}]")).collect();
        let body = self.body.as_ref().map(|(_, body)| {
            let short: String = body.chars().take(160).collect();
            format!(" {short}")
        });
        let token = match &self.token {
            Token::Usual => String::new(),
            Token::Claims(claims) => format!(" as {claims}"),
            Token::Forged(forgery) => format!(" with {forgery:?}"),
        };
        format!("{} /{}{}{}{token}", self.method, self.target, headers.concat(), body.unwrap_or_default())
    }

    /// Whether it is a search: its parameters may come in a form.
    pub(crate) fn is_search(&self) -> bool {
        let path = self.target.split('?').next().unwrap_or_default();
        let segments = path.split('/').count();
        self.method == "GET" && self.target.contains('?') && !path.contains('$') && segments == 1
    }
}

impl Attack {
    /// Whether it only asks, although it is no GET.
    pub(crate) fn is_question(&self) -> bool {
        let entry = self.target.is_empty() && self.method == "POST" && !self.changes;
        entry || self.target.contains("_search") || self.target.contains("$graphql")
    }
}

impl Attack {
    /// By POST, as it stands.
    pub(crate) fn post(self) -> Self {
        Self { method: "POST", ..self }.plain()
    }
}
