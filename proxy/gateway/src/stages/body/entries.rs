//! The entries of a batch or transaction: each is judged like a request of its own (R4 http.html#transaction).
//!
//! Those of a batch are independent: what is refused is cut out and never reaches the server, and its answer is put
//! where the server's would have stood. A transaction succeeds or fails as a whole.

use std::sync::Arc;

use fireguard_access::decision::Judge;
use fireguard_fhir::ResourceType;
use fireguard_fhir::base::Base;
use fireguard_fhir::bundle::parts::{Part, Parts};
use fireguard_fhir::bundle::requests::{EntryRequest, Requests};
use fireguard_fhir::document::Syntax;
use fireguard_fhir::interaction::{BundleKind, Refusal};
use fireguard_fhir::marks::Marks;
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::references::ConditionalReferences;
use fireguard_fhir::urls::UrlRewriter;
use fireguard_traffic::rate::Class;

use super::conditions::Conditions;
use super::inspect::{not_json, reference, within};
use super::refused::RefusedEntries;
use crate::config::defaults;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::stages::access;
use crate::stages::gate::Rules;
use crate::stages::rate;
use crate::state::Route;

/// Reads the entries as they stream.
pub(super) struct Entries {
    /// None for XML, which is not cut apart: an entry that is refused refuses the whole.
    parts: Option<Parts>,
    requests: Requests,
    /// Where not everybody may search for everything.
    references: Option<ConditionalReferences>,
    /// On routes that know their callers.
    marks: Option<Marks>,
    conditions: Conditions,
    urls: UrlRewriter,
    route: Arc<Route>,
    base: Base,
    rules: Rules,
    judge: Option<Arc<dyn Judge>>,
    facts: Arc<Facts>,
    refused: RefusedEntries,
    /// So many have come.
    read: usize,
    /// So many of them go to the server.
    passed: usize,
    /// Within the list, after its first entry.
    between: bool,
    /// What separates the last entry from the next, which may be cut out.
    separator: Vec<u8>,
}

/// White space between two entries that is more is left out.
const SEPARATOR: usize = 256;
/// More refused entries than this are not told one by one.
const MOST_REFUSED: usize = 10_000;

impl Entries {
    /// Entries on this route, with what is to be done with their URLs. Those that are `refused` go there.
    pub(super) fn new(
        route: &Arc<Route>,
        base: &Base,
        rules: Rules,
        facts: &Arc<Facts>,
        urls: UrlRewriter,
        refused: RefusedEntries,
    ) -> Self {
        Self {
            // A longer entry is passed on as it comes; if it is refused, so is the whole.
            parts: Some(Parts::new(defaults::RESOURCE as usize)),
            requests: Requests::default(),
            references: route.surface.lists_parameters().then(ConditionalReferences::default),
            marks: None,
            conditions: Conditions::default(),
            urls,
            route: Arc::clone(route),
            base: base.clone(),
            rules,
            judge: None,
            facts: Arc::clone(facts),
            refused,
            read: 0,
            passed: 0,
            between: false,
            separator: Vec::new(),
        }
    }

    /// The same for a caller of whom this one decides.
    pub(super) fn judged_by(self, judge: Option<Arc<dyn Judge>>) -> Self {
        let references = self.references.or_else(|| judge.as_ref().map(|_| ConditionalReferences::default()));
        let marks = judge.as_ref().map(|_| Marks::default());
        Self { references, marks, judge, ..self }
    }

    /// The same of a Bundle of this syntax; JSON unless said.
    pub(super) fn reading(self, syntax: Syntax) -> Self {
        Self {
            parts: self.parts.filter(|_| syntax == Syntax::Json),
            requests: Requests::new(syntax),
            references: self.references.map(|_| ConditionalReferences::new(syntax)),
            marks: self.marks.map(|_| Marks::new(syntax)),
            urls: self.urls.reading(syntax),
            ..self
        }
    }

    /// Takes the next bytes, and appends what is to be sent.
    ///
    /// # Errors
    /// The whole Bundle is refused.
    pub(super) fn feed(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(parts) = &mut self.parts else { return self.feed_whole(data, out) };
        for part in parts.feed(data).map_err(not_json)? {
            let refusal = self.judge(part.bytes())?;
            match part {
                Part::Entry { bytes, whole, .. } => {
                    self.between = true;
                    let separator = std::mem::take(&mut self.separator);
                    match refusal {
                        Some(refusal) if whole => self.refuse(refusal)?,
                        Some(refusal) => return Err(self.whole(refusal)),
                        None => {
                            if self.passed > 0 {
                                self.urls.feed(&separator, out).map_err(not_json)?;
                            }
                            self.passed += 1;
                            self.facts.entry_passed();
                            self.urls.feed(&bytes, out).map_err(not_json)?;
                        }
                    }
                }
                // Something is an entry where none belongs, or is too long to be cut out.
                Part::Between(_) | Part::Rest(_) if refusal.is_some() => {
                    return Err(refusal.map_or_else(|| not_formed().into(), |refusal| self.whole(refusal)));
                }
                Part::Between(bytes) if self.between => self.separate(&bytes)?,
                Part::Between(bytes) | Part::Rest(bytes) => {
                    self.urls.feed(&bytes, out).map_err(not_json)?;
                }
                Part::End => {
                    self.between = false;
                    if !self.separator.contains(&b',') {
                        self.urls.feed(&self.separator, out).map_err(not_json)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn feed_whole(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let before = self.read;
        if let Some(refusal) = self.judge(data)? {
            return Err(self.whole(refusal));
        }
        (before..self.read).for_each(|_| self.facts.entry_passed());
        self.passed = self.read;
        self.urls.feed(data, out).map_err(not_json)
    }

    /// The Bundle is over.
    ///
    /// # Errors
    /// It is none, or refused as a whole; or each of its entries was refused, and nothing is left to be sent.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        self.requests.finish().map_err(not_json)?;
        let kind = self.requests.kind()?;
        if let Some(notes) = self.facts.audit.get() {
            notes.is(kind);
        }
        self.conditions.of_whole(kind)?;
        let batch = kind == BundleKind::Batch;
        if batch {
            self.refused.complete(self.read);
        }
        let first = self.refused.first().filter(|_| !batch || self.passed == 0);
        first.map_or(Ok(()), |refusal| Err(self.whole(refusal)))
    }

    /// Judges the entries that are complete with these bytes: one or none, if they are those of a part.
    ///
    /// # Errors
    /// It is no Bundle.
    fn judge(&mut self, bytes: &[u8]) -> Result<Option<Refusal>, Failure> {
        let mut refusal = None;
        if let Some(references) = &mut self.references {
            for found in references.feed(bytes).map_err(not_json)? {
                let judged = reference(&found, self.rules, &self.route, self.judge.as_deref());
                refusal = refusal.or(judged.err());
            }
        }
        let marked = match &mut self.marks {
            Some(marks) => marks.feed(bytes).map_err(not_json)?,
            None => false,
        };
        for entry in self.requests.feed(bytes).map_err(not_json)? {
            // Nobody can say what the server would read there.
            entry.formed().map_err(within_entry)?;
            self.read += 1;
            let judged = self.request(&entry);
            refusal = refusal.or(judged.err());
        }
        Ok(refusal.or_else(|| marked.then(access::not_whole)))
    }

    fn request(&mut self, entry: &EntryRequest) -> Result<(), Refusal> {
        let url = entry.url();
        let request = entry.parse(self.base.strip(url).unwrap_or(url));
        let class = request.as_ref().ok().map(|request| Class::of(&request.interaction));
        let charged = self.facts.entry_read(class);
        let request = request?;
        if let (Err(early), Some(class)) = (charged, class) {
            rate::refused(&self.route, class);
            self.refused.wait(early.wait);
            let message = "too many requests of this kind from this client on this route";
            return Err(Refusal::new(429, IssueCode::Throttled, message));
        }
        self.rules.judge(&self.route, &request)?;
        let writes = !request.interaction.is_safe();
        if self.judge.is_some()
            && writes
            && request.interaction.resource_type() == Some(ResourceType::Subscription)
        {
            let message = "a Subscription is written by itself, not in a Bundle";
            return Err(Refusal::new(403, IssueCode::Forbidden, message));
        }
        self.conditions.judge(&self.route.hapi, &request)
    }

    /// Cuts the entry out that was read last.
    fn refuse(&mut self, refusal: Refusal) -> Result<(), Failure> {
        if matches!(self.requests.kind(), Ok(BundleKind::Transaction)) {
            return Err(self.whole(refusal));
        }
        match self.refused.add(self.read - 1, refusal, MOST_REFUSED) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(self.whole(refusal)),
        }
    }

    /// An entry refuses the whole.
    fn whole(&self, refusal: Refusal) -> Failure {
        self.refused.waiting(within_entry(refusal).into())
    }

    fn separate(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for byte in bytes {
            match byte {
                b',' => self.separator.push(*byte),
                b' ' | b'\t' | b'\r' | b'\n' if self.separator.len() < SEPARATOR => {
                    self.separator.push(*byte);
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => return Err(not_formed().into()),
            }
        }
        Ok(())
    }
}

fn within_entry(refusal: Refusal) -> Refusal {
    within("an entry of the Bundle", refusal)
}

fn not_formed() -> Refusal {
    Refusal::new(400, IssueCode::Invalid, "something in the list of entries is no entry")
}
