//! The frames of a WebSocket that passes by (RFC 6455, section 5.2): where each ends, and how the connection
//! is closed. Nothing is held back, changed or unmasked but the code of a close.

/// Status code of a close: the endpoint is going away.
pub(super) const GOING_AWAY: u16 = 1001;

/// Status code, never sent, of a close frame without one.
pub(super) const NO_STATUS: u16 = 1005;

/// Status code, never sent, of a connection that ended without a close frame.
pub(super) const ABNORMAL: u16 = 1006;

const OPCODE_CLOSE: u8 = 0x8;

/// Length of the longest header: two bytes, a length of 64 bits, a masking key.
const MAX_HEADER: usize = 14;

/// Follows the frames of one direction.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; MAX_HEADER],
    /// Bytes of the header that have come.
    filled: usize,
    /// Bytes of the payload that have come, and its length once the header is complete.
    payload: (u64, Option<u64>),
    /// The first two bytes of a close frame's payload, unmasked.
    code: [u8; 2],
    closed: bool,
    close_code: Option<u16>,
}

impl Frames {
    /// Takes in the next bytes, and gives the end of the last frame that ends in them.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut end = None;
        for (at, &byte) in bytes.iter().enumerate() {
            // A close is the last frame; what comes after it is none.
            if self.closed {
                break;
            }
            if self.take(byte) {
                end = Some(at + 1);
            }
        }
        end
    }

    /// Whether the next byte begins a frame.
    pub(super) fn is_between(&self) -> bool {
        self.filled == 0
    }

    /// Whether a close frame has passed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The code of the close frame that has passed, if it had one.
    pub(super) fn close_code(&self) -> Option<u16> {
        self.close_code
    }

    /// Whether the frame ends with this byte.
    fn take(&mut self, byte: u8) -> bool {
        if let (seen, Some(length)) = self.payload {
            if self.opcode() == OPCODE_CLOSE
                && let Some(place) = usize::try_from(seen).ok().filter(|place| *place < 2)
            {
                self.code[place] = byte ^ self.mask(place);
            }
            self.payload.0 = seen + 1;
            return self.end_at(length);
        }
        self.header[self.filled] = byte;
        self.filled += 1;
        if self.filled < self.header_length() {
            return false;
        }
        let length = self.length();
        self.payload = (0, Some(length));
        self.end_at(length)
    }

    fn end_at(&mut self, length: u64) -> bool {
        if self.payload.0 < length {
            return false;
        }
        if self.opcode() == OPCODE_CLOSE {
            self.closed = true;
            self.close_code = (length >= 2).then(|| u16::from_be_bytes(self.code));
        }
        (self.filled, self.payload) = (0, (0, None));
        true
    }

    fn opcode(&self) -> u8 {
        self.header[0] & 0x0f
    }

    fn is_masked(&self) -> bool {
        self.header[1] & 0x80 != 0
    }

    /// Bytes of the header before the masking key.
    fn mask_at(&self) -> usize {
        match self.header[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    /// At least 2, and right from the second byte on.
    fn header_length(&self) -> usize {
        if self.filled < 2 {
            return 2;
        }
        self.mask_at() + if self.is_masked() { 4 } else { 0 }
    }

    fn length(&self) -> u64 {
        let extended = &self.header[2..self.mask_at()];
        if extended.is_empty() {
            return u64::from(self.header[1] & 0x7f);
        }
        extended
            .iter()
            .fold(0, |length, byte| length << 8 | u64::from(*byte))
    }

    fn mask(&self, place: usize) -> u8 {
        if self.is_masked() {
            self.header[self.mask_at() + place % 4]
        } else {
            0
        }
    }
}

/// A close frame for the client.
pub(super) fn close_to_client(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x80 | OPCODE_CLOSE, 2, high, low]
}

/// A close frame for the upstream, masked as a client's must be. Keys are random to keep a script from
/// choosing the bytes on the wire; nobody chooses these.
pub(super) fn close_to_upstream(code: u16) -> [u8; 8] {
    let [high, low] = code.to_be_bytes();
    [0x80 | OPCODE_CLOSE, 0x80 | 2, 0, 0, 0, 0, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame as a client sends it.
    fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
        const KEY: [u8; 4] = [1, 2, 3, 4];
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length @ 126..65536 => {
                frame.push(0x80 | 0x7E);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(0x80 | 0x7F);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(KEY);
        frame.extend(
            payload
                .iter()
                .zip(KEY.iter().cycle())
                .map(|(byte, key)| byte ^ *key),
        );
        frame
    }

    #[test]
    fn frames_of_every_length_end_where_they_end_however_they_are_cut() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let frame = masked(2, &vec![8; length]);
            let mut whole = Frames::default();
            assert_eq!(whole.follow(&frame), Some(frame.len()), "{length}");
            assert!(whole.is_between() && !whole.is_closed());

            let mut cut = Frames::default();
            let (last, before) = frame.split_last().unwrap();
            for byte in before {
                assert_eq!(cut.follow(&[*byte]), None, "{length}");
                assert!(!cut.is_between());
            }
            assert_eq!(cut.follow(&[*last]), Some(1), "{length}");
        }
    }

    #[test]
    fn the_end_of_the_last_whole_frame_is_told() {
        let mut bytes = masked(1, b"one");
        let end = bytes.len();
        bytes.extend(&masked(1, b"two")[..4]);
        let mut frames = Frames::default();
        assert_eq!(frames.follow(&bytes), Some(end));
        assert!(!frames.is_between());
    }

    #[test]
    fn the_code_of_a_close_is_read_in_both_directions() {
        let mut from_client = Frames::default();
        from_client.follow(&masked(8, &[0x03, 0xe8, b'b', b'y', b'e']));
        assert_eq!(
            (from_client.is_closed(), from_client.close_code()),
            (true, Some(1000))
        );
        for close in [&close_to_client(GOING_AWAY)[..], &close_to_upstream(GOING_AWAY)] {
            let mut frames = Frames::default();
            assert_eq!(frames.follow(close), Some(close.len()));
            assert_eq!(frames.close_code(), Some(1001));
        }
        let mut without = Frames::default();
        without.follow(&masked(8, b""));
        assert_eq!((without.is_closed(), without.close_code()), (true, None));
    }

    #[test]
    fn text_that_looks_like_a_close_is_none() {
        let mut frames = Frames::default();
        frames.follow(&masked(1, &close_to_client(1000)));
        assert!(!frames.is_closed());
    }
}
