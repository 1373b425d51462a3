//! Which image: digests, references, and the identity of what is about to start.
//!
//! Pure: nothing here opens a file, asks the clock, the environment or the
//! network. Reading an image from where it is stored belongs to `engine` and
//! `cli`; whether it may run belongs to `policy`.

pub mod digest;
pub mod identity;
pub mod reference;
pub mod subjects;
