//! Where functions may send messages: a pure policy.

use nex_protocol::subject::{PatternError, Subject, SubjectPattern};

use super::Scope;
use crate::config::HostMessagingConfig;

/// The node's own conversations with agents.
const AGENTS: &str = "agentint";

/// How the first token begins of subjects on which replies travel: those of clients, of servers
/// for services, and of gateways.
const REPLIES: [&str; 3] = ["_INBOX", "_R_", "_GR_"];

/// What one workload may send to.
#[derive(Debug, Clone)]
pub struct SubjectRules {
    /// Empty: anything that is not denied.
    allow: Vec<SubjectPattern>,
    /// Whether there is an `allow` at all.
    only_allowed: bool,
    deny: Vec<SubjectPattern>,
    /// What the inboxes of the node's own connection begin with, last dot included.
    own_inboxes: String,
}

/// Why a message cannot be sent to a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectRefusal {
    /// No subject.
    #[error("subject is required")]
    Missing,
    /// Not a subject.
    #[error("{0}")]
    NotASubject(#[from] PatternError),
    /// White space that NATS does not know, or a control character.
    #[error("the subject contains white space or a control character: remove it")]
    Invisible,
    /// A system subject.
    #[error("subjects that begin with `$` belong to the system: functions cannot send there")]
    System,
    /// Somebody's inbox.
    #[error("replies travel on this subject: functions cannot send there")]
    Replies,
    /// Between node and agents.
    #[error("subjects that begin with `agentint` belong to the node: functions cannot send there")]
    Agents,
    /// The operator does not allow it.
    #[error("the operator of this node does not let this function send there")]
    Denied,
}

impl SubjectRules {
    /// The rules for one workload. `own_inboxes` is what the inboxes of the node's connection
    /// begin with.
    #[must_use]
    pub fn new(config: &HostMessagingConfig, scope: &Scope, own_inboxes: &str) -> Self {
        let expand = |templates: &[crate::config::SubjectTemplate]| {
            let patterns = templates.iter();
            patterns.filter_map(|one| one.pattern(&scope.namespace, &scope.workload)).collect()
        };
        Self {
            allow: expand(&config.allow),
            only_allowed: !config.allow.is_empty(),
            deny: expand(&config.deny),
            own_inboxes: own_inboxes.to_owned(),
        }
    }

    /// Checks a subject that a function gave.
    ///
    /// # Errors
    /// [`SubjectRefusal`] says why nothing may be sent there.
    pub fn check(&self, text: &str) -> Result<Subject, SubjectRefusal> {
        if text.is_empty() {
            return Err(SubjectRefusal::Missing);
        }
        let subject: Subject = text.parse()?;
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(SubjectRefusal::Invisible);
        }
        let first = subject.tokens().next().unwrap_or_default();
        if first.starts_with('$') {
            return Err(SubjectRefusal::System);
        }
        let own = !self.own_inboxes.is_empty() && text.starts_with(&self.own_inboxes);
        if own || REPLIES.iter().any(|start| first.starts_with(start)) {
            return Err(SubjectRefusal::Replies);
        }
        if first == AGENTS {
            return Err(SubjectRefusal::Agents);
        }
        let among = |patterns: &[SubjectPattern]| patterns.iter().any(|one| one.matches(text));
        if among(&self.deny) || (self.only_allowed && !among(&self.allow)) {
            return Err(SubjectRefusal::Denied);
        }
        Ok(subject)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    fn rules(allow: &[&str], deny: &[&str]) -> SubjectRules {
        let mut config = Config::builder().build().unwrap().host_services.messaging.clone();
        config.allow = allow.iter().map(|text| text.parse().unwrap()).collect();
        config.deny = deny.iter().map(|text| text.parse().unwrap()).collect();
        let scope = Scope { namespace: "team".parse().unwrap(), workload: "echo".parse().unwrap() };
        SubjectRules::new(&config, &scope, "custom.box.abc.")
    }

    #[test]
    fn the_system_inboxes_and_agents_are_out_of_reach() {
        let rules = rules(&[], &[]);
        for good in ["a", "orders.new", "a$b", "x.$SYS", "inbox._INBOX", "agentint2.a", "ü.b"] {
            assert!(rules.check(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", SubjectRefusal::Missing),
            ("$JS.API.INFO", SubjectRefusal::System),
            ("$SYS.REQ", SubjectRefusal::System),
            ("$KV.hs_b_x_kv.key", SubjectRefusal::System),
            ("$", SubjectRefusal::System),
            ("_INBOX.abc.1", SubjectRefusal::Replies),
            ("_INBOX_other.1", SubjectRefusal::Replies),
            ("_R_.x", SubjectRefusal::Replies),
            ("_GR_.x.y", SubjectRefusal::Replies),
            ("custom.box.abc.1", SubjectRefusal::Replies),
            ("agentint.x.rpc.a.b.kv.get", SubjectRefusal::Agents),
            ("agentint", SubjectRefusal::Agents),
            ("a\u{a0}b", SubjectRefusal::Invisible),
            ("a\u{0}b", SubjectRefusal::Invisible),
            ("a\u{85}b", SubjectRefusal::Invisible),
        ] {
            assert_eq!(rules.check(bad), Err(why), "{bad:?}");
        }
        for bad in ["a b", "a\tb", "a\r\nPUB b 1", ".a", "a.", "a..b", "*", "a.*", ">", "a.>"] {
            let refusal = rules.check(bad).unwrap_err();
            assert!(matches!(refusal, SubjectRefusal::NotASubject(_)), "{bad:?}: {refusal:?}");
        }
    }

    #[test]
    fn operators_allow_and_deny() {
        let tenants = rules(&["{namespace}.>", "shared"], &["*.secret.>"]);
        assert!(tenants.check("team.a").is_ok());
        assert!(tenants.check("shared").is_ok());
        assert_eq!(tenants.check("other.a"), Err(SubjectRefusal::Denied));
        assert_eq!(tenants.check("team"), Err(SubjectRefusal::Denied));
        assert_eq!(tenants.check("team.secret.x"), Err(SubjectRefusal::Denied));
        // What is never allowed cannot be allowed.
        let generous = rules(&[">"], &[]);
        assert_eq!(generous.check("$SYS.x"), Err(SubjectRefusal::System));
        assert_eq!(generous.check("_INBOX.x"), Err(SubjectRefusal::Replies));
    }

    proptest! {
        /// Whatever is let through is one subject on the wire, and none of the reserved.
        #[test]
        fn what_passes_is_a_plain_subject(text in "[a$_.*> \\r\\n\\t\u{2028}INBOXRG-]{0,16}") {
            if let Ok(subject) = rules(&[], &[]).check(&text) {
                prop_assert_eq!(subject.as_str(), &text);
                prop_assert!(!text.starts_with('$') && !text.starts_with("_INBOX"));
                prop_assert!(!text.starts_with("_R_") && !text.starts_with("_GR_"));
                prop_assert!(text.split('.').all(|token| !matches!(token, "" | "*" | ">")));
                prop_assert!(!text.contains(char::is_whitespace));
            }
        }
    }
}
