//! The byte encoding of images and journal records: LEB128 variable-length integers, zigzag for signed ones,
//! length-prefixed bytes, little-endian fixed 64-bit hashes. Simple enough to be read from another language.
//!
//! Images, which are read and written at every touchpoint, have most integers with their length in front instead
//! ([`put_sized`]): as short, and read without a look at each byte.

/// Appends an unsigned integer as LEB128: seven bits a byte, lowest first, high bit = more follow.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push((value & 0x7f) as u8);
    } else {
        put_long(out, value);
    }
}

/// Two bytes or more.
fn put_long(out: &mut Vec<u8>, mut value: u64) {
    if value >> 56 == 0 {
        // All eight bytes at once, then those that are too many are taken back.
        let bytes = (u64::BITS - value.leading_zeros()).div_ceil(7) as usize;
        let word = scatter(value) | MORE & ((1 << (8 * (bytes - 1))) - 1);
        let end = out.len() + bytes;
        out.extend_from_slice(&word.to_le_bytes());
        out.truncate(end);
        return;
    }
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// The high bit of every byte.
const MORE: u64 = 0x8080_8080_8080_8080;

/// The low seven bits of eight bytes, the lowest byte first.
#[inline]
const fn gather(bytes: u64) -> u64 {
    let value = (bytes & 0x7f00_7f00_7f00_7f00) >> 1 | bytes & 0x007f_007f_007f_007f;
    let value = (value & 0x3fff_0000_3fff_0000) >> 2 | value & 0x0000_3fff_0000_3fff;
    (value & 0x0fff_ffff_0000_0000) >> 4 | value & 0x0fff_ffff
}

/// The reverse: seven bits a byte.
#[inline]
const fn scatter(value: u64) -> u64 {
    let bytes = (value & 0x00ff_ffff_f000_0000) << 4 | value & 0x0fff_ffff;
    let bytes = (bytes & 0x0fff_c000_0fff_c000) << 2 | bytes & 0x0000_3fff_0000_3fff;
    (bytes & 0x3f80_3f80_3f80_3f80) << 1 | bytes & 0x007f_007f_007f_007f
}

/// Appends a signed integer: zigzag (0, −1, 1, −2 … become 0, 1, 2, 3 …), then as [`put_u64`].
#[inline]
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, zigzag(value));
}

/// The lowest bits of a sized integer: how many bytes follow the first.
const SIZE_BITS: u32 = 3;
/// Sized integers up to this many bits have 7 bytes or fewer. Of longer ones the first byte is 7, and the integer follows.
const SIZED_BITS_MAX: u32 = 7 * u8::BITS - SIZE_BITS;

/// Appends an unsigned integer with its size in front: in the three lowest bits of the first byte the number of bytes
/// that follow it, the integer above them, little-endian.
#[inline]
pub fn put_sized(out: &mut Vec<u8>, value: u64) {
    let bits = u64::BITS - (value | 1).leading_zeros();
    if bits > SIZED_BITS_MAX {
        out.push(7);
        out.extend_from_slice(&value.to_le_bytes());
        return;
    }
    let follow = (bits + SIZE_BITS - 1) / u8::BITS;
    let end = out.len() + follow as usize + 1;
    // All eight bytes at once, then those that are too many are taken back.
    out.extend_from_slice(&(value << SIZE_BITS | u64::from(follow)).to_le_bytes());
    out.truncate(end);
}

/// Appends a signed integer: zigzag, then as [`put_sized`].
#[inline]
pub fn put_sized_signed(out: &mut Vec<u8>, value: i64) {
    put_sized(out, zigzag(value));
}

#[inline]
const fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

#[inline]
const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Appends a 64-bit hash, little-endian.
#[inline]
pub fn put_hash(out: &mut Vec<u8>, hash: u64) {
    out.extend_from_slice(&hash.to_le_bytes());
}

/// Appends a length and that many bytes.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Why bytes cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cut short or damaged")]
pub struct Damaged;

/// Reads what the `put_*` functions wrote. Never panics on any bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// True when everything was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// One byte.
    ///
    /// # Errors
    /// At the end.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Damaged> {
        let (&first, rest) = self.rest.split_first().ok_or(Damaged)?;
        self.rest = rest;
        Ok(first)
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// At the end, or beyond 64 bits.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Damaged> {
        if let Some((first @ 0..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        let Some((bytes, _)) = self.rest.split_first_chunk::<8>() else { return self.u64_by_bytes() };
        let word = u64::from_le_bytes(*bytes);
        let ends = !word & MORE;
        if ends == 0 {
            return self.u64_by_bytes();
        }
        // Everything up to and with the first byte that says it is the last.
        let own = ends ^ (ends - 1);
        self.rest = self.rest.get(own.count_ones() as usize / 8..).unwrap_or_default();
        Ok(gather(word & own))
    }

    /// The same near the end, and for the longest integers.
    #[cold]
    fn u64_by_bytes(&mut self) -> Result<u64, Damaged> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(Damaged);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    /// A signed integer.
    ///
    /// # Errors
    /// As [`Self::u64`].
    #[inline]
    pub fn i64(&mut self) -> Result<i64, Damaged> {
        self.u64().map(unzigzag)
    }

    /// An unsigned integer with its size in front.
    ///
    /// # Errors
    /// At the end.
    #[inline]
    pub fn sized(&mut self) -> Result<u64, Damaged> {
        let Some((bytes, _)) = self.rest.split_first_chunk::<8>() else { return self.sized_by_bytes() };
        let word = u64::from_le_bytes(*bytes);
        let follow = (word & 7) as u32;
        if follow == 7 {
            return self.sized_by_bytes();
        }
        self.rest = self.rest.get(follow as usize + 1..).unwrap_or_default();
        let others = (7 - follow) * u8::BITS;
        Ok(word << others >> others >> SIZE_BITS)
    }

    /// The same near the end, and for the longest integers.
    #[cold]
    fn sized_by_bytes(&mut self) -> Result<u64, Damaged> {
        let first = self.u8()?;
        if first & 7 == 7 {
            return self.hash();
        }
        let mut value = u64::from(first >> SIZE_BITS);
        for place in 0..u32::from(first & 7) {
            value |= u64::from(self.u8()?) << (u8::BITS - SIZE_BITS + place * u8::BITS);
        }
        Ok(value)
    }

    /// A signed integer with its size in front.
    ///
    /// # Errors
    /// At the end.
    #[inline]
    pub fn sized_signed(&mut self) -> Result<i64, Damaged> {
        self.sized().map(unzigzag)
    }

    /// A count of things that take at least one byte each: larger than what is left is damage, not an allocation.
    ///
    /// # Errors
    /// As [`Self::u64`], or when it cannot be true.
    #[inline]
    pub fn count(&mut self) -> Result<usize, Damaged> {
        let count = usize::try_from(self.u64()?).map_err(|_| Damaged)?;
        if count <= self.rest.len() { Ok(count) } else { Err(Damaged) }
    }

    /// Some bytes as they stand.
    ///
    /// # Errors
    /// At the end.
    #[inline]
    pub fn fixed<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], Damaged> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Damaged)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// A 16-bit hash.
    ///
    /// # Errors
    /// At the end.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Damaged> {
        let (bytes, rest) = self.rest.split_first_chunk::<2>().ok_or(Damaged)?;
        self.rest = rest;
        Ok(u16::from_le_bytes(*bytes))
    }

    /// A 64-bit hash.
    ///
    /// # Errors
    /// At the end.
    #[inline]
    pub fn hash(&mut self) -> Result<u64, Damaged> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or(Damaged)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// A length and that many bytes.
    ///
    /// # Errors
    /// At the end.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = self.count()?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Damaged)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A length and that many bytes of UTF-8.
    ///
    /// # Errors
    /// At the end, or when it is not UTF-8.
    #[inline]
    pub fn str(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, byte by byte.
    fn leb128(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push((value & 0x7f) as u8);
        out
    }

    proptest! {
        #[test]
        fn every_length_is_leb128_anywhere(value: u64, shift in 0_u32..64, after in prop::collection::vec(any::<u8>(), 0..10)) {
            let value = value >> shift;
            let mut out = Vec::new();
            put_u64(&mut out, value);
            prop_assert_eq!(&out, &leb128(value));
            out.extend_from_slice(&after);
            let mut reader = Reader::new(&out);
            prop_assert_eq!((reader.u64(), reader.rest()), (Ok(value), after.as_slice()));
        }

        #[test]
        fn sized_integers_are_short_and_read_back_anywhere(value: i64, shift in 0_u32..64, after in prop::collection::vec(any::<u8>(), 0..10)) {
            let value = value >> shift;
            let mut out = Vec::new();
            put_sized_signed(&mut out, value);
            let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
            prop_assert_eq!(out.len(), if bits > 53 { 9 } else { (bits + 3).div_ceil(8) });
            out.extend_from_slice(&after);
            let mut reader = Reader::new(&out);
            prop_assert_eq!((reader.sized_signed(), reader.rest()), (Ok(value), after.as_slice()));
        }

        #[test]
        fn integers_read_back(value: i64, hash: u64, text: String) {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            put_hash(&mut out, hash);
            put_bytes(&mut out, text.as_bytes());
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.i64(), Ok(value));
            prop_assert_eq!(reader.hash(), Ok(hash));
            prop_assert_eq!(reader.str(), Ok(text.as_str()));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.i64().is_ok() {}
            let mut reader = Reader::new(&bytes);
            while reader.sized().is_ok() {}
            prop_assert!(Reader::new(&bytes).bytes().is_ok_and(|read| read.len() < bytes.len()) || Reader::new(&bytes).bytes().is_err());
        }
    }
}
