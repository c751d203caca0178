//! What a call finds in its environment and arguments.

use super::Program;
use crate::provider::function::Call;

/// The subject that the message was published to.
const SUBJECT: &str = "NEX_SUBJECT";
/// Where its sender wants the answer; absent when nobody waits for one.
const REPLY_SUBJECT: &str = "NEX_REPLY_SUBJECT";
/// Before the name of a header, in capitals, everything but letters and digits as `_`.
const HEADER_PREFIX: &str = "NEX_HEADER_";

/// The arguments: the workload's name, and the subject.
pub(super) fn arguments(program: &Program, call: &Call) -> [String; 2] {
    [program.name.clone(), call.subject.clone()]
}

/// The environment of the deploy, and the message's subjects and headers. What a caller sends
/// never replaces what was deployed.
pub(super) fn environment(program: &Program, call: &Call) -> Vec<(String, String)> {
    let deployed = &program.environment;
    let mut all = deployed.clone();
    let mut add = |name: String, value: &str| {
        // No environment can hold a NUL.
        if !value.contains('\0') && !deployed.iter().any(|(held, _)| *held == name) {
            all.push((name, value.to_owned()));
        }
    };
    add(SUBJECT.to_owned(), &call.subject);
    if let Some(reply) = &call.reply {
        add(REPLY_SUBJECT.to_owned(), reply);
    }
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in call.headers.iter() {
        let name = variable(name);
        match headers.iter_mut().find(|(held, _)| *held == name) {
            // Several values of a header are one list, as in HTTP.
            Some((_, values)) => {
                values.push_str(", ");
                values.push_str(value);
            }
            None => headers.push((name, value.to_owned())),
        }
    }
    for (name, value) in headers {
        add(name, &value);
    }
    all
}

fn variable(header: &str) -> String {
    let name = header.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte.to_ascii_uppercase()),
        _ => '_',
    });
    HEADER_PREFIX.chars().chain(name).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nex_protocol::nats::HeaderMap;
    use tokio::time::Instant;

    use super::*;
    use crate::provider::function::FunctionLimits;

    #[test]
    fn headers_are_variables_and_replace_nothing() {
        let program = Program {
            name: "echo".to_owned(),
            environment: vec![
                ("KEY".to_owned(), "deployed".to_owned()),
                ("NEX_HEADER_ROLE".to_owned(), "deployed".to_owned()),
            ],
            limits: FunctionLimits::default(),
        };
        let mut headers = HeaderMap::new();
        headers.append("Content-Type", "text/plain").unwrap();
        headers.append("x-tag", "a").unwrap();
        headers.append("X_Tag", "b").unwrap();
        headers.append("role", "admin").unwrap();
        let call = Call {
            subject: "orders.new".to_owned(),
            reply: None,
            headers,
            payload: Bytes::new(),
            deadline: Instant::now(),
        };
        let environment = environment(&program, &call);
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            environment,
            [
                ("KEY", "deployed"),
                ("NEX_HEADER_ROLE", "deployed"),
                ("NEX_SUBJECT", "orders.new"),
                ("NEX_HEADER_CONTENT_TYPE", "text/plain"),
                ("NEX_HEADER_X_TAG", "a, b"),
            ]
        );
    }
}
