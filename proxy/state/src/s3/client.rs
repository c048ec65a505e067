//! The client of the AWS SDK for one bucket.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient,
};
use aws_sdk_s3::{Client, Config};

use super::Place;

/// How often a request is sent at the most, the first time included.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts; it doubles, and chance shortens it.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Made from what the configuration says alone; of the environment only credentials are taken, where it says none.
pub(super) async fn client(place: &Place, http: SharedHttpClient) -> Client {
    let region = Region::new(place.region.clone());
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(place.timeout)
        .operation_timeout(ATTEMPTS * (place.timeout + LONGEST_PAUSE))
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(LONGEST_PAUSE);
    let mut builder = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http.clone())
        .region(region.clone())
        .force_path_style(place.path_style)
        // The checksums that the SDK adds of itself are refused by older servers.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .timeout_config(timeouts)
        .retry_config(retries);
    builder.set_endpoint_url(place.endpoint.clone());
    let builder = match &place.access {
        Some(access) => builder.credentials_provider(Credentials::new(
            &access.key,
            access.secret.as_str(),
            None,
            None,
            "fireguard",
        )),
        None => {
            let found = ProviderConfig::empty().with_http_client(http);
            let chain = DefaultCredentialsChain::builder().configure(found).region(region);
            builder.credentials_provider(chain.build().await)
        }
    };
    Client::from_conf(builder.build())
}
