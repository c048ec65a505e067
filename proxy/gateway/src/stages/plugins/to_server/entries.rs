//! The entries of a batch or transaction. Those of a batch are independent: one that is refused is cut out, and its
//! answer is put where the server's would have stood. A transaction is refused as a whole.

use std::mem::take;
use std::sync::Arc;

use fireguard_fhir::bundle::places::{self, Change, EntryPlace};
use fireguard_fhir::bundle::requests::Requests;
use fireguard_fhir::interaction::{BundleKind, Interaction, Refusal};
use fireguard_fhir::outcome::IssueCode;
use fireguard_plugin_host::Direction;
use http::StatusCode;

use super::super::chain::{self, Chain, Fate, Part};
use super::super::judge::{Judge, Refused};
use super::{no_patch, patch_unseen, whole, written_back};
use crate::config::defaults;
use crate::exchange::{Ready, Upload};
use crate::failure::Failure;
use crate::stage::{Answer, Next};
use crate::stages::body::refused::RefusedEntries;

/// Takes a batch or transaction through the plugins, and on.
pub(super) async fn through<N: Next<Ready>>(judge: Judge, mut ready: Ready, mut next: N) -> Answer {
    let limit = usize::try_from(ready.route.request_body).unwrap_or(usize::MAX);
    let body = whole(&mut ready.body, limit).await?;
    let (kind, entries) = read(&ready, &body)?;
    Arc::make_mut(&mut ready.request).interaction = Interaction::Bundle { kind: Some(kind) };
    let code = ready.request.interaction.code();
    let mut run = Run {
        chain: Chain::to_server(&ready, code, judge),
        batch: Vec::new(),
        bytes: 0,
        fates: entries.iter().map(|_| Fate::Kept).collect(),
    };
    let answers = chain::want(ready.plugins(), &ready.request.interaction, Direction::ToClient);
    for (place, entry) in entries.iter().enumerate() {
        let judged = entry.judge(&ready, answers, judge.limit);
        match (judged, &entry.place.resource) {
            (Err(refusal), _) => run.fates[place] = Fate::Refused(Refused::unasked(refusal)),
            (Ok(()), Some(resource)) => {
                let part = Part { content: body.slice(resource.clone()), code: Some(entry.code) };
                run.take(place, part).await?;
            }
            (Ok(()), None) => {}
        }
    }
    run.flush().await?;
    let refused = RefusedEntries::new(!ready.request.prefer.respond_async);
    let mut first = None;
    let mut passed = 0;
    for (place, fate) in run.fates.iter_mut().enumerate() {
        match take_refused(fate) {
            None => passed += 1,
            Some(own) if kind == BundleKind::Transaction => return Err(of_whole(own)),
            Some(own) => {
                if first.is_none() {
                    first = Some(of_whole(own.clone()));
                }
                if refused.add_with(place, own.refusal.clone(), own.outcome.clone()).is_err() {
                    return Err(of_whole(own));
                }
            }
        }
    }
    refused.complete(entries.len());
    let (format, id) = (ready.request.format, ready.id.clone());
    let answer = match first {
        Some(first) if passed == 0 => Err(first),
        _ => {
            let changes = entries.iter().zip(&run.fates).map(|(entry, fate)| (&entry.place, change(fate)));
            ready.body = Upload::whole(places::rebuild(&body, changes).into());
            ready.facts.entries_are(passed);
            next.call(ready).await
        }
    };
    refused.within(answer, format, id.as_str()).await
}

/// One entry, with what it asks for.
struct Entry {
    place: EntryPlace,
    interaction: Interaction,
    code: &'static str,
}

/// Takes the Bundle apart. It has passed the gate: its entries are such that can be asked for.
fn read(ready: &Ready, body: &[u8]) -> Result<(BundleKind, Vec<Entry>), Failure> {
    let invalid = |error: String| Failure::client(StatusCode::BAD_REQUEST, IssueCode::Structure, error);
    let places = places::entries(body).map_err(|error| invalid(error.to_string()))?;
    let mut requests = Requests::default();
    let entries = requests.feed(body).map_err(|error| invalid(error.to_string()))?;
    requests.finish().map_err(|error| invalid(error.to_string()))?;
    let kind = requests.kind()?;
    if entries.len() != places.len() {
        let message = "something in the list of entries is no entry".to_owned();
        return Err(invalid(message));
    }
    let mut read = Vec::with_capacity(places.len());
    for (place, entry) in places.into_iter().zip(entries) {
        let request = entry.parse(ready.face.base.strip(entry.url()).unwrap_or(entry.url()))?;
        let code = request.interaction.code();
        read.push(Entry { place, interaction: request.interaction, code });
    }
    Ok((kind, read))
}

impl Entry {
    /// `answers`: plugins see what is answered, and there is no place for Bundles in Bundles.
    fn judge(&self, ready: &Ready, answers: bool, limit: usize) -> Result<(), Refusal> {
        if patch_unseen(ready, &self.interaction) {
            return Err(no_patch());
        }
        if !self.interaction.is_safe() {
            written_back(ready)?;
        }
        let plain = matches!(self.code, "read" | "vread" | "create" | "update" | "delete");
        if answers && !plain {
            let message = "plugins of this route see what is answered: searches, histories and operations are asked \
                           for by themselves, not in a Bundle";
            return Err(Refusal::new(400, IssueCode::NotSupported, message));
        }
        if self.place.resource.as_ref().is_some_and(|resource| resource.len() > limit) {
            let message = "a resource is over the limit for what plugins see";
            return Err(Refusal::new(413, IssueCode::TooLong, message));
        }
        Ok(())
    }
}

/// The plugins at work, so many bytes at a time.
struct Run {
    chain: Chain,
    batch: Vec<(usize, Part)>,
    bytes: usize,
    /// Of every entry.
    fates: Vec<Fate>,
}

impl Run {
    async fn take(&mut self, place: usize, part: Part) -> Result<(), Failure> {
        self.bytes += part.content.len();
        self.batch.push((place, part));
        if self.bytes >= defaults::PLUGIN_BATCH { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let (places, parts): (Vec<_>, Vec<_>) = take(&mut self.batch).into_iter().unzip();
        self.bytes = 0;
        for (place, fate) in places.into_iter().zip(self.chain.run(&parts).await?) {
            self.fates[place] = fate;
        }
        Ok(())
    }
}

fn change(fate: &Fate) -> Change<'_> {
    match fate {
        Fate::Kept => Change::Keep,
        Fate::Changed(bytes) => Change::Resource(bytes),
        Fate::Dropped | Fate::Refused(_) => Change::Cut,
    }
}

fn take_refused(fate: &Fate) -> Option<Refused> {
    match fate {
        Fate::Refused(refused) => Some(refused.clone()),
        Fate::Kept | Fate::Changed(_) | Fate::Dropped => None,
    }
}

/// An entry refuses the whole.
fn of_whole(mut refused: Refused) -> Failure {
    refused.refusal.message = format!("an entry of the Bundle is refused: {}", refused.refusal.message);
    refused.failure()
}
