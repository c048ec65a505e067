//! One pass over one resource: asks the matcher at each property and does what it says.

use std::borrow::Cow;
use std::ops::Range;

use fireguard_sdk::fhir::r4::ResourceType;
use fireguard_sdk::json::{self, Appender, Key, Kind, Rewrite, Slot, Step, Value, Visitor, write_string};

use crate::labels::Labels;
use crate::matcher::{Action, Leaf, Matcher, Place, RuleId, StateId, Target, TargetId, Tells};
use crate::methods::date::{Day, FhirDate};
use crate::methods::reference::Reference;
use crate::methods::{is_over_89, sampled_data, zip_code};
use crate::patient::Patient;
use crate::pseudonyms::{TOKEN_LENGTH, Wanted};

/// What walking needs besides the resources, and what it finds out about them.
pub(crate) struct Walk<'e> {
    matcher: &'e mut Matcher,
    today: Day,
    pub(crate) wanted: Wanted,
    pub(crate) holes: Holes,
    /// The resources around the place, innermost last.
    frames: Vec<Frame>,
    /// The patients of the resource and of those inside it, in the order in which they begin.
    patients: Vec<Patient>,
}

/// Where the host's answers go, in the replacements of all resources.
#[derive(Debug, Default)]
pub(crate) struct Holes {
    /// Where which token goes.
    pub(crate) tokens: Vec<(usize, u32)>,
    /// Where which day goes, moved by which patient's offset.
    pub(crate) days: Vec<(usize, i32, u32)>,
}

/// A changed resource that still lacks the host's answers.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) rewrite: Rewrite,
    /// Its part of [`Holes`].
    pub(crate) tokens: Range<usize>,
    pub(crate) days: Range<usize>,
}

impl<'e> Walk<'e> {
    pub(crate) fn new(matcher: &'e mut Matcher, today: Day) -> Self {
        Self {
            matcher,
            today,
            wanted: Wanted::default(),
            holes: Holes::default(),
            frames: Vec::new(),
            patients: Vec::new(),
        }
    }

    /// Walks a resource.
    ///
    /// Whether dates can move is known only when the references to the patient were met, which may stand
    /// after the dates. So the first pass takes it that they can; should that prove wrong, a second one
    /// knows better.
    pub(crate) fn resource(&mut self, text: &[u8], ty: ResourceType) -> Result<Walked, json::Error> {
        let (tokens, days) = (self.holes.tokens.len(), self.holes.days.len());
        let mut rewrite = self.pass(text, ty, None)?;
        if !self.assign_days(days) {
            self.holes.tokens.truncate(tokens);
            self.holes.days.truncate(days);
            let known = std::mem::take(&mut self.patients);
            rewrite = self.pass(text, ty, Some(&known))?;
            self.assign_days(days);
        }
        Ok(Walked { rewrite, tokens: tokens..self.holes.tokens.len(), days: days..self.holes.days.len() })
    }

    fn pass(
        &mut self,
        text: &[u8],
        ty: ResourceType,
        known: Option<&[Patient]>,
    ) -> Result<Rewrite, json::Error> {
        self.frames.clear();
        self.frames.push(Frame::default());
        self.patients.clear();
        self.patients.push(Patient::default());
        let state = self.matcher.start(ty);
        json::rewrite(text, At::Object { state, start: 0 }, &mut Pass { walk: self, text, known })
    }

    /// Turns the days' places among the patients of the resource into the patients' numbers. False: one has
    /// no one patient.
    fn assign_days(&mut self, from: usize) -> bool {
        self.holes.days[from..].iter_mut().all(|(_, _, owner)| match self.patients[*owner as usize] {
            Patient::One(patient) => {
                *owner = patient;
                true
            }
            _ => false,
        })
    }
}

struct Pass<'p, 'e> {
    walk: &'p mut Walk<'e>,
    text: &'p [u8],
    /// What an earlier pass found out about the patients.
    known: Option<&'p [Patient]>,
}

/// A resource that the pass is in.
#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    /// What was done to it.
    labels: Labels,
    /// Those among its security labels.
    present: Labels,
    /// The end of its `meta.security` and of its `meta`.
    security: Option<Slot>,
    meta: Option<Slot>,
    /// It gets no labels of its own: it is part of the resource outside, or that one's rule covers it.
    unlabelled: bool,
    /// It is part of the resource outside, so its dates are those of that one's patient.
    contained: bool,
    /// Which of the pass's patients is its.
    owner: u32,
}

/// Where the pass is.
#[derive(Clone, Copy)]
enum At {
    Object {
        state: StateId,
        /// Where its text starts.
        start: u32,
    },
    Array {
        target: TargetId,
        /// A value that goes leaves null, because `_name` beside it counts the places too.
        blank: bool,
    },
}

impl Visitor for Pass<'_, '_> {
    type State = At;

    fn member(&mut self, within: At, key: &Key<'_>, value: &Value<'_>, out: &mut Vec<u8>) -> Step<At> {
        let At::Object { state, start } = within else { return self.gone(false) };
        let Some(id) = self.walk.matcher.step(state, key) else { return self.gone(false) };
        let target = self.walk.matcher.target(id);
        if !target.many {
            return self.value(&target, value, out, None);
        }
        if value.kind() != Kind::Array {
            return self.gone(false);
        }
        let depends_on_value = matches!(
            target.action,
            Action::Leaf(Leaf::KeepListed(_) | Leaf::Year | Leaf::Age | Leaf::ZipCode | Leaf::Shift { .. })
        );
        let blank = depends_on_value
            && json::member(&self.text[start as usize..], &format!("_{}", key.name())).is_some();
        Step::Enter(At::Array { target: id, blank })
    }

    fn element(&mut self, within: At, _: usize, value: &Value<'_>, out: &mut Vec<u8>) -> Step<At> {
        let At::Array { target, blank } = within else { return self.gone(false) };
        let target = self.walk.matcher.target(target);
        self.value(&target, value, out, Some(blank))
    }

    fn leave(&mut self, within: At, end: Slot, append: &mut Appender<'_>) {
        let matcher = &self.walk.matcher;
        match within {
            At::Object { state, .. } => match matcher.place(state) {
                Place::Resource => self.leave_resource(end, append),
                Place::Meta if !end.is_empty() => self.frame().meta = Some(end),
                _ => {}
            },
            At::Array { target, .. } => {
                if let Action::Object(state) = matcher.target(target).action
                    && matcher.place(state) == Place::Security
                    && !end.is_empty()
                {
                    self.frame().security = Some(end);
                }
            }
        }
    }
}

impl Pass<'_, '_> {
    /// Decides about a property's value, or about one element of it: then `in_array` says whether a value
    /// that goes leaves null.
    fn value(
        &mut self,
        target: &Target,
        value: &Value<'_>,
        out: &mut Vec<u8>,
        in_array: Option<bool>,
    ) -> Step<At> {
        let Target { action, kind, .. } = *target;
        let blank = in_array.unwrap_or(false);
        if value.kind() == Kind::Null && in_array.is_some() {
            return match action {
                Action::Leaf(Leaf::Keep) => Step::Keep,
                Action::Leaf(Leaf::Drop) | Action::Object(_) | Action::Nested { .. } => Step::Drop,
                _ => Step::Blank,
            };
        }
        if value.kind() != kind {
            return self.gone(blank || matches!(action, Action::Sibling(_)) && in_array.is_some());
        }
        let start = (self.text.len() - value.raw().len()) as u32;
        match action {
            Action::TypeName => Step::Keep,
            Action::Object(state) => Step::Enter(At::Object { state, start }),
            Action::Sibling(state) if in_array.is_some() => Step::EnterOrBlank(At::Object { state, start }),
            Action::Sibling(state) => Step::Enter(At::Object { state, start }),
            Action::Nested { rule, contained } => self.nested(rule, contained, value, start),
            Action::Leaf(leaf) => {
                if target.tells != Tells::Nothing {
                    self.meet_patient(target.tells, value);
                }
                self.leaf(leaf, value, out, blank)
            }
        }
    }

    fn meet_patient(&mut self, tells: Tells, value: &Value<'_>) {
        let Frame { contained, owner, .. } = *self.frame();
        if contained {
            return;
        }
        let text = value.string().unwrap_or_default();
        let patients = &mut self.walk.wanted.patients;
        let patient = &mut self.walk.patients[owner as usize];
        match tells {
            Tells::OwnId => patient.meet_own_id(&text, patients),
            _ => patient.meet(&text, &Reference::parse(&text), patients),
        }
    }

    fn nested(&mut self, rule: Option<RuleId>, contained: bool, value: &Value<'_>, start: u32) -> Step<At> {
        let name = value.member("resourceType").and_then(|name| name.string());
        let Some(ty) = name.and_then(|name| ResourceType::parse(&name)) else { return self.gone(false) };
        let (state, covered) = self.walk.matcher.nested(ty, rule);
        let owner = if contained {
            self.frame().owner
        } else {
            self.walk.patients.push(Patient::default());
            (self.walk.patients.len() - 1) as u32
        };
        self.walk.frames.push(Frame {
            unlabelled: contained || covered,
            contained,
            owner,
            ..Frame::default()
        });
        Step::Enter(At::Object { state, start })
    }

    fn leave_resource(&mut self, end: Slot, append: &mut Appender<'_>) {
        let Some(frame) = self.walk.frames.pop() else { return };
        if let Some(outer) = self.walk.frames.last_mut() {
            outer.labels.add(frame.labels);
        }
        let labels = frame.labels.without(frame.present);
        if labels.is_empty() || frame.unlabelled {
            return;
        }
        let (slot, before, after): (_, &[u8], &[u8]) = match (frame.security, frame.meta) {
            (Some(security), _) => (security, b"", b""),
            (None, Some(meta)) => (meta, br#""security":["#, b"]"),
            (None, None) => (end, br#""meta":{"security":["#, b"]}"),
        };
        append.append(slot, |out| {
            out.extend_from_slice(before);
            labels.write(out);
            out.extend_from_slice(after);
        });
    }

    fn leaf(&mut self, leaf: Leaf, value: &Value<'_>, out: &mut Vec<u8>, blank: bool) -> Step<At> {
        match leaf {
            Leaf::Keep => Step::Keep,
            Leaf::KeepLabel => {
                let label = value.string().map(|code| Labels::of_code(&code)).unwrap_or_default();
                self.frame().present.add(label);
                Step::Keep
            }
            Leaf::KeepListed(rule) => {
                let only = &self.walk.matcher.rules().list[rule as usize].only;
                let listed = value.string().is_some_and(|text| only.iter().any(|one| one.fits(&text)));
                if listed { Step::Keep } else { self.gone(blank) }
            }
            Leaf::KeepNumbers if value.string().is_some_and(|text| sampled_data::is_valid(&text)) => {
                Step::Keep
            }
            Leaf::Drop | Leaf::KeepNumbers => self.gone(blank),
            Leaf::Year => self.year(value, out, blank),
            Leaf::Age if is_over_89(value.raw()) => self.gone(blank),
            Leaf::Age => Step::Keep,
            Leaf::ZipCode => {
                let code = value.string().unwrap_or_default();
                let areas = &self.walk.matcher.rules().parameters.restricted_zip_areas;
                let general = zip_code::generalise(&code, areas);
                if general == code {
                    return Step::Keep;
                }
                write_string(out, &general);
                self.done(Labels::ABSTRACTED)
            }
            Leaf::Hash => {
                let text = match value.kind() {
                    Kind::String => value.string().unwrap_or_default(),
                    // As the original's language writes them.
                    Kind::Boolean if value.raw() == b"true" => Cow::Borrowed("True"),
                    Kind::Boolean => Cow::Borrowed("False"),
                    _ => String::from_utf8_lossy(value.raw()),
                };
                self.hash("", &text, "", out)
            }
            Leaf::HashReference => {
                let text = value.string().unwrap_or_default();
                let Reference { before, id, after, .. } = Reference::parse(&text);
                self.hash(before, id, after, out)
            }
            Leaf::Shift { year } => self.shift(year, value, out, blank),
        }
    }

    /// Writes a string with room for the token, which is known only when the host was asked.
    fn hash(&mut self, before: &str, id: &str, after: &str, out: &mut Vec<u8>) -> Step<At> {
        if id.is_empty() {
            return Step::Keep;
        }
        out.push(b'"');
        json::write_escaped(out, before);
        self.walk.holes.tokens.push((out.len(), self.walk.wanted.tokens.number(id)));
        out.resize(out.len() + TOKEN_LENGTH, b'0');
        json::write_escaped(out, after);
        out.push(b'"');
        self.done(Labels::HASHED)
    }

    /// Writes a date with room for its day, which is known only when the host was asked.
    fn shift(&mut self, year: bool, value: &Value<'_>, out: &mut Vec<u8>, blank: bool) -> Step<At> {
        let text = value.string().unwrap_or_default();
        let owner = self.frame().owner;
        let has_patient =
            self.known.is_none_or(|known| matches!(known.get(owner as usize), Some(Patient::One(_))));
        match FhirDate::parse(&text) {
            Some(date) if has_patient && date.is_movable(self.walk.today) => {
                out.push(b'"');
                self.walk.holes.days.push((out.len(), date.day_number(), owner));
                date.write_moved(out);
                out.push(b'"');
                self.done(Labels::PERTURBED)
            }
            _ if year => self.year(value, out, blank),
            _ => self.gone(blank),
        }
    }

    fn year(&mut self, value: &Value<'_>, out: &mut Vec<u8>, blank: bool) -> Step<At> {
        let text = value.string().unwrap_or_default();
        match FhirDate::parse(&text).and_then(|date| date.year(self.walk.today)) {
            Some(year) if year == text => Step::Keep,
            Some(year) => {
                write_string(out, &year);
                self.done(Labels::REDACTED)
            }
            None => self.gone(blank),
        }
    }

    fn done(&mut self, label: Labels) -> Step<At> {
        self.frame().labels.add(label);
        Step::Replace
    }

    fn gone(&mut self, blank: bool) -> Step<At> {
        self.frame().labels.add(Labels::REDACTED);
        if blank { Step::Blank } else { Step::Drop }
    }

    fn frame(&mut self) -> &mut Frame {
        if self.walk.frames.is_empty() {
            self.walk.frames.push(Frame::default());
        }
        let last = self.walk.frames.len() - 1;
        &mut self.walk.frames[last]
    }
}
