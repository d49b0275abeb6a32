//! When a command is answered: when it holds on this Envoy, or when the fleet has it as well (`fleet.acknowledge`).

use serde_json::{Map, Value};

use super::idempotency::Answers;
use crate::admin::{AdminResponse, Authorised, Dialect, Problem, Wanted};
use crate::cache::{Context, Host};
use crate::config::{Acknowledge, Share};
use crate::fleet::{Acknowledged, Committed};

/// A command that was carried out here: its answer, and what is still to be said about the fleet.
#[derive(Debug)]
pub struct CarriedOut {
    /// The answer.
    pub answer: AdminResponse,
    /// The position of its last record; none where it has written none.
    pub position: Option<u64>,
    /// What it wants of the fleet.
    pub wanted: Wanted,
    /// What a repetition of it is known by, and what it says.
    pub repeated_as: Option<(String, Vec<u8>)>,
}

impl From<AdminResponse> for CarriedOut {
    fn from(answer: AdminResponse) -> CarriedOut {
        CarriedOut { answer, position: None, wanted: Wanted::default(), repeated_as: None }
    }
}

/// What a command has come to.
#[derive(Debug)]
pub enum Executed {
    /// This is the answer.
    Answer(AdminResponse),
    /// It holds here; the answer waits until the fleet has it.
    Awaiting(Box<Awaiting>),
}

/// A command whose answer waits until the fleet has its record.
#[derive(Debug)]
pub struct Awaiting {
    /// The position of its last record.
    pub position: u64,
    /// What is waited for.
    pub acknowledge: Acknowledge,
    authorised: Authorised,
    done: CarriedOut,
}

impl CarriedOut {
    /// What is answered, and when.
    pub fn acknowledged(self, cx: &Context<'_, impl Host>, authorised: &Authorised) -> Executed {
        let fleet = &cx.config.fleet;
        let position = self.position.filter(|_| self.answer.status < 300);
        let (Some(position), true) = (position, fleet.shares(Some(Share::Admin))) else {
            return Executed::Answer(self.remembered(cx, authorised));
        };
        let acknowledge = self.wanted.acknowledge.unwrap_or(fleet.acknowledge);
        let state = match (self.wanted.here, acknowledge) {
            (true, _) => "here",
            (false, Acknowledge::Local) => {
                // The other Envoys hear of it with the next batch.
                cx.turn.host.wake_fleet();
                "pending"
            }
            (false, Acknowledge::Fleet | Acknowledge::Everywhere) => {
                let authorised = authorised.clone();
                return Executed::Awaiting(Box::new(Awaiting {
                    position,
                    acknowledge,
                    authorised,
                    done: self,
                }));
            }
        };
        let done = CarriedOut { answer: told(self.answer, authorised, state, &[]), ..self };
        Executed::Answer(done.remembered(cx, authorised))
    }

    /// The answer, which a repetition of the command is given as well. A command that failed has to be sent again.
    fn remembered(self, cx: &Context<'_, impl Host>, authorised: &Authorised) -> AdminResponse {
        if let Some((key, said)) = self.repeated_as.filter(|_| self.answer.status < 500) {
            let said = (key.as_str(), said.as_slice());
            Answers::remember(cx.turn.host, &authorised.caller, said, &self.answer, cx.turn.now.mono);
        }
        self.answer
    }
}

impl Awaiting {
    /// The answer, now that it is known what the fleet has.
    #[must_use]
    pub fn answer(self, cx: &Context<'_, impl Host>, came_of_it: Acknowledged) -> AdminResponse {
        let Awaiting { authorised, done, .. } = self;
        match came_of_it {
            Acknowledged::Committed(Committed { revision }) => {
                let answer = told(done.answer, &authorised, "committed", &[("revision", revision.into())]);
                CarriedOut { answer, ..done }.remembered(cx, &authorised)
            }
            Acknowledged::Everywhere { revision, members } => {
                let facts = [("revision", revision.into()), ("members", members.into())];
                let answer = told(done.answer, &authorised, "everywhere", &facts);
                CarriedOut { answer, ..done }.remembered(cx, &authorised)
            }
            // It is committed and will hold everywhere: nothing is to be repeated.
            Acknowledged::Missing { revision, names } => {
                let facts = [("revision", revision.into()), ("waiting_for", names.into())];
                let answer = told(done.answer, &authorised, "committed", &facts);
                AdminResponse { status: 202, ..answer }
            }
            Acknowledged::Pending => {
                let problem = Problem {
                    retry_after_secs: Some(1),
                    ..Problem::new(
                        503,
                        "it holds on this Envoy, and etcd has not said in time that it has it: the other Envoys hear of \
                         it when etcd is back; to repeat the command is harmless",
                    )
                };
                let refusal = authorised.refuse(&problem);
                let body = with_members(&done.answer, &refusal);
                told(AdminResponse { body, ..refusal }, &authorised, "pending", &[])
            }
        }
    }
}

/// The body of a refusal, with what the answer would have said in Larder's own language: the receipts hold here.
fn with_members(answer: &AdminResponse, refusal: &AdminResponse) -> Vec<u8> {
    let object = |body: &[u8]| match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    };
    match (object(&answer.body), object(&refusal.body)) {
        (Some(mut said), Some(error)) if said.contains_key("receipt") => {
            said.extend(error);
            AdminResponse::json(0, &Value::Object(said)).body
        }
        _ => refusal.body.clone(),
    }
}

/// The answer with what is known of the fleet: as a member in Larder's own language, as a field in others.
fn told(
    answer: AdminResponse,
    authorised: &Authorised,
    state: &str,
    facts: &[(&str, Value)],
) -> AdminResponse {
    if authorised.route.dialect != Dialect::Own {
        // An item of structured fields (RFC 9651) with a parameter for each number.
        let numbers = facts.iter().filter(|(_, value)| value.is_number());
        let numbers: String = numbers.map(|(name, value)| format!(";{name}={value}")).collect();
        return answer.with("larder-fleet", format!("{state}{numbers}"));
    }
    let Ok(Value::Object(mut members)) = serde_json::from_slice(&answer.body) else { return answer };
    let mut fleet = Map::new();
    fleet.insert("state".into(), state.into());
    fleet.extend(facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    members.insert("fleet".into(), fleet.into());
    let body = AdminResponse::json(answer.status, &Value::Object(members)).body;
    AdminResponse { body, ..answer }
}
