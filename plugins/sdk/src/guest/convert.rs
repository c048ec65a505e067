//! Between the generated types and the plain ones. Only moves: no bytes are copied.

use super::bindings::imports::fireguard::plugin::types;
use super::{ingest, request, resources, setup, written};
use crate::{
    Action, Direction, Edit, Event, Exchange, Field, Head, Interest, Item, Message, MessageProblem, Plan,
    Problem, Refusal, Settled, Verdict,
};

pub(super) fn fields<F: Into<T>, T>(fields: Vec<F>) -> Vec<T> {
    fields.into_iter().map(Into::into).collect()
}

impl From<types::Field> for Field {
    fn from(types::Field { name, value }: types::Field) -> Self {
        Self { name, value }
    }
}

impl From<Field> for types::Field {
    fn from(Field { name, value }: Field) -> Self {
        Self { name, value }
    }
}

impl From<types::Exchange> for Exchange {
    fn from(types::Exchange { id, route, interaction, extras }: types::Exchange) -> Self {
        Self { id, route, interaction, extras: fields(extras) }
    }
}

impl From<types::Direction> for Direction {
    fn from(direction: types::Direction) -> Self {
        match direction {
            types::Direction::ToServer => Self::ToServer,
            types::Direction::ToClient => Self::ToClient,
        }
    }
}

impl From<Direction> for types::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::ToServer => Self::ToServer,
            Direction::ToClient => Self::ToClient,
        }
    }
}

impl From<Refusal> for types::Refusal {
    fn from(Refusal { code, message, outcome, extras }: Refusal) -> Self {
        Self { code, message, outcome, extras: fields(extras) }
    }
}

impl From<Problem> for setup::Problem {
    fn from(Problem { file, line, column, pointer, message }: Problem) -> Self {
        Self { file, line, column, pointer, message }
    }
}

impl From<Plan> for setup::Plan {
    fn from(Plan { interests, needs }: Plan) -> Self {
        Self { interests: fields(interests), needs, extras: Vec::new() }
    }
}

impl From<Interest> for setup::Interest {
    fn from(Interest { phase, interactions, resource_types, directions }: Interest) -> Self {
        Self { phase, interactions, resource_types, directions: fields(directions), extras: Vec::new() }
    }
}

impl From<request::Head> for Head {
    fn from(head: request::Head) -> Self {
        Self {
            resource_type: head.resource_type,
            id: head.id,
            version_id: head.version_id,
            operation: head.operation,
            parameters: fields(head.parameters),
            headers: fields(head.headers),
            extras: fields(head.extras),
        }
    }
}

impl From<Head> for request::Head {
    fn from(head: Head) -> Self {
        Self {
            resource_type: head.resource_type,
            id: head.id,
            version_id: head.version_id,
            operation: head.operation,
            parameters: fields(head.parameters),
            headers: fields(head.headers),
            extras: fields(head.extras),
        }
    }
}

impl From<Action> for request::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Forward => Self::Forward,
            Action::Change(head) => Self::Change(head.into()),
            Action::Answer(answer) => Self::Answer(request::Answer {
                status: answer.status,
                headers: fields(answer.headers),
                body: answer.body,
                extras: fields(answer.extras),
            }),
            Action::Refuse(refusal) => Self::Refuse(refusal.into()),
        }
    }
}

impl From<resources::Item> for Item {
    fn from(resources::Item { content, extras }: resources::Item) -> Self {
        Self { content, extras: fields(extras) }
    }
}

impl From<Verdict> for resources::Verdict {
    fn from(verdict: Verdict) -> Self {
        let edit = |Edit { start, end, text }| resources::Edit { start, end, text };
        match verdict {
            Verdict::Keep => Self::Keep,
            Verdict::Edits(edits) => Self::Edits(edits.into_iter().map(edit).collect()),
            Verdict::Replace(text) => Self::Replace(text),
            Verdict::Drop => Self::Drop,
            Verdict::Refuse(refusal) => Self::Refuse(refusal.into()),
        }
    }
}

impl From<written::Event> for Event {
    fn from(event: written::Event) -> Self {
        Self {
            id: event.id,
            exchange: event.exchange.into(),
            interaction: event.interaction,
            resource_type: event.resource_type,
            resource_id: event.resource_id,
            version_id: event.version_id,
            time: event.time,
            content: event.content,
            extras: fields(event.extras),
        }
    }
}

impl From<Settled> for written::Settled {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Done => Self::Done,
            Settled::Retry(milliseconds) => Self::Retry(milliseconds),
        }
    }
}

impl From<ingest::Message> for Message {
    fn from(ingest::Message { source, position, content, extras }: ingest::Message) -> Self {
        Self { source, position, content, extras: fields(extras) }
    }
}

impl From<MessageProblem> for ingest::Problem {
    fn from(MessageProblem { place, message, extras }: MessageProblem) -> Self {
        Self { place, message, extras: fields(extras) }
    }
}
