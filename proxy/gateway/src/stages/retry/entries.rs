//! The entries of a batch or transaction, read again from what was kept of it.

use fireguard_fhir::base::Base;
use fireguard_fhir::bundle::requests::Requests;
use fireguard_traffic::body::Body;
use fireguard_traffic::retry::matrix::Kind;
use http_body_util::BodyExt;

use crate::exchange::NotKept;

/// The row of each entry of a Bundle that was sent, in the table of what may be sent again.
///
/// # Errors
/// It is not what the stage `body` lets through.
pub(super) async fn entries(base: &Base, mut body: Body) -> Result<Vec<Kind>, NotKept> {
    let mut requests = Requests::default();
    let mut rows = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|_| NotKept)?.into_data().unwrap_or_default();
        for entry in requests.feed(&data).map_err(|_| NotKept)? {
            let url = entry.url();
            let request = entry.parse(base.strip(url).unwrap_or(url)).map_err(|_| NotKept)?;
            rows.push(Kind::of(&request));
        }
    }
    requests.finish().map_err(|_| NotKept)?;
    Ok(rows)
}
