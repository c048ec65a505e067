//! Objects in a bucket of an S3 server: AWS, or one that speaks as it does (MinIO, Ceph, VersityGW).
//!
//! Whole objects only, in one request each. Every request has a deadline; what may pass is tried again, a few times and
//! with pauses. The checksum of an upload is `Content-MD5`, which every server knows and those with object lock ask for.

mod client;
mod connector;
mod fault;
mod place;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use metrics::{counter, histogram};
use tokio::sync::OnceCell;
use tokio::time::timeout;

pub use fault::BucketFault;
pub use place::{Access, Place, Sse};

/// As many names come in one answer at the most.
const PAGE: usize = 1000;

/// A bucket, or what begins with a prefix in it. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
    /// What every key begins with.
    prefix: String,
}

struct Inner {
    place: Place,
    http: SharedHttpClient,
    client: OnceCell<Client>,
    /// The server does not know `If-None-Match`.
    unconditional: AtomicBool,
}

/// What became of an object that was not to replace another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is there now.
    Now,
    /// One of this name was there already.
    Before,
}

/// What a bucket holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key, without the prefix of the bucket.
    pub key: String,
    /// Bytes.
    pub size: u64,
}

impl Bucket {
    /// The bucket at this place. Nothing is asked of it yet.
    ///
    /// # Errors
    /// The certificates of authorities cannot be used.
    pub fn new(place: Place) -> Result<Self, BucketFault> {
        let http = connector::http(place.authorities.as_deref())?;
        let prefix = place.prefix.clone();
        let (client, unconditional) = (OnceCell::new(), AtomicBool::new(false));
        Ok(Self { inner: Arc::new(Inner { place, http, client, unconditional }), prefix })
    }

    /// What begins with this prefix in it.
    #[must_use]
    pub fn within(&self, prefix: &str) -> Self {
        Self { inner: Arc::clone(&self.inner), prefix: format!("{}{prefix}", self.prefix) }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.inner.place.name
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.inner.place
    }

    /// Puts an object in the place of one of the same key: all of it, or the one that was there.
    ///
    /// # Errors
    /// It is not known to be there.
    pub async fn put(&self, key: &str, content: Vec<u8>, media_type: &str) -> Result<(), BucketFault> {
        self.observed("put", self.write(key, content, media_type, false)).await
    }

    /// Puts an object unless there is one of this key. Servers that know no condition replace it: the caller's keys
    /// follow from what is in the object, then.
    ///
    /// # Errors
    /// It is not known to be there.
    pub async fn create(
        &self,
        key: &str,
        content: Vec<u8>,
        media_type: &str,
    ) -> Result<Created, BucketFault> {
        if !self.inner.unconditional.load(Ordering::Relaxed) {
            let written = self.write(key, content.clone(), media_type, true);
            match self.observed("put", written).await {
                Err(BucketFault::Exists) => return Ok(Created::Before),
                // `NotImplemented`, of servers that know no conditions.
                Err(BucketFault::Status(501, _)) => self.inner.unconditional.store(true, Ordering::Relaxed),
                written => return written.map(|()| Created::Now),
            }
        }
        self.put(key, content, media_type).await.map(|()| Created::Now)
    }

    /// The object of this key, if it has at most so many bytes.
    ///
    /// # Errors
    /// It is not known whether there is one, or it has more.
    pub async fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, BucketFault> {
        self.observed("get", self.read(key, most)).await
    }

    /// Deletes the object of this key, if there is one.
    ///
    /// # Errors
    /// It is not known whether it is gone.
    pub async fn delete(&self, key: &str) -> Result<(), BucketFault> {
        let delete = async {
            let place = &self.inner.place;
            let request = self.client().await.delete_object().bucket(&place.bucket).key(self.key(key));
            request.send().await?;
            Ok(())
        };
        self.observed("delete", delete).await
    }

    /// Up to `most` objects, and 1000 at the most, whose keys begin with `prefix` and come after `after`, in the order of
    /// their bytes. None: there are no more.
    ///
    /// # Errors
    /// The server did not tell.
    pub async fn list(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<Listed>, BucketFault> {
        self.observed("list", self.listed(prefix, after, most.min(PAGE))).await
    }

    /// Asks whether the bucket is there and may be used, by a HEAD request.
    ///
    /// # Errors
    /// It cannot.
    pub async fn probe(&self) -> Result<(), BucketFault> {
        let head = async {
            self.client().await.head_bucket().bucket(&self.inner.place.bucket).send().await?;
            Ok(())
        };
        self.observed("head", head).await
    }

    async fn write(
        &self,
        key: &str,
        content: Vec<u8>,
        media_type: &str,
        only_new: bool,
    ) -> Result<(), BucketFault> {
        let place = &self.inner.place;
        let (encryption, kms_key) = match &place.sse {
            Sse::Default => (None, None),
            Sse::Aes256 => (Some(ServerSideEncryption::Aes256), None),
            Sse::Kms(key) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        };
        let request = self.client().await.put_object().bucket(&place.bucket).key(self.key(key));
        let request = request
            .content_type(media_type)
            .content_md5(STANDARD.encode(Md5::digest(&content)))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .set_if_none_match(only_new.then(|| "*".to_owned()))
            .body(ByteStream::from(content));
        request.send().await?;
        Ok(())
    }

    async fn read(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, BucketFault> {
        let place = &self.inner.place;
        let request = self.client().await.get_object().bucket(&place.bucket).key(self.key(key));
        let mut object = match request.send().await.map_err(BucketFault::from) {
            Ok(object) => object,
            Err(BucketFault::Absent) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let read = async {
            let mut content = Vec::new();
            while let Some(piece) = object.body.try_next().await.map_err(|_| BucketFault::Broken)? {
                if (content.len() + piece.len()) as u64 > most {
                    return Err(BucketFault::TooLarge { most });
                }
                content.extend_from_slice(&piece);
            }
            Ok(Some(content))
        };
        if object.content_length.is_some_and(|length| u64::try_from(length).is_ok_and(|length| length > most))
        {
            return Err(BucketFault::TooLarge { most });
        }
        timeout(place.timeout, read).await.unwrap_or(Err(BucketFault::Silent))
    }

    async fn listed(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<Listed>, BucketFault> {
        let place = &self.inner.place;
        let request = self.client().await.list_objects_v2().bucket(&place.bucket);
        let request = request
            .prefix(self.key(prefix))
            .set_start_after((!after.is_empty()).then(|| self.key(after)))
            .max_keys(i32::try_from(most).unwrap_or(i32::MAX));
        let page = request.send().await?;
        let listed = page.contents().iter().filter_map(|object| {
            let key = object.key()?.strip_prefix(&*self.prefix)?.to_owned();
            let size = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            Some(Listed { key, size })
        });
        Ok(listed.collect())
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn client(&self) -> &Client {
        let Inner { place, http, client, .. } = &*self.inner;
        client.get_or_init(|| client::client(place, http.clone())).await
    }

    /// The same, counted.
    async fn observed<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, BucketFault>>,
    ) -> Result<T, BucketFault> {
        let begun = Instant::now();
        let done = work.await;
        let outcome = done.as_ref().err().map_or("ok", BucketFault::label);
        let bucket = self.name().to_owned();
        let labels = [
            ("bucket", bucket.clone()),
            ("operation", operation.to_owned()),
            ("outcome", outcome.to_owned()),
        ];
        counter!("fireguard_s3_requests_total", &labels).increment(1);
        histogram!("fireguard_s3_seconds", "bucket" => bucket, "operation" => operation)
            .record(begun.elapsed().as_secs_f64());
        done
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("place", &self.inner.place).field("prefix", &self.prefix).finish()
    }
}
