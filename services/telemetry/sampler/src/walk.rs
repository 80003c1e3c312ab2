//! The walk along the frame pointers.

use std::{fs::File, os::unix::fs::FileExt};

const WORD: usize = size_of::<usize>();

/// So much of the stack is copied at once. It lies on the stack that is walked.
const WINDOW: usize = 4096;

/// Where a thread was interrupted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    pub(crate) instruction: usize,
    pub(crate) frame: usize,
}

/// The addresses of a stack, innermost first.
pub(crate) struct Walk<'a> {
    memory: &'a File,
    /// The instruction that was interrupted, until it was given.
    first: Option<usize>,
    /// The next frame: the pointer to the one around it, and the return address.
    frame: usize,
    window: [u8; WINDOW],
    start: usize,
    length: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(memory: &'a File, registers: Registers) -> Self {
        Self {
            memory,
            first: Some(registers.instruction),
            frame: registers.frame,
            window: [0; WINDOW],
            start: 0,
            length: 0,
        }
    }

    /// The two words at the frame; `None` where there is no memory.
    fn read(&mut self) -> Option<(usize, usize)> {
        let inside = self.frame >= self.start && self.frame - self.start + 2 * WORD <= self.length;
        if !inside {
            let address = u64::try_from(self.frame).ok()?;
            // Through the kernel: a frame pointer may be any number, where a library keeps none.
            self.length = self.memory.read_at(&mut self.window, address).ok()?;
            self.start = self.frame;
        }
        let (words, _) = self
            .window
            .get(self.frame - self.start..self.length)?
            .as_chunks::<WORD>();
        match words {
            [outer, address, ..] => Some((usize::from_ne_bytes(*outer), usize::from_ne_bytes(*address))),
            _ => None,
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if let Some(instruction) = self.first.take() {
            // As if it had been called from the instruction before: see `Sample::addresses`.
            return Some(instruction.wrapping_add(1));
        }
        if self.frame == 0 || !self.frame.is_multiple_of(WORD) {
            return None;
        }
        let (outer, address) = self.read()?;
        // Stacks grow downwards, so the frames around lie higher. Anything else would be no end.
        self.frame = if outer > self.frame { outer } else { 0 };
        (address != 0).then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    fn walk(registers: Registers) -> Vec<usize> {
        let memory = File::open("/proc/self/mem").unwrap();
        Walk::new(&memory, registers).collect()
    }

    #[test]
    fn a_chain_of_frames_is_followed_to_its_end() {
        // Far enough from each other that they do not lie in one window.
        let mut stack = vec![0_usize; 4096];
        let place = |stack: &Vec<usize>, index: usize| ptr::from_ref(&stack[index]).addr();
        for (index, outer, address) in [(0, 8, 11), (8, 3000, 22), (3000, 0, 33)] {
            stack[index] = if outer == 0 { 0 } else { place(&stack, outer) };
            stack[index + 1] = address;
        }
        let frame = place(&stack, 0);
        assert_eq!(
            walk(Registers {
                instruction: 9,
                frame
            }),
            [10, 11, 22, 33]
        );
    }

    #[test]
    fn what_is_no_frame_ends_the_walk() {
        let unmapped = 8;
        let mut inwards = [0_usize; 4];
        inwards[2] = ptr::from_ref(&inwards[0]).addr();
        inwards[3] = 44;
        let inwards = ptr::from_ref(&inwards[2]).addr();
        for (frame, expected) in [
            (0, &[10][..]),
            (7, &[10]),
            (unmapped, &[10]),
            (usize::MAX, &[10]),
            (inwards, &[10, 44]),
        ] {
            let registers = Registers {
                instruction: 9,
                frame,
            };
            assert_eq!(walk(registers), expected, "{frame:#x}");
        }
    }
}
