//! `fireguard policy explain`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fireguard_access::accesses::accesses;
use fireguard_access::decision::{Access, Action, Allowed, Bound, Judge, Permission, Resource};
use fireguard_access::gate;
use fireguard_access::obliged;
use fireguard_access::policy::describe::Caller;
use fireguard_access::policy::{Decisions, schema};
use fireguard_access::resource::Found;
use fireguard_fhir::bundle::places;
use fireguard_fhir::bundle::requests::Requests;
use fireguard_fhir::interaction::{BodyKind, Interaction, Request};
use fireguard_fhir::smart::ResourceScope;

use super::load;
use super::recorded::Recorded;
use crate::cli::{Failed, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is asked for: "GET /Observation?code=x"
    request: Option<String>,
    /// The same as it was recorded, in a file: request line, headers, an empty line, the body. Its token says who asks,
    /// unless that is said otherwise; its signature is not looked at.
    #[arg(long, value_name = "FILE", conflicts_with = "request")]
    recorded: Option<PathBuf>,
    /// The path of the FHIR base in what was recorded.
    #[arg(long, value_name = "PATH", default_value = "/fhir")]
    base: String,
    /// The folder of the policies; without it, and without a folder `policies`, scopes decide alone.
    #[arg(long, value_name = "FOLDER")]
    policies: Option<PathBuf>,
    /// The system of the tags that say to which organisation a resource belongs, as in the configuration.
    #[arg(long, value_name = "SYSTEM")]
    tenant_tag: Option<String>,
    /// Who asks: a TOML file with `roles`, `scopes`, `patient`, … as in cases.
    #[arg(long, value_name = "FILE", conflicts_with = "claims")]
    caller: Option<PathBuf>,
    /// Who asks: the claims of a token, as JSON.
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// A role of the caller; may be given several times.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Its scopes: "patient/*.rs"
    #[arg(long)]
    scopes: Option<String>,
    /// The id of the patient in context.
    #[arg(long, value_name = "ID")]
    patient: Option<String>,
    /// What for; may be given several times.
    #[arg(long = "purpose", value_name = "CODE")]
    purposes: Vec<String>,
    /// A resource as it is stored that is read, found or changed, as FHIR JSON; may be given several times.
    #[arg(long = "resource", value_name = "FILE")]
    resources: Vec<PathBuf>,
}

/// Says what is decided.
pub(super) fn explain(arguments: &Arguments) -> Result<(), Failed> {
    let recorded = match (&arguments.request, &arguments.recorded) {
        (_, Some(file)) => Recorded::read(file, &arguments.base)?,
        (Some(line), None) => Recorded::described(line)?,
        (None, None) => {
            return Err(miette::miette!("say what is asked for: \"GET /Patient/1\", or --recorded FILE"));
        }
    };
    let caller = arguments.caller(&recorded)?;
    let principal = Arc::new(caller.principal().map_err(|message| miette::miette!("{message}"))?);
    let request = recorded.request()?;
    let decisions = match &arguments.policies {
        Some(folder) => Decisions::by_policies(load(folder, arguments.tenant_tag.as_ref())?),
        None if Path::new("policies").is_dir() => {
            Decisions::by_policies(load(Path::new("policies"), arguments.tenant_tag.as_ref())?)
        }
        None => Decisions::by_scopes(),
    };
    for word in caller.scopes.iter().flat_map(|scopes| scopes.split_whitespace()) {
        if let (Err(error), true) = (word.parse::<ResourceScope>(), word.contains('.')) {
            say(&format!("scope {word}: grants nothing, {error}"));
        }
    }
    let judge = decisions.judge(principal, &request);
    let plugins: Vec<_> = obliged::plugins(&*judge, &request).into_iter().collect();
    if !plugins.is_empty() {
        say(&format!("plugins that have to see what is answered: {}", plugins.join(", ")));
    }
    let stored = arguments.resources.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    if !matches!(request.interaction, Interaction::Bundle { .. }) || recorded.body.is_empty() {
        return one(&*judge, request, &stored, &recorded.body);
    }
    let mut requests = Requests::default();
    let invalid = |error: String| miette::miette!("the Bundle: {error}");
    let entries = requests.feed(&recorded.body).map_err(|error| invalid(error.to_string()))?;
    let places = places::entries(&recorded.body).map_err(|error| invalid(error.to_string()))?;
    for (number, (entry, place)) in entries.iter().zip(places).enumerate() {
        say(&format!("Entry {number}: {}", entry.url()));
        match entry.parse(entry.url()) {
            Err(refusal) => say(&format!("  {}: {}", refusal.status, refusal.message)),
            Ok(request) => {
                let body = place.resource.and_then(|resource| recorded.body.get(resource));
                one(&*judge, request, &stored, body.unwrap_or_default())?;
            }
        }
    }
    Ok(())
}

/// A resource, in a file.
struct Given(Found);

fn read(file: &Path) -> Result<Given, Failed> {
    let text = std::fs::read(file).map_err(|error| miette::miette!("{}: {error}", file.display()))?;
    Found::of(&text).map(Given).map_err(|error| miette::miette!("{}: {error}", file.display()))
}

/// One request, whole or of a Bundle, at every gate: with what is stored or found, and what is sent.
fn one(judge: &dyn Judge, mut request: Request, stored: &[Given], body: &[u8]) -> Result<(), Failed> {
    say("Gate 1, the request");
    let asked = accesses(&request).map_err(|refusal| miette::miette!("{}", refusal.message))?;
    for access in &asked.accesses {
        say(&format!("  {}: {}", words(access), said(&judge.request(access))));
    }
    for access in &asked.possible {
        say(&format!("  {}, if it comes to that: {}", words(access), said(&judge.request(access))));
    }
    let Some(shown) = admitted(judge, &mut request) else { return Ok(()) };
    let Some(action) = shown.or_else(|| asked.accesses.first().map(|access| access.action.clone())) else {
        return Ok(());
    };
    let sent =
        (!body.is_empty() && request.body == BodyKind::FhirJson).then(|| Found::of(body).ok()).flatten();
    let writes = !request.interaction.is_safe();
    if writes && !(stored.is_empty() && sent.is_none()) {
        say("Gate 2, before it is written");
        for Given(found) in stored {
            resource(judge, &action, "stored ", found);
        }
        if let Some(found) = &sent {
            resource(judge, &action, "sent ", found);
        }
    }
    if !writes && !stored.is_empty() {
        say("Gate 3, the answer");
        for Given(found) in stored {
            resource(judge, &action, "", found);
        }
    }
    Ok(())
}

fn resource(judge: &dyn Judge, action: &Action, which: &str, found: &Found) {
    let all = [(&found.outer, which)].into_iter().chain(found.within.iter().map(|r| (r, "  within it ")));
    for (resource, which) in all {
        say(&format!("  {which}{}: {}", whose(resource), said(&judge.resource(action, resource))));
    }
}

impl Arguments {
    fn caller(&self, recorded: &Recorded) -> Result<Caller, Failed> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| miette::miette!("{}: {error}", path.display()))
        };
        let mut caller = match (&self.caller, &self.claims) {
            (Some(path), _) => toml::from_str(&read(path)?)
                .map_err(|error| miette::miette!("{}: {error}", path.display()))?,
            (None, Some(path)) => {
                let wrong = |error: String| miette::miette!("{}: {error}", path.display());
                let claims = serde_json::from_str(&read(path)?).map_err(|error| wrong(error.to_string()))?;
                Caller::of_claims(&claims).map_err(wrong)?
            }
            (None, None) => match recorded.claims() {
                Some(claims) => {
                    Caller::of_claims(&claims).map_err(|error| miette::miette!("the token: {error}"))?
                }
                None => Caller::default(),
            },
        };
        caller.roles.extend(self.roles.iter().cloned());
        caller.purposes.extend(self.purposes.iter().cloned());
        caller.scopes = self.scopes.clone().or(caller.scopes);
        caller.patient = self.patient.clone().or(caller.patient);
        Ok(caller)
    }
}

/// Says what gate 1 makes of it. None: it is refused; otherwise what showing a resource is, if it is confined.
fn admitted(judge: &dyn Judge, request: &mut Request) -> Option<Option<Action>> {
    match gate::admit(judge, request) {
        Err(refused) => {
            let scope = refused.scope.map(|scope| format!(" ({scope} would be granted enough)"));
            let message = refused.refusal.message;
            say(&format!("  {}: {message}{}", refused.refusal.status, scope.unwrap_or_default()));
            None
        }
        Ok(granted) => {
            let target = request.target();
            match &granted.confinement {
                None => say("  let through: nothing has to be looked at"),
                Some(confinement) => {
                    let narrowed = confinement.narrowed.as_ref();
                    let proof = narrowed.map(|narrowed| {
                        format!("; the answer has to prove {}", narrowed.required.serialise())
                    });
                    let proof = proof.unwrap_or_default();
                    say(&format!("  confined: {} {}{proof}", target.method, target.path_and_query));
                }
            }
            Some(granted.confinement.map(|confinement| confinement.shown))
        }
    }
}

fn words(access: &Access) -> String {
    let ty = access.resource_type.map_or("any type", |ty| ty.as_str());
    let id = access.id.as_ref().map(|id| format!("/{id}")).unwrap_or_default();
    format!("{} {ty}{id}", schema::name(&access.action))
}

fn said(permission: &Permission) -> String {
    match permission {
        Permission::Denied(denied) => {
            let policies = if denied.policies.is_empty() {
                denied.scope.as_ref().map(|scope| format!(", {scope} would be enough")).unwrap_or_default()
            } else {
                format!(", by {}", denied.policies.join(", "))
            };
            format!("denied, {}{policies}", denied.message)
        }
        Permission::Allowed(allowed) => allowed_words(allowed),
    }
}

fn allowed_words(allowed: &Allowed) -> String {
    let mut out = String::from("allowed");
    let bounds: Vec<_> = allowed.bounds.iter().filter(|bound| !bound.is_all()).map(bound).collect();
    if bounds.len() == allowed.bounds.len() {
        out.push_str(&format!(" {}", bounds.join(", or ")));
    }
    if allowed.each {
        out.push_str(", each resource judged");
    }
    if !allowed.policies.is_empty() {
        out.push_str(&format!(", by {}", allowed.policies.join(", ")));
    }
    let obligations: Vec<_> = allowed.obligations.words().into_iter().collect();
    if !obligations.is_empty() {
        out.push_str(&format!("; {}", obligations.join(", ")));
    }
    out
}

fn bound(bound: &Bound) -> String {
    let patient = bound.patient.as_ref().map(|patient| format!("in the compartment of Patient/{patient}"));
    let constraint =
        (!bound.constraint.is_empty()).then(|| format!("if ?{} finds it", bound.constraint.serialise()));
    [patient, constraint].into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn whose(resource: &Resource) -> String {
    let id = resource.id.as_ref().map(|id| format!("/{id}")).unwrap_or_default();
    let patients: Vec<_> = resource.patients.iter().map(|id| id.as_str()).collect();
    let of = match (patients.is_empty(), resource.unnamed) {
        (true, false) => "of no patient".to_owned(),
        (true, true) => "of a patient whom nobody can name".to_owned(),
        (false, _) => format!("of Patient/{}", patients.join(", Patient/")),
    };
    format!("{}{id} {of}", resource.resource_type)
}
