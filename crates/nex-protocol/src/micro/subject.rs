//! The subjects of discovery: `$SRV.{verb}[.{service name}[.{id}]]`.

use std::fmt;
use std::str::FromStr;

use crate::subject::{SubjectError, SubjectPattern, Token};

/// The first token of discovery.
const SERVICE_TOKEN: &str = "$SRV";

/// What is asked of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Who is there.
    Ping,
    /// What they are and where they listen.
    Info,
    /// What they have done.
    Stats,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ping, Self::Info, Self::Stats];

    /// The verb as a token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "PING",
            Self::Info => "INFO",
            Self::Stats => "STATS",
        }
    }
}

/// A question to all services, to those of a name, or to one of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DiscoverySubject {
    /// What is asked.
    pub verb: Verb,
    /// The name of the service.
    pub name: Option<Token>,
    /// The id of one instance of it; there is none without a name.
    pub id: Option<Token>,
}

impl DiscoverySubject {
    /// Patterns that together cover every discovery subject, each once.
    pub fn patterns() -> impl Iterator<Item = SubjectPattern> {
        Verb::ALL.into_iter().flat_map(|verb| {
            ["", ".>"].into_iter().filter_map(move |tail| {
                format!("{SERVICE_TOKEN}.{}{tail}", verb.as_str()).parse().ok()
            })
        })
    }

    /// Whether the instance `id` of the service `name` is asked.
    #[must_use]
    pub fn asks(&self, name: &str, id: &str) -> bool {
        self.name.as_ref().is_none_or(|wanted| wanted.as_str() == name)
            && self.id.as_ref().is_none_or(|wanted| wanted.as_str() == id)
    }
}

impl FromStr for DiscoverySubject {
    type Err = SubjectError;

    fn from_str(subject: &str) -> Result<Self, SubjectError> {
        if subject.len() > crate::subject::MAX_SUBJECT_BYTES {
            return Err(SubjectError::TooLong);
        }
        let mut tokens = subject.split('.');
        if tokens.next() != Some(SERVICE_TOKEN) {
            return Err(SubjectError::Unknown);
        }
        let verb = tokens.next();
        let verb = Verb::ALL.into_iter().find(|known| Some(known.as_str()) == verb);
        let found = Self {
            verb: verb.ok_or(SubjectError::Unknown)?,
            name: tokens.next().map(str::parse).transpose()?,
            id: tokens.next().map(str::parse).transpose()?,
        };
        if tokens.next().is_some() { Err(SubjectError::Unknown) } else { Ok(found) }
    }
}

impl fmt::Display for DiscoverySubject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SERVICE_TOKEN}.{}", self.verb.as_str())?;
        for token in [&self.name, &self.id].into_iter().flatten() {
            write!(formatter, ".{token}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read_back_and_covered_once() {
        let patterns: Vec<_> = DiscoverySubject::patterns().collect();
        assert_eq!(patterns.len(), 6);
        for text in ["$SRV.PING", "$SRV.INFO.echo", "$SRV.STATS.echo.c0ffee"] {
            let subject: DiscoverySubject = text.parse().unwrap();
            assert_eq!(subject.to_string(), text);
            assert_eq!(
                patterns.iter().filter(|pattern| pattern.matches(text)).count(),
                1,
                "{text}"
            );
        }
        for text in
            ["$SRV", "$SRV.ping", "$SRV.PING.a.b.c", "$SRV.PING.", "$NEX.PING", "", "$SRV.PING.*"]
        {
            assert!(text.parse::<DiscoverySubject>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_question_is_for_all_or_for_those_it_names() {
        let asks = |text: &str| text.parse::<DiscoverySubject>().unwrap().asks("echo", "1");
        assert!(asks("$SRV.PING") && asks("$SRV.PING.echo") && asks("$SRV.PING.echo.1"));
        assert!(
            !asks("$SRV.PING.other") && !asks("$SRV.PING.echo.2") && !asks("$SRV.PING.other.1")
        );
    }
}
