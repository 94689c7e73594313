//! Rows of moments: JSON lines or CSV with `customer_id`, `as_of` and optionally `entity`; whatever else a row has is its
//! own business. Label files are such rows.

use super::files::Rows;
use crate::codec::mapping::TimeFormat;
use crate::codec::node::Node;
use crate::model::Timestamp;
use std::path::Path;

/// Longest row, in bytes.
const ROW_BYTES_MAX: usize = 1 << 20;
/// Rows with a problem that are named one by one.
const NAMED_MAX: u64 = 10;

/// A customer, or an item of theirs, at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// Who.
    pub(super) customer_id: String,
    /// The item; none = whichever is under the highest pressure.
    pub(super) entity: Option<String>,
    /// Touchpoints strictly before this count.
    pub(super) as_of: Timestamp,
}

impl Moment {
    /// Takes the moment out of a row.
    pub(super) fn take(row: &mut Node<'_>) -> Result<Self, String> {
        let customer_id = text(row, "customer_id")?.ok_or("customer_id is missing")?;
        let as_of = time(row, "as_of")?.ok_or("as_of is missing")?;
        Ok(Self { customer_id, entity: text(row, "entity")?, as_of })
    }
}

/// Takes a text, or a number as its text, out of a row; none when it is not there or empty.
pub(super) fn text(row: &mut Node<'_>, name: &str) -> Result<Option<String>, String> {
    let value = row.take(name);
    if value.is_empty() {
        return Ok(None);
    }
    value.to_text().map(|text| Some(text.into_owned())).ok_or_else(|| format!("{name} is not a text"))
}

/// Takes a moment out of a row: RFC 3339, or milliseconds since 1970.
pub(super) fn time(row: &mut Node<'_>, name: &str) -> Result<Option<Timestamp>, String> {
    let value = row.take(name);
    if value.is_empty() {
        return Ok(None);
    }
    let read = [TimeFormat::Rfc3339, TimeFormat::EpochMs].into_iter().find_map(|format| format.read(&value));
    read.map(Some).ok_or_else(|| format!("{name} is neither RFC 3339 with an offset nor milliseconds since 1970"))
}

/// Takes the label out of a row: true when it turned out bad.
pub(super) fn label(row: &mut Node<'_>) -> Result<bool, String> {
    match text(row, "label")?.as_deref() {
        Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        _ => Err("label must be 0 or 1".to_owned()),
    }
}

/// Takes a row: the bytes of a JSON object, and its fields.
type TakeRow<'a> = dyn FnMut(&[u8], &mut Node<'_>) -> Result<(), String> + 'a;

/// Gives every row of a file to `each`. Rows with a problem are named on
/// standard error by file and line, and left out; the answer is how many.
#[expect(clippy::print_stderr, reason = "for the person at the terminal")]
pub(super) fn read(path: &Path, each: &mut TakeRow<'_>) -> anyhow::Result<u64> {
    let unpacked = path.with_extension("");
    let is_csv = [path, &unpacked].iter().any(|path| path.extension().is_some_and(|extension| extension == "csv"));
    let mut rows = Rows::open(path, is_csv, ROW_BYTES_MAX, |file| Box::new(file))?;
    let (mut line, mut row, mut problems) = (0, Vec::new(), 0);
    while rows.next(&mut line, &mut row)? {
        if row.is_empty() {
            continue;
        }
        let problem = match serde_json::from_slice::<Node<'_>>(&row) {
            Ok(mut fields @ Node::Object(_)) => each(&row, &mut fields).err(),
            Ok(_) => Some("not an object".to_owned()),
            // Where it broke off, without a word of the row.
            Err(error) => Some(format!("not JSON, from column {}", error.column())),
        };
        if let Some(problem) = problem {
            problems += 1;
            if problems <= NAMED_MAX {
                eprintln!("{}:{line}: {problem}", path.display());
            }
        }
    }
    Ok(problems)
}
