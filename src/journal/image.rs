//! Image records: keys, the stamp of a customer's image, and the checkpoint.

use super::record::{read_option, write_option};
use super::{FormatError, Header};
use crate::model::wire::{Damaged, Reader, put_u64};

const CUSTOMER: u8 = 1;
const CHECKPOINT: u8 = 2;
const CONFIGURATION: u8 = 3;

/// One record for the images topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    /// Type byte and id.
    pub key: Vec<u8>,
    /// None = tombstone.
    pub value: Option<Vec<u8>>,
    /// The transaction it belongs to: header `seq` (decimal text) of a tombstone.
    pub seq: u64,
}

impl ImageRecord {
    /// A customer's image after transaction `seq`.
    #[must_use]
    pub fn customer(customer_id: &str, image: &[u8], seq: u64) -> Self {
        let mut value = Vec::with_capacity(image.len() + 5);
        put_u64(&mut value, seq);
        value.extend_from_slice(image);
        Self { key: key(CUSTOMER, customer_id.as_bytes()), value: Some(value), seq }
    }

    /// A customer who is gone after transaction `seq`.
    #[must_use]
    pub fn tombstone(customer_id: &str, seq: u64) -> Self {
        Self { key: key(CUSTOMER, customer_id.as_bytes()), value: None, seq }
    }

    /// A canonical configuration, first in force in transaction `seq`.
    #[must_use]
    pub fn configuration(hash: u64, canonical: &str, seq: u64) -> Self {
        Self { key: key(CONFIGURATION, &hash.to_be_bytes()), value: Some(canonical.as_bytes().to_vec()), seq }
    }

    /// The partition's checkpoint.
    #[must_use]
    pub fn checkpoint(checkpoint: &Checkpoint) -> Self {
        let mut value = Vec::with_capacity(256);
        put_u64(&mut value, checkpoint.from_seq);
        write_option(&mut value, checkpoint.from_offset);
        checkpoint.header.encode(&mut value);
        if let Some(before) = &checkpoint.before {
            before.encode(&mut value);
        }
        let header = &checkpoint.header;
        Self { key: key(CHECKPOINT, &header.partition.to_be_bytes()), value: Some(value), seq: header.seq }
    }
}

fn key(kind: u8, id: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + id.len());
    key.push(kind);
    key.extend_from_slice(id);
    key
}

/// The seq and the engine's image of a customer's value.
pub(super) fn stamped(value: &[u8]) -> Result<(u64, &[u8]), FormatError> {
    let mut reader = Reader::new(value);
    let seq = reader.u64()?;
    Ok((seq, reader.rest()))
}

/// What an image record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKey<'a> {
    /// A customer.
    Customer(&'a str),
    /// The checkpoint of a partition.
    Checkpoint(i32),
    /// The configuration of a hash.
    Configuration(u64),
}

impl<'a> ImageKey<'a> {
    /// Reads a key.
    ///
    /// # Errors
    /// When the type byte is unknown or the rest does not fit it.
    pub fn parse(key: &'a [u8]) -> Result<Self, FormatError> {
        match key.split_first() {
            Some((&CUSTOMER, id)) => Ok(Self::Customer(std::str::from_utf8(id).map_err(|_| FormatError::Damaged)?)),
            Some((&CHECKPOINT, id)) => {
                Ok(Self::Checkpoint(i32::from_be_bytes(id.try_into().map_err(|_| FormatError::Damaged)?)))
            }
            Some((&CONFIGURATION, id)) => {
                Ok(Self::Configuration(u64::from_be_bytes(id.try_into().map_err(|_| FormatError::Damaged)?)))
            }
            _ => Err(FormatError::Damaged),
        }
    }
}

/// Where a restore starts, and what the partition knew when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The oldest transaction with an entry that no image holds; one after the last if there is none.
    pub from_seq: u64,
    /// A journal offset at or before the record of `from_seq`; none = the log's start.
    pub from_offset: Option<i64>,
    /// Header of the transaction it was written in.
    pub header: Header,
    /// What was known before the transaction `from_seq`, where that is not after `header`; none of older versions.
    pub before: Option<Header>,
}

impl Checkpoint {
    /// Reads a checkpoint's value.
    ///
    /// # Errors
    /// When it is damaged or of another format.
    pub fn decode(value: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(value);
        let from_seq = reader.u64()?;
        let from_offset = read_option(&mut reader)?;
        let header = Header::decode(&mut reader)?;
        let before = if reader.is_empty() { None } else { Some(Header::decode(&mut reader)?) };
        if reader.is_empty() { Ok(Self { from_seq, from_offset, header, before }) } else { Err(Damaged.into()) }
    }

    /// What was known before the oldest transaction that no image holds.
    pub(super) fn base(&self) -> Option<&Header> {
        if self.from_seq > self.header.seq { Some(&self.header) } else { self.before.as_ref() }
    }
}
