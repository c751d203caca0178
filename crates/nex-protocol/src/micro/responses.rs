//! What services answer to discovery.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::json;

/// What every answer says of the service.
macro_rules! response {
    ($(#[$doc:meta])* $name:ident, $kind:literal, { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub struct $name<'a> {
            /// Name of the service.
            pub name: &'a str,
            /// Id of this instance.
            pub id: &'a str,
            /// Version of the service (SemVer).
            pub version: &'a str,
            /// More about it.
            pub metadata: &'a BTreeMap<&'static str, String>,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name<'_> {
            /// Writes the answer.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                #[derive(Serialize)]
                struct Wire<'a, T> {
                    #[serde(flatten)]
                    response: &'a T,
                    #[serde(rename = "type")]
                    kind: &'static str,
                }
                json::write(&Wire { response: self, kind: $kind })
            }
        }
    };
}

response! {
    /// Answer to `$SRV.PING`.
    PingResponse, "io.nats.micro.v1.ping_response", {}
}

response! {
    /// Answer to `$SRV.INFO`.
    InfoResponse, "io.nats.micro.v1.info_response", {
        /// What the service does, in words.
        description: &'a str,
        /// Where it listens.
        endpoints: Vec<EndpointInfo<'a>>,
    }
}

response! {
    /// Answer to `$SRV.STATS`.
    StatsResponse, "io.nats.micro.v1.stats_response", {
        /// When the instance started, as RFC 3339 in UTC.
        started: &'a str,
        /// What each endpoint has done.
        endpoints: Vec<EndpointStats<'a>>,
    }
}

/// An endpoint of a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndpointInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it subscribes to.
    pub subject: &'a str,
    /// In which queue group.
    pub queue_group: &'a str,
    /// More about it.
    pub metadata: BTreeMap<&'static str, String>,
}

/// What an endpoint of a service has done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndpointStats<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it subscribes to.
    pub subject: &'a str,
    /// In which queue group.
    pub queue_group: &'a str,
    /// Requests it got.
    pub num_requests: u64,
    /// Those among them that failed.
    pub num_errors: u64,
    /// The last failure, as `{code}:{text}`; empty if there was none.
    pub last_error: String,
    /// How long all requests together took, in nanoseconds.
    pub processing_time: u64,
    /// How long one took in the mean, in nanoseconds.
    pub average_processing_time: u64,
}

/// A name for the endpoint that listens at `subject`: names of endpoints hold letters, digits,
/// `-` and `_` only.
#[must_use]
pub fn endpoint_name(subject: &str) -> String {
    let words = subject.split('.').map(|token| match token {
        "*" => "any".to_owned(),
        ">" => "all".to_owned(),
        token => token
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .collect(),
    });
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_the_form_that_clients_read() {
        let metadata = BTreeMap::from([("namespace", "default".to_owned())]);
        let ping = PingResponse { name: "echo", id: "1", version: "0.0.0", metadata: &metadata };
        let ping: serde_json::Value = serde_json::from_slice(&ping.encode()).unwrap();
        assert_eq!(
            ping,
            serde_json::json!({
                "type": "io.nats.micro.v1.ping_response",
                "name": "echo",
                "id": "1",
                "version": "0.0.0",
                "metadata": {"namespace": "default"},
            })
        );
        let stats = StatsResponse {
            name: "echo",
            id: "1",
            version: "0.0.0",
            metadata: &metadata,
            started: "2026-11-02T10:00:00Z",
            endpoints: vec![EndpointStats {
                name: "echo",
                subject: "echo",
                queue_group: "q",
                num_requests: 3,
                num_errors: 1,
                last_error: "500:broken".to_owned(),
                processing_time: 30,
                average_processing_time: 10,
            }],
        };
        let stats: serde_json::Value = serde_json::from_slice(&stats.encode()).unwrap();
        assert_eq!(stats["type"], "io.nats.micro.v1.stats_response");
        assert_eq!(stats["endpoints"][0]["average_processing_time"], 10);
    }

    #[test]
    fn endpoint_names_hold_nothing_but_what_they_may() {
        assert_eq!(endpoint_name("orders.new"), "orders-new");
        assert_eq!(endpoint_name("orders.*.at.>"), "orders-any-at-all");
        assert_eq!(endpoint_name("grüße.$x"), "gr__e-_x");
    }
}
