//! Every default in one table; `docs/reference/configuration.md` shows the same (`reference.rs` compares them).

use std::time::Duration;

/// Where clients connect.
pub const LISTEN: &str = "127.0.0.1:8088";
/// Where health and metrics are served.
pub const ADMIN_LISTEN: &str = "127.0.0.1:9088";
/// How long a TLS handshake, a PROXY header or a request head may take to arrive.
pub const CLIENT_HEAD: Duration = Duration::from_secs(10);
/// How long a client's connection is kept between two requests; balancers keep theirs for 60 s.
pub const CLIENT_IDLE: Duration = Duration::from_secs(75);
/// How long a client may leave its answer unread.
pub const CLIENT_UNREAD: Duration = Duration::from_secs(60);
/// Connections of clients at once.
pub const CONNECTIONS: u32 = 20_000;
/// Requests at once on one HTTP/2 connection.
pub const H2_STREAMS: u32 = 200;
/// All request headers together.
pub const REQUEST_HEAD_BYTES: u64 = 32 << 10;
/// The URL of a request.
pub const REQUEST_URL_BYTES: u64 = 8 << 10;
/// The parameters of one request, repeated ones each for itself.
pub const REQUEST_PARAMETERS: u32 = 100;
/// How long running requests may go on after a stop signal.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Connecting to the server.
pub const CONNECT: Duration = Duration::from_secs(2);
/// The head of a request to the server, URL and headers: Tomcat takes no more.
pub const UPSTREAM_HEAD_BYTES: u64 = 8 << 10;
/// From sending a request to the head of its answer.
pub const ANSWER_HEAD: Duration = Duration::from_secs(60);
/// The same for a batch or transaction: HAPI needs 11 s for 10,000 entries.
pub const BUNDLE_ANSWER_HEAD: Duration = Duration::from_secs(300);
/// Silence inside a body.
pub const BODY_IDLE: Duration = Duration::from_secs(30);
/// How long an unused connection to the server is kept; HAPI's Tomcat closes after 60 s.
pub const KEEP_IDLE: Duration = Duration::from_secs(20);
/// Unused connections to the server kept on each core.
pub const MAX_IDLE: usize = 256;

/// How often the host names of servers are looked up.
pub const RESOLVE_INTERVAL: Duration = Duration::from_secs(5);
/// What a health check reads: a read by id needs the database and costs HAPI 0.4 ms, `metadata` 84 ms and no database.
pub const HEALTH_PATH: &str = "Patient/fireguard-health";
/// From one health check to the next.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// How long its answer may take: under load it waits like any other read.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// So many failed health checks in a row leave a replica out.
pub const UNHEALTHY_AFTER: u32 = 3;
/// So many good ones take it in again.
pub const HEALTHY_AFTER: u32 = 2;
/// So many failed requests in a row leave a replica out for a while.
pub const EJECT_AFTER: u32 = 5;

/// How far the clocks of an issuer and of this machine may be apart.
pub const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// How long an issuer's keys are used when it cannot be asked for newer ones.
pub const KEYS_STALE: Duration = Duration::from_secs(24 * 3600);

/// A CapabilityStatement that is younger is sent without asking the server.
pub const METADATA_FRESH: Duration = Duration::from_secs(60);
/// One that is younger is sent while the server is asked, or is away.
pub const METADATA_STALE: Duration = Duration::from_secs(3600);

/// How long a token of a user in a file is good.
pub const USER_TOKEN: Duration = Duration::from_secs(900);
/// The longest that may be.
pub const LONGEST_USER_TOKEN: Duration = Duration::from_secs(86_400);

/// How long a link to a page is good; HAPI keeps a search for an hour.
pub const PAGE_LIFETIME: Duration = Duration::from_secs(3600);

/// Audit events that wait for where they are to go.
pub const AUDIT_WAITING: u32 = 100_000;
/// How large a file of audit events becomes.
pub const AUDIT_FILE: u64 = 64 << 20;
/// How long audit events are gathered for one object of a bucket: some 8000 objects a day.
pub const AUDIT_GATHER: Duration = Duration::from_secs(10);

/// The region of buckets on servers that have none.
pub const BUCKET_REGION: &str = "us-east-1";
/// One attempt to put an object into a bucket, or to read one: a few MiB over a slow line.
pub const BUCKET_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest request body.
pub const REQUEST_BODY: u64 = 64 << 20;
/// How many times longer a body may become that is decoded, beyond its first MiB.
pub const DECODE_RATIO: u64 = 500;
/// From the head of a request to the end of its body.
pub const REQUEST_BODY_TOTAL: Duration = Duration::from_secs(300);
/// The largest body of a `_search` by POST.
pub const FORM_BODY: u64 = 64 << 10;
/// The largest resource a plugin gets.
pub const RESOURCE: u64 = 16 << 20;
/// How many bytes of resources go to a plugin in one call.
pub const PLUGIN_BATCH: usize = 64 << 10;

/// How much of a request body is kept, so that it can be sent again.
pub const REPLAY: u64 = 64 << 20;
/// How much of it in memory.
pub const REPLAY_MEMORY: u64 = 256 << 10;
/// How often a request is sent at the most, the first time included.
pub const RETRY_ATTEMPTS: u32 = 3;
/// The longest wait between two attempts.
pub const RETRY_LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How many leading bits of an IPv6 address name a client: what a provider gives to one site at least.
pub const RATE_IPV6_PREFIX: u8 = 64;
/// Clients that rate limits remember, on all routes together; 16 MiB at most.
pub const RATE_CLIENTS: usize = 1 << 20;

/// Requests at a server at once, at first.
pub const CONCURRENCY_START: u32 = 8;
/// The least that becomes.
pub const CONCURRENCY_LEAST: u32 = 2;
/// The most it becomes.
pub const CONCURRENCY_MOST: u32 = 128;
/// Requests that wait for a server.
pub const QUEUE: u32 = 1000;
/// How long one waits.
pub const QUEUE_TIME: Duration = Duration::from_secs(10);
/// A server is left alone after so many failed requests within ten seconds, if they are half of all.
pub const BREAKER_FAULTS: u32 = 20;

/// Processor time of one plugin call.
pub const PLUGIN_CPU: Duration = Duration::from_millis(100);
/// Time of one plugin call, waits included.
pub const PLUGIN_WALL: Duration = Duration::from_secs(5);
/// Values that a plugin may keep.
pub const PLUGIN_VALUES: u64 = 10_000;
/// How much they may be together.
pub const PLUGIN_VALUE_BYTES: u64 = 16 << 20;
/// How much the objects of a plugin may be together.
pub const PLUGIN_OBJECTS: u64 = 1 << 30;
/// Memory of one plugin instance.
pub const PLUGIN_MEMORY: u64 = 64 << 20;
/// Elements of the tables of one instance of a plugin.
pub const PLUGIN_TABLES: u32 = 100_000;
/// Exchanges of an instance that serves several.
pub const REUSE_USES: u32 = 128;
/// How long it waits for the next.
pub const REUSE_IDLE: Duration = Duration::from_secs(1);
/// The memory that it may have grown to.
pub const REUSE_MEMORY: u64 = 16 << 20;
/// How many of one plugin wait at once.
pub const REUSE_KEPT: u32 = 16;
