//! `wasi:keyvalue/store`, by the host service `kv`.
//!
//! There is one bucket, the workload's own, by the names that other hosts give their first one.

use std::sync::Arc;

use bytes::Bytes;
use nex_protocol::agent::header;
use nex_protocol::nats::HeaderMap;
use tokio::time::Instant;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable, ResourceTableError};

use crate::provider::function::{Host, HostCall, HostError};
use bindings::wasi::keyvalue::store;

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

    wasmtime::component::bindgen!({
        path: "wit",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": super::Bucket },
        trappable_error_type: { "wasi:keyvalue/store.error" => super::Refusal },
    });
}

const SERVICE: &str = "kv";
/// Names of the workload's bucket.
const NAMES: [&str; 2] = ["", "default"];
/// What the host service says of a key that is not there.
const NOT_FOUND: &str = "key not found";

/// The bucket, as far as a guest holds it: there is only one.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "the generated code re-exports it")]
pub struct Bucket;

/// Why the guest does not get what it asked for.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "as above")]
pub enum Refusal {
    /// There is no bucket of that name.
    NoSuchStore,
    /// Anything else, in words.
    Other(String),
}

impl From<ResourceTableError> for Refusal {
    fn from(error: ResourceTableError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<HostError> for Refusal {
    fn from(error: HostError) -> Self {
        Self::Other(error.0)
    }
}

/// What the interface works with.
pub(super) struct KeyValue<'a> {
    pub(super) service: Service<'a>,
    pub(super) table: &'a mut ResourceTable,
}

/// The host service, for one call of the function.
#[derive(Clone, Copy)]
pub(super) struct Service<'a> {
    pub(super) host: &'a Arc<dyn Host>,
    pub(super) deadline: Instant,
}

impl Service<'_> {
    async fn ask(
        self,
        method: &'static str,
        key: Option<&str>,
        body: Bytes,
    ) -> Result<Bytes, HostError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers
                .insert(header::KEY_VALUE_KEY, key)
                .map_err(|_| HostError("a key is one line of text".to_owned()))?;
        }
        let call = HostCall { service: SERVICE, method, headers, body };
        let reply = self.host.call(call, self.deadline).await?;
        Ok(reply.parts.into_iter().next().unwrap_or_default())
    }

    async fn look_up(self, key: &str) -> Result<Option<Bytes>, Refusal> {
        match self.ask("get", Some(key), Bytes::new()).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.0.contains(NOT_FOUND) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl store::Host for KeyValue<'_> {
    async fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Refusal> {
        if NAMES.contains(&identifier.as_str()) {
            Ok(self.table.push(Bucket)?)
        } else {
            Err(Refusal::NoSuchStore)
        }
    }

    fn convert_error(&mut self, refusal: Refusal) -> wasmtime::Result<store::Error> {
        Ok(match refusal {
            Refusal::NoSuchStore => store::Error::NoSuchStore,
            Refusal::Other(text) => store::Error::Other(text),
        })
    }
}

impl store::HostBucket for KeyValue<'_> {
    async fn get(
        &mut self,
        _bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.service.look_up(&key).await?.map(|value| value.to_vec()))
    }

    async fn set(
        &mut self,
        _bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Refusal> {
        self.service.ask("set", Some(&key), value.into()).await?;
        Ok(())
    }

    async fn delete(&mut self, _bucket: Resource<Bucket>, key: String) -> Result<(), Refusal> {
        self.service.ask("delete", Some(&key), Bytes::new()).await?;
        Ok(())
    }

    async fn exists(&mut self, _bucket: Resource<Bucket>, key: String) -> Result<bool, Refusal> {
        Ok(self.service.look_up(&key).await?.is_some())
    }

    /// All keys at once: the host service has no pages.
    async fn list_keys(
        &mut self,
        _bucket: Resource<Bucket>,
        _cursor: Option<u64>,
    ) -> Result<store::KeyResponse, Refusal> {
        let keys = self.service.ask("keys", None, Bytes::from_static(b"{}")).await?;
        let keys = serde_json::from_slice(&keys)
            .map_err(|_| Refusal::Other("the node answers with no list of keys".to_owned()))?;
        Ok(store::KeyResponse { keys, cursor: None })
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

struct HasKeyValue;

impl HasData for HasKeyValue {
    type Data<'a> = KeyValue<'a>;
}

/// Adds the interface.
pub(super) fn add<T: Send>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> KeyValue<'_>,
) -> wasmtime::Result<()> {
    store::add_to_linker::<T, HasKeyValue>(linker, view)
}
