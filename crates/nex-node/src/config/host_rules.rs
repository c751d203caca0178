//! Rules about hosts and subjects that an operator writes for functions.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use nex_protocol::name::{Namespace, WorkloadName};
use nex_protocol::subject::SubjectPattern;

const NAMESPACE: &str = "{namespace}";
const WORKLOAD: &str = "{workload}";

/// A pattern of subjects in which `{namespace}` and `{workload}` stand for those of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectTemplate(String);

/// Not a subject, or with braces that stand for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a subject; the only placeholders are {{namespace}} and {{workload}}")]
pub struct NotASubject;

impl FromStr for SubjectTemplate {
    type Err = NotASubject;

    fn from_str(text: &str) -> Result<Self, NotASubject> {
        let plain = text.replace(NAMESPACE, "n").replace(WORKLOAD, "w");
        if plain.contains(['{', '}']) || plain.parse::<SubjectPattern>().is_err() {
            return Err(NotASubject);
        }
        Ok(Self(text.to_owned()))
    }
}

impl SubjectTemplate {
    /// The pattern for a workload. `None` if names make it longer than any subject, which then
    /// stands for none.
    pub fn pattern(
        &self,
        namespace: &Namespace,
        workload: &WorkloadName,
    ) -> Option<SubjectPattern> {
        // Neither name has dots, braces, blanks or wildcards: they stay parts of one token.
        let text =
            self.0.replace(NAMESPACE, namespace.as_str()).replace(WORKLOAD, workload.as_str());
        text.parse().ok()
    }
}

/// Hosts that a rule is about: a name, `*.` and the end of one, or an address; with a port or
/// with any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    host: HostText,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostText {
    Name(String),
    /// Begins with a dot.
    NamesBelow(String),
    Address(IpAddr),
}

/// A text that names no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a host: a name, `*.` and a name, or an address, with a port or without")]
pub struct NotAHost;

impl FromStr for HostRule {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        if let Ok(address) = text.parse() {
            return Ok(Self { host: HostText::Address(address), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port_of(port)?)),
            None => (text, None),
        };
        if let Some(inside) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            let address = inside.parse::<Ipv6Addr>().map_err(|_| NotAHost)?;
            return Ok(Self { host: HostText::Address(address.into()), port });
        }
        if let Ok(address) = host.parse() {
            return Ok(Self { host: HostText::Address(address), port });
        }
        let host = host.to_ascii_lowercase();
        let host = match host.strip_prefix("*.") {
            Some(end) if is_name(end) => HostText::NamesBelow(format!(".{end}")),
            None if is_name(&host) => HostText::Name(host),
            _ => return Err(NotAHost),
        };
        Ok(Self { host, port })
    }
}

impl HostRule {
    /// Whether it is about this name, which is in lower case and has no dot at its end.
    pub fn matches_name(&self, name: &str, port: u16) -> bool {
        let host = match &self.host {
            HostText::Name(host) => host == name,
            HostText::NamesBelow(end) => name.len() > end.len() && name.ends_with(end.as_str()),
            HostText::Address(_) => false,
        };
        host && self.port.is_none_or(|wanted| wanted == port)
    }

    /// Whether it is about this address.
    pub fn matches_address(&self, address: IpAddr, port: u16) -> bool {
        self.host == HostText::Address(address) && self.port.is_none_or(|wanted| wanted == port)
    }
}

fn port_of(text: &str) -> Result<u16, NotAHost> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0).ok_or(NotAHost)
}

/// A host name as URLs hold it: labels of ASCII (`xn--…` for others). All digits at the end would
/// be an address in a form that only some read.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> HostRule {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_are_names_ends_of_names_and_addresses() {
        assert!(rule("API.internal").matches_name("api.internal", 80));
        assert!(!rule("api.internal").matches_name("xapi.internal", 80));
        assert!(!rule("api.internal").matches_name("api.internal.example", 80));
        assert!(rule("*.internal").matches_name("a.b.internal", 80));
        assert!(!rule("*.internal").matches_name("internal", 80));
        assert!(!rule("*.internal").matches_name("xinternal", 80));
        assert!(rule("db:5432").matches_name("db", 5432));
        assert!(!rule("db:5432").matches_name("db", 5433));
        assert!(rule("127.0.0.1").matches_address("127.0.0.1".parse().unwrap(), 1));
        assert!(rule("[::1]:80").matches_address("::1".parse().unwrap(), 80));
        assert!(rule("::1").matches_address("::1".parse().unwrap(), 7));
        assert!(!rule("[::1]:80").matches_address("::1".parse().unwrap(), 81));
        assert!(!rule("127.0.0.1").matches_name("127.0.0.1", 80));
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in [
            "", "*", "*.", "a..b", ".a", "a.", "a b", "a:", "a:0", "a:99999", "a:+1", "1.2.3",
            "0x7f.1", "127.1", "[::1", "[a]", "http://a", "a/b", "é.de", "*.*.a",
        ] {
            assert_eq!(text.parse::<HostRule>(), Err(NotAHost), "{text}");
        }
    }

    #[test]
    fn placeholders_stay_inside_their_token() {
        let pattern = |text: &str| {
            let template: SubjectTemplate = text.parse().unwrap();
            template.pattern(&"team_a".parse().unwrap(), &"echo".parse().unwrap()).unwrap()
        };
        assert_eq!(pattern("{namespace}.>").as_str(), "team_a.>");
        assert_eq!(pattern("x-{workload}.{namespace}.*").as_str(), "x-echo.team_a.*");
        for text in ["{tenant}.>", "a b", "", "{namespace", "a..b", ">.a"] {
            assert_eq!(text.parse::<SubjectTemplate>(), Err(NotASubject), "{text}");
        }
    }
}
