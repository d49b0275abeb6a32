//! From a request and its route to a command: the body that it needs, what the caller may do.

use super::breadth::is_particular;
use super::dialects::reader::{Asked, Reader};
use super::dialects::url::path_of;
use super::dialects::{larder, refused};
use super::routes::{Body, Needs};
use super::{AdminResponse, Authorised, Caller, Command, Problem};
use crate::config::{AdminConfig, Scope};
use crate::http::RequestHead;

/// Why the body of a request is not waited for any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyMissing {
    /// Nothing of it came for too long.
    Late,
    /// Envoy has it, and does not show it to the filter.
    KeptBack,
}

impl Authorised {
    /// Reads the command that a request is.
    ///
    /// # Errors
    /// With the response, in the dialect's shape, when the command is wrong or not allowed. Nothing is carried out then.
    pub fn command(
        &self,
        request: &RequestHead,
        body: &[u8],
        reader: &Reader<'_>,
    ) -> Result<Command, AdminResponse> {
        self.read(request, body, reader).map_err(|problem| self.refuse(&problem))
    }

    fn read(&self, request: &RequestHead, body: &[u8], reader: &Reader<'_>) -> Result<Command, Problem> {
        let path = path_of(request)?;
        let name = self.route.name_in(path, &reader.config.path).unwrap_or_default();
        let asked = Asked {
            request,
            path,
            name: name.alone,
            name_and_query: name.with_query,
            body,
            caller: &self.caller,
            reader,
        };
        (self.route.read)(&asked).and_then(|command| self.allowed(command))
    }

    /// The answer to a command that is not carried out, in the dialect of its request.
    #[must_use]
    pub fn refuse(&self, problem: &Problem) -> AdminResponse {
        refused(self.route.dialect, problem)
    }

    /// The answer to a body that is longer than the configuration allows.
    #[must_use]
    pub fn too_large(&self, config: &AdminConfig) -> AdminResponse {
        self.refuse(&Problem::new(413, format!("expected a body of at most {} bytes", config.body_bytes_max)))
    }

    /// Whether it matters what the body of a command says.
    #[must_use]
    pub fn reads_body(&self, request: &RequestHead) -> bool {
        match self.route.body {
            Body::Ignored => false,
            Body::Alone(_) | Body::OrQuery(_) => true,
            Body::OrField(name, _) => !request.fields.contains(name),
        }
    }

    /// The answer to a command whose body does not come.
    #[must_use]
    pub fn body_missing(
        &self,
        request: &RequestHead,
        config: &AdminConfig,
        why: BodyMissing,
    ) -> AdminResponse {
        let (hint, in_query) = match self.route.body {
            Body::Ignored => ("", false),
            Body::Alone(hint) | Body::OrField(_, hint) => (hint, false),
            Body::OrQuery(hint) => (hint, true),
        };
        if in_query && larder::has_parameters(request) {
            return self.refuse(&larder::either());
        }
        let instead = hint.replace("{prefix}", &config.path);
        let problem = match why {
            BodyMissing::Late => Problem::new(
                408,
                "the body of the command did not arrive; if the client did send it, the filter \
                 was not shown it: set allow_on_headers_stop_iteration to true in the wasm filter's configuration",
            ),
            BodyMissing::KeptBack => Problem::new(
                501,
                format!(
                    "the filter cannot read request bodies: set allow_on_headers_stop_iteration to true in the \
                     wasm filter's configuration (Envoy up to 1.39 takes that up only together with another plugin name \
                     or plugin configuration). Without it, {instead}"
                ),
            ),
        };
        self.refuse(&problem)
    }

    /// Whether the caller may do this, and whether it fits into the journal.
    fn allowed(&self, command: Command) -> Result<Command, Problem> {
        if let Command::Purge(purge) = &command
            && !purge.invalidations.iter().all(|invalidation| is_particular(&invalidation.selector))
        {
            require(&self.caller, Scope::PurgeAll)?;
        }
        match self.route.needs {
            Needs::AnyToken => {}
            Needs::Read => require(&self.caller, Scope::Read)?,
            Needs::Purge => require_any_purge(&self.caller)?,
        }
        if let Command::Purge(purge) = &command {
            purge.fits()?;
        }
        Ok(command)
    }
}

fn require_any_purge(caller: &Caller) -> Result<(), Problem> {
    if caller.may(Scope::PurgeAll) { Ok(()) } else { require(caller, Scope::Purge) }
}

fn require(caller: &Caller, scope: Scope) -> Result<(), Problem> {
    let name = match scope {
        Scope::Read => "read",
        Scope::Purge => "purge",
        Scope::PurgeAll => "purge_all",
    };
    if caller.may(scope) { Ok(()) } else { Err(Problem::scope(name)) }
}
