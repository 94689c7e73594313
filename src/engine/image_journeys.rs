//! Journeys and the history of stages in the packed form of a customer, its last section; see [`super::image`].

use super::customer::Customer;
use super::image::Writer;
use super::image_read::Parser;
use super::journeys::{Journey, Keys, Passage};
use crate::model::Name;
use crate::model::wire::{Damaged, put_hash};

impl Writer<'_> {
    pub(super) fn journeys(&mut self, customer: &Customer) {
        self.list(&customer.journeys, Self::journey);
        self.list(&customer.passages, |writer, passage| {
            writer.hashed(passage.journey);
            writer.option(passage.step.as_ref(), |writer, step| writer.hashed(*step));
            writer.keys(&passage.keys);
            writer.mark(&passage.mark);
        });
        self.list(&customer.stages, |writer, (time, stage)| {
            writer.time(*time);
            writer.hashed(*stage);
        });
    }

    fn journey(&mut self, journey: &Journey) {
        self.hashed(journey.name);
        self.mark(&journey.started);
        self.keys(&journey.keys);
        self.item(journey.item.as_ref());
        self.list(&journey.reached, |writer, (step, mark)| {
            writer.hashed(*step);
            writer.mark(mark);
        });
        let given = [journey.restarted.is_some(), journey.deadline.is_some(), journey.stalled];
        self.out.push(given.iter().rev().fold(0, |flags, given| flags << 1 | u8::from(*given)));
        if let Some(restarted) = &journey.restarted {
            self.mark(restarted);
        }
        if let Some(deadline) = journey.deadline {
            self.time(deadline);
        }
    }

    fn keys(&mut self, keys: &Keys) {
        self.out.push(keys.iter().rev().fold(0, |known, key| known << 1 | u8::from(*key != 0)));
        keys.iter().filter(|key| **key != 0).for_each(|key| put_hash(self.out, *key));
    }
}

impl Parser<'_> {
    pub(super) fn journeys(&mut self, customer: &mut Customer) -> Result<(), Damaged> {
        self.list(&mut customer.journeys, Self::journey)?;
        self.list(&mut customer.passages, |parser| {
            let (journey, step) = (parser.hashed()?, parser.option(Self::hashed)?);
            Ok(Passage { journey, step, keys: parser.keys()?, mark: parser.mark()? })
        })?;
        self.list(&mut customer.stages, |parser| Ok((parser.time()?, parser.hashed()?)))
    }

    fn journey(&mut self) -> Result<Journey, Damaged> {
        let (name, started, keys, item) = (self.hashed()?, self.mark()?, self.keys()?, self.item()?);
        let mut reached: Vec<(Name, _)> = Vec::new();
        self.list(&mut reached, |parser| Ok((parser.hashed()?, parser.mark()?)))?;
        let flags = self.reader.u8()?;
        let restarted = if flags & 1 != 0 { Some(self.mark()?) } else { None };
        let deadline = if flags & 2 != 0 { Some(self.time()?) } else { None };
        Ok(Journey { name, started, restarted, keys, item, reached, deadline, stalled: flags & 4 != 0 })
    }

    fn keys(&mut self) -> Result<Keys, Damaged> {
        let known = self.reader.u8()?;
        let mut keys = Keys::default();
        for (place, key) in keys.iter_mut().enumerate() {
            if known >> place & 1 != 0 {
                *key = self.reader.hash()?;
            }
        }
        Ok(keys)
    }
}
