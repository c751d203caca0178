//! Which workloads a workload ping asks for.

use crate::subject::WorkloadPingScope;

/// The question of `$NEX.WPING`, `$NEX.WPING.{namespace}` and
/// `$NEX.WPING.{namespace}.{workload}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkloadPingQuery<'a> {
    /// The namespace to look in; all of them when absent.
    pub namespace: Option<&'a str>,
    /// The id or name of the workload; all of them when absent.
    pub workload: Option<&'a str>,
}

impl<'a> From<&'a WorkloadPingScope> for WorkloadPingQuery<'a> {
    fn from(scope: &'a WorkloadPingScope) -> Self {
        Self {
            namespace: scope.namespace().map(AsRef::as_ref),
            workload: scope.workload().map(crate::subject::Token::as_str),
        }
    }
}

impl WorkloadPingQuery<'_> {
    /// Whether the question is for this workload.
    ///
    /// Namespaces and names are compared without regard to case, ids exactly. White space at
    /// either end is not looked at, and an empty text asks for everything. Wildcards are nothing
    /// special.
    #[must_use]
    pub fn matches(&self, id: &str, namespace: &str, name: &str) -> bool {
        let asks_for = |asked: Option<&str>, fits: &dyn Fn(&str) -> bool| match asked.map(str::trim)
        {
            None | Some("") => true,
            Some(asked) => fits(asked),
        };
        asks_for(self.namespace, &|asked| asked.eq_ignore_ascii_case(namespace))
            && asks_for(self.workload, &|asked| asked == id || asked.eq_ignore_ascii_case(name))
    }
}
