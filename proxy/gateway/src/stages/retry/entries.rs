//! The entries of a batch or transaction, read again from what was kept of it.

use fireguard_fhir::base::Base;
use fireguard_fhir::bundle::parts::{Part, Parts};
use fireguard_fhir::bundle::requests::Requests;
use fireguard_fhir::interaction::BundleKind;
use fireguard_traffic::body::Body;
use fireguard_traffic::retry::matrix::Kind;
use http_body_util::BodyExt;

use crate::config::defaults;
use crate::exchange::NotKept;

/// What a Bundle asks for, entry by entry.
pub(in crate::stages) struct Entries {
    /// Batch or transaction.
    pub(in crate::stages) kind: BundleKind,
    /// The row of each in the table of what may be sent again.
    pub(in crate::stages) rows: Vec<Kind>,
    /// The entries that were to be picked out, as they were written.
    pub(in crate::stages) picked: Vec<Vec<u8>>,
}

/// Reads the entries of a Bundle that was sent to the server behind `base`, and picks out those at these places,
/// which ascend.
///
/// # Errors
/// It is not what the stage `body` lets through, or an entry to pick out is too long.
pub(in crate::stages) async fn entries(
    base: &Base,
    mut body: Body,
    pick: &[usize],
) -> Result<Entries, NotKept> {
    let mut requests = Requests::default();
    let mut parts = Parts::new(defaults::RESOURCE as usize);
    let (mut rows, mut picked, mut place) = (Vec::new(), Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|_| NotKept)?.into_data().unwrap_or_default();
        for entry in requests.feed(&data).map_err(|_| NotKept)? {
            let url = entry.url();
            let request = entry.parse(base.strip(url).unwrap_or(url)).map_err(|_| NotKept)?;
            rows.push(Kind::of(&request));
        }
        if picked.len() == pick.len() {
            continue;
        }
        for part in parts.feed(&data).map_err(|_| NotKept)? {
            let Part::Entry { bytes, whole, .. } = part else { continue };
            if pick.get(picked.len()) == Some(&place) {
                picked.push(whole.then_some(bytes).ok_or(NotKept)?);
            }
            place += 1;
        }
    }
    requests.finish().map_err(|_| NotKept)?;
    if picked.len() < pick.len() {
        return Err(NotKept);
    }
    Ok(Entries { kind: requests.kind().map_err(|_| NotKept)?, rows, picked })
}
