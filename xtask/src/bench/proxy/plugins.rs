//! Plugins in the gateway: loading one anew under load, and what they cost where they are not asked.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fireguard_test_support::repository;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::compare::{get, round, search};
use super::fireguard::{Extras, Fireguard};
use super::process::{Front, folder, free_address};
use crate::bench::load::{Clients, Load, Responder};
use crate::bench::payload;
use crate::bench::row::{Goal, Row};
use crate::error::Error;
use crate::progress::Progress;

const CLIENTS: usize = 16;
/// Requests a second while a plugin is loaded: a third of what two cores can do that also ask and answer.
const RATE: f64 = 1000.0;
const RELOADS: u8 = 7;
const ROUNDS: usize = 11;
/// What a reload may take until something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures all of it, with the gateway at `binary`.
///
/// # Errors
/// It does not start, or answers wrongly.
pub(super) async fn measure(binary: PathBuf, progress: &Progress) -> Result<Vec<Row>, Error> {
    let fireguard = Fireguard::at(binary)?;
    let body = payload::searchset(false, "http://elsewhere.example/fhir");
    let responder = Responder::start(|_| body.clone()).await?;
    progress.step("reloads under load");
    super::pin("0-1023")?;
    let mut rows = reloads(&fireguard, responder.address).await?;
    progress.step("routes without plugins");
    super::pin("1")?;
    rows.push(elsewhere(&fireguard, responder.address, &body).await?);
    Ok(rows)
}

/// How long a plugin of a megabyte takes to be compiled and served in the place of another, while its route is asked.
async fn reloads(fireguard: &Fireguard, upstream: SocketAddr) -> Result<Vec<Row>, Error> {
    let component = folder()?.join("large.wasm");
    write_version(&component, 0)?;
    let admin = free_address()?;
    let front = Front { workers: 2, cores: "0-1023", ..Front::plain(upstream) };
    let proxy = fireguard
        .start(&front, Extras { component: Some(&component), admin: Some(admin), ..Extras::default() })?;
    let load = Load {
        requests: [get(proxy.target.address, "/large/Observation?code=x")].into(),
        expected: None,
        rate: Some(RATE),
        ..search(&proxy.target, CLIENTS, Vec::new())
    };
    Clients::first(&load).await?;
    let clients = Clients::start(&load);
    let mut seconds = Vec::new();
    let mut asked = (0, 0);
    for version in 1..=RELOADS {
        write_version(&component, version)?;
        let began = Instant::now();
        let reloaded = tokio::time::timeout(PATIENCE, reload(admin)).await;
        reloaded.map_err(|_| Error::Usage("a reload takes more than a minute".to_owned()))??;
        seconds.push(began.elapsed().as_secs_f64());
        // What came meanwhile, and what comes to the new one.
        let round = clients.during(Duration::from_millis(500)).await?;
        asked = (asked.0 + round.answered, asked.1 + round.refused);
    }
    clients.finish().await?;
    if asked.0 == 0 {
        return Err(Error::Usage("nobody asked while a plugin was loaded".to_owned()));
    }
    Ok(vec![
        Row::alone("reload of a plugin of 1 MB under load, compiled, s", seconds, Some(Goal::AtMost(1.0))),
        Row::alone("requests that failed meanwhile", vec![asked.1 as f64], Some(Goal::AtMost(0.0))),
    ])
}

/// What a request costs on a route without plugins where another route has one, beside a gateway that knows none. Each
/// round has processes of its own: two of the same program differ by where their memory lies.
async fn elsewhere(fireguard: &Fireguard, upstream: SocketAddr, body: &[u8]) -> Result<Row, Error> {
    let front = Front::plain(upstream);
    let cost = async |plugin| {
        let proxy = fireguard.start(&front, Extras { plugin, ..Extras::default() })?;
        let load = search(&proxy.target, CLIENTS, body.to_vec());
        Clients::first(&load).await?;
        let cost = round(&proxy, &load).await?.total;
        proxy.stop()?;
        Ok::<_, Error>(cost)
    };
    // The first start compiles.
    cost(true).await?;
    let mut rounds = Vec::new();
    for number in 0..ROUNDS {
        // Neither always comes first.
        let (with, without) = if number % 2 == 0 {
            let with = cost(true).await?;
            (with, cost(false).await?)
        } else {
            let without = cost(false).await?;
            (cost(true).await?, without)
        };
        rounds.push((with, without));
    }
    let name = "a route without plugins, one elsewhere, CPU of a request, us";
    Ok(Row::beside(name, "none", &rounds, Some(Goal::NoMore)))
}

/// The large guest with a custom section of its own: another component to every cache.
fn write_version(path: &Path, version: u8) -> Result<(), Error> {
    let built = repository::target().join("wasm32-wasip2/plugin/fireguard_large_guest.wasm");
    let mut component = fs::read(&built).map_err(Error::io(built.display().to_string()))?;
    // Id, size, length of the name, the name.
    component.extend([0, 2, 1, b'a' + version]);
    let aside = path.with_extension("new");
    fs::write(&aside, component).map_err(Error::io(aside.display().to_string()))?;
    fs::rename(&aside, path).map_err(Error::io(path.display().to_string()))
}

async fn reload(admin: SocketAddr) -> Result<(), Error> {
    let asking = Error::io("asking for a reload");
    let answered = async {
        let mut stream = TcpStream::connect(admin).await?;
        let request = format!(
            "POST /reload HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    let answer = answered.await.map_err(asking)?;
    if answer.starts_with("HTTP/1.1 200") && answer.contains("reloaded") {
        Ok(())
    } else {
        Err(Error::Usage(format!("the plugin was not loaded anew: {answer}")))
    }
}
