//! How it arrives: shuffled among its neighbours, several parts in one message, some messages
//! twice.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::Shape;
use super::draw::pick;
use crate::domain::dice::Dice;

/// By how many rows a row of the streaming API is late at most.
const LATE_ROWS: u64 = 3000;

/// The same for whole alerts.
const LATE_ALERTS: u64 = 200;

/// A message is full before it is larger; Event Hubs takes no more than a megabyte.
const MESSAGE_BYTES: usize = 700 << 10;

/// Takes the parts, rows or alerts, in the order in which they are made, and sends messages.
pub(super) struct Delivery<S> {
    shape: Shape,
    dice: Dice,
    send: S,
    /// Those that wait, by the place where they are due.
    waiting: BinaryHeap<Reverse<(u64, u64, String)>>,
    pushed: u64,
    open: Message,
    /// Messages that are sent again, and after how many.
    again: VecDeque<(u64, String)>,
    sent: u64,
    kinds: BTreeMap<&'static str, u64>,
}

struct Message {
    form: Form,
    room: u64,
    bytes: usize,
    parts: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One part as it is.
    Bare,
    /// A part on each line.
    Lines,
    /// An envelope with a list.
    List,
}

impl<S, E> Delivery<S>
where
    S: FnMut(String) -> Result<(), E>,
{
    pub fn new(shape: Shape, seed: u64, send: S) -> Self {
        let mut dice = Dice::new(seed);
        Self {
            shape,
            open: Message::begun(shape, &mut dice),
            dice,
            send,
            waiting: BinaryHeap::new(),
            pushed: 0,
            again: VecDeque::new(),
            sent: 0,
            kinds: BTreeMap::new(),
        }
    }

    /// Takes a part, and sends what is due by now.
    pub fn push(&mut self, part: String) -> Result<(), E> {
        let late = match self.shape {
            Shape::DefenderXdr => LATE_ROWS,
            _ => LATE_ALERTS,
        };
        self.pushed += 1;
        let due = self.pushed + self.dice.below(late);
        self.waiting.push(Reverse((due, self.pushed, part)));
        while let Some(Reverse((due, ..))) = self.waiting.peek()
            && *due <= self.pushed
        {
            self.pack()?;
        }
        Ok(())
    }

    /// Sends all that is left, and tells how often what occurred.
    pub fn finish(mut self) -> Result<BTreeMap<&'static str, u64>, E> {
        while !self.waiting.is_empty() {
            self.pack()?;
        }
        self.close()?;
        while let Some((_, message)) = self.again.pop_front() {
            (self.send)(message)?;
        }
        Ok(self.kinds)
    }

    /// Moves the part that is due first into the open message.
    fn pack(&mut self) -> Result<(), E> {
        let Some(Reverse((_, _, part))) = self.waiting.pop() else { return Ok(()) };
        if self.open.bytes + part.len() > MESSAGE_BYTES && !self.open.parts.is_empty() {
            self.close()?;
        }
        self.open.bytes += part.len() + 1;
        self.open.parts.push(part);
        if self.open.parts.len() as u64 >= self.open.room {
            self.close()?;
        }
        Ok(())
    }

    /// Sends the open message and begins another.
    fn close(&mut self) -> Result<(), E> {
        let full = std::mem::replace(&mut self.open, Message::begun(self.shape, &mut self.dice));
        if full.parts.is_empty() {
            return Ok(());
        }
        *self.kinds.entry(full.form.kind()).or_default() += 1;
        let message = full.written(self.shape);
        if self.dice.chance(40) {
            *self.kinds.entry("message twice").or_default() += 1;
            self.again.push_back((self.sent + 1 + self.dice.below(20), message.clone()));
        }
        (self.send)(message)?;
        self.sent += 1;
        while let Some((due, _)) = self.again.front()
            && *due <= self.sent
        {
            let Some((_, message)) = self.again.pop_front() else { break };
            (self.send)(message)?;
        }
        Ok(())
    }
}

impl Form {
    fn kind(self) -> &'static str {
        match self {
            Form::Bare => "message of one part alone",
            Form::Lines => "message of lines",
            Form::List => "message with a list",
        }
    }
}

impl Message {
    fn begun(shape: Shape, dice: &mut Dice) -> Self {
        let (form, room) = match shape {
            Shape::DefenderXdr => {
                let form = pick(dice, &[(94, Form::List), (4, Form::Bare), (2, Form::Lines)]);
                let room = pick(dice, &[(60, 20), (33, 100), (7, 300)]);
                (form, 1 + dice.below(room))
            }
            _ => {
                let form = pick(dice, &[(84, Form::Bare), (12, Form::List), (4, Form::Lines)]);
                (form, 1 + dice.below(10))
            }
        };
        let room = if form == Form::Bare { 1 } else { room };
        Self { form, room, bytes: 0, parts: Vec::new() }
    }

    fn written(&self, shape: Shape) -> String {
        match (self.form, shape) {
            (Form::Bare | Form::Lines, _) => self.parts.join("\n"),
            (Form::List, Shape::DefenderXdr) => {
                format!("{{\"records\":[{}]}}", self.parts.join(","))
            }
            (Form::List, _) => format!("{{\"value\":[{}]}}", self.parts.join(",")),
        }
    }
}
