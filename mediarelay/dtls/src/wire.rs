//! Numbers and vectors as TLS writes them (RFC 5246 section 4).

/// Something ends too early, or goes on too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u24(&mut self) -> Result<usize, Malformed> {
        let [a, b, c] = self.array()?;
        Ok(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
    }

    /// A vector whose length is one octet.
    pub(crate) fn vec8(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u8()?;
        self.take(len.into())
    }

    /// A vector whose length is two octets.
    pub(crate) fn vec16(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u16()?;
        self.take(len.into())
    }

    /// A vector whose length is three octets.
    pub(crate) fn vec24(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u24()?;
        self.take(len)
    }

    /// A vector of numbers of two octets, whose length is two octets.
    pub(crate) fn numbers(&mut self) -> Result<Vec<u16>, Malformed> {
        let (pairs, rest) = self.vec16()?.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Malformed);
        }
        Ok(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// The last three octets of a length.
pub(crate) fn u24(len: usize) -> [u8; 3] {
    [(len >> 16) as u8, (len >> 8) as u8, len as u8]
}

/// Writes a vector with a length of `N` octets before it. What is written here is ours and never longer than that.
pub(crate) fn vector<const N: usize>(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; N]);
    content(out);
    let len = (out.len() - at - N).to_be_bytes();
    out[at..at + N].copy_from_slice(&len[len.len() - N..]);
}

/// Writes numbers of two octets as a vector whose length is two octets.
pub(crate) fn numbers(out: &mut Vec<u8>, numbers: &[u16]) {
    vector::<2>(out, |out| {
        for number in numbers {
            out.extend_from_slice(&number.to_be_bytes());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_read_as_they_were_written() {
        let mut out = Vec::new();
        numbers(&mut out, &[1, 0xFFFE]);
        vector::<1>(&mut out, |out| out.push(7));
        vector::<3>(&mut out, |out| out.extend_from_slice(b"abc"));
        let mut reader = Reader::new(&out);
        assert_eq!(reader.numbers(), Ok(vec![1, 0xFFFE]));
        assert_eq!(reader.vec8(), Ok(&[7][..]));
        assert_eq!(reader.vec24(), Ok(&b"abc"[..]));
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(Reader::new(&[0, 3, 1, 2]).vec16(), Err(Malformed));
        assert_eq!(Reader::new(&[0, 1, 1]).numbers(), Err(Malformed));
        assert_eq!(u24(0x01_02_03), [1, 2, 3]);
    }
}
