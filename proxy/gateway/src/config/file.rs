//! The configuration file as it is written: strict TOML, nothing resolved yet.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::audit::Audit;
use super::buckets::S3Bucket;
use super::certificates::{CertificateClient, ClientAuth};
use super::credentials::Credentials;
use super::defaults;
use super::grants::{FhirClient, HttpOut, KeyValue, ObjectStore, Terminology};
use super::hapi::Hapi;
use super::issuers::{Issuer, WaysIn};
use super::policies::{self, Policies};
use super::rate::{Ipv6Prefix, Rate};
use super::units::{SecretSource, Size, Time};
use super::upstream::{Breaker, Concurrency, Health, UpstreamTls};
use super::users::UsersFile;

/// A Fireguard configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where clients connect.
    #[serde(default)]
    pub server: Server,
    /// Health and metrics.
    #[serde(default)]
    pub admin: Admin,
    /// The identity providers whose tokens are believed, by a name of your choice.
    #[serde(default)]
    pub issuers: BTreeMap<String, Issuer>,
    /// Users in a file, for sites without an identity provider.
    pub users: Option<UsersFile>,
    /// Whom client certificates stand for, by a name in them: `dns:…`, `uri:…` or `email:…`, several by a star as in
    /// `dns:*.lab.example.org`, `uri:https://example.org/wards/*`, `email:*@example.org`. One that fits none of these
    /// is nobody's.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, CertificateClient>")]
    pub certificates: BTreeMap<String, Spanned<CertificateClient>>,
    /// What callers may do, within the scopes that they were granted.
    pub policies: Option<Policies>,
    /// The FHIR servers, by a name of your choice.
    pub upstreams: BTreeMap<String, Upstream>,
    /// The ways in, by a name of your choice.
    pub routes: BTreeMap<String, Route>,
    /// The plugins, by a name of your choice.
    #[serde(default)]
    pub plugins: BTreeMap<String, Plugin>,
    /// What is kept durably.
    #[serde(default)]
    pub state: State,
    /// Buckets of S3 servers, by a name of your choice.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, S3Bucket>")]
    pub buckets: BTreeMap<String, Spanned<S3Bucket>>,
    /// Who did what.
    pub audit: Option<Audit>,
    /// Links to further pages.
    #[serde(default)]
    pub pages: Pages,
    /// Times and sizes.
    #[serde(default)]
    pub limits: Limits,
    /// What is logged.
    #[serde(default)]
    pub log: Log,
}

/// Where clients connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: Spanned<String>,
    /// The scheme and host clients use, `https://fhir.example.org`. Without it links are built from each
    /// request's own `Host`.
    #[schemars(with = "Option<String>")]
    pub public_url: Option<Spanned<String>>,
    /// Cores to use; all of them unless given.
    pub workers: Option<NonZeroU32>,
    /// How they share the work: `per-core` costs least; `shared` is for few HTTP/2 connections with many requests at
    /// once, which would leave cores idle otherwise.
    pub runtime: Runtime,
    /// Serve TLS.
    pub tls: Option<Tls>,
    /// Networks of balancers whose `X-Forwarded-*` headers are believed: `["10.0.0.0/8"]`.
    #[schemars(with = "Vec<String>")]
    pub trusted_peers: Vec<Spanned<String>>,
    /// Trusted peers start each connection with a PROXY protocol v2 header.
    pub proxy_protocol: bool,
    /// The folder in which compiled plugins are kept, so that a start takes milliseconds. It must belong to the user
    /// that Fireguard runs as, and nobody else may write to it: what lies there is run. Without it: `plugins` in the
    /// `CacheDirectory=` of systemd, or else none.
    pub cache: Option<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: Spanned::new(0..0, defaults::LISTEN.to_owned()),
            public_url: None,
            workers: None,
            runtime: Runtime::default(),
            tls: None,
            trusted_peers: Vec::new(),
            proxy_protocol: false,
            cache: None,
        }
    }
}

/// How the cores share the work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// A connection belongs to the core that accepted it, with all its requests.
    #[default]
    PerCore,
    /// Each request is worked on by the core that has time for it.
    Shared,
}

/// Certificates of the listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate and its chain.
    #[schemars(with = "String")]
    pub certificate: Spanned<String>,
    /// The private key (PEM): `file:PATH` or `env:NAME`.
    #[schemars(with = "SecretSource")]
    pub key: Spanned<SecretSource>,
    /// PEM file with the authorities that sign clients' certificates. With it clients may show one.
    #[schemars(with = "Option<String>")]
    pub client_ca: Option<Spanned<String>>,
    /// PEM files with the lists of certificates that these authorities have revoked, read again with the
    /// configuration. Where there is one, a certificate that no current list covers is refused.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub client_crls: Vec<Spanned<String>>,
    /// Whether clients must show a certificate.
    #[schemars(with = "Option<ClientAuth>")]
    pub client_auth: Option<Spanned<ClientAuth>>,
}

/// Health and metrics.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port. It has no access control of its own: keep it off public networks.
    #[schemars(with = "String")]
    pub listen: Spanned<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: Spanned::new(0..0, defaults::ADMIN_LISTEN.to_owned()) }
    }
}

/// A FHIR server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Its base URL as seen from here: `http://127.0.0.1:8080/fhir`. A host with several addresses counts as several
    /// replicas.
    #[schemars(with = "String")]
    pub url: Spanned<String>,
    /// The base URLs of further replicas, which work on the same database; scheme and path are those of `url`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub replicas: Vec<Spanned<String>>,
    /// How often host names are looked up.
    #[serde(default = "resolve_interval")]
    pub resolve_interval: Time,
    /// TLS toward it, where `url` is `https://`.
    #[schemars(with = "Option<UpstreamTls>")]
    pub tls: Option<Spanned<UpstreamTls>>,
    /// Who we say we are to it; nobody unless given.
    #[schemars(with = "Option<Credentials>")]
    pub credentials: Option<Spanned<Credentials>>,
    /// When a replica gets no requests.
    pub health: Option<Health>,
    /// It answers 503 only before it begins to work: then a create that was answered so may be sent again.
    #[serde(default)]
    pub sheds_before_working: bool,
    /// How many requests are at it at once.
    #[schemars(with = "Option<Concurrency>")]
    pub concurrency: Option<Spanned<Concurrency>>,
    /// Ask it for answers with `Content-Encoding: gzip`, and decode them: where the way to it is slow. On one host or a
    /// fast network it only costs processor time.
    #[serde(default)]
    pub gzip: bool,
    /// When it is left alone.
    #[serde(default)]
    pub breaker: Breaker,
}

fn resolve_interval() -> Time {
    Time(defaults::RESOLVE_INTERVAL)
}

/// A way in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The path of its FHIR base: `/fhir`.
    #[schemars(with = "String")]
    pub path: Spanned<String>,
    /// The name of the upstream it leads to.
    #[schemars(with = "String")]
    pub upstream: Spanned<String>,
    /// Who may come in: `"none"` for anyone, or a list of ways to show who one is, any of which will do: names of
    /// issuers, `"users"` for those of the file who log in, `"certificates"` for clients that show one.
    #[schemars(with = "WaysIn")]
    pub authentication: Spanned<WaysIn>,
    /// Whether policies decide what callers may do. Unless given: `enforce` where there are policies, `none` otherwise.
    #[schemars(with = "Option<policies::Mode>")]
    pub policies: Option<Spanned<policies::Mode>>,
    /// Send the caller's `Authorization` header on to the FHIR server. Without it nobody but Fireguard sees a token.
    #[serde(default)]
    pub forward_authorization: bool,
    /// Note who does what, where `[audit]` says where to; `false`: not on this route.
    #[serde(default = "yes")]
    pub audit: bool,
    /// Refuse every interaction that changes something.
    #[serde(default)]
    pub read_only: bool,
    /// The operations it lets through; the read-only ones of R4 unless given.
    #[schemars(with = "Option<Vec<String>>")]
    pub operations: Option<Vec<Spanned<String>>>,
    /// The search parameters it lets through, as `name` or `Type.name`; all unless given.
    #[schemars(with = "Option<Vec<String>>")]
    pub search_parameters: Option<Vec<Spanned<String>>>,
    /// The URLs below which Subscriptions of callers who are known may have endpoints; none unless given.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub subscription_endpoints: Vec<Spanned<String>>,
    /// The plugins that see its resources, in order toward the server, reversed toward the client.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub plugins: Vec<Spanned<String>>,
    /// Of these plugins, those that run only where a policy asks for them: `@obligation("plugin:…")`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub only_obliged: Vec<Spanned<String>>,
    /// The largest request body, where it is less than `limits.request_body`.
    #[schemars(with = "Option<Size>")]
    pub request_body: Option<Spanned<Size>>,
    /// Requests at once, of all clients together; no limit unless given. More are answered 503.
    pub requests_at_once: Option<NonZeroU32>,
    /// How often one client may ask.
    #[schemars(with = "Option<Rate>")]
    pub rate: Option<Spanned<Rate>>,
    /// Compress answers for clients that take them so. Leave it off where a balancer does, or where strangers choose
    /// what is searched for and can see how long answers are.
    #[serde(default)]
    pub compression: bool,
    /// Speak XML as well as JSON: FHIR's XML passes in both directions. Not on a route with plugins: they see JSON.
    #[serde(default)]
    pub xml: bool,
    /// Pages of other origins in browsers; none may read its answers unless listed.
    pub cors: Option<Cors>,
    /// Where HAPI does otherwise than FHIR says, and this route puts it right.
    #[serde(default)]
    pub hapi: Hapi,
}

fn yes() -> bool {
    true
}

/// Pages of other origins in browsers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// The origins whose pages may read answers: `["https://app.example.org"]`.
    #[schemars(with = "Vec<String>")]
    pub origins: Vec<Spanned<String>>,
}

/// A plugin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// The component's file.
    #[schemars(with = "String")]
    pub component: Spanned<String>,
    /// SHA-256 of the component: `sha256:` and 64 hexadecimal digits. Without it the plugin is loaded with `--dev`
    /// only.
    #[schemars(with = "Option<String>")]
    pub digest: Option<Spanned<String>>,
    /// What happens to an exchange when the plugin fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Settings, as the plugin documents them.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub settings: toml::Table,
    /// Files the plugin reads, by the name the plugin knows them by.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub files: BTreeMap<String, Spanned<String>>,
    /// What it may use of the host.
    #[serde(default)]
    pub grants: Grants,
    /// Processor time of one call.
    pub cpu_per_call: Option<Time>,
    /// Time of one call, waits included.
    pub wall_per_call: Option<Time>,
    /// Memory of one instance.
    pub memory: Option<Size>,
    /// Elements of the tables of one instance, 8 bytes each.
    pub table_elements: Option<NonZeroU32>,
    /// Use an instance for several exchanges, one after the other, where making one takes long. Without it each exchange
    /// has its own. A plugin could show one caller what it remembers of another: only for plugins you trust with that.
    pub reuse: Option<Reuse>,
}

/// What ends an instance that serves several exchanges; besides, every failure does.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reuse {
    /// The exchanges that it serves.
    pub uses: NonZeroU32,
    /// How long it waits for the next.
    pub idle: Time,
    /// The memory that it may have grown to by the end of an exchange.
    pub memory: Size,
    /// How many instances of the plugin wait at once.
    pub kept: NonZeroU32,
}

impl Default for Reuse {
    fn default() -> Self {
        Self {
            uses: NonZeroU32::new(defaults::REUSE_USES).unwrap_or(NonZeroU32::MIN),
            idle: Time(defaults::REUSE_IDLE),
            memory: Size(defaults::REUSE_MEMORY),
            kept: NonZeroU32::new(defaults::REUSE_KEPT).unwrap_or(NonZeroU32::MIN),
        }
    }
}

/// What happens to an exchange when a plugin fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It is refused.
    #[default]
    Refuse,
    /// It goes on as if the plugin were not there. Never for a plugin that protects data.
    Pass,
    /// The plugin is asked once more, in a fresh instance; fails it again, the exchange is refused.
    Retry,
}

/// What a plugin may use of the host.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Keyed tokens and date offsets.
    pub pseudonym: Option<Pseudonym>,
    /// Values that outlive a request.
    #[schemars(with = "Option<KeyValue>")]
    pub key_value: Option<Spanned<KeyValue>>,
    /// Translation of codes.
    pub terminology: Option<Terminology>,
    /// Requests to the FHIR server.
    pub fhir_client: Option<FhirClient>,
    /// Objects: files in a directory, or in a bucket.
    #[schemars(with = "Option<ObjectStore>")]
    pub object_store: Option<Spanned<ObjectStore>>,
    /// Requests to other hosts.
    pub http_out: Option<HttpOut>,
    /// In the request phase it may ask for another type, id, version or operation than the caller, and what is written
    /// may get another id.
    #[serde(default)]
    pub retarget: bool,
}

/// Keyed tokens and date offsets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pseudonym {
    /// The key: `env:NAME` or `file:PATH`, at least 16 bytes.
    #[schemars(with = "SecretSource")]
    pub key: Spanned<SecretSource>,
    /// Separates date offsets of one project from another's.
    #[serde(default)]
    pub project: String,
    /// Dates move by at most this many days.
    pub date_range_days: Option<u16>,
    /// It may turn sealed ids back into what they were.
    #[serde(default)]
    pub open: bool,
}

/// What is kept durably.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// The directory of the database, made if need be. Nobody else may write to it. Without it: the `StateDirectory=` of
    /// systemd, or else none, and what would keep anything is refused.
    pub directory: Option<String>,
}

/// Links to further pages: callers get them encrypted, good for one route.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pages {
    /// Secrets of at least 16 bytes that keys are made of: `env:NAME` or `file:PATH`. The first encrypts, all
    /// decrypt: to change it, put the new one first and leave the old one until its links have expired. Several
    /// nodes need the same. Without any, links are good until this process ends.
    #[schemars(with = "Vec<SecretSource>")]
    pub keys: Vec<Spanned<SecretSource>>,
    /// How long a link is good; not longer than the server keeps a search (HAPI: one hour).
    pub lifetime: Time,
}

impl Default for Pages {
    fn default() -> Self {
        Self { keys: Vec::new(), lifetime: Time(defaults::PAGE_LIFETIME) }
    }
}

/// Times and sizes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How long a TLS handshake or a request head may take to arrive.
    pub client_head: Time,
    /// How long a client's connection is kept between two requests; longer than a balancer keeps it.
    pub client_idle: Time,
    /// How long a client may leave its answer unread.
    pub client_unread: Time,
    /// Connections of clients at once. More are answered 503 and closed.
    pub connections: NonZeroU32,
    /// Those of one client; as many as there may be at all unless given. Trusted peers are no clients.
    pub connections_per_client: Option<NonZeroU32>,
    /// Requests at once on one HTTP/2 connection.
    pub h2_streams: u32,
    /// All request headers together.
    pub request_head: Size,
    /// The URL of a request.
    pub request_url: Size,
    /// The parameters of one request, repeated ones each for itself; never over 500.
    pub request_parameters: NonZeroU32,
    /// The largest request body; a route may take less.
    pub request_body: Size,
    /// From the head of a request to the end of its body.
    pub request_body_total: Time,
    /// The largest resource a plugin gets.
    pub resource: Size,
    /// Connecting to the server.
    pub connect: Time,
    /// The head of a request to the server, URL and headers; as much as the server takes.
    pub upstream_head: Size,
    /// From sending a request to the head of its answer.
    pub answer_head: Time,
    /// The same for a batch or transaction.
    pub bundle_answer_head: Time,
    /// Silence inside a body.
    pub body_idle: Time,
    /// How much of a request body is kept, to be sent again, and of a batch's answer while entries of it are; what is
    /// over 256 KiB in a temporary file.
    pub replay: Size,
    /// How often a request is sent at the most, the first time included.
    pub retry_attempts: NonZeroU32,
    /// The longest wait between two attempts.
    pub retry_longest_wait: Time,
    /// An IPv6 client is counted by the network of so many leading bits that it chooses its addresses from.
    pub rate_ipv6_prefix: Ipv6Prefix,
    /// How long running requests may go on after a stop signal.
    pub drain: Time,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client_head: Time(defaults::CLIENT_HEAD),
            client_idle: Time(defaults::CLIENT_IDLE),
            client_unread: Time(defaults::CLIENT_UNREAD),
            connections: NonZeroU32::new(defaults::CONNECTIONS).unwrap_or(NonZeroU32::MIN),
            connections_per_client: None,
            h2_streams: defaults::H2_STREAMS,
            request_head: Size(defaults::REQUEST_HEAD_BYTES),
            request_url: Size(defaults::REQUEST_URL_BYTES),
            request_parameters: NonZeroU32::new(defaults::REQUEST_PARAMETERS).unwrap_or(NonZeroU32::MIN),
            request_body: Size(defaults::REQUEST_BODY),
            request_body_total: Time(defaults::REQUEST_BODY_TOTAL),
            resource: Size(defaults::RESOURCE),
            connect: Time(defaults::CONNECT),
            upstream_head: Size(defaults::UPSTREAM_HEAD_BYTES),
            answer_head: Time(defaults::ANSWER_HEAD),
            bundle_answer_head: Time(defaults::BUNDLE_ANSWER_HEAD),
            body_idle: Time(defaults::BODY_IDLE),
            replay: Size(defaults::REPLAY),
            retry_attempts: NonZeroU32::new(defaults::RETRY_ATTEMPTS).unwrap_or(NonZeroU32::MIN),
            retry_longest_wait: Time(defaults::RETRY_LONGEST_WAIT),
            rate_ipv6_prefix: Ipv6Prefix(defaults::RATE_IPV6_PREFIX),
            drain: Time(defaults::DRAIN),
        }
    }
}

/// What is logged.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `json` for machines, `text` for people.
    pub format: LogFormat,
    /// `error`, `warn`, `info` or `debug`.
    pub level: LogLevel,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// From which level on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Faults that need somebody.
    Error,
    /// And what may become one.
    Warn,
    /// And a line for each exchange.
    #[default]
    Info,
    /// And what helps to find a fault.
    Debug,
}
