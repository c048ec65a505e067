//! A folder of policies, read and checked as a whole.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode, Validator};
use miette::Diagnostic;

use super::obligations::{self, Obliged};
use super::schema;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, below the folder of policies.
    pub file: String,
    /// Line and column, from 1; none: the file as a whole.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// Policies that are well-formed and speak of what there is.
pub(super) struct Loaded {
    /// By their `@id`.
    pub(super) policies: BTreeMap<Arc<str>, (Policy, Obliged)>,
}

/// Annotations that mean something.
const ANNOTATIONS: [&str; 3] = ["id", "obligation", "description"];

/// Reads a folder: every `*.cedar` in it. A `fhir.cedarschema` beside them must be ours.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn folder(folder: &Path) -> Result<Loaded, Vec<Fault>> {
    let whole = |message: String, help: &str| {
        let help = (!help.is_empty()).then(|| help.to_owned());
        vec![Fault { file: String::new(), place: None, message, help }]
    };
    let entries =
        std::fs::read_dir(folder).map_err(|error| whole(format!("cannot read the folder: {error}"), ""))?;
    let mut texts = Vec::new();
    let mut faults = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| whole(format!("cannot read the folder: {error}"), ""))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if !matches!(kind, Some("cedar" | "cedarschema")) {
            continue;
        }
        match std::fs::read_to_string(&path) {
            Err(error) => faults.push(Fault::whole(name, format!("cannot be read: {error}"))),
            Ok(text) if kind == Some("cedar") => texts.push((name, text)),
            Ok(text) if text.lines().eq(schema::TEXT.lines()) => {}
            Ok(_) => {
                let message = "this is not the schema of this version of Fireguard".to_owned();
                let help = "write it anew: fireguard policy schema > fhir.cedarschema".to_owned();
                faults.push(Fault { help: Some(help), ..Fault::whole(name, message) });
            }
        }
    }
    texts.sort();
    if texts.is_empty() && faults.is_empty() {
        return Err(whole(
            "there is no policy in it: nothing would be permitted".into(),
            "write one: NAME.cedar",
        ));
    }
    match self::texts(texts) {
        Ok(loaded) if faults.is_empty() => Ok(loaded),
        Ok(_) => Err(faults),
        Err(more) => Err(faults.into_iter().chain(more).collect()),
    }
}

/// The same of texts, by the names of their files.
pub(super) fn texts(texts: Vec<(String, String)>) -> Result<Loaded, Vec<Fault>> {
    let mut loader = Loader { faults: Vec::new(), policies: BTreeMap::new(), files: BTreeMap::new() };
    for (file, text) in texts {
        loader.file(&Source { file, text });
    }
    loader.validate();
    if loader.faults.is_empty() { Ok(Loaded { policies: loader.policies }) } else { Err(loader.faults) }
}

struct Source {
    file: String,
    text: String,
}

struct Loader {
    faults: Vec<Fault>,
    policies: BTreeMap<Arc<str>, (Policy, Obliged)>,
    /// Where each policy is.
    files: BTreeMap<Arc<str>, (Arc<Source>, usize)>,
}

impl Loader {
    fn file(&mut self, source: &Source) {
        let set = match source.text.parse::<PolicySet>() {
            Ok(set) => set,
            Err(errors) => {
                self.faults.extend(errors.iter().map(|error| source.fault(error)));
                return;
            }
        };
        if let Some(template) = set.templates().next() {
            let at = source.find(&template.to_cedar(), 0);
            self.faults.push(source.at(at, "a policy has no slots such as ?principal: name what is meant"));
        }
        let source = Arc::new(Source { file: source.file.clone(), text: source.text.clone() });
        // The parser numbers them as they come.
        let number = |policy: &&Policy| -> Option<usize> {
            policy.id().to_string().trim_start_matches(|c: char| !c.is_ascii_digit()).parse().ok()
        };
        let mut policies: Vec<_> = set.policies().collect();
        policies.sort_by_key(number);
        let mut from = 0;
        for policy in policies {
            let snippet = policy.to_cedar().unwrap_or_default();
            let at = source.find(&snippet, from);
            from = at + snippet.len();
            self.policy(&source, at, policy);
        }
    }

    fn policy(&mut self, source: &Arc<Source>, at: usize, policy: &Policy) {
        let mut fault = |message: String| self.faults.push(source.at(at, message));
        for (name, _) in policy.annotations().filter(|(name, _)| !ANNOTATIONS.contains(name)) {
            fault(format!("the annotation @{name} is not known: write @id, @obligation or @description"));
        }
        let id = policy.annotation("id").unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if id.is_empty() || !id.bytes().all(plain) {
            fault("a policy needs a name: @id(\"…\") of letters, digits, `-`, `_` and `.`".into());
            return;
        }
        let obliged = match policy.annotation("obligation").map(obligations::parse) {
            None => Obliged::default(),
            Some(Ok(obliged)) => obliged,
            Some(Err(error)) => {
                fault(error.to_string());
                return;
            }
        };
        if policy.effect() == Effect::Forbid && policy.annotation("obligation").is_some() {
            fault("a forbid has no obligations: nothing is given that they could be asked for".into());
            return;
        }
        if let Some((other, first)) = self.files.get(id) {
            let (line, _) = other.line(*first);
            let message = format!("there is another policy @id({id:?}): {}:{line}", other.file);
            self.faults.push(source.at(at, message));
            return;
        }
        let id: Arc<str> = id.into();
        self.files.insert(Arc::clone(&id), (Arc::clone(source), at));
        self.policies.insert(Arc::clone(&id), (policy.new_id(PolicyId::new(&*id)), obliged));
    }

    fn validate(&mut self) {
        let schema = match schema::schema() {
            Ok(schema) => schema.clone(),
            Err(error) => return self.faults.push(Fault::whole(String::new(), error)),
        };
        let policies = self.policies.values().map(|(policy, _)| policy.clone());
        let set = match PolicySet::from_policies(policies) {
            Ok(set) => set,
            Err(error) => return self.faults.push(Fault::whole(String::new(), error.to_string())),
        };
        let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let errors = result.validation_errors().map(|e| (e.policy_id(), e as &dyn Diagnostic));
        // What is warned of is a policy that never holds, or one that reads otherwise than it is. An error has such warnings
        // in its train.
        let warnings = result.validation_warnings().map(|w| (w.policy_id(), w as &dyn Diagnostic));
        let warnings = warnings.filter(|_| result.validation_passed());
        for (id, error) in errors.chain(warnings) {
            let id: &str = id.as_ref();
            let fault = match self.files.get(id) {
                Some((source, at)) => {
                    let fault = source.fault(error);
                    let (line, column) = source.line(*at);
                    Fault { place: fault.place.or(Some((line, column))), ..fault }
                }
                None => Fault::whole(String::new(), error.to_string()),
            };
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
    }
}

impl Source {
    fn fault<E: Diagnostic + ?Sized>(&self, error: &E) -> Fault {
        let at = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
        let message = error.to_string().replace(['\n', '\r'], " ");
        let help = error.help().map(|help| help.to_string());
        let place = at.map(|at| self.line(at));
        let near = at.and_then(|at| self.misspelt(at));
        // Of names that there is a list of, the list itself is long.
        let help = near.or(help).filter(|help| help.len() < 300);
        Fault { file: self.file.clone(), place, message, help }
    }

    fn at(&self, at: usize, message: impl Into<String>) -> Fault {
        Fault { file: self.file.clone(), place: Some(self.line(at)), message: message.into(), help: None }
    }

    /// A resource type that is not quite named here.
    fn misspelt(&self, at: usize) -> Option<String> {
        let (_, rest) = self.text.get(at..)?.lines().next()?.split_once("Type::\"")?;
        let (name, _) = rest.split_once('"')?;
        if fireguard_fhir::ResourceType::parse(name).is_some() {
            return None;
        }
        let names = fireguard_fhir::ResourceType::ALL.into_iter().map(|ty| ty.as_str());
        let nearest =
            names.max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)))?;
        Some(format!("did you mean `Type::\"{nearest}\"`?"))
    }

    fn find(&self, snippet: &str, from: usize) -> usize {
        self.text.get(from..).and_then(|rest| rest.find(snippet)).map_or(from, |at| from + at)
    }

    /// Line and column, from 1.
    fn line(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        (before.matches('\n').count() + 1, column + 1)
    }
}

impl Fault {
    fn whole(file: String, message: String) -> Self {
        Self { file, place: None, message, help: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
            if let Some((line, column)) = self.place {
                write!(f, ":{line}:{column}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        match texts(vec![("a.cedar".into(), text.into())]) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn slips_are_found_with_their_place() {
        let policy = |rest: &str| format!("@id(\"a\")\npermit({rest};\n");
        for (text, place, says) in [
            (policy("principal, action, resource)"), "", ""),
            ("permit(principal, action, resource);".into(), "a.cedar:1:1", "needs a name"),
            ("@id(\"a b\") permit(principal, action, resource);".into(), "a.cedar:1:1", "needs a name"),
            (policy("principal, action == Action::\"raed\", resource)"), "a.cedar:2:29", "read"),
            (policy("principal, action, resource in Type::\"Observaton\")"), "a.cedar:2:39", "Observation"),
            (
                policy("principal, action, resource) when { resource.patient == \"x\" }"),
                "a.cedar:2:44",
                "patients",
            ),
            (
                policy("principal, action, resource) when { principal.patient == \"x\" }"),
                "a.cedar:2:44",
                "optional",
            ),
            (policy("principal, action, resource) when { resource.labels == \"x\" }"), "a.cedar:2:44", ""),
            (policy("principal in Rolle::\"a\", action, resource)"), "a.cedar:2:21", "Role"),
            (
                policy("principal, action, resource) when { context.interaction == Interaction::\"serch\" }"),
                "a.cedar:2:67",
                "",
            ),
            (policy("principal, action, resource) when { false }"), "a.cedar:1:1", "impossible"),
            (policy("principal, action, resource) wen { true }"), "a.cedar:2:37", ""),
            (policy("?principal, action, resource)"), "a.cedar:2:8", ""),
            (policy("principal == ?principal, action, resource)"), "a.cedar:1:1", "slots"),
            (
                "@id(\"a\") @obligations(\"audit:entry\") permit(principal, action, resource);".into(),
                "a.cedar:1:1",
                "@obligations",
            ),
            (
                "\n\n@id(\"a\") @obligation(\"audit:all\")\npermit(principal, action, resource);".into(),
                "a.cedar:3:1",
                "audit:all",
            ),
            (
                "@id(\"a\") @obligation(\"audit:entry\") forbid(principal, action, resource);".into(),
                "a.cedar:1:1",
                "forbid",
            ),
            (policy("principal, action, resource)").repeat(2), "a.cedar:3:1", "a.cedar:1"),
        ] {
            let faults = faults(&text);
            assert_eq!(faults.is_empty(), place.is_empty(), "{text}: {faults:?}");
            let found = faults.iter().any(|fault| fault.starts_with(place) && fault.contains(says));
            assert!(found || place.is_empty(), "{text}: {faults:#?}");
        }
    }
}
