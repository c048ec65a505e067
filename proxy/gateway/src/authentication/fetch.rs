//! Asks issuers, beside the cores.

use std::sync::OnceLock;
use std::time::Duration;

use fireguard_access::authentication::{Answer, Fetch, Question, Task, Unreachable};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, RequestBuilder, header, redirect};
use tokio::runtime::Handle;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);
/// From the question to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer, in bytes: the keys of an issuer are some KiB.
const LONGEST: usize = 1 << 20;

/// Asks by HTTP, on the runtime of the background work.
#[derive(Debug, Default)]
pub struct Fetcher {
    runtime: OnceLock<Handle>,
    client: OnceLock<Client>,
}

impl Fetcher {
    /// From now on it works there. Until then, on the runtime of who asks.
    pub fn works_on(&self, runtime: &Handle) {
        let _ = self.runtime.set(runtime.clone());
    }

    fn client(&self) -> Result<Client, Unreachable> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        // An issuer that sends elsewhere could have us send our secret there.
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(unreachable)?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    fn request(&self, question: &Question) -> Result<RequestBuilder, Unreachable> {
        let client = self.client()?;
        let request = match question {
            Question::Get(url) => client.get(url),
            Question::Introspect(asked) => {
                // RFC 6749 §2.3.1: both parts are encoded as in a form before they are joined.
                let form = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
                let (id, secret) = (form(&asked.client_id), form(&asked.client_secret));
                let fields = [("token", asked.token.as_str()), ("token_type_hint", "access_token")];
                client.post(&asked.url).basic_auth(id, Some(secret)).form(&fields)
            }
        };
        Ok(request.header(header::ACCEPT, "application/json"))
    }
}

impl Fetch for Fetcher {
    fn fetch(&self, question: Question) -> Task<Result<Answer, Unreachable>> {
        let request = self.request(&question);
        let asking = async move { ask(request?).await };
        let runtime = self.runtime.get().cloned().or_else(|| Handle::try_current().ok());
        Box::pin(async move {
            let Some(runtime) = runtime else { return Err(Unreachable("there is no runtime".to_owned())) };
            // A connection belongs to the runtime that it is made on.
            runtime.spawn(asking).await.map_err(|error| Unreachable(error.to_string()))?
        })
    }

    fn spawn(&self, task: Task<()>) {
        if let Some(runtime) = self.runtime.get().cloned().or_else(|| Handle::try_current().ok()) {
            runtime.spawn(task);
        }
    }
}

async fn ask(request: RequestBuilder) -> Result<Answer, Unreachable> {
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > LONGEST {
            return Err(Unreachable("its answer is too long".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status, body })
}

/// What went wrong, without the URL: the log names it already.
fn unreachable(error: reqwest::Error) -> Unreachable {
    Unreachable(crate::logging::with_causes(&error.without_url()))
}
