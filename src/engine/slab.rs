//! Cells for packed customers, in size classes without holes.
//!
//! ```text
//! class (one a size):  chunk [ cell | cell | … ]  chunk [ cell | … ]      cell: owner (4 bytes) | bytes | spare room
//! ```
//! Customers grow through the sizes together, and a general allocator cannot move what is left of a size that is nearly
//! abandoned: its pages stay. Here whoever holds a cell is known, so that [`Slab::tidy`] moves the last cells of a class
//! into its holes and gives the chunks back.

use std::num::NonZeroU32;

/// Bytes of every chunk, unless one cell needs more. All are of one size: what one class gives back, the allocator can give
/// to the next, where chunks made to each class's measure would leave gaps that fit nobody.
const CHUNK_BYTES: usize = 32 * 1024;
/// Classes are so many bytes apart up to 256 bytes, then eight to a doubling.
const STEP_BYTES: usize = 16;
const OWNER_BYTES: usize = size_of::<u32>();
/// The owner of a hole.
const NOBODY: u32 = u32::MAX;
/// Holes of a class that are left for newcomers.
const HOLES_MIN: usize = 16;

/// Where bytes lie: their length, and the cell of the class for that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    bytes: u32,
    cell: u32,
}

impl Place {
    pub(super) const fn is_empty(self) -> bool {
        self.bytes == 0
    }
}

#[derive(Debug)]
struct Class {
    cell_bytes: usize,
    /// Cells in a chunk.
    chunk_cells: NonZeroU32,
    chunks: Vec<Box<[u8]>>,
    /// Cells in use, holes among them.
    cells: u32,
    holes: Vec<u32>,
}

impl Class {
    fn new(number: usize) -> Self {
        let cell_bytes = room(number) + OWNER_BYTES;
        let chunk_cells = u32::try_from(CHUNK_BYTES / cell_bytes).ok().and_then(NonZeroU32::new);
        let chunk_cells = chunk_cells.unwrap_or(NonZeroU32::MIN);
        Self { cell_bytes, chunk_cells, chunks: Vec::new(), cells: 0, holes: Vec::new() }
    }

    fn at(&self, cell: u32) -> (usize, usize) {
        ((cell / self.chunk_cells) as usize, (cell % self.chunk_cells) as usize * self.cell_bytes)
    }

    fn cell(&self, cell: u32) -> &[u8] {
        let (chunk, start) = self.at(cell);
        self.chunks.get(chunk).and_then(|chunk| chunk.get(start..start + self.cell_bytes)).unwrap_or_default()
    }

    fn cell_mut(&mut self, cell: u32) -> &mut [u8] {
        let (chunk, start) = self.at(cell);
        let bytes = self.cell_bytes;
        self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(start..start + bytes)).unwrap_or_default()
    }

    fn owner(&self, cell: u32) -> u32 {
        self.cell(cell).first_chunk().map_or(NOBODY, |owner| u32::from_le_bytes(*owner))
    }

    fn set_owner(&mut self, cell: u32, owner: u32) {
        if let Some(place) = self.cell_mut(cell).first_chunk_mut() {
            *place = owner.to_le_bytes();
        }
    }

    fn take(&mut self, owner: u32) -> u32 {
        let cell = self.holes.pop().unwrap_or_else(|| {
            if self.at(self.cells).0 >= self.chunks.len() {
                self.chunks.push(vec![0; CHUNK_BYTES.max(self.cell_bytes)].into_boxed_slice());
            }
            self.cells += 1;
            self.cells - 1
        });
        self.set_owner(cell, owner);
        cell
    }

    fn free(&mut self, cell: u32) {
        self.set_owner(cell, NOBODY);
        self.holes.push(cell);
    }

    fn tidy(&mut self, mut moved: impl FnMut(u32, u32)) {
        if self.holes.len() <= HOLES_MIN.max(self.cells as usize / 16) {
            return;
        }
        for hole in std::mem::take(&mut self.holes) {
            while self.cells > 0 && self.owner(self.cells - 1) == NOBODY {
                self.cells -= 1;
            }
            // A hole at the end is gone with it.
            if hole < self.cells {
                self.cells -= 1;
                self.move_cell(self.cells, hole);
                moved(self.owner(hole), hole);
            }
        }
        self.chunks.truncate(self.at(self.cells).0 + 1);
    }

    fn move_cell(&mut self, from: u32, to: u32) {
        let ((from_chunk, from), (to_chunk, to)) = (self.at(from), self.at(to));
        let bytes = self.cell_bytes;
        if from_chunk == to_chunk {
            if let Some(chunk) = self.chunks.get_mut(to_chunk)
                && from.max(to) + bytes <= chunk.len()
            {
                chunk.copy_within(from..from + bytes, to);
            }
        } else if let Ok([from_chunk, to_chunk]) = self.chunks.get_disjoint_mut([from_chunk, to_chunk])
            && let (Some(from), Some(to)) = (from_chunk.get(from..from + bytes), to_chunk.get_mut(to..to + bytes))
        {
            to.copy_from_slice(from);
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Slab {
    classes: Vec<Class>,
}

impl Slab {
    /// The bytes of a place; none after it was freed.
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let class = self.classes.get(class_of(place.bytes as usize));
        let cell = class.map_or(&[][..], |class| class.cell(place.cell));
        cell.get(OWNER_BYTES..OWNER_BYTES + place.bytes as usize).unwrap_or_default()
    }

    /// Writes `head` and `tail` one after the other, into the cell at `place` if they fit its class. Answers where they are.
    pub(super) fn replace(&mut self, place: Place, owner: u32, head: &[u8], tail: &[u8]) -> Place {
        let bytes = head.len() + tail.len();
        let number = class_of(bytes);
        let stays = !place.is_empty() && class_of(place.bytes as usize) == number;
        if !stays {
            self.free(place);
        }
        if bytes == 0 {
            return Place::default();
        }
        while self.classes.len() <= number {
            self.classes.push(Class::new(self.classes.len()));
        }
        let Some(class) = self.classes.get_mut(number) else { return Place::default() };
        let cell = if stays { place.cell } else { class.take(owner) };
        let room = class.cell_mut(cell).get_mut(OWNER_BYTES..OWNER_BYTES + bytes).unwrap_or_default();
        if let Some((head_room, tail_room)) = room.split_at_mut_checked(head.len()) {
            head_room.copy_from_slice(head);
            tail_room.copy_from_slice(tail);
        }
        Place { bytes: u32::try_from(bytes).unwrap_or(u32::MAX), cell }
    }

    /// Writes `tail` behind the first `head` bytes of a place, if all of it fits the cell's class; false, and nothing is
    /// changed, when it does not.
    pub(super) fn overwrite(&mut self, place: &mut Place, head: usize, tail: &[u8]) -> bool {
        let (number, bytes) = (class_of(place.bytes as usize), head + tail.len());
        if place.is_empty() || class_of(bytes) != number {
            return false;
        }
        let cell = self.classes.get_mut(number).map(|class| class.cell_mut(place.cell)).unwrap_or_default();
        let Some(room) = cell.get_mut(OWNER_BYTES + head..OWNER_BYTES + bytes) else { return false };
        room.copy_from_slice(tail);
        place.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        true
    }

    /// Gives a place up.
    pub(super) fn free(&mut self, place: Place) {
        if !place.is_empty()
            && let Some(class) = self.classes.get_mut(class_of(place.bytes as usize))
        {
            class.free(place.cell);
        }
    }

    /// Closes the holes of classes that have many. `moved` learns each owner's new place.
    pub(super) fn tidy(&mut self, mut moved: impl FnMut(u32, u32)) {
        for class in &mut self.classes {
            class.tidy(&mut moved);
        }
    }
}

impl Place {
    /// The same bytes in another cell.
    pub(super) const fn moved_to(self, cell: u32) -> Self {
        Self { cell, ..self }
    }
}

/// The smallest class that has room for so many bytes.
const fn class_of(bytes: usize) -> usize {
    if bytes <= 16 * STEP_BYTES {
        return bytes.div_ceil(STEP_BYTES);
    }
    let doubling = (bytes - 1).ilog2() as usize;
    let step = 1 << (doubling - 3);
    16 + (doubling - 8) * 8 + (bytes - (1 << doubling)).div_ceil(step)
}

/// The bytes a class has room for.
const fn room(class: usize) -> usize {
    if class <= 16 {
        return class * STEP_BYTES;
    }
    let (doubling, steps) = ((class - 17) / 8 + 8, (class - 17) % 8 + 1);
    (1 << doubling) + (steps << (doubling - 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_class_is_the_smallest_with_room() {
        for bytes in 1..100_000 {
            let class = class_of(bytes);
            assert!(room(class) >= bytes && room(class - 1) < bytes, "{bytes}");
        }
    }

    proptest! {
        /// Whatever is written, moved and freed: everybody's bytes are what was written last, and little room is lost.
        #[test]
        fn holds_what_was_written(
            steps in prop::collection::vec((0_u32..200, prop::sample::select(vec![0, 1, 30, 300, 5_000, 40_000]), 0_usize..100, any::<bool>()), 1..400),
        ) {
            let (mut slab, mut places, mut written) = (Slab::default(), [Place::default(); 200], vec![Vec::new(); 200]);
            for (step, (owner, least, more, tidy)) in steps.into_iter().enumerate() {
                let at = owner as usize;
                let bytes = vec![u8::try_from(step % 251).unwrap(); if least == 0 { 0 } else { least + more }];
                let (head, tail) = bytes.split_at(bytes.len() / 3);
                places[at] = slab.replace(places[at], owner, head, tail);
                written[at] = bytes;
                if tidy {
                    slab.tidy(|owner, cell| places[owner as usize] = places[owner as usize].moved_to(cell));
                }
            }
            for (place, written) in places.iter().zip(&written) {
                prop_assert_eq!(slab.get(*place), written.as_slice());
            }
            let holes: usize = slab.classes.iter().map(|class| class.holes.len()).sum();
            let cells: usize = slab.classes.iter().map(|class| class.cells as usize).sum();
            prop_assert_eq!(cells - holes, written.iter().filter(|bytes| !bytes.is_empty()).count());
        }
    }

    #[test]
    fn what_all_have_outgrown_is_given_back() {
        let (mut slab, mut places) = (Slab::default(), vec![Place::default(); 10_000]);
        for bytes in [100, 200, 400] {
            for (owner, place) in (0..).zip(&mut places) {
                *place = slab.replace(*place, owner, &[], &vec![0; bytes]);
            }
            slab.tidy(|owner, cell| places[owner as usize] = places[owner as usize].moved_to(cell));
        }
        let held: usize = slab.classes.iter().flat_map(|class| &class.chunks).map(|chunk| chunk.len()).sum();
        assert!(held < 10_000 * 450, "{held}");
    }
}
