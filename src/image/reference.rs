//! Image references as people type them.
