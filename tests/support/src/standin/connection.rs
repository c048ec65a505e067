//! One connection of a stand-in: requests in, scripted answers out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::play::{self, Next};
use super::receive::{Received, read_body, read_head};
use super::script::Script;

/// Serves requests one after another until either side ends the connection.
pub(super) async fn serve(stream: TcpStream, script: Arc<Script>) {
    let number = script.connect();
    // A test that counts bytes does not want them held back.
    let _ = stream.set_nodelay(true);
    let (read, mut writer) = stream.into_split();
    let mut reader = BufReader::new(read);
    while let Ok(Some(request)) = read_head(&mut reader, number).await {
        let _in_flight = script.enter();
        match serve_one(request, &mut reader, &mut writer, &script).await {
            Ok(Next::Request) => {}
            Ok(Next::Close) => return,
            Ok(Next::Linger) => return linger(reader, writer).await,
            Ok(Next::Reset) => {
                let _ = writer.as_ref().set_zero_linger();
                // Dropping the half would send FIN first.
                writer.forget();
                return;
            }
            // The other side is gone.
            Err(_) => return,
        }
    }
}

/// Closes as web servers do when they have not read everything: closing at once would reset the
/// connection, and the answer might be lost on the way.
async fn linger(mut reader: BufReader<OwnedReadHalf>, mut writer: OwnedWriteHalf) {
    let drain = async {
        writer.shutdown().await?;
        tokio::io::copy_buf(&mut reader, &mut tokio::io::sink()).await
    };
    // Whether the other side stopped by itself makes no difference.
    let _ = tokio::time::timeout(Duration::from_secs(2), drain).await;
}

async fn serve_one(
    request: Received,
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
    script: &Script,
) -> io::Result<Next> {
    let place = script.record(request.clone());
    let answer = script.pick(&request.method, request.path());
    if !answer.early {
        if request.header("expect").is_some_and(|v| v.eq_ignore_ascii_case("100-continue")) {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let mut body = Vec::new();
        let read = read_body(reader, &request, &mut body).await;
        script.amend(place, |received| {
            received.body = body;
            received.complete = read.is_ok();
            received.abandoned = read.is_err();
        });
        read?;
    }
    let played = tokio::select! {
        played = play::play(&answer, &request.method, writer) => played,
        () = other_side_left(reader), if !answer.early => Err(io::ErrorKind::BrokenPipe.into()),
    };
    script.amend(place, |received| match played {
        Ok(_) => received.answered = answer.sends_all(),
        Err(_) => received.abandoned = true,
    });
    played
}

/// Ends when the other side closes; stays pending when it sends its next request instead.
async fn other_side_left(reader: &mut BufReader<OwnedReadHalf>) {
    if let Ok([_, ..]) = reader.fill_buf().await {
        std::future::pending::<()>().await;
    }
}
