//! An exchange on its way through the pipeline: what is known of it, stage by stage.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use fireguard_access::authentication::certificate::Certificate;
use fireguard_access::confinement::Granted;
use fireguard_fhir::interaction::{BodyKind, Interaction, Preconditions, Prefer, Request};
use fireguard_fhir::parameters::Parameters;
use fireguard_traffic::body::{Body, BodyError, Outgoing, full};
use fireguard_traffic::forwarded::Origin;
use fireguard_traffic::replay::{Keep, Replay};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use uuid::Uuid;

use crate::caller::Caller;
use crate::face::Face;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::plugins::Attached;
use crate::server::Peer;
use crate::state::Route;

/// The id of an exchange. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// From a header; none: it is too long, or holds other than letters, digits, `-`, `.` and `_`.
    pub fn given(value: &HeaderValue) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
        let given = (1..=64).contains(&value.len()) && value.as_bytes().iter().all(plain);
        given.then(|| Self(value.clone()))
    }

    /// One that nothing else has, later than those before.
    pub fn random() -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = Uuid::now_v7().hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("none")))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As a header's value.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// A request as the connection delivers it.
pub struct Arrived {
    /// Its id, in logs and in `X-Request-Id`.
    pub id: RequestId,
    /// Who sent it.
    pub peer: Peer,
    /// Its head.
    pub parts: Parts,
    /// Its body, unread.
    pub body: Incoming,
    /// What later stages find out about it.
    pub facts: Arc<Facts>,
}

/// A request without what was meant for this hop only.
pub struct Entered {
    /// Its id.
    pub id: RequestId,
    /// Where it comes from.
    pub origin: Origin,
    /// The certificate that the client has shown.
    pub certificate: Option<Arc<Certificate>>,
    /// Its head, without headers of one hop.
    pub parts: Parts,
    /// Its body, unread.
    pub body: Incoming,
    /// What later stages find out about it.
    pub facts: Arc<Facts>,
}

/// A FHIR request on a route. From here on nothing looks at the request line again.
pub struct Exchange<B> {
    /// Its id.
    pub id: RequestId,
    /// The client's address.
    pub client: IpAddr,
    /// Who asks.
    pub caller: Caller,
    /// The way it came in.
    pub route: Arc<Route>,
    /// The route as the client sees it.
    pub face: Arc<Face>,
    /// What it asks for.
    pub request: Arc<Request>,
    /// Its headers, without those of one hop.
    pub headers: Arc<HeaderMap>,
    /// Its body: the client's, unread, and later the one for the server.
    pub body: B,
    /// What later stages find out about it.
    pub facts: Arc<Facts>,
}

/// A FHIR request whose body nobody has looked at.
pub type Asked = Box<Exchange<Inbound>>;

/// The body of a request as it comes in.
pub enum Inbound {
    /// From a client.
    Client(Incoming),
    /// From a plugin: all there.
    Own(Full<Bytes>),
}

/// A FHIR request that may be sent.
pub type Ready = Box<Exchange<Upload>>;

/// A body for the server.
pub struct Upload {
    /// The body.
    pub body: Outgoing,
    /// How it gets on.
    pub watch: Watch,
}

impl<B> Exchange<B> {
    /// Whether a plugin of the route runs in this exchange. One that runs only where a policy asks for it does also where
    /// nothing has been decided.
    pub fn runs(&self, attached: &Attached) -> bool {
        let asks = |granted: &Arc<Granted>| granted.obligations.plugins.contains(attached.plugin.name());
        !attached.only_obliged || self.caller.granted.as_ref().is_none_or(asks)
    }

    /// The plugins that run in this exchange, in order toward the server.
    pub fn plugins(&self) -> impl DoubleEndedIterator<Item = &Attached> {
        self.route.plugins.iter().filter(|attached| self.runs(attached))
    }
}

impl Exchange<Upload> {
    /// The same once more, if its body can be sent again.
    pub fn again(&self) -> Option<Ready> {
        let body = self.body.again()?;
        Some(self.with(Arc::clone(&self.request), body))
    }

    /// A question of our own that this exchange gives rise to: without parameters, conditions or a body.
    pub fn asking(&self, interaction: Interaction, head_only: bool) -> Ready {
        let request = Request {
            interaction,
            head_only,
            parameters: Parameters::default(),
            format: self.request.format,
            pretty: None,
            binary_raw: false,
            body: BodyKind::None,
            preconditions: Preconditions::default(),
            prefer: Prefer::default(),
        };
        self.with(Arc::new(request), Upload::whole(Bytes::new()))
    }

    fn with(&self, request: Arc<Request>, body: Upload) -> Ready {
        Box::new(Self {
            id: self.id.clone(),
            client: self.client,
            caller: self.caller.clone(),
            route: Arc::clone(&self.route),
            face: Arc::clone(&self.face),
            request,
            headers: Arc::clone(&self.headers),
            body,
            facts: Arc::clone(&self.facts),
        })
    }
}

impl Inbound {
    /// A body that is all there.
    pub fn own(bytes: Bytes) -> Self {
        Self::Own(Full::new(bytes))
    }
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Client(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::from),
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Client(body) => body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Client(body) => body.size_hint(),
            Self::Own(body) => body.size_hint(),
        }
    }
}

impl Upload {
    /// A body that is all there.
    pub fn whole(bytes: Bytes) -> Self {
        Self { body: Outgoing::Whole(bytes), watch: Watch::default() }
    }

    /// The same once more, if that is possible.
    pub fn again(&self) -> Option<Self> {
        Some(Self { body: self.body.again()?, watch: self.watch.clone() })
    }

    /// Keeps what comes from the client, so that it can be sent again.
    #[must_use]
    pub fn kept(self, keep: Keep) -> Self {
        match self.body {
            Outgoing::Stream(body) => Self { body: Outgoing::Kept(Replay::new(body, keep)), ..self },
            Outgoing::Whole(_) | Outgoing::Kept(_) => self,
        }
    }

    /// Whether it can be sent from its beginning.
    pub fn is_kept(&self) -> bool {
        match &self.body {
            Outgoing::Whole(_) => true,
            Outgoing::Stream(_) => false,
            Outgoing::Kept(replay) => replay.is_kept(),
        }
    }

    /// The whole body, for us to look at.
    ///
    /// # Errors
    /// It was not kept, or did not come whole.
    pub fn look(&self) -> Result<Body, NotKept> {
        match &self.body {
            Outgoing::Whole(bytes) => Ok(full(bytes.clone())),
            Outgoing::Kept(replay) if replay.length().is_some() && replay.is_kept() => Ok(replay.attempt()),
            Outgoing::Stream(_) | Outgoing::Kept(_) => Err(NotKept),
        }
    }
}

/// A request body is not there any more.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the request body was not kept")]
pub struct NotKept;

/// What is known of a request body on its way to the server.
#[derive(Clone, Default)]
pub struct Watch(Arc<Watched>);

#[derive(Default)]
struct Watched {
    fault: Mutex<Option<Failure>>,
    bytes: AtomicU64,
    streaming: AtomicBool,
}

impl Watch {
    /// The body comes from the client as it is sent.
    pub fn streams(&self) {
        self.0.streaming.store(true, Ordering::Relaxed);
    }

    /// So many bytes more went through.
    pub fn passed(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// It went through to its end.
    pub fn ended(&self) {
        self.0.streaming.store(false, Ordering::Relaxed);
    }

    /// The bytes so far; `None` if it is all there.
    pub fn progress(&self) -> Option<u64> {
        self.0.streaming.load(Ordering::Relaxed).then(|| self.0.bytes.load(Ordering::Relaxed))
    }

    /// It broke off, and why; the stage that finds the connection broken answers with it.
    pub fn broke_off(&self, failure: Failure) {
        *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// Why it broke off, once.
    pub fn fault(&self) -> Option<Failure> {
        self.0.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
